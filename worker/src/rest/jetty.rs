//! What the server in front of the resources refuses by itself, before any route is looked for: paths
//! that can be read in two ways, and the page that says so.
//!
//! Pure functions; knows no route. Answers for Jetty's `UriCompliance.DEFAULT` and its `ErrorHandler`.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::media;

/// What Jetty finds wrong with a path, in the order in which it lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Violation {
    PathSegment,
    EmptySegment,
    PathSeparator,
    PathParameter,
    PathEncoding,
    Utf16,
    BadUtf8,
    Suspicious,
    Illegal,
}

impl Violation {
    fn text(self) -> &'static str {
        match self {
            Self::PathSegment => "Ambiguous URI path segment",
            Self::EmptySegment => "Ambiguous URI empty segment",
            Self::PathSeparator => "Ambiguous URI path separator",
            Self::PathParameter => "Ambiguous URI path parameter",
            Self::PathEncoding => "Ambiguous URI path encoding",
            Self::Utf16 => "UTF-16 encoding",
            Self::BadUtf8 => "Bad UTF-8 encoding",
            Self::Suspicious => "Suspicious Path Character",
            Self::Illegal => "Illegal Path Character",
        }
    }
}

/// A request that no resource gets to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    status: StatusCode,
    message: String,
    /// What the page shows as the request's address.
    uri: String,
    /// Whether the page follows what the request accepts.
    by_accept: bool,
    close: bool,
}

impl Refused {
    fn message(status: StatusCode) -> Self {
        Self {
            status,
            message: status.canonical_reason().unwrap_or_default().to_owned(),
            uri: "/badMessage".to_owned(),
            by_accept: false,
            close: false,
        }
    }
    fn address(message: String, uri: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message,
            uri,
            by_accept: false,
            close: true,
        }
    }
    /// A header that cannot be read: refused by Jersey, the page is Jetty's.
    pub(super) fn header(headers: &HeaderMap, uri: &Uri) -> Self {
        Self {
            uri: format!("http://{}{}", host(headers), uri.path()),
            by_accept: true,
            ..Self::message(StatusCode::BAD_REQUEST)
        }
    }
}

/// The address in the `Host` header.
pub(super) fn host(headers: &HeaderMap) -> String {
    headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// The longest request line that is read.
const MAX_URI: usize = 8180;

/// Whether the request's address can be served.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Refused> {
    let uri = request.uri();
    let path = uri.path();
    let length = uri
        .path_and_query()
        .map_or(path.len(), |text| text.as_str().len());
    if length > MAX_URI {
        return Err(Refused::message(StatusCode::URI_TOO_LONG));
    }
    let host = host(request.headers());
    match (uri.scheme(), uri.authority()) {
        (None, Some(authority)) => {
            return Err(Refused::address(
                "Bad Request".to_owned(),
                format!("http:{authority}"),
            ));
        }
        (Some(_), Some(authority)) if authority.as_str() != host => {
            return Err(Refused::address(
                "Authority!=Host".to_owned(),
                uri.to_string(),
            ));
        }
        _ => {}
    }
    if path == "*" {
        return Err(Refused::address(
            "Bad URI path".to_owned(),
            format!("http://{host}*"),
        ));
    }
    match violations(path) {
        None => Err(Refused::message(StatusCode::BAD_REQUEST)),
        Some(found) if found.is_empty() => Ok(()),
        Some(found) => {
            let texts: Vec<&str> = found.into_iter().map(Violation::text).collect();
            Err(Refused::address(texts.join(", "), "/badURI".to_owned()))
        }
    }
}

/// What is wrong with a path; `None` where it is no path at all.
fn violations(path: &str) -> Option<BTreeSet<Violation>> {
    let mut found = BTreeSet::new();
    let mut depth = 0_i32;
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let (name, parameters) = match segment.split_once(';') {
            Some((name, parameters)) => (name, Some(parameters)),
            None => (segment, None),
        };
        let decoded = decode(name, &mut found)?;
        if let Some(parameters) = parameters {
            decode(parameters, &mut found)?;
        }
        let dots = matches!(decoded.as_slice(), b"." | b"..");
        if name.is_empty() && segments.peek().is_some() {
            found.insert(Violation::EmptySegment);
        } else if dots && decoded != name.as_bytes() {
            found.insert(Violation::PathSegment);
        } else if dots && parameters.is_some() {
            found.insert(Violation::PathParameter);
        } else {
            depth += match name {
                ".." => -1,
                "." => 0,
                _ => 1,
            };
        }
        if depth < 0 {
            return None;
        }
    }
    Some(found)
}

/// A part of a path with its codes resolved.
fn decode(text: &str, found: &mut BTreeSet<Violation>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let first = bytes.next()?;
                if first == b'u' {
                    hex(&[bytes.next()?, bytes.next()?])?;
                    hex(&[bytes.next()?, bytes.next()?])?;
                    found.insert(Violation::Utf16);
                    continue;
                }
                let code = hex(&[first, bytes.next()?])?;
                match code {
                    0 => return None,
                    b'/' => drop(found.insert(Violation::PathSeparator)),
                    b'%' => drop(found.insert(Violation::PathEncoding)),
                    b'\\' | 1..=0x1f | 0x7f => drop(found.insert(Violation::Suspicious)),
                    _ => {}
                }
                out.push(code);
            }
            b'\\' => {
                found.extend([Violation::Suspicious, Violation::Illegal]);
                out.push(byte);
            }
            other => {
                if !other.is_ascii_alphanumeric() && !b"-._~!$&'()*+,;=:@".contains(&other) {
                    found.insert(Violation::Illegal);
                }
                out.push(other);
            }
        }
    }
    if text.contains('%') && std::str::from_utf8(&out).is_err() {
        found.insert(Violation::BadUtf8);
    }
    Some(out)
}

fn hex(digits: &[u8; 2]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    digits
        .iter()
        .all(u8::is_ascii_hexdigit)
        .then(|| u8::from_str_radix(text, 16).ok())?
}

/// The path as resources see it: without the parameters of its segments and without the slash at its
/// end; `None` where that is what it is.
pub(super) fn resource_path(path: &str) -> Option<String> {
    let mut out: String = path
        .split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("/");
    if out.len() > 1 && out.ends_with('/') {
        out.pop();
    }
    (out != path).then_some(out)
}

/// The page that refuses. Only some methods get one, and of three kinds.
pub(super) fn page(refused: &Refused, method: &Method, headers: &HeaderMap) -> Response {
    let Refused {
        status,
        message,
        uri,
        ..
    } = refused;
    let code = status.as_u16();
    let reason = escape(message);
    let shown = escape(uri);
    let html = || {
        let text = format!(
            "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=ISO-8859-1\"/>\n\
             <title>Error {code} {reason}</title>\n</head>\n<body>\n<h2>HTTP ERROR {code} {reason}</h2>\n\
             <table>\n<tr><th>URI:</th><td>{shown}</td></tr>\n<tr><th>STATUS:</th><td>{code}</td></tr>\n\
             <tr><th>MESSAGE:</th><td>{reason}</td></tr>\n</table>\n</body>\n</html>\n"
        );
        ("text/html;charset=iso-8859-1", text)
    };
    let accept = media::accepted_leniently(headers).filter(|_| refused.by_accept);
    let written = if ![Method::GET, Method::POST, Method::HEAD].contains(method) {
        None
    } else if let Some(accept) = accept {
        accept.iter().find_map(|wanted| match wanted.essence() {
            ("text", "html" | "*") | ("*", "*") => Some(html()),
            ("text", "plain") => Some((
                "text/plain;charset=iso-8859-1",
                format!(
                    "HTTP ERROR {code} {message}\nURI: {uri}\nSTATUS: {code}\nMESSAGE: {message}\n"
                ),
            )),
            ("application" | "text", "json") => Some((
                "application/json",
                format!(
                    "{{\n\"message\":\"{message}\",\n\"url\":\"{uri}\",\n\"status\":\"{code}\"\n}}"
                ),
            )),
            _ => None,
        })
    } else {
        Some(html())
    };
    let mut response = match written {
        Some((content_type, text)) => {
            (*status, [(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        None => (*status, Body::empty()).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("must-revalidate,no-cache,no-store"),
    );
    if refused.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Recorded from Jetty 12.0.34.
    #[test]
    fn paths_that_can_be_read_in_two_ways_are_refused() {
        let check = |path: &str, expected: &str| {
            let found = violations(path).expect("a path");
            let texts: Vec<&str> = found.into_iter().map(Violation::text).collect();
            assert_eq!(texts.join(", "), expected, "{path}");
        };
        check("/connectors/a%2Fb", "Ambiguous URI path separator");
        check("/connectors//x", "Ambiguous URI empty segment");
        check("/connectors/;/x", "Ambiguous URI empty segment");
        check("/connectors/a%25b", "Ambiguous URI path encoding");
        check(
            "/connectors/%2e%2e/connectors",
            "Ambiguous URI path segment",
        );
        check("/connectors/..;/x", "Ambiguous URI path parameter");
        check("/connectors/a%0Ab", "Suspicious Path Character");
        check("/connectors/%C3", "Bad UTF-8 encoding");
        check("/connectors/é", "Illegal Path Character");
        check(
            "/connectors/a\\b",
            "Suspicious Path Character, Illegal Path Character",
        );
        check("/connectors/%u0041", "UTF-16 encoding");
        check(
            "/a%2F//",
            "Ambiguous URI empty segment, Ambiguous URI path separator",
        );
        check("/connectors/a%20b/..", "");
        check("/connectors/%C3%A9", "");
        check("/connectors/", "");
        check("/", "");
    }

    #[test]
    fn what_is_no_path_is_a_bad_message() {
        for path in ["/a%00", "/a%zz", "/a%2", "/..", "/connectors/../../x"] {
            assert_eq!(violations(path), None, "{path}");
        }
    }

    #[test]
    fn parameters_and_a_slash_at_the_end_count_for_nothing() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(resource_path(path).as_deref(), expected);
        };
        check("/connectors/", Some("/connectors"));
        check("/connectors;a=b/c;d/", Some("/connectors/c"));
        check("/connectors/;a=b", Some("/connectors"));
        check("/connectors", None);
        check("/", None);
    }
}
