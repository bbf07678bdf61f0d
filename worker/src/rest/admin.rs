//! `/admin/loggers` (`LoggingResource`).

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::{Api, Body, Call, json_body, ok, resource};
use crate::herder::request::{Refusal, RequestError};
use crate::logging::{LoggerLevel, Loggers, now_ms};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/admin/loggers", resource(&["GET"], get(list)))
        .route(
            "/admin/loggers/{logger}",
            resource(&["GET", "PUT"], get(level).put(set_level)),
        )
}

#[derive(Serialize)]
struct Level<'a> {
    level: &'a str,
    last_modified: Option<i64>,
}

fn shown(level: &LoggerLevel) -> Level<'_> {
    Level {
        level: &level.level,
        last_modified: level.last_modified,
    }
}

async fn list(_: Call, State(api): State<Api>) -> Response {
    let levels = api.loggers.all();
    let bodies: std::collections::BTreeMap<&String, Level<'_>> = levels
        .iter()
        .map(|(name, level)| (name, shown(level)))
        .collect();
    ok(&bodies)
}

async fn level(
    _: Call,
    State(api): State<Api>,
    Path(logger): Path<String>,
) -> Result<Response, RequestError> {
    match api.loggers.get(&logger) {
        Some(level) => Ok(ok(&shown(&level))),
        None => Err(RequestError::not_found(format!(
            "Logger {logger} not found."
        ))),
    }
}

/// `scope=cluster` reaches every worker of the cluster, by way of the config topic.
async fn set_level(
    call: Call,
    State(api): State<Api>,
    Path(logger): Path<String>,
    Body(body): Body,
) -> Result<Response, RequestError> {
    let levels = json_body::string_map(&body)?.ok_or_else(|| {
        RequestError::new(
            Refusal::Failure("java.lang.NullPointerException"),
            "Cannot invoke \"java.util.Map.get(Object)\" because \"levelMap\" is null",
        )
    })?;
    let wanted = levels
        .get("level")
        .and_then(Option::as_deref)
        .ok_or_else(|| {
            RequestError::bad_request("Desired 'level' parameter was not specified in request.")
        })?;
    if wanted.is_empty() {
        return Err(RequestError::new(
            Refusal::Failure("java.lang.IllegalArgumentException"),
            "Illegal null or empty Level name.",
        ));
    }
    if !Loggers::is_level(wanted) {
        return Err(RequestError::not_found(format!(
            "invalid log level '{wanted}'."
        )));
    }
    let cluster = call
        .params("scope")
        .first()
        .is_some_and(|scope| scope.eq_ignore_ascii_case("cluster"));
    if cluster && !api.config.standalone {
        api.herder.set_logger_level(&logger, wanted).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let changed = api.loggers.set(&logger, wanted, now_ms());
    Ok(ok(&changed.unwrap_or_default()))
}
