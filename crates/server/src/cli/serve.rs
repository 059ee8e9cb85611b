//! `lychgate serve`: the gateway as configured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{ServeArgs, argument, runtime};
use crate::app;
use crate::config::{Argument, Sources, load};
use crate::error::Error;
use crate::telemetry::logs;

/// How long what still waits for a disk may take when everything else has ended.
const LEFTOVERS: Duration = Duration::from_millis(500);

pub(super) fn run(args: ServeArgs) -> Result<(), Error> {
    let mut sources = Sources::of_process(args.file.config);
    if let Some(listen) = args.listen {
        sources.arguments.push(argument("--listen", "server.listen", listen));
    }
    sources.arguments.extend(args.data.as_deref().map(data).transpose()?);
    until_stopped(sources, |_ready| {})
}

/// `--data DIR` as an argument.
pub(super) fn data(directory: &Path) -> Result<Argument, Error> {
    // A configuration is text, and so is the name of a directory in it.
    match directory.to_str() {
        Some(directory) => Ok(argument("--data", "journal.directory", directory)),
        None => Err(Error::Usage(format!("--data {}: the name is not UTF-8 text", directory.display()))),
    }
}

/// Checks, starts logging and a runtime, and serves until the process is told to stop.
pub(super) fn until_stopped(sources: Sources, ready: impl FnOnce(app::Ready) + Send) -> Result<(), Error> {
    let loaded = Arc::new(load(sources.clone())?);
    // Dropped last, on every way out: what was logged until then is written.
    let _log = logs::install(&loaded.check()?.log).map_err(|error| Error::Failed(error.to_string()))?;
    let source = Box::new(move || load(sources.clone()));
    let runtime = runtime()?;
    let served = runtime.block_on(app::serve(Arc::clone(&loaded), source, ready));
    // A thread that waits for a disk must not keep the process.
    runtime.shutdown_timeout(LEFTOVERS);
    served.map_err(|error| error.located(|key| loaded.place(key)))
}
