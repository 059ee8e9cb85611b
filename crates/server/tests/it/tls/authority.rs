//! A certificate authority of the tests, and the files that it writes for a gateway.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lychgate::config::{Config, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::gateway::soon;

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// Files in a directory of its own, removed with it.
pub(crate) struct Authority {
    folder: PathBuf,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Writes `ca.pem`, and a pair for a gateway on loopback.
    pub(crate) fn new() -> Self {
        let name = format!("tls-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        fs::write(folder.join("ca.pem"), own.pem()).unwrap();
        let authority = Self { folder, certificate: own.der().clone(), issuer: Issuer::new(params, key) };
        authority.renew();
        authority
    }

    /// Writes another pair; answers its certificate.
    pub(crate) fn renew(&self) -> CertificateDer<'static> {
        let (certificate, key) = self.pair("127.0.0.1");
        self.write("key.pem", &key);
        self.write("chain.pem", &certificate);
        CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// The lines of a configuration that serve this section with what stands in the files.
    pub(crate) fn keys(&self, section: &str) -> [String; 2] {
        let file = |name: &str| self.folder.join(name).display().to_string();
        [
            format!("{section}.certificate_file = {:?}", file("chain.pem")),
            format!("{section}.key_file = {:?}", file("key.pem")),
        ]
    }

    /// The line that lets in nobody without a certificate of ours.
    pub(crate) fn operators_alone(&self) -> String {
        format!("server.admin_tls.client_ca_file = {:?}", self.folder.join("ca.pem").display().to_string())
    }

    /// The same for a listener inside this process.
    pub(crate) fn tls(&self) -> Tls {
        let secret = "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"".to_owned();
        let text = [&[secret][..], &self.keys("server.tls")].concat().join("\n");
        Config::from_toml(&text).unwrap().server.tls.unwrap()
    }

    /// A client that trusts this authority; with a certificate of it if it has to show one.
    pub(crate) fn connector(&self, shows: bool) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shows {
            false => builder.with_no_client_auth(),
            true => {
                let (certificate, key) = self.pair("operator");
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate], PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }

    /// A connection after its handshake.
    pub(crate) async fn connect(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        self.handshake(soon(TcpStream::connect(address)).await.unwrap()).await
    }

    pub(crate) async fn handshake(&self, socket: TcpStream) -> TlsStream<TcpStream> {
        soon(self.connector(false).connect(ServerName::from(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST)), socket))
            .await
            .unwrap()
    }

    fn pair(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}
