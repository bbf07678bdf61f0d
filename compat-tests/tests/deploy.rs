//! `deploy/` by the tools of those who run it; no container runs here.

use compat_tests::{Outcome, fail, parts};
use std::process::Command;

/// Runs a checker over a file of `deploy/`.
fn check(tool: &str, arguments: &[&str], file: &str) -> Outcome<()> {
    let file = parts::repository().join("deploy").join(file);
    let answer = Command::new(parts::path("checkers")?.join("bin").join(tool))
        .args(arguments)
        .arg(&file)
        .output()?;
    if !answer.status.success() {
        return fail(format!(
            "{tool} {}: {}{}",
            file.display(),
            String::from_utf8_lossy(&answer.stdout),
            String::from_utf8_lossy(&answer.stderr)
        ));
    }
    Ok(())
}

#[test]
fn container_files_are_what_their_tools_take() -> Outcome<()> {
    check("hadolint", &[], "Dockerfile")?;
    let compose = ["--builtin-schema", "vendor.compose-spec"];
    check("check-jsonschema", &compose, "docker-compose.yaml")?;
    let manifest = "kubernetes/ferroconnect.yaml";
    check("kubernetes-validate", &["--strict"], manifest)
}
