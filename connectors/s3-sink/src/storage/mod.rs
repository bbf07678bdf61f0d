//! The store that objects go to: one bucket, requests with retries, and the limits of what is on its
//! way.
//!
//! Knows neither records nor offsets. Answers for `io.confluent.connect.s3.storage.S3Storage`.

pub(crate) mod bucket;
pub(crate) mod credentials;
mod http;
pub(crate) mod in_flight;
pub(crate) mod object;
mod s3;

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use connect_api::{Error, ErrorKind, Result};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use self::bucket::{Bucket, Foreign, Meaning, StoreError, one_line};
use self::credentials::{Credentials, Source, Surroundings};
use self::http::Http;
use self::in_flight::InFlight;
use self::s3::S3Bucket;
use crate::config::invalid;

/// Requests of one task at a time; more only queue at the store.
const CONCURRENT_REQUESTS: usize = 16;
/// How long one request may take: a part of the default size at a tenth of a megabyte a second.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// The cap of the pause between retries; Java's of a day would outlast every consumer's session.
const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// Which store is meant by `store.url`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The S3 API.
    #[default]
    S3,
    /// `gs://`.
    Google,
    /// `az://`.
    Azure,
}

/// The options of the store.
#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    pub(crate) kind: Kind,
    pub(crate) bucket: String,
    pub(crate) region: String,
    /// `store.url`, or what the environment says.
    pub(crate) endpoint: Option<String>,
    pub(crate) path_style: bool,
    pub(crate) accelerate: bool,
    pub(crate) credentials: Source,
    pub(crate) part_size: usize,
    /// Tries of a request in all.
    pub(crate) attempts: usize,
    pub(crate) backoff: Duration,
    pub(crate) encryption: Encryption,
    /// `s3.acl.canned`.
    pub(crate) acl: Option<String>,
    pub(crate) proxy: Option<String>,
    /// Whether content goes with its MD5.
    pub(crate) digest: bool,
    pub(crate) expect_continue: bool,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            kind: Kind::S3,
            bucket: String::new(),
            region: "us-west-2".to_owned(),
            endpoint: None,
            path_style: true,
            accelerate: false,
            credentials: Source::Anonymous,
            part_size: 25 * 1024 * 1024,
            attempts: 3,
            backoff: Duration::from_millis(200),
            encryption: Encryption::BucketDefault,
            acl: None,
            proxy: None,
            digest: false,
            expect_continue: true,
        }
    }
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

/// How often and after which pauses a request is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    /// Tries in all.
    pub(crate) attempts: usize,
    /// Grows with every try; each pause is a random part of it.
    pub(crate) base: Duration,
}

impl Retry {
    /// The longest pause after try `number`, from 0.
    fn ceiling(self, number: usize) -> Duration {
        let factor = 1u32.checked_shl(u32::try_from(number).unwrap_or(u32::MAX));
        let grown = factor.and_then(|factor| self.base.checked_mul(factor));
        grown.unwrap_or(MAX_BACKOFF).min(MAX_BACKOFF.max(self.base))
    }

    /// A random part of the longest pause, so that those who failed together do not return together.
    fn pause(self, number: usize) -> Duration {
        let random = RandomState::new().hash_one(number) >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let share = random as f64 / (1u64 << 53) as f64;
        self.ceiling(number).mul_f64(share)
    }
}

/// A bucket that can be written to.
pub(crate) struct Store {
    pub(crate) bucket: Arc<dyn Bucket>,
    /// Endpoint and bucket, for error texts.
    place: String,
    part_size: usize,
    retry: Retry,
    runtime: Handle,
    in_flight: Arc<InFlight>,
    requests: Arc<Semaphore>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.place)
    }
}

impl Store {
    /// Connects to the bucket and asks whether it is there.
    ///
    /// # Errors
    /// Kind Config: the options do not make a client. Kind Fatal: there is no such bucket, or the
    /// store cannot be reached.
    pub(crate) fn connect(settings: &StoreSettings, runtime: &Handle) -> Result<Self> {
        let store = Self::unchecked(settings, runtime)?;
        store.check_bucket(&settings.bucket)?;
        Ok(store)
    }

    /// The same without asking.
    ///
    /// # Errors
    /// Kind Config: the options do not make a client.
    pub(crate) fn unchecked(settings: &StoreSettings, runtime: &Handle) -> Result<Self> {
        let place = place(settings);
        let bucket = client(settings, &place)?;
        let retry = Retry {
            attempts: settings.attempts.max(1),
            base: settings.backoff,
        };
        Ok(Self::over(
            bucket,
            place,
            settings.part_size,
            retry,
            runtime,
        ))
    }

    /// A store over any bucket; the memory of a test, for instance.
    pub(crate) fn over(
        bucket: Arc<dyn Bucket>,
        place: String,
        part_size: usize,
        retry: Retry,
        runtime: &Handle,
    ) -> Self {
        Self {
            bucket,
            place,
            part_size,
            retry,
            runtime: runtime.clone(),
            in_flight: InFlight::of_process(),
            requests: Arc::new(Semaphore::new(CONCURRENT_REQUESTS)),
        }
    }

    /// The same with a count of its own of what is on its way.
    #[cfg(test)]
    pub(crate) fn with_in_flight(mut self, in_flight: Arc<InFlight>) -> Self {
        self.in_flight = in_flight;
        self
    }

    /// Whether more may be handed to uploads.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight.has_room()
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// As `HeadBucket` at a task's start: only a missing bucket and a store out of reach count.
    fn check_bucket(&self, bucket: &str) -> Result<()> {
        let check = self.tried(|_| self.bucket.check());
        match self.runtime.block_on(check) {
            Ok(()) => Ok(()),
            Err(error) if error.meaning() == Meaning::Missing => Err(Error::config(invalid(
                "s3.bucket.name",
                bucket,
                &format!("Non-existent S3 bucket: {bucket}"),
            ))),
            Err(error)
                if matches!(error.status, Some(301 | 307 | 403))
                    && !is_credential_trouble(&error) =>
            {
                Ok(())
            }
            Err(error) => {
                Err(Error::fatal(format!("looking for {}", self.place)).with_source(error))
            }
        }
    }

    /// Makes a request until it succeeds, will not, or has been tried often enough. The request is
    /// told which try it is, from 0.
    pub(crate) async fn tried<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        mut request: impl FnMut(usize) -> F,
    ) -> Result<T, StoreError> {
        let mut number = 0;
        loop {
            let result = request(number).await;
            match &result {
                Err(error)
                    if number + 1 < self.retry.attempts
                        && (error.meaning() == Meaning::Transient || error.is_expired()) =>
                {
                    tracing::debug!(%error, place = self.place, "a request failed and is tried again");
                    tokio::time::sleep(self.retry.pause(number)).await;
                    number += 1;
                }
                _ => return result,
            }
        }
    }

    /// Blocks until a request has ended; for what a task asks before it writes.
    pub(crate) fn wait<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.block_on(request)
    }

    /// The error of an action on an object: retriable where the same request may succeed later,
    /// a conflict where another object has the name.
    pub(crate) fn failure(&self, action: &str, key: &str, error: StoreError) -> Error {
        let kind = match error.meaning() {
            Meaning::Transient => ErrorKind::Retriable,
            Meaning::Exists => ErrorKind::Conflict,
            // An upload that somebody aborted: the parts are gone, the records are not.
            Meaning::Missing if error.code.as_deref() == Some("NoSuchUpload") => {
                ErrorKind::Retriable
            }
            _ if error.is_expired() => ErrorKind::Retriable,
            Meaning::Missing | Meaning::Final => ErrorKind::Fatal,
        };
        Error::new(kind, format!("{action} {key} to {}", self.place)).with_source(error)
    }
}

/// A 403 that no bucket policy gives: the requests cannot be signed at all.
fn is_credential_trouble(error: &StoreError) -> bool {
    error.code.is_none() && error.text.starts_with("Unable to load credentials")
}

/// `bucket b at http://127.0.0.1:9000`.
fn place(settings: &StoreSettings) -> String {
    match settings.kind {
        Kind::S3 => {
            let endpoint = settings
                .endpoint
                .clone()
                .unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", settings.region));
            format!("bucket {} at {endpoint}", settings.bucket)
        }
        Kind::Google => format!("bucket {} of Google Cloud Storage", settings.bucket),
        Kind::Azure => format!("container {} of Azure Blob Storage", settings.bucket),
    }
}

fn client(settings: &StoreSettings, place: &str) -> Result<Arc<dyn Bucket>> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Error::config(format!("setting up a client for {place}")).with_source(one_line(error))
    };
    Ok(match settings.kind {
        Kind::S3 => {
            let http = Http::new(REQUEST_TIMEOUT, settings.proxy.as_deref())
                .map_err(|error| failed(&error))?;
            let around = Surroundings::real().map_err(|error| failed(&error))?;
            let credentials = Credentials::new(settings.credentials.clone(), around);
            Arc::new(S3Bucket::new(settings, http, credentials)?)
        }
        Kind::Google => {
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(&settings.bucket)
                .with_retry(no_retries());
            let client = builder.build().map_err(|error| failed(&error))?;
            Arc::new(Foreign::new(Arc::new(client)))
        }
        Kind::Azure => {
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(&settings.bucket)
                .with_retry(no_retries());
            let client = builder.build().map_err(|error| failed(&error))?;
            Arc::new(Foreign::new(Arc::new(client)))
        }
    })
}

/// Retries are the store's affair, by the connector's options.
fn no_retries() -> object_store::RetryConfig {
    object_store::RetryConfig {
        max_retries: 0,
        ..Default::default()
    }
}

#[cfg(test)]
mod s3_tests;
#[cfg(test)]
mod tests;
