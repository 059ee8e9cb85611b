//! Puts together what logins need: who is logged in, who vouches for users, and who closes sockets.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use lychgate_core::{EvictReason, Proof, UserId};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::api::Operations;
use crate::auth::{Doorkeeper, Entrance, Logins, Providers, Realm};
use crate::config::{Config, PublicUrl};
use crate::driver::Driver;
use crate::error::Error;
use crate::store::Store;
use crate::telemetry::Metrics;

/// Between two looks at which logins have expired.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// The way in for users; none where nobody can log in, even after a reload: there is no address to come back to.
pub(super) fn open(config: &Config, listen: SocketAddr, store: &Arc<Store>) -> Result<Option<Entrance>, Error> {
    if config.server.public_url.is_none() && !config.login.is_demo {
        return Ok(None);
    }
    let logins = Logins::open(Realm::Users, &config.login, Arc::clone(store))
        .map_err(|error| Error::Failed(error.to_string()))?;
    let own_origins = match &config.server.public_url {
        Some(url) => vec![url.as_str().to_owned()],
        // Only the demo comes so far: it was checked to be on loopback, which has two names.
        None => vec![PublicUrl::of_loopback(listen).as_str().to_owned(), format!("http://localhost:{}", listen.port())],
    };
    Ok(Some(Entrance { logins, own_origins }))
}

/// The way in for operators; none where their browsers have no address to come back to.
pub(super) fn open_for_operators(config: &Config, store: &Arc<Store>) -> Result<Option<Entrance>, Error> {
    let Some(url) = &config.admin.public_url else { return Ok(None) };
    let logins = Logins::open(Realm::Operators, &config.login, Arc::clone(store))
        .map_err(|error| Error::Failed(error.to_string()))?;
    Ok(Some(Entrance { logins, own_origins: vec![url.as_str().to_owned()] }))
}

/// What the routes of logins need.
pub(super) fn operations(
    config: &Config,
    entrance: Entrance,
    driver: &Arc<Driver>,
    doorkeeper: &Arc<Doorkeeper>,
    metrics: &Arc<Metrics>,
) -> Result<Operations, Error> {
    let origin = entrance.own_origins.first().and_then(|origin| PublicUrl::parse(origin));
    let origin = origin.ok_or_else(|| Error::Failed("logins have no address to come back to".to_owned()))?;
    let providers = Providers::new(&config.login.providers, origin);
    let driver = Arc::clone(driver);
    let expel = move |ended: &[(UserId, Proof)]| {
        for (user, ended) in ended {
            driver.expel_user(user, EvictReason::LoggedOut, |proof| proof.id == ended.id);
        }
    };
    Ok(Operations {
        entrance,
        doorkeeper: Arc::clone(doorkeeper),
        providers: providers.map_err(|error| Error::Failed(error.to_string()))?,
        listed_origins: RwLock::new(config.auth.origins.clone()),
        is_demo: config.login.is_demo,
        expel: Box::new(expel),
        metrics: Arc::clone(metrics),
    })
}

/// Keeps the logins tidy until `stop`, and once more then: when they were seen last has to be in the store. Whose socket is
/// open is in use, though no request says so.
pub(super) async fn keep(logins: Arc<Logins>, driver: Arc<Driver>, stop: CancellationToken) {
    let mut ticks = interval(TIDY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.cancelled() => true,
        };
        let (logins, driver) = (Arc::clone(&logins), Arc::clone(&driver));
        if spawn_blocking(move || logins.tidy(&driver.proofs())).await.is_err() {
            tracing::error!("logins were not kept tidy: that ended by a panic");
        }
        if is_last {
            return;
        }
    }
}
