//! The simulation and the live plans, tried out: named plans, fixed seeds, many nodes, broken gates, the text of plans, real sockets.

mod live;
mod mutants;
mod named;
mod nodes;
mod seeds;
mod text;
