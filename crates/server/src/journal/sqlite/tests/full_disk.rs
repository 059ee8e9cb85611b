//! A disk that is really full, and a file that may not grow.

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
    for key in &keys {
        journal.append(key, vec![finished("r")]).await.unwrap();
    }
    for key in &keys {
        assert_eq!(journal.snapshot(key).await.unwrap().run, None, "every run has an end (R18)");
    }
    assert!(journal.trouble().is_some());

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
