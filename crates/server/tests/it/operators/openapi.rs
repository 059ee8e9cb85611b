//! The OpenAPI document says what the routes do, and docs/admin.md says the same.

use std::collections::BTreeSet;

use serde_json::Value;

use super::ask;
use super::keys::routes;
use crate::gateway::Gateway;
use crate::http::client::Ask;

const METHODS: [&str; 4] = ["GET", "PUT", "POST", "DELETE"];

async fn document(gateway: &Gateway) -> Value {
    let (status, document) = ask(gateway, Ask::get("/v1/admin/openapi.json")).await;
    assert_eq!(status, 200);
    document
}

/// Every operation as `METHOD /path`.
fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| format!("{method} {path}")).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn every_documented_path_is_a_route_and_every_route_is_documented() {
    let gateway = Gateway::start(&[]).await;
    let document = document(&gateway).await;
    let documented = operations(&document);
    for operation in &documented {
        let (method, path) = operation.split_once(' ').unwrap();
        let method = METHODS.into_iter().find(|known| *known == method).unwrap();
        let path = path.replace("{key}", "ann%3At1").replace("{user}", "ann");
        let status = Ask::new(method, path.clone()).send_to_admin(&gateway).await.status;
        let is_open = ["/healthz", "/readyz", "/metrics"].contains(&path.as_str());
        assert_eq!(status, if is_open { 200 } else { 401 }, "{operation}");
    }
    let documented_here: BTreeSet<String> =
        documented.iter().filter(|operation| operation.contains("/v1/admin/")).cloned().collect();
    let known = |path: &str| path.replace("ann%3At1", "{key}").replace("/ann/", "/{user}/");
    let tried: BTreeSet<String> =
        routes().iter().map(|(method, path, _)| format!("{method} {}", known(path))).collect();
    assert_eq!(documented_here, tried, "the tests of keys and roles try every route");
    // What is not documented is not there: no other method of a known path, and nothing beside it.
    for path in document["paths"].as_object().unwrap().keys() {
        let asked = path.replace("{key}", "ann%3At1").replace("{user}", "ann");
        for method in METHODS {
            if !documented.contains(&format!("{method} {path}")) {
                let status = ask(&gateway, Ask::new(method, asked.clone())).await.0;
                assert_eq!(status, 405, "{method} {path}");
            }
        }
    }
    assert_eq!(ask(&gateway, Ask::get("/v1/admin")).await.0, 404);
}

#[test]
fn no_route_of_the_admin_listener_goes_round_the_document() {
    // Routes that are added by hand, and not by the macro that documents them.
    for (file, text) in [
        ("api/admin/mod.rs", include_str!("../../../src/api/admin/mod.rs")),
        ("api/health.rs", include_str!("../../../src/api/health.rs")),
    ] {
        assert!(!text.contains(".route("), "{file}");
    }
}

#[tokio::test]
async fn the_page_of_the_documentation_has_a_section_for_every_route() {
    let gateway = Gateway::start(&[]).await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/admin.md")).unwrap();
    let headings: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .flat_map(|heading| heading.split(", ").map(|route| route.trim_matches('`').to_owned()).collect::<Vec<_>>())
        .collect();
    assert_eq!(headings, operations(&document(&gateway).await));
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_answer_has_a_schema() {
    let gateway = Gateway::start(&[]).await;
    let document = document(&gateway).await;
    let mut pending = vec![&document];
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    let place = target.strip_prefix('#').unwrap();
                    assert!(document.pointer(place).is_some(), "{target} leads nowhere");
                }
                pending.extend(fields.values());
            }
            Value::Array(items) => pending.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for operation in document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
    {
        let is_answered = ["200", "101"].iter().any(|status| operation["responses"][status].is_object());
        assert!(is_answered, "{operation}");
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 10), "{operation}");
    }
    let scheme = &document["components"]["securitySchemes"]["key"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&Value::from("http"), &Value::from("bearer")));
}
