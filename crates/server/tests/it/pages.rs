//! The pages over HTTP. Whether they were built is looked up: CI's tests run before `cargo xtask web`, its browsers after it.

use std::path::Path;

use crate::gateway::{Gateway, soon};
use crate::http::client::Ask;

fn is_built() -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console/dist/chat.html").exists()
}

#[tokio::test]
async fn a_build_without_pages_says_in_one_sentence_how_to_get_them() {
    let gateway = Gateway::start(&[]).await;
    let chat = async { Ask::get("/").send(&gateway).await.rest().await };
    let console = async { Ask::get("/console").send_to_admin(&gateway).await.rest().await };
    for page in [soon(chat).await, soon(console).await] {
        assert_eq!(page.contains("cargo xtask web"), !is_built(), "{page}");
        assert_eq!(page.contains("<!doctype html>"), is_built(), "{page}");
    }
}

#[tokio::test]
async fn pages_that_are_switched_off_are_not_there() {
    let gateway = Gateway::start(&["web.chat = false", "web.console = false"]).await;
    let page = soon(async { Ask::get("/").send(&gateway).await.rest().await }).await;
    assert!(page.contains("never locks a user out") && page.contains("/v1/agui"), "{page}");
    assert!(!page.contains("xtask"), "{page}");
    for (path, of_users) in [("/assets/chat.js", true), ("/console", false), ("/", false)] {
        let asking = Ask::get(path);
        let answer = if of_users { asking.send(&gateway).await } else { asking.send_to_admin(&gateway).await };
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_console_is_not_on_the_listener_for_users() {
    let gateway = Gateway::start(&[]).await;
    assert_eq!(Ask::get("/console").send(&gateway).await.status, 404);
}

#[tokio::test]
async fn nothing_beside_the_pages_is_read_from_the_disk() {
    let gateway = Gateway::start(&[]).await;
    for path in ["/assets/../../package.json", "/assets/%2e%2e/%2e%2e/package.json", "/assets/..%2f..%2fpackage.json"] {
        let mut answer = Ask::get(path).send(&gateway).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!soon(answer.rest()).await.contains("lychgate/console"), "{path}");
    }
}
