//! Configuration: embedded defaults, then a file, then the environment, then arguments; checked once, then never again.
//!
//! ```text
//! default.toml <- lychgate.toml or --config <- LYCHGATE__SECTION__KEY <- --listen ...
//!        each layer alone: unknown keys and wrong types, with their line
//!                                |
//!                                v merged
//!                Loaded (raw; `lychgate config` prints it) --check()--> Config (cannot be wrong)
//!                                                              ranges, contradictions, secrets
//! ```

mod address;
mod admin;
pub mod agents;
mod alerts;
mod auth;
pub mod change;
mod cluster;
mod error;
mod explain;
mod forecast;
mod journal;
mod limits;
mod load;
mod log;
mod login;
mod overview;
mod redis;
pub mod reference;
mod remediation;
mod runs;
mod secret;
mod server;
mod sources;
mod tls;
mod traces;
pub(crate) mod value;
mod web;
mod websocket;

pub use address::Address;
pub use admin::{Admin, AdminKey, Role};
pub use alerts::{Alerts, Severity, Webhook, WebhookKind};
pub use auth::{Algorithm, Auth, ClaimNames, Issuer, Jwt, KeySource, MIN_SECRET_BYTES, PublicKey};
pub use cluster::{Cluster, Redis};
pub use error::{ConfigError, Contradiction, Place};
pub use explain::Explain;
pub use journal::{Durability, Journal, JournalKind};
pub use limits::Liveness;
pub use load::{Loaded, load};
pub use log::{Log, LogFormat, Storm};
pub use login::{Login, Provider};
pub use redis::{RedisUrl, Site};
pub use remediation::{ALERTS, Acting, Action, Remediation, Rule, USER_ALERTS};
pub use runs::Runs;
pub use server::{Environment, ForwardedHeader, PublicUrl, Server};
pub use sources::{Argument, Sources};
pub use tls::{Tls, TlsFault, TlsFiles};
pub use traces::{Collector, Parents, Traces};
pub use web::Web;
pub use websocket::WebSocket;

/// Everything that `lychgate serve` needs, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listeners, environment, drain.
    pub server: Server,
    /// What the gate decides by (sections `[limits]` and `[liveness]`).
    pub limits: lychgate_core::Limits,
    /// The same, and those of users whose token names a plan (`[plans.NAME]`).
    pub plans: lychgate_core::Plans,
    /// What is done when an alert fires.
    pub remediation: Remediation,
    /// How far ahead the node looks (`[forecast]`; of each user it stands in the limits); none: not at all.
    pub forecast: Option<lychgate_core::Foresight>,
    /// The keys of `[liveness]` that the gate knows nothing of.
    pub liveness: Liveness,
    /// Bounds of the WebSocket layer.
    pub websocket: WebSocket,
    /// Who may come in.
    pub auth: Auth,
    /// Who may ask and steer on the admin listener.
    pub admin: Admin,
    /// Who may log in with a browser.
    pub login: Login,
    /// Who answers.
    pub agents: agents::Agents,
    /// What waits for a thread, and how long a run goes on alone.
    pub runs: Runs,
    /// Where events are kept.
    pub journal: Journal,
    /// Whether other nodes share the limits of users.
    pub cluster: Cluster,
    /// Who is told when something is wrong.
    pub alerts: Alerts,
    /// What is written to standard error.
    pub log: Log,
    /// What is remembered of decisions.
    pub explain: Explain,
    /// Where traces go.
    pub traces: Traces,
    /// Which pages are served.
    pub web: Web,
}

impl Config {
    /// The defaults with the keys of `text` laid over them; neither file nor environment is read. For embedding and
    /// for tests.
    ///
    /// # Errors
    /// As [`load`] and [`Loaded::check`], with the lines of `text`.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Loaded::from_toml(text)?.check()
    }
}

#[cfg(test)]
mod tests;
