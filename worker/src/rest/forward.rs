//! Requests that another worker has to answer: sent on to it, its answer given back.
//!
//! Which worker that is the herder says, on the refusal that it answers with. A request is sent on
//! twice at most: to the leader, and by it to the owner. Answers for `HerderRequestHandler` and
//! `RestClient`.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connect_api::error::Chain;

use super::connectors::location;
use super::error::{ForwardTo, bare};
use super::server::Peer;
use super::tls::client_of_workers;
use super::{MAX_BODY_BYTES, decode};
use crate::config::WorkerConfig;
use crate::herder::request::RequestError;

/// As long as the JVM waits for a request.
const LIMIT: Duration = Duration::from_secs(90);

/// What other workers are asked with.
#[derive(Clone, Debug)]
pub(super) struct Forwarder {
    http: Option<reqwest::Client>,
}

impl Forwarder {
    pub(super) fn new(config: &WorkerConfig) -> Self {
        let http = client_of_workers(config, LIMIT);
        if let Err(error) = &http {
            tracing::error!(error = %Chain(error), "other workers cannot be asked");
        }
        Self { http: http.ok() }
    }
}

/// Answers a request here where that is possible, else where it is.
pub(super) async fn forward(
    State(forwarder): State<Forwarder>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY_BYTES).await else {
        return bare(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let (method, uri, headers) = (
        parts.method.clone(),
        parts.uri.clone(),
        parts.headers.clone(),
    );
    let peer = parts.extensions.get::<ConnectInfo<Peer>>();
    let scheme = match peer.is_some_and(|ConnectInfo(peer)| peer.tls) {
        true => "https",
        false => "http",
    };
    let response = next
        .run(Request::from_parts(parts, Body::from(bytes.clone())))
        .await;
    let Some(ForwardTo(url)) = response.extensions().get::<ForwardTo>().cloned() else {
        return response;
    };
    let query = uri.query().unwrap_or_default();
    let Some(query) = next_query(query) else {
        return RequestError::conflict(
            "Cannot complete request because of a conflicting operation (e.g. worker rebalance)",
        )
        .into_response();
    };
    let target = format!("{}{}?{query}", url.trim_end_matches('/'), path(&uri));
    tracing::debug!(%method, target, "forwarding a request");
    match send(&forwarder, method, &target, &headers, bytes).await {
        Ok((mut answer, created)) => {
            // A new connector is to be found where it was asked for.
            let host = headers.get(header::HOST);
            let host = host.and_then(|host| host.to_str().ok());
            let place = created.and_then(|name| location(scheme, host, &name).parse().ok());
            if let Some(place) = place {
                answer.headers_mut().insert(header::LOCATION, place);
            }
            answer
        }
        Err(error) => error.into_response(),
    }
}

/// The path as the client wrote it.
fn path(uri: &Uri) -> &str {
    uri.path()
}

/// The query with which the next worker is asked; `None` where it would be one too many.
fn next_query(query: &str) -> Option<String> {
    let mut forward = None;
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(key) == "forward" {
            forward = forward.or_else(|| Some(decode(value).eq_ignore_ascii_case("true")));
        } else {
            others.push(pair);
        }
    }
    let next = match forward {
        None => "forward=true",
        Some(true) => "forward=false",
        Some(false) => return None,
    };
    others.push(next);
    Some(others.join("&"))
}

/// The other worker's answer, and the name of the connector that it has created.
async fn send(
    forwarder: &Forwarder,
    method: Method,
    target: &str,
    headers: &HeaderMap,
    body: axum::body::Bytes,
) -> Result<(Response, Option<String>), RequestError> {
    let failed = |error: &dyn std::error::Error| {
        RequestError::failure(format!("IO Error trying to forward REST request: {error}"))
    };
    let http = forwarder
        .http
        .as_ref()
        .ok_or_else(|| RequestError::failure("Failed to start RestClient"))?;
    let mut request = http
        .request(method, target)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "kafka-connect");
    if let Some(login) = headers.get(header::AUTHORIZATION) {
        request = request.header(header::AUTHORIZATION, login);
    }
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let answer = request
        .body(body)
        .send()
        .await
        .map_err(|error| failed(&error))?;
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let bytes = answer.bytes().await.map_err(|error| failed(&error))?;
    if status.is_redirection() {
        return Err(RequestError::failure(format!(
            "Unexpected status code when handling forwarded request: {}",
            status.as_u16()
        )));
    }
    if status.as_u16() >= 400 && serde_json::from_slice::<serde_json::Value>(&bytes).is_err() {
        return Err(RequestError::failure(format!(
            "IO Error trying to forward REST request: the worker answered {status} without a body \
             of Kafka Connect's"
        )));
    }
    let created = (status == StatusCode::CREATED)
        .then(|| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .flatten();
    let mut response = (status, bytes).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    let name = created.as_ref().and_then(|body| body.get("name")?.as_str());
    Ok((response, name.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_on_twice_at_most() {
        assert_eq!(next_query("").as_deref(), Some("forward=true"));
        assert_eq!(
            next_query("includeTasks=true&forward=true").as_deref(),
            Some("includeTasks=true&forward=false")
        );
        assert_eq!(next_query("forward=false"), None);
        assert_eq!(next_query("forward=x&a=b"), None);
    }
}
