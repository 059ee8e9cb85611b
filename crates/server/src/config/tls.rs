//! `[server.tls]` and `[server.admin_tls]`: certificate, key, and who may come to the operators' listener.
//!
//! ```text
//!  certificate_file, key_file, client_ca_file --read--> do they fit, are they in time? --> rustls::ServerConfig
//!       at start: a mistake ends it, with the key's name      later: the listener looks again, and keeps what it has;
//!                                                             a time that is over keeps nothing else from being read
//! ```

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use x509_cert::der::Decode;

use super::error::Fault;

/// The largest file of certificates. Whoever names a disk image by mistake gets a sentence instead of a wait.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

const HOW_TO_GET_ONE: &str =
    "Name the PEM files of a certificate chain, the server's own first, and of its key, as an ACME client writes them.";

/// `[server.tls]`: the files that TLS is made of.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    section: &'static str,
    certificate_file: PathBuf,
    key_file: PathBuf,
    client_ca_file: Option<PathBuf>,
}

/// What the files held when they were read: two that are equal make the same TLS.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Why files make no TLS: a key of the configuration, and what is wrong with the file that it names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {what}")]
pub struct TlsFault {
    /// The key with its sections.
    pub key: String,
    /// The rest of the sentence.
    pub what: String,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate_file", &self.certificate_file).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsFiles {
    /// Nothing: one of them is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFiles").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files as they are now.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn read(&self) -> Result<TlsFiles, TlsFault> {
        let client_ca =
            self.client_ca_file.as_deref().map(|path| self.read_file("client_ca_file", path)).transpose()?;
        Ok(TlsFiles {
            certificate: self.read_file("certificate_file", &self.certificate_file)?,
            key: self.read_file("key_file", &self.key_file)?,
            client_ca,
        })
    }

    /// When the server's own certificate ends.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn expires(&self) -> Result<SystemTime, TlsFault> {
        let files = self.read()?;
        let wrong = |what| self.fault("certificate_file", what);
        let chain = certificates(&files.certificate).map_err(wrong)?;
        let own = chain.first().map(|own| x509_cert::Certificate::from_der(own)).transpose();
        let own = own.map_err(|error| wrong(format!("holds something that is no certificate: {error}")))?;
        Ok(own.map_or(UNIX_EPOCH, |own| UNIX_EPOCH + own.tbs_certificate().validity().not_after.to_unix_duration()))
    }

    /// TLS 1.2 and later, HTTP/1.1 alone, of these files. With `client_ca_file` a client without a certificate of
    /// theirs is refused in the handshake.
    ///
    /// # Errors
    /// A file is not PEM, key and certificate do not belong together, or the certificate's time is over or has not come.
    pub fn build(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsFault> {
        let config = self.assemble(files)?;
        self.in_time(files)?;
        Ok(config)
    }

    /// Everything but the time.
    fn assemble(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsFault> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = self.certified(files, &provider)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.fault("certificate_file", format!("cannot be used: {error}")))?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let wrong = |what: String| self.fault("client_ca_file", what);
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem).map_err(wrong)? {
                    roots.add(certificate).map_err(|error| wrong(format!("holds no authority: {error}")))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| wrong(format!("cannot be used: {error}")))?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn certified(&self, files: &TlsFiles, provider: &rustls::crypto::CryptoProvider) -> Result<CertifiedKey, TlsFault> {
        let chain = certificates(&files.certificate).map_err(|what| self.fault("certificate_file", what))?;
        let key = PrivateKeyDer::from_pem_slice(&files.key)
            .map_err(|error| self.fault("key_file", format!("holds no private key in PEM: {error}")))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                self.fault("key_file", "does not belong to the certificate of certificate_file".to_owned())
            }
            // The rest is about one of the two, and the list of what it may be is open.
            error => self.fault("key_file", format!("cannot be used with certificate_file: {error}")),
        })
    }

    /// The server's own certificate alone: clients look for another way past an old one further up in the chain, which
    /// authorities leave there for the sake of old clients.
    fn in_time(&self, files: &TlsFiles) -> Result<(), TlsFault> {
        let chain = certificates(&files.certificate);
        chain
            .and_then(|chain| chain.first().map_or(Ok(()), in_time))
            .map_err(|what| self.fault("certificate_file", what))
    }

    fn read_file(&self, name: &str, path: &Path) -> Result<Vec<u8>, TlsFault> {
        let wrong = |what: String| self.fault(name, format!("names the file {}, which {what}", path.display()));
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(|error| wrong(format!("cannot be opened: {error}")))?;
        match file.take(MAX_PEM_BYTES + 1).read_to_end(&mut bytes) {
            Err(error) => Err(wrong(format!("cannot be read: {error}"))),
            Ok(read) if read as u64 > MAX_PEM_BYTES => Err(wrong("is larger than 1 MiB".to_owned())),
            Ok(_) => Ok(bytes),
        }
    }

    fn fault(&self, name: &str, what: String) -> TlsFault {
        TlsFault { key: format!("{}.{name}", self.section), what }
    }
}

/// All certificates of a file, at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("holds no certificate in PEM".to_owned()),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("is not PEM: {error}")),
    }
}

/// Whether now is between the two times of a certificate (RFC 5280, section 4.1.2.5).
fn in_time(certificate: &CertificateDer<'_>) -> Result<(), String> {
    let parsed = x509_cert::Certificate::from_der(certificate)
        .map_err(|error| format!("holds something that is no certificate: {error}"))?;
    let validity = parsed.tbs_certificate().validity();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    match (validity.not_before.to_unix_duration() > now, validity.not_after.to_unix_duration() < now) {
        (_, true) => Err(format!("holds a certificate that expired at {}", validity.not_after)),
        (true, false) => Err(format!("holds a certificate that is not valid before {}", validity.not_before)),
        (false, false) => Ok(()),
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTls {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAdminTls {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ca_file: Option<PathBuf>,
}

impl RawTls {
    pub(super) fn check(&self, occasion: Occasion) -> Result<Option<Tls>, Fault> {
        check(occasion, "server.tls", self.certificate_file.as_ref(), self.key_file.as_ref(), None)
    }
}

impl RawAdminTls {
    pub(super) fn check(&self, occasion: Occasion) -> Result<Option<Tls>, Fault> {
        let client_ca = self.client_ca_file.as_ref();
        check(occasion, "server.admin_tls", self.certificate_file.as_ref(), self.key_file.as_ref(), client_ca)
    }
}

/// When a configuration is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Before anything is in force.
    Start,
    /// Something is in force already.
    Reload,
}

/// None where no file is named. Files that are named have to make a TLS now: a server that starts without it would serve
/// in the clear what was meant to be secret. On a reload the time of a certificate is a warning: the listener keeps what it
/// has, and a renewal that failed must not keep a limit from being changed.
fn check(
    occasion: Occasion,
    section: &'static str,
    certificate_file: Option<&PathBuf>,
    key_file: Option<&PathBuf>,
    client_ca_file: Option<&PathBuf>,
) -> Result<Option<Tls>, Fault> {
    let missing = |name: &str, beside: &str| {
        Fault::value(format!("{section}.{name}"), format!("is not set, but {beside} is"), HOW_TO_GET_ONE)
    };
    let (certificate_file, key_file) = match (certificate_file, key_file) {
        (Some(certificate_file), Some(key_file)) => (certificate_file.clone(), key_file.clone()),
        (Some(_), None) => return Err(missing("key_file", "certificate_file")),
        (None, Some(_)) => return Err(missing("certificate_file", "key_file")),
        (None, None) if client_ca_file.is_some() => return Err(missing("certificate_file", "client_ca_file")),
        (None, None) => return Ok(None),
    };
    let tls = Tls { section, certificate_file, key_file, client_ca_file: client_ca_file.cloned() };
    let wrong = |TlsFault { key, what }| Fault::value(key, what, HOW_TO_GET_ONE);
    let files = tls.read().map_err(wrong)?;
    tls.assemble(&files).map_err(wrong)?;
    match (tls.in_time(&files), occasion) {
        (Err(fault), Occasion::Start) => return Err(wrong(fault)),
        (Err(fault), Occasion::Reload) => tracing::warn!(%fault, "what is in force stays; renew the certificate"),
        (Ok(()), Occasion::Start | Occasion::Reload) => {}
    }
    Ok(Some(tls))
}

#[cfg(test)]
mod tests;
