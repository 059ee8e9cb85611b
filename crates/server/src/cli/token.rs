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
    /// The plan that selects the user's limits: the NAME of a table [plans.NAME]
    #[arg(long)]
    plan: Option<String>,
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
    let config = loaded.check()?;
    if let Some(plan) = args.plan.as_deref().filter(|plan| config.plans.find(plan).is_none()) {
        return Err(Error::Usage(format!("--plan {plan}: the configuration has no table [plans.{plan}]")));
    }
    let Some(jwt) = &config.auth.jwt else {
        let what = "[auth.jwt] has no secret to sign with; the tokens of [auth.issuers] come from their issuers, or name a --secret";
        return Err(Error::Usage(what.to_owned()));
    };
    let token = jwt::mint_on_plan(jwt, &user, args.plan.as_deref(), args.expires).map_err(Error::Failed)?;
    print(&format!("{token}\n"))
}
