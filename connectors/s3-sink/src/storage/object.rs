//! One object on its way into the store: bytes are buffered up to a part, parts go up while the
//! task writes on, and nothing is visible before the object is finished.
//!
//! ```text
//! task's thread    write -> buffer --full--> part ----+            finish -> Upload
//!                                                     v                        ^
//! async runtime                            create, put parts, complete --------+
//! ```
//!
//! A dropped [`ObjectWriter`] aborts what it began. Answers for `S3OutputStream`.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use connect_api::context::StopSignal;
use connect_api::{Error, Result};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::{Store, cost};

/// Bytes with their share of the upload budget.
struct Piece {
    bytes: Bytes,
    budget: OwnedSemaphorePermit,
}

enum Message {
    Part(Piece),
    Last(Piece),
}

/// Takes an object's bytes.
pub(crate) struct ObjectWriter {
    store: Arc<Store>,
    stop: StopSignal,
    key: String,
    path: Path,
    buffer: Vec<u8>,
    multipart: Option<(UnboundedSender<Message>, JoinHandle<Result<()>>)>,
}

impl std::fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectWriter({})", self.key)
    }
}

impl ObjectWriter {
    /// # Errors
    /// Kind Fatal: the store's client cannot address such a key.
    pub(crate) fn new(store: &Arc<Store>, stop: &StopSignal, key: String) -> Result<Self> {
        let path = Path::parse(&key)
            .map_err(|error| Error::fatal(format!("naming object {key}")).with_source(error))?;
        Ok(Self {
            store: Arc::clone(store),
            stop: stop.clone(),
            key,
            path,
            buffer: Vec::new(),
            multipart: None,
        })
    }

    /// The object's name.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The end of what was written, to append to; call [`Self::appended`] afterwards.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Sends full parts on their way.
    ///
    /// # Errors
    /// Kind Retriable: the task is to stop while the upload budget is used up.
    pub(crate) fn appended(&mut self) -> Result<()> {
        while self.buffer.len() > self.store.part_size {
            let rest = self.buffer.split_off(self.store.part_size);
            let part = std::mem::replace(&mut self.buffer, rest);
            let piece = self.piece(part)?;
            let (parts, _) = self.multipart.get_or_insert_with(|| {
                let (sender, receiver) = unbounded_channel();
                let upload = multipart(
                    Arc::clone(&self.store),
                    self.key.clone(),
                    self.path.clone(),
                    receiver,
                );
                (sender, self.store.runtime.spawn(upload))
            });
            // A failed upload hears no more; its error comes with the last part.
            drop(parts.send(Message::Part(piece)));
        }
        Ok(())
    }

    /// The object is complete: uploads what is left. It is visible once the [`Upload`] has ended
    /// well.
    ///
    /// # Errors
    /// As [`Self::appended`].
    pub(crate) fn finish(mut self) -> Result<Upload> {
        let last = std::mem::take(&mut self.buffer);
        let piece = self.piece(last)?;
        let handle = match self.multipart.take() {
            Some((parts, handle)) => {
                drop(parts.send(Message::Last(piece)));
                handle
            }
            // One request does where there is one part: the same object, a third of the requests.
            None => {
                let (store, key, path) =
                    (Arc::clone(&self.store), self.key.clone(), self.path.clone());
                self.store.runtime.spawn(async move {
                    let _request = store.requests.acquire().await;
                    let result = store
                        .objects
                        .put(&path, PutPayload::from_bytes(piece.bytes))
                        .await;
                    drop(piece.budget);
                    result
                        .map(|_| ())
                        .map_err(|error| store.failure("uploading", &key, error))
                })
            }
        };
        Ok(Upload {
            key: self.key,
            runtime: self.store.runtime.clone(),
            handle,
        })
    }

    /// Takes a share of the budget; blocks while there is none.
    fn piece(&self, bytes: Vec<u8>) -> Result<Piece> {
        let budget = &self.store.budget;
        let share = cost(bytes.len());
        let acquired = Arc::clone(budget).try_acquire_many_owned(share).or_else(|_| {
            self.store.runtime.block_on(async {
                tokio::select! {
                    permit = Arc::clone(budget).acquire_many_owned(share) => {
                        permit.map_err(|error| Error::fatal("taking a share of the upload budget").with_source(error))
                    }
                    () = self.stop.wait_async() => {
                        Err(Error::retriable("stopping while uploads are under way"))
                    }
                }
            })
        });
        Ok(Piece {
            bytes: Bytes::from(bytes),
            budget: acquired?,
        })
    }
}

impl io::Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.appended().map_err(io::Error::other)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Uploads parts as they come; ends with the object complete or the upload aborted.
async fn multipart(
    store: Arc<Store>,
    key: String,
    path: Path,
    mut messages: UnboundedReceiver<Message>,
) -> Result<()> {
    let id = store
        .parts
        .create_multipart(&path)
        .await
        .map_err(|error| store.failure("beginning the upload of", &key, error))?;
    let result = async {
        let mut under_way = FuturesUnordered::new();
        let mut done = Vec::new();
        let (mut count, mut is_last) = (0, false);
        loop {
            tokio::select! {
                message = messages.recv(), if !is_last => {
                    let piece = match message {
                        Some(Message::Part(piece)) => piece,
                        Some(Message::Last(piece)) => {
                            is_last = true;
                            piece
                        }
                        None => return Err(Error::retriable(format!("object {key} was given up"))),
                    };
                    let (number, store, path, id) = (count, &store, &path, &id);
                    count += 1;
                    under_way.push(async move {
                        let _request = store.requests.acquire().await;
                        let payload = PutPayload::from_bytes(piece.bytes);
                        let part = store.parts.put_part(path, id, number, payload).await;
                        drop(piece.budget);
                        part.map(|part| (number, part))
                    });
                }
                Some(part) = under_way.next() => {
                    done.push(part.map_err(|error| {
                        store.failure(&format!("uploading a part of {key}, object"), &key, error)
                    })?);
                }
                else => break,
            }
        }
        done.sort_by_key(|(number, _)| *number);
        let parts = done.into_iter().map(|(_, part)| part).collect();
        store
            .parts
            .complete_multipart(&path, &id, parts)
            .await
            .map(|_| ())
            .map_err(|error| store.failure("completing the upload of", &key, error))
    }
    .await;
    if result.is_err()
        && let Err(error) = store.parts.abort_multipart(&path, &id).await
    {
        tracing::debug!(key, %error, "an upload could not be aborted");
    }
    result
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
