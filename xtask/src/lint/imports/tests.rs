//! Shows that the import table bites, and lets through what it allows.

use super::*;

/// What the lint says about these files of the server.
fn findings(files: &[(&str, &str)]) -> Vec<String> {
    let rust = files.iter().map(|(name, text)| Source::new(&format!("{SERVER}{name}"), text)).collect();
    let tree = Tree { rust, sizes: Vec::new(), scripts: Vec::new() };
    check(&tree).iter().map(ToString::to_string).collect()
}

#[test]
fn the_table_has_every_room_once() {
    let rooms: Vec<_> = TABLE.iter().flat_map(|row| row.rooms).collect();
    let distinct: BTreeSet<_> = rooms.iter().collect();
    assert_eq!(rooms.len(), distinct.len());
    for row in &TABLE {
        assert!(row.whole.iter().chain(row.traits).all(|room| row_of(room).is_some()));
    }
}

#[test]
fn what_the_table_allows_passes() {
    let files = [
        ("lib.rs", "pub mod wire; pub use crate::app::Server;"),
        ("run.rs", "use crate::{agent::{Agent, RunRequest}, journal::Journal, wire::event::Event};"),
        ("session.rs", "use lychgate_core::Gate; fn f(j: &dyn crate::journal::Journal) {}"),
        ("ws/mod.rs", "use crate::driver::Driver; use crate::auth::Authenticator; mod read;"),
        ("ws/read.rs", "use super::Frame; use crate::ws::limits;"),
        ("agent/openai.rs", "use super::{Agent, AgentError}; use lychgate_core::{RunId, SessionKey};"),
        ("agent/mod.rs", "mod openai;"),
        ("app.rs", "use crate::{agent::openai, journal::memory::Memory, ws, driver};"),
        ("cli.rs", "use crate::app;"),
    ];
    assert_eq!(findings(&files), Vec::<String>::new());
}

#[test]
fn a_room_that_reaches_where_it_may_not_is_named_with_file_line_and_allowance() {
    let said = findings(&[("driver.rs", "\nuse crate::{wire, ws::{self, Frame}};")]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("error: crates/server/src/driver.rs:2: `driver` (middle) uses `crate::ws`"));
    assert!(said[0].ends_with("and the traits of cluster"), "{said:?}");
}

#[test]
fn every_way_of_writing_a_forbidden_import_is_seen() {
    for text in [
        "use crate::session::Session;",
        "pub(crate) use crate::{wire, session};",
        "use crate::{wire::{self, event}, session::{a, b}};",
        "fn f() { crate::session::attach() }",
        "fn f(x: Vec<crate::session::Session>) {}",
        "use super::session;",
        "mod inner { use super::super::session; }",
        "use crate as all;",
        "use crate::*;",
    ] {
        assert!(!findings(&[("run.rs", text)]).is_empty(), "{text}");
    }
}

#[test]
fn tests_comments_and_strings_may_name_anything() {
    for text in [
        "// use crate::session::Session;",
        "/// See [`crate::session`].\nstruct S;",
        "const S: &str = \"crate::session::x\";",
        "#[cfg(test)]\nmod tests { use crate::session::Session; }",
        "#[cfg(test)] use crate::session::Session;",
    ] {
        assert_eq!(findings(&[("run.rs", text)]), Vec::<String>::new(), "{text}");
    }
    assert_eq!(findings(&[("run/tests.rs", "use crate::session::Session;")]), Vec::<String>::new());
}

#[test]
fn a_trait_may_be_used_but_not_the_backends_behind_it() {
    let backend = ("journal/memory.rs", "pub struct Memory;");
    for text in
        ["use crate::journal::memory::Memory;", "use crate::journal::*;", "use crate::journal::{self, Journal};"]
    {
        let said = findings(&[backend, ("session.rs", text)]);
        assert!(said.iter().any(|line| line.contains("by name")), "{text}: {said:?}");
    }
    assert_eq!(findings(&[backend, ("session.rs", "use crate::journal::Journal;")]), Vec::<String>::new());
}

#[test]
fn the_edge_out_uses_the_ids_of_core_and_no_neighbour() {
    assert!(!findings(&[("journal/memory.rs", "use lychgate_core::{SessionKey, Gate};")]).is_empty());
    assert!(!findings(&[("agent/demo.rs", "use crate::journal::Journal;")]).is_empty());
    assert!(!findings(&[("auth/mod.rs", "use super::agent::Agent;")]).is_empty());
}

#[test]
fn a_room_without_a_row_is_an_error() {
    assert!(findings(&[("helper.rs", "")])[0].contains("no row"));
    assert!(!findings(&[("ws/mod.rs", "use crate::helper;")]).is_empty());
}

#[test]
fn leaves_may_use_each_other_but_not_in_a_circle() {
    let forth = ("close.rs", "use crate::wire::Reconnect;");
    assert_eq!(findings(&[forth, ("wire.rs", "")]), Vec::<String>::new());
    let said = findings(&[forth, ("wire.rs", "use crate::close::Code;")]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("no cycle"));
}
