//! Whether a gateway that runs counts together with the others.

use std::collections::BTreeSet;

use super::finding::Finding;
use crate::cli::cluster::{ask, is_unknown, trouble};
use crate::cli::operator::Operator;
use crate::wire::admin::ClusterView;

/// Nothing where it is no gateway of this version: another check says so.
pub(super) async fn look(operator: &Operator) -> Option<Finding> {
    ask(operator).await.ok().map(|view| judge(&view))
}

fn judge(view: &ClusterView) -> Finding {
    const CHECK: &str = "cluster";
    let versions: BTreeSet<&str> = view.nodes.iter().map(|node| node.version.as_str()).collect();
    match (view.kind.as_str(), is_unknown(view), versions.len()) {
        ("single", _, _) => Finding::ok(CHECK, "this node is alone"),
        (_, true, _) => Finding::warning(
            CHECK,
            format!("this node goes by its own count: {}", trouble(view)),
            "docs/alerts.md, \"LychgateClusterUnknown\"; `lychgate cluster status` has more.",
        ),
        (_, false, 0 | 1) => Finding::ok(CHECK, format!("{} nodes count together", view.nodes.len())),
        (_, false, _) => Finding::warning(
            CHECK,
            format!("nodes of different versions count together: {}", Vec::from_iter(versions).join(", ")),
            "Update the others, too, where no update is under way.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Grade;
    use crate::wire::admin::ClusterNode;

    #[test]
    fn a_cluster_that_counts_together_is_well_and_one_that_cannot_or_has_two_versions_is_not() {
        let node = |version: &str| ClusterNode {
            this: false,
            name: "gw".to_owned(),
            address: String::new(),
            version: version.to_owned(),
            incarnation: String::new(),
            started: String::new(),
            sessions: 0,
            lease_ms: 0,
        };
        let view = |kind: &str, health: &str, versions: &[&str]| ClusterView {
            kind: kind.to_owned(),
            health: health.to_owned(),
            nodes: versions.iter().copied().map(node).collect(),
            ..ClusterView::default()
        };
        let grade = |view| judge(&view).grade;
        assert_eq!(grade(view("single", "healthy", &[])), Grade::Ok);
        assert_eq!(grade(view("redis", "healthy", &["0.1.0", "0.1.0"])), Grade::Ok);
        assert_eq!(grade(view("redis", "healthy", &["0.1.0", "0.2.0"])), Grade::Warning);
        assert_eq!(grade(view("redis", "unknown", &["0.1.0"])), Grade::Warning);
    }
}
