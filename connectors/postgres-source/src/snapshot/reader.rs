//! The sessions that read a snapshot's chunks, all of one state of the database.
//!
//! ```text
//!   jobs, in order --> reader 1 --[ rows, bounded in bytes ]--+
//!                  --> reader 2 --[ rows, bounded in bytes ]--+--> the task's thread
//! ```
//!
//! Each takes the next job when it is done with one. The task's thread says whose rows it takes
//! next; the others wait in their queues, and their readers with them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::error::PgError;
use crate::protocol::connection::Connection;
use crate::protocol::replication::Share;

/// A chunk of a table, both by their place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) table: usize,
    pub(super) chunk: usize,
}

/// A chunk to be read.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) at: At,
    pub(super) sql: String,
}

/// Rows of a chunk in a buffer. They hold their share of the queue until dropped.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) at: At,
    pub(super) buffer: Bytes,
    pub(super) ranges: Vec<Range<usize>>,
    permit: OwnedSemaphorePermit,
}

impl Rows {
    /// The share that a long row takes, for as long as it stands in memory.
    pub(super) fn into_share(self) -> Option<Share> {
        Share::of_long(self.buffer.len(), self.permit)
    }
}

/// What comes of a chunk.
#[derive(Debug)]
pub(super) enum Part {
    Begin(At),
    /// Rows follow, once there is room for them.
    Follows(At),
    Rows(Rows),
    End(At),
}

/// A failure, and what was being read.
pub(super) type Failure = (At, PgError);

#[derive(Debug)]
struct Reader {
    parts: mpsc::UnboundedReceiver<Result<Part, Failure>>,
    session: JoinHandle<Connection>,
    /// What it is reading.
    at: Option<At>,
    ended: bool,
}

/// All sessions of a snapshot; the first is the one that exported what they see.
#[derive(Debug)]
pub(super) struct Readers {
    readers: Vec<Reader>,
    next: usize,
}

impl Readers {
    /// Lets the sessions read; `buffer_bytes` is how much may wait for all of them together.
    pub(super) fn start(
        connections: Vec<Connection>,
        jobs: VecDeque<Job>,
        buffer_bytes: usize,
    ) -> Self {
        let jobs = Arc::new(Mutex::new(jobs));
        // In KiB, for permits count in 32 bits.
        let share = (buffer_bytes / 1024 / connections.len().max(1)).max(1);
        let readers = connections
            .into_iter()
            .map(|connection| {
                let (sender, parts) = mpsc::unbounded_channel();
                let session = Session {
                    connection,
                    jobs: Arc::clone(&jobs),
                    sender,
                    budget: Arc::new(Semaphore::new(share)),
                    share: u32::try_from(share).unwrap_or(u32::MAX),
                };
                Reader {
                    parts,
                    session: tokio::spawn(session.run()),
                    at: None,
                    ended: false,
                }
            })
            .collect();
        Self { readers, next: 0 }
    }

    /// The next part of a chunk that may go on; none after the last.
    pub(super) async fn next(
        &mut self,
        may_go_on: impl Fn(At) -> bool,
    ) -> Result<Option<Part>, Failure> {
        std::future::poll_fn(|cx| {
            let count = self.readers.len();
            let mut open = false;
            for turn in 0..count {
                let place = (self.next + turn) % count;
                let Some(reader) = self.readers.get_mut(place).filter(|reader| !reader.ended)
                else {
                    continue;
                };
                open = true;
                if reader.at.is_some_and(|at| !may_go_on(at)) {
                    continue;
                }
                match reader.parts.poll_recv(cx) {
                    Poll::Pending => {}
                    Poll::Ready(None) => {
                        reader.ended = true;
                        // Another look at who is still there.
                        cx.waker().wake_by_ref();
                    }
                    Poll::Ready(Some(part)) => {
                        match &part {
                            Ok(Part::Begin(at)) => reader.at = Some(*at),
                            Ok(Part::End(_)) => reader.at = None,
                            Ok(Part::Follows(_) | Part::Rows(_)) | Err(_) => {}
                        }
                        self.next = (place + 1) % count;
                        return Poll::Ready(part.map(Some));
                    }
                }
            }
            match open {
                true => Poll::Pending,
                false => Poll::Ready(Ok(None)),
            }
        })
        .await
    }

    /// Ends them all; answers the first session if it is idle.
    pub(super) async fn stop(self) -> Option<Connection> {
        let mut first = None;
        for (place, reader) in self.readers.into_iter().enumerate() {
            drop(reader.parts);
            if !reader.ended {
                // In the middle of a COPY: the session is of no more use.
                reader.session.abort();
                continue;
            }
            match reader.session.await {
                Ok(connection) if place == 0 => first = Some(connection),
                Ok(connection) => connection.close().await,
                Err(_) => {}
            }
        }
        first
    }
}

struct Session {
    connection: Connection,
    jobs: Arc<Mutex<VecDeque<Job>>>,
    sender: mpsc::UnboundedSender<Result<Part, Failure>>,
    budget: Arc<Semaphore>,
    share: u32,
}

impl Session {
    async fn run(mut self) -> Connection {
        loop {
            let job = {
                let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                jobs.pop_front()
            };
            let Some(job) = job else {
                return self.connection;
            };
            if let Err(error) = self.read(&job).await {
                // Nobody listens only when the snapshot has been let go of already.
                self.sender.send(Err((job.at, error))).ok();
                return self.connection;
            }
        }
    }

    async fn read(&mut self, job: &Job) -> Result<(), PgError> {
        let at = job.at;
        self.send(Part::Begin(at))?;
        self.connection.copy_out(&job.sql).await?;
        loop {
            let reserved = match self.connection.long_row().await? {
                Some(length) => Some(self.room(at, length).await?),
                None => None,
            };
            let Some((buffer, ranges)) = self.connection.copy_chunk().await? else {
                return self.send(Part::End(at));
            };
            let permit = match reserved {
                Some(permit) => permit,
                None => self.room(at, buffer.len()).await?,
            };
            self.send(Part::Rows(Rows {
                at,
                buffer,
                ranges,
                permit,
            }))?;
        }
    }

    /// Room for so many bytes. What is larger than the whole share passes alone.
    async fn room(&mut self, at: At, bytes: usize) -> Result<OwnedSemaphorePermit, PgError> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let (budget, kib) = (Arc::clone(&self.budget), kib.min(self.share));
        if let Ok(permit) = Arc::clone(&budget).try_acquire_many_owned(kib) {
            return Ok(permit);
        }
        // A row that waits for what follows it may take the room that this waits for.
        self.send(Part::Follows(at))?;
        let permit = budget.acquire_many_owned(kib).await;
        permit.map_err(|_closed| PgError::Stopped)
    }

    fn send(&self, part: Part) -> Result<(), PgError> {
        self.sender.send(Ok(part)).map_err(|_| PgError::Stopped)
    }
}
