//! What a request says about who asks: `Authorization: Basic` or `Bearer`.
//!
//! Answers for `UrlBasicAuthCredentialProvider`, `UserInfoCredentialProvider`,
//! `SaslBasicAuthCredentialProvider`, `StaticTokenCredentialProvider`, `OauthCredentialProvider` and
//! `SaslOauthCredentialProvider`. Providers that are classes of the JVM are refused.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use connect_api::{Error, Result};
use reqwest::header::HeaderValue;
use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::config::Settings;
use crate::error::RegistryError;

/// Where the `Authorization` of a request comes from.
pub(crate) enum Auth {
    /// There is none.
    None,
    /// The same for all requests.
    Fixed(HeaderValue),
    /// By address.
    Url(Vec<(String, HeaderValue)>),
    /// A token that an issuer gives for a while.
    Issuer(Box<OAuth>),
}

/// The client-credentials grant.
pub(crate) struct OAuth {
    endpoint: String,
    client_id: String,
    client_secret: String,
    scope: Option<String>,
    /// How long before its end a token is replaced.
    buffer: Duration,
    token: Option<(HeaderValue, Option<Instant>)>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

impl Auth {
    /// # Errors
    /// Kind Config: the options contradict each other or miss something.
    pub(crate) fn new(settings: &Settings, urls: &[Url]) -> Result<Self> {
        let basic = settings.given("basic.auth.credentials.source");
        let bearer = settings.given("bearer.auth.credentials.source");
        match (basic, bearer) {
            (Some(_), Some(_)) => Err(Error::config(
                "Only one of basic.auth.credentials.source and bearer.auth.credentials.source \
                 may be specified",
            )),
            (Some(source), None) => Self::basic(source, settings, urls),
            (None, Some(source)) => Self::bearer(source, settings),
            (None, None) => Ok(Self::None),
        }
    }

    fn basic(source: &str, settings: &Settings, urls: &[Url]) -> Result<Self> {
        match source {
            "URL" => Ok(Self::Url(
                urls.iter()
                    .filter(|url| !url.username().is_empty())
                    .map(|url| {
                        let info = format!(
                            "{}:{}",
                            decoded(url.username()),
                            decoded(url.password().unwrap_or_default())
                        );
                        Ok((host(url), basic_header(&info)?))
                    })
                    .collect::<Result<_>>()?,
            )),
            "USER_INFO" => {
                let info = settings
                    .given("schema.registry.basic.auth.user.info")
                    .or_else(|| settings.given("basic.auth.user.info"))
                    .ok_or_else(|| {
                        Error::config(
                            "UserInfo must be provided when basic.auth.credentials.source is set \
                             to USER_INFO",
                        )
                    })?;
                Ok(Self::Fixed(basic_header(info)?))
            }
            "SASL_INHERIT" => {
                let jaas = settings.given("sasl.jaas.config").unwrap_or_default();
                let (Some(user), Some(password)) =
                    (jaas_option(jaas, "username"), jaas_option(jaas, "password"))
                else {
                    return Err(Error::config(
                        "SASL_INHERIT needs username and password in the converter's \
                         sasl.jaas.config",
                    ));
                };
                Ok(Self::Fixed(basic_header(&format!("{user}:{password}"))?))
            }
            other => Err(unknown("basic.auth.credentials.source", other)),
        }
    }

    fn bearer(source: &str, settings: &Settings) -> Result<Self> {
        match source {
            "STATIC_TOKEN" => {
                let token = settings.given("bearer.auth.token").ok_or_else(|| {
                    Error::config(
                        "Token must be provided via bearer.auth.token when \
                         bearer.auth.credentials.source is set to STATIC_TOKEN",
                    )
                })?;
                Ok(Self::Fixed(bearer_header(token)?))
            }
            "OAUTHBEARER" => {
                let required = |key: &str| {
                    settings.given(key).map(ToOwned::to_owned).ok_or_else(|| {
                        Error::config(format!(
                            "The OAuth configuration option {key} value must be non-null"
                        ))
                    })
                };
                Ok(Self::issuer(
                    required("bearer.auth.issuer.endpoint.url")?,
                    required("bearer.auth.client.id")?,
                    required("bearer.auth.client.secret")?,
                    settings.given("bearer.auth.scope").map(ToOwned::to_owned),
                    settings,
                ))
            }
            "SASL_OAUTHBEARER_INHERIT" => {
                let jaas = settings.given("sasl.jaas.config").unwrap_or_default();
                let endpoint = settings.given("sasl.oauthbearer.token.endpoint.url");
                let (Some(endpoint), Some(id), Some(secret)) = (
                    endpoint,
                    jaas_option(jaas, "clientId"),
                    jaas_option(jaas, "clientSecret"),
                ) else {
                    return Err(Error::config(
                        "SASL_OAUTHBEARER_INHERIT needs sasl.oauthbearer.token.endpoint.url, and \
                         clientId and clientSecret in sasl.jaas.config, among the converter's \
                         options",
                    ));
                };
                let scope = jaas_option(jaas, "scope");
                Ok(Self::issuer(
                    endpoint.to_owned(),
                    id,
                    secret,
                    scope,
                    settings,
                ))
            }
            "CUSTOM" | "UAMI" => Err(Error::config(format!(
                "bearer.auth.credentials.source={source} takes a class of the JVM; use \
                 OAUTHBEARER or STATIC_TOKEN"
            ))),
            other => Err(unknown("bearer.auth.credentials.source", other)),
        }
    }

    fn issuer(
        endpoint: String,
        client_id: String,
        client_secret: String,
        scope: Option<String>,
        settings: &Settings,
    ) -> Self {
        let buffer = settings
            .given("bearer.auth.cache.expiry.buffer.seconds")
            .and_then(|text| text.parse().ok())
            .unwrap_or(300);
        Self::Issuer(Box::new(OAuth {
            endpoint,
            client_id,
            client_secret,
            scope,
            buffer: Duration::from_secs(buffer),
            token: None,
        }))
    }

    /// The header of a request to this address.
    ///
    /// # Errors
    /// The issuer of tokens does not give one.
    pub(crate) fn header(
        &mut self,
        url: &Url,
        http: &Client,
        runtime: &Handle,
    ) -> std::result::Result<Option<HeaderValue>, RegistryError> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(header) => Ok(Some(header.clone())),
            Self::Url(headers) => Ok(headers
                .iter()
                .find(|(known, _)| *known == host(url))
                .map(|(_, header)| header.clone())),
            Self::Issuer(oauth) => oauth.header(http, runtime).map(Some),
        }
    }
}

impl OAuth {
    fn header(
        &mut self,
        http: &Client,
        runtime: &Handle,
    ) -> std::result::Result<HeaderValue, RegistryError> {
        if let Some((header, end)) = &self.token
            && end.is_none_or(|end| Instant::now() + self.buffer < end)
        {
            return Ok(header.clone());
        }
        let failed = |why: String| {
            RegistryError::io(format!(
                "getting a token from {} for the schema registry: {why}",
                self.endpoint
            ))
        };
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.scope {
            form.push_str("&scope=");
            form.push_str(&form_encoded(scope));
        }
        let credentials =
            BASE64_STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret));
        let request = http
            .post(&self.endpoint)
            .header("Authorization", format!("Basic {credentials}"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json")
            .body(form);
        let since = Instant::now();
        let (status, body) = runtime
            .block_on(async {
                let answer = request.send().await?;
                let status = answer.status();
                Ok::<_, reqwest::Error>((status, answer.bytes().await?))
            })
            .map_err(|error| failed(crate::rest::root_cause(&error)))?;
        if !status.is_success() {
            return Err(failed(format!("status {status}")));
        }
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
        let header = bearer_header(&answer.access_token)
            .map_err(|error| failed(error.message().to_owned()))?;
        let end = answer
            .expires_in
            .and_then(|seconds| since.checked_add(Duration::from_secs(seconds)));
        self.token = Some((header.clone(), end));
        Ok(header)
    }
}

fn unknown(key: &str, value: &str) -> Error {
    Error::config(format!(
        "Invalid value {value} for configuration {key}: no such credential provider"
    ))
}

fn basic_header(info: &str) -> Result<HeaderValue> {
    sensitive(&format!("Basic {}", BASE64_STANDARD.encode(info)))
}

fn bearer_header(token: &str) -> Result<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut header = HeaderValue::try_from(text)
        .map_err(|_| Error::config("the credentials for the schema registry fit in no header"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Host and port: what tells addresses apart once their credentials are gone.
fn host(url: &Url) -> String {
    format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or(0)
    )
}

/// One option of a JAAS line: `… username="me" password="it's";`.
fn jaas_option(jaas: &str, name: &str) -> Option<String> {
    let mut rest = jaas;
    loop {
        let at = rest.find(name)?;
        let (before, after) = rest.split_at(at);
        rest = after.get(name.len()..)?;
        let starts = before.chars().next_back().is_none_or(char::is_whitespace);
        let Some(value) = rest.trim_start().strip_prefix('=').filter(|_| starts) else {
            continue;
        };
        let value = value.trim_start();
        let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            let end = value.find(|c: char| c.is_whitespace() || c == ';');
            return Some(value.get(..end.unwrap_or(value.len()))?.to_owned());
        };
        let mut text = String::new();
        let mut characters = value.chars().skip(1);
        while let Some(character) = characters.next() {
            match character {
                '\\' => text.extend(characters.next()),
                _ if character == quote => return Some(text),
                _ => text.push(character),
            }
        }
        return None;
    }
}

/// Undoes percent-encoding, as an address has it for what its syntax reserves.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match hex {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn form_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                char::from(byte).to_string()
            }
            b' ' => "+".to_owned(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::definition;

    fn auth(entries: &[(&str, &str)]) -> Result<Auth> {
        let mut props = connect_api::Props::new();
        props.insert(
            "schema.registry.url".to_owned(),
            "http://me:p%40ss@a:8081".to_owned(),
        );
        for &(key, value) in entries {
            props.insert(key.to_owned(), value.to_owned());
        }
        let settings = Settings::new(&definition().parse(&props)?, false)?;
        let urls: Vec<Url> = settings
            .urls
            .iter()
            .map(|url| url.parse().expect("an address"))
            .collect();
        Auth::new(&settings, &urls)
    }
    fn shown(auth: Result<Auth>) -> Option<String> {
        let header = match auth.expect("valid") {
            Auth::None | Auth::Issuer(_) => return None,
            Auth::Fixed(header) => header,
            Auth::Url(mut headers) => headers.pop()?.1,
        };
        let text = header.to_str().expect("text");
        match text.strip_prefix("Basic ") {
            Some(encoded) => {
                let info = BASE64_STANDARD.decode(encoded).expect("base64");
                Some(String::from_utf8_lossy(&info).into_owned())
            }
            None => Some(text.to_owned()),
        }
    }

    #[test]
    fn without_a_source_nothing_is_sent() {
        assert_eq!(shown(auth(&[])), None);
        assert_eq!(shown(auth(&[("basic.auth.user.info", "a:b")])), None);
    }

    #[test]
    fn each_source_gives_its_header() {
        let source = ("basic.auth.credentials.source", "URL");
        assert_eq!(shown(auth(&[source])).as_deref(), Some("me:p@ss"));
        let source = ("basic.auth.credentials.source", "USER_INFO");
        let info = ("basic.auth.user.info", "a:b:c");
        assert_eq!(shown(auth(&[source, info])).as_deref(), Some("a:b:c"));
        let source = ("basic.auth.credentials.source", "SASL_INHERIT");
        let jaas = (
            "sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password='p\"w';",
        );
        assert_eq!(shown(auth(&[source, jaas])).as_deref(), Some("u:p\"w"));
        let source = ("bearer.auth.credentials.source", "STATIC_TOKEN");
        let token = ("bearer.auth.token", "abc");
        assert_eq!(shown(auth(&[source, token])).as_deref(), Some("Bearer abc"));
    }

    #[test]
    fn what_contradicts_itself_or_is_missing_is_refused() {
        let both = [
            ("basic.auth.credentials.source", "URL"),
            ("bearer.auth.credentials.source", "STATIC_TOKEN"),
        ];
        assert!(auth(&both).is_err());
        for (key, value) in [
            ("basic.auth.credentials.source", "USER_INFO"),
            ("basic.auth.credentials.source", "NOPE"),
            ("basic.auth.credentials.source", "SASL_INHERIT"),
            ("bearer.auth.credentials.source", "STATIC_TOKEN"),
            ("bearer.auth.credentials.source", "OAUTHBEARER"),
            ("bearer.auth.credentials.source", "SASL_OAUTHBEARER_INHERIT"),
            ("bearer.auth.credentials.source", "CUSTOM"),
            ("bearer.auth.credentials.source", "UAMI"),
        ] {
            assert!(auth(&[(key, value)]).is_err(), "{key}={value}");
        }
    }
}
