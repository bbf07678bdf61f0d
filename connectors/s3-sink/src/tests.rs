//! The whole sink against a store in memory: records in, objects and offsets out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connect_api::context::{PluginContext, StopSignal};
use connect_api::data::{ByteString, Header, Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::record::{Record, SinkRecord, TimestampType, TopicPartition};
use connect_api::sink::{Offsets, SinkRuntime, SinkTask, SinkTaskContext};
use connect_api::{Error, Props, Result};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use crate::settings::Settings;
use crate::storage::Store;
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
        },
        offset,
        timestamp_type: TimestampType::CreateTime,
        original_topic: topic,
        original_partition: 0,
    }
}

/// Refuses the next so many puts, as a store that is overloaded.
#[derive(Debug, Default)]
struct Flaky {
    inner: Arc<InMemory>,
    failures: Arc<AtomicUsize>,
}

impl std::fmt::Display for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flaky")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let fails = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if fails.is_ok() {
            return Err(object_store::Error::Generic {
                store: "S3",
                source: "Server returned non-2xx status code: 503 Service Unavailable".into(),
            });
        }
        self.inner.put_opts(location, payload, options).await
    }
    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }
    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }
    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
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
        let mut props: Props = [
            ("format.class", JSON),
            ("flush.size", "2"),
            ("s3.bucket.name", "b"),
            ("retry.backoff.ms", "0"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        props.extend(
            changes
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned())),
        );
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let flaky = Flaky::default();
        let (objects, failures) = (Arc::clone(&flaky.inner), Arc::clone(&flaky.failures));
        let settings = Settings::new(&props).expect("valid options");
        let part_size = settings.store.part_size;
        let parts = Arc::clone(&objects);
        let store = Store::over(
            Arc::new(flaky),
            parts,
            "bucket b".to_owned(),
            part_size,
            runtime.handle(),
        );
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
    fn text(&self, key: &str) -> String {
        String::from_utf8(self.bytes(key).to_vec()).expect("text")
    }
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.consumer.asked.lock().expect("no test panics here"))
    }
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
