//! Who reads a thread after a fault, on another node than the one that it was read on.

use anyhow::{Context as _, bail};

use super::heard::Heard;
use super::stage::{NODES, Person};
use crate::client::transcript::Transcript;
use crate::client::{Client, Open};
use crate::live::talk::next_event;

/// What readers of all threads lack of what was acknowledged before, in words.
///
/// # Errors
/// When a thread cannot be opened.
pub(super) async fn lacking(chats: &[(Person, Heard)]) -> anyhow::Result<Vec<String>> {
    let mut lacking = Vec::new();
    for (index, (person, heard)) in chats.iter().enumerate() {
        let about = || format!("reading {} of user {} again", heard.thread(), person.number);
        let (mut client, _) = person.at(index % NODES).connect().await.with_context(about)?;
        let thread = heard.thread();
        let anew = client.open(Open { thread: Some(thread), ..Open::default() }).await.with_context(about)?;
        let behind = read_behind(&mut client, heard).await.with_context(about)?;
        lacking.extend(
            heard.compare(&anew, behind.as_ref()).into_iter().map(|it| format!("user {}: {it}", person.number)),
        );
        client.leave(thread).await?;
        client.close(1000).await?;
    }
    Ok(lacking)
}

/// Everything behind where the chat's own events begin; none where that is not in the log any more.
async fn read_behind(client: &mut Client, heard: &Heard) -> anyhow::Result<Option<Transcript>> {
    let Some(begins) = heard.begins() else { bail!("it was never open") };
    let thread = heard.thread();
    let opened = client.open(Open { thread: Some(thread), resume: Some(begins), ..Open::default() }).await?;
    if opened.reset {
        return Ok(None);
    }
    let mut read = Transcript::new(opened.after);
    while read.at() < opened.head {
        read.take(&next_event(client, thread).await?).map_err(anyhow::Error::msg)?;
    }
    Ok(Some(read))
}
