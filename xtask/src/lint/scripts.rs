//! What TypeScript of ours must not say. The compiler is strict (`tsconfig.base.json`); these are the ways round it, and
//! what a policy of the pages would refuse in front of a user.

use super::{Finding, Tree};

/// What must not stand on a line, where, and what would be right.
struct Rule {
    words: &'static [&'static str],
    holds: fn(&str) -> bool,
    text: &'static str,
}

const RULES: [Rule; 6] = [
    Rule {
        words: &["@ts-ignore", "@ts-nocheck", "eslint-disable", "biome-ignore"],
        holds: |_| true,
        text: "hides what it allows for ever; `@ts-expect-error` with a reason says when it is over",
    },
    Rule {
        words: &[": any;", ": any)", ": any,", ": any =", "as any", "<any>", "any[]"],
        holds: |_| true,
        text: "`any` switches the compiler off: `unknown`, and look what it is",
    },
    Rule {
        words: &["console.log(", "console.debug(", "debugger;"],
        holds: |path| !is_test(path) && !path.contains("/examples/") && !is_script(path),
        text: "a page of ours does not write into the user's console: events say what happened",
    },
    Rule {
        words: &[
            "waitForTimeout(",
            "test.skip(",
            "it.skip(",
            "describe.skip(",
            "test.only(",
            "it.only(",
            "test.fixme(",
        ],
        holds: is_test,
        text: "a test that sleeps is slow or flaky, and one that does not run protects nothing: poll up to a deadline",
    },
    Rule {
        words: &["innerHTML", "dangerouslySetInnerHTML", "document.write(", "new Function(", "eval("],
        holds: |path| !is_test(path) && !is_script(path),
        text: "what a model or a user wrote becomes text, never markup or code",
    },
    Rule {
        words: &["https://", "http://"],
        holds: |path| path.starts_with("console/src/") && !is_test(path),
        text: "the pages ask nothing of another origin",
    },
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.scripts.iter().flat_map(|(path, text)| file(path, text)).collect()
}

fn file(path: &str, text: &str) -> Vec<Finding> {
    let of_line = |(number, line): (usize, &str)| {
        let code = line.trim_start();
        let is_comment = code.starts_with("//") || code.starts_with('*') || code.starts_with("/*");
        let broken = |rule: &&Rule| {
            let hides = rule.words[0].starts_with('@');
            (hides || !is_comment) && (rule.holds)(path) && rule.words.iter().any(|word| code.contains(word))
        };
        RULES
            .iter()
            .filter(broken)
            .map(|rule| Finding::error(path, number + 1, rule.text.to_owned()))
            .collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(of_line).collect()
}

fn is_test(path: &str) -> bool {
    path.contains("/test/") || path.contains("/e2e/") || path.contains(".test.")
}

/// A program of node that builds or measures.
fn is_script(path: &str) -> bool {
    path.contains("/scripts/") || path.ends_with(".mjs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_bites_where_it_holds_and_nowhere_else() {
        let lines = |path: &str, text: &str| file(path, text).iter().map(|finding| finding.line).collect::<Vec<_>>();
        assert_eq!(lines("sdk/ts/src/a.ts", "let a: any = 1;\nconst b = a as any;\nlet many = 1;"), [1, 2]);
        assert_eq!(lines("sdk/ts/src/a.ts", "// @ts-ignore\nlet c = 1; // as any"), [1, 2]);
        assert_eq!(lines("sdk/ts/src/a.ts", "console.log(1);\n// console.log(2)"), [1]);
        assert_eq!(lines("sdk/ts/examples/node/a.ts", "console.log(1);"), [0; 0]);
        assert_eq!(lines("console/e2e/a.spec.ts", "await page.waitForTimeout(5);\ntest.skip('x', f);"), [1, 2]);
        assert_eq!(lines("console/src/ui/a.tsx", "<p dangerouslySetInnerHTML={x} />"), [1]);
        assert_eq!(lines("console/src/ui/a.tsx", "const cdn = 'https://cdn.example';"), [1]);
        assert_eq!(lines("console/src/chat/a.test.ts", "const link = 'https://a.example';"), [0; 0]);
        assert_eq!(lines("sdk/ts/README.md", "https://"), [0; 0]);
    }
}
