//! `lychgate serve`: the gateway as configured.

use super::{ServeArgs, argument, runtime};
use crate::app;
use crate::config::{Loaded, Sources, load};
use crate::error::Error;
use crate::telemetry::logs;

pub(super) fn run(args: ServeArgs) -> Result<(), Error> {
    let mut sources = Sources::of_process(args.file.config);
    if let Some(listen) = args.listen {
        sources.arguments.push(argument("--listen", "server.listen", listen));
    }
    until_stopped(&load(sources)?, |_ready| {})
}

/// Checks, starts logging and a runtime, and serves until the process is told to stop.
pub(super) fn until_stopped(loaded: &Loaded, ready: impl FnOnce(app::Ready) + Send) -> Result<(), Error> {
    let config = loaded.check()?;
    logs::install(&config.log).map_err(|error| Error::Failed(error.to_string()))?;
    let served = runtime()?.block_on(app::serve(config, ready));
    served.map_err(|error| error.located(|key| loaded.place(key)))
}
