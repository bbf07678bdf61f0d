//! One object on its way into the store: bytes are buffered up to a part, parts go up while the
//! task writes on, and nothing is visible before the object is finished.
//!
//! ```text
//! task's thread    write -> buffer --full--> part ----+            finish -> Upload
//!                                                     v                        ^
//! async runtime                            create, put parts, complete --------+
//! ```
//!
//! A dropped [`ObjectWriter`] aborts what it began. What was stored although its answer was lost
//! counts as stored. Answers for `S3OutputStream`.

use std::io;
use std::sync::Arc;

use connect_api::{Error, Result};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use md5::{Digest, Md5};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::Store;
use super::bucket::{Meaning, Mode, PutPayload, StoreError};
use super::in_flight::Load;
use super::s3::md5;
use crate::spill::{Spool, Waiting};

/// The smallest part that stores take, but for the last.
const MIN_PART_BYTES: usize = 5 * 1024 * 1024;

/// Bytes that count as being on their way until they are dropped.
struct Piece {
    bytes: PutPayload,
    load: Load,
}

enum Message {
    Part(Piece),
    Last(Piece, Ending),
}

/// What happens at an object's end.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// Whether it may take another object's place.
    pub(crate) mode: Mode,
    /// Tags that it gets once it is stored.
    pub(crate) tags: Option<Tags>,
}

impl Ending {
    /// The last one wins, without tags.
    pub(crate) const PLAIN: Self = Self {
        mode: Mode::Overwrite,
        tags: None,
    };
}

/// An object's tags.
#[derive(Clone, Debug)]
pub(crate) struct Tags {
    pub(crate) pairs: Vec<(String, String)>,
    /// Whether the task fails where they cannot be set.
    pub(crate) required: bool,
}

/// Takes an object's bytes.
pub(crate) struct ObjectWriter {
    store: Arc<Store>,
    key: String,
    buffer: Waiting,
    /// Bytes that have gone on their way.
    sent: u64,
    multipart: Option<(UnboundedSender<Message>, JoinHandle<Result<()>>)>,
}

impl std::fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectWriter({})", self.key)
    }
}

impl ObjectWriter {
    pub(crate) fn new(store: &Arc<Store>, key: String) -> Self {
        Self {
            store: Arc::clone(store),
            key,
            buffer: Waiting::default(),
            sent: 0,
            multipart: None,
        }
    }

    /// The object's name.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The end of what was written, to append to; call [`Self::appended`] afterwards.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer.bytes
    }

    /// How large the object is so far.
    pub(crate) fn written(&self) -> u64 {
        self.sent + self.buffer.len() as u64
    }

    /// What it takes of the memory.
    pub(crate) fn held(&self) -> usize {
        self.buffer.held()
    }

    /// Lets go of memory: as a part where there is enough for one, else to disk.
    ///
    /// # Errors
    /// As [`Self::appended`]. A full disk is none: the bytes stay in memory.
    pub(crate) fn relieve(&mut self, spool: &Arc<Spool>) -> Result<()> {
        if self.buffer.len() >= MIN_PART_BYTES {
            let part = self.buffer.take_chunks()?;
            self.send(part);
            return Ok(());
        }
        if let Err(error) = self.buffer.spill(spool) {
            tracing::warn!(%error, "spilling open files to disk");
        }
        Ok(())
    }

    /// Sends full parts on their way. Never blocks: who writes asks the store whether it has room.
    ///
    /// # Errors
    /// Kind Retriable: what was spilled cannot be read back.
    pub(crate) fn appended(&mut self) -> Result<()> {
        self.buffer.appended();
        while self.buffer.len() > self.store.part_size {
            let part = self.buffer.take_front(self.store.part_size)?;
            self.send(part);
        }
        Ok(())
    }

    fn send(&mut self, part: PutPayload) {
        let piece = self.piece(part);
        self.sent += piece.bytes.content_length() as u64;
        let (parts, _) = self.multipart.get_or_insert_with(|| {
            let (sender, receiver) = unbounded_channel();
            let upload = multipart(Arc::clone(&self.store), self.key.clone(), receiver);
            (sender, self.store.runtime.spawn(upload))
        });
        // A failed upload hears no more; its error comes with the last part.
        drop(parts.send(Message::Part(piece)));
    }

    /// The object is complete: uploads what is left. It is visible once the [`Upload`] has ended
    /// well.
    ///
    /// # Errors
    /// As [`Self::appended`].
    pub(crate) fn finish(mut self, ending: Ending) -> Result<Upload> {
        let last = self.buffer.take_chunks()?;
        let piece = self.piece(last);
        let handle = match self.multipart.take() {
            Some((parts, handle)) => {
                drop(parts.send(Message::Last(piece, ending)));
                handle
            }
            // One request does where there is one part: the same object, a third of the requests.
            None => {
                let upload = single(Arc::clone(&self.store), self.key.clone(), piece, ending);
                self.store.runtime.spawn(upload)
            }
        };
        Ok(Upload {
            key: self.key,
            runtime: self.store.runtime.clone(),
            handle,
        })
    }

    fn piece(&self, bytes: PutPayload) -> Piece {
        let load = self.store.in_flight.load(bytes.content_length());
        Piece { bytes, load }
    }
}

impl io::Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.bytes.extend_from_slice(bytes);
        self.appended().map_err(io::Error::other)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Uploads a whole object in one request.
async fn single(store: Arc<Store>, key: String, piece: Piece, ending: Ending) -> Result<()> {
    {
        let _request = store.requests.acquire().await;
        let body = &piece.bytes;
        let put = store.tried(|number| {
            let (store, key) = (&store, &key);
            async move {
                match store.bucket.put(key, body.clone(), ending.mode).await {
                    Err(error) if number > 0 && error.meaning() == Meaning::Exists => {
                        let own = hex(&md5(body));
                        is_own(store, key, &own, error).await
                    }
                    other => other.map(|_| ()),
                }
            }
        });
        put.await
            .map_err(|error| store.failure("uploading", &key, error))?;
    }
    drop(piece);
    tag(&store, &key, ending.tags).await
}

/// Uploads parts as they come; ends with the object complete or the upload aborted.
async fn multipart(
    store: Arc<Store>,
    key: String,
    mut messages: UnboundedReceiver<Message>,
) -> Result<()> {
    let begun = store.tried(|_| store.bucket.begin(&key)).await;
    let id = begun.map_err(|error| store.failure("beginning the upload of", &key, error))?;
    let result = async {
        let mut under_way = FuturesUnordered::new();
        let mut done = Vec::new();
        let mut count = 0;
        let mut ending = None;
        loop {
            tokio::select! {
                message = messages.recv(), if ending.is_none() => {
                    let piece = match message {
                        Some(Message::Part(piece)) => piece,
                        Some(Message::Last(piece, last)) => {
                            ending = Some(last);
                            piece
                        }
                        None => return Err(Error::retriable(format!("object {key} was given up"))),
                    };
                    let (number, store, key, id) = (count, &store, &key, &id);
                    count += 1;
                    under_way.push(async move {
                        let _request = store.requests.acquire().await;
                        let part = store
                            .tried(|_| store.bucket.part(key, id, number, piece.bytes.clone()))
                            .await;
                        drop(piece.load);
                        part.map(|part| (number, part))
                    });
                }
                Some(part) = under_way.next() => {
                    done.push(part.map_err(|error| {
                        store.failure("Part upload failed: uploading a part of", &key, error)
                    })?);
                }
                else => break,
            }
        }
        done.sort_by_key(|(number, _)| *number);
        let parts: Vec<String> = done.into_iter().map(|(_, part)| part).collect();
        let ending = ending.unwrap_or(Ending::PLAIN);
        complete(&store, &key, &id, &parts, ending.mode).await?;
        Ok(ending.tags)
    }
    .await;
    match result {
        Ok(tags) => tag(&store, &key, tags).await,
        Err(error) => {
            if let Err(error) = store.bucket.abort(&key, &id).await {
                tracing::debug!(key, %error, "an upload could not be aborted");
            }
            Err(error)
        }
    }
}

async fn complete(store: &Store, key: &str, id: &str, parts: &[String], mode: Mode) -> Result<()> {
    store
        .tried(|number| async move {
            match store.bucket.complete(key, id, parts, mode).await {
                // The answer to the try before may have been lost.
                Err(error)
                    if number > 0
                        && (error.meaning() == Meaning::Exists
                            || error.code.as_deref() == Some("NoSuchUpload")) =>
                {
                    match etag_of_parts(parts) {
                        Some(own) => is_own(store, key, &own, error).await,
                        None => Err(error),
                    }
                }
                other => other,
            }
        })
        .await
        .map_err(|error| store.failure("completing the upload of", key, error))
}

/// Whether what stands under the name is what was just sent; else `error`.
async fn is_own(
    store: &Store,
    key: &str,
    own: &str,
    error: StoreError,
) -> std::result::Result<(), StoreError> {
    match store.bucket.head(key).await {
        Ok(found) if found.etag == own => Ok(()),
        _ => Err(error),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The entity tag that S3 gives to an object of parts, where theirs are their MD5s.
fn etag_of_parts(parts: &[String]) -> Option<String> {
    let mut all = Md5::new();
    for part in parts {
        if part.len() != 32 {
            return None;
        }
        for pair in part.as_bytes().chunks(2) {
            let byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
            all.update([byte]);
        }
    }
    Some(format!("{}-{}", hex(&all.finalize()), parts.len()))
}

async fn tag(store: &Store, key: &str, tags: Option<Tags>) -> Result<()> {
    let Some(tags) = tags else { return Ok(()) };
    let tagged = store.tried(|_| store.bucket.tag(key, &tags.pairs)).await;
    match tagged {
        Ok(()) => Ok(()),
        Err(error) if tags.required => {
            Err(Error::fatal(format!("Unable to tag S3 object {key}")).with_source(error))
        }
        Err(error) => {
            tracing::warn!(key, %error, "an object could not be tagged; it stays without tags");
            Ok(())
        }
    }
}

/// An object that is complete but perhaps not yet stored.
#[derive(Debug)]
pub(crate) struct Upload {
    key: String,
    runtime: tokio::runtime::Handle,
    handle: JoinHandle<Result<()>>,
}

impl Upload {
    /// Whether it has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
    /// How it ended; blocks until it has.
    ///
    /// # Errors
    /// The object is not there.
    pub(crate) fn wait(self) -> Result<()> {
        self.runtime.block_on(self.handle).unwrap_or_else(|error| {
            Err(Error::retriable(format!("uploading {}", self.key)).with_source(error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entity_tag_of_parts_is_that_of_s3() {
        let parts = ["5d41402abc4b2a76b9719d911017c592".to_owned()];
        assert_eq!(
            etag_of_parts(&parts).as_deref(),
            Some("62109206880d38a4010a98e11243924a-1")
        );
        assert_eq!(etag_of_parts(&["opaque".to_owned()]), None);
    }
}
