//! What the page promises: it is whole, it needs nothing else, and no name can break it.

use std::time::Duration;

use super::*;
use crate::report::Sample;

fn show(plan: &str) -> Show {
    let mut outcome = Outcome::new(plan);
    (1..=40).for_each(|ms| outcome.admitted(Duration::from_millis(ms)));
    for used in 0..20 {
        outcome.pressure(Sample { at: Duration::from_millis(50 * used), user: 0, used: used as usize, limit: 20 }, 100);
    }
    outcome.note(format!("about {plan}"));
    Show { outcomes: vec![outcome, Outcome::new("nothing was admitted")], reclaims: Vec::new() }
}

/// The elements that are open at the end of each tag; panics where one closes that is not open.
fn is_well_formed(page: &str) -> bool {
    const EMPTY: [&str; 1] = ["!doctype"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("every tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split_whitespace().next().expect("a tag has a name");
        match (tag.starts_with('/'), tag.ends_with('/') || EMPTY.contains(&name)) {
            (true, _) => assert_eq!(open.pop(), Some(name), "in {page}"),
            (false, true) => {}
            (false, false) => open.push(name),
        }
    }
    open.is_empty()
}

#[test]
fn every_element_that_opens_is_closed() {
    assert!(is_well_formed(&html(&show("tunnel"))));
}

#[test]
fn the_page_has_the_table_and_the_plots() {
    let page = html(&show("tunnel"));
    for wanted in
        ["<table>", "Admission latency by plan", "Sessions over time: tunnel", "class=\"bar\"", "class=\"limit\""]
    {
        assert!(page.contains(wanted), "{wanted} is missing");
    }
    assert!(page.contains("10 ms") && page.contains("1.00 s"), "the axes have no units");
}

#[test]
fn reclaims_are_drawn_where_a_gateway_told_them() {
    let mut show = show("tunnel");
    show.reclaims.push(("<shared>".to_owned(), crate::live::metrics::Reclaims::default()));
    let page = html(&show);
    assert!(page.contains("Reclaimed sessions by gateway and level") && is_well_formed(&page));
    assert!(!page.contains("name it with --admin"));
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = html(&show("tunnel"));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for unwanted in ["<script", "http:", "https:", "url(", "@import", "src="] {
        assert!(!outside.contains(unwanted), "{unwanted} is there");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn a_name_that_looks_like_html_is_shown_and_not_obeyed() {
    let page = html(&show("<script>alert('x')</script> & \"co\".plan"));
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;co&quot;.plan"));
    assert!(is_well_formed(&page));
}

#[test]
fn a_page_without_an_admin_listener_says_what_is_missing() {
    assert!(html(&show("tunnel")).contains("name it with --admin"));
}

#[test]
fn a_directory_that_cannot_be_made_is_told_with_what_to_do() {
    let told = write(Path::new("/proc/no/such"), &show("tunnel")).unwrap_err().to_string();
    assert!(told.contains("choose another --report"), "{told}");
}
