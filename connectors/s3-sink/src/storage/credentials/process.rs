//! Credentials that a program prints (`credential_process` of a profile).
//!
//! Answers for `ProcessCredentialsProvider`.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{Absent, Session, broken, instant};

/// How long the program may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much it may print, as in AWS's SDK.
const MAX_OUTPUT_BYTES: u64 = 64_000;

/// Runs the command in a shell and reads what it prints. Its standard error is the worker's.
pub(super) async fn run(command: &str) -> Result<Session, Absent> {
    let printed = tokio::time::timeout(TIMEOUT, output(command)).await;
    let printed = printed.map_err(|_| {
        let seconds = TIMEOUT.as_secs();
        broken(format!(
            "credential_process has not ended within {seconds} s: {command}"
        ))
    })??;
    session(&printed)
        .ok_or_else(|| broken(format!(
            "credential_process printed no credentials (JSON with Version 1, AccessKeyId and SecretAccessKey): {command}"
        )))
}

async fn output(command: &str) -> Result<Vec<u8>, Absent> {
    let failed =
        |error: std::io::Error| broken(format!("running credential_process {command}: {error}"));
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut printed = Vec::new();
    if let Some(out) = child.stdout.take() {
        let mut out = out.take(MAX_OUTPUT_BYTES);
        out.read_to_end(&mut printed).await.map_err(failed)?;
    }
    let status = child.wait().await.map_err(failed)?;
    match status.success() {
        true => Ok(printed),
        false => Err(broken(format!(
            "credential_process ended with {status}: {command}"
        ))),
    }
}

fn session(json: &[u8]) -> Option<Session> {
    let answer: Value = serde_json::from_slice(json).ok()?;
    let text = |name: &str| {
        answer
            .get(name)
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
    };
    if answer.get("Version").and_then(Value::as_i64) != Some(1) {
        return None;
    }
    let (key, secret) = (text("AccessKeyId")?, text("SecretAccessKey")?);
    let mut session = Session::forever(key, secret, text("SessionToken"));
    session.expires = text("Expiration").and_then(|text| instant(&text));
    Some(session)
}
