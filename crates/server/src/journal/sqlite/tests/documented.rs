//! What docs/journal.md shows works as it is written there.

use super::*;

const PAGE: &str = include_str!("../../../../../../docs/journal.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[tokio::test]
async fn every_query_of_the_documentation_gives_an_answer() {
    let place = Place::new();
    let journal = place.open();
    run(&journal, &key("ann", "t1"), "r1").await;
    kept_up(&place).await;
    journal.append(&key("ann", "t1"), vec![started("r2", "q"), content("m", "half")]).await.unwrap();
    let db = place.database();
    let queries = blocks("sql");
    assert_eq!(queries.len(), 5);
    for query in queries {
        let mut query = db.prepare(query).unwrap();
        let rows: Vec<String> =
            query.query_map([], |row| Ok(format!("{:?}", row.get_ref(0)?))).unwrap().map(Result::unwrap).collect();
        assert!(!rows.is_empty(), "{}", query.expanded_sql().unwrap());
    }
}

#[tokio::test]
async fn every_table_and_column_is_documented() {
    let place = Place::new();
    place.open();
    let db = place.database();
    let mut columns = db
        .prepare("SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'")
        .unwrap();
    let columns = columns.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    for (table, column) in columns.map(Result::unwrap) {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{table}` |"))).unwrap_or_default();
        assert!(row.contains(&format!("`{column}`")), "{table}.{column}");
    }
}

#[tokio::test]
async fn a_backup_that_is_made_beside_a_gateway_is_restored_as_documented() {
    let place = Place::new();
    let journal = place.open();
    run(&journal, &key("ann", "t1"), "r1").await;
    let [backup] = blocks("sh")[..] else { panic!("one command makes a backup") };
    let (_, sql) = backup.split_once("journal.db ").unwrap();
    let copy = place.0.join("backup.db");
    let sql = sql.trim().trim_matches('"').replace("backup.db", copy.to_str().unwrap());
    place.database().execute_batch(&sql).unwrap();
    run(&journal, &key("ann", "t1"), "r2").await;
    journal.close().await.unwrap();
    drop(journal);
    for tail in ["", "-wal", "-shm"] {
        let mut file = files_database(&place).into_os_string();
        file.push(tail);
        let _ = std::fs::rename(&file, place.0.join(format!("moved{tail}")));
    }
    std::fs::rename(&copy, files_database(&place)).unwrap();
    let journal = Sqlite::open(&place.config(), "another epoch").unwrap();
    let snapshot = journal.snapshot(&key("ann", "t1")).await.unwrap();
    assert_eq!((snapshot.messages.len(), &*snapshot.epoch), (2, "another epoch"));
}
