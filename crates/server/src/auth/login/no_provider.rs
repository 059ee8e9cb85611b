//! In place of OpenID Connect, in a program that is built without the feature `oidc`: there is no provider.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::{LoginError, Vouched};
use crate::auth::opaque::Opaque;
use crate::config;

/// Nobody; the configuration refuses providers.
#[derive(Debug)]
pub(super) struct Provider(Infallible);

impl Provider {
    pub(super) fn new(_name: &str, _config: &config::Provider, _redirect: String) -> Result<Self, LoginError> {
        Err(LoginError::UnknownProvider)
    }

    pub(super) fn config(&self) -> &config::Provider {
        match self.0 {}
    }

    pub(super) fn retry_in(&self) -> Option<Duration> {
        match self.0 {}
    }

    pub(super) async fn address(self: &Arc<Self>, _: String, _: &Opaque, _: &Opaque) -> Result<String, LoginError> {
        match self.0 {}
    }

    pub(super) async fn redeem(self: &Arc<Self>, _: String, _: &Opaque, _: &Opaque) -> Result<Vouched, LoginError> {
        match self.0 {}
    }

    pub(super) fn is_issuer(&self, _: &str) -> bool {
        match self.0 {}
    }
}
