//! Reads the text of a scrape back: the built-in alerts, the history of the node and `lychgate doctor` see what Prometheus
//! sees, and nothing else.

/// One line of the exposition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    /// Name and labels as they stand there: what tells one series from another.
    pub(crate) series: &'a str,
    pub(crate) name: &'a str,
    pub(crate) value: f64,
}

impl<'a> Sample<'a> {
    /// Its labels as they stand there, without braces; empty where it has none.
    pub(crate) fn labels(&self) -> &'a str {
        self.series[self.name.len()..].strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default()
    }
}

/// The samples of a scrape. A line that is none is left out: one metric that we cannot read must not silence the others.
pub(crate) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter_map(sample)
}

fn sample(line: &str) -> Option<Sample<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let name_ends = line.find(['{', ' '])?;
    let series_ends = match line.as_bytes()[name_ends] {
        b'{' => name_ends + end_of_labels(&line[name_ends..])?,
        _ => name_ends,
    };
    let (series, rest) = line.split_at(series_ends);
    // A timestamp and an exemplar may follow the value.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { series, name: &line[..name_ends], value })
}

/// Where a list of labels ends, its braces included: not at a brace inside of quotes.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The word of a label in the series of a sample, as it is written there. Only names of agents may have something to escape
/// ([`unescaped`]).
pub(crate) fn label<'a>(series: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = series.split_once('{')?.1.strip_suffix('}')?;
    while let Some((name, after)) = rest.split_once("=\"") {
        let ends = end_of_word(after)?;
        if name == wanted {
            return Some(&after[..ends]);
        }
        rest = after[ends + 1..].trim_start_matches(',');
    }
    None
}

/// A word of a label as it was before it was written.
pub(crate) fn unescaped(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut signs = word.chars();
    while let Some(sign) = signs.next() {
        text.push(match sign {
            '\\' => match signs.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    text
}

fn end_of_word(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| match byte {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        b'\\' => {
            is_escaped = true;
            false
        }
        byte => byte == b'"',
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read_line_by_line() {
        let text = "# HELP a b\n# TYPE a gauge\na 1\na_total{x=\"1\",y=\"two\"} 2.5 1700000000\nb_bucket{le=\"+Inf\"} +Inf # {t=\"x\"} 1\n\
                    nonsense\nhalf{x=\"1\" 3\nword{x=\"1\"} three\n# EOF\n";
        let read: Vec<_> = samples(text).map(|it| (it.series, it.name, it.value)).collect();
        assert_eq!(
            read,
            [
                ("a", "a", 1.0),
                ("a_total{x=\"1\",y=\"two\"}", "a_total", 2.5),
                ("b_bucket{le=\"+Inf\"}", "b_bucket", f64::INFINITY)
            ]
        );
    }

    #[test]
    fn a_label_with_quotes_and_braces_in_it_does_not_end_the_list() {
        let line = r#"up{agent="a}\"b, c=\"d",kind="x"} 0"#;
        let read: Vec<_> = samples(line).collect();
        assert_eq!(read.len(), 1);
        assert_eq!(label(read[0].series, "kind"), Some("x"));
        assert_eq!(label(read[0].series, "c"), None);
        assert_eq!(label("up", "kind"), None);
        assert_eq!(label(read[0].series, "agent").map(unescaped).as_deref(), Some("a}\"b, c=\"d"));
    }
}
