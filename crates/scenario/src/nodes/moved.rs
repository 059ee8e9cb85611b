//! A user who is moved from one node to another in the middle of an answer.
//!
//! ```text
//! ask node a --words--> half of them --SIGTERM--> a: "come back elsewhere" --> node b, with prev, behind the last word --> the rest
//! ```

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::stand::{Node, Standing};
use crate::client::endpoint::Endpoint;
use crate::client::frame::{Agui, Frame, Notice, Opened};
use crate::client::token::Tokens;
use crate::client::{Client, Open};
use crate::live::{Scene, User};

const THREAD: &str = "moved";
const RUN: &str = "r1";

/// What the demo agent is asked, and says again word by word.
const QUESTION: &str = "the train goes into the tunnel and the answer goes on because it belongs to the thread and not to the socket \
                        nor to the node that I happened to ask first";

/// After so many words the node is told to stop.
const WORDS_BEFORE: usize = 12;

/// The arguments of `moved`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `stand` wrote.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// What the user saw.
#[derive(Debug, Default)]
struct Seen {
    /// The last event, and the incarnation of the log.
    resume: Option<(u64, String)>,
    text: String,
    /// Pieces of text, of each node.
    pieces: [usize; 2],
    is_over: bool,
}

/// Runs the subcommand `moved`: exit code 0 where the whole answer was seen, a part of it from each node.
///
/// # Errors
/// When the nodes do not stand, or refuse what a user may do.
pub fn command(args: &Args) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&args.file).with_context(|| {
        format!("{} cannot be read: start the three nodes first, with `stand`", args.file.display())
    })?;
    let standing: Standing = serde_json::from_str(&text).context("the file is not one of `stand`")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(moved(&standing))?;
    let [from, to] = seen.pieces;
    println!("\n\nThe whole answer, {} pieces: {from} came from the first node and {to} from the second.", from + to);
    Ok(ExitCode::SUCCESS)
}

async fn moved(standing: &Standing) -> anyhow::Result<Seen> {
    let [first, second, ..] = standing.nodes.as_slice() else { bail!("fewer than two nodes stand") };
    let tokens = Tokens::new(&standing.secret);
    let scene = Scene::new(Endpoint::at(first.listen), tokens, None);
    let user = scene.user("traveller")?;
    let mut seen = Seen::default();

    println!("{} asks node {}:\n", user.name, first.name);
    let (mut client, welcome) = user.connect().await?;
    let opened = client.open(Open { thread: Some(THREAD), ..Open::default() }).await?;
    seen.on_opened(&opened);
    client.run(THREAD, RUN, QUESTION).await?;
    seen.follow(&mut client, first, 0).await?;
    ensure!(!seen.is_over, "the answer was over before node {} could be stopped", first.name);

    println!("\n\nnode {} says: come back elsewhere. The user goes to node {}:\n", first.name, second.name);
    let mut client = arrive(&user, second, &welcome.connection, &mut seen).await?;
    seen.follow(&mut client, second, 1).await?;
    ensure!(seen.is_over, "the answer did not end");
    ensure!(seen.text.contains(QUESTION), "words are missing or came twice: {:?}", seen.text);
    client.close(1000).await?;
    Ok(seen)
}

/// Opens the thread on the other node, behind what was seen of it.
async fn arrive(user: &User, node: &Node, prev: &str, seen: &mut Seen) -> anyhow::Result<Client> {
    let user = user.at(&Endpoint::at(node.listen));
    let (mut client, _) = user.replace(Some(prev)).await?;
    let resume = seen.resume.clone();
    let resume = resume.as_ref().map(|(after, epoch)| (*after, epoch.as_str()));
    let opened = client.open(Open { thread: Some(THREAD), resume, ..Open::default() }).await?;
    ensure!(!opened.reset, "node {} does not know what was seen of the thread", node.name);
    seen.on_opened(&opened);
    Ok(client)
}

impl Seen {
    fn on_opened(&mut self, opened: &Opened) {
        self.resume = Some((opened.after, opened.epoch.clone()));
    }

    /// Until the answer is over, or the node says that its users are to go; in the middle of it the first one is told to
    /// stop.
    async fn follow(&mut self, client: &mut Client, node: &Node, at: usize) -> anyhow::Result<()> {
        loop {
            match client.next().await? {
                Frame::Event(event) => {
                    if let Some((after, _)) = &mut self.resume {
                        *after = event.offset;
                    }
                    let event = event.agui();
                    self.on_event(&event, at)?;
                    if self.is_over {
                        return Ok(());
                    }
                    if at == 0 && self.pieces[0] == WORDS_BEFORE && event.delta.is_some() {
                        stop(node)?;
                    }
                }
                Frame::Notice(Notice::Reconnect { .. }) => return Ok(()),
                Frame::Error(refused) => bail!("node {} refused it: {refused:?}", node.name),
                Frame::Closed(closed) => bail!("node {} ended the session: {}", node.name, closed.reason),
                Frame::Hello(_) | Frame::Opened(_) | Frame::Notice(_) | Frame::Ping | Frame::Unknown(_) => {}
            }
        }
    }

    fn on_event(&mut self, event: &Agui, at: usize) -> anyhow::Result<()> {
        match event.kind.as_str() {
            "TEXT_MESSAGE_CONTENT" => {
                let piece = event.delta.as_deref().unwrap_or_default();
                self.pieces[at] += 1;
                self.text.push_str(piece);
                print!("{piece}");
                std::io::stdout().flush()?;
            }
            "RUN_FINISHED" => self.is_over = true,
            "RUN_ERROR" => bail!("the run ended with an error"),
            _ => {}
        }
        Ok(())
    }
}

/// As a rolling restart does.
fn stop(node: &Node) -> anyhow::Result<()> {
    print!(" [node {} is told to stop] ", node.name);
    let pid = Pid::from_raw(i32::try_from(node.process)?).context("a process id is positive")?;
    kill_process(pid, Signal::TERM).with_context(|| format!("node {} is gone", node.name))
}
