//! From a refusal to a status and a body: the one place where that is decided.
//!
//! Answers for `ConnectExceptionMapper` and for the bodies that Jersey and Jetty write themselves.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::herder::request::{Refusal, RequestError};

#[derive(Serialize)]
struct ErrorMessage<'a> {
    error_code: u16,
    message: &'a str,
}

fn body(status: StatusCode, message: &str) -> Vec<u8> {
    let error_code = status.as_u16();
    super::json_writer::to_vec(&ErrorMessage {
        error_code,
        message,
    })
    .unwrap_or_default()
}

/// On an answer that another worker has to give: where that worker is.
#[derive(Clone, Debug)]
pub(super) struct ForwardTo(pub(super) String);

/// The status of a refusal.
pub(super) fn status(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::BadRequest => StatusCode::BAD_REQUEST,
        Refusal::Forbidden => StatusCode::FORBIDDEN,
        Refusal::NotFound => StatusCode::NOT_FOUND,
        Refusal::Conflict | Refusal::NotHere => StatusCode::CONFLICT,
        Refusal::Failure(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let status = status(self.refusal);
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), error = %self.message, "request failed");
        }
        let content_type = (header::CONTENT_TYPE, "application/json");
        let mut response = (status, [content_type], body(status, &self.message)).into_response();
        if let Some(url) = self.forward_to {
            response.extensions_mut().insert(ForwardTo(url));
        }
        response
    }
}

/// What the framework itself refuses (no route, method, type): JSON without a content type.
pub(super) fn bare(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or_default();
    let message = format!("HTTP {} {reason}", status.as_u16());
    let mut response = (status, body(status, &message)).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

/// A number in a path that is none.
pub(super) fn no_such_path() -> RequestError {
    RequestError::not_found("HTTP 404 Not Found")
}

/// A body whose type says that it cannot be read: refused later than [`bare`], and so with a type.
pub(super) fn unreadable() -> Response {
    let mut response = bare(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_status() {
        let check = |error: RequestError, code: u16| {
            assert_eq!(error.into_response().status().as_u16(), code);
        };
        check(RequestError::bad_request("x"), 400);
        check(RequestError::not_found("x"), 404);
        check(RequestError::conflict("x"), 409);
        check(RequestError::failure("x"), 500);
        check(connect_api::Error::config("x").into(), 500);
        check(connect_api::Error::not_found("x").into(), 404);
    }

    #[test]
    fn what_the_framework_refuses_has_no_content_type() {
        let response = bare(StatusCode::NOT_FOUND);
        assert!(response.headers().get(header::CONTENT_TYPE).is_none());
        assert_eq!(
            body(StatusCode::NOT_FOUND, "HTTP 404 Not Found"),
            br#"{"error_code":404,"message":"HTTP 404 Not Found"}"#
        );
    }
}
