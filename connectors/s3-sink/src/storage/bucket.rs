//! What the sink needs of a store: one bucket, requests that may fail, no retries and no budgets.
//!
//! [`S3Bucket`](super::s3::S3Bucket) is the S3 API; [`Foreign`] stands over another store's client
//! (`gs://`, `az://`, the memory of a test).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
pub(crate) use object_store::PutPayload;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

/// An error of a request.
#[derive(Debug)]
pub(crate) struct StoreError {
    /// The HTTP status, where there was an answer.
    pub(crate) status: Option<u16>,
    /// S3's error code, where the answer has one.
    pub(crate) code: Option<String>,
    /// Everything that is known, on one line.
    pub(crate) text: String,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl std::error::Error for StoreError {}

/// What a failed request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The same request may succeed later.
    Transient,
    /// An object of that name exists already.
    Exists,
    /// There is no such thing.
    Missing,
    /// It will fail again.
    Final,
}

/// Codes with which S3 and its imitators ask for patience, whatever the status.
const TRANSIENT_CODES: &[&str] = &[
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "InternalError",
    "ServiceUnavailable",
    "ConditionalRequestConflict",
    "OperationAborted",
    "IncompleteBody",
];

impl StoreError {
    /// No answer came.
    pub(crate) fn lost(error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            status: None,
            code: None,
            text: one_line(error),
        }
    }

    pub(crate) fn meaning(&self) -> Meaning {
        if self
            .code
            .as_deref()
            .is_some_and(|code| TRANSIENT_CODES.contains(&code))
        {
            return Meaning::Transient;
        }
        match self.status {
            None | Some(408 | 429) => Meaning::Transient,
            Some(501) => Meaning::Final,
            Some(500..) => Meaning::Transient,
            Some(404) => Meaning::Missing,
            Some(412) => Meaning::Exists,
            Some(_) => Meaning::Final,
        }
    }

    /// Whether credentials ran out, so that new ones help.
    pub(crate) fn is_expired(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired")
        )
    }
}

/// An error and its causes on one line. Each layer of a client repeats what is below it; here every
/// part is said once.
pub(crate) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
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
    text
}

/// Whether an object may take the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The last one wins.
    Overwrite,
    /// Only where there is none (`If-None-Match: *`).
    Create,
}

/// What is known of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) size: u64,
    /// The entity tag, without quotes.
    pub(crate) etag: String,
}

/// One bucket. Methods make one request each (listings: one per page).
#[async_trait]
pub(crate) trait Bucket: Send + Sync + fmt::Debug {
    /// Whether the bucket is there, as `HeadBucket` tells.
    async fn check(&self) -> Result<(), StoreError>;
    /// Stores a whole object; answers its entity tag.
    async fn put(&self, key: &str, body: PutPayload, mode: Mode) -> Result<String, StoreError>;
    /// Begins an upload in parts; answers its id.
    async fn begin(&self, key: &str) -> Result<String, StoreError>;
    /// Uploads part `number`, from 0; answers its entity tag.
    async fn part(
        &self,
        key: &str,
        id: &str,
        number: usize,
        body: PutPayload,
    ) -> Result<String, StoreError>;
    /// Makes the object of its parts.
    async fn complete(
        &self,
        key: &str,
        id: &str,
        parts: &[String],
        mode: Mode,
    ) -> Result<(), StoreError>;
    /// Gives up an upload.
    async fn abort(&self, key: &str, id: &str) -> Result<(), StoreError>;
    /// What stands under a name.
    async fn head(&self, key: &str) -> Result<Stored, StoreError>;
    /// An object's bytes; a range of them where one is given (end exclusive).
    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Bytes, StoreError>;
    /// Everything below a prefix.
    async fn list(&self, prefix: &str) -> Result<Vec<Stored>, StoreError>;
    /// Replaces an object's tags.
    async fn tag(&self, key: &str, tags: &[(String, String)]) -> Result<(), StoreError>;
    /// Uploads below a prefix that were begun and not ended: name and id.
    async fn unfinished(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError>;
}

/// A store behind another client.
#[derive(Debug)]
pub(crate) struct Foreign<T> {
    client: Arc<T>,
}

impl<T> Foreign<T> {
    pub(crate) fn new(client: Arc<T>) -> Self {
        Self { client }
    }
}

fn path(key: &str) -> Result<Path, StoreError> {
    Path::parse(key).map_err(|error| StoreError {
        status: Some(400),
        code: None,
        text: one_line(&error),
    })
}

fn foreign(error: object_store::Error) -> StoreError {
    use object_store::Error as E;
    let text = one_line(&error);
    let status = match &error {
        E::NotFound { .. } => Some(404),
        E::AlreadyExists { .. } | E::Precondition { .. } => Some(412),
        E::PermissionDenied { .. } => Some(403),
        E::Unauthenticated { .. } => Some(401),
        E::NotSupported { .. } | E::NotImplemented { .. } => Some(501),
        E::InvalidPath { .. } => Some(400),
        // The status has no public type; its text is `… status code: 503 Service Unavailable: …`.
        _ => text
            .split_once("status code: ")
            .and_then(|(_, rest)| rest.get(..3)?.parse().ok()),
    };
    StoreError {
        status,
        code: None,
        text,
    }
}

fn stored(object: object_store::ObjectMeta) -> Stored {
    Stored {
        key: object.location.to_string(),
        size: object.size,
        etag: object
            .e_tag
            .unwrap_or_default()
            .trim_matches('"')
            .to_owned(),
    }
}

fn unsupported(what: &str) -> StoreError {
    StoreError {
        status: Some(501),
        code: None,
        text: format!("this store has no {what}"),
    }
}

#[async_trait]
impl<T: ObjectStore + MultipartStore> Bucket for Foreign<T> {
    async fn check(&self) -> Result<(), StoreError> {
        let mut listing = self.client.list(None);
        listing.try_next().await.map(|_| ()).map_err(foreign)
    }
    async fn put(&self, key: &str, body: PutPayload, mode: Mode) -> Result<String, StoreError> {
        let options = PutOptions::from(match mode {
            Mode::Overwrite => PutMode::Overwrite,
            Mode::Create => PutMode::Create,
        });
        let put = self.client.put_opts(&path(key)?, body, options).await;
        Ok(put.map_err(foreign)?.e_tag.unwrap_or_default())
    }
    async fn begin(&self, key: &str) -> Result<String, StoreError> {
        let path = path(key)?;
        self.client.create_multipart(&path).await.map_err(foreign)
    }
    async fn part(
        &self,
        key: &str,
        id: &str,
        number: usize,
        body: PutPayload,
    ) -> Result<String, StoreError> {
        let (path, id) = (path(key)?, id.to_owned());
        let part = self.client.put_part(&path, &id, number, body).await;
        Ok(part.map_err(foreign)?.content_id)
    }
    async fn complete(
        &self,
        key: &str,
        id: &str,
        parts: &[String],
        mode: Mode,
    ) -> Result<(), StoreError> {
        // These clients have no condition here: asked beforehand, which leaves a gap of one request.
        if mode == Mode::Create && self.head(key).await.is_ok() {
            return Err(StoreError {
                status: Some(412),
                code: None,
                text: format!("{key} exists"),
            });
        }
        let parts = parts.iter().map(|id| PartId {
            content_id: id.clone(),
        });
        let (path, id) = (path(key)?, id.to_owned());
        let done = self
            .client
            .complete_multipart(&path, &id, parts.collect())
            .await;
        done.map(|_| ()).map_err(foreign)
    }
    async fn abort(&self, key: &str, id: &str) -> Result<(), StoreError> {
        let (path, id) = (path(key)?, id.to_owned());
        self.client
            .abort_multipart(&path, &id)
            .await
            .map_err(foreign)
    }
    async fn head(&self, key: &str) -> Result<Stored, StoreError> {
        let path = path(key)?;
        self.client.head(&path).await.map(stored).map_err(foreign)
    }
    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Bytes, StoreError> {
        let path = path(key)?;
        match range {
            Some((start, end)) => self.client.get_range(&path, start..end).await,
            None => self.client.get(&path).await.map_err(foreign)?.bytes().await,
        }
        .map_err(foreign)
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Stored>, StoreError> {
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let listing = self.client.list(Some(&path(folder)?));
        let all: Vec<_> = listing
            .map_ok(stored)
            .try_collect()
            .await
            .map_err(foreign)?;
        Ok(all
            .into_iter()
            .filter(|object| object.key.starts_with(prefix))
            .collect())
    }
    async fn tag(&self, _key: &str, _tags: &[(String, String)]) -> Result<(), StoreError> {
        Err(unsupported("tags"))
    }
    async fn unfinished(&self, _prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        Err(unsupported("listing of unfinished uploads"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, code: Option<&str>) -> Meaning {
        StoreError {
            status: Some(status),
            code: code.map(ToOwned::to_owned),
            text: String::new(),
        }
        .meaning()
    }

    #[test]
    fn status_and_code_decide_what_is_tried_again() {
        for (status, code, meaning) in [
            (503, Some("SlowDown"), Meaning::Transient),
            (500, None, Meaning::Transient),
            (429, None, Meaning::Transient),
            (400, Some("RequestTimeout"), Meaning::Transient),
            (409, Some("ConditionalRequestConflict"), Meaning::Transient),
            (403, Some("AccessDenied"), Meaning::Final),
            (403, Some("RequestTimeTooSkewed"), Meaning::Final),
            (501, None, Meaning::Final),
            (404, Some("NoSuchUpload"), Meaning::Missing),
            (412, Some("PreconditionFailed"), Meaning::Exists),
        ] {
            assert_eq!(answered(status, code), meaning, "{status} {code:?}");
        }
    }

    #[test]
    fn causes_are_said_once() {
        let inner = connect_api::Error::fatal("tcp connect error").with_source("refused");
        let error = object_store::Error::Generic {
            store: "S3",
            source: Box::new(inner),
        };
        assert_eq!(
            one_line(&error),
            "Generic S3 error: tcp connect error: refused"
        );
    }
}
