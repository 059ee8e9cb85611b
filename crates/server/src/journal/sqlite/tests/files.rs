use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::error::Error;

fn refused(place: &Place) -> (u8, String) {
    let error = Error::from(Sqlite::open(&place.config(), "x").unwrap_err());
    let text = error.to_string();
    assert!(text.lines().count() <= 4, "{text}");
    assert!(text.contains(place.0.to_str().unwrap()), "{text}");
    (error.exit_code(), text)
}

async fn filled() -> Place {
    let place = Place::new();
    let journal = place.open();
    for thread in 0..100 {
        run(&journal, &key("ann", &format!("t{thread}")), "r").await;
    }
    kept_up(&place).await;
    journal.close().await.unwrap();
    place
}

#[tokio::test]
async fn nobody_else_may_look_into_the_directory() {
    let place = Place::new();
    let journal = place.open();
    run(&journal, &key("ann", "t"), "r").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.0), 0o700);
    for file in std::fs::read_dir(&place.0).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[tokio::test]
async fn two_gateways_never_share_a_directory() {
    let place = Place::new();
    let journal = place.open();
    let (code, text) = refused(&place);
    assert_eq!(code, 2);
    assert!(text.contains("another gateway") && text.contains("--data"), "{text}");
    journal.close().await.unwrap();
    drop(journal);
    place.open();
}

#[tokio::test]
async fn garbage_in_place_of_the_database_is_refused_with_the_way_out() {
    for garbage in
        [&b"not a database, however long it may be"[..], &b"SQL"[..], &b"SQLite format 3\0then something else"[..]]
    {
        let place = filled().await;
        std::fs::write(files_database(&place), garbage).unwrap();
        let (code, text) = refused(&place);
        assert_eq!(code, 1);
        assert!(text.contains("damaged") && text.contains(".recover") && text.contains("backup"), "{text}");
        assert_eq!(std::fs::read(files_database(&place)).unwrap(), garbage, "nothing was changed");
    }
}

#[tokio::test]
async fn a_database_that_was_cut_off_is_refused() {
    let place = filled().await;
    let whole = std::fs::read(files_database(&place)).unwrap();
    let half = whole.len() / 2 / 4_096 * 4_096;
    for broken in [whole[..half].to_vec(), whole[..half + 1_000].to_vec()] {
        std::fs::write(files_database(&place), broken).unwrap();
        assert_eq!(refused(&place).0, 1);
    }
}

#[tokio::test]
async fn a_database_that_was_scribbled_into_is_refused_wherever_it_is_in_use() {
    let place = filled().await;
    let free = place.number("PRAGMA freelist_count") as usize;
    let whole = std::fs::read(files_database(&place)).unwrap();
    let pages = whole.len() / 4_096;
    let mut taken = 0;
    for page in 0..pages {
        let mut broken = whole.clone();
        broken[page * 4_096..page * 4_096 + 100].fill(0xa5);
        std::fs::write(files_database(&place), broken).unwrap();
        taken += usize::from(Sqlite::open(&place.config(), "x").is_ok());
    }
    assert!(taken <= free, "{taken} of {pages} broken pages were not noticed, and only {free} are in no use");
}

#[tokio::test]
async fn databases_of_others_and_of_later_versions_are_left_alone() {
    let place = filled().await;
    place.database().pragma_update(None, "user_version", 99).unwrap();
    let (code, text) = refused(&place);
    assert!(code == 2 && text.contains("version 99"), "{text}");
    place.database().pragma_update(None, "application_id", 7).unwrap();
    let (code, text) = refused(&place);
    assert!(code == 2 && text.contains("another program"), "{text}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    std::fs::write(&place.0, "a file").unwrap();
    let (code, text) = refused(&place);
    assert!(code == 2 && text.contains("--data"), "{text}");
    std::fs::remove_file(&place.0).unwrap();
}

#[tokio::test]
async fn a_damaged_row_is_an_error_that_names_it_and_everybody_else_goes_on() {
    let place = Place::new();
    let journal = place.open();
    let (sick, well) = (key("ann", "sick"), key("ann", "well"));
    for key in [&sick, &well] {
        run(&journal, key, "r").await;
    }
    kept_up(&place).await;
    for json in ["{\"type\":", "[]", "", "{\"kind\":1}"] {
        place.database().execute("UPDATE event SET json = ? WHERE thread = 1 AND offset = 2", [json]).unwrap();
        let error = journal.read(&sick, 0, 10).await.unwrap_err().to_string();
        assert!(error.contains("event 2") && error.contains("\"sick\""), "{error}");
    }
    place.database().execute("UPDATE message SET json = '7' WHERE thread = 1 AND position = 1", []).unwrap();
    let error = journal.snapshot(&sick).await.unwrap_err().to_string();
    assert!(error.contains("message 1") && error.contains("\"sick\""), "{error}");
    assert_eq!(journal.snapshot(&well).await.unwrap().messages.len(), 2);
    // Upkeep meets it too, and leaves it for later.
    journal.append(&sick, vec![started("r2", "q"), content("m", "x"), finished("r2")]).await.unwrap();
    becomes(|| place.number("SELECT due > written + 1000000 FROM thread WHERE id = 1") == 1).await;
    run(&journal, &well, "r2").await;
    assert_eq!(journal.trouble(), None, "a row is not the file");
}

#[tokio::test]
async fn a_page_that_breaks_while_the_gateway_runs_fails_what_needs_it_and_is_told_to_probes() {
    let place = Place::new();
    let journal = place.open();
    for thread in 0..400 {
        run(&journal, &key("ann", &format!("t{thread}")), "r").await;
    }
    kept_up(&place).await;
    journal.close().await.unwrap();
    drop(journal);
    // Opened while it is whole; then the pages of the events break under it.
    let root = place.number("SELECT rootpage FROM sqlite_schema WHERE name = 'event'") as usize;
    let journal = place.open();
    let mut bytes = std::fs::read(files_database(&place)).unwrap();
    bytes[(root - 1) * 4_096..root * 4_096].fill(0xa5);
    std::fs::write(files_database(&place), bytes).unwrap();
    let error = journal.read(&key("ann", "t7"), 0, 10).await.unwrap_err();
    assert!(matches!(error, JournalError::Unavailable(_)), "{error}");
    let trouble = journal.trouble().unwrap();
    assert!(trouble.contains("malformed"), "{trouble}");
    assert!(journal.knows_run(&key("ann", "t7"), &RunId::parse("r").unwrap()).await.unwrap(), "the rest goes on");
}

#[tokio::test]
async fn what_another_program_deletes_is_gone_for_the_gateway_too() {
    let place = Place::new();
    let journal = place.open();
    let key = key("ann", "t");
    journal.append(&key, vec![started("r", "q"), content("m", "a")]).await.unwrap();
    let db = place.database();
    while !change::forget_some(&db, 1).unwrap() {}
    let late = journal.append(&key, vec![content("m", "b")]).await;
    assert_eq!(late.unwrap_err(), JournalError::Gone, "what its run still says belongs nowhere");
    assert!(journal.append(&key, vec![finished("r")]).await.is_err());
    let again = journal.append(&key, vec![started("r2", "q")]).await.unwrap();
    assert!(again[0].offset > 3, "{again:?}");
    assert_eq!(journal.snapshot(&key).await.unwrap().run.unwrap().0.as_str(), "r2");
}
