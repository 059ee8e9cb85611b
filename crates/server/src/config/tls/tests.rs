use std::fs;

use super::*;
use crate::config::Loaded;

/// A directory of its own, removed with what is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lychgate-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A self-signed certificate and its key in PEM, valid for these years.
fn pair(years: std::ops::Range<i32>) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn checked(certificate: &Path, key: &Path) -> Result<Option<Tls>, Fault> {
    check(Occasion::Start, "server.tls", Some(&certificate.to_owned()), Some(&key.to_owned()), None)
}

#[test]
fn a_good_pair_makes_tls_and_no_file_makes_none() {
    let folder = Folder::new("good");
    let (certificate, key) = pair(2020..2100);
    let tls = checked(&folder.file("chain.pem", &certificate), &folder.file("key.pem", &key)).unwrap().unwrap();
    assert_eq!(tls.build(&tls.read().unwrap()).unwrap().alpn_protocols, [b"http/1.1"]);
    assert_eq!(check(Occasion::Start, "server.tls", None, None, None).unwrap(), None);
}

#[test]
fn files_that_make_no_tls_say_which_key_is_wrong_and_why_and_never_what_the_key_is() {
    let folder = Folder::new("bad");
    let (certificate, key) = pair(2020..2100);
    let (good, key_file) = (folder.file("chain.pem", &certificate), folder.file("key.pem", &key));
    let (expired, expired_key) = pair(2000..2001);
    let (early, early_key) = pair(2098..2099);
    let cases = [
        (folder.0.join("missing.pem"), key_file.clone(), "certificate_file", "cannot be opened"),
        (good.clone(), folder.0.join("missing.pem"), "key_file", "cannot be opened"),
        (folder.file("no.pem", "no PEM"), key_file.clone(), "certificate_file", "no certificate in PEM"),
        (key_file.clone(), key_file.clone(), "certificate_file", "no certificate in PEM"),
        (good.clone(), good.clone(), "key_file", "no private key in PEM"),
        (good.clone(), folder.file("other.pem", &pair(2020..2100).1), "key_file", "does not belong to the certificate"),
        (folder.file("old.pem", &expired), folder.file("ok.pem", &expired_key), "certificate_file", "expired at 2001"),
        (
            folder.file("new.pem", &early),
            folder.file("nk.pem", &early_key),
            "certificate_file",
            "not valid before 2098",
        ),
        (folder.file("huge.pem", &"x".repeat(2_000_000)), key_file, "certificate_file", "larger than 1 MiB"),
    ];
    for (certificate, key_file, name, why) in cases {
        let fault = checked(&certificate, &key_file).unwrap_err();
        assert_eq!(fault.key, format!("server.tls.{name}"), "{why}");
        assert!(fault.what.contains(why), "{}", fault.what);
        assert!(!fault.what.contains("PRIVATE KEY"), "{}", fault.what);
        assert!(!fault.remedy.is_empty());
    }
}

#[test]
fn one_file_without_the_other_is_told_so() {
    let some = PathBuf::from("x.pem");
    for (certificate, key, ca, missing) in [
        (Some(&some), None, None, "key_file"),
        (None, Some(&some), None, "certificate_file"),
        (None, None, Some(&some), "certificate_file"),
    ] {
        assert_eq!(
            check(Occasion::Start, "server.admin_tls", certificate, key, ca).unwrap_err().key,
            format!("server.admin_tls.{missing}")
        );
    }
}

#[test]
fn on_a_reload_the_time_of_a_certificate_keeps_nothing_else_from_being_read() {
    let folder = Folder::new("reload");
    let (key_file, chain_file) = (folder.0.join("key.pem"), folder.0.join("chain.pem"));
    let lines = |limit: u32| {
        format!(
            "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\nlimits.max_sessions_per_user = {limit}\n\
             server.tls.certificate_file = {:?}\nserver.tls.key_file = {:?}",
            chain_file.display().to_string(),
            key_file.display().to_string(),
        )
    };
    for (years, why) in [(2000..2001, "expired at 2001"), (2098..2099, "not valid before 2098")] {
        let (certificate, key) = pair(years);
        folder.file("chain.pem", &certificate);
        folder.file("key.pem", &key);
        let loaded = Loaded::from_toml(&lines(7)).unwrap();
        let error = loaded.check().unwrap_err().to_string();
        assert!(error.contains("server.tls.certificate_file") && error.contains(why), "{error}");
        assert_eq!(loaded.check_again().unwrap().limits.max_sessions_per_user, 7);
        // Every other mistake is one.
        let error = Loaded::from_toml(&lines(0)).unwrap().check_again().unwrap_err().to_string();
        assert!(error.contains("max_sessions_per_user"), "{error}");
        folder.file("key.pem", &pair(2020..2100).1);
        let error = loaded.check_again().unwrap_err().to_string();
        assert!(error.contains("server.tls.key_file"), "{error}");
    }
}

#[test]
fn the_time_of_the_servers_own_certificate_counts_and_of_no_other_in_the_chain() {
    let folder = Folder::new("chain");
    let ((good, good_key), (expired, expired_key)) = (pair(2020..2100), pair(2000..2001));
    let chain = |first: &str, second: &str| folder.file("chain.pem", &format!("{first}{second}"));
    let tls = checked(&chain(&good, &expired), &folder.file("key.pem", &good_key)).unwrap().unwrap();
    assert!(tls.build(&tls.read().unwrap()).is_ok());
    let fault = checked(&chain(&expired, &good), &folder.file("key.pem", &expired_key)).unwrap_err();
    assert!(fault.what.contains("expired at 2001"), "{}", fault.what);
}
