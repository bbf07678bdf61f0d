//! The file source: one record per line, on from where it stopped; waits for a file that is not
//! there yet and for lines that are not written yet. Without a file it reads the standard input.
//!
//! Answers for `org.apache.kafka.connect.file.{FileStreamSourceConnector, FileStreamSourceTask}`.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, non_empty};
use connect_api::connector::{Connector, ConnectorContext, ExactlyOnceSupport, OffsetChange};
use connect_api::data::{Schema, SchemaAndValue, SchemaRef, Value};
use connect_api::record::{OffsetMap, Record, SourceOffset, SourcePartition, SourceRecord, Topic};
use connect_api::source::{SourceBatch, SourceTask, SourceTaskContext};
use connect_api::{ByteString, Error, Props, Result};

use crate::FILE;

const TOPIC: &str = "topic";
const BATCH_SIZE: &str = "batch.size";
const FILENAME: &str = "filename";
const POSITION: &str = "position";

/// How long a poll waits for a file or for more of it, as Kafka's does.
const PAUSE: Duration = Duration::from_secs(1);
/// How much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

pub(crate) fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FILE, Type::String, Importance::High)
                .default_null()
                .doc("The file to read. Without it, the standard input is read."),
        )
        .define(
            ConfigKey::new(TOPIC, Type::String, Importance::High)
                .validator(non_empty())
                .doc("The topic that the lines go to."),
        )
        .define(
            ConfigKey::new(BATCH_SIZE, Type::Int, Importance::Low)
                .default(2000)
                .doc("How many lines one poll gives at most."),
        )
}

/// The file of a configuration; `None` for the standard input.
fn file_of(props: &Props) -> Result<Option<String>> {
    let config = definition().parse(props)?;
    Ok(config
        .string_opt(FILE)
        .filter(|file| !file.is_empty())
        .map(str::to_owned))
}

/// One task for the one file.
#[derive(Debug, Default)]
pub(crate) struct FileStreamSourceConnector {
    props: Props,
}

impl Connector for FileStreamSourceConnector {
    fn start(&mut self, _context: ConnectorContext, props: &Props) -> Result<()> {
        let file = file_of(props)?;
        tracing::info!(
            file = file.as_deref().unwrap_or("stdin"),
            "starting file source connector"
        );
        self.props = props.clone();
        Ok(())
    }

    fn task_configs(&mut self, _max_tasks: usize) -> Result<Vec<Props>> {
        Ok(vec![self.props.clone()])
    }

    fn exactly_once_support(&self, props: &Props) -> Option<ExactlyOnceSupport> {
        // The standard input cannot be read again.
        Some(match file_of(props) {
            Ok(Some(_)) => ExactlyOnceSupport::Supported,
            _ => ExactlyOnceSupport::Unsupported,
        })
    }

    fn alter_offsets(&self, props: &Props, offsets: &[OffsetChange]) -> Result<bool> {
        if file_of(props)?.is_none() {
            return Err(Error::fatal(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is \
                 because stdin is used for input and offsets are not tracked.",
            ));
        }
        for (partition, offset) in offsets {
            // Whatever is there may be forgotten.
            let Some(offset) = offset else { continue };
            match offset.get(POSITION) {
                None => {
                    return Err(Error::fatal(
                        "Offset objects should either be null or contain the key 'position'",
                    ));
                }
                Some(Value::Int64(position)) if *position < 0 => {
                    return Err(Error::fatal(
                        "The value for the 'position' key in the offset should be a non-negative \
                         value",
                    ));
                }
                Some(Value::Int64(_)) => {}
                Some(_) => {
                    return Err(Error::fatal(
                        "The value for the 'position' key in the offset is expected to be a Long \
                         value",
                    ));
                }
            }
            let Some(partition) = partition else {
                return Err(Error::fatal("Partition objects cannot be null"));
            };
            if !partition.contains_key(FILENAME) {
                return Err(Error::fatal(
                    "Partition objects should contain the key 'filename'",
                ));
            }
        }
        Ok(true)
    }
}

/// The position after a line.
// Differs from Kafka: it counts bytes, not characters, so that lines beyond ASCII are neither
// skipped nor repeated after a restart.
#[derive(Debug)]
struct Position(Option<i64>);

impl SourceOffset for Position {
    fn to_map(&self) -> OffsetMap {
        [(ByteString::from_static(POSITION), Value::from(self.0))]
            .into_iter()
            .collect()
    }
}

/// Where the bytes come from.
enum Input {
    File(File),
    /// The standard input, read by a thread of its own since such a read cannot be interrupted.
    Channel(Receiver<Vec<u8>>),
}

/// Reads lines.
#[derive(Default)]
pub(crate) struct FileStreamSourceTask {
    context: Option<SourceTaskContext>,
    file: Option<String>,
    topic: Topic,
    batch_size: usize,
    input: Option<Input>,
    partition: Arc<SourcePartition>,
    schema: Option<SchemaRef>,
    /// What was read and not yet given; lines are taken from `start` on.
    buffer: Vec<u8>,
    start: usize,
    position: i64,
}

impl std::fmt::Debug for FileStreamSourceTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileStreamSourceTask")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl SourceTask for FileStreamSourceTask {
    fn start(&mut self, context: SourceTaskContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.file = file_of(props)?;
        self.topic = Topic::from(config.string(TOPIC));
        self.batch_size = usize::try_from(config.int(BATCH_SIZE)).unwrap_or(0).max(1);
        self.schema = Some(Schema::string().build());
        let name = Value::from(self.file.clone());
        self.partition = Arc::new(
            [(ByteString::from_static(FILENAME), name)]
                .into_iter()
                .collect(),
        );
        if self.file.is_none() {
            self.input = Some(Input::Channel(read_standard_input()?));
        }
        self.context = Some(context);
        Ok(())
    }

    fn poll(&mut self) -> Result<SourceBatch> {
        if self.input.is_none() && !self.open()? {
            self.pause(PAUSE);
            return Ok(SourceBatch::default());
        }
        let mut records = Vec::new();
        loop {
            self.take_lines(&mut records);
            if records.len() >= self.batch_size {
                break;
            }
            // Wait only with empty hands.
            if !self.read_more(records.is_empty())? {
                break;
            }
        }
        Ok(SourceBatch {
            records,
            ..SourceBatch::default()
        })
    }

    fn committed(
        &mut self,
        _offsets: &[(Arc<SourcePartition>, Arc<dyn SourceOffset>)],
    ) -> Result<()> {
        Ok(())
    }

    fn stop(&mut self) {
        self.input = None;
    }
}

impl FileStreamSourceTask {
    fn pause(&self, limit: Duration) {
        if let Some(context) = &self.context {
            context.stop.wait(limit);
        }
    }

    /// Opens the file at the stored position; `false` where it does not exist.
    fn open(&mut self) -> Result<bool> {
        let (Some(name), Some(context)) = (&self.file, &self.context) else {
            return Ok(false);
        };
        let mut file = match File::open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == IoErrorKind::NotFound => {
                tracing::warn!(file = name, "file not found, waiting for it to be created");
                return Ok(false);
            }
            Err(error) => {
                return Err(Error::fatal(format!("opening the file {name}")).with_source(error));
            }
        };
        let stored = context
            .offsets
            .read(std::slice::from_ref(&*self.partition))?;
        self.position = match stored
            .into_iter()
            .next()
            .flatten()
            .as_ref()
            .and_then(|o| o.get(POSITION))
        {
            None | Some(Value::Null) => 0,
            Some(Value::Int64(position)) => *position,
            Some(_) => return Err(Error::fatal("Offset position is the incorrect type")),
        };
        file.seek(SeekFrom::Start(self.position.cast_unsigned()))
            .map_err(|error| {
                Error::fatal(format!("seeking to {} in the file {name}", self.position))
                    .with_source(error)
            })?;
        self.input = Some(Input::File(file));
        Ok(true)
    }

    /// Reads some more; `false` where there is nothing now, after a pause if `wait`.
    fn read_more(&mut self, wait: bool) -> Result<bool> {
        self.buffer.drain(..std::mem::take(&mut self.start));
        match &mut self.input {
            None => Ok(false),
            Some(Input::Channel(channel)) => {
                match channel.recv_timeout(if wait { PAUSE } else { Duration::ZERO }) {
                    Ok(bytes) => {
                        self.buffer.extend_from_slice(&bytes);
                        Ok(true)
                    }
                    Err(RecvTimeoutError::Timeout) => Ok(false),
                    Err(RecvTimeoutError::Disconnected) => {
                        if wait {
                            self.pause(PAUSE);
                        }
                        Ok(false)
                    }
                }
            }
            Some(Input::File(file)) => {
                let length = self.buffer.len();
                self.buffer.resize(length + CHUNK_BYTES, 0);
                let count = file.read(&mut self.buffer[length..]);
                self.buffer
                    .truncate(length + count.as_ref().copied().unwrap_or(0));
                let count = count.map_err(|error| {
                    Error::fatal(format!(
                        "reading the file {}",
                        self.file.as_deref().unwrap_or_default()
                    ))
                    .with_source(error)
                })?;
                if count == 0 && wait {
                    self.pause(PAUSE);
                }
                Ok(count > 0)
            }
        }
    }

    /// Takes complete lines from what was read, up to the batch's size.
    fn take_lines(&mut self, records: &mut Vec<SourceRecord>) {
        while records.len() < self.batch_size {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            let Some((line, length)) = next_line(rest) else {
                return;
            };
            let text = String::from_utf8_lossy(line).into_owned();
            self.start += length;
            self.position += i64::try_from(length).unwrap_or(0);
            let tracked = self.file.is_some().then_some(self.position);
            records.push(SourceRecord {
                record: Record {
                    topic: self.topic.clone(),
                    value: SchemaAndValue {
                        schema: self.schema.clone(),
                        value: text.into(),
                    },
                    timestamp: Some(now_ms()),
                    ..Record::default()
                },
                source_partition: Arc::clone(&self.partition),
                source_offset: Arc::new(Position(tracked)),
            });
        }
    }
}

/// The first complete line without its end, and the length with it. A line ends with `\n`, `\r\n`
/// or `\r`; whether a `\r` at the very end is one or half of two is not known yet.
fn next_line(text: &[u8]) -> Option<(&[u8], usize)> {
    let end = text
        .iter()
        .position(|&byte| byte == b'\n' || byte == b'\r')?;
    let length = match (text[end], text.get(end + 1)) {
        (b'\n', _) => end + 1,
        (_, Some(b'\n')) => end + 2,
        (_, Some(_)) => end + 1,
        (_, None) => return None,
    };
    Some((&text[..end], length))
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn read_standard_input() -> Result<Receiver<Vec<u8>>> {
    // A few chunks ahead of the task are enough.
    let (sender, receiver) = sync_channel(4);
    std::thread::Builder::new()
        .name("file-source-stdin".to_owned())
        .spawn(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            let mut input = std::io::stdin();
            while let Ok(count @ 1..) = input.read(&mut chunk) {
                if sender.send(chunk[..count].to_vec()).is_err() {
                    return;
                }
            }
        })
        .map_err(|error| {
            Error::fatal("starting the thread of the standard input").with_source(error)
        })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests;
