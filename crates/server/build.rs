//! Tells cargo when the pages that a release embeds are other ones: new files among them change nothing that cargo looks
//! at by itself. The dev profile reads them when it is asked, and needs none of this.

use std::path::Path;

const PAGES: &str = "../../console/dist";
/// Where they will be built, as long as there are none.
const SOURCES: &str = "../../console";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        let watched = if Path::new(PAGES).exists() { PAGES } else { SOURCES };
        println!("cargo::rerun-if-changed={watched}");
    }
}
