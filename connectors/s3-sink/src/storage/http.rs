//! HTTP as the store and the credential providers use it: requests of bytes, answers of bytes, and
//! the few tags that are read out of XML.

use std::time::Duration;

use bytes::Bytes;
use hyper::http::{HeaderMap, Method, Uri};
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{
    HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector,
};

use super::bucket::{StoreError, one_line};

/// A client of the HTTP API of a store or of a credential service.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: HttpClient,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http {
    /// A client through a proxy, if there is one.
    ///
    /// # Errors
    /// The proxy's URL is none, or TLS cannot be set up.
    pub(crate) fn new(timeout: Duration, proxy: Option<&str>) -> Result<Self, StoreError> {
        let mut options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(timeout)
            .with_http1_only();
        if let Some(proxy) = proxy {
            options = options.with_proxy_url(proxy);
        }
        let client = ReqwestConnector::default()
            .connect(&options)
            .map_err(|error| StoreError::lost(&error))?;
        Ok(Self { client })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: HttpRequest) -> Result<Answer, StoreError> {
        let answer = self
            .client
            .execute(request)
            .await
            .map_err(|error| StoreError::lost(&error))?;
        let (parts, body) = answer.into_parts();
        let body = body
            .bytes()
            .await
            .map_err(|error| StoreError::lost(&error))?;
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }
}

/// A request without a body's headers.
///
/// # Errors
/// The URL is none.
pub(crate) fn request(
    method: Method,
    url: &str,
    body: impl Into<HttpRequestBody>,
) -> Result<HttpRequest, StoreError> {
    let uri: Uri = url.parse().map_err(|error| StoreError {
        status: Some(400),
        code: None,
        text: format!("{url}: {error}"),
    })?;
    let mut request = HttpRequest::new(body.into());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    Ok(request)
}

/// Signs a request, headers and all; its content too where `content` says so.
///
/// # Errors
/// The cryptography is not there.
pub(crate) fn sign(
    request: &mut HttpRequest,
    credential: &AwsCredential,
    service: &str,
    region: &str,
    content: bool,
) -> Result<(), StoreError> {
    AwsAuthorizer::new(credential, service, region)
        .with_sign_payload(content)
        .try_authorize(request, None)
        .map_err(|error| StoreError {
            status: Some(400),
            code: None,
            text: one_line(&error),
        })
}

impl Answer {
    /// The answer where it is a good one; S3's and STS's errors are XML with a code and a message.
    pub(crate) fn good(self) -> Result<Self, StoreError> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body);
        let code = tag(&text, "Code").filter(|code| !code.is_empty());
        let message = tag(&text, "Message").unwrap_or_default();
        let request_id = self.header("x-amz-request-id");
        let mut said = format!("status {}", self.status);
        if let Some(code) = &code {
            said.push_str(&format!(" {code}: {message}"));
        } else if !text.is_empty() {
            said.push_str(&format!(": {}", text.chars().take(300).collect::<String>()));
        }
        if !request_id.is_empty() {
            said.push_str(&format!(" (request {request_id})"));
        }
        Err(StoreError {
            status: Some(self.status),
            code,
            text: said,
        })
    }

    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The text of the first element of this name.
pub(crate) fn tag(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).next().map(unescape)
}

/// The insides of all elements of this name, in order; they do not nest.
pub(crate) fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (inside, next) = after.split_once(&close)?;
        rest = next;
        Some(inside)
    })
}

fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&apos;", "'")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// Text as it may stand in XML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Percent-encodes everything but what stands for itself in a URL; `keep_slash` for paths.
pub(crate) fn encode(text: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if keep_slash => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_and_unescaped() {
        let xml = "<R><U><Key>a&amp;b</Key><UploadId>1</UploadId></U><U><Key>c</Key></U></R>";
        let keys: Vec<_> = elements(xml, "U").filter_map(|u| tag(u, "Key")).collect();
        assert_eq!(keys, ["a&b", "c"]);
        assert_eq!(tag(xml, "Missing"), None);
    }

    #[test]
    fn names_are_encoded_as_signatures_want_them() {
        assert_eq!(encode("t/p=0/t+0 ü", true), "t/p%3D0/t%2B0%20%C3%BC");
        assert_eq!(encode("a/b~c", false), "a%2Fb~c");
    }
}
