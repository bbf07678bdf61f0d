//! A running `START_REPLICATION`: chunks of the log come out, confirmed positions go in.
//!
//! ```text
//!   socket --> reader task --> [ chunks, bounded in bytes ] --> decoding thread
//!                 ^   |
//!     keepalives, |   +-- status updates: every interval, on request, on a new confirmed position
//!     confirmed --+
//! ```
//!
//! The reader never decodes: it looks at frame headers only, so that the cost per row lies where
//! the rows are used. While the consumer is behind it stops reading and goes on answering, so that
//! a slow consumer never looks like a dead one. It confirms only what [`ReplicationStream::confirm`]
//! was told. Answers for Debezium's `PostgresReplicationConnection` and pgjdbc's
//! `V3PGReplicationStream`.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::Lsn;
use super::connection::{Connection, frame_at, frame_begun, server_error, unexpected};
use super::pgoutput::POSTGRES_EPOCH_US;
use crate::error::PgError;

/// How long the server may take to end the stream politely.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Frames beyond this length have room made for them before they are read.
pub(super) const LONG_FRAME: usize = 1024 * 1024;

/// Room in the buffer between reader and consumer, taken until it is dropped.
#[derive(Debug)]
pub struct Share(#[expect(dead_code, reason = "dropped in time")] OwnedSemaphorePermit);

impl Share {
    /// That of so many bytes, if it is worth waiting for: that of a long frame.
    pub(crate) fn of_long(bytes: usize, permit: OwnedSemaphorePermit) -> Option<Self> {
        (bytes > LONG_FRAME).then(|| Self(permit))
    }
}

/// Whole frames as they came off the socket. Holds its share of the buffer until dropped.
#[derive(Debug)]
pub struct Chunk {
    bytes: Bytes,
    at: usize,
    permit: OwnedSemaphorePermit,
}

/// What a chunk holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogMessage {
    /// A message of the plugin.
    Data {
        /// Where it starts in the log.
        lsn: Lsn,
        /// Where it lies in the chunk's bytes.
        range: std::ops::Range<usize>,
    },
    /// Everything before this position has been sent.
    SentUpTo(Lsn),
}

impl Chunk {
    /// The buffer that ranges refer to.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether everything has been taken out.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The room that a long chunk takes, for as long as its rows have it in memory.
    #[must_use]
    pub fn into_share(self) -> Option<Share> {
        Share::of_long(self.bytes.len(), self.permit)
    }

    /// The next message.
    ///
    /// # Errors
    /// A frame that is no replication message.
    pub fn next_message(&mut self) -> Result<Option<LogMessage>, PgError> {
        while let Some((tag, body)) = frame_at(&self.bytes, self.at)? {
            self.at = body.end;
            if tag != b'd' {
                continue;
            }
            let content = self.bytes.get(body.clone()).unwrap_or_default();
            match content.first() {
                Some(b'w') if content.len() >= 25 => {
                    let lsn = Lsn(u64_at(content, 1));
                    return Ok(Some(LogMessage::Data {
                        lsn,
                        range: body.start + 25..body.end,
                    }));
                }
                Some(b'k') if content.len() >= 18 => {
                    return Ok(Some(LogMessage::SentUpTo(Lsn(u64_at(content, 1)))));
                }
                _ => {
                    return Err(PgError::Protocol(
                        "a malformed replication message".to_owned(),
                    ));
                }
            }
        }
        Ok(None)
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<8>())
        .map_or(0, |chunk| u64::from_be_bytes(*chunk))
}

/// How to run a stream.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// The slot.
    pub slot: String,
    /// Where to start; the server starts no earlier than the slot's confirmed position.
    pub start: Lsn,
    /// Plugin options, in order.
    pub plugin_options: Vec<(String, String)>,
    /// `status.update.interval.ms`.
    pub status_interval: Duration,
    /// How many bytes may wait between reader and consumer.
    pub buffer_bytes: usize,
}

/// A stream that is running.
#[derive(Debug)]
pub struct ReplicationStream {
    chunks: mpsc::UnboundedReceiver<Result<Chunk, PgError>>,
    confirmed: watch::Sender<Lsn>,
    reader: JoinHandle<()>,
}

impl ReplicationStream {
    /// Sends `START_REPLICATION` and lets the reader run.
    ///
    /// # Errors
    /// The server refuses, for instance since the slot is in use.
    pub async fn start(
        mut connection: Connection,
        options: &StreamOptions,
    ) -> Result<Self, PgError> {
        connection.send_query(&start_command(options)).await?;
        let mut failure = None;
        loop {
            let frame = connection.read_frame().await?;
            match frame.tag {
                b'W' => break,
                b'E' => failure = Some(server_error(&frame.body)),
                b'Z' => {
                    return Err(failure.map_or_else(
                        || PgError::Protocol("replication ended before it began".to_owned()),
                        PgError::Server,
                    ));
                }
                b'N' | b'S' => {}
                tag => return Err(unexpected(tag, "START_REPLICATION")),
            }
        }
        connection.let_gather();
        let (sender, chunks) = mpsc::unbounded_channel();
        let (confirmed, confirmations) = watch::channel(Lsn(0));
        let reader = Reader {
            connection,
            sender,
            confirmations,
            // In KiB, for permits count in 32 bits.
            budget: Arc::new(Semaphore::new(options.buffer_bytes.div_ceil(1024).max(1))),
            budget_kib: u32::try_from(options.buffer_bytes.div_ceil(1024).max(1))
                .unwrap_or(u32::MAX),
            received: options.start,
        };
        let interval = options.status_interval;
        let reader = tokio::spawn(reader.run(interval));
        Ok(Self {
            chunks,
            confirmed,
            reader,
        })
    }

    /// The next chunk. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The stream ended: the server's reason, or a broken connection.
    pub async fn next_chunk(&mut self) -> Result<Chunk, PgError> {
        self.chunks.recv().await.unwrap_or_else(|| Err(ended()))
    }

    /// A chunk that is there already.
    ///
    /// # Errors
    /// As [`Self::next_chunk`].
    pub fn ready_chunk(&mut self) -> Result<Option<Chunk>, PgError> {
        match self.chunks.try_recv() {
            Ok(chunk) => chunk.map(Some),
            Err(mpsc::error::TryRecvError::Empty) => Ok(None),
            Err(mpsc::error::TryRecvError::Disconnected) => Err(ended()),
        }
    }

    /// Tells the server that everything before `lsn` is stored and may be forgotten. A position
    /// never moves backwards.
    pub fn confirm(&self, lsn: Lsn) {
        self.confirmed.send_if_modified(|confirmed| {
            let newer = lsn > *confirmed;
            if newer {
                *confirmed = lsn;
            }
            newer
        });
    }

    /// Ends the stream: the last confirmed position is sent, and the slot is free on return.
    pub async fn stop(self) {
        let Self {
            chunks,
            confirmed,
            mut reader,
        } = self;
        drop(chunks);
        drop(confirmed);
        if tokio::time::timeout(STOP_TIMEOUT * 2, &mut reader)
            .await
            .is_err()
        {
            reader.abort();
        }
    }
}

fn ended() -> PgError {
    PgError::Io {
        server: "the database".to_owned(),
        doing: "streaming",
        source: std::io::ErrorKind::UnexpectedEof.into(),
    }
}

fn start_command(options: &StreamOptions) -> String {
    let plugin_options: Vec<String> = options
        .plugin_options
        .iter()
        .map(|(name, value)| {
            format!(
                "{} {}",
                super::quote_identifier(name),
                super::quote_literal(value)
            )
        })
        .collect();
    format!(
        "START_REPLICATION SLOT {} LOGICAL {} ({})",
        super::quote_identifier(&options.slot),
        options.start,
        plugin_options.join(", ")
    )
}

struct Reader {
    connection: Connection,
    sender: mpsc::UnboundedSender<Result<Chunk, PgError>>,
    confirmations: watch::Receiver<Lsn>,
    budget: Arc<Semaphore>,
    budget_kib: u32,
    received: Lsn,
}

impl Reader {
    async fn run(mut self, interval: Duration) {
        match self.pump(interval).await {
            Ok(()) => self.finish().await,
            // Nobody listens only when the task has let go of the stream already.
            Err(error) => drop(self.sender.send(Err(error))),
        }
    }

    /// Runs until the consumer lets go.
    async fn pump(&mut self, interval: Duration) -> Result<(), PgError> {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // A chunk that waits for room in the buffer; nothing is read meanwhile.
        let mut waiting: Option<(Bytes, u32)> = None;
        // Room for a long frame, made before the frame is read: two of them would be too much.
        let mut reserved: Option<OwnedSemaphorePermit> = None;
        loop {
            let long = match &reserved {
                None if waiting.is_none() => self.long_frame(),
                _ => None,
            };
            let wanted = waiting.as_ref().map(|(_, kib)| *kib).or(long).unwrap_or(0);
            tokio::select! {
                changed = self.confirmations.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    self.send_status().await?;
                }
                permit = Arc::clone(&self.budget).acquire_many_owned(wanted),
                    if waiting.is_some() || long.is_some() =>
                {
                    match (permit, waiting.take()) {
                        (Ok(permit), Some((bytes, _))) => {
                            let chunk = Chunk { bytes, at: 0, permit };
                            if self.sender.send(Ok(chunk)).is_err() {
                                return Ok(());
                            }
                        }
                        (permit, None) => reserved = permit.ok(),
                        // The budget is never closed.
                        (Err(_), Some(_)) => return Ok(()),
                    }
                }
                read = self.connection.fill(), if waiting.is_none() && long.is_none() => {
                    read?;
                    let (chunk, reply, failure) = self.take_frames()?;
                    if reply {
                        self.send_status().await?;
                    }
                    if let Some(error) = failure {
                        return Err(error);
                    }
                    let Some(bytes) = chunk else { continue };
                    match reserved.take() {
                        Some(permit) => {
                            let chunk = Chunk { bytes, at: 0, permit };
                            if self.sender.send(Ok(chunk)).is_err() {
                                return Ok(());
                            }
                        }
                        None => {
                            let kib = self.kib(bytes.len());
                            waiting = Some((bytes, kib));
                        }
                    }
                }
                _ = ticks.tick() => self.send_status().await?,
            }
        }
    }

    /// The room that a length takes; what is larger than the whole buffer passes alone.
    fn kib(&self, length: usize) -> u32 {
        let kib = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX);
        kib.min(self.budget_kib)
    }

    /// The room that a long frame takes which has begun to arrive.
    fn long_frame(&self) -> Option<u32> {
        let (_, length) = frame_begun(&self.connection.input)?;
        (length > LONG_FRAME).then(|| self.kib(length))
    }

    /// Takes the whole frames off the input: the chunk (none if there was nothing), whether the
    /// server wants an answer, and whether it ended the stream.
    fn take_frames(&mut self) -> Result<(Option<Bytes>, bool, Option<PgError>), PgError> {
        let (mut end, mut data, mut reply, mut failure) = (0, false, false, None);
        while let Some((tag, body)) = frame_at(&self.connection.input, end)? {
            end = body.end;
            let content = self.connection.input.get(body).unwrap_or_default();
            match (tag, content.first()) {
                (b'd', Some(b'w')) => {
                    data = true;
                    self.received = self.received.max(Lsn(u64_at(content, 1)));
                }
                (b'd', Some(b'k')) => {
                    data = true;
                    reply |= content.get(17) == Some(&1);
                }
                (b'E', _) => failure = Some(PgError::Server(server_error(content))),
                (b'c', _) => {
                    failure.get_or_insert_with(|| {
                        PgError::Protocol("the server ended the replication stream".to_owned())
                    });
                }
                (b'N' | b'S' | b'C' | b'Z', _) => {}
                (tag, _) => return Err(unexpected(tag, "replication")),
            }
        }
        let taken = self.connection.input.split_to(end);
        Ok((data.then(|| taken.freeze()), reply, failure))
    }

    async fn send_status(&mut self) -> Result<(), PgError> {
        let confirmed = *self.confirmations.borrow_and_update();
        let message = status_update(self.received.max(confirmed), confirmed);
        self.connection.send(&message).await
    }

    /// The polite end: last status, CopyDone, and the server's own.
    async fn finish(mut self) {
        let ending = async {
            self.send_status().await?;
            self.connection.send(&[b'c', 0, 0, 0, 4]).await?;
            loop {
                // The server empties its send buffer first; what was not taken is sent again to
                // whoever starts at the confirmed position.
                let frame = self.connection.read_frame().await?;
                if matches!(frame.tag, b'Z' | b'E') {
                    return Ok::<(), PgError>(());
                }
            }
        };
        if let Ok(Err(error)) = tokio::time::timeout(STOP_TIMEOUT, ending).await {
            tracing::debug!(error = %error, "the replication stream ended rudely");
        }
        self.connection.close().await;
    }
}

/// A standby status update: received so far, stored so far.
fn status_update(received: Lsn, stored: Lsn) -> BytesMut {
    let now_us = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| {
            i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
        });
    let mut message = BytesMut::with_capacity(39);
    message.put_u8(b'd');
    message.put_u32(38);
    message.put_u8(b'r');
    message.put_u64(received.0);
    message.put_u64(stored.0);
    message.put_u64(stored.0);
    message.put_i64(now_us - POSTGRES_EPOCH_US);
    message.put_u8(0);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: Vec<u8>) -> Chunk {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Chunk {
            bytes: Bytes::from(bytes),
            at: 0,
            permit,
        }
    }

    fn frame(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 4).unwrap();
        [&[b'd'][..], &length.to_be_bytes(), content].concat()
    }

    #[test]
    fn a_chunk_yields_log_data_and_keepalives_in_order() {
        let mut log = vec![b'w'];
        log.extend_from_slice(&7_u64.to_be_bytes());
        log.extend_from_slice(&[0; 16]);
        log.extend_from_slice(b"Bxyz");
        let mut keepalive = vec![b'k'];
        keepalive.extend_from_slice(&9_u64.to_be_bytes());
        keepalive.extend_from_slice(&[0; 9]);
        let mut chunk = chunk([frame(&log), frame(&keepalive)].concat());
        let Some(LogMessage::Data { lsn, range }) = chunk.next_message().unwrap() else {
            panic!("log data")
        };
        assert_eq!((lsn, &chunk.bytes()[range]), (Lsn(7), &b"Bxyz"[..]));
        assert_eq!(
            chunk.next_message().unwrap(),
            Some(LogMessage::SentUpTo(Lsn(9)))
        );
        assert_eq!(chunk.next_message().unwrap(), None);
        assert!(chunk.is_finished());
    }

    #[test]
    fn a_short_log_message_is_an_error_and_no_panic() {
        assert!(chunk(frame(b"w123")).next_message().is_err());
        assert!(chunk(frame(b"")).next_message().is_err());
    }

    #[test]
    fn a_status_update_has_the_length_that_it_says() {
        let message = status_update(Lsn(5), Lsn(3));
        assert_eq!(message.len(), 1 + 38);
        assert_eq!(u64_at(&message, 6), 5);
        assert_eq!(u64_at(&message, 14), 3);
    }

    #[test]
    fn the_start_command_reads_as_the_drivers() {
        let options = StreamOptions {
            slot: "s".to_owned(),
            start: Lsn(0x3FCA_7460),
            plugin_options: vec![
                ("proto_version".to_owned(), "1".to_owned()),
                ("publication_names".to_owned(), "pub".to_owned()),
            ],
            status_interval: Duration::from_secs(10),
            buffer_bytes: 1,
        };
        assert_eq!(
            start_command(&options),
            "START_REPLICATION SLOT \"s\" LOGICAL 0/3FCA7460 (\"proto_version\" '1', \
             \"publication_names\" 'pub')"
        );
    }
}
