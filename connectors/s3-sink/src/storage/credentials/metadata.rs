//! Credentials of the machine or container that the worker runs in.
//!
//! Answers for `InstanceProfileCredentialsProvider` and `ContainerCredentialsProvider`.

use bytes::Bytes;
use hyper::http::{HeaderName, HeaderValue, Method};

use super::super::http::{Answer, request};
use super::{Absent, Session, Surroundings, broken, instant};

const INSTANCE: &str = "http://169.254.169.254";
const CONTAINER: &str = "http://169.254.170.2";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";

async fn fetch(
    around: &Surroundings,
    method: Method,
    url: &str,
    header: Option<(&'static str, &str)>,
) -> Result<Answer, super::StoreError> {
    let mut request = request(method, url, Bytes::new())?;
    if let Some((name, value)) = header
        && let Ok(value) = HeaderValue::from_str(value)
    {
        request
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    }
    let answer = around.http.send(request).await.and_then(Answer::good);
    answer.map_err(|mut error| {
        error.text = format!("asking {url} for credentials: {}", error.text);
        error
    })
}

/// EC2, by its metadata service in version 2, or 1 where 2 is not there.
pub(super) async fn instance(around: &Surroundings) -> Result<Session, Absent> {
    if around
        .variable("AWS_EC2_METADATA_DISABLED")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Err(Absent::Nothing("AWS_EC2_METADATA_DISABLED is set"));
    }
    let endpoint = around
        .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .unwrap_or_else(|| INSTANCE.to_owned());
    let endpoint = endpoint.trim_end_matches('/');
    let ttl = Some(("x-aws-ec2-metadata-token-ttl-seconds", "21600"));
    let url = format!("{endpoint}/latest/api/token");
    let token = match fetch(around, Method::PUT, &url, ttl).await {
        Ok(answer) => Some(answer.text()),
        Err(error) if matches!(error.status, Some(403..=405)) => None,
        // No machine of EC2's: the chain ends here.
        Err(_) => return Err(Absent::Nothing("no instance metadata service answers")),
    };
    let header = token
        .as_deref()
        .map(|token| ("x-aws-ec2-metadata-token", token.trim()));
    let roles = fetch(around, Method::GET, &format!("{endpoint}/{ROLES}"), header).await?;
    let text = roles.text();
    let Some(role) = text.lines().map(str::trim).find(|line| !line.is_empty()) else {
        return Err(Absent::Nothing("the instance has no role"));
    };
    let url = format!("{endpoint}/{ROLES}{role}");
    session(&fetch(around, Method::GET, &url, header).await?.text())
}

/// ECS, by a relative URI, or EKS Pod Identity and others, by a full one and a token.
pub(super) async fn container(around: &Surroundings) -> Result<Session, Absent> {
    let url = match around.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        Some(path) => format!("{CONTAINER}{path}"),
        None => around
            .variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")
            .ok_or(Absent::Nothing("no container metadata service is named"))?,
    };
    let token = match around.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(tokio::fs::read_to_string(&file).await.map_err(|error| {
            broken(format!(
                "reading the container's authorization token {file}: {error}"
            ))
        })?),
        None => around.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    let header = token
        .as_deref()
        .map(|token| ("authorization", token.trim()));
    session(&fetch(around, Method::GET, &url, header).await?.text())
}

fn session(json: &str) -> Result<Session, Absent> {
    let answer: serde_json::Value = serde_json::from_str(json)
        .map_err(|error| broken(format!("the metadata service's answer is no JSON: {error}")))?;
    let text = |name: &str| {
        answer
            .get(name)
            .and_then(serde_json::Value::as_str)
            .map(ToOwned::to_owned)
    };
    match (text("AccessKeyId"), text("SecretAccessKey")) {
        (Some(key), Some(secret)) => {
            let mut session = Session::forever(key, secret, text("Token"));
            session.expires = text("Expiration").and_then(|text| instant(&text));
            Ok(session)
        }
        _ => Err(broken(format!(
            "the metadata service has no credentials: {}",
            text("Message").unwrap_or_default()
        ))),
    }
}
