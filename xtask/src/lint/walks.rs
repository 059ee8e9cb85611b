//! `ARCHITECTURE.md` walks twice through the code; every function that it names on the way must exist.
//!
//! Checked is every code span in the sections "Walk A" and "Walk B" of the form `name()`, `room::name()`,
//! `Type::name` or `Type::name()`: the first two against functions, the others against functions of the type and
//! variants of the enum. Renaming a function thus leads its reader to the page that speaks of it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::source::{Kind, Source};
use super::{Finding, Tree};

const PAGE: &str = "ARCHITECTURE.md";
const WALKS: [&str; 2] = ["Walk A", "Walk B"];

pub(super) fn check(root: &Path, tree: &Tree) -> Result<Vec<Finding>> {
    let path = root.join(PAGE);
    if !path.exists() {
        println!("note: there is no {PAGE} yet; its walks are not checked");
        return Ok(Vec::new());
    }
    Ok(judge(&std::fs::read_to_string(path)?, &tree.rust))
}

fn judge(page: &str, sources: &[Source]) -> Vec<Finding> {
    let shipped: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with("crates/")).collect();
    let known = Known::read(&shipped);
    let mut findings = Vec::new();
    for walk in WALKS {
        let spans = spans(page, walk);
        let names: Vec<_> = spans.iter().filter_map(|(line, span)| Some((*line, span, Name::parse(span)?))).collect();
        if names.is_empty() {
            findings.push(Finding::error(PAGE, 0, format!("the section \"{walk}\" is missing or names no function")));
        }
        for (line, span, name) in names {
            if !known.has(&name) {
                findings.push(Finding::error(
                    PAGE,
                    line,
                    format!("{walk} names `{span}`, which no file of crates/ has"),
                ));
            }
        }
    }
    findings
}

/// Every code span of the section, with its line.
fn spans(page: &str, section: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // The level of the heading that we are under, while inside.
    let mut inside = None;
    let mut fenced = false;
    for (line, text) in page.lines().enumerate() {
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let level = text.bytes().take_while(|byte| *byte == b'#').count();
        if level > 0 && !fenced {
            match inside {
                Some(outer) if level > outer => {}
                _ => inside = text.contains(section).then_some(level),
            }
        }
        if inside.is_some() && !fenced {
            let parts = text.split('`').skip(1).step_by(2);
            found.extend(parts.map(|span| (line + 1, span.to_owned())));
        }
    }
    found
}

/// What a span names.
#[derive(Debug, PartialEq, Eq)]
enum Name<'a> {
    /// `name()`, or `room::name()` with its room.
    Function { room: Option<&'a str>, name: &'a str },
    /// `Type::name`, `Type::name()`.
    Member { owner: &'a str, name: &'a str },
}

impl<'a> Name<'a> {
    fn parse(span: &'a str) -> Option<Self> {
        // `Input::Open { .. }` and `open(key)` name the same as without what follows.
        let end = span.find(|sign: char| !(sign.is_alphanumeric() || sign == '_' || sign == ':')).unwrap_or(span.len());
        let (path, rest) = span.split_at(end);
        let is_call = rest.starts_with('(');
        let mut segments = path.rsplit("::");
        let name = segments.next().filter(|name| !name.is_empty() && !name.contains(':'))?;
        match segments.next() {
            Some(owner) if owner.starts_with(char::is_uppercase) => Some(Self::Member { owner, name }),
            room if is_call => Some(Self::Function { room, name }),
            _ => None,
        }
    }
}

/// What the sources define.
struct Known {
    /// Each function with the parts of the path of its file.
    functions: BTreeSet<(String, String)>,
    members: BTreeSet<(String, String)>,
}

impl Known {
    fn read(sources: &[&Source]) -> Self {
        let mut known = Self { functions: BTreeSet::new(), members: BTreeSet::new() };
        for source in sources {
            for index in 0..source.tokens.len() {
                if !source.is_test(index) {
                    known.read_at(source, index);
                }
            }
        }
        known
    }

    fn read_at(&mut self, source: &Source, index: usize) {
        let token = &source.tokens[index];
        if let Some(name) = function(source, index) {
            for room in source.path.trim_end_matches(".rs").split('/') {
                self.functions.insert((room.to_owned(), name.to_owned()));
            }
        }
        let is_block = token.kind == Kind::Word && matches!(token.text.as_str(), "impl" | "trait" | "enum");
        let Some(open) = is_block.then(|| opening(source, index)).flatten() else {
            return;
        };
        let end = source.closing(open).unwrap_or(open);
        // `impl Trait for Type`: both own what is inside.
        let owners: Vec<&str> = words(source, index + 1, open).collect();
        let mut inner = open + 1;
        while inner < end {
            let is_enum = token.is("enum");
            let member = if is_enum { variant(source, open, inner) } else { function(source, inner) };
            if let Some(member) = member {
                self.members.extend(owners.iter().map(|owner| ((*owner).to_owned(), member.to_owned())));
            }
            // The fields of a variant are no variants.
            let opens = ["{", "(", "["].iter().any(|bracket| source.tokens[inner].is(bracket));
            let nested = (is_enum && opens).then(|| source.closing(inner)).flatten();
            inner = nested.unwrap_or(inner).max(inner + 1);
        }
    }

    fn has(&self, name: &Name<'_>) -> bool {
        match name {
            Name::Function { room: Some(room), name } => {
                self.functions.contains(&((*room).to_owned(), (*name).to_owned()))
            }
            Name::Function { room: None, name } => self.functions.iter().any(|(_, known)| known == name),
            Name::Member { owner, name } => self.members.contains(&((*owner).to_owned(), (*name).to_owned())),
        }
    }
}

/// The name of the function whose `fn` stands at `index`.
fn function(source: &Source, index: usize) -> Option<&str> {
    let name = source.tokens.get(index + 1)?;
    (source.tokens[index].is("fn") && name.kind == Kind::Word).then_some(name.text.as_str())
}

/// The name of a variant: a word right after the enum's brace, a comma of its level, or an attribute.
fn variant(source: &Source, open: usize, index: usize) -> Option<&str> {
    let token = source.tokens.get(index).filter(|token| token.kind == Kind::Word)?;
    let before = &source.tokens[index - 1];
    let starts = index - 1 == open || before.is(",") || before.is("]");
    (starts && token.text.starts_with(char::is_uppercase)).then_some(token.text.as_str())
}

/// The brace that opens the block of the `impl`, `trait` or `enum` at `index`.
fn opening(source: &Source, index: usize) -> Option<usize> {
    let rest = source.tokens.get(index..)?;
    let at = rest.iter().position(|token| token.is("{") || token.is(";"))?;
    rest[at].is("{").then_some(index + at)
}

fn words(source: &Source, from: usize, to: usize) -> impl Iterator<Item = &str> {
    let tokens = source.tokens[from..to].iter();
    tokens.filter(|token| token.kind == Kind::Word).map(|token| token.text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "
        pub enum Input { /// Doc.
            Open { key: Key, Hidden: u8 }, #[doc(hidden)] Tick, Closed(End) }
        pub trait Journal { fn append(&self); }
        impl<T: Copy> Gate<T> where T: Sized { pub fn handle_input(&mut self) {} }
        fn parse() {}
        #[cfg(test)] fn only_in_tests() {}
    ";

    fn findings(a: &str, b: &str) -> Vec<String> {
        let page =
            format!("# Page\n`nowhere()`\n## Walk A: x\n{a}\n### Deeper\n## Walk B: y\n{b}\n## End\n`nothing()`");
        let sources = [Source::new("crates/server/src/wire.rs", CODE)];
        judge(&page, &sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_that_exist_pass_and_words_that_are_no_names_are_left_alone() {
        let a = "`ws` -> `wire::parse()` -> `parse(frame)` -> `Journal::append` -> `Gate::handle_input()` -> `busy`";
        let b = "`Input::Open { .. }`, `Input::Tick`, `Input::Closed(end)`, `core::context`";
        assert_eq!(findings(a, b), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_no_source_has_is_found_with_its_line() {
        let said = findings("`parse()`", "\n`Gate::handle_inputs()`");
        assert_eq!(
            said,
            ["error: ARCHITECTURE.md:8: Walk B names `Gate::handle_inputs()`, which no file of crates/ has"]
        );
        for wrong in
            ["`gone()`", "`run::parse()`", "`Gate::append`", "`Input::Hidden`", "`Input::Gone`", "`only_in_tests()`"]
        {
            assert_eq!(findings("`parse()`", wrong).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_walk_that_names_nothing_is_no_walk() {
        assert_eq!(findings("`parse()`", "words alone, `ws`").len(), 1);
        assert_eq!(judge("# Page", &[]).len(), 2);
    }
}
