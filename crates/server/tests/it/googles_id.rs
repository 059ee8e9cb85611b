//! One of Google's ids, of 21 digits, from the token to the last place that names its user: no number on its way ever
//! rounds, shortens or splits it.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::gateway::{Gateway, claims, token};
use crate::http::client::Ask;

const ID: &str = "105945141827451681156";

/// The next id. As floating-point numbers the two are one.
const NEXT: &str = "105945141827451681157";

async fn asked(gateway: &Gateway, ask: Ask) -> Value {
    let mut answer = ask.by_operator().send_to_admin(gateway).await;
    let told = answer.json().await;
    assert_eq!(answer.status, 200, "{told}");
    told
}

/// What `lychgate threads` prints of a gateway's directory.
fn threads(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lychgate"));
    let output = command.arg("threads").args(arguments).arg("--data").arg(directory).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn googles_id_105945141827451681156_is_the_same_from_the_token_to_the_audit_log_and_in_no_metric() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("googles-id-{}", std::process::id()));
    let place = format!("journal.directory = {directory:?}");
    let mut gateway = Gateway::start(&[r#"journal.kind = "sqlite""#, &place, r#"log.level = "debug""#]).await;

    // The token, hello, a session, a run; and of the next one as well.
    assert_eq!(claims(ID)["sub"], ID);
    let mut tab = gateway.connect(ID).await;
    assert_eq!(tab.hello["user"], ID);
    tab.open("t1").await;
    let run = tab.ask("t1", "r1", "hello").await;
    assert_eq!(run.last().unwrap()["event"]["type"], "RUN_FINISHED");
    let mut next = gateway.connect(NEXT).await;
    next.open("t1").await;

    // A token that has it as a number names nobody: no text can be made of it that is surely right.
    let mut said = claims(ID);
    said["sub"] = serde_json::from_str(ID).unwrap();
    let number = Ask::get("/v1/threads").header("authorization", format!("Bearer {}", token(&said)));
    assert_eq!(number.send(&gateway).await.status, 401);

    // What operators see of it, and what they do.
    let listed = asked(&gateway, Ask::get(format!("/v1/admin/sessions?user={ID}"))).await;
    assert_eq!((&listed["users"][0]["user"], &listed["users"][0]["used"]), (&json!(ID), &json!(1)));
    assert_eq!(listed["users"][0]["sessions"][0]["key"], format!("{ID}:t1"));
    let explained = asked(&gateway, Ask::get(format!("/v1/admin/users/{ID}/explain"))).await;
    assert_eq!((&explained["user"], &explained["decisions"][0]["thread"]), (&json!(ID), &json!("t1")));
    assert_eq!(explained["decisions"].as_array().unwrap().len(), 1, "{explained}");
    let ended = asked(&gateway, Ask::new("DELETE", format!("/v1/admin/sessions/{ID}%3At1"))).await;
    assert_eq!(ended, json!({"ended": [format!("{ID}:t1")]}));
    tab.expect_close(4512).await;
    next.expect_nothing().await;
    let audit = asked(&gateway, Ask::get(format!("/v1/admin/audit?user={ID}"))).await;
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(
        (entries.len(), &entries[0]["user"], &entries[0]["action"]),
        (1, &json!(ID), &json!("evict")),
        "{audit}"
    );
    assert_eq!(entries[0]["result"], ended);
    let of_next = asked(&gateway, Ask::get(format!("/v1/admin/audit?user={NEXT}"))).await;
    assert_eq!(of_next["entries"], json!([]));

    // Metrics have no users in them.
    let (status, metrics) = gateway.get("/metrics").await;
    assert_eq!(
        (status, metrics.contains("lychgate_runs"), metrics.contains(&ID[..12])),
        (200, true, false),
        "{metrics}"
    );

    // The journal, as an operator reads it beside the gateway.
    let table = threads(&directory, &["list"]);
    assert!(table.lines().any(|line| line.contains(ID) && line.contains("t1")) && !table.contains(NEXT), "{table}");
    let thread: Value = serde_json::from_str(&threads(&directory, &["list", "--user", ID, "--json"])).unwrap();
    assert_eq!((&thread["user"], &thread["thread"]), (&json!(ID), &json!("t1")));

    // And the log: each line about the session names it by the one isolation key.
    gateway.process.signal(Signal::TERM);
    let (_, log) = gateway.process.end().await;
    let of_it: Vec<&str> = log.lines().filter(|line| line.contains("isolation_key=") && line.contains(ID)).collect();
    assert!(of_it.len() >= 2, "a session that was opened and ended: {log}");
    for line in of_it {
        assert!(line.contains(&format!("user={ID} ")) && line.contains(&format!("isolation_key={ID}:t1")), "{line}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
