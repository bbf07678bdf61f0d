//! What only workers of the same group ask of each other, with a signature
//! (`InternalConnectResource`).

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::put;

use super::{Api, Body, json_body, resource};
use crate::herder::request::{RequestError, SignedRequest};
use crate::herder::session::{ALGORITHM_HEADER, SIGNATURE_HEADER};

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/connectors/{name}/fence", resource(&["PUT"], put(fence)))
}

fn signed(headers: &HeaderMap, body: &[u8]) -> SignedRequest {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    SignedRequest {
        body: body.to_vec(),
        signature: text(SIGNATURE_HEADER).map(str::to_owned),
        algorithm: text(ALGORITHM_HEADER).map(str::to_owned),
    }
}

/// `POST /connectors/{name}/tasks`, beside the resource that shows them.
pub(super) async fn put_tasks(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, RequestError> {
    // Read before it is verified, as by the JVM.
    let tasks = json_body::string_maps(&body)?.unwrap_or_default();
    api.herder
        .put_task_configs(&name, tasks, signed(&headers, &body))
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn fence(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, RequestError> {
    api.herder
        .fence_zombies(&name, signed(&headers, &body))
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
