//! The Kubernetes manifests against the API's own types. An unknown or misspelt field would be dropped by
//! the types, so each document is read, written again and compared with itself.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Container, Namespace, PersistentVolumeClaim, PodSpec, ServiceAccount},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Every document in `manifests/`, by `kind/name`.
fn documents() -> BTreeMap<String, Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("manifests/ exists") {
        let path = entry.expect("an entry can be read").path();
        let source = fs::read_to_string(&path).expect("a manifest is UTF-8");
        let document: Value =
            serde_saphyr::from_str(&source).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        found.insert(format!("{}/{name}", document["kind"].as_str().unwrap_or_default()), document);
    }
    found
}

/// Reads a document as `T`; fails when `T` does not know all of it.
fn typed<T: DeserializeOwned + Serialize>(document: &Value) -> Result<T, String> {
    let typed: T = serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(&typed).map_err(|error| error.to_string())?;
    if &again == document { Ok(typed) } else { Err(format!("the API does not know all of it; it keeps {again:#}")) }
}

fn known<T: DeserializeOwned + Serialize>(name: &str) -> T {
    let documents = documents();
    let document = documents.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", documents.keys()));
    typed(document).unwrap_or_else(|problem| panic!("{name}: {problem}"))
}

fn pod() -> PodSpec {
    let deployment: Deployment = known("Deployment/alleycat-operator");
    deployment.spec.unwrap().template.spec.unwrap()
}

fn container() -> Container {
    let mut containers = pod().containers;
    assert_eq!(containers.len(), 1);
    containers.remove(0)
}

#[test]
fn every_document_is_known_to_the_api() {
    known::<Namespace>("Namespace/alleycat-operator");
    known::<ServiceAccount>("ServiceAccount/alleycat-operator");
    known::<PersistentVolumeClaim>("PersistentVolumeClaim/alleycat-operator-state");
    known::<ConfigMap>("ConfigMap/alleycat-operator-pipeline");
    known::<Deployment>("Deployment/alleycat-operator");
    assert_eq!(documents().len(), 5, "a new manifest wants a line here");
}

#[test]
fn a_misspelt_field_is_found() {
    let mut document = documents().remove("Deployment/alleycat-operator").unwrap();
    document["spec"]["template"]["spec"]["serviceAcountName"] = Value::from("x");
    assert!(typed::<Deployment>(&document).is_err());
}

#[test]
fn the_pod_runs_without_privileges_and_stops_in_time() {
    let pod = pod();
    let context = pod.security_context.unwrap();
    assert_eq!(context.run_as_non_root, Some(true));
    assert_eq!(context.run_as_user, Some(65_532), "runAsNonRoot needs a number, the Dockerfile's");
    assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
    assert!(pod.termination_grace_period_seconds.unwrap() > 30, "longer than the longest AWS call");
    assert_eq!(pod.automount_service_account_token, Some(false));
    let context = container().security_context.unwrap();
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(context.capabilities.unwrap().drop.unwrap(), ["ALL"]);
}

#[test]
fn never_two_pods_at_once() {
    let deployment: Deployment = known("Deployment/alleycat-operator");
    let spec = deployment.spec.unwrap();
    assert_eq!(spec.replicas, Some(1));
    assert_eq!(spec.strategy.unwrap().type_.as_deref(), Some("Recreate"));
    let selected = spec.selector.match_labels.unwrap();
    assert_eq!(spec.template.metadata.unwrap().labels, Some(selected), "the selector selects the pod");
}

#[test]
fn what_the_pod_names_exists() {
    let pod = pod();
    let documents = documents();
    assert!(documents.contains_key(&format!("ServiceAccount/{}", pod.service_account_name.unwrap())));
    for volume in pod.volumes.unwrap() {
        let name = match (volume.config_map, volume.persistent_volume_claim) {
            (Some(map), _) => format!("ConfigMap/{}", map.name),
            (_, Some(claim)) => format!("PersistentVolumeClaim/{}", claim.claim_name),
            _ => panic!("volume {} is of a kind this test does not know", volume.name),
        };
        assert!(documents.contains_key(&name), "{name} is missing");
    }
    let mounts: Vec<String> = container().volume_mounts.unwrap().into_iter().map(|mount| mount.mount_path).collect();
    let arguments = container().args.unwrap();
    assert!(arguments.contains(&format!("--state-dir={}", mounts[1])), "{arguments:?} against {mounts:?}");
    assert!(arguments.contains(&format!("{}/pipeline.yaml", mounts[0])), "{arguments:?} against {mounts:?}");
}

#[test]
fn the_configured_pipeline_is_valid() {
    let map: ConfigMap = known("ConfigMap/alleycat-operator-pipeline");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.yaml");
    fs::write(&file, &map.data.unwrap()["pipeline.yaml"]).unwrap();
    let mut validate = Command::new(env!("CARGO_BIN_EXE_alleycat-operator"));
    let told = validate.arg("validate").arg(file).output().unwrap();
    assert!(told.status.success(), "{told:?}");
    assert!(!told.stdout.is_empty(), "validate says what it found");
}

#[test]
fn the_image_runs_as_the_manifests_say() {
    let dockerfile = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Dockerfile");
    let dockerfile = fs::read_to_string(dockerfile).expect("the Dockerfile");
    let user = pod().security_context.unwrap().run_as_user.unwrap();
    assert!(dockerfile.lines().any(|line| line == format!("USER {user}:{user}")), "USER {user} in the Dockerfile");
    assert!(dockerfile.contains("/var/lib/alleycat-operator"), "the state directory is the same");
}
