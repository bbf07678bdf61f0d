//! The registry over HTTP: requests, repetitions with growing pauses, several addresses.
//!
//! Connections are kept and reused. The calling thread waits; it is a task's own. Answers for
//! `RestService` and `RestClientExponentialBackoff…`'s place in it.

use std::time::{Duration, Instant};

use connect_api::context::PluginContext;
use connect_api::{Error, Result as ConnectResult};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::auth::Auth;
use crate::config::Settings;
use crate::error::RegistryError;
use crate::registry::{
    Reference, RegisteredSchema, Registry, RegistrySchema, Result, Rule, SchemaKind,
};
use crate::tls;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// What the registry sees as the client's version.
const CLIENT_VERSION: &str = concat!("ferroconnect/", env!("CARGO_PKG_VERSION"));
/// Answers beyond this are no answers of a registry.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How much of an answer that cannot be read shows in the error.
const SHOWN_CHARS: usize = 500;

/// A registry at one or more addresses.
pub(crate) struct HttpRegistry {
    http: Client,
    runtime: Handle,
    /// The address to try first stands first.
    urls: Vec<Url>,
    auth: Auth,
    max_retries: u32,
    retries_wait: Duration,
    retries_max_wait: Duration,
    schema_format: Option<String>,
    /// Where the pauses come from: no secret, only spread.
    spread: u64,
}

impl std::fmt::Debug for HttpRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpRegistry({:?})", self.urls)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SchemaBody<'a> {
    schema_type: &'a str,
    schema: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<ReferenceBody<'a>>,
}

#[derive(Serialize)]
struct ReferenceBody<'a> {
    name: &'a str,
    subject: &'a str,
    version: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaAnswer {
    id: Option<i32>,
    version: Option<i32>,
    guid: Option<String>,
    schema_type: Option<String>,
    schema: Option<String>,
    #[serde(default)]
    references: Option<Vec<ReferenceAnswer>>,
    #[serde(default)]
    rule_set: Option<RuleSetAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleSetAnswer {
    migration_rules: Option<Vec<RuleAnswer>>,
    domain_rules: Option<Vec<RuleAnswer>>,
    encoding_rules: Option<Vec<RuleAnswer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleAnswer {
    name: Option<String>,
    mode: Option<String>,
    #[serde(rename = "type")]
    executor: Option<String>,
    on_failure: Option<String>,
    #[serde(default)]
    disabled: bool,
}

impl RuleAnswer {
    /// The rule, where it is in force.
    fn rule(self) -> Option<Rule> {
        let mode = self.mode.unwrap_or_default().to_ascii_uppercase();
        // What to do when it fails: when writing, then when reading.
        let actions = self.on_failure.unwrap_or_default();
        let (write, read) = actions.split_once(',').unwrap_or((&actions, &actions));
        let counts = |action: &str| action.trim() != "NONE";
        let rule = Rule {
            name: self.name.unwrap_or_default().into(),
            executor: self.executor.unwrap_or_default().into(),
            on_write: matches!(&*mode, "WRITE" | "WRITEREAD") && counts(write),
            on_read: matches!(&*mode, "READ" | "WRITEREAD") && counts(read),
            on_upgrade: matches!(&*mode, "UPGRADE" | "UPDOWN") && counts(read),
            on_downgrade: matches!(&*mode, "DOWNGRADE" | "UPDOWN") && counts(read),
        };
        let is_ever = rule.on_write || rule.on_read || rule.on_upgrade || rule.on_downgrade;
        (!self.disabled && is_ever).then_some(rule)
    }
}

#[derive(Deserialize)]
struct ReferenceAnswer {
    name: String,
    subject: String,
    version: i32,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error_code: i32,
    message: Option<String>,
}

#[derive(Deserialize)]
struct AssociationAnswer {
    subject: Option<String>,
}

impl SchemaAnswer {
    fn schema(&mut self) -> Result<Option<RegistrySchema>> {
        let Some(text) = self.schema.take() else {
            return Ok(None);
        };
        let kind = match self.schema_type.as_deref() {
            None => SchemaKind::Avro,
            Some(name) => SchemaKind::of(name).ok_or_else(|| {
                RegistryError::Serialization(format!("Invalid schema type {name}"))
            })?,
        };
        let references = self.references.take().unwrap_or_default();
        let rules = self.rule_set.take().into_iter().flat_map(|rules| {
            let all = [
                rules.migration_rules,
                rules.domain_rules,
                rules.encoding_rules,
            ];
            all.into_iter().flatten().flatten()
        });
        Ok(Some(RegistrySchema {
            kind,
            text: text.into(),
            references: references
                .into_iter()
                .map(|reference| Reference {
                    name: reference.name.into(),
                    subject: reference.subject.into(),
                    version: reference.version,
                })
                .collect(),
            rules: rules.filter_map(RuleAnswer::rule).collect(),
        }))
    }
    fn registered(mut self) -> Result<RegisteredSchema> {
        let schema = self.schema()?;
        Ok(RegisteredSchema {
            id: self
                .id
                .ok_or_else(|| RegistryError::io("the registry's answer has no id"))?,
            version: self.version,
            guid: self.guid.and_then(|guid| guid.parse().ok()),
            schema,
        })
    }
    fn with_schema(self, what: &str) -> Result<RegisteredSchema> {
        let registered = self.registered()?;
        if registered.schema.is_none() {
            return Err(RegistryError::io(format!(
                "the registry's answer to {what} has no schema"
            )));
        }
        Ok(registered)
    }
}

/// What is asked: a path below the address, already encoded, with its query.
struct Request {
    method: Method,
    path: String,
    body: Option<String>,
}

impl Request {
    fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
        }
    }
    fn post(path: String, schema: &RegistrySchema) -> Result<Self> {
        let body = SchemaBody {
            schema_type: schema.kind.name(),
            schema: &schema.text,
            references: schema
                .references
                .iter()
                .map(|reference| ReferenceBody {
                    name: &reference.name,
                    subject: &reference.subject,
                    version: reference.version,
                })
                .collect(),
        };
        let body = serde_json::to_string(&body)
            .map_err(|error| RegistryError::Serialization(error.to_string()))?;
        Ok(Self {
            method: Method::POST,
            path,
            body: Some(body),
        })
    }
}

/// How one attempt ended, if not well.
struct Failed {
    error: RegistryError,
    /// Whether the next address may do better.
    elsewhere: bool,
    /// Whether the same address may.
    again: bool,
}

impl HttpRegistry {
    /// A client of the addresses; connects to none yet.
    ///
    /// # Errors
    /// Kind Config: the options make no client.
    pub(crate) fn new(settings: &Settings, context: &PluginContext) -> ConnectResult<Self> {
        let mut urls = Vec::with_capacity(settings.urls.len());
        for text in &settings.urls {
            let invalid = |why: String| {
                Error::config(format!(
                    "Invalid value {text} for configuration schema.registry.url: {why}"
                ))
            };
            let url: Url = text.parse().map_err(|error| invalid(format!("{error}")))?;
            if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
                return Err(invalid("neither http nor https".to_owned()));
            }
            urls.push(url);
        }
        let auth = Auth::new(settings, &urls)?;
        for url in &mut urls {
            // The name in an address is sent only where basic.auth.credentials.source says URL.
            if url.set_username("").is_err() || url.set_password(None).is_err() {
                return Err(Error::config(
                    "Invalid value for configuration schema.registry.url: no host",
                ));
            }
        }
        let mut builder = Client::builder()
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout)
            .no_proxy()
            .default_headers(headers(settings)?);
        if let Some(host) = settings.given("proxy.host") {
            let port = settings.given("proxy.port").unwrap_or("-1");
            let proxy = reqwest::Proxy::all(format!("http://{host}:{port}")).map_err(|error| {
                Error::config(format!(
                    "Invalid value {host}:{port} for configuration proxy.host"
                ))
                .with_source(error)
            })?;
            builder = builder.proxy(proxy);
        }
        if let Some(config) = tls::client_config(&settings.ssl)? {
            builder = builder.tls_backend_preconfigured(config);
        }
        let http = builder.build().map_err(|error| {
            Error::config("setting up the schema registry's client").with_source(error)
        })?;
        let mut registry = Self {
            http,
            runtime: context.runtime.clone(),
            urls,
            auth,
            max_retries: settings.max_retries,
            retries_wait: settings.retries_wait,
            retries_max_wait: settings.retries_max_wait,
            schema_format: settings.schema_format.clone(),
            spread: Uuid::new_v4().as_u64_pair().0,
        };
        if settings.randomize {
            let first = registry.below(registry.urls.len() as u64);
            registry.urls.rotate_left(first as usize);
        }
        Ok(registry)
    }

    /// A number from 0 to `limit - 1`.
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64: spreads what is no secret.
        self.spread = self.spread.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.spread;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }

    /// The pause before repetition `number`, from 0: somewhere up to a limit that doubles.
    fn pause(&mut self, number: u32) -> Duration {
        let limit = self
            .retries_wait
            .saturating_mul(2_u32.saturating_pow(number))
            .min(self.retries_max_wait);
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.below(limit) + 1)
    }

    /// Asks, with repetitions and at all addresses; `None` for an answer without content.
    fn ask<T: for<'a> Deserialize<'a>>(&mut self, request: &Request) -> Result<Option<T>> {
        let body = self.send(request)?;
        let Some(body) = body else { return Ok(None) };
        serde_json::from_slice(&body).map(Some).map_err(|error| {
            RegistryError::io(format!(
                "the registry's answer to {} {} cannot be read: {error}",
                request.method, request.path
            ))
        })
    }

    /// Asks for what has to be there.
    fn fetch<T: for<'a> Deserialize<'a>>(&mut self, request: &Request) -> Result<T> {
        self.ask(request)?.ok_or_else(|| {
            RegistryError::io(format!(
                "the registry's answer to {} {} is empty",
                request.method, request.path
            ))
        })
    }

    fn send(&mut self, request: &Request) -> Result<Option<Vec<u8>>> {
        let mut left = self.urls.len();
        loop {
            match self.send_to_first(request) {
                Ok(body) => return Ok(body),
                Err(failed) => {
                    left -= 1;
                    if !failed.elsewhere || left == 0 {
                        return Err(failed.error);
                    }
                    tracing::warn!(
                        registry = %self.urls[0],
                        error = %failed.error,
                        "schema registry fails, going on with the next address"
                    );
                    self.urls.rotate_left(1);
                }
            }
        }
    }

    /// One address, with repetitions.
    fn send_to_first(&mut self, request: &Request) -> Result<Option<Vec<u8>>, Failed> {
        let mut repetition = 0;
        loop {
            let failed = match self.attempt(request) {
                Ok(body) => return Ok(body),
                Err(failed) => failed,
            };
            if !failed.again || repetition >= self.max_retries {
                return Err(failed);
            }
            let pause = self.pause(repetition);
            tracing::debug!(error = %failed.error, ?pause, "asking the schema registry again");
            std::thread::sleep(pause);
            repetition += 1;
        }
    }

    fn attempt(&mut self, request: &Request) -> Result<Option<Vec<u8>>, Failed> {
        let base = &self.urls[0];
        let url = format!("{}{}", base.as_str().trim_end_matches('/'), request.path);
        let io = |message: String, timeout, elsewhere| Failed {
            error: RegistryError::Io { message, timeout },
            elsewhere,
            again: true,
        };
        let mut sent = self
            .http
            .request(request.method.clone(), &url)
            .header(reqwest::header::CONTENT_TYPE, CONTENT_TYPE);
        let authorization = self
            .auth
            .header(base, &self.http, &self.runtime)
            .map_err(|error| Failed {
                error,
                elsewhere: false,
                again: true,
            })?;
        if let Some(authorization) = authorization {
            sent = sent.header(reqwest::header::AUTHORIZATION, authorization);
        }
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        let answer = self.runtime.block_on(async {
            let mut answer = sent.send().await?;
            let status = answer.status().as_u16();
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER_BYTES {
                    break;
                }
            }
            Ok::<_, reqwest::Error>((status, body))
        });
        let (status, body) = answer.map_err(|error| {
            io(
                format!("{}: {}", root_cause(&error), base),
                error.is_timeout(),
                true,
            )
        })?;
        if body.len() > MAX_ANSWER_BYTES {
            return Err(io(
                format!("the answer of {base} is larger than {MAX_ANSWER_BYTES} bytes"),
                false,
                false,
            ));
        }
        match status {
            200 | 207 => Ok(Some(body)),
            204 => Ok(None),
            _ => {
                let retriable = matches!(status, 408 | 429 | 500 | 502 | 503 | 504);
                let (code, message) = match serde_json::from_slice::<ErrorAnswer>(&body) {
                    Ok(answer) => (answer.error_code, answer.message.unwrap_or_default()),
                    Err(_) => (
                        50005,
                        format!(
                            "Unable to parse error message from schema registry: '({})'",
                            shown(&body)
                        ),
                    ),
                };
                Err(Failed {
                    error: RegistryError::Rest {
                        status,
                        code,
                        message,
                    },
                    elsewhere: retriable,
                    again: retriable,
                })
            }
        }
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .take(SHOWN_CHARS)
        .collect()
}

/// The innermost cause: the client's own texts repeat the address and hide the reason.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    // `Connection refused (os error 111)`: the number says nothing more.
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

fn headers(settings: &Settings) -> ConnectResult<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        let invalid = |what: &str| {
            Error::config(format!(
                "Invalid value for configuration request.header.{name}: no {what} of a header"
            ))
        };
        let name_ = HeaderName::try_from(name).map_err(|_| invalid("name"))?;
        let value = HeaderValue::try_from(value).map_err(|_| invalid("value"))?;
        headers.insert(name_, value);
        Ok(())
    };
    add("Confluent-Accept-Unknown-Properties", "true")?;
    add("Confluent-Client-Version", CLIENT_VERSION)?;
    for (key, header) in [
        ("bearer.auth.logical.cluster", "target-sr-cluster"),
        ("bearer.auth.identity.pool.id", "Confluent-Identity-Pool-Id"),
    ] {
        if let Some(value) = settings.given(key)
            && settings.given("bearer.auth.credentials.source").is_some()
        {
            add(header, value)?;
        }
    }
    for (name, value) in settings.request_headers() {
        add(name, value)?;
    }
    Ok(headers)
}

/// A text as one segment of a path or one value of a query.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

impl Registry for HttpRegistry {
    fn register(
        &mut self,
        subject: &str,
        schema: &RegistrySchema,
        normalize: bool,
    ) -> Result<RegisteredSchema> {
        let mut path = format!(
            "/subjects/{}/versions?normalize={normalize}",
            encoded(subject)
        );
        if let Some(format) = &self.schema_format {
            path.push_str(&format!("&format={}", encoded(format)));
        }
        let request = Request::post(path, schema)?;
        let since = Instant::now();
        let registered = self.fetch::<SchemaAnswer>(&request)?.registered()?;
        tracing::info!(
            subject,
            id = registered.id,
            took_ms = since.elapsed().as_millis(),
            "schema registered"
        );
        Ok(registered)
    }

    fn lookup(
        &mut self,
        subject: &str,
        schema: &RegistrySchema,
        normalize: bool,
        deleted: bool,
    ) -> Result<RegisteredSchema> {
        let path = format!(
            "/subjects/{}?normalize={normalize}&deleted={deleted}",
            encoded(subject)
        );
        let request = Request::post(path, schema)?;
        // Answers to a question about this very schema: the registry's own print of it does not
        // replace it, unless it was normalised or comes with rules.
        let mut found = self.fetch::<SchemaAnswer>(&request)?.registered()?;
        let has_rules = |schema: &RegistrySchema| !schema.rules.is_empty();
        if !normalize && !found.schema.as_ref().is_some_and(has_rules) {
            found.schema = None;
        }
        Ok(found)
    }

    fn latest(&mut self, subject: &str) -> Result<RegisteredSchema> {
        let path = format!("/subjects/{}/versions/latest", encoded(subject));
        self.fetch::<SchemaAnswer>(&Request::get(path))?
            .with_schema("the latest version")
    }

    fn latest_with_metadata(
        &mut self,
        subject: &str,
        metadata: &[(String, String)],
    ) -> Result<RegisteredSchema> {
        let pairs: Vec<String> = metadata
            .iter()
            .map(|(key, value)| format!("key={}&value={}", encoded(key), encoded(value)))
            .collect();
        let path = format!(
            "/subjects/{}/metadata?{}",
            encoded(subject),
            pairs.join("&")
        );
        self.fetch::<SchemaAnswer>(&Request::get(path))?
            .with_schema("the latest version with metadata")
    }

    fn version(&mut self, subject: &str, version: i32) -> Result<RegisteredSchema> {
        let path = format!(
            "/subjects/{}/versions/{version}?deleted=true",
            encoded(subject)
        );
        self.fetch::<SchemaAnswer>(&Request::get(path))?
            .with_schema("a version")
    }

    fn by_id(&mut self, id: i32, subject: &str) -> Result<RegistrySchema> {
        let path = format!(
            "/schemas/ids/{id}?fetchMaxId=false&subject={}",
            encoded(subject)
        );
        self.fetch::<SchemaAnswer>(&Request::get(path))?
            .schema()?
            .ok_or_else(|| RegistryError::io(format!("the answer to id {id} has no schema")))
    }

    fn by_guid(&mut self, guid: Uuid) -> Result<RegistrySchema> {
        self.fetch::<SchemaAnswer>(&Request::get(format!("/schemas/guids/{guid}")))?
            .schema()?
            .ok_or_else(|| RegistryError::io(format!("the answer to GUID {guid} has no schema")))
    }

    fn associated_subjects(
        &mut self,
        namespace: &str,
        topic: &str,
        is_key: bool,
    ) -> Result<Vec<String>> {
        let path = format!(
            "/associations/resources/{}/{}?resourceType=topic&associationType={}",
            encoded(namespace),
            encoded(topic),
            if is_key { "key" } else { "value" }
        );
        let found: Option<Vec<AssociationAnswer>> = self.ask(&Request::get(path))?;
        Ok(found
            .unwrap_or_default()
            .into_iter()
            .filter_map(|association| association.subject)
            .collect())
    }
}

#[cfg(test)]
mod tests;
