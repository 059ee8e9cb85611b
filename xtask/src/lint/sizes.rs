//! Files that can be read at one sitting, functions that fit a screen.

use super::source::{Kind, Source};
use super::{Finding, Tree};

/// Above it a file is questioned.
const FILE_WARNING: usize = 400;
/// Above it a file is refused.
const FILE_ERROR: usize = 800;
/// Above it a function is refused, from its `fn` to its closing brace.
const FUNCTION_ERROR: usize = 70;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.sizes.iter().filter_map(|(path, lines)| file(path, *lines));
    files.chain(tree.rust.iter().flat_map(functions)).collect()
}

fn file(path: &str, lines: usize) -> Option<Finding> {
    if lines > FILE_ERROR {
        return Some(Finding::error(path, 0, format!("{lines} lines; {FILE_ERROR} is the most")));
    }
    let text = format!("{lines} lines; above {FILE_WARNING} it asks to be split");
    (lines > FILE_WARNING).then(|| Finding::warning(path, 0, text))
}

fn functions(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let Some(name) = source.tokens.get(index + 1).filter(|next| token.is("fn") && next.kind == Kind::Word) else {
            continue;
        };
        let Some(end) = body(source, index).and_then(|open| source.closing(open)) else {
            continue;
        };
        let lines = source.tokens[end].line - token.line + 1;
        if lines > FUNCTION_ERROR {
            let text = format!("`{}` has {lines} lines; {FUNCTION_ERROR} is the most", name.text);
            findings.push(Finding::error(&source.path, token.line, text));
        }
    }
    findings
}

/// Where the body of the function at `index` opens; none for a signature without one.
fn body(source: &Source, index: usize) -> Option<usize> {
    let mut at = index;
    loop {
        let token = source.tokens.get(at)?;
        match token.text.as_str() {
            "{" => return Some(at),
            ";" => return None,
            "(" | "[" => at = source.closing(at)? + 1,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;

    fn weights(lines: usize) -> Option<Weight> {
        file("a.rs", lines).map(|finding| finding.weight)
    }

    #[test]
    fn a_file_is_questioned_above_400_lines_and_refused_above_800() {
        assert_eq!(
            [400, 401, 800, 801].map(weights),
            [None, Some(Weight::Warning), Some(Weight::Warning), Some(Weight::Error)]
        );
    }

    #[test]
    fn a_function_of_71_lines_is_refused_and_one_of_70_is_not() {
        let function = |inner: usize| format!("impl X {{\n fn long(a: [u8; 3]) -> u8\n {{{}}}\n}}", "\n".repeat(inner));
        assert_eq!(functions(&Source::new("a.rs", &function(68))), []);
        let refused = functions(&Source::new("a.rs", &function(69)));
        assert_eq!(refused.len(), 1);
        assert_eq!((refused[0].line, refused[0].weight), (2, Weight::Error));
        assert!(refused[0].text.contains("`long` has 71 lines"), "{refused:?}");
    }

    #[test]
    fn braces_in_strings_and_signatures_without_body_are_not_counted() {
        let lines = "\n".repeat(100);
        let text = format!(
            "trait T {{ fn a(x: [u8; 2]); }}\nfn b() {{ \"{{\"; '{{'; }}{lines}type F = fn(u8);{lines}fn c() {{}}"
        );
        assert_eq!(functions(&Source::new("a.rs", &text)), []);
    }
}
