//! Licence expressions, as SPDX 3.0 annex B writes them and as older crates do (`MIT/Apache-2.0`).
//!
//! ```text
//! or   = and ("OR" and)*        "/" is an old way to write OR
//! and  = one ("AND" one)*
//! one  = "(" or ")"  |  id ("WITH" exception)?
//! ```

use anyhow::{Result, bail};

/// Whether `expression` can be met with licences for which `allowed` holds. A licence with an exception is asked for
/// whole (`Apache-2.0 WITH LLVM-exception`) and then bare: an exception only adds permissions.
pub(super) fn allows(expression: &str, allowed: impl Fn(&str) -> bool) -> Result<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed: &allowed };
    let result = reader.or()?;
    match reader.words.first() {
        None => Ok(result),
        Some(word) => bail!("`{word}` is not expected there"),
    }
}

struct Reader<'a, F> {
    words: &'a [&'a str],
    allowed: &'a F,
}

impl<F: Fn(&str) -> bool> Reader<'_, F> {
    fn take(&mut self, wanted: &str) -> bool {
        match self.words {
            [first, rest @ ..] if *first == wanted => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }

    fn or(&mut self) -> Result<bool> {
        let mut result = self.and()?;
        while self.take("OR") {
            result |= self.and()?;
        }
        Ok(result)
    }

    fn and(&mut self) -> Result<bool> {
        let mut result = self.one()?;
        while self.take("AND") {
            result &= self.one()?;
        }
        Ok(result)
    }

    fn one(&mut self) -> Result<bool> {
        if self.take("(") {
            let result = self.or()?;
            if !self.take(")") {
                bail!("a bracket is not closed");
            }
            return Ok(result);
        }
        match self.words {
            [] => bail!("it ends too early"),
            ["AND" | "OR" | "WITH" | ")", ..] => bail!("`{}` is not expected there", self.words[0]),
            [id, "WITH", exception, rest @ ..] => {
                self.words = rest;
                Ok((self.allowed)(&format!("{id} WITH {exception}")) || (self.allowed)(id))
            }
            [_, "WITH"] => bail!("it ends too early"),
            [id, rest @ ..] => {
                self.words = rest;
                Ok((self.allowed)(id))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(expression: &str) -> bool {
        allows(expression, |licence| matches!(licence, "MIT" | "ISC" | "Apache-2.0")).unwrap()
    }

    #[test]
    fn or_needs_one_and_needs_all() {
        for yes in ["MIT", "GPL-3.0 OR MIT", "MIT AND ISC", "MIT/GPL-3.0", "MIT / GPL-3.0"] {
            assert!(met(yes), "{yes}");
        }
        for no in ["GPL-3.0", "MIT AND GPL-3.0", "GPL-2.0 OR GPL-3.0"] {
            assert!(!met(no), "{no}");
        }
    }

    #[test]
    fn and_binds_tighter_than_or_and_brackets_tighter_still() {
        assert!(met("MIT OR ISC AND GPL-3.0"));
        assert!(!met("(MIT OR ISC) AND GPL-3.0"));
        assert!(met("ISC AND (Apache-2.0 OR (GPL-3.0 AND MIT))"));
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        assert!(met("Apache-2.0 WITH LLVM-exception"));
        assert!(!met("GPL-2.0 WITH Classpath-exception-2.0"));
        assert!(allows("X WITH y", |licence| licence == "X WITH y").unwrap());
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for wrong in ["", "MIT OR", "AND MIT", "(MIT", "MIT)", "MIT ISC", "MIT WITH", "()"] {
            assert!(allows(wrong, |_| true).is_err(), "{wrong}");
        }
    }
}
