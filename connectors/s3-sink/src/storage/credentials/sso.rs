//! A role of IAM Identity Center, by the token that `aws sso login` has left (`sso_*` of a profile).
//!
//! Reads the token and does not renew it. Answers for `SsoCredentialsProvider`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::http::{HeaderValue, Method};
use serde_json::Value;
use sha1::{Digest, Sha1};

use super::super::http::{Answer, encode, request};
use super::{Absent, Session, Surroundings, broken, instant};

/// What a profile says of its sign-in.
pub(super) struct SignIn {
    /// The name of the `sso-session`, or else the start URL: what the token's file is named after.
    pub(super) token_of: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) role: String,
}

/// `folder` is where the shared files are, `~/.aws`.
pub(super) async fn load(
    around: &Surroundings,
    folder: &str,
    sign_in: &SignIn,
) -> Result<Session, Absent> {
    let token = token(folder, &sign_in.token_of).await?;
    let region = &sign_in.region;
    let endpoint = around
        .variable("AWS_ENDPOINT_URL_SSO")
        .unwrap_or_else(|| format!("https://portal.sso.{region}.amazonaws.com"));
    let url = format!(
        "{}/federation/credentials?role_name={}&account_id={}",
        endpoint.trim_end_matches('/'),
        encode(&sign_in.role, false),
        encode(&sign_in.account, false)
    );
    let mut request = request(Method::GET, &url, Bytes::new())?;
    let token = HeaderValue::from_str(&token)
        .map_err(|_| broken("the token of the sign-in is no text for a header"))?;
    request
        .headers_mut()
        .insert("x-amz-sso_bearer_token", token);
    let answer = around.http.send(request).await.and_then(Answer::good);
    let answer = answer.map_err(|mut error| {
        error.text = format!("asking {endpoint} for a role: {}", error.text);
        error
    })?;
    session(&answer.body).ok_or_else(|| broken(format!("{endpoint} answered without credentials")))
}

async fn token(folder: &str, token_of: &str) -> Result<String, Absent> {
    const AGAIN: &str = "sign in again with `aws sso login`";
    let name: String = Sha1::digest(token_of.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let path = format!("{folder}/sso/cache/{name}.json");
    let text = tokio::fs::read(&path).await.map_err(|error| {
        broken(format!(
            "reading the token of sign-in {token_of} from {path}: {error}; {AGAIN}"
        ))
    })?;
    let kept: Value = serde_json::from_slice(&text).unwrap_or_default();
    let field = |name: &str| kept.get(name).and_then(Value::as_str);
    let (Some(token), Some(expires)) = (field("accessToken"), field("expiresAt").and_then(instant))
    else {
        return Err(broken(format!("{path} holds no token; {AGAIN}")));
    };
    match SystemTime::now() < expires {
        true => Ok(token.to_owned()),
        false => Err(broken(format!(
            "the token of sign-in {token_of} has run out; {AGAIN}"
        ))),
    }
}

fn session(json: &[u8]) -> Option<Session> {
    let answer: Value = serde_json::from_slice(json).ok()?;
    let role = answer.get("roleCredentials")?;
    let text = |name: &str| {
        role.get(name)
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
    };
    let (key, secret) = (text("accessKeyId")?, text("secretAccessKey")?);
    let mut session = Session::forever(key, secret, text("sessionToken"));
    let millis = role.get("expiration").and_then(Value::as_u64);
    session.expires = millis.map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
    Some(session)
}
