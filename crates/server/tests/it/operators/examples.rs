//! docs/admin.md as a stranger follows it: its examples run as they are printed.

use std::process::Command;

use super::GOOGLE;
use crate::gateway::{Gateway, Process, configuration};
use crate::http::client::Ask;

/// `lychgate` with these words: what it prints.
fn lychgate(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lychgate")).args(words).env_clear().output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An example, `ask [-X METHOD] [-d 'BODY'] "$U/PATH"`, as the request that curl makes of it.
fn request(example: &str) -> Ask {
    let path = example.split("\"$U").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let body = example.split_once("-d '").map(|(_, rest)| rest.split('\'').next().unwrap());
    let method = example.split_once("-X ").map(|(_, rest)| rest.split(' ').next().unwrap());
    let method = match (method, body) {
        (Some("DELETE"), _) => "DELETE",
        (Some("PUT"), _) => "PUT",
        (Some("POST"), _) | (None, Some(_)) => "POST",
        (None, None) => "GET",
        (Some(other), _) => panic!("{other} in {example}"),
    };
    let ask = Ask::new(method, path).header("content-type", "application/x-www-form-urlencoded");
    body.into_iter().fold(ask, |ask, body| ask.body(body.to_owned()))
}

#[tokio::test]
async fn the_examples_of_docs_admin_run_as_printed_with_a_key_that_lychgate_makes() {
    let page = include_str!("../../../../../docs/admin.md");
    let make = page.lines().find_map(|line| line.strip_prefix("lychgate ")).unwrap();
    let words: Vec<&str> = make.split('#').next().unwrap().split_whitespace().collect();
    assert_eq!(words, ["admin-key", "ops", "--role", "write"]);
    let printed = lychgate(&words);
    let key = printed.lines().find(|line| line.starts_with("lychgate_")).unwrap();
    let mut lines = configuration(&[]);
    lines.retain(|line| !line.starts_with("admin."));
    lines.extend(printed.lines().skip_while(|line| !line.starts_with('[')).map(str::to_owned));
    let gateway = Gateway::started(Process::serve(&lines)).await;
    let mut tab = gateway.connect(GOOGLE).await;
    tab.open("t1").await;

    let examples: Vec<&str> = page.lines().filter(|line| line.starts_with("ask ")).collect();
    assert!(examples.len() > 12, "{examples:?}");
    for example in examples {
        let ask = request(example).header("authorization", format!("Bearer {key}"));
        let mut answer = ask.send_to_admin(&gateway).await;
        let told = answer.json().await;
        assert_eq!(answer.status, 200, "{example} gave {told}");
    }
}

#[test]
fn the_help_of_admin_key_says_what_is_wanted_and_what_it_may_do() {
    let help = lychgate(&["admin-key", "--help"]);
    for said in ["<NAME>", "--role", "read", "write", "audit log"] {
        assert!(help.contains(said), "{said} is not in: {help}");
    }
}
