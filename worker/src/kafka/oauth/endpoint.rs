//! Tokens by the client credentials grant (RFC 6749, 4.4).
//!
//! Never shows a secret or a token. Answers for `ClientCredentialsJwtRetriever`, `HttpJwtRetriever`
//! and `Retry`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connect_api::{Error, Props, Result};
use serde_json::Value as Json;

use super::Token;
use super::jwt::Names;

/// The answers after which nobody asks again.
const FINAL: [u16; 17] = [
    400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 501, 505,
];

/// Where a token is asked for, and how.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) scope: Option<String>,
    /// Whether id and secret are percent-encoded in the header.
    pub(super) urlencode: bool,
    pub(super) connect_limit: Option<Duration>,
    pub(super) read_limit: Option<Duration>,
    /// The first pause before it is asked again; it doubles.
    pub(super) backoff: Duration,
    /// For how long it is asked again.
    pub(super) backoff_max: Duration,
    /// The options `ssl.*` of the login module.
    pub(super) tls: BTreeMap<String, String>,
    pub(super) names: Names,
}

/// How long an answer may take where nothing is set; Java waits for ever.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

enum Failure {
    Final(Error),
    Passing(Error),
}

impl Endpoint {
    /// Whether its stores can be read.
    ///
    /// # Errors
    /// Kind Config: they cannot.
    pub(super) fn check(&self) -> Result<()> {
        self.tls().map(drop)
    }

    /// TLS by the options of the login module, where it has any.
    fn tls(&self) -> Result<Option<rustls::ClientConfig>> {
        let props: Props = self.tls.clone().into_iter().collect();
        if props.is_empty() {
            return Ok(None);
        }
        crate::rest::tls::client_tls(&props).map(Some)
    }

    fn client(&self) -> Result<reqwest::blocking::Client> {
        let mut builder = reqwest::blocking::Client::builder()
            .timeout(self.read_limit.unwrap_or(ANSWER_LIMIT))
            .redirect(reqwest::redirect::Policy::none());
        if let Some(limit) = self.connect_limit {
            builder = builder.connect_timeout(limit);
        }
        if let Some(tls) = self.tls()? {
            builder = builder.tls_backend_preconfigured(tls);
        }
        builder.build().map_err(|error| {
            Error::config("setting up the token endpoint's client").with_source(error)
        })
    }

    /// Asks until there is a token or no hope.
    pub(super) fn fetch(&self) -> Result<Token> {
        let client = self.client()?;
        let begin = Instant::now();
        let mut pause = self.backoff;
        loop {
            let error = match self.ask(&client) {
                Ok(text) => return self.names.read(text.trim()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(error)) => error,
            };
            let left = self.backoff_max.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(error);
            }
            tracing::warn!(error = %connect_api::error::Chain(&error), "the token endpoint is asked again");
            std::thread::sleep(pause.min(left));
            pause = pause.saturating_mul(2);
        }
    }

    fn ask(&self, client: &reqwest::blocking::Client) -> Result<String, Failure> {
        let place = |what: String| format!("token endpoint {}: {what}", self.url);
        let passing = |error: reqwest::Error| {
            // The error's own text has the URL, which may hold a secret of somebody's making.
            Failure::Passing(
                Error::retriable(place("no answer".to_owned())).with_source(error.without_url()),
            )
        };
        let answer = client
            .post(&self.url)
            .header("Accept", "application/json")
            .header("Authorization", self.authorization())
            .header("Cache-Control", "no-cache")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(self.form())
            .send()
            .map_err(passing)?;
        let status = answer.status().as_u16();
        let body = answer.text().map_err(passing)?;
        match status {
            200 | 201 => serde_json::from_str::<Json>(&body)
                .ok()
                .and_then(|body| body.get("access_token")?.as_str().map(str::to_owned))
                .filter(|token| !token.trim().is_empty())
                .ok_or_else(|| {
                    let what = "the answer has no access_token".to_owned();
                    Failure::Final(Error::fatal(place(what)))
                }),
            _ => {
                let what = format!("status {status}, {}", reason(&body));
                match FINAL.contains(&status) {
                    true => Err(Failure::Final(Error::fatal(place(what)))),
                    false => Err(Failure::Passing(Error::retriable(place(what)))),
                }
            }
        }
    }

    fn authorization(&self) -> String {
        let part = |text: &str| match self.urlencode {
            true => encoded(text),
            false => text.to_owned(),
        };
        let pair = format!("{}:{}", part(&self.id), part(&self.secret));
        format!("Basic {}", STANDARD.encode(pair))
    }

    fn form(&self) -> String {
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.scope {
            form.push_str("&scope=");
            form.push_str(&encoded(scope));
        }
        form
    }
}

/// What an endpoint says is wrong: RFC 6749, 5.2, or Okta's manner.
fn reason(body: &str) -> String {
    let json = serde_json::from_str::<Json>(body).unwrap_or_default();
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    let found = text("error")
        .map(|error| (error, text("error_description")))
        .or_else(|| Some((text("errorCode")?, text("errorSummary"))));
    match found {
        Some((error, Some(more))) => format!("{error} - {more}"),
        Some((error, None)) => error.to_owned(),
        None => "without a reason".to_owned(),
    }
}

/// `URLEncoder.encode`: as in a form.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    fn endpoint(url: String) -> Endpoint {
        Endpoint {
            url,
            id: "me".to_owned(),
            secret: "p:w/é".to_owned(),
            scope: Some("a b".to_owned()),
            urlencode: false,
            connect_limit: None,
            read_limit: Some(Duration::from_secs(10)),
            backoff: Duration::from_millis(1),
            backoff_max: Duration::from_secs(10),
            tls: BTreeMap::new(),
            names: Names {
                scope: "scope".to_owned(),
                sub: "sub".to_owned(),
            },
        }
    }

    /// Serves these answers, one a connection; gives the requests.
    fn serve(answers: Vec<(u16, String)>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/token", listener.local_addr().expect("bound"));
        let requests = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = Vec::new();
                while !request.ends_with(b"a+b") {
                    let mut bytes = [0; 1024];
                    let count = stream.read(&mut bytes).expect("a request");
                    request.extend_from_slice(&bytes[..count]);
                }
                requests.push(String::from_utf8(request).expect("text"));
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                )
                .expect("sent");
            }
            requests
        });
        (url, requests)
    }

    fn good() -> String {
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(r#"{"sub":"ann","exp":4000000000}"#);
        format!(r#"{{"access_token":"e30.{payload}.s","expires_in":60}}"#)
    }

    #[test]
    fn a_token_is_asked_for_with_credentials_and_scope_until_it_comes() {
        let (url, requests) = serve(vec![(503, String::new()), (200, good())]);
        let token = endpoint(url).fetch().expect("a token");
        assert_eq!(token.principal, "ann");
        let requests = requests.join().expect("served");
        assert_eq!(requests.len(), 2);
        let request = requests[1].to_lowercase();
        assert!(request.starts_with("post /token "), "{request}");
        assert!(requests[1].contains("Basic bWU6cDp3L8Op"), "{request}");
        assert!(request.ends_with("\r\n\r\ngrant_type=client_credentials&scope=a+b"));
    }

    #[test]
    fn a_refusal_is_final_and_says_why() {
        let body = r#"{"error":"invalid_client","error_description":"who?"}"#;
        let (url, requests) = serve(vec![(401, body.to_owned())]);
        let error = endpoint(url).fetch().expect_err("refused");
        assert!(
            error
                .message()
                .ends_with("status 401, invalid_client - who?"),
            "{error}"
        );
        assert!(!error.message().contains("p:w"), "{error}");
        assert_eq!(requests.join().expect("served").len(), 1);
    }

    #[test]
    fn an_answer_without_a_token_is_none() {
        let (url, _requests) = serve(vec![(200, "{}".to_owned())]);
        let error = endpoint(url).fetch().expect_err("no token");
        assert!(error.message().contains("access_token"), "{error}");
    }

    #[test]
    fn credentials_are_encoded_where_that_is_asked_for() {
        let mut endpoint = endpoint(String::new());
        endpoint.urlencode = true;
        let encoded = STANDARD.encode("me:p%3Aw%2F%C3%A9");
        assert_eq!(endpoint.authorization(), format!("Basic {encoded}"));
    }
}
