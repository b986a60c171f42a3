//! The committed IAM policies are what the table of operations gives. `BLESS=1 cargo test iam` rewrites them.

use std::{fs, path::Path};

use alleycat_operator::aws::{Access, OPERATIONS, PolicyKind, iam_policy};

#[test]
fn the_committed_iam_policies_are_the_generated_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/iam");
    for kind in PolicyKind::ALL {
        let path = folder.join(format!("{}.json", kind.name()));
        let generated = format!("{}\n", serde_json::to_string_pretty(&iam_policy(kind)).unwrap());
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(committed, generated, "{} differs: run `BLESS=1 cargo test iam`", path.display());
    }
}

#[test]
fn the_plan_policy_grants_reads_only_and_no_policy_but_destroy_deletes() {
    let plan = iam_policy(PolicyKind::Plan).to_string();
    for operation in OPERATIONS.iter().filter(|operation| operation.access == Access::Write) {
        for permission in operation.permissions {
            assert!(!plan.contains(permission.action), "plan grants {}", permission.action);
        }
    }
    for kind in [PolicyKind::Plan, PolicyKind::Apply, PolicyKind::Autoscale] {
        assert!(!iam_policy(kind).to_string().contains(":Delete"), "{} deletes", kind.name());
    }
    assert!(!iam_policy(PolicyKind::Autoscale).to_string().contains(":Create"));
}
