//! Text to tokens, and which of them are compiled for tests alone.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lint) enum Kind {
    /// A name or a keyword.
    Word,
    /// One sign, or `::`.
    Sign,
    /// A string, a character or a number; its text is not kept.
    Literal,
}

#[derive(Clone, Debug)]
pub(in crate::lint) struct Token {
    pub(in crate::lint) kind: Kind,
    pub(in crate::lint) text: String,
    /// Counted from 1.
    pub(in crate::lint) line: usize,
}

impl Token {
    pub(in crate::lint) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }
}

/// Comments, lifetimes and the text of literals are dropped.
pub(super) fn read(text: &str) -> Vec<Token> {
    let mut reader = Reader { text: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while let Some(next) = reader.peek(0) {
        reader.step(next);
    }
    reader.tokens
}

struct Reader {
    text: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            if self.peek(0) == Some('\n') {
                self.line += 1;
            }
            self.at += 1;
        }
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.tokens.push(Token { kind, text, line });
    }

    fn step(&mut self, next: char) {
        let line = self.line;
        match (next, self.peek(1)) {
            (space, _) if space.is_whitespace() => self.skip(1),
            ('/', Some('/')) => self.skip_while(|next| next != '\n'),
            ('/', Some('*')) => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.character_or_lifetime(),
            (':', Some(':')) => {
                self.skip(2);
                self.push(Kind::Sign, "::".to_owned(), line);
            }
            (digit, _) if digit.is_ascii_digit() => {
                self.skip_while(|next| next.is_alphanumeric() || next == '_');
                self.push(Kind::Literal, String::new(), line);
            }
            (letter, _) if letter.is_alphabetic() || letter == '_' => self.word(),
            (sign, _) => {
                self.skip(1);
                self.push(Kind::Sign, sign.to_string(), line);
            }
        }
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.skip(1);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.skip(2);
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.skip(2);
                }
                (Some(_), _) => self.skip(1),
                (None, _) => return,
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// From the opening quote to past the closing one.
    fn string(&mut self) {
        let line = self.line;
        self.skip(1);
        while let Some(next) = self.peek(0) {
            match next {
                '\\' => self.skip(2),
                '"' => break,
                _ => self.skip(1),
            }
        }
        self.skip(1);
        self.push(Kind::Literal, String::new(), line);
    }

    /// `'a'` and `'\''` are characters, `'a` is a lifetime.
    fn character_or_lifetime(&mut self) {
        let line = self.line;
        match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                self.skip(3);
                self.skip_while(|next| next != '\'');
                self.skip(1);
                self.push(Kind::Literal, String::new(), line);
            }
            (Some(_), Some('\'')) => {
                self.skip(3);
                self.push(Kind::Literal, String::new(), line);
            }
            _ => {
                self.skip(1);
                self.skip_while(|next| next.is_alphanumeric() || next == '_');
            }
        }
    }

    /// A name, or what only begins like one: `r"..."`, `b'x'`, `br#"..."#`, `r#type`.
    fn word(&mut self) {
        let line = self.line;
        let begin = self.at;
        self.skip_while(|next| next.is_alphanumeric() || next == '_');
        let text: String = self.text[begin..self.at].iter().collect();
        let hashes = (0..).take_while(|&ahead| self.peek(ahead) == Some('#')).count();
        match (text.as_str(), self.peek(0), self.peek(hashes)) {
            ("r" | "br" | "cr", _, Some('"')) => self.raw_string(hashes, line),
            ("b" | "c", Some('"'), _) => self.string(),
            ("b", Some('\''), _) => self.character_or_lifetime(),
            ("r", Some('#'), _) => {
                self.skip(1);
                self.word();
            }
            _ => self.push(Kind::Word, text, line),
        }
    }

    fn raw_string(&mut self, hashes: usize, line: usize) {
        self.skip(hashes + 1);
        loop {
            self.skip_while(|next| next != '"');
            if self.peek(0).is_none() || (1..=hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                break;
            }
            self.skip(1);
        }
        self.skip(hashes + 1);
        self.push(Kind::Literal, String::new(), line);
    }
}

/// The index of the bracket that closes the one at `open`.
pub(super) fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if token.kind != Kind::Sign {
            continue;
        }
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// For each token, whether it belongs to something under `#[cfg(test)]` or `#[test]`.
pub(super) fn test_code(tokens: &[Token]) -> Vec<bool> {
    let mut marks = vec![false; tokens.len()];
    let mut at = 0;
    while at < tokens.len() {
        match attribute(tokens, at) {
            Some((end, true)) => {
                let end = item_end(tokens, end + 1);
                marks[at..end].fill(true);
                at = end;
            }
            Some((end, false)) => at = end + 1,
            None => at += 1,
        }
    }
    marks
}

/// If an outer attribute stands at `at`: the index of its `]`, and whether it means "for tests alone".
fn attribute(tokens: &[Token], at: usize) -> Option<(usize, bool)> {
    if !(tokens[at].is("#") && tokens.get(at + 1)?.is("[")) {
        return None;
    }
    let end = closing(tokens, at + 1)?;
    let words: Vec<&str> = tokens[at + 2..end].iter().map(|token| token.text.as_str()).collect();
    let is_test = match words.as_slice() {
        ["cfg", "(", "test", ")"] | ["cfg", "(", "all", "(", "test", ..] => true,
        ["cfg" | "cfg_attr", ..] => false,
        // `test`, `tokio::test`, `tokio::test(start_paused = true)`
        words => words.iter().take_while(|word| **word != "(").last() == Some(&"test"),
    };
    Some((end, is_test))
}

/// Where the item, statement, field or arm that begins at `at` is over (exclusive).
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        match attribute(tokens, at) {
            Some((end, _)) => at = end + 1,
            None => break,
        }
    }
    const ITEMS: [&str; 14] = [
        "mod", "fn", "use", "impl", "struct", "enum", "const", "static", "type", "trait", "async", "unsafe", "extern",
        "let",
    ];
    let begin = tokens[at..].iter().take(6);
    let is_item = begin.clone().any(|token| token.kind == Kind::Word && ITEMS.contains(&token.text.as_str()));
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            _ if token.kind != Kind::Sign => at += 1,
            "{" | "(" | "[" => {
                let Some(end) = closing(tokens, at) else {
                    return tokens.len();
                };
                at = end + 1;
                if token.is("{") {
                    return at;
                }
            }
            ";" => return at + 1,
            // In an item a comma separates parameters of a type; elsewhere it ends a field or an arm.
            "," if !is_item => return at + 1,
            "}" | ")" | "]" => return at,
            _ => at += 1,
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let tokens = read(text).into_iter();
        tokens.filter(|token| token.kind == Kind::Word).map(|token| token.text).collect()
    }

    #[test]
    fn comments_strings_and_lifetimes_are_not_words() {
        let text = r###"a // b
            /* c /* d */ e */ f "g \" h" r#"i " j"# b'k' '\'' 'l' <'m> r#type br"n" 1.0e3 o"###;
        assert_eq!(words(text), ["a", "f", "type", "o"]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let tokens = read("\"x\ny\"\n/* \n */ here");
        assert_eq!(tokens.last().map(|token| token.line), Some(4));
    }

    #[test]
    fn what_is_compiled_for_tests_alone_is_marked_and_nothing_else() {
        let text = "
            fn ships() {}
            #[cfg(test)] #[rustfmt::skip] mod tests { fn inner() {} }
            #[tokio::test(start_paused = true)] async fn paused() { body(); }
            #[cfg(not(test))] fn also() {}
            #[cfg(any(test, unix))] fn sometimes() {}
            struct S { #[cfg(test)] field: Vec<u8>, kept: u8 }
            #[cfg(test)] use hidden::{one, two};
            #[cfg(test)] fn generic<A, B>(x: [u8; 3]) where A: B { deep() }
            fn last() {}
        ";
        let tokens = read(text);
        let marks = test_code(&tokens);
        let kept: Vec<&str> = tokens
            .iter()
            .zip(marks)
            .filter(|(token, test)| token.kind == Kind::Word && !test)
            .map(|(token, _)| token.text.as_str())
            .filter(|word| !matches!(*word, "fn" | "cfg" | "struct" | "u8"))
            .collect();
        assert_eq!(kept, ["ships", "not", "test", "also", "any", "test", "unix", "sometimes", "S", "kept", "last"]);
    }
}
