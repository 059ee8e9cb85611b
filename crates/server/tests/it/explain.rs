//! The story of a user, as an operator reads it: what was decided, in order, on what evidence, and for whom.

use serde_json::{Value, json};

use crate::command::{Said, run};
use crate::gateway::{Gateway, READ_KEY, soon};
use crate::zombies::{Living, QUICK, session};

async fn explain(gateway: &Gateway, arguments: &[&str]) -> Said {
    let admin = format!("http://{}", gateway.admin);
    let arguments = [&["explain", "--admin", &admin], arguments].concat();
    run(&arguments, &[("LYCHGATE_KEY", READ_KEY)]).await
}

async fn story(gateway: &Gateway, user: &str) -> Vec<Value> {
    let said = explain(gateway, &[user, "--json"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    said.lines()
}

/// `verdict thread`, in order.
fn plot(story: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    story.iter().map(|told| format!("{} {}", text(&told["verdict"]), text(&told["thread"]))).collect()
}

/// Whoever reads it top down reads what came first first, and whoever was evicted for somebody stands before him.
fn is_in_order(story: &[Value]) {
    let times: Vec<&str> = story.iter().map(|told| told["at"].as_str().unwrap()).collect();
    // Times are counted back from now, which may round one of two neighbours by a millisecond.
    let minutes: Vec<&str> = times.iter().map(|at| &at[..16]).collect();
    assert!(minutes.is_sorted(), "{times:?}");
    for (place, told) in story.iter().enumerate().filter(|(_, told)| told["cause"] == "newcomer") {
        let newcomer = &told["newcomer"];
        let gets_it = |later: &Value| later["verdict"] == "admitted" && later["thread"] == *newcomer;
        assert!(story[place..].iter().any(gets_it), "nobody got the slot of {told}");
        assert!(told["text"].as_str().unwrap().contains(&format!("its slot went to the thread {newcomer}")), "{told}");
    }
}

#[tokio::test]
async fn explain_tells_the_story_of_slow_fill_in_order() {
    let gateway = Gateway::start(&QUICK).await;
    let mut living = Vec::new();
    for n in 0..20 {
        living.push(Living::new(session(&gateway, n).await));
    }
    let mut newcomer = gateway.connect("ann").await;
    newcomer.open("t20").await;
    let story = story(&gateway, "ann").await;
    let mut expected: Vec<String> = (0..20).map(|n| format!("admitted t{n}")).collect();
    expected.extend(["waits t20", "evicted t0", "admitted t20"].map(str::to_owned));
    let plot: Vec<_> = plot(&story).into_iter().filter(|step| !step.starts_with("closed")).collect();
    assert_eq!(plot, expected);
    is_in_order(&story);
    let evicted = story.iter().find(|told| told["verdict"] == "evicted").unwrap();
    let text = evicted["text"].as_str().unwrap();
    assert!(
        text.starts_with("No dead session was left to take, and this live one was the first to give way ("),
        "{text}"
    );
    assert_eq!((&evicted["level"], &evicted["newcomer"]), (&json!("force"), &json!("t20")));
    for living in living {
        drop(living.stop().await);
    }
}

#[tokio::test]
async fn explain_tells_the_story_of_twenty_zombies_in_order() {
    let gateway = Gateway::start(&QUICK).await;
    let mut silent = Vec::new();
    for n in 0..20 {
        silent.push(session(&gateway, n).await);
    }
    let mut newcomer = gateway.connect("ann").await;
    // A machine that is late finds nobody dead at the first try.
    soon(async {
        for n in 20.. {
            newcomer.say(json!({"type": "open", "thread": format!("t{n}")})).await;
            while newcomer.expect_one_of(&["opened", "closed"]).await["type"] == "closed" {}
            if gateway.metric("lychgate_zombies_total").await > 0.0 {
                break;
            }
        }
    })
    .await;
    let told = story(&gateway, "ann").await;
    is_in_order(&told);
    let place =
        |wanted: &str| told.iter().position(|told| told["verdict"] == wanted).unwrap_or_else(|| panic!("{told:?}"));
    assert!(place("waits") < place("evicted"), "{told:?}");
    let dead = told.iter().find(|told| told["reason"] == "unresponsive").unwrap_or_else(|| panic!("{told:?}"));
    let text = dead["text"].as_str().unwrap();
    assert!(
        text.starts_with("Nobody answered two pings of a probe over ") && text.contains("closed as dead"),
        "{text}"
    );
    assert_eq!(dead["level"], "aggressive");
    assert!(told.iter().any(|told| told["verdict"] == "dead"), "{told:?}");

    let people = explain(&gateway, &["ann"]).await;
    assert!(people.out.starts_with("What was decided about \"ann\", in order; times are UTC."), "{people:?}");
    assert!(people.out.lines().all(|line| line.chars().count() <= 120), "it fits a terminal: {people:?}");
    let everybody = explain(&gateway, &["--json"]).await.lines();
    assert!(
        everybody.iter().all(|told| told["user"] == "ann" && told["path"] != "free"),
        "what interests nobody is left out"
    );
    assert!(everybody.iter().any(|told| told["verdict"] == "evicted"), "{everybody:?}");
    drop(silent);
}

#[tokio::test]
async fn an_error_of_explain_fits_on_a_screen_and_names_the_fix() {
    let gateway = Gateway::start(&[]).await;
    let admin = format!("http://{}", gateway.admin);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}");
    let user = format!("http://{}", gateway.address);
    for (arguments, key, says) in [
        (vec!["explain", "nobody", "--admin", &admin], READ_KEY, "knows of no decision about \"nobody\""),
        (vec!["explain", "ann", "--admin", &admin], "lychgate_another", "`lychgate admin-key NAME` makes one"),
        (vec!["explain", "ann", "--admin", &admin], "", "--key-env NAME"),
        (vec!["explain", "ann", "--admin", &nobody], READ_KEY, "name another one with --admin URL"),
        (vec!["explain", "ann", "--admin", &user], READ_KEY, "admin listener (server.admin_listen)"),
    ] {
        let said = run(&arguments, &[("LYCHGATE_KEY", key)]).await;
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.err.contains(says) && said.err.lines().count() <= 4, "{says}: {said:?}");
        assert!(!said.err.contains(READ_KEY) && !said.err.contains("lychgate_another"), "{said:?}");
    }
}
