//! Words that stand for a decision we have taken the other way.

use super::source::{Kind, Source};
use super::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust.iter().flat_map(file).collect()
}

fn file(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut at = 0;
    while at < source.tokens.len() {
        if let Some((end, finding)) = attribute(source, at) {
            findings.extend(finding);
            at = end;
        } else {
            findings.extend(call(source, at));
            at += 1;
        }
    }
    findings
}

/// If an attribute opens at `at`: where its bracket closes, and what is wrong with it.
fn attribute(source: &Source, at: usize) -> Option<(usize, Option<Finding>)> {
    let open = if source.has(at, &["#", "["]) {
        at + 1
    } else if source.has(at, &["#", "!", "["]) {
        at + 2
    } else {
        return None;
    };
    let end = source.closing(open)?;
    // Also inside: `#[cfg_attr(unix, allow(dead_code))]`.
    let wrong = (open + 1..end).find_map(|index| {
        if source.has(index, &["allow", "("]) {
            Some("`#[allow]` hides what it allows for ever; `#[expect(lint, reason = \"...\")]` says when it is over")
        } else if source.has(index, &["ignore"]) {
            Some("a test that does not run protects nothing: mend it or remove it")
        } else {
            None
        }
    });
    let line = source.tokens[at].line;
    Some((end, wrong.map(|text| Finding::error(&source.path, line, text.to_owned()))))
}

fn call(source: &Source, at: usize) -> Option<Finding> {
    let token = &source.tokens[at];
    let called = token.kind == Kind::Word
        && (source.has(at + 1, &["("]) || source.has(at + 1, &["::", "<"]))
        && !(at > 0 && source.tokens[at - 1].is("fn"));
    if !called {
        return None;
    }
    let text = match token.text.as_str() {
        "unbounded_channel" | "unbounded" => "a queue without a bound grows until the node dies (R24): name its limit",
        "sleep" if source.is_test(at) => {
            "a test that sleeps is slow or flaky: pause the clock, or poll up to a deadline"
        }
        _ => return None,
    };
    Some(Finding::error(&source.path, token.line, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        file(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn an_allow_is_found_in_every_form() {
        for text in
            ["#[allow(dead_code)] fn f() {}", "#![allow(missing_docs)]", "#[cfg_attr(unix, allow(unused))] fn f() {}"]
        {
            assert_eq!(lines("a.rs", text), [1], "{text}");
        }
        let fine = "#[expect(dead_code, reason = \"allow(x)\")] fn allow(x: u8) { allow(1) } // #[allow(x)]";
        assert_eq!(lines("a.rs", fine), Vec::<usize>::new());
    }

    #[test]
    fn an_ignored_test_is_found() {
        assert_eq!(lines("a.rs", "#[test]\n#[ignore]\nfn f() {}"), [2]);
        assert_eq!(lines("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"), [2]);
        assert_eq!(lines("a.rs", "fn ignore() { x.ignore() }"), Vec::<usize>::new());
    }

    #[test]
    fn an_unbounded_channel_is_found() {
        assert_eq!(lines("a.rs", "let x = mpsc::unbounded_channel::<u8>();"), [1]);
        assert_eq!(lines("a.rs", "let x =\n futures::channel::mpsc::unbounded();"), [2]);
        assert_eq!(lines("a.rs", "let x = mpsc::channel(8); // not unbounded()"), Vec::<usize>::new());
    }

    #[test]
    fn a_sleep_is_found_in_tests_alone() {
        let call = "fn f() { std::thread::sleep(d) }";
        assert_eq!(lines("crates/server/src/driver.rs", call), Vec::<usize>::new());
        assert_eq!(lines("crates/server/src/driver/tests.rs", call), [1]);
        assert_eq!(lines("crates/server/tests/it/main.rs", call), [1]);
        assert_eq!(lines("a.rs", "#[cfg(test)]\nmod tests {\n async fn f() { tokio::time::sleep(d).await }\n}"), [3]);
        assert_eq!(lines("a.rs", "#[tokio::test]\nasync fn f() { sleep(d).await }"), [2]);
    }
}
