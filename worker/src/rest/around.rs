//! What happens around every request: addresses that Jetty refuses, trailing slashes, cross-origin
//! headers, headers that the worker adds, the request log.
//!
//! Answers for what `RestServer` configures in Jetty.

use std::sync::Arc;
use std::time::Instant;

use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::Response;

use super::server::Peer;
use super::{jetty, media};
use crate::config::WorkerConfig;

/// What is done around requests, from the worker's options.
#[derive(Clone, Debug)]
pub(super) struct Around(Arc<Options>);

#[derive(Debug)]
struct Options {
    origins: Vec<String>,
    methods: String,
    rules: Vec<HeaderRule>,
}

/// A header of `response.http.headers.config`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HeaderRule {
    replace: bool,
    name: HeaderName,
    value: HeaderValue,
}

impl Around {
    pub(super) fn new(config: &WorkerConfig) -> Self {
        let list = |key| -> Vec<String> {
            config
                .options
                .string(key)
                .split(',')
                .map(|item| item.trim().to_owned())
                .filter(|item| !item.is_empty())
                .collect()
        };
        let methods = list("access.control.allow.methods");
        let methods = if methods.is_empty() {
            "GET,POST,HEAD".to_owned()
        } else {
            methods.join(",")
        };
        let rules = header_rules(config.options.string("response.http.headers.config"));
        Self(Arc::new(Options {
            origins: list("access.control.allow.origin"),
            methods,
            rules,
        }))
    }
}

impl Around {
    /// For a listener of the administration's own.
    pub(super) fn plain() -> Self {
        Self(Arc::new(Options {
            origins: Vec::new(),
            methods: String::new(),
            rules: Vec::new(),
        }))
    }
}

pub(super) async fn around(
    State(around): State<Around>,
    mut request: Request,
    next: Next,
) -> Response {
    let Around(options) = around;
    let method = request.method().clone();
    let shown = RequestLine::new(&request);
    let refused =
        jetty::check(&request).and_then(|()| match media::content_type(request.headers()) {
            Ok(_) => Ok(()),
            Err(media::Malformed) => Err(jetty::Refused::header(request.headers(), request.uri())),
        });
    if let Err(refused) = refused {
        return jetty::page(&refused, &method, request.headers());
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let preflight = method == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let wanted = wanted_type(request.headers());
    if let Some(uri) = resource_uri(request.uri()) {
        *request.uri_mut() = uri;
    }
    let mut response = next.run(request).await;
    let refused_method = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    if refused_method {
        headers.remove(header::ALLOW);
    }
    if let Some(wanted) = wanted
        && let Some(answered) = headers.get_mut(header::CONTENT_TYPE)
        && answered == "application/json"
    {
        *answered = wanted;
    }
    if !options.origins.is_empty() {
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin.filter(|origin| options.allows(origin)) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            if preflight {
                if let Ok(methods) = HeaderValue::from_str(&options.methods) {
                    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
                }
                headers.insert(
                    header::ACCESS_CONTROL_ALLOW_HEADERS,
                    HeaderValue::from_static("Content-Type"),
                );
                headers.insert(
                    header::ACCESS_CONTROL_MAX_AGE,
                    HeaderValue::from_static("60"),
                );
            }
        }
    }
    for rule in &options.rules {
        if rule.replace {
            headers.insert(rule.name.clone(), rule.value.clone());
        } else {
            headers.append(rule.name.clone(), rule.value.clone());
        }
    }
    shown.log(&response);
    response
}

/// What the request log has of a request.
struct RequestLine {
    peer: Option<Peer>,
    method: Method,
    uri: Uri,
    version: Version,
    referer: String,
    agent: String,
    start: Instant,
}

impl RequestLine {
    fn new(request: &Request) -> Self {
        let text = |name| {
            let value = request.headers().get(name);
            value
                .and_then(|value: &HeaderValue| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let peer = request.extensions().get::<ConnectInfo<Peer>>();
        Self {
            peer: peer.map(|ConnectInfo(peer)| *peer),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            referer: text(header::REFERER),
            agent: text(header::USER_AGENT),
            start: Instant::now(),
        }
    }

    /// One line in the extended format of NCSA, with the milliseconds that it took.
    fn log(&self, response: &Response) {
        let Self {
            method,
            uri,
            version,
            referer,
            agent,
            ..
        } = self;
        let peer = self
            .peer
            .map_or_else(|| "-".to_owned(), |peer| peer.address.ip().to_string());
        let time = chrono::Utc::now().format("%d/%b/%Y:%H:%M:%S +0000");
        let status = response.status().as_u16();
        let size = response.body().size_hint().exact().unwrap_or_default();
        let taken = self.start.elapsed().as_millis();
        tracing::info!(
            target: "worker::rest::requests",
            "{peer} - - [{time}] \"{method} {uri} {version:?}\" {status} {size} \"{referer}\" \"{agent}\" {taken}"
        );
    }
}

impl Options {
    fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        self.origins.iter().any(|allowed| {
            allowed == "*"
                || allowed == origin
                || (allowed.contains('*')
                    && connect_api::java::Regex::new(
                        &allowed.replace('.', "\\.").replace('*', ".*"),
                    )
                    .is_ok_and(|pattern| pattern.matches(origin)))
        })
    }
}

/// The type of the answer where the request asks for JSON with parameters: those come back.
fn wanted_type(headers: &HeaderMap) -> Option<HeaderValue> {
    let accepted = media::accepted(headers).ok()?;
    let best = accepted
        .iter()
        .find(|range| range.covers("application", "json"))
        .filter(|range| !range.is_range())?;
    HeaderValue::from_str(&best.text(false)).ok()
}

/// The address with the path that resources see, if it is another.
fn resource_uri(uri: &Uri) -> Option<Uri> {
    let path = jetty::resource_path(uri.path())?;
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

/// The rules of `response.http.headers.config`: `action name:value`, apart by commas, a rule with a
/// comma in quotes as a whole. What is none is passed over with a warning.
fn header_rules(text: &str) -> Vec<HeaderRule> {
    crate::config::definition::split_quoted(text)
        .iter()
        .filter(|rule| !rule.trim().is_empty())
        .filter_map(|rule| {
            let parsed = header_rule(rule.trim());
            if parsed.is_none() {
                tracing::warn!(rule = rule.as_str(), "Invalid format of header config '{rule}'. Expected: '[action] [header name]:[header value]'");
            }
            parsed
        })
        .collect()
}

fn header_rule(rule: &str) -> Option<HeaderRule> {
    let (action, pair) = rule.split_once(char::is_whitespace)?;
    let (name, value) = pair.split_once(':')?;
    let replace = match action.to_ascii_lowercase().as_str() {
        "set" | "setdate" => true,
        "add" | "adddate" => false,
        _ => return None,
    };
    Some(HeaderRule {
        replace,
        name: name.trim().parse().ok()?,
        value: value.trim().parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_stays_when_the_path_changes() {
        let uri: Uri = "/connectors/?expand=info".parse().expect("a uri");
        let changed = resource_uri(&uri).map(|uri| uri.to_string());
        assert_eq!(changed.as_deref(), Some("/connectors?expand=info"));
    }

    #[test]
    fn header_rules_may_hold_commas_in_quotes() {
        let rules = header_rules("set X-A: 1, \"add X-B: a, b\",nonsense");
        assert_eq!(
            rules,
            [
                HeaderRule {
                    replace: true,
                    name: HeaderName::from_static("x-a"),
                    value: HeaderValue::from_static("1")
                },
                HeaderRule {
                    replace: false,
                    name: HeaderName::from_static("x-b"),
                    value: HeaderValue::from_static("a, b")
                },
            ]
        );
    }
}
