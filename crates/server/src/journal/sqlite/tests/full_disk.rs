//! A disk that is really full, a file that may not grow, and a process that may write no larger one.

use std::path::PathBuf;
use std::process::Command;

use super::*;

/// A file system of a few megabytes, unmounted with the test; none where this user may not mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(megabytes: u32) -> Option<Self> {
        let place = std::env::temp_dir().join(format!("lychgate-small-disk-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&place).status();
        match mounted {
            Ok(status) if status.success() => Some(Self(place)),
            Ok(_) | Err(_) => {
                let _ = std::fs::remove_dir(&place);
                let must = std::env::var_os("CI").is_some() && rustix::process::geteuid().is_root();
                assert!(!must, "where everything is tested, a disk has to be filled");
                None
            }
        }
    }

    /// Fills what is left, to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        for size in [65_536, 1] {
            while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn on_a_full_disk_runs_still_end_and_when_there_is_room_everything_goes_on() {
    let Some(disk) = SmallDisk::new(24) else {
        eprintln!("SKIPPED: this user may not mount a small disk, so none was filled");
        return;
    };
    let place = Place::within(&disk.0);
    let journal = place.open();
    let keys: Vec<SessionKey> = (0..100).map(|thread| key("ann", &format!("t{thread}"))).collect();
    for key in &keys {
        journal.append(key, vec![started("r", "q"), content("m", "half an answer")]).await.unwrap();
    }
    disk.fill();
    let big = "x".repeat(100_000);
    let mut refused = None;
    for _ in 0..1_000 {
        if let Err(error) = journal.append(&keys[0], vec![content("m", &big)]).await {
            refused = Some(error);
            break;
        }
    }
    assert!(refused.unwrap().to_string().contains("full"));
    assert_eq!(journal.trouble().as_deref(), Some("journal: the disk is full"));
    assert!(journal.append(&keys[1], vec![content("m", "more")]).await.is_err());
    assert!(journal.rehearse(&keys[1], content("m", "more")).await.is_err(), "readiness does not count on the ballast");
    for key in &keys {
        journal.append(key, vec![finished("r")]).await.unwrap();
    }
    for key in &keys {
        assert_eq!(journal.snapshot(key).await.unwrap().run, None, "every run has an end (R18)");
    }
    assert!(journal.trouble().is_some());

    let filler = std::fs::OpenOptions::new().write(true).open(disk.filler()).unwrap();
    let length = filler.metadata().unwrap().len();
    filler.set_len(length - 1_024 * 1_024).unwrap();
    drop(filler);
    let ballast = Directory::claim(&disk.0.join("other")).unwrap().take_ballast().unwrap_err();
    assert!(ballast.to_string().contains("too little is free"), "what is left is left to others: {ballast}");
    std::fs::remove_file(disk.filler()).unwrap();
    becomes(|| journal.trouble().is_none()).await;
    assert!(place.0.join("ballast").exists(), "it is ready for the next time");
    run(&journal, &keys[1], "r2").await;
    assert_eq!(journal.snapshot(&keys[1]).await.unwrap().messages.len(), 4);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_may_not_grow_refuses_and_recovers_when_something_is_deleted() {
    let place = Place::new();
    let config = place.config();
    let directory = Directory::claim(&place.0).unwrap();
    let (db, epoch) = open::prepare(&directory, config.durability, "test").unwrap();
    let most = 200;
    db.pragma_update_and_check(None, "max_page_count", most, |_| Ok(())).unwrap();
    let journal = Sqlite::start(&config, directory, db, epoch).unwrap();
    let old = key("ann", "old");
    let big = "x".repeat(20_000);
    let refused = 'full: {
        for round in 0..most {
            let run = format!("r{round}");
            let events = vec![started(&run, "q"), content(&run, &big), finished(&run)];
            if let Err(error) = journal.append(&old, events).await {
                break 'full error;
            }
        }
        panic!("{most} pages were not enough to be full");
    };
    assert!(refused.to_string().contains("full"), "{refused}");
    assert!(journal.trouble().unwrap().contains("the disk is full"));
    let db = place.database();
    while !change::forget_some(&db, 1).unwrap() {}
    becomes(|| journal.trouble().is_none()).await;
    run(&journal, &key("ann", "new"), "r").await;
}

/// Tells a copy of this test that it is the one that may not write, and where it works.
const LIMITED: &str = "LYCHGATE_TEST_JOURNAL_LIMITED";

/// What a quota and a limit of the process have in common: SQLite does not call it full, the write fails.
#[tokio::test]
async fn where_writes_fail_for_a_limit_runs_still_end() {
    if let Some(directory) = std::env::var_os(LIMITED) {
        return write_to_the_limit(Place(directory.into())).await;
    }
    let place = Place::new();
    let name = "journal::sqlite::tests::full_disk::where_writes_fail_for_a_limit_runs_still_end";
    // 8 MiB, in blocks of 512 bytes; a write beyond is an error, not the end of the process.
    let limit = r#"trap "" XFSZ; ulimit -f 16384; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", limit]).arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let done = command.env(LIMITED, &place.0).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"));
}

async fn write_to_the_limit(place: Place) {
    let journal = place.open();
    let keys: Vec<SessionKey> = (0..20).map(|thread| key("ann", &format!("t{thread}"))).collect();
    for key in &keys {
        journal.append(key, vec![started("r", "q"), content("m", "half an answer")]).await.unwrap();
    }
    let big = "x".repeat(100_000);
    let mut refused = None;
    for _ in 0..1_000 {
        if let Err(error) = journal.append(&keys[0], vec![content("m", &big)]).await {
            refused = Some(error);
            break;
        }
    }
    assert!(refused.unwrap().to_string().contains("full"));
    for key in &keys {
        journal.append(key, vec![finished("r")]).await.unwrap();
    }
    assert!(journal.unfinished(1).await.unwrap().is_empty(), "every run has an end (R18)");
}
