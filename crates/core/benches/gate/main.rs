//! `cargo bench -p lychgate-core`: what the work under a shard's lock costs, on this machine, as a table.
//!
//! One sample is one input with everything that the driver does with the gate for it: `handle_input`, `poll_output` until
//! there is none, `poll_timeout`. Users are drawn at random from all, so that the caches are as cold as in production.
//! Cases that are compared take turns sample by sample; quote their ratio, for the machine may be busy. Nothing here
//! fails: a goal that is missed is printed as missed.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a measurement needs a clock")]
#![expect(clippy::disallowed_macros, reason = "a measurement is printed")]

mod cases;
mod crowd;
mod table;

fn main() {
    // Cargo passes `--bench`, and a filter if somebody gives one.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!("{}", table::HEADER);
    for (name, case) in cases::ALL {
        if filter.as_deref().is_none_or(|filter| name.contains(filter)) {
            case();
        }
    }
}
