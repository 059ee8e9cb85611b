//! Paths in Rust source: `use` trees unfolded, and inline paths of two segments and more.

use super::tokens::{Kind, Token, closing};

/// One path, as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lint) struct Path {
    /// `["crate", "wire", "Message"]`; a glob ends in `*`; `self` at the end of a `use` tree is dropped.
    pub(in crate::lint) segments: Vec<String>,
    pub(in crate::lint) line: usize,
    /// The index of its last token.
    pub(in crate::lint) at: usize,
    /// Whether it stands in a `use`.
    pub(in crate::lint) imported: bool,
    /// How many inline modules it stands in: that many `super` stay within the file.
    pub(in crate::lint) depth: usize,
}

/// Every path in these tokens.
pub(super) fn all(tokens: &[Token]) -> Vec<Path> {
    let mut reader = Reader { tokens, at: 0, modules: Vec::new(), found: Vec::new() };
    while reader.at < tokens.len() {
        reader.step();
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Where the inline modules end that we stand in.
    modules: Vec<usize>,
    found: Vec<Path>,
}

impl Reader<'_> {
    fn is(&self, index: usize, text: &str) -> bool {
        self.tokens.get(index).is_some_and(|token| token.is(text))
    }

    fn word(&self, index: usize) -> Option<&Token> {
        self.tokens.get(index).filter(|token| token.kind == Kind::Word)
    }

    fn step(&mut self) {
        while self.modules.last().is_some_and(|&end| end <= self.at) {
            self.modules.pop();
        }
        if self.is(self.at, "mod") && self.is(self.at + 2, "{") {
            self.modules.extend(closing(self.tokens, self.at + 2));
            self.at += 3;
        } else if self.is(self.at, "use") && !self.is(self.at + 1, "<") {
            self.at += 1;
            self.tree(&mut Vec::new());
        } else if self.word(self.at).is_some() {
            self.inline();
        } else {
            self.at += 1;
        }
    }

    /// A word, and the words behind it that `::` joins.
    fn inline(&mut self) {
        let line = self.tokens[self.at].line;
        let mut segments = vec![self.tokens[self.at].text.clone()];
        while self.is(self.at + 1, "::")
            && let Some(next) = self.word(self.at + 2)
        {
            segments.push(next.text.clone());
            self.at += 2;
        }
        if segments.len() > 1 {
            self.push(segments, line, false);
        }
        self.at += 1;
    }

    /// `a::{b, c::*, d as e, f::{self}}`, with `prefix` in front.
    fn tree(&mut self, prefix: &mut Vec<String>) {
        let before = prefix.len();
        while let Some(token) = self.tokens.get(self.at) {
            let line = token.line;
            match (token.kind, token.text.as_str()) {
                (Kind::Sign, "::") => self.at += 1,
                (Kind::Sign, "{") => {
                    self.branches(prefix);
                    break;
                }
                (Kind::Sign, "*") | (Kind::Word, _) => {
                    let is_self_at_end = token.text == "self" && !prefix.is_empty();
                    if !is_self_at_end {
                        prefix.push(token.text.clone());
                    }
                    if !self.is(self.at + 1, "::") {
                        self.push(prefix.clone(), line, true);
                        self.at += 1;
                        if self.is(self.at, "as") {
                            self.at += 2;
                        }
                        break;
                    }
                    self.at += 1;
                }
                _ => break,
            }
        }
        prefix.truncate(before);
    }

    /// From `{` to past its `}`.
    fn branches(&mut self, prefix: &mut Vec<String>) {
        let end = closing(self.tokens, self.at).unwrap_or(self.tokens.len());
        self.at += 1;
        while self.at < end {
            if self.is(self.at, ",") {
                self.at += 1;
                continue;
            }
            let begin = self.at;
            self.tree(prefix);
            // What we cannot read must not hold us up.
            self.at = self.at.max(begin + 1);
        }
        self.at = end + 1;
    }

    fn push(&mut self, segments: Vec<String>, line: usize, imported: bool) {
        self.found.push(Path { segments, line, at: self.at, imported, depth: self.modules.len() });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::read;
    use super::*;

    fn paths(text: &str) -> Vec<(String, usize, bool, usize)> {
        let found = all(&read(text)).into_iter();
        found.map(|path| (path.segments.join("::"), path.line, path.imported, path.depth)).collect()
    }

    fn names(text: &str) -> Vec<String> {
        paths(text).into_iter().map(|(path, ..)| path).collect()
    }

    #[test]
    fn use_trees_unfold_to_every_leaf() {
        let text = "pub(crate) use crate::{a, b::c, d::{self, e::*, f as g}, h as _};";
        let expected = ["crate::a", "crate::b::c", "crate::d", "crate::d::e::*", "crate::d::f", "crate::h"];
        assert_eq!(names(text), expected);
        assert_eq!(names("use ::std::fs; use {x::y, z};"), ["std::fs", "x::y", "z"]);
        assert_eq!(names("use crate as everything; use self::k; use super::*;"), ["crate", "self::k", "super::*"]);
    }

    #[test]
    fn inline_paths_are_found_wherever_they_stand() {
        let text = "fn f(x: &crate::a::B) -> <crate::c::D as E>::F { m!(crate::g::h()); x.y::<crate::i::J>() }";
        assert_eq!(names(text), ["crate::a::B", "crate::c::D", "crate::g::h", "crate::i::J"]);
        assert_eq!(names("// crate::a::b\n\"crate::c::d\""), Vec::<String>::new());
        assert_eq!(names("fn f() -> impl T + use<'a, T> {}"), Vec::<String>::new());
    }

    #[test]
    fn lines_and_the_depth_of_inline_modules_are_known() {
        let text = "use a::{\n b,\n c::d,\n};\nmod m {\n use super::e;\n}\nmod n;\nx::y();";
        let expected = [("a::b", 2, true, 0), ("a::c::d", 3, true, 0), ("super::e", 6, true, 1), ("x::y", 9, false, 0)];
        assert_eq!(paths(text), expected.map(|(path, line, used, depth)| (path.to_owned(), line, used, depth)));
    }
}
