use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use super::*;
use crate::config::Config;

/// For what comes by itself, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// `chain.pem` and `key.pem` in a directory of their own, removed with it.
struct Pair(PathBuf);

impl Pair {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lychgate-certificates-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let pair = Self(folder);
        pair.renew(Duration::ZERO);
        pair
    }

    /// Writes a pair that is valid from so long after 1970 on.
    fn renew(&self, not_before: Duration) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + not_before;
        std::fs::write(self.0.join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(self.0.join("chain.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    }

    fn certificates(&self) -> Arc<Certificates> {
        let text = format!(
            "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\n\
             server.tls.certificate_file = {:?}\nserver.tls.key_file = {:?}",
            self.0.join("chain.pem").display().to_string(),
            self.0.join("key.pem").display().to_string(),
        );
        Certificates::new(Config::from_toml(&text).unwrap().server.tls.unwrap()).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn since_1970() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap()
}

#[test]
fn a_certificate_that_was_deployed_early_is_taken_up_when_its_time_has_come() {
    let pair = Pair::new("early");
    let certificates = pair.certificates();
    assert_eq!(certificates.reload(), Reloaded::Same);
    pair.renew(since_1970() + Duration::from_secs(2));
    let given_up = Instant::now() + PATIENCE;
    loop {
        match certificates.reload() {
            Reloaded::New => break,
            Reloaded::Kept(fault) => assert!(fault.what.contains("not valid before"), "{fault}"),
            Reloaded::Same => panic!("what is not in force is looked at each time"),
        }
        assert!(Instant::now() < given_up, "its time has come long ago");
        std::thread::yield_now();
    }
    assert_eq!(certificates.reload(), Reloaded::Same);
}

#[test]
fn a_pair_that_does_not_fit_is_kept_out_until_it_does() {
    let pair = Pair::new("torn");
    let certificates = pair.certificates();
    let key = std::fs::read(pair.0.join("key.pem")).unwrap();
    pair.renew(Duration::ZERO);
    let new = std::fs::read(pair.0.join("key.pem")).unwrap();
    std::fs::write(pair.0.join("key.pem"), key).unwrap();
    for _ in 0..2 {
        assert!(matches!(certificates.reload(), Reloaded::Kept(fault) if fault.key == "server.tls.key_file"));
    }
    std::fs::write(pair.0.join("key.pem"), new).unwrap();
    assert_eq!([certificates.reload(), certificates.reload()], [Reloaded::New, Reloaded::Same]);
}
