//! The store that objects go to: one bucket behind an S3 API, and the limits of what is on its way.
//!
//! Knows neither records nor offsets. Answers for `io.confluent.connect.s3.storage.S3Storage`.

pub(crate) mod credentials;
pub(crate) mod object;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use connect_api::{Error, ErrorKind, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::config::invalid;

/// What all sink tasks of the process together may have handed to uploads and not yet seen
/// finished. Two parts of the default size and some; a part that is larger goes alone.
const UPLOAD_BUDGET_BYTES: usize = 64 * 1024 * 1024;
/// The budget is counted in these, so that it fits into the semaphore's permits.
pub(crate) const BUDGET_UNIT: usize = 1024;
/// What an upload counts at least: it also holds a connection and its bookkeeping.
const MIN_UPLOAD_COST: usize = 64 * 1024;
/// Requests of one task at a time; more only queue at the store.
const CONCURRENT_REQUESTS: usize = 16;
/// How long one request may take: a part of the default size at a tenth of a megabyte a second.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// How long one request may take with its retries; above the longest of S3's own answers.
const RETRY_TIMEOUT: Duration = Duration::from_secs(180);
/// The cap of the pause between retries.
const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// The options of the store.
#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    pub(crate) bucket: String,
    pub(crate) region: String,
    /// `store.url`, or what the environment says.
    pub(crate) endpoint: Option<String>,
    pub(crate) path_style: bool,
    pub(crate) accelerate: bool,
    /// Access key and secret, where both are given.
    pub(crate) static_credentials: Option<(String, String)>,
    pub(crate) part_size: usize,
    /// Tries of a request in all.
    pub(crate) attempts: usize,
    pub(crate) backoff: Duration,
    pub(crate) encryption: Encryption,
    pub(crate) proxy: Option<String>,
    /// Whether the signature covers the content.
    pub(crate) sign_payload: bool,
}

/// Server-side encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// What the bucket does by itself.
    BucketDefault,
    /// `AES256`.
    S3,
    /// `aws:kms` with this key.
    Kms(String),
    /// A customer's key, base64.
    Customer(String),
}

/// A bucket that can be written to.
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    /// Endpoint and bucket, for error texts.
    place: String,
    part_size: usize,
    runtime: Handle,
    budget: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.place)
    }
}

fn process_budget() -> &'static Arc<Semaphore> {
    static BUDGET: OnceLock<Arc<Semaphore>> = OnceLock::new();
    BUDGET.get_or_init(|| Arc::new(Semaphore::new(UPLOAD_BUDGET_BYTES / BUDGET_UNIT)))
}

/// Permits that an upload of so many bytes takes.
pub(crate) fn cost(bytes: usize) -> u32 {
    let bytes = bytes.clamp(MIN_UPLOAD_COST, UPLOAD_BUDGET_BYTES);
    u32::try_from(bytes.div_ceil(BUDGET_UNIT)).unwrap_or(u32::MAX)
}

impl Store {
    /// Connects to the bucket and asks whether it is there.
    ///
    /// # Errors
    /// Kind Config: the options do not make a client. Kind Fatal: there is no such bucket, or the
    /// store cannot be reached.
    pub(crate) fn connect(settings: &StoreSettings, runtime: &Handle) -> Result<Self> {
        let place = place(settings);
        let client = client(settings).map_err(|error| {
            Error::config(format!("setting up a client for {place}")).with_source(Cause::of(&error))
        })?;
        let store = Self::over(
            Arc::new(client.clone()),
            Arc::new(client.clone()),
            place,
            settings.part_size,
            runtime,
        );
        store.check_bucket(&client, &settings.bucket)?;
        Ok(store)
    }

    /// A store over any implementation; the memory of a test, for instance.
    pub(crate) fn over(
        objects: Arc<dyn ObjectStore>,
        parts: Arc<dyn MultipartStore>,
        place: String,
        part_size: usize,
        runtime: &Handle,
    ) -> Self {
        Self {
            objects,
            parts,
            place,
            part_size,
            runtime: runtime.clone(),
            budget: Arc::clone(process_budget()),
            requests: Arc::new(Semaphore::new(CONCURRENT_REQUESTS)),
        }
    }

    /// As `HeadBucket` at a task's start: only a missing bucket and a store out of reach count.
    fn check_bucket(&self, client: &AmazonS3, bucket: &str) -> Result<()> {
        let options = PaginatedListOptions {
            max_keys: Some(1),
            ..Default::default()
        };
        match self.runtime.block_on(client.list_paginated(None, options)) {
            Ok(_) => Ok(()),
            Err(object_store::Error::NotFound { .. }) => Err(Error::config(invalid(
                "s3.bucket.name",
                bucket,
                &format!("Non-existent S3 bucket: {bucket}"),
            ))),
            Err(
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. },
            ) => Ok(()),
            Err(error) if matches!(status(&error), Some(301 | 307 | 403)) => Ok(()),
            Err(error) if error.to_string().contains("NoSuchBucket") => {
                Err(Error::config(invalid(
                    "s3.bucket.name",
                    bucket,
                    &format!("Non-existent S3 bucket: {bucket}"),
                )))
            }
            Err(error) => {
                Err(Error::fatal(format!("looking for {}", self.place))
                    .with_source(Cause::of(&error)))
            }
        }
    }

    /// The error of an action on an object: retriable where the same request may succeed later.
    pub(crate) fn failure(&self, action: &str, key: &str, error: object_store::Error) -> Error {
        let kind = match &error {
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. }
            | object_store::Error::InvalidPath { .. }
            | object_store::Error::NotSupported { .. }
            | object_store::Error::NotImplemented { .. }
            | object_store::Error::Precondition { .. }
            | object_store::Error::AlreadyExists { .. }
            | object_store::Error::NotFound { .. } => ErrorKind::Fatal,
            other => match status(other) {
                Some(501) => ErrorKind::Fatal,
                Some(408 | 429) => ErrorKind::Retriable,
                Some(400..=499) => ErrorKind::Fatal,
                _ => ErrorKind::Retriable,
            },
        };
        Error::new(kind, format!("{action} {key} to {}", self.place)).with_source(Cause::of(&error))
    }
}

/// A store's error on one line. Each layer of the client repeats what is below it; here every part
/// is said once.
#[derive(Debug)]
struct Cause(String);

impl Cause {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = String::new();
        let mut layer = Some(error);
        while let Some(error) = layer {
            let own = error.to_string();
            layer = error.source();
            match layer.map(ToString::to_string) {
                Some(below) if own == below => {}
                Some(below) => match own.strip_suffix(below.as_str()) {
                    Some(prefix) => text.push_str(prefix),
                    None => {
                        text.push_str(&own);
                        text.push_str(": ");
                    }
                },
                None => text.push_str(&own),
            }
        }
        Self(text)
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

/// The HTTP status in an error that the store's client has no kind for; its type is not public,
/// its text is `… status code: 503 Service Unavailable: …`.
fn status(error: &object_store::Error) -> Option<u16> {
    let text = error.to_string();
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// `bucket b at http://127.0.0.1:9000`.
fn place(settings: &StoreSettings) -> String {
    let endpoint = settings
        .endpoint
        .clone()
        .unwrap_or_else(|| format!("https://s3.{}.amazonaws.com:443", settings.region));
    format!("bucket {} at {endpoint}", settings.bucket)
}

fn client(settings: &StoreSettings) -> object_store::Result<AmazonS3> {
    let attempts = settings.attempts.max(1);
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: settings.backoff,
            max_backoff: MAX_BACKOFF.max(settings.backoff),
            base: 2.0,
        },
        max_retries: attempts - 1,
        retry_timeout: RETRY_TIMEOUT,
    };
    let mut builder = match &settings.static_credentials {
        Some((key, secret)) => AmazonS3Builder::new()
            .with_access_key_id(key)
            .with_secret_access_key(secret),
        None => credentials::from_surroundings(),
    };
    let http = settings
        .endpoint
        .as_deref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    let options = ClientOptions::new()
        .with_allow_http(http)
        .with_timeout(REQUEST_TIMEOUT)
        .with_http1_only();
    builder = builder
        .with_client_options(options)
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_retry(retry)
        .with_allow_http(http)
        .with_unsigned_payload(!settings.sign_payload)
        .with_virtual_hosted_style_request(!settings.path_style);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(virtual_host(endpoint, settings));
    } else if settings.accelerate {
        let endpoint = format!("https://{}.s3-accelerate.amazonaws.com", settings.bucket);
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(proxy) = &settings.proxy {
        builder = builder.with_proxy_url(proxy);
    }
    builder = match &settings.encryption {
        Encryption::BucketDefault => builder,
        Encryption::S3 => match "aws_server_side_encryption".parse::<AmazonS3ConfigKey>() {
            Ok(key) => builder.with_config(key, "AES256"),
            Err(error) => return Err(error),
        },
        Encryption::Kms(key) => builder.with_sse_kms_encryption(key),
        Encryption::Customer(key) => builder.with_ssec_encryption(key),
    };
    builder.build()
}

/// With the bucket in the host name, the client takes the endpoint with the bucket in it.
fn virtual_host(endpoint: &str, settings: &StoreSettings) -> String {
    match (settings.path_style, endpoint.split_once("://")) {
        (false, Some((scheme, host))) => format!("{scheme}://{}.{host}", settings.bucket),
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_says_each_part_once() {
        let inner = Error::fatal("tcp connect error").with_source("refused");
        let error = object_store::Error::Generic {
            store: "S3",
            source: Box::new(inner),
        };
        assert_eq!(
            Cause::of(&error).to_string(),
            "Generic S3 error: tcp connect error: refused"
        );
    }

    #[test]
    fn a_status_decides_what_is_tried_again() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let memory = Arc::new(object_store::memory::InMemory::new());
        let objects: Arc<dyn ObjectStore> = Arc::<object_store::memory::InMemory>::clone(&memory);
        let store = Store::over(
            objects,
            memory,
            "bucket b at http://s3:9000".to_owned(),
            1,
            runtime.handle(),
        );
        for (status, kind) in [
            ("503 Service Unavailable", ErrorKind::Retriable),
            ("429 Too Many Requests", ErrorKind::Retriable),
            ("403 Forbidden", ErrorKind::Fatal),
            ("501 Not Implemented", ErrorKind::Fatal),
        ] {
            let source = format!("Server returned non-2xx status code: {status}: ").into();
            let error = store.failure(
                "uploading",
                "k",
                object_store::Error::Generic {
                    store: "S3",
                    source,
                },
            );
            assert_eq!(error.kind(), kind, "{status}");
            assert_eq!(error.message(), "uploading k to bucket b at http://s3:9000");
        }
    }
}
