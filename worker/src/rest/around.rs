//! What happens around every request: addresses that Jetty refuses, trailing slashes, cross-origin
//! headers, headers that the worker adds, the request log.
//!
//! Answers for what `RestServer` configures in Jetty.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error;
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

pub(super) async fn around(
    State(around): State<Around>,
    mut request: Request,
    next: Next,
) -> Response {
    let Around(options) = around;
    let path = request.uri().path();
    let refused = if has_empty_segment(path) {
        Some("Ambiguous URI empty segment")
    } else if contains_code(path, "2f") {
        Some("Ambiguous URI path separator")
    } else if contains_code(path, "25") {
        Some("Ambiguous URI path encoding")
    } else {
        None
    };
    if let Some(why) = refused {
        return error::page(StatusCode::BAD_REQUEST, why);
    }
    let method = request.method().clone();
    let shown = request.uri().to_string();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let preflight = method == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if let Some(uri) = without_trailing_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
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
    tracing::info!(target: "rest", %method, uri = shown, status = response.status().as_u16(), "request");
    response
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

fn has_empty_segment(path: &str) -> bool {
    path.contains("//")
}

/// Whether the path holds `%` with this code, in any case.
fn contains_code(path: &str, code: &str) -> bool {
    path.split('%').skip(1).any(|rest| {
        rest.get(..2)
            .is_some_and(|digits| digits.eq_ignore_ascii_case(code))
    })
}

/// The address without the slash at its end, if it has one that counts for nothing.
fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri
        .path()
        .strip_suffix('/')
        .filter(|path| !path.is_empty())?;
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
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
    fn a_trailing_slash_counts_for_nothing() {
        let check = |uri: &str, expected: Option<&str>| {
            let uri: Uri = uri.parse().expect("a uri");
            assert_eq!(
                without_trailing_slash(&uri)
                    .map(|uri| uri.to_string())
                    .as_deref(),
                expected
            );
        };
        check("/connectors/", Some("/connectors"));
        check("/connectors/?expand=info", Some("/connectors?expand=info"));
        check("/connectors", None);
        check("/", None);
    }

    #[test]
    fn ambiguous_paths_are_seen() {
        assert!(contains_code("/connectors/a%2Fb", "2f"));
        assert!(contains_code("/connectors/a%25b", "25"));
        assert!(!contains_code("/connectors/a%20b", "25"));
        assert!(has_empty_segment("//connectors"));
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
