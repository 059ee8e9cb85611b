//! The protocol as it is built keeps every promise within these bounds; the output says how many states were visited.

use lychgate_leases_model::bounds::{Bounds, Fault};
use lychgate_leases_model::promise::{PROMISES, WITNESSES};
use lychgate_leases_model::protocol::Protocol;
use stateright::{Checker, HasDiscoveries, Model};

/// Set to anything: the bounds that take minutes are checked as well.
const DEEP: &str = "LYCHGATE_LEASES_DEEP";

const THREADS: usize = 2;

/// Checks one size, and returns what was found.
fn check(title: &str, bounds: Bounds) -> impl Checker<Protocol> {
    let model = Protocol::new(bounds).checker().threads(THREADS).finish_when(HasDiscoveries::AnyFailures);
    let checker = model.spawn_bfs().join();
    println!("{title}: {} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    for promise in PROMISES {
        if let Some(path) = checker.discovery(promise) {
            panic!("{title}: refuted: {promise}\n{:#?}\n{:?}", path.clone().into_actions(), path.last_state());
        }
    }
    checker
}

fn check_each(title: &str, owners: &[u8], limit: u32, sets: &[&[Fault]], fault_count: u8) {
    for &faults in sets {
        check(&format!("{title}, {faults:?}"), Bounds::new(owners, limit, fault_count).with_faults(faults));
    }
}

#[test]
fn two_nodes_with_one_session_each_survive_any_one_fault() {
    let checker = check("two nodes, two sessions, limit 1, any fault", Bounds::new(&[0, 1], 1, 1));
    for witness in WITNESSES {
        checker.assert_any_discovery(witness);
    }
}

#[test]
fn a_second_session_on_one_of_the_nodes_changes_nothing() {
    let sets: [&[Fault]; 3] = [&[Fault::Kill], &[Fault::Late], &[Fault::Unsubscribe]];
    check_each("two nodes, three sessions, limit 1", &[0, 1, 0], 1, &sets, 1);
}

#[test]
fn a_limit_of_two_is_kept_as_a_limit_of_one() {
    check_each("two nodes, three sessions, limit 2", &[0, 0, 1], 2, &[&[Fault::Kill], &[Fault::Stop]], 1);
    check_each("two nodes, four sessions, limit 2", &[0, 0, 1, 1], 2, &[&[Fault::Kill]], 1);
}

#[test]
fn two_faults_in_a_row_are_survived() {
    let sets: [&[Fault]; 6] = [
        &[Fault::Stop],
        &[Fault::Flush],
        &[Fault::Kill, Fault::Stop],
        &[Fault::Kill, Fault::Late],
        &[Fault::Kill, Fault::Flush],
        &[Fault::Late, Fault::Unsubscribe],
    ];
    check_each("two nodes, two sessions, limit 1", &[0, 1], 1, &sets, 2);
}

#[test]
fn a_third_node_changes_nothing() {
    check_each("three nodes, limit 1", &[0, 1, 2], 1, &[&[Fault::Kill], &[Fault::Unsubscribe]], 1);
    check_each("three nodes, limit 2", &[0, 1, 2], 2, &[&[Fault::Kill]], 1);
}

#[test]
fn deeper_bounds_hold_when_they_are_asked_for() {
    if std::env::var_os(DEEP).is_none() {
        println!("{DEEP} is not set: the deeper bounds were not checked");
        return;
    }
    for (index, &first) in Fault::ALL.iter().enumerate() {
        let pairs = Fault::ALL[index..].iter().map(|&second| [first, second]);
        for pair in pairs {
            check_each("two nodes, two sessions, limit 1", &[0, 1], 1, &[&pair], 2);
        }
        check_each("two nodes, three sessions, limit 1", &[0, 1, 0], 1, &[&[first]], 1);
        check_each("three nodes, limit 1", &[0, 1, 2], 1, &[&[first]], 1);
        check_each("three nodes, limit 2", &[0, 1, 2], 2, &[&[first]], 1);
        check_each("two nodes, three sessions, limit 2", &[0, 0, 1], 2, &[&[first]], 1);
    }
}
