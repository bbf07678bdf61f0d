//! `GET /connectors/C/restarts`: what `errors.restart.policy` has done. Ours; the JVM has no such
//! resource, and `/status` stays as it is there.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::{Api, Call, ok, resource};
use crate::herder::request::RequestError;

pub(super) fn routes() -> Router<Api> {
    Router::new().route(
        "/connectors/{name}/restarts",
        resource(&["GET"], get(restarts)),
    )
}

async fn restarts(
    _: Call,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, RequestError> {
    // Also the refusal of an unknown connector.
    let connector = api.herder.connector(&name).await?;
    let restarts: Vec<_> = api
        .herder
        .restarts(&name)
        .into_iter()
        .map(|restart| {
            json!({
                "task": restart.task,
                "failed_at": restart.failed_at,
                "cause": restart.cause,
                "message": restart.message,
                "attempt": restart.attempt,
                "pause_ms": restart.pause_ms,
                "outcome": restart.outcome,
            })
        })
        .collect();
    Ok(ok(&json!({"name": connector.name, "restarts": restarts})))
}
