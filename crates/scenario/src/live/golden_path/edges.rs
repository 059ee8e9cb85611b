//! Mistakes, strangers, departures and names: where a chat touches what is not chat.

use anyhow::{Context as _, bail, ensure};
use tokio_tungstenite::tungstenite::Message as Raw;

use crate::client::{Caller, Client, Credential, Heartbeat, Hello, Mishap, Open, PATIENCE};
use crate::live::Scene;
use crate::live::talk::{answer, open, refusal};
use crate::report::Outcome;

pub(super) async fn mistakes_are_answered(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("golden")?;
    let (mut client, _) = user.connect().await?;
    client.run("nowhere", "r1", "hello").await?;
    let refused = refusal(&mut client).await?;
    ensure!(refused.code == "not_open", "a run on a thread that is not open was told {refused:?}");
    let mistakes = [
        "this is no JSON",
        r#"{"type":"dance"}"#,
        r#"{"type":"open","thread":7}"#,
        r#"{"type":"open","thread":""}"#,
        r#"[1,2,3]"#,
    ];
    for mistake in mistakes {
        client.say_raw(Raw::text(mistake)).await?;
        let refused = refusal(&mut client).await.with_context(|| format!("after {mistake}"))?;
        ensure!(refused.code == "bad_frame" && !refused.message.is_empty(), "{mistake} was told {refused:?}");
    }
    open(outcome, &mut client, "t1").await.context("after some mistakes")?;
    client.say_raw(Raw::text(r#"{"type":"open","thread":"t2","from":"a later version"}"#)).await?;
    client.opened(Some("t2")).await.context("an open with an unknown field")?;
    Ok(())
}

pub(super) async fn users_are_kept_apart(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let (ann, bob) = (scene.user("golden")?, scene.user("golden")?);
    let (mut hers, welcome) = ann.connect().await?;
    open(outcome, &mut hers, "shared").await?;
    hers.run("shared", "r1", "a secret").await?;
    answer(&mut hers, "shared", 0).await?;
    // The thread's name and her connection's id are all that a stranger could know.
    let (mut his, _) = bob.replace(Some(&welcome.connection)).await?;
    let opened = open(outcome, &mut his, "shared").await?;
    ensure!(opened.messages.is_empty() && opened.head == 0, "a stranger was told {opened:?}");
    ensure!(
        hers.open(Open { thread: Some("shared"), ..Open::default() }).await?.limits.used == 1,
        "she lost her session"
    );
    Ok(())
}

pub(super) async fn bad_tokens_are_turned_away(scene: &Scene, _: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("golden")?;
    let good = user.token();
    let unsigned = format!("{}.", good.rsplit_once('.').context("a token has dots")?.0);
    for bad in ["nonsense", unsigned.as_str()] {
        let caller = Caller { source: user.caller.source, credential: Credential::Subprotocol(bad.to_owned()) };
        let mut client = Client::connect(scene.endpoint(), &caller).await?;
        let told = match client.hello(Hello::default()).await {
            Err(Mishap::Refused(refused)) => refused,
            other => bail!("the token {bad} was answered with {other:?}"),
        };
        ensure!(told.code == "unauthorized", "the token {bad} was told {told:?}");
        match client.until(PATIENCE, |_| None::<()>).await {
            Err(Mishap::Ended(ended)) if ended.code == Some(4501) => {}
            other => bail!("the token {bad} ended with {other:?}"),
        }
    }
    Ok(())
}

pub(super) async fn slots_come_back_at_once(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("golden")?;
    let (mut watcher, _) = user.connect().await?;
    let (mut client, _) = user.connect().await?;
    open(outcome, &mut client, "t1").await?;
    open(outcome, &mut client, "t2").await?;
    client.leave("t1").await?;
    // The same socket: what follows the leave is answered after it.
    ensure!(open(outcome, &mut client, "t2").await?.limits.used == 1, "leave kept its slot");
    client.close(1000).await?;
    let used = open(outcome, &mut watcher, "t3").await?.limits.used;
    ensure!(used == 1, "close 1000 kept a slot: {used} are used");
    Ok(())
}

pub(super) async fn every_identity_works(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    for name in ["105945141827451681156", "auth0|a:b%3A", "ü 漢字 🙂"] {
        let user = scene.user(name)?;
        let token = user.token();
        let by_header = Caller { source: user.caller.source, credential: Credential::Header(token.to_owned()) };
        let by_hello = Caller { source: user.caller.source, credential: Credential::None };
        for (caller, token) in [(&user.caller, None), (&by_header, None), (&by_hello, Some(token))] {
            let mut client = Client::connect(scene.endpoint(), caller).await?;
            let heartbeat = Some(Heartbeat::Ws);
            let welcome = client.hello(Hello { token, heartbeat, ..Hello::default() }).await?;
            ensure!(welcome.user == user.name, "{} became {}", user.name, welcome.user);
            let opened = client.open(Open { reference: Some("o1"), ..Open::default() }).await?;
            ensure!(opened.reference.as_deref() == Some("o1"), "ref was not echoed");
            ensure!(opened.thread.starts_with("thread_websocket_session_"), "a new thread is called {}", opened.thread);
            let again = open(outcome, &mut client, &opened.thread).await?;
            ensure!(again.limits.used == 1, "opening one thread twice took {} slots", again.limits.used);
            client.close(1000).await?;
        }
    }
    Ok(())
}
