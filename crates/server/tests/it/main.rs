//! Integration tests: real sockets, real tasks, one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, here and now")]

mod agents;
mod agents_peers;
mod alerts;
mod bad_input;
mod before_identity;
mod check_config;
mod command;
mod doctor;
mod elsewhere;
mod explain;
mod gateway;
mod golden_path;
mod googles_id;
mod http;
mod http_limits;
mod http_routes;
mod journal;
mod limits;
mod listener;
mod login;
mod logs;
mod metrics;
mod nodes;
mod operators;
mod pages;
mod readiness;
mod record;
#[path = "../../src/redis_server.rs"]
mod redis_server;
mod reload;
mod remediation;
mod resume;
mod runs;
mod socket;
mod stop;
mod tls;
mod tokens;
mod traces;
mod ws;
mod zombies;
