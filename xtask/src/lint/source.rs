//! Rust source as the lints see it: words and signs with their lines; no comments, no strings.
//!
//! ```text
//! text -> tokens -> test code marked -> paths (use trees unfolded, inline paths as they stand)
//! ```
//!
//! This is a reader, not a parser: it relies on rustfmt and the compiler having accepted the file, and knows just
//! enough grammar to tell a path from a string that looks like one.

mod paths;
mod tokens;

pub(super) use paths::Path;
pub(super) use tokens::{Kind, Token};

/// One file of Rust.
pub(super) struct Source {
    /// From the workspace's root, with `/`.
    pub(super) path: String,
    pub(super) tokens: Vec<Token>,
    /// For each token, whether it is compiled for tests alone.
    test: Vec<bool>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let tokens = tokens::read(text);
        let test = if is_test_file(path) { vec![true; tokens.len()] } else { tokens::test_code(&tokens) };
        Self { path: path.to_owned(), tokens, test }
    }

    /// Whether the token at this index is compiled for tests alone.
    pub(super) fn is_test(&self, index: usize) -> bool {
        self.test.get(index).copied().unwrap_or(false)
    }

    /// The files of modules that this one declares for tests alone (`#[cfg(test)] mod recorder;`), without `.rs`.
    pub(super) fn test_modules(&self) -> impl Iterator<Item = String> {
        let (directory, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let home = match file.trim_end_matches(".rs") {
            "mod" | "lib" | "main" => directory.to_owned(),
            name => format!("{directory}/{name}"),
        };
        let declared = (0..self.tokens.len())
            .filter(|&index| self.is_test(index) && self.has(index, &["mod"]) && self.has(index + 2, &[";"]));
        declared.map(move |index| format!("{home}/{}", self.tokens[index + 1].text))
    }

    /// Takes the whole file for test code.
    pub(super) fn mark_as_test(&mut self) {
        self.test.fill(true);
    }

    /// Every path in the file, tests included.
    pub(super) fn paths(&self) -> Vec<Path> {
        paths::all(&self.tokens)
    }

    /// Whether these words and signs stand next to each other from `index` on.
    pub(super) fn has(&self, index: usize, wanted: &[&str]) -> bool {
        let Some(tokens) = self.tokens.get(index..index + wanted.len()) else {
            return false;
        };
        tokens.iter().zip(wanted).all(|(token, wanted)| token.kind != Kind::Literal && token.text == *wanted)
    }

    /// The index of the bracket that closes the one at `open`.
    pub(super) fn closing(&self, open: usize) -> Option<usize> {
        tokens::closing(&self.tokens, open)
    }
}

/// Files that hold tests alone: `tests.rs` beside a module, and everything below a `tests` or `benches` directory.
fn is_test_file(path: &str) -> bool {
    let mut parts: Vec<&str> = path.split('/').collect();
    let file = parts.pop();
    file == Some("tests.rs") || parts.iter().any(|part| matches!(*part, "tests" | "benches"))
}
