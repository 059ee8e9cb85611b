//! The admin listener, on a thread and a runtime of its own: it answers when the runtime of the users does not.
//!
//! ```text
//!  thread "operators": current-thread runtime ─► Listener ─► /healthz /readyz /metrics /v1/admin/...
//! ```

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{LAST_ORDERS, listen};
use crate::api::{self, Admin, Control, Operations};
use crate::config::{Config, Server};
use crate::error::Error;

/// What the admin listener may hold: a share of the descriptor limit, and sockets without identity, which all of its are.
const ADMIN_PERCENT: usize = 5;
const ADMIN_SOCKETS: usize = 256;

/// Threads that may wait for a lock or the disk: to count, to look, and two to steer and write.
const BLOCKING_THREADS: usize = 5;

/// The running thread; dropping it stops it and waits for it, for [`LAST_ORDERS`] at most.
#[derive(Debug)]
pub(super) struct Operators {
    stop: CancellationToken,
    /// Ends, without a word, when the listener has.
    ended: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// A runtime whose end nobody waits for.
struct Unwaited(Option<Runtime>);

impl Drop for Unwaited {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Operators {
    /// Serves on this socket, which listens already, until it is told to finish; `stop` says so to whoever is connected.
    ///
    /// # Errors
    /// [`Error::System`] when the system denies a runtime or a thread.
    pub(super) fn start(
        socket: TcpListener,
        config: &Config,
        admin: Admin,
        (control, stop): (Arc<Control>, CancellationToken),
        login: Option<Arc<Operations>>,
    ) -> Result<Self, Error> {
        // Operators need few sockets, and a crowd there must not take the users' descriptors.
        let few = Server {
            max_descriptor_percent: ADMIN_PERCENT,
            max_unidentified: ADMIN_SOCKETS,
            tls: config.server.admin_tls.clone(),
            // A load balancer's health check speaks plain HTTP, and whom others speak for is nobody's business here.
            proxy_protocol: false,
            trusted_proxies: Vec::new(),
            ..config.server.clone()
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()
            .map_err(|source| Error::System { what: "start the runtime for operators", source })?;
        let listener = {
            let _inside = runtime.enter();
            listen(socket, &few, &config.liveness)
        };
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                // A runtime that is dropped within another one panics; told not to wait, it does not.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let web = config.web;
        let stopped = stop.clone();
        let (running, ended) = oneshot::channel();
        // A thread that the system denies drops what it was to own: then, too, nobody may wait for the runtime.
        let mut runtime = Unwaited(Some(runtime));
        let serve = move || {
            let _running = running;
            let Some(runtime) = runtime.0.take() else { return };
            runtime.block_on(listener.serve(api::admin(admin, control, login, web), stopped, LAST_ORDERS));
            // A count of the records that hangs must not keep the process from its end.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new()
            .name("operators".to_owned())
            .spawn(serve)
            .map_err(|source| Error::System { what: "start the thread for operators", source })?;
        Ok(Self { stop, ended, thread: Some(thread) })
    }

    /// Stops in order: what is being answered is answered.
    pub(super) async fn finish(mut self) {
        self.stop.cancel();
        // The sender is dropped, never used: this is how its end is heard.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the listener for operators ended by a panic");
        }
    }
}
