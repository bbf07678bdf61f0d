//! `/` and `/health` (`RootResource`).

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::{Api, Call, json, ok, resource};
use crate::{KAFKA_COMMIT, KAFKA_VERSION};

/// How long the herder may take to show that it lives: the JVM worker's own limit.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/", resource(&["GET"], get(server_info)))
        .route("/health", resource(&["GET"], get(health)))
}

async fn server_info(_: Call, State(api): State<Api>) -> Response {
    #[derive(Serialize)]
    struct ServerInfo {
        version: &'static str,
        commit: &'static str,
        kafka_cluster_id: String,
    }
    match api.herder.kafka_cluster_id().await {
        Ok(kafka_cluster_id) => ok(&ServerInfo {
            version: KAFKA_VERSION,
            commit: KAFKA_COMMIT,
            kafka_cluster_id,
        }),
        Err(error) => error.into_response(),
    }
}

async fn health(_: Call, State(api): State<Api>) -> Response {
    #[derive(Serialize)]
    struct WorkerStatus {
        status: &'static str,
        message: String,
    }
    let answer = |code, status, message: String| json(code, &WorkerStatus { status, message });
    match tokio::time::timeout(HEALTH_TIMEOUT, api.herder.ping()).await {
        Ok(Ok(())) => answer(
            StatusCode::OK,
            "healthy",
            "Worker has completed startup and is ready to handle requests.".to_owned(),
        ),
        Ok(Err(error)) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unhealthy",
            format!(
                "Worker was unable to handle this request and may be unable to handle other requests. {error}"
            ),
        ),
        Err(_) => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "starting",
            "Worker is still starting up.".to_owned(),
        ),
    }
}
