//! The REST API: parse a request, ask the herder, show its answer. Decides nothing itself.
//!
//! One file per resource; bodies are in `body.rs`, what requests bring in `json_body.rs` (read by
//! `json_reader.rs`), statuses of errors in `error.rs`. Answers for `RestServer` and the resources of its package.

mod admin;
mod around;
mod body;
mod connectors;
mod error;
mod forward;
mod internal;
mod json_body;
mod json_reader;
mod plugins;
mod restarts;
mod root;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use connect_api::java;
use connect_api::{Error, Result};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::config::{Listener, WorkerConfig};
use crate::herder::request::Herder;
use crate::herder::validate::Validator;
use crate::logging::Loggers;

/// What the resources share.
#[derive(Clone)]
pub struct Api {
    /// Who runs connectors.
    pub herder: Arc<dyn Herder>,
    /// Who checks their configurations.
    pub validator: Validator,
    /// The worker's own options.
    pub config: Arc<WorkerConfig>,
    /// The levels of logging.
    pub loggers: Arc<Loggers>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("worker_id", &self.config.worker_id)
            .finish_non_exhaustive()
    }
}

/// The largest body that is read: far above any configuration, far below what hurts.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Binds a listener.
///
/// # Errors
/// The address cannot be bound.
pub async fn bind(listener: &Listener) -> Result<TcpListener> {
    if listener.tls {
        return Err(Error::config(format!(
            "listening on https://{}:{}: this worker's REST API speaks http only; put TLS in front of it",
            listener.host, listener.port
        )));
    }
    let host = if listener.host.is_empty() {
        "0.0.0.0"
    } else {
        &listener.host
    };
    let address = if host.contains(':') {
        format!("[{host}]:{}", listener.port)
    } else {
        format!("{host}:{}", listener.port)
    };
    TcpListener::bind(&address).await.map_err(|error| {
        Error::fatal(format!("binding the REST API to {address}")).with_source(error)
    })
}

/// Serves the API until `shutdown` completes; requests under way are answered.
///
/// # Errors
/// The server fails.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    axum::serve(listener, app(api))
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(|error| Error::fatal("serving the REST API").with_source(error))
}

/// The whole application.
pub fn app(api: Api) -> Router {
    let config = Arc::clone(&api.config);
    let routes = Router::new()
        .merge(root::routes())
        .merge(
            connectors::routes().layer(axum::middleware::from_fn_with_state(
                forward::Forwarder::new(),
                forward::forward,
            )),
        )
        .merge(internal::routes())
        .merge(plugins::routes())
        .merge(restarts::routes())
        .merge(admin::routes())
        .fallback(async || error::bare(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || error::bare(StatusCode::METHOD_NOT_ALLOWED))
        .with_state(api);
    Router::new()
        .fallback_service(routes)
        .layer(axum::middleware::from_fn_with_state(
            around::Around::new(&config),
            around::around,
        ))
}

/// A resource that answers OPTIONS with its methods, as Jersey does.
fn resource(methods: &[&'static str], router: MethodRouter<Api>) -> MethodRouter<Api> {
    let mut allowed = java::HashMap::new();
    for method in methods.iter().copied().chain(["OPTIONS"]) {
        allowed.insert(method.to_owned(), ());
        if method == "GET" {
            allowed.insert("HEAD".to_owned(), ());
        }
    }
    let names: Vec<String> = allowed.keys().cloned().collect();
    router.options(async move || {
        let headers = [
            (header::CONTENT_TYPE, "text/plain".to_owned()),
            (header::ALLOW, names.join(",")),
        ];
        (headers, names.join(", "))
    })
}

/// An answer with a JSON body.
fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            tracing::error!(%error, "writing an answer");
            error::bare(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// 200 with a JSON body.
fn ok(body: &impl Serialize) -> Response {
    json(StatusCode::OK, body)
}

/// What every request brings: acceptable types are checked (415, then 406) before anything else.
struct Call {
    /// The `Host` header, for addresses in answers.
    host: Option<String>,
    query: String,
}

impl Call {
    fn check(headers: &HeaderMap) -> std::result::Result<(), StatusCode> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let has_body = headers.contains_key(header::TRANSFER_ENCODING)
            || text(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
        match text(header::CONTENT_TYPE) {
            Some(content_type) if !is_json(content_type) => {
                return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            }
            None if has_body => return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            _ => {}
        }
        let accepts: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let acceptable = accepts.is_empty()
            || accepts
                .iter()
                .flat_map(|value| value.split(','))
                .any(|range| {
                    let range = range.split(';').next().unwrap_or_default().trim();
                    ["*/*", "application/*", "application/json", "*"]
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(range))
                });
        if acceptable {
            Ok(())
        } else {
            Err(StatusCode::NOT_ACCEPTABLE)
        }
    }

    /// All values of a query parameter.
    fn params(&self, name: &str) -> Vec<String> {
        self.query
            .split('&')
            .filter_map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(key) == name).then(|| decode(value))
            })
            .collect()
    }
    /// A boolean parameter: anything but `true` is false.
    fn flag(&self, name: &str, default: bool) -> bool {
        self.params(name)
            .first()
            .map_or(default, |text| text.eq_ignore_ascii_case("true"))
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// A query's text: `+` and `%XX` decoded.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let rest = bytes.clone();
                let digits: Vec<u8> = rest.take(2).collect();
                let code = std::str::from_utf8(&digits)
                    .ok()
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                match code.filter(|_| digits.len() == 2) {
                    Some(code) => {
                        out.push(code);
                        bytes.nth(1);
                    }
                    None => out.push(b'%'),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl FromRequestParts<Api> for Call {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, _: &Api) -> std::result::Result<Self, Response> {
        Self::check(&parts.headers).map_err(error::bare)?;
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        Ok(Self {
            host,
            query: parts.uri.query().unwrap_or_default().to_owned(),
        })
    }
}

/// A request's bytes.
struct Body(Bytes);

impl FromRequest<Api> for Body {
    type Rejection = Response;
    async fn from_request(request: Request, _: &Api) -> std::result::Result<Self, Response> {
        axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES)
            .await
            .map(Self)
            .map_err(|_| error::bare(StatusCode::PAYLOAD_TOO_LARGE))
    }
}

#[cfg(test)]
mod tests;
