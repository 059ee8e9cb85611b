//! The scripts, what they are given and what they give back.

use std::collections::BTreeMap;

use ::redis::{Script, ScriptInvocation, Value};
use lychgate_core::{ThreadId, UserId};
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::link::Link;
use super::state::Term;
use crate::cluster::lease::{Claim, Facts, Holder, LeaseId, Room, Standing, Trouble};
use crate::cluster::node::Incarnation;

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(include_str!("lua/prelude.lua"), include_str!(concat!("lua/", $name, ".lua"))))
    };
}

/// Every script, with its digest.
#[derive(Debug)]
pub(super) struct Scripts {
    keys: Keys,
    acquire: Script,
    assert: Script,
    release: Script,
    beat: Script,
    holders: Script,
}

/// What a script about a lease gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Granted {
        used: u32,
        epoch: u64,
        /// Whether a victim went.
        room: Room,
    },
    Denied {
        holders: Vec<Holder>,
    },
    Taken {
        epoch: u64,
    },
    /// The caller's generation is over, or his node is not in the table.
    Fenced,
}

/// What a node says with each beat.
#[derive(Clone, Debug)]
pub(super) struct Beat<'a> {
    pub(super) me: Incarnation,
    pub(super) intent: Intent,
    pub(super) lease_ms: u64,
    pub(super) entry: &'a str,
    /// The generation's name, where there is none or it is over.
    pub(super) fresh: &'a str,
    pub(super) name: &'a str,
    /// The last letter that was read.
    pub(super) after: &'a str,
    /// The generation in which it was read.
    pub(super) known: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Join,
    Stay,
    Leave,
}

/// What a beat gives.
#[derive(Clone, Debug)]
pub(super) enum BeatReply {
    Here(Here),
    /// This incarnation is not in the table.
    Stranger,
    /// Somebody else's data set.
    Foreign,
}

#[derive(Clone, Debug)]
pub(super) struct Here {
    pub(super) generation: String,
    pub(super) age_ms: u64,
    /// What the nodes say of themselves, and how many milliseconds their leases hold.
    pub(super) entries: BTreeMap<Incarnation, (String, u64)>,
    pub(super) letters: Vec<Letter>,
}

/// That a lease of this node is over.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) id: String,
    pub(super) lease: Option<LeaseId>,
    pub(super) epoch: u64,
}

/// Of this layout of the keys; another one is another program's.
pub(super) const SCHEMA: &str = "lychgate-1";

/// [`Facts`] as they stand in Redis.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    thread: std::borrow::Cow<'a, str>,
    #[serde(default)]
    standing: Standing,
}

impl Scripts {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            acquire: script!("acquire"),
            assert: script!("assert"),
            release: script!("release"),
            beat: script!("beat"),
            holders: script!("holders"),
        }
    }

    /// Takes a place: a free one, one of what is `gone`, one of the victims'.
    pub(super) async fn acquire(
        &self,
        link: &Link,
        term: &Term,
        claim: &Claim,
        gone: &[String],
        victims: &[Holder],
    ) -> Result<Reply, Trouble> {
        let mut call = self.about(&self.acquire, term, &claim.user);
        for victim in victims {
            call.key(self.keys.mail(victim.node));
        }
        lease_arguments(&mut call, term, claim.lease, &claim.facts);
        call.arg(claim.limit).arg(claim.user.as_str()).arg(gone.len()).arg(gone);
        for victim in victims {
            call.arg(victim.lease.to_string()).arg(victim.node.to_string()).arg(self.keys.channel(victim.node));
        }
        reply(link.run(&call).await?)
    }

    pub(super) async fn assert(
        &self,
        link: &Link,
        term: &Term,
        lease: LeaseId,
        user: &UserId,
        facts: &Facts,
    ) -> Result<Reply, Trouble> {
        let mut call = self.about(&self.assert, term, user);
        lease_arguments(&mut call, term, lease, facts);
        reply(link.run(&call).await?)
    }

    pub(super) async fn release(&self, link: &Link, user: &UserId, lease: LeaseId) -> Result<(), Trouble> {
        let keys = self.keys.user(user);
        let mut call = self.release.prepare_invoke();
        call.key(keys.held).key(keys.facts).key(keys.fence).arg(lease.to_string());
        link.run::<Value>(&call).await.map(drop)
    }

    pub(super) async fn beat(&self, link: &Link, beat: &Beat<'_>) -> Result<BeatReply, Trouble> {
        let keys = &self.keys;
        let mut call = self.beat.prepare_invoke();
        call.key(keys.cluster()).key(keys.nodes()).key(keys.node(beat.me)).key(keys.mail(beat.me)).key(keys.buried());
        let intent = match beat.intent {
            Intent::Join => "join",
            Intent::Stay => "stay",
            Intent::Leave => "leave",
        };
        call.arg(beat.me.to_string()).arg(intent).arg(beat.lease_ms).arg(beat.entry).arg(beat.fresh);
        call.arg(SCHEMA).arg(beat.name).arg(beat.after).arg(keys.node_stem());
        call.arg(beat.known);
        beat_reply(link.run(&call).await?)
    }

    fn about<'a>(&self, script: &'a Script, term: &Term, user: &UserId) -> ScriptInvocation<'a> {
        let keys = self.keys.user(user);
        let mut call = script.prepare_invoke();
        call.key(keys.held).key(keys.facts).key(keys.fence).key(self.keys.cluster()).key(self.keys.node(term.me));
        call
    }
}

impl Scripts {
    /// Who holds the places of a user; none where the data set of the term is no longer this one.
    pub(super) async fn holders(
        &self,
        link: &Link,
        term: &Term,
        user: &UserId,
    ) -> Result<Option<Vec<Holder>>, Trouble> {
        let keys = self.keys.user(user);
        let mut call = self.holders.prepare_invoke();
        call.key(keys.held).key(keys.facts).key(self.keys.cluster()).arg(&term.generation);
        let answer = parts(link.run(&call).await?);
        let (word, holders) = answer.split_first().ok_or(Trouble::Foreign)?;
        match text(word) {
            Some("holders") => Ok(Some(holders.iter().filter_map(holder).collect())),
            Some("fenced") => Ok(None),
            Some(_) | None => Err(Trouble::Foreign),
        }
    }
}

fn lease_arguments(call: &mut ScriptInvocation<'_>, term: &Term, lease: LeaseId, facts: &Facts) {
    let stored = Stored { thread: facts.thread.as_str().into(), standing: facts.standing };
    let facts = serde_json::to_string(&stored).expect("text and a word always serialise");
    call.arg(lease.to_string()).arg(term.me.to_string()).arg(&*term.generation).arg(facts);
}

/// What no script of ours gives is not ours.
fn reply(value: Value) -> Result<Reply, Trouble> {
    let parts = parts(value);
    let number = |at: usize| parts.get(at).and_then(number);
    let reply = match parts.first().and_then(text) {
        Some("granted") => number(1).zip(number(2)).map(|(used, epoch)| Reply::Granted {
            used: u32::try_from(used).unwrap_or(u32::MAX),
            epoch,
            room: if number(3) == Some(0) { Room::Free } else { Room::Made },
        }),
        Some("denied") => Some(Reply::Denied { holders: parts[1..].iter().filter_map(holder).collect() }),
        Some("taken") => number(1).map(|epoch| Reply::Taken { epoch }),
        Some("fenced") => Some(Reply::Fenced),
        Some(_) | None => None,
    };
    reply.ok_or(Trouble::Foreign)
}

fn holder(value: &Value) -> Option<Holder> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [lease, node, facts, since] = parts.as_slice() else {
        return None;
    };
    let stored: Stored<'_> = serde_json::from_str(text(facts)?).ok()?;
    Some(Holder {
        lease: text(lease)?.parse().ok()?,
        node: text(node)?.parse().ok()?,
        facts: Facts { thread: ThreadId::parse(&stored.thread).ok()?, standing: stored.standing },
        since: number(since)?,
    })
}

fn beat_reply(value: Value) -> Result<BeatReply, Trouble> {
    let parts = parts(value);
    let here = || {
        let Some([generation, age, _renewed, entries, letters]) = parts.get(1..6) else {
            return None;
        };
        let rows = array(entries)?.chunks_exact(3);
        let entries =
            rows.filter_map(|row| Some((text(&row[0])?.parse().ok()?, (text(&row[1])?.to_owned(), number(&row[2])?))));
        Some(BeatReply::Here(Here {
            generation: text(generation)?.to_owned(),
            age_ms: number(age)?,
            entries: entries.collect(),
            letters: array(letters)?.iter().filter_map(letter).collect(),
        }))
    };
    match parts.first().and_then(text) {
        Some("here") => here().ok_or(Trouble::Foreign),
        Some("stranger") => Ok(BeatReply::Stranger),
        Some("foreign") => Ok(BeatReply::Foreign),
        Some(_) | None => Err(Trouble::Foreign),
    }
}

fn letter(value: &Value) -> Option<Letter> {
    let [id, fields] = array(value)? else {
        return None;
    };
    let fields = array(fields)?;
    let field = |name: &str| fields.chunks_exact(2).find(|pair| text(&pair[0]) == Some(name)).and_then(|p| text(&p[1]));
    Some(Letter {
        id: text(id)?.to_owned(),
        lease: field("lease").and_then(|lease| lease.parse().ok()),
        epoch: field("epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or_default(),
    })
}

fn parts(value: Value) -> Vec<Value> {
    match value {
        Value::Array(parts) => parts,
        other => vec![other],
    }
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(parts) => Some(parts),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
