use super::*;
use crate::journal::conformance::{conforms, content, finished, key, started};
use crate::redis_server::Redis as Server;

mod faults;
mod reach;

/// Nothing here takes longer; nothing waits it out.
const PATIENCE: Duration = Duration::from_secs(30);

fn config(server: &Server) -> config::Journal {
    config_for(&server.url())
}

fn config_for(url: &str) -> config::Journal {
    let secret = "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"";
    let text = format!("journal.kind = \"redis\"\njournal.url = {url:?}\n{secret}");
    config::Config::from_toml(&text).unwrap().journal
}

async fn open(server: &Server) -> Redis {
    Redis::open(&config(server)).await.unwrap()
}

async fn open_with(server: &Server, change: impl FnOnce(&mut config::Journal)) -> Redis {
    let mut config = config(server);
    change(&mut config);
    Redis::open(&config).await.unwrap()
}

/// Asks until the answer is as wanted.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_what_every_journal_promises() {
    let server = Server::start();
    let number = std::sync::atomic::AtomicU32::new(0);
    let runtime = Handle::current();
    conforms(|| {
        let prefix = format!("test-{}", number.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let journal = std::thread::scope(|scope| {
            let opening = open_with(&server, |config| config.prefix = prefix);
            scope.spawn(|| runtime.block_on(opening)).join().unwrap()
        });
        Arc::new(journal)
    })
    .await;
}

#[tokio::test]
async fn what_a_node_wrote_is_read_on_another_one_and_after_a_restart() {
    let server = Server::start();
    let one = open(&server).await;
    let t = key("ann", "t");
    one.append(&t, vec![started("r", "q"), content("m", "half")]).await.unwrap();
    let other = open(&server).await;
    assert_eq!(other.read(&t, 0, 10).await.unwrap().len(), 2);
    let seen = other.snapshot(&t).await.unwrap();
    assert_eq!(seen.epoch, one.snapshot(&t).await.unwrap().epoch);
    assert!(other.unfinished(10).await.unwrap().is_empty(), "its node lives and drives it");
    let busy = other.append(&t, vec![started("r2", "q")]).await.unwrap_err();
    assert!(busy.to_string().contains("another node"), "{busy}");
    one.append(&t, vec![finished("r")]).await.unwrap();
    other.append(&t, vec![started("r2", "q"), finished("r2")]).await.unwrap();
    assert_eq!(one.snapshot(&t).await.unwrap().messages.len(), 3);
}

#[tokio::test]
async fn the_run_of_a_node_that_is_gone_is_ended_by_another_one_and_the_dead_says_nothing_more() {
    let server = Server::start();
    let (one, other) = (open(&server).await, open(&server).await);
    let t = key("ann", "t");
    one.append(&t, vec![started("r", "q"), content("m", "half")]).await.unwrap();
    assert!(other.abandoned(10).await.unwrap().is_empty());
    // As after ten seconds without a word.
    one.stop.cancel();
    server.command(&["DEL", &one.inner.keys.lease(&one.inner.writer)]);
    let open = other.abandoned(10).await.unwrap();
    assert_eq!(open, [(t.clone(), RunId::parse("r").unwrap())]);
    other.append(&t, vec![finished("r")]).await.unwrap();
    assert!(other.abandoned(10).await.unwrap().is_empty());
    assert_eq!(one.append(&t, vec![content("m", "late")]).await.unwrap_err(), JournalError::Gone);
    assert_eq!(other.snapshot(&t).await.unwrap().head, 3);
}

#[tokio::test]
async fn a_long_run_is_joined_and_a_run_that_cannot_be_is_refused_until_it_ends() {
    let server = Server::start();
    let journal = open_with(&server, |config| config.max_events_per_thread = 16).await;
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q")]).await.unwrap();
    for piece in 0..100 {
        journal.append(&t, vec![content("m", &format!("{piece},"))]).await.unwrap();
    }
    journal.append(&t, vec![finished("r")]).await.unwrap();
    let whole: String = (0..100).map(|piece| format!("{piece},")).collect();
    assert_eq!(journal.snapshot(&t).await.unwrap().messages[1].rest["content"], whole);

    journal.append(&t, vec![started("r2", "q")]).await.unwrap();
    let mut taken = 0;
    let refused = loop {
        match journal.append(&t, vec![content(&format!("m{taken}"), "a"), content("other", "b")]).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.to_string().contains("cannot be joined"), "{refused}");
    journal.append(&t, vec![finished("r2")]).await.unwrap();
    assert!(journal.snapshot(&t).await.unwrap().run.is_none());
}

#[tokio::test]
async fn what_is_folded_takes_the_events_of_older_runs_away() {
    let server = Server::start();
    let journal = open_with(&server, |config| config.max_messages_per_thread = 4).await;
    let t = key("ann", "t");
    for run in 0..6 {
        let run = format!("r{run}");
        journal.append(&t, vec![started(&run, "q"), content(&format!("m-{run}"), "a"), finished(&run)]).await.unwrap();
    }
    let stream = journal.inner.keys.of(&t).stream;
    until("the fold", async || (server.command(&["XLEN", &stream]) == "3").then_some(())).await;
    let snapshot = journal.snapshot(&t).await.unwrap();
    assert_eq!((snapshot.oldest, snapshot.head, snapshot.messages.len(), snapshot.more), (15, 18, 4, true));
    let page = journal.messages(&t, Some("u-r5"), 10).await.unwrap();
    assert_eq!((page.messages.len(), page.more), (2, true));
    let listed = journal.threads(t.user(), None, 10).await.unwrap();
    assert_eq!((listed.threads[0].messages, listed.threads[0].title.as_deref()), (4, Some("q")));
}

#[tokio::test]
async fn a_thread_goes_when_its_retention_is_over_and_the_next_of_its_name_has_another_epoch() {
    let server = Server::start();
    let journal = open_with(&server, |config| config.retention = Some(Duration::from_millis(200))).await;
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q"), finished("r")]).await.unwrap();
    let before = journal.snapshot(&t).await.unwrap().epoch;
    let of = journal.inner.keys.of(&t);
    let all = ["EXISTS", &of.thread, &of.stream, &of.messages, &of.runs, &of.sequences];
    until("the end of its time", async || (server.command(&all) == "0").then_some(())).await;
    let gone = journal.snapshot(&t).await.unwrap();
    assert!(gone.head == 0 && gone.messages.is_empty() && gone.epoch != before);
    journal.append(&t, vec![started("r2", "q")]).await.unwrap();
    assert_eq!(journal.snapshot(&t).await.unwrap().epoch, gone.epoch, "who opened it empty resumes");
    journal.append(&t, vec![finished("r2")]).await.unwrap();
    until("the end of its time", async || (server.command(&all) == "0").then_some(())).await;
    assert!(journal.threads(t.user(), None, 10).await.unwrap().threads.is_empty());
    assert_eq!(server.command(&["ZCARD", &of.index]), "0", "its name goes when it is met");
    let epochs = [before, gone.epoch, journal.snapshot(&t).await.unwrap().epoch];
    assert!(epochs[2] != epochs[0] && epochs[2] != epochs[1], "{epochs:?}");
}

/// Counts the hints.
#[derive(Default)]
struct Hints(std::sync::Mutex<Vec<SessionKey>>);

impl Follower for Hints {
    fn appended(&self, _: &SessionKey, _: &[Entry]) {}

    fn behind(&self, key: &SessionKey) {
        self.0.lock().unwrap().push(key.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_attends_a_thread_hears_that_another_node_wrote_to_it_and_after_a_cut_that_it_may_have() {
    let mut server = Server::start();
    let (one, other) = (open(&server).await, open(&server).await);
    let hints = Arc::new(Hints::default());
    other.follow(hints.clone());
    let (t, t2) = (key("ann", "t"), key("ann", "t2"));
    other.attend(&t);
    let heard = |wanted: usize| {
        let hints = Arc::clone(&hints);
        async move { until("a hint", async || (hints.0.lock().unwrap().len() >= wanted).then_some(())).await }
    };
    // Once the subscription stands.
    heard(1).await;
    one.append(&t2, vec![started("r", "q")]).await.unwrap();
    one.append(&t, vec![started("r", "q")]).await.unwrap();
    heard(2).await;
    assert_eq!(*hints.0.lock().unwrap(), [t.clone(), t.clone()], "nothing of what nobody attends");
    server.kill();
    server.restart();
    heard(3).await;
    one.append(&t, vec![started("r2", "q")]).await.unwrap();
    heard(4).await;
    other.leave(&t);
    until("the end of the subscription", async || server.command(&["PUBSUB", "CHANNELS"]).is_empty().then_some(()))
        .await;
}

async fn refused(server: &Server, change: impl FnOnce(&mut config::Journal)) -> String {
    let mut config = config(server);
    change(&mut config);
    let error = Redis::open(&config).await.unwrap_err();
    assert!(!error.to_string().contains("geheim"), "{error}");
    format!("{error} {}", error.remedy())
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_refused_by_a_sentence_that_says_what_to_set() {
    let evicting = Server::with(&["--maxmemory-policy", "allkeys-lru"]);
    let said = refused(&evicting, |_| {}).await;
    assert!(said.contains("allkeys-lru") && said.contains("Set `maxmemory-policy noeviction`"), "{said}");

    let mut closed = Server::with_password("geheim");
    for wrong in ["", ":geheim-not@"] {
        let url = config_for(&format!("redis://{wrong}127.0.0.1:{}", closed.port())).url;
        let said = refused(&closed, |config| config.url = url).await;
        assert!(said.contains("denies") && said.contains("user:password@host"), "{said}");
    }
    closed.kill();
    let said = refused(&closed, |_| {}).await;
    assert!(said.contains("cannot be reached"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_with_us_is_waited_for() {
    let mut server = Server::start();
    server.kill();
    let config = config_for(&server.url());
    let opening = tokio::spawn(async move { Redis::open(&config).await });
    server.restart();
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn keys_of_somebody_else_under_our_prefix_are_refused_by_name() {
    let server = Server::start();
    for (command, what) in [
        (["SET", "lychgate:journal", "x", ""], "is not a hash"),
        (["HSET", "lychgate:journal", "name", "x"], "no schema that a gateway wrote"),
        (["HSET", "lychgate:journal", "schema", "99"], "schema 99"),
        (["HSET", "lychgate:journal", "schema", "x"], "no schema that a gateway wrote"),
    ] {
        server.flush_all();
        let words = if command[0] == "SET" { &command[..3] } else { &command[..] };
        server.command(words);
        let said = refused(&server, |_| {}).await;
        assert!(said.contains(what) && said.contains("lychgate:journal") && said.contains("journal.prefix"), "{said}");
    }
    server.flush_all();
    let journal = open(&server).await;
    let t = key("ann", "t");
    server.command(&["SET", &journal.inner.keys.of(&t).thread, "x"]);
    let error = journal.append(&t, vec![started("r", "q")]).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}
