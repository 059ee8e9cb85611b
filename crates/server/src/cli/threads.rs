//! `lychgate threads`: look at the journal of a gateway, export it, delete from it; while the gateway runs, too.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use lychgate_core::{SessionKey, ThreadId, UserId};

use self::lines::{export, list_as_json, list_as_table, show};
use super::serve::data;
use super::{FileArgs, output_error, print};
use crate::config::{JournalKind, Sources, load};
use crate::error::Error;
use crate::journal::sqlite::{Archive, Deletion};

mod lines;
#[cfg(test)]
mod tests;

/// Threads that are looked up at once for an export.
const AT_ONCE: usize = 256;

#[derive(Debug, Args)]
pub(super) struct ThreadsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List threads, the one that was active last first.
    List {
        /// Only those of this user
        #[arg(long)]
        user: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// As JSON, one thread per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show the messages of a thread.
    Show {
        /// Whose thread
        user: String,
        /// Its id
        thread: String,
        #[command(flatten)]
        place: Place,
    },
    /// Write threads as JSON lines: each thread, then its messages, its state and the events that it keeps.
    Export {
        /// Only this thread; needs --user
        #[arg(requires = "user")]
        thread: Option<String>,
        /// Only those of this user
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Delete a thread, or all threads of a user.
    Delete {
        /// Whose thread
        #[arg(required_unless_present = "all_of", requires = "thread")]
        user: Option<String>,
        /// Its id
        thread: Option<String>,
        /// All threads of this user
        #[arg(long = "user", value_name = "USER", conflicts_with = "user")]
        all_of: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Also while a run is in flight; what it still says is refused
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    file: FileArgs,
    /// Directory of the journal; overrides journal.directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Place {
    fn directory(self) -> Result<PathBuf, Error> {
        let mut sources = Sources::of_process(self.file.config);
        let named = self.data.is_some();
        sources.arguments.extend(self.data.as_deref().map(data).transpose()?);
        let journal = load(sources)?.journal()?;
        match journal.kind {
            JournalKind::Memory if !named => Err(Error::Usage(
                "journal.kind is \"memory\": such threads are in the gateway's process alone. Name a directory with --data."
                    .to_owned(),
            )),
            JournalKind::Redis if !named => Err(Error::Usage(
                "journal.kind is \"redis\": such threads are in Redis, which this command does not read. Name a directory with --data."
                    .to_owned(),
            )),
            JournalKind::Memory | JournalKind::Sqlite | JournalKind::Redis => Ok(journal.directory),
        }
    }

    fn open(self) -> Result<Archive, Error> {
        Ok(Archive::open(&self.directory()?)?)
    }
}

pub(super) fn run(args: ThreadsArgs) -> Result<(), Error> {
    match args.command {
        Command::List { user, limit, json, place } => {
            let user = user.as_deref().map(user_id).transpose()?;
            let (threads, more) = place.open()?.list(user.as_ref(), limit).map_err(unreadable)?;
            match json {
                true => print(&list_as_json(&threads)),
                false => print(&list_as_table(&threads, more)),
            }
        }
        Command::Show { user, thread, place } => {
            let key = named(&user, &thread)?;
            let kept = place.open()?.read(&key).map_err(unreadable)?;
            print(&show(&kept.ok_or_else(|| missing(&key))?))
        }
        Command::Export { thread, user, place } => {
            let user = user.as_deref().map(user_id).transpose()?;
            let thread = thread.as_deref().map(thread_id).transpose()?;
            let archive = place.open()?;
            match (user, thread) {
                (Some(user), Some(thread)) => export_one(&archive, &SessionKey::new(user, thread)),
                (user, _) => export_all(&archive, user.as_ref()),
            }
        }
        Command::Delete { user, thread, all_of, yes, force, place } => {
            let keys = match (user, thread, all_of) {
                (Some(user), Some(thread), None) => Which::One(named(&user, &thread)?),
                (_, _, Some(user)) => Which::AllOf(user_id(&user)?),
                (_, _, None) => return Err(Error::Usage("Name a user and a thread, or --user USER.".to_owned())),
            };
            delete(&mut Archive::open_to_delete(&place.directory()?)?, &keys, Consent { yes, force })
        }
    }
}

fn export_one(archive: &Archive, key: &SessionKey) -> Result<(), Error> {
    let kept = archive.read(key).map_err(unreadable)?.ok_or_else(|| missing(key))?;
    export(&kept, &mut io::stdout().lock()).map_err(output_error)
}

fn export_all(archive: &Archive, user: Option<&UserId>) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let mut last: Option<SessionKey> = None;
    loop {
        let keys = archive.keys(user, last.as_ref(), AT_ONCE).map_err(unreadable)?;
        for key in &keys {
            // It may have been deleted meanwhile.
            if let Some(kept) = archive.read(key).map_err(unreadable)? {
                export(&kept, &mut out).map_err(output_error)?;
            }
        }
        match keys.into_iter().last() {
            Some(key) => last = Some(key),
            None => return out.flush().map_err(output_error),
        }
    }
}

enum Which {
    One(SessionKey),
    AllOf(UserId),
}

struct Consent {
    yes: bool,
    force: bool,
}

fn delete(archive: &mut Archive, which: &Which, consent: Consent) -> Result<(), Error> {
    let (keys, what) = match which {
        Which::One(key) => {
            (vec![key.clone()], format!("the thread {:?} of {:?}", key.thread().as_str(), key.user().as_str()))
        }
        Which::AllOf(user) => {
            let keys = archive.keys(Some(user), None, usize::MAX).map_err(unreadable)?;
            let what = format!("all {} threads of {:?}", keys.len(), user.as_str());
            (keys, what)
        }
    };
    if !consent.yes {
        agree(&format!("Delete {what} from {}?", archive.path().display()))?;
    }
    let mut said = String::new();
    let mut deleted = 0;
    for key in &keys {
        match archive.delete(key, consent.force).map_err(unreadable)? {
            Deletion::Done => deleted += 1,
            Deletion::Missing if matches!(which, Which::One(_)) => return Err(missing(key)),
            Deletion::Missing => {}
            Deletion::InFlight(run) => {
                let _ = writeln!(
                    said,
                    "{:?} of {:?}: the run {:?} is in flight",
                    key.thread().as_str(),
                    key.user().as_str(),
                    run.as_str()
                );
            }
        }
    }
    print(&format!("{deleted} deleted\n"))?;
    match said.is_empty() {
        true => Ok(()),
        false => Err(Error::Failed(format!("{said}  Stop the run first, or delete with --force."))),
    }
}

/// Asks a person; without one it takes `--yes`.
fn agree(question: &str) -> Result<(), Error> {
    if !io::stdin().is_terminal() {
        return Err(Error::Usage(format!("{question} There is nobody to ask: say --yes.")));
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        Ok(_) | Err(_) => Err(Error::Failed("nothing was deleted".to_owned())),
    }
}

fn named(user: &str, thread: &str) -> Result<SessionKey, Error> {
    Ok(SessionKey::new(user_id(user)?, thread_id(thread)?))
}

fn user_id(text: &str) -> Result<UserId, Error> {
    UserId::parse(text).map_err(|error| Error::Usage(format!("the user {error}")))
}

fn thread_id(text: &str) -> Result<ThreadId, Error> {
    ThreadId::parse(text).map_err(|error| Error::Usage(format!("the thread {error}")))
}

fn missing(key: &SessionKey) -> Error {
    Error::Failed(format!(
        "there is no thread {:?} of {:?}; `lychgate threads list --user USER` names those that there are",
        key.thread().as_str(),
        key.user().as_str()
    ))
}

fn unreadable(error: crate::journal::JournalError) -> Error {
    Error::Failed(error.to_string())
}
