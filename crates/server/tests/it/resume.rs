//! Nothing is lost and nothing comes twice: tabs that are cut, slow, evicted or mistaken, against the real program.
//!
//! ```text
//! backend --pieces, as many as the test allows--> gateway --lychgate.v1--> a tab that is cut again and again
//!                                                                    '---> a witness that is not
//! ```

use self::backend::Answer;
use self::stage::{Kind, Random, Stage, asked, for_each_journal};
use self::tab::{Progress, Tab};
use crate::golden_path::told;

mod backend;
mod evicted;
mod killed;
mod mistaken;
mod paused;
mod stage;
mod tab;

/// How often a tab is cut in one answer.
const CUTS: usize = 50;

/// An answer of 2,000 events beside its beginning and its end.
const LONG: Answer = Answer { pieces: 2_000, width: 1 };

/// An answer that has a middle.
const SHORT: Answer = Answer { pieces: 60, width: 1 };

/// Sockets that went silent stay attached and are not known to be dead yet: nobody is to make room for them here.
const MANY_TABS: [&str; 2] = ["limits.max_connections_per_session = 64", "limits.max_connections_per_user = 64"];

for_each_journal![
    an_answer_that_is_cut_fifty_times_arrives_once_and_in_order,
    a_run_that_two_tabs_ask_for_again_and_again_starts_once_and_ends_once,
];

async fn an_answer_that_is_cut_fifty_times_arrives_once_and_in_order(kind: Kind) {
    let mut random = Random::from_environment();
    let stage = Stage::start(kind, LONG, &MANY_TABS).await;
    let mut witness = stage.gateway.connect("ann").await;
    witness.open("t1").await;
    let witness = tokio::spawn(async move { witness.events_to_end().await });

    let mut tab = Tab::new(*stage.gateway, "ann", asked("t1", "r1"));
    let (mut allowed, mut heard) = (0, 0);
    for cut in 0..CUTS {
        // What is said beyond what is heard is on its way, or not yet asked for, when the cut comes.
        let before = allowed;
        allowed = (allowed + random.below(2 * LONG.pieces / CUTS)).min(LONG.pieces - CUTS + cut);
        let progress = match random.below(8) {
            0 => Progress::Hello,
            1 => Progress::OpenAsked,
            2 => Progress::Opened,
            _ if allowed == 0 => Progress::Opened,
            _ => {
                heard = heard.max(1);
                heard += random.below(allowed - heard + 1);
                Progress::Piece(heard)
            }
        };
        tokio::join!(tab.join(&mut random, progress), stage.backend.trickle(before..allowed));
        tab.cut(&mut random).await;
    }
    tokio::join!(tab.join(&mut random, Progress::Opened), stage.backend.trickle(allowed..LONG.pieces));
    tab.hear_out().await;

    let seen = tab.told();
    assert_eq!(seen[2]["delta"], LONG.text(LONG.pieces));
    assert_eq!(seen, told(&witness.await.unwrap()));
}

async fn a_run_that_two_tabs_ask_for_again_and_again_starts_once_and_ends_once(kind: Kind) {
    let mut random = Random::from_environment();
    let stage = Stage::start(kind, SHORT, &MANY_TABS).await;
    let mut witness = stage.gateway.connect("ann").await;
    witness.open("t1").await;
    let mut tabs = [(), ()].map(|()| Tab::new(*stage.gateway, "ann", asked("t1", "r1")));
    for round in 0..10 {
        for tab in &mut tabs {
            tab.insists = true;
            tab.join(&mut random, Progress::Opened).await;
        }
        stage.backend.allow(round);
        for tab in &mut tabs {
            tab.cut(&mut random).await;
        }
    }
    stage.backend.allow_all();
    for tab in &mut tabs {
        tab.join(&mut random, Progress::Opened).await;
        tab.hear_out().await;
        tab.join(&mut random, Progress::Opened).await;
    }
    let seen = told(&witness.events_to_end().await);
    let kinds: Vec<&str> = seen.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let once = ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"];
    assert_eq!(kinds, once);
    assert_eq!(tabs.each_ref().map(Tab::told), [seen.clone(), seen]);
    witness.expect_nothing().await;
    assert_eq!(stage.backend.asked(), 1, "the agent was asked once");
}
