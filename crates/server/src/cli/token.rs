//! `lychgate token`: a token for trying things out.

use std::time::Duration;

use clap::Args;
use lychgate_core::UserId;

use super::{FileArgs, duration, print};
use crate::auth::jwt;
use crate::config::{Sources, load};
use crate::error::Error;

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Who the token is for: the subject (`sub`)
    #[arg(long)]
    user: String,
    /// How long it is valid, for example 30m or 12h
    #[arg(long, default_value = "1h", value_parser = duration)]
    expires: Duration,
    /// Sign with this secret instead of the configured one
    #[arg(long)]
    secret: Option<String>,
    #[command(flatten)]
    file: FileArgs,
}

pub(super) fn run(args: TokenArgs) -> Result<(), Error> {
    let user = UserId::parse(&args.user).map_err(|error| Error::Usage(format!("--user {error}")))?;
    let mut loaded = load(Sources::of_process(args.file.config))?;
    if let Some(secret) = args.secret {
        loaded.set_jwt_secret("--secret", secret);
    }
    let token = jwt::mint(&loaded.check()?.auth.jwt, &user, args.expires).map_err(Error::Failed)?;
    print(&format!("{token}\n"))
}
