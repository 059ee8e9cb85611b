//! The protocol within several bounds, and every mistake in it.

mod checked;
mod mutants;
