//! The REST API: parse a request, ask the herder, show its answer. Decides nothing itself.
//!
//! One file per resource; bodies are in `body.rs`, what requests bring in `json_body.rs` (read by
//! `json_reader.rs`), statuses of errors in `error.rs`. Answers for `RestServer` and the resources of its package.

mod admin;
mod around;
pub mod auth;
mod body;
mod connectors;
mod encoding;
mod error;
mod forward;
mod internal;
mod jetty;
mod json_body;
mod json_reader;
mod json_writer;
mod media;
mod plugins;
mod restarts;
mod root;
pub mod server;
pub(crate) mod tls;

use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, HttpBody as _};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use connect_api::java;
use serde::Serialize;

use crate::config::WorkerConfig;
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
    /// Who may ask; `None`: everybody.
    pub auth: Option<Arc<auth::BasicAuth>>,
}

impl Api {
    /// The refusal of one who may not ask.
    fn refusal(&self, parts: &Parts) -> Option<Response> {
        let auth = self.auth.as_ref()?;
        auth.refusal(&parts.method, parts.uri.path(), &parts.headers)
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("worker_id", &self.config.worker_id)
            .finish_non_exhaustive()
    }
}

/// The largest body that is read: the longest text that Jackson reads, and something around it.
const MAX_BODY_BYTES: usize = 128 * 1024 * 1024;

/// The whole application; its administration only where that has no listeners of its own.
pub fn app(api: Api) -> Router {
    let mut routes = Router::new()
        .merge(root::routes())
        .merge(
            connectors::routes().layer(axum::middleware::from_fn_with_state(
                forward::Forwarder::new(&api.config),
                forward::forward,
            )),
        )
        .merge(internal::routes())
        .merge(plugins::routes())
        .merge(restarts::routes());
    if api.config.admin_listeners.is_none() {
        routes = routes.merge(admin::routes());
    }
    let around = around::Around::new(&api.config);
    finished(routes, api, around)
}

/// What listeners of the administration's own serve. Neither the headers of other origins nor those that
/// the worker adds are theirs.
pub fn admin_app(api: Api) -> Router {
    finished(admin::routes(), api, around::Around::plain())
}

fn finished(routes: Router<Api>, api: Api, around: around::Around) -> Router {
    let routes = routes
        .fallback(async || error::bare(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || error::bare(StatusCode::METHOD_NOT_ALLOWED))
        .with_state(api);
    Router::new()
        .fallback_service(routes)
        .layer(axum::middleware::from_fn_with_state(around, around::around))
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
    router.options(async move |State(api): State<Api>, parts: Parts| {
        let Parts { headers, uri, .. } = &parts;
        let allow = (header::ALLOW, names.join(","));
        let Ok(accepted) = media::accepted(headers) else {
            let refused = jetty::Refused::header(headers, uri);
            return jetty::page(&refused, &Method::OPTIONS, headers);
        };
        if let Some(refused) = api.refusal(&parts) {
            return refused;
        }
        match accepted.first() {
            // Jersey has a text to show and, for who does not want texts, nothing of any type.
            Some(wanted) if !wanted.covers("text", "plain") => {
                let content_type = (header::CONTENT_TYPE, wanted.text(true));
                ([content_type, allow], ()).into_response()
            }
            _ => {
                let content_type = (header::CONTENT_TYPE, "text/plain".to_owned());
                ([content_type, allow], names.join(", ")).into_response()
            }
        }
    })
}

/// An answer with a JSON body.
fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match json_writer::to_vec(body) {
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
    /// Whether it came by TLS.
    tls: bool,
    query: String,
}

impl Call {
    /// What a request without a body has to be: its body, if there is one, is not read, and may be of
    /// no stated type.
    fn check(parts: &Parts, api: &Api) -> std::result::Result<(), Box<Response>> {
        let headers = &parts.headers;
        let malformed = || {
            let refused = jetty::Refused::header(headers, &parts.uri);
            Box::new(jetty::page(&refused, &parts.method, headers))
        };
        let content_type = media::content_type(headers).map_err(|_| malformed())?;
        // Only these two say nothing of what they take.
        let takes_all = matches!(parts.uri.path(), "/" | "/health");
        if !takes_all && content_type.is_some_and(|known| !known.covers("application", "json")) {
            return Err(Box::new(error::bare(StatusCode::UNSUPPORTED_MEDIA_TYPE)));
        }
        let accepted = media::accepted(headers).map_err(|_| malformed())?;
        if accepted.is_empty()
            || accepted
                .iter()
                .any(|range| range.covers("application", "json"))
        {
            api.refusal(parts)
                .map_or(Ok(()), |refused| Err(Box::new(refused)))
        } else {
            Err(Box::new(error::bare(StatusCode::NOT_ACCEPTABLE)))
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
    /// A boolean parameter: anything but `true` is false, an empty one is none.
    fn flag(&self, name: &str, default: bool) -> bool {
        self.params(name)
            .first()
            .filter(|text| !text.is_empty())
            .map_or(default, |text| text.eq_ignore_ascii_case("true"))
    }
}

/// A query's text: `+` and `%XX` decoded.
pub(crate) fn decode(text: &str) -> String {
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
    async fn from_request_parts(
        parts: &mut Parts,
        api: &Api,
    ) -> std::result::Result<Self, Response> {
        Self::check(parts, api).map_err(|refused| *refused)?;
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let peer = parts.extensions.get::<ConnectInfo<server::Peer>>();
        Ok(Self {
            host,
            tls: peer.is_some_and(|ConnectInfo(peer)| peer.tls),
            query: parts.uri.query().unwrap_or_default().to_owned(),
        })
    }
}

/// A request's bytes, which have to be said to be JSON.
struct Body(Bytes);

impl FromRequest<Api> for Body {
    type Rejection = Response;
    async fn from_request(request: Request, _: &Api) -> std::result::Result<Self, Response> {
        let unstated = match media::content_type(request.headers()) {
            Ok(Some(content_type)) => content_type.is_range(),
            Ok(None) | Err(media::Malformed) => request.body().size_hint().exact() != Some(0),
        };
        if unstated {
            return Err(error::unreadable());
        }
        axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES)
            .await
            .map(Self)
            .map_err(|_| error::bare(StatusCode::PAYLOAD_TOO_LARGE))
    }
}

#[cfg(test)]
mod tests;
