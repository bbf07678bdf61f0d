//! The whole sink against a store in memory: records in, objects and offsets out.

mod options;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_api::context::{PluginContext, StopSignal};
use connect_api::data::{ByteString, Header, Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::record::{Record, SinkRecord, TimestampType, TopicPartition};
use connect_api::sink::{Offsets, SinkRuntime, SinkTask, SinkTaskContext};
use connect_api::{Error, Props, Result};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::settings::Settings;
use crate::storage::bucket::{Bucket, Foreign, Mode, PutPayload, StoreError, Stored};
use crate::storage::in_flight::InFlight;
use crate::storage::{Retry, Store};
use crate::task::S3SinkTask;

/// A record of topic `t`, partition 0.
pub(crate) fn record(offset: i64, value: Value, schema: Option<SchemaRef>) -> SinkRecord {
    let topic = ByteString::from_static("t");
    SinkRecord {
        record: Record {
            topic: topic.clone(),
            partition: Some(0),
            key: SchemaAndValue::NULL,
            value: SchemaAndValue { schema, value },
            timestamp: None,
            headers: connect_api::data::Headers::new(),
            offset: None,
        },
        offset,
        timestamp_type: TimestampType::CreateTime,
        original_topic: topic,
        original_partition: 0,
    }
}

/// A bucket in memory that refuses the next so many puts, as a store that is overloaded, or answers
/// none, and remembers tags.
#[derive(Debug)]
struct Flaky {
    inner: Foreign<InMemory>,
    failures: Arc<AtomicUsize>,
    stalls: Arc<AtomicBool>,
    tags: Arc<Mutex<Vec<String>>>,
    unfinished: Arc<Mutex<Vec<(String, String)>>>,
}

type Outcome<T> = std::result::Result<T, StoreError>;

fn refused(status: u16) -> StoreError {
    StoreError {
        status: Some(status),
        code: None,
        text: format!("status {status}"),
    }
}

#[async_trait]
impl Bucket for Flaky {
    async fn check(&self) -> Outcome<()> {
        self.inner.check().await
    }
    async fn put(&self, key: &str, body: PutPayload, mode: Mode) -> Outcome<String> {
        while self.stalls.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let fails = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match fails {
            Ok(_) => Err(refused(503)),
            Err(_) => self.inner.put(key, body, mode).await,
        }
    }
    async fn begin(&self, key: &str) -> Outcome<String> {
        self.inner.begin(key).await
    }
    async fn part(&self, key: &str, id: &str, number: usize, body: PutPayload) -> Outcome<String> {
        self.inner.part(key, id, number, body).await
    }
    async fn complete(&self, key: &str, id: &str, parts: &[String], mode: Mode) -> Outcome<()> {
        self.inner.complete(key, id, parts, mode).await
    }
    async fn abort(&self, _key: &str, id: &str) -> Outcome<()> {
        let mut unfinished = self.unfinished.lock().expect("no test panics here");
        unfinished.retain(|(_, known)| known != id);
        drop(unfinished);
        Ok(())
    }
    async fn head(&self, key: &str) -> Outcome<Stored> {
        self.inner.head(key).await
    }
    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Outcome<Bytes> {
        self.inner.get(key, range).await
    }
    async fn list(&self, prefix: &str) -> Outcome<Vec<Stored>> {
        self.inner.list(prefix).await
    }
    async fn tag(&self, key: &str, tags: &[(String, String)]) -> Outcome<()> {
        if key.contains("untaggable") {
            return Err(refused(403));
        }
        let tags: Vec<String> = tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let line = format!("{key} {}", tags.join("&"));
        self.tags.lock().expect("no test panics here").push(line);
        Ok(())
    }
    async fn unfinished(&self, prefix: &str) -> Outcome<Vec<(String, String)>> {
        let all = self.unfinished.lock().expect("no test panics here");
        Ok(all
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .cloned()
            .collect())
    }
}

/// Remembers what the task asked of the consumer; takes bad records where it is told to.
#[derive(Debug, Default)]
struct Consumer {
    asked: Mutex<Vec<String>>,
    tolerant: bool,
}

impl Consumer {
    fn note(&self, what: String) {
        self.asked.lock().expect("no test panics here").push(what);
    }
}

impl SinkRuntime for Consumer {
    fn assignment(&self) -> Vec<TopicPartition> {
        Vec::new()
    }
    fn seek(&self, partition: &TopicPartition, offset: i64) {
        self.note(format!("seek {partition} {offset}"));
    }
    fn pause(&self, _partitions: &[TopicPartition]) {
        self.note("pause".to_owned());
    }
    fn resume(&self, _partitions: &[TopicPartition]) {
        self.note("resume".to_owned());
    }
    fn request_commit(&self) {}
    fn retry_after(&self, _pause: Duration) {}
    fn report(&self, record: &SinkRecord, error: Error) -> Result<()> {
        match self.tolerant {
            true => {
                self.note(format!("report {}: {error}", record.offset));
                Ok(())
            }
            false => Err(error),
        }
    }
}

struct Sink {
    task: S3SinkTask,
    objects: Arc<InMemory>,
    failures: Arc<AtomicUsize>,
    stalls: Arc<AtomicBool>,
    tags: Arc<Mutex<Vec<String>>>,
    unfinished: Arc<Mutex<Vec<(String, String)>>>,
    consumer: Arc<Consumer>,
    runtime: tokio::runtime::Runtime,
}

const JSON: &str = "io.confluent.connect.s3.format.json.JsonFormat";
const BYTES: &str = "io.confluent.connect.s3.format.bytearray.ByteArrayFormat";
const PARQUET: &str = "io.confluent.connect.s3.format.parquet.ParquetFormat";

impl Sink {
    fn new(changes: &[(&str, &str)]) -> Self {
        Self::with(changes, false)
    }
    fn with(changes: &[(&str, &str)], tolerant: bool) -> Self {
        Self::narrow(changes, tolerant, usize::MAX)
    }
    /// One that may have so many bytes on their way.
    fn narrow(changes: &[(&str, &str)], tolerant: bool, in_flight: usize) -> Self {
        let props = props(changes);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let objects = Arc::new(InMemory::new());
        let failures = Arc::new(AtomicUsize::new(0));
        let stalls = Arc::new(AtomicBool::new(false));
        let (tags, unfinished) = (Arc::default(), Arc::default());
        let flaky = Flaky {
            inner: Foreign::new(Arc::clone(&objects)),
            failures: Arc::clone(&failures),
            stalls: Arc::clone(&stalls),
            tags: Arc::clone(&tags),
            unfinished: Arc::clone(&unfinished),
        };
        let settings = Settings::new(&props).expect("valid options");
        let part_size = settings.store.part_size;
        let once = Retry {
            attempts: 1,
            base: Duration::ZERO,
        };
        let store = Store::over(
            Arc::new(flaky),
            "bucket b".to_owned(),
            part_size,
            once,
            runtime.handle(),
        )
        .with_in_flight(InFlight::new(in_flight));
        let consumer = Arc::new(Consumer {
            tolerant,
            ..Consumer::default()
        });
        let context = SinkTaskContext {
            connector: "s3".to_owned(),
            task: 0,
            plugin: PluginContext {
                runtime: runtime.handle().clone(),
            },
            stop: StopSignal::new(),
            runtime: Arc::clone(&consumer) as Arc<dyn SinkRuntime>,
        };
        let mut task = S3SinkTask::default();
        task.start_with(context, settings, store);
        task.open(&[partition()]).expect("opened");
        Self {
            task,
            objects,
            failures,
            stalls,
            tags,
            unfinished,
            consumer,
            runtime,
        }
    }
    fn put(&mut self, records: &[SinkRecord]) {
        self.task.put(records).expect("written");
    }
    /// The offset that may be committed.
    fn committed(&mut self) -> Option<i64> {
        self.task
            .pre_commit(&Offsets::new())
            .expect("asked")
            .get(&partition())
            .copied()
    }
    fn keys(&self) -> Vec<String> {
        let list = self
            .objects
            .list(None)
            .map_ok(|object| object.location.to_string());
        let mut keys: Vec<String> = self.runtime.block_on(list.try_collect()).expect("listed");
        keys.sort();
        keys
    }
    fn bytes(&self, key: &str) -> bytes::Bytes {
        let get = async { self.objects.get(&Path::parse(key)?).await?.bytes().await };
        self.runtime.block_on(get).expect(key)
    }
    /// An object of somebody else's.
    fn store(&self, key: &str, text: &'static str) {
        let path = Path::parse(key).expect("a name");
        let put = self.objects.put(&path, text.into());
        self.runtime.block_on(put).expect("stored");
    }
    fn text(&self, key: &str) -> String {
        String::from_utf8(self.bytes(key).to_vec()).expect("text")
    }
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.consumer.asked.lock().expect("no test panics here"))
    }
}

fn props(changes: &[(&str, &str)]) -> Props {
    [
        ("format.class", JSON),
        ("flush.size", "2"),
        ("s3.bucket.name", "b"),
        ("retry.backoff.ms", "0"),
    ]
    .iter()
    .chain(changes)
    .map(|&(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

fn partition() -> TopicPartition {
    TopicPartition {
        topic: ByteString::from_static("t"),
        partition: 0,
    }
}
fn text(offset: i64) -> SinkRecord {
    record(offset, Value::from(format!("v{offset}")), None)
}
fn texts(offsets: std::ops::Range<i64>) -> Vec<SinkRecord> {
    offsets.map(text).collect()
}

#[test]
fn full_files_are_stored_and_only_their_offsets_are_committed() {
    let mut sink = Sink::new(&[]);
    sink.put(&texts(0..5));
    assert_eq!(sink.committed(), Some(4));
    assert_eq!(sink.committed(), None, "an offset is told once");
    assert_eq!(
        sink.keys(),
        [
            "topics/t/partition=0/t+0+0000000000.json",
            "topics/t/partition=0/t+0+0000000002.json"
        ]
    );
    assert_eq!(
        sink.text("topics/t/partition=0/t+0+0000000002.json"),
        "\"v2\"\n\"v3\"\n"
    );
    sink.put(&texts(5..6));
    assert_eq!(sink.committed(), Some(6));
}

#[test]
fn an_open_file_is_given_up_when_its_partition_is_taken_away() {
    let mut sink = Sink::new(&[]);
    sink.put(&texts(0..1));
    sink.task.close(&[partition()]).expect("closed");
    sink.task.open(&[partition()]).expect("opened");
    sink.put(&texts(0..2));
    assert_eq!(sink.committed(), Some(2));
    assert_eq!(sink.keys(), ["topics/t/partition=0/t+0+0000000000.json"]);
}

#[test]
fn a_failed_upload_sets_the_consumer_back_to_its_first_record() {
    let mut sink = Sink::new(&[]);
    sink.put(&texts(0..2));
    assert_eq!(sink.committed(), Some(2));
    sink.failures.store(1, Ordering::SeqCst);
    sink.put(&texts(2..4));
    assert_eq!(
        sink.committed(),
        None,
        "what is not stored is not committed"
    );
    assert_eq!(sink.asked(), ["seek t-0 2", "pause"]);
    // The rest is over at once; what was fetched before the consumer was set back is passed over.
    sink.put(&texts(4..6));
    assert_eq!(sink.asked(), ["seek t-0 2", "resume"]);
    sink.put(&texts(2..6));
    assert_eq!(sink.committed(), Some(6));
    assert_eq!(sink.keys().len(), 3);
}

#[test]
fn the_consumer_is_paused_while_the_store_does_not_keep_up() {
    let mut sink = Sink::narrow(&[("flush.size", "1")], false, 200_000);
    sink.stalls.store(true, Ordering::SeqCst);
    sink.put(&texts(0..10));
    assert_eq!(sink.asked(), ["pause"], "the rest of the batch waits");
    sink.put(&[]);
    assert_eq!(sink.asked(), ["pause"], "still no room");
    assert_eq!(sink.keys(), [] as [&str; 0]);
    sink.stalls.store(false, Ordering::SeqCst);
    sink.put(&[]);
    assert_eq!(sink.asked(), ["resume"]);
    assert_eq!(sink.committed(), Some(10));
    assert_eq!(sink.keys().len(), 10);
}

#[test]
fn files_that_are_committed_together_are_closed_as_there_is_room() {
    let mut sink = Sink::narrow(
        &[
            ("flush.size", "8"),
            ("partitioner.class", "HourlyPartitioner"),
            ("timestamp.extractor", "Record"),
            ("locale", "en"),
            ("timezone", "UTC"),
        ],
        false,
        200_000,
    );
    sink.stalls.store(true, Ordering::SeqCst);
    let mut records = texts(0..9);
    for record in &mut records {
        record.record.timestamp = Some(record.offset * 3_600_000);
    }
    sink.put(&records);
    assert_eq!(
        sink.asked(),
        ["pause"],
        "eight files wait, a record after them"
    );
    sink.stalls.store(false, Ordering::SeqCst);
    sink.put(&[]);
    assert_eq!(sink.committed(), Some(8));
    assert_eq!(sink.keys().len(), 8);
    assert_eq!(sink.asked(), ["resume"]);
}

#[test]
fn large_objects_go_up_in_parts() {
    let mut sink = Sink::new(&[
        ("format.class", BYTES),
        ("s3.part.size", "5242880"),
        ("flush.size", "4"),
    ]);
    let megabytes: Vec<SinkRecord> = (0..4u8)
        .map(|index| {
            let bytes = bytes::Bytes::from(vec![b'a' + index; 3 * 1024 * 1024]);
            record(i64::from(index), Value::Bytes(bytes), None)
        })
        .collect();
    sink.put(&megabytes);
    assert_eq!(sink.committed(), Some(4));
    let stored = sink.bytes("topics/t/partition=0/t+0+0000000000.bin");
    assert_eq!(stored.len(), 4 * (3 * 1024 * 1024 + 1));
    assert_eq!(&stored[stored.len() - 3..], b"dd\n");
    assert_eq!(stored[3 * 1024 * 1024 + 1], b'b');
}

#[test]
fn records_without_a_value_are_ignored_or_fail_the_task() {
    let mut records = texts(0..3);
    records[1].record.value = SchemaAndValue::NULL;
    let mut sink = Sink::new(&[("behavior.on.null.values", "ignore")]);
    sink.put(&records);
    assert_eq!(sink.committed(), Some(3));
    assert_eq!(
        sink.text("topics/t/partition=0/t+0+0000000000.json"),
        "\"v0\"\n\"v2\"\n"
    );
    let error = Sink::new(&[]).task.put(&records).expect_err("refused");
    assert!(
        error
            .message()
            .starts_with("Null valued records are not writeable"),
        "{error}"
    );
}

#[test]
fn keys_of_tombstones_go_to_a_folder_of_their_own() {
    let mut sink = Sink::new(&[
        ("behavior.on.null.values", "write"),
        ("store.kafka.keys", "true"),
        ("keys.format.class", JSON),
    ]);
    let mut records = texts(0..2);
    for record in &mut records {
        record.record.key = SchemaAndValue::new(None, "k");
    }
    records[1].record.value = SchemaAndValue::NULL;
    sink.put(&records);
    assert_eq!(sink.committed(), Some(2));
    assert_eq!(
        sink.keys(),
        [
            "topics/t/partition=0/t+0+0000000000.json",
            "topics/t/partition=0/t+0+0000000000.keys.json",
            "topics/t/tombstone/t+0+0000000001.keys.json"
        ]
    );
}

#[test]
fn headers_are_stored_beside_the_values() {
    let mut sink = Sink::with(
        &[
            ("store.kafka.headers", "true"),
            ("headers.format.class", JSON),
        ],
        true,
    );
    let mut records = texts(0..3);
    for record in &mut records[..2] {
        let value = SchemaAndValue::new(None, Value::Int32(12));
        record.record.headers.push(Header {
            key: ByteString::from_static("h"),
            value,
        });
    }
    records.swap(1, 2);
    sink.put(&records);
    assert_eq!(sink.committed(), Some(2));
    assert_eq!(
        sink.text("topics/t/partition=0/t+0+0000000000.headers.json"),
        "{\"headers\":[{\"key\":\"h\",\"value\":\"12\"}]}\n".repeat(2)
    );
    assert!(sink.asked()[0].starts_with("report 2: Headers cannot be null"));
}

#[test]
fn headers_are_a_list_in_avro_and_a_record_in_parquet() {
    const AVRO: &str = "io.confluent.connect.s3.format.avro.AvroFormat";
    for (class, extension, shape) in [
        (
            AVRO,
            "avro",
            r#"{"type":"array","items":{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro""#,
        ),
        (
            PARQUET,
            "snappy.parquet",
            r#"{"type":"record","name":"RecordHeaders","fields":[{"name":"headers""#,
        ),
    ] {
        let mut sink = Sink::new(&[
            ("store.kafka.headers", "true"),
            ("headers.format.class", class),
        ]);
        let mut records = texts(0..2);
        for record in &mut records {
            record.record.headers.push(Header {
                key: ByteString::from_static("h"),
                value: SchemaAndValue::new(None, "v"),
            });
        }
        sink.put(&records);
        assert_eq!(sink.committed(), Some(2), "{class}");
        let key = format!("topics/t/partition=0/t+0+0000000000.headers.{extension}");
        let bytes = sink.bytes(&key);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(shape), "{class}: {text}");
    }
}

/// Seen of Confluent's sink: the schema of a bad first record stays where files' schemas are kept.
#[test]
fn the_schema_of_a_bad_first_record_ends_the_next_file_early() {
    let mut sink = Sink::with(&[("format.class", PARQUET), ("flush.size", "3")], true);
    let empty = Schema::structure().name("empty").build();
    let bad = Value::Struct(Struct::new(Arc::clone(&empty), Vec::new()));
    let schema = version(1);
    let mut records = vec![record(0, bad, Some(empty))];
    records.extend((1..5).map(|offset| versioned(offset, &schema)));
    sink.put(&records);
    assert_eq!(sink.committed(), Some(5));
    assert_eq!(
        sink.keys(),
        [
            "topics/t/partition=0/t+0+0000000001.snappy.parquet",
            "topics/t/partition=0/t+0+0000000002.snappy.parquet"
        ]
    );
}

fn versioned(offset: i64, schema: &SchemaRef) -> SinkRecord {
    let values = schema.fields().iter().map(|_| Value::Int32(1)).collect();
    let value = Value::Struct(Struct::new(Arc::clone(schema), values));
    record(offset, value, Some(Arc::clone(schema)))
}
fn version(number: i32) -> SchemaRef {
    let builder = Schema::structure()
        .name("ev")
        .version(number)
        .field("a", Schema::int32().build());
    match number {
        1 => builder.build(),
        _ => builder
            .field("b", Schema::int32().optional().build())
            .build(),
    }
}

#[test]
fn another_schema_starts_another_file_unless_it_can_be_projected() {
    let (one, two) = (version(1), version(2));
    let records = [versioned(0, &two), versioned(1, &one), versioned(2, &two)];
    let mut sink = Sink::new(&[("flush.size", "3")]);
    sink.put(&records);
    assert_eq!((sink.committed(), sink.keys().len()), (Some(2), 2));
    let mut sink = Sink::new(&[("flush.size", "3"), ("schema.compatibility", "BACKWARD")]);
    sink.put(&records);
    assert_eq!((sink.committed(), sink.keys().len()), (Some(3), 1));
    assert!(
        sink.text(&sink.keys()[0])
            .contains("{\"a\":1,\"b\":null}\n")
    );
}

#[test]
fn a_bad_record_leaves_a_parquet_file_as_it_was() {
    let schema = Schema::structure()
        .name("r")
        .field("a", Schema::string().optional().build())
        .field("b", Schema::array(Schema::int32().build()).build())
        .build();
    let row = |offset, last: Value| {
        let items = Value::Array(vec![Value::Int32(1), last]);
        let values = vec![Value::from(format!("v{offset}")), items];
        let value = Value::Struct(Struct::new(Arc::clone(&schema), values));
        record(offset, value, Some(Arc::clone(&schema)))
    };
    let records = [
        row(0, Value::Int32(2)),
        row(1, Value::text("bad")),
        row(2, Value::Int32(3)),
    ];
    let mut sink = Sink::with(&[("format.class", PARQUET)], true);
    sink.put(&records);
    assert_eq!(sink.committed(), Some(3));
    assert_eq!(
        sink.asked(),
        ["report 1: Invalid type for INT32: class java.lang.String"]
    );
    let rows = crate::format::parquet_rows(
        sink.bytes("topics/t/partition=0/t+0+0000000000.snappy.parquet"),
    );
    assert_eq!(
        rows,
        ["{a: \"v0\", b: [[1, 2]]}", "{a: \"v2\", b: [[1, 3]]}"]
    );
    let error = Sink::new(&[("format.class", PARQUET)])
        .task
        .put(&records)
        .expect_err("refused");
    assert_eq!(
        error.message(),
        "Invalid type for INT32: class java.lang.String"
    );
}

#[test]
fn a_name_with_the_tombstone_word_is_refused_as_confluents_sink_does() {
    let mut sink = Sink::new(&[("topics.dir", "my-tombstones")]);
    let error = sink.task.put(&texts(0..1)).expect_err("refused");
    assert!(
        error.message().starts_with("Value writer not configured"),
        "{error}"
    );
}

#[test]
fn a_record_of_a_topic_that_is_not_the_tasks_fails_it() {
    let mut other = text(0);
    other.record.topic = ByteString::from_static("other");
    let error = Sink::new(&[]).task.put(&[other]).expect_err("refused");
    assert!(
        error
            .message()
            .starts_with("No writer found for topic partition other-0"),
        "{error}"
    );
}

fn tags_of(sink: &Sink) -> Vec<String> {
    sink.tags.lock().expect("no test panics here").clone()
}

#[test]
fn objects_are_tagged_with_their_offsets_and_what_is_configured() {
    let mut sink = Sink::new(&[
        ("s3.object.tagging", "true"),
        (
            "s3.object.tagging.key.value.pairs",
            "env:a:b,recordCount:many",
        ),
        ("store.kafka.keys", "true"),
        ("keys.format.class", JSON),
    ]);
    let mut records = texts(5..7);
    for record in &mut records {
        record.record.key = SchemaAndValue::new(None, "k");
    }
    sink.put(&records);
    assert_eq!(sink.committed(), Some(7));
    assert_eq!(
        tags_of(&sink),
        [
            "topics/t/partition=0/t+0+0000000005.json startOffset=5&endOffset=6&env=a&recordCount=many"
        ]
    );
}

#[test]
fn an_object_that_cannot_be_tagged_fails_the_task_only_where_that_is_asked_for() {
    let options = [("s3.object.tagging", "true"), ("topics.dir", "untaggable")];
    let mut sink = Sink::new(&options);
    sink.put(&texts(0..2));
    assert_eq!(sink.committed(), Some(2));
    let mut strict = options.to_vec();
    strict.push(("s3.object.behavior.on.tagging.error", "FAIL"));
    let mut sink = Sink::new(&strict);
    sink.put(&texts(0..2));
    assert_eq!(sink.committed(), None);
    let error = sink.task.put(&[]).expect_err("failed");
    assert_eq!(
        error.message(),
        "Unable to tag S3 object untaggable/t/partition=0/t+0+0000000000.json"
    );
    let wrong = [
        ("s3.object.tagging", "true"),
        ("s3.object.tagging.key.value.pairs", "env"),
    ];
    let props = props(&wrong);
    let error = Settings::new(&props).expect_err("no pair");
    assert!(
        error
            .message()
            .contains("s3.object.tagging.key.value.pairs"),
        "{error}"
    );
}

#[test]
fn under_scheduled_rotation_objects_that_exist_stand_for_their_records() {
    let scheduled = [
        ("rotate.schedule.interval.ms", "86400000"),
        ("timezone", "UTC"),
    ];
    let name = |offset: i64| format!("topics/t/partition=0/t+0+{offset:010}.json");
    let mut sink = Sink::new(&scheduled);
    for offset in [0, 1] {
        sink.store(&name(offset), "old");
    }
    sink.put(&texts(0..2));
    assert_eq!(sink.committed(), None);
    assert_eq!(sink.asked(), ["seek t-0 2", "pause"]);
    assert_eq!(sink.text(&name(0)), "old");
    // Without the condition, or without the schedule, the last one wins.
    let mut more = scheduled.to_vec();
    more.push(("enable.conditional.writes", "false"));
    for options in [&more[..], &[]] {
        let mut sink = Sink::new(options);
        sink.store(&name(0), "old");
        sink.put(&texts(0..2));
        assert_eq!(sink.committed(), Some(2));
        assert_eq!(sink.text(&name(0)), "\"v0\"\n\"v1\"\n");
    }
}

#[test]
fn uploads_that_a_killed_task_left_are_aborted() {
    let mut sink = Sink::new(&[]);
    let own = "topics/t/partition=0/t+0+0000000000.json";
    let others = "topics/t/partition=1/t+1+0000000000.json";
    *sink.unfinished.lock().expect("no test panics here") = vec![
        (own.to_owned(), "a".to_owned()),
        (others.to_owned(), "b".to_owned()),
    ];
    sink.task.open(&[partition()]).expect("opened");
    let left = sink.unfinished.lock().expect("no test panics here").clone();
    assert_eq!(left, [(others.to_owned(), "b".to_owned())]);
}

#[test]
fn writing_stops_when_its_time_is_over_and_goes_on_with_the_next_call() {
    let mut sink = Sink::new(&[("max.write.duration.ms", "0")]);
    sink.put(&texts(0..2));
    assert_eq!(sink.asked(), ["pause"]);
    assert_eq!(sink.keys(), [] as [String; 0]);
}

#[test]
fn schemaless_values_are_avro_records_of_anything() {
    let mut sink = Sink::new(&[(
        "format.class",
        "io.confluent.connect.s3.format.avro.AvroFormat",
    )]);
    sink.put(&texts(0..2));
    assert_eq!(sink.committed(), Some(2));
    let stored = sink.bytes("topics/t/partition=0/t+0+0000000000.avro");
    let text = String::from_utf8_lossy(&stored);
    assert!(text.contains("\"name\":\"Anything\""), "{text}");
    assert!(text.contains("v0") && text.contains("v1"), "{text}");
}

#[test]
fn objects_come_as_text_where_nothing_looks_into_them() {
    let mut sink = Sink::new(&[]);
    assert!(sink.task.take_json_text());
    let text = |offset| record(offset, Value::Bytes(Bytes::from_static(b"{\"a\":1}")), None);
    sink.put(&[text(0), record(1, Value::text("x"), None)]);
    assert_eq!(sink.committed(), Some(2));
    assert_eq!(
        sink.text("topics/t/partition=0/t+0+0000000000.json"),
        "{\"a\":1}\n\"x\"\n"
    );
    let by_field = [
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.DailyPartitioner",
        ),
        ("timestamp.extractor", "RecordField"),
        ("locale", "en"),
        ("timezone", "UTC"),
    ];
    assert!(!Sink::new(&by_field).task.take_json_text());
    assert!(!Sink::new(&[("format.class", BYTES)]).task.take_json_text());
}

#[test]
fn short_of_memory_open_files_go_to_disk_and_nothing_else_changes() {
    for format in [
        JSON,
        BYTES,
        PARQUET,
        "io.confluent.connect.s3.format.avro.AvroFormat",
    ] {
        let stored = |memory: &str| {
            let mut sink = Sink::new(&[
                ("format.class", format),
                ("flush.size", "60"),
                ("s3.sink.memory.bytes", memory),
            ]);
            let schema = Schema::structure()
                .name("r")
                .field("a", Schema::string().build())
                .build();
            for batch in 0..6 {
                let records: Vec<SinkRecord> = (batch * 10..batch * 10 + 10)
                    .map(|offset| {
                        let text = format!("v{offset} {}", "x".repeat(300));
                        match format {
                            BYTES => record(offset, Value::Bytes(text.into()), None),
                            _ => {
                                let row = Struct::new(Arc::clone(&schema), vec![text.into()]);
                                record(offset, row.into(), Some(Arc::clone(&schema)))
                            }
                        }
                    })
                    .collect();
                sink.put(&records);
            }
            assert_eq!(sink.committed(), Some(60), "{format}");
            sink.bytes(&sink.keys()[0])
        };
        assert_eq!(stored("1"), stored("1000000000"), "{format}");
    }
}

#[test]
fn files_rotate_by_size() {
    let mut sink = Sink::new(&[("flush.size", "1000"), ("rotate.size.bytes", "12")]);
    // Five bytes each: the third reaches the size.
    sink.put(&texts(0..7));
    assert_eq!(sink.committed(), Some(6));
    assert_eq!(sink.keys().len(), 2);
}

#[test]
fn an_idle_partition_is_committed() {
    let mut sink = Sink::new(&[("flush.size", "1000"), ("rotate.idle.ms", "50")]);
    sink.put(&texts(0..2));
    assert_eq!(sink.committed(), None);
    std::thread::sleep(Duration::from_millis(60));
    sink.put(&[]);
    assert_eq!(sink.committed(), Some(2));
}

#[test]
fn where_files_end_by_the_clock_is_decided_once() {
    let options = [
        ("flush.size", "1000"),
        ("rotate.idle.ms", "50"),
        ("exactly.once.schedule", "true"),
    ];
    let decided = "_ferroconnect/s3/t-0/0000000000000000000";
    let mut sink = Sink::new(&options);
    sink.put(&texts(0..2));
    std::thread::sleep(Duration::from_millis(60));
    sink.put(&[]);
    // Killed before the offset was committed: another task reads from the start, and more at once.
    assert_eq!(sink.text(decided), "2\n");
    sink.task.close(&[partition()]).expect("closed");
    sink.task.open(&[partition()]).expect("opened");
    sink.put(&texts(0..5));
    assert_eq!(sink.committed(), Some(2));
    std::thread::sleep(Duration::from_millis(60));
    sink.put(&[]);
    assert_eq!(sink.committed(), Some(5));
    let objects: Vec<String> = sink
        .keys()
        .into_iter()
        .filter(|key| key.starts_with("topics/"))
        .collect();
    assert_eq!(
        objects,
        [
            "topics/t/partition=0/t+0+0000000000.json",
            "topics/t/partition=0/t+0+0000000002.json"
        ]
    );
    assert_eq!(sink.text(&objects[0]), "\"v0\"\n\"v1\"\n");
    let by_clock = [
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.DailyPartitioner",
        ),
        ("locale", "en"),
        ("timezone", "UTC"),
        ("exactly.once.schedule", "true"),
    ];
    let error = Settings::new(&props(&by_clock)).expect_err("never the same");
    assert!(error.message().contains("exactly.once.schedule"), "{error}");
}

#[test]
fn files_of_several_schemas_stay_open_where_that_is_asked_for() {
    let (one, two) = (version(1), version(2));
    let records: Vec<SinkRecord> = (0..6)
        .map(|offset| versioned(offset, if offset % 2 == 0 { &one } else { &two }))
        .collect();
    let mut sink = Sink::new(&[("flush.size", "6"), ("schema.change.policy", "keep-open")]);
    sink.put(&records);
    assert_eq!(sink.committed(), Some(6));
    assert_eq!(
        sink.keys(),
        [
            "topics/t/partition=0/t+0+0000000000.json",
            "topics/t/partition=0/t+0+0000000001.json"
        ]
    );
    assert_eq!(sink.text(&sink.keys()[0]), "{\"a\":1}\n".repeat(3));
}

/// Small random numbers from a seed.
struct Random(u64);
impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Records of two schema versions, of times that go on and back, and of some keys.
fn random_records(random: &mut Random, schemas: &[SchemaRef; 2], count: i64) -> Vec<SinkRecord> {
    let (mut time, mut which) = (1_705_314_600_000, 0);
    (0..count)
        .map(|offset| {
            time += i64::try_from(random.below(400_000)).expect("small") - 20_000;
            if random.below(5) == 0 {
                which = usize::try_from(random.below(2)).expect("small");
            }
            let schema = &schemas[which];
            let values = schema
                .fields()
                .iter()
                .map(|field| match &*field.name {
                    "key" => Value::from(format!("k{}", random.below(3))),
                    _ => Value::from(format!("{offset}")),
                })
                .collect();
            let row = Struct::new(Arc::clone(schema), values);
            let mut record = record(offset, row.into(), Some(Arc::clone(schema)));
            record.record.timestamp = Some(time);
            record
        })
        .collect()
}

impl Sink {
    /// Feeds records, restarting from what is committed now and then; gives all objects.
    fn feed(
        &mut self,
        records: &[SinkRecord],
        random: &mut Random,
        interrupts: bool,
    ) -> Vec<(String, Bytes)> {
        let (mut next, mut committed, mut put) = (0, 0, 0);
        while next < records.len() {
            let step = usize::try_from(1 + random.below(9)).expect("small");
            let end = (next + step).min(records.len());
            self.put(&records[next..end]);
            (next, put) = (end, put + 1);
            if random.below(3) == 0
                && let Some(offset) = self.committed()
            {
                committed = usize::try_from(offset).expect("small");
            }
            // As a rebalance does it: the last commit may be missing.
            if interrupts && put < 400 && random.below(6) == 0 {
                self.task.close(&[partition()]).expect("closed");
                self.task.open(&[partition()]).expect("opened");
                next = committed;
            }
        }
        self.committed();
        let keys = self.keys();
        keys.into_iter()
            .map(|key| {
                let bytes = self.bytes(&key);
                (key, bytes)
            })
            .collect()
    }
}

#[test]
fn the_same_records_make_the_same_objects_however_the_task_is_interrupted() {
    let builder = |version| {
        Schema::structure()
            .name("ev")
            .version(version)
            .field("key", Schema::string().build())
            .field("text", Schema::string().build())
    };
    let schemas = [
        builder(1).build(),
        builder(2)
            .field("more", Schema::string().optional().build())
            .build(),
    ];
    let daily = "io.confluent.connect.storage.partitioner.HourlyPartitioner";
    let by_field = "io.confluent.connect.storage.partitioner.FieldPartitioner";
    let rotations: [&[(&str, &str)]; 6] = [
        &[("flush.size", "7")],
        &[("flush.size", "9"), ("schema.compatibility", "BACKWARD")],
        &[("flush.size", "9"), ("schema.compatibility", "FORWARD")],
        &[("flush.size", "8"), ("schema.change.policy", "keep-open")],
        &[
            ("flush.size", "50"),
            ("partitioner.class", daily),
            ("rotate.interval.ms", "900000"),
            ("locale", "en"),
            ("timezone", "UTC"),
            ("timestamp.extractor", "Record"),
        ],
        &[
            ("flush.size", "1000"),
            ("rotate.size.bytes", "300"),
            ("partitioner.class", by_field),
            ("partition.field.name", "key"),
        ],
    ];
    let formats = [
        JSON,
        PARQUET,
        "io.confluent.connect.s3.format.avro.AvroFormat",
    ];
    let mut seed = 88_172_645_463_325_252;
    for rotation in rotations {
        for format in formats {
            seed += 2;
            let mut options = rotation.to_vec();
            options.push(("format.class", format));
            // Now and then on disk.
            options.push(("s3.sink.memory.bytes", "20000"));
            let records = random_records(&mut Random(seed), &schemas, 150);
            let whole = Sink::new(&options).feed(&records, &mut Random(seed + 1), false);
            let broken = Sink::new(&options).feed(&records, &mut Random(seed), true);
            assert!(whole.len() > 3, "{options:?}");
            assert_eq!(whole, broken, "{options:?}");
        }
    }
}

#[test]
fn parquet_row_groups_end_at_64_mib_and_files_tell_who_wrote_them() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    const MIB: usize = 1024 * 1024;
    let schema = Schema::structure()
        .name("R")
        .field("text", Schema::string().build())
        .build();
    let mut sink = Sink::new(&[("format.class", PARQUET), ("flush.size", "70")]);
    for offset in 0..70 {
        let text = Value::from(char::from(b'a' + offset as u8 % 26).to_string().repeat(MIB));
        let row = Struct::new(Arc::clone(&schema), vec![text]);
        sink.put(&[record(offset, row.into(), Some(Arc::clone(&schema)))]);
    }
    assert_eq!(sink.committed(), Some(70));
    let file = sink.bytes("topics/t/partition=0/t+0+0000000000.snappy.parquet");
    let reader = SerializedFileReader::new(file).expect("a Parquet file");
    let metadata = reader.metadata();
    let rows: Vec<i64> = metadata
        .row_groups()
        .iter()
        .map(|group| group.num_rows())
        .collect();
    assert_eq!(rows.iter().sum::<i64>(), 70);
    assert!(rows.len() == 2 && (60..70).contains(&rows[0]), "{rows:?}");
    let creator = metadata.file_metadata().created_by();
    assert!(
        creator.is_some_and(|name| name.starts_with("ferroconnect version ")),
        "{creator:?}"
    );
}
