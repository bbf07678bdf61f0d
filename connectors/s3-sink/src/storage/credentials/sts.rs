//! AWS's token service: roles by a web identity or by other credentials.
//!
//! Answers for `StsClient` as `WebIdentityTokenFileCredentialsProvider` and
//! `StsAssumeRoleCredentialsProvider` use it.

use bytes::Bytes;
use hyper::http::{HeaderValue, Method};
use object_store::aws::AwsCredential;

use super::super::http::{Answer, encode, request, sign, tag};
use super::{Absent, Role, Session, Surroundings, broken, instant};

/// Where the global endpoint signs.
const GLOBAL_REGION: &str = "us-east-1";

fn endpoint(around: &Surroundings, region: &str) -> String {
    around
        .variable("AWS_ENDPOINT_URL_STS")
        .map(|url| url.trim_end_matches('/').to_owned())
        .unwrap_or_else(|| match region {
            "" => "https://sts.amazonaws.com".to_owned(),
            region if region.starts_with("cn-") => format!("https://sts.{region}.amazonaws.com.cn"),
            region => format!("https://sts.{region}.amazonaws.com"),
        })
}

/// The region that the environment names.
fn region(around: &Surroundings) -> String {
    around
        .variable("AWS_REGION")
        .or_else(|| around.variable("AWS_DEFAULT_REGION"))
        .unwrap_or_default()
}

async fn ask(
    around: &Surroundings,
    region: &str,
    parameters: &[(&str, &str)],
    by: Option<&AwsCredential>,
) -> Result<Session, Absent> {
    let form: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value, false)))
        .collect();
    let endpoint = endpoint(around, region);
    let body = Bytes::from(form.join("&"));
    let mut request = request(Method::POST, &format!("{endpoint}/"), body)?;
    request.headers_mut().insert(
        "content-type",
        HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
    );
    if let Some(credential) = by {
        let region = if region.is_empty() {
            GLOBAL_REGION
        } else {
            region
        };
        sign(&mut request, credential, "sts", region, true)?;
    }
    let answer = around.http.send(request).await.and_then(Answer::good);
    let answer = answer.map_err(|mut error| {
        error.text = format!("asking {endpoint} for a role: {}", error.text);
        error
    })?;
    session(&answer.text())
        .ok_or_else(|| broken(format!("{endpoint} answered without credentials")))
}

fn session(xml: &str) -> Option<Session> {
    let mut session = Session::forever(
        tag(xml, "AccessKeyId")?,
        tag(xml, "SecretAccessKey")?,
        tag(xml, "SessionToken"),
    );
    session.expires = tag(xml, "Expiration").and_then(|text| instant(&text));
    Some(session)
}

/// A role by other credentials.
pub(super) async fn assume_role(
    around: &Surroundings,
    role: &Role,
    by: &AwsCredential,
) -> Result<Session, Absent> {
    let mut parameters = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", role.arn.as_str()),
        ("RoleSessionName", role.session_name.as_str()),
    ];
    if !role.external_id.is_empty() {
        parameters.push(("ExternalId", &role.external_id));
    }
    let of_environment = region(around);
    let region = match role.region.as_str() {
        "" => of_environment.as_str(),
        region => region,
    };
    ask(around, region, &parameters, Some(by)).await
}

/// A role by a token in a file.
pub(super) async fn web_identity(
    around: &Surroundings,
    token_file: &str,
    arn: &str,
    session_name: &str,
) -> Result<Session, Absent> {
    // Read each time: it is replaced before it runs out.
    let token = tokio::fs::read_to_string(token_file)
        .await
        .map_err(|error| {
            broken(format!(
                "reading the web identity token {token_file}: {error}"
            ))
        })?;
    let parameters = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", arn),
        ("RoleSessionName", session_name),
        ("WebIdentityToken", token.trim()),
    ];
    ask(around, &region(around), &parameters, None).await
}

/// The same by the variables that Kubernetes sets.
pub(super) async fn web_identity_of_environment(around: &Surroundings) -> Result<Session, Absent> {
    let (Some(file), Some(arn)) = (
        around.variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
        around.variable("AWS_ROLE_ARN"),
    ) else {
        return Err(Absent::Nothing(
            "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are not set",
        ));
    };
    let session = around
        .variable("AWS_ROLE_SESSION_NAME")
        .unwrap_or_else(|| "ferroconnect".to_owned());
    web_identity(around, &file, &arn, &session).await
}
