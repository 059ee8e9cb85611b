//! What nodes say to each other.

use serde_json::json;

use super::*;
use crate::cluster::{Presence, Told};

fn pair(server: &Server) -> [TestNode; 2] {
    let nodes = [TestNode::start(settings(server)), TestNode::start(settings(server))];
    until("both listen", || server.command(&["PUBSUB", "NUMSUB", "t:all"]) == "t:all\n2");
    until("both know each other", || nodes.iter().all(|node| node.redis.nodes().len() == 2));
    nodes
}

fn me(node: &TestNode) -> Incarnation {
    node.redis.shared.state.borrow().term.as_ref().unwrap().me
}

#[test]
fn a_node_is_asked_how_a_users_sessions_are_and_its_answer_comes_back() {
    let server = Server::start();
    let [asking, asked] = pair(&server);
    let user = UserId::parse("u: {ä}").unwrap();
    let report = Report {
        lease: asked.redis.new_lease(),
        standing: Standing::Protected,
        health: 70,
        idle: Duration::from_millis(1_234),
        presence: Presence::Alive,
    };
    let question = asking.redis.ask(user.clone(), me(&asked));
    let answer = std::thread::scope(|scope| {
        let answered = scope.spawn(|| asking.wait(question.wait()));
        until("it is asked", || !asked.heard.asked.lock().unwrap().is_empty());
        let (whose, question) = asked.heard.asked.lock().unwrap().remove(0);
        assert_eq!(whose, user);
        asked.redis.reply(question, vec![report.clone()]);
        answered.join().unwrap()
    });
    assert_eq!(answer, Told::Reports(vec![report]));
}

#[test]
fn a_node_that_does_not_answer_is_given_a_second() {
    let server = Server::start();
    let [asking, mut silent] = pair(&server);
    silent.stop();
    let begun = Instant::now();
    assert_eq!(asking.wait(asking.redis.ask(UserId::parse("u").unwrap(), me(&silent)).wait()), Told::Silence);
    let waited = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_millis(2_000)).contains(&waited), "{waited:?}");
}

#[test]
fn what_is_said_to_all_is_heard_by_the_others_and_what_is_said_to_one_by_that_one() {
    let server = Server::start();
    let [one, other] = pair(&server);
    one.redis.tell(Audience::All, json!({"revoked": "u"}));
    one.redis.tell(Audience::One(me(&other)), json!(2));
    until("it is heard", || *other.heard.told.lock().unwrap() == [json!({"revoked": "u"}), json!(2)]);
    other.redis.tell(Audience::One(me(&one)), json!(3));
    until("the answer is heard, and nothing of one's own", || *one.heard.told.lock().unwrap() == [json!(3)]);
}

#[test]
fn a_storm_of_hints_leaves_room_for_questions() {
    let server = Server::start();
    let [mut node, _other] = pair(&server);
    node.stop();
    (0..2 * MAX_UNSAID).for_each(|n| node.redis.tell(Audience::All, json!(n)));
    assert_eq!(node.redis.shared.unsaid.capacity(), MAX_UNSAID / 2);
}

#[test]
fn a_node_that_was_cut_off_listens_again() {
    let server = Server::start();
    let [one, other] = pair(&server);
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    until("both listen again", || server.command(&["PUBSUB", "NUMSUB", "t:all"]) == "t:all\n2");
    one.redis.tell(Audience::All, json!(1));
    until("it is heard", || *other.heard.told.lock().unwrap() == [json!(1)]);
}

#[test]
fn what_is_no_message_of_ours_is_passed_over() {
    let server = Server::start();
    let [_, node] = pair(&server);
    for text in
        ["", "{", "{\"kind\":\"dance\"}", "{\"kind\":\"ask\",\"from\":\"x\",\"number\":1,\"user\":\"u\"}", "[1]"]
    {
        server.command(&["PUBLISH", "t:all", text]);
    }
    server.command(&["PUBLISH", "t:all", "{\"kind\":\"tell\",\"from\":\"00000000000000aa\",\"what\":1}"]);
    until("the one that is ours is heard", || *node.heard.told.lock().unwrap() == [json!(1)]);
}

#[test]
fn a_note_is_read_by_all_nodes_by_those_that_come_later_and_once_where_it_is_posted_twice() {
    let server = Server::start();
    let [one, other] = pair(&server);
    for _ in 0..2 {
        one.redis.post(json!({"n": 1}));
        until("both have read it", || [&one, &other].iter().all(|node| *node.heard.posted() == [json!({"n": 1})]));
    }
    other.redis.post(json!({"n": 1}));
    other.redis.post(json!({"n": 2}));
    let later = TestNode::start(settings(&server));
    for node in [&one, &other, &later] {
        until("each is read once", || *node.heard.posted() == [json!({"n": 1}), json!({"n": 2})]);
    }
    assert_eq!(server.command(&["XLEN", "t:{cluster}:board"]), "2");
}

#[test]
fn a_note_that_is_posted_while_redis_is_away_is_on_the_board_when_it_is_back() {
    let server = Server::start();
    let [one, other] = pair(&server);
    server.freeze();
    one.redis.post(json!(1));
    until("it is known to be away", || !one.is_healthy());
    server.thaw();
    until("it is read", || other.heard.posted().contains(&json!(1)));
}

#[test]
fn after_a_loss_of_the_board_each_node_is_told_to_say_again_what_it_knows() {
    let server = Server::start();
    let [one, other] = pair(&server);
    let nodes = [&one, &other];
    until("both have read it to its end", || nodes.iter().all(|node| node.heard.caught_up() == 1));
    one.redis.post(json!(1));
    until("it is read", || *other.heard.posted() == [json!(1)]);
    server.command(&["FLUSHALL"]);
    until("both have read the new one", || nodes.iter().all(|node| node.heard.caught_up() == 2));
    one.redis.post(json!(1));
    until("it stands there again", || *other.heard.posted() == [json!(1), json!(1)]);
}
