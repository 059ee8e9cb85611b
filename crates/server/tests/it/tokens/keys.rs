//! Keys that openssl made, as people make theirs, and tokens signed with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// What `openssl genpkey` is told for each kind of key.
pub(crate) const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
pub(crate) const WEAK_RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
pub(crate) const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(crate) const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
pub(crate) const P521: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
pub(crate) const ED25519: &[&str] = &["-algorithm", "ED25519"];

/// A pair of keys in a folder of its own, which goes with it.
pub(crate) struct Pair {
    folder: PathBuf,
}

impl Pair {
    /// Makes one.
    pub(crate) fn generate(kind: &[&str]) -> Self {
        let name = format!("keys-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let pair = Self { folder };
        let (private, public) = (pair.private_file(), pair.public_file());
        openssl(Command::new("openssl").arg("genpkey").args(kind).arg("-out").arg(&private));
        openssl(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public));
        pair
    }

    pub(crate) fn private_file(&self) -> PathBuf {
        self.folder.join("private.pem")
    }

    pub(crate) fn public_file(&self) -> PathBuf {
        self.folder.join("public.pem")
    }

    /// The private half as the library wants it for this algorithm.
    fn signing(&self, algorithm: Algorithm) -> EncodingKey {
        let pem = fs::read(self.private_file()).unwrap();
        match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(&pem).unwrap(),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem).unwrap(),
            _ => EncodingKey::from_rsa_pem(&pem).unwrap(),
        }
    }

    /// A token that this pair signs; with a name of the key, if it has one.
    pub(crate) fn sign(&self, algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
        lychgate::auth::jwt::install_provider();
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, &self.signing(algorithm)).unwrap()
    }

    /// The public half as an issuer publishes it.
    pub(crate) fn jwk(&self, algorithm: Algorithm, kid: &str) -> Value {
        lychgate::auth::jwt::install_provider();
        let mut jwk = Jwk::from_encoding_key(&self.signing(algorithm), algorithm).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        serde_json::to_value(jwk).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // What cannot be removed lies in a folder for such things.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A set of published keys.
pub(crate) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Adds the file of a key to a line of configuration.
pub(crate) fn file(key: &str, path: &Path) -> String {
    format!("{key} = {:?}", path.display().to_string())
}

fn openssl(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("openssl is needed to make keys ({error}): `apt install openssl`, or your system's equal")
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
