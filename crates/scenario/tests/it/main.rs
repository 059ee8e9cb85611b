//! The simulation, tried out: named plans, fixed seeds, broken gates, the text of plans.

mod mutants;
mod named;
mod seeds;
mod text;
