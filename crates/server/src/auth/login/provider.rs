//! One OpenID Connect provider: its metadata and keys, the way to it, and what it says on the way back.
//!
//! ```text
//!  known(): cache ──fresh, or old──► metadata, keys                         (asked for when somebody logs in first)
//!             ├─ old ──► and discovery in the background, while the old ones are used
//!             └─ none, or a key is missing ──► discovery, keys: one at a time, 10 s apart for a missing key (R32)
//!  redeem(): code ──POST token──► ID token ──signature, iss, aud, exp, nonce──► claims ──(missing some: userinfo)──► visitor
//! ```

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreTokenResponse,
};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    DiscoveryError, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    TokenResponse,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::claims::{self, Claims};
use super::http::{Http, NoAnswer};
use super::{LoginError, Vouched};
use crate::auth::opaque::Opaque;
use crate::config;

/// How long metadata and keys are used before they are asked for again, in the background.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// How long they are used at most, while the provider does not answer.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Between two questions for keys because one is missing (hazard R32).
const KEYS_APART: Duration = Duration::from_secs(10);

/// How long a provider that does not answer is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// What an ID token may be signed with: by a key of the provider that only it has. The algorithm is never the token's
/// choice alone.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// One provider.
pub(super) struct Provider {
    name: Box<str>,
    config: config::Provider,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    http: Http,
    known: RwLock<Option<Known>>,
    /// Held while it is asked, so that only one asks.
    asking: Mutex<()>,
    /// Until when it is left alone.
    down_until: RwLock<Option<Instant>>,
}

/// What the provider said of itself.
#[derive(Clone)]
struct Known {
    client: Arc<Client>,
    read_at: Instant,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Provider {
    /// Asks nobody yet. Users come back to `redirect`.
    pub(super) fn new(name: &str, config: &config::Provider, redirect: String) -> Result<Self, LoginError> {
        let bad = |error: openidconnect::url::ParseError| LoginError::Rejected(error.to_string());
        let issuer = IssuerUrl::new(config.issuer_url.clone()).map_err(bad)?;
        Ok(Self {
            name: name.into(),
            http: Http::new(issuer.url().clone()),
            issuer,
            redirect: RedirectUrl::new(redirect).map_err(bad)?,
            config: config.clone(),
            known: RwLock::new(None),
            asking: Mutex::new(()),
            down_until: RwLock::new(None),
        })
    }

    /// As it was made.
    pub(super) fn config(&self) -> &config::Provider {
        &self.config
    }

    /// Whether this is how it calls itself.
    pub(super) fn is_issuer(&self, iss: &str) -> bool {
        self.issuer.as_str() == iss
    }

    /// When it is asked again, if it did not answer lately.
    pub(super) fn retry_in(&self) -> Option<Duration> {
        let down_until = *self.down_until.read().unwrap_or_else(PoisonError::into_inner);
        down_until.map(|until| until.duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Where to send a browser (OpenID Connect Core 1.0, section 3.1.2.1; RFC 7636).
    pub(super) async fn address(
        self: &Arc<Self>,
        state: String,
        nonce: &Opaque,
        verifier: &Opaque,
    ) -> Result<String, LoginError> {
        let known = self.known(None).await?;
        let challenge =
            PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.as_str().to_owned()));
        let nonce = nonce.as_str().to_owned();
        let mut request = known
            .client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || CsrfToken::new(state), || Nonce::new(nonce))
            .set_pkce_challenge(challenge);
        for scope in &self.config.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        // Spares people of an organisation the choice; whoever chooses another account all the same is refused later.
        if let [domain] = self.config.allowed_domains.as_slice() {
            request = request.add_extra_param("hd", domain.as_str());
        }
        let (address, _, _) = request.url();
        Ok(address.into())
    }

    /// Exchanges the code for whom the provider vouches for.
    pub(super) async fn redeem(
        self: &Arc<Self>,
        code: String,
        nonce: &Opaque,
        verifier: &Opaque,
    ) -> Result<Vouched, LoginError> {
        let known = self.known(None).await?;
        let answer = self.exchange(&known, code, verifier).await?;
        let missing = || LoginError::Rejected("the answer has no ID token".to_owned());
        let token = answer.id_token().ok_or_else(missing)?;
        let nonce = Nonce::new(nonce.as_str().to_owned());
        let known = match verify(&known, token, &nonce) {
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                // The provider has changed its keys since. Its answer came from itself, so that waiting for the next
                // question is worth it: the user would have to begin anew.
                sleep_until(known.read_at + KEYS_APART).await;
                let newer = self.known(Some(known.read_at)).await?;
                verify(&newer, token, &nonce).map_err(|error| LoginError::Rejected(error.to_string()))?;
                newer
            }
            Err(error) => return Err(LoginError::Rejected(error.to_string())),
            Ok(()) => known,
        };
        let mut said = payload(&token.to_string())?;
        if claims::is_anything_missing(&self.config, &said) {
            self.ask_for_more(&known, answer.access_token(), &mut said).await?;
        }
        claims::visitor(&self.name, &self.config, &said)
    }

    async fn exchange(&self, known: &Known, code: String, verifier: &Opaque) -> Result<CoreTokenResponse, LoginError> {
        let request = known.client.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|error| LoginError::Rejected(error.to_string()))?;
        let answer = request
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.as_str().to_owned()))
            .request_async(&self.http)
            .await;
        answer.map_err(|error| match error {
            RequestTokenError::Request(error) => self.unavailable(format!("its token endpoint: {error}")),
            // The words of the error may quote what was sent; the code of it may not.
            RequestTokenError::ServerResponse(refusal) => {
                LoginError::Rejected(format!("the token endpoint answers {}", refusal.error().as_ref()))
            }
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                LoginError::Rejected("the token endpoint's answer is no token".to_owned())
            }
        })
    }

    /// Adds what the provider tells only at its userinfo endpoint (Core, section 5.3): never of another subject.
    async fn ask_for_more(&self, known: &Known, token: &AccessToken, said: &mut Claims) -> Result<(), LoginError> {
        let Some(url) = known.client.user_info_url() else { return Ok(()) };
        let request = http::Request::get(url.as_str())
            .header(http::header::AUTHORIZATION, format!("Bearer {}", token.secret()))
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|error| LoginError::Rejected(error.to_string()))?;
        let answer =
            self.http.ask(request).await.map_err(|error| self.unavailable(format!("its userinfo: {error}")))?;
        let more: Option<Claims> = serde_json::from_slice(answer.body()).ok().filter(|_| answer.status().is_success());
        let more = more.ok_or_else(|| LoginError::Rejected("its userinfo is no object".to_owned()))?;
        if more.get("sub") != said.get("sub") {
            return Err(LoginError::Rejected("its userinfo is about somebody else (sub)".to_owned()));
        }
        for (claim, value) in more {
            said.entry(claim).or_insert(value);
        }
        Ok(())
    }

    /// What the provider says of itself, newer than `than`. What is old goes on being used while one task asks anew, so
    /// that a provider that hangs stops nobody whose key is known; only who finds nothing known waits.
    async fn known(self: &Arc<Self>, than: Option<Instant>) -> Result<Known, LoginError> {
        if let Some(known) = self.usable(than) {
            if known.read_at.elapsed() >= FRESH && self.retry_in().is_none() {
                let this = Arc::clone(self);
                tokio::spawn(async move { this.refresh().await });
            }
            return Ok(known);
        }
        let _asking = self.asking.lock().await;
        // Whoever asked before has perhaps brought it.
        match (self.usable(than), self.retry_in()) {
            (Some(known), _) => Ok(known),
            (None, Some(retry_in)) => {
                Err(LoginError::Unavailable { why: "it did not answer lately".to_owned(), retry_in })
            }
            (None, None) => self.ask().await,
        }
    }

    fn usable(&self, than: Option<Instant>) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let is_newer = |known: &&Known| than.is_none_or(|than| known.read_at > than);
        known.as_ref().filter(is_newer).filter(|known| known.read_at.elapsed() < STALE).cloned()
    }

    /// Asks, unless somebody does already or did a moment ago.
    async fn refresh(&self) {
        let Ok(_asking) = self.asking.try_lock() else { return };
        if self.usable(None).is_none_or(|known| known.read_at.elapsed() >= FRESH) && self.retry_in().is_none() {
            // That it is not available was told where it was found out.
            let _ = self.ask().await;
        }
    }

    /// To be called by whoever holds `asking`.
    async fn ask(&self) -> Result<Known, LoginError> {
        let known = Known { client: Arc::new(self.discover().await?), read_at: Instant::now() };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }

    async fn discover(&self) -> Result<Client, LoginError> {
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await;
        let metadata = found.map_err(|error| self.unavailable(because(error)))?;
        let methods = metadata.token_endpoint_auth_methods_supported();
        let takes = |method: &CoreClientAuthMethod| methods.is_none_or(|methods| methods.contains(method));
        let by_body = !takes(&CoreClientAuthMethod::ClientSecretBasic);
        let secret = self.config.client_secret.clone().map(ClientSecret::new);
        let client = CoreClient::from_provider_metadata(metadata, ClientId::new(self.config.client_id.clone()), secret)
            .set_redirect_uri(self.redirect.clone());
        Ok(match by_body {
            true => client.set_auth_type(AuthType::RequestBody),
            false => client,
        })
    }

    /// It is left alone for a while, so that people who try again do not make it worse.
    fn unavailable(&self, why: String) -> LoginError {
        tracing::warn!(provider = &*self.name, why, "a provider of logins is not available");
        *self.down_until.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + LEFT_ALONE);
        LoginError::Unavailable { why, retry_in: LEFT_ALONE }
    }
}

fn verify(known: &Known, token: &CoreIdToken, nonce: &Nonce) -> Result<(), ClaimsVerificationError> {
    let verifier = known.client.id_token_verifier().set_allowed_algs(ALGORITHMS);
    token.claims(&verifier, nonce).map(drop)
}

/// The claims of a token whose signature was verified: all of them, those that the library has no name for, too.
fn payload(token: &str) -> Result<Claims, LoginError> {
    let part = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = part.and_then(|json| serde_json::from_slice(&json).ok());
    claims.ok_or_else(|| LoginError::Rejected("the ID token cannot be read".to_owned()))
}

fn because(error: DiscoveryError<NoAnswer>) -> String {
    match error {
        DiscoveryError::Request(error) => format!("its metadata: {error}"),
        DiscoveryError::Response(status, ..) => format!("its metadata: HTTP status {status}"),
        DiscoveryError::Parse(error) => format!("its metadata: {error}"),
        DiscoveryError::UrlParse(error) => format!("its address: {error}"),
        DiscoveryError::Validation(error) => format!("its metadata: {error}"),
        // The library's list is open.
        _ => "its metadata cannot be used".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers with its metadata and an empty list of keys, once, and hangs from then on.
    async fn answers_once(listener: TcpListener, issuer: String) {
        let metadata = format!(
            r#"{{"issuer":"{issuer}","authorization_endpoint":"{issuer}/auth","token_endpoint":"{issuer}/token","jwks_uri":"{issuer}/jwks",
            "response_types_supported":["code"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}}"#
        );
        let mut held = Vec::new();
        for answer in [Some(metadata), Some(r#"{"keys":[]}"#.to_owned()), None] {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 8192]).await;
            if let Some(body) = answer {
                let head = format!("content-type: application/json\r\ncontent-length: {}", body.len());
                let whole = format!("HTTP/1.1 200 OK\r\n{head}\r\nconnection: close\r\n\r\n{body}");
                socket.write_all(whole.as_bytes()).await.unwrap();
            } else {
                held.push(socket);
            }
        }
        std::future::pending().await
    }

    #[tokio::test]
    async fn a_provider_that_hangs_keeps_nobody_waiting_whose_keys_are_known() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let peer = tokio::spawn(answers_once(listener, issuer.clone()));
        let text = format!(
            "server.public_url = 'https://chat.example.org'\nauth.shared_users = true\nauth.jwt.secret = '{}'\n\
             login.providers.p = {{ issuer_url = '{issuer}', client_id = 'c' }}",
            "s".repeat(32)
        );
        let config = config::Config::from_toml(&text).unwrap().login.providers.remove("p").unwrap();
        let provider = Arc::new(Provider::new("p", &config, "https://chat.example.org/back".to_owned()).unwrap());
        let first = provider.known(None).await.unwrap();
        tokio::time::pause();
        tokio::time::advance(FRESH).await;
        let asked_at = Instant::now();
        for _ in 0..3 {
            assert_eq!(provider.known(None).await.unwrap().read_at, first.read_at);
        }
        assert_eq!(Instant::now(), asked_at, "nobody waited for it");
        for _ in 0..1000 {
            if provider.retry_in().is_some() {
                break;
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(provider.retry_in().is_some(), "the question in the background is given up");
        assert_eq!(provider.known(None).await.unwrap().read_at, first.read_at, "nor for one that is known to be down");
        tokio::time::advance(STALE).await;
        assert!(provider.known(None).await.is_err(), "what is too old counts no more");
        peer.abort();
    }
}
