//! A master, a replica of it, and three sentinels that make the replica the master when the master is gone.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{ATTEMPTS, Port, Redis, run, until};

/// What the sentinels call the master.
pub(crate) const MASTER: &str = "the-master";

/// Five processes that go with the test.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The first is the master at the start.
    pub(crate) servers: [Redis; 2],
    pub(crate) sentinels: [Redis; 3],
    place: PathBuf,
}

impl Watched {
    /// All know each other, and the replica has what the master has.
    pub(crate) fn start() -> Self {
        Self::with(None)
    }

    /// As [`Self::start`], with a password for the servers and another one for the sentinels.
    pub(crate) fn with_passwords(servers: &str, sentinels: &str) -> Self {
        Self::with(Some([servers, sentinels]))
    }

    fn with(passwords: Option<[&str; 2]>) -> Self {
        let server = |more: &[&str]| {
            let mut options = more.to_vec();
            if let Some([password, _]) = passwords {
                options.extend(["--requirepass", password, "--masterauth", password]);
            }
            let mut redis = Redis::with(&options);
            redis.password = passwords.map(|[password, _]| password.to_owned());
            redis
        };
        let master = server(&[]);
        let replica = server(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
        // Sentinels ask a master for its replicas when they meet it, and then only every ten seconds.
        until("the replica has what the master has", || replica.said("master_link_status") == "up");
        let place = std::env::temp_dir().join(format!("lychgate-sentinels-{}-{}", std::process::id(), master.port()));
        fs::create_dir_all(&place).unwrap();
        let sentinel = || sentinel(&place, master.port(), passwords);
        let sentinels = [sentinel(), sentinel(), sentinel()];
        for sentinel in &sentinels {
            until("the sentinels know each other and the replica", || {
                let told = sentinel.command(&["SENTINEL", "MASTER", MASTER]);
                let mut lines = told.lines();
                let mut fact = |name| lines.by_ref().find(|line| *line == name).and_then(|_| lines.next());
                (fact("num-slaves"), fact("num-other-sentinels")) == (Some("1"), Some("2"))
            });
        }
        Self { servers: [master, replica], sentinels, place }
    }

    /// With the passwords, where there are some.
    pub(crate) fn url(&self) -> String {
        let hosts = self.sentinels.each_ref().map(|sentinel| format!("127.0.0.1:{}", sentinel.port())).join(",");
        let user = self.servers[0].password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        let theirs = self.sentinels[0].password.as_ref().map(|password| format!("?sentinel_password={password}"));
        format!("redis+sentinel://{user}{hosts}/{MASTER}{}", theirs.unwrap_or_default())
    }

    /// The replica hears nothing of the master any more, and is told as little of what is written as after a cut cable.
    pub(crate) fn cut_off_replica(&self) {
        // The master asks for no password, and refuses who shows one.
        assert_eq!(self.servers[1].command(&["CONFIG", "SET", "masterauth", "another"]), "OK");
        assert_eq!(self.servers[0].command(&["CLIENT", "KILL", "TYPE", "replica"]), "1");
    }

    /// The master is killed; returns when all sentinels name the replica, and it takes writes.
    pub(crate) fn fail_over(&mut self) {
        self.servers[0].kill();
        self.await_promotion();
    }

    /// Returns when all sentinels name the second server as the master, and it takes writes.
    pub(crate) fn await_promotion(&self) {
        let promoted = format!("127.0.0.1\n{}", self.servers[1].port());
        until("the replica is the master", || {
            let names = |sentinel: &Redis| sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
            self.sentinels.iter().all(|sentinel| names(sentinel) == promoted)
                && self.servers[1].said("role") == "master"
        });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// One sentinel. It keeps a file, and does not start without one.
fn sentinel(place: &std::path::Path, master: u16, passwords: Option<[&str; 2]>) -> Redis {
    for _ in 0..ATTEMPTS {
        let port = Port::free();
        let mut file = format!(
            "port {}\nbind 127.0.0.1\ndir {}\nsentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 4000\n",
            port.number,
            place.display()
        );
        if let Some([server, own]) = passwords {
            file += &format!("sentinel auth-pass {MASTER} {server}\nrequirepass {own}\n");
        }
        let path = place.join(format!("{}.conf", port.number));
        fs::write(&path, file).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&path).arg("--sentinel");
        if let Some(child) = run(command, "+monitor master") {
            let password = passwords.map(|[_, own]| own.to_owned());
            return Redis { child, port, password, options: Vec::new() };
        }
    }
    panic!("redis-server did not start as a sentinel: no port is free");
}

#[test]
fn sentinels_make_the_replica_the_master_when_the_master_is_gone() {
    let mut watched = Watched::with_passwords("one", "two");
    assert!(watched.url().starts_with("redis+sentinel://:one@127.0.0.1:"), "{}", watched.url());
    assert!(watched.url().ends_with("/the-master?sentinel_password=two"), "{}", watched.url());
    watched.servers[0].command(&["SET", "key", "value"]);
    until("the replica has it", || watched.servers[1].command(&["GET", "key"]) == "value");
    watched.fail_over();
    assert_eq!(watched.servers[1].command(&["SET", "key", "other"]), "OK");
}

#[test]
fn a_replica_that_was_cut_off_does_not_have_what_was_written_since() {
    let mut watched = Watched::start();
    watched.cut_off_replica();
    watched.servers[0].command(&["SET", "key", "value"]);
    watched.fail_over();
    assert_eq!(watched.servers[1].command(&["GET", "key"]), "");
}
