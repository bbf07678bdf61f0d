//! Signals, incremental and blocking snapshots, notifications, against a real server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::Props;
use connect_api::context::{PluginContext, StopSignal};
use connect_api::data::Value;
use connect_api::data::text::convert_to_string;
use connect_api::record::{OffsetMap, SourceRecord};
use connect_api::source::{SourceTask, SourceTaskContext};
use postgres_source::task::PostgresTask;

use crate::server::Server;
use crate::task::{Stored, props};

const TABLES: &str = "CREATE TABLE sig (id varchar(60) PRIMARY KEY, type varchar(60), data text); \
    CREATE TABLE a (id int PRIMARY KEY, v text); \
    CREATE TABLE b (k text, n bigint, PRIMARY KEY (k, n)); \
    CREATE TABLE nokey (id int, v text); CREATE TABLE e (id int PRIMARY KEY); \
    INSERT INTO a SELECT i, 'a' || i FROM generate_series(1, 5) i; \
    INSERT INTO b SELECT 'k' || i, i FROM generate_series(1, 3) i; \
    INSERT INTO nokey VALUES (3, 'x'), (1, 'y'), (1, 'z')";

/// A task with its records.
struct Run {
    server: Server,
    runtime: tokio::runtime::Runtime,
    props: Props,
    task: PostgresTask,
    records: Vec<SourceRecord>,
}

impl Run {
    fn start(more: &[(&str, &str)]) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let server = Server::start("");
        runtime.block_on(server.sql(TABLES));
        let mut all = vec![
            ("snapshot.mode", "no_data"),
            ("signal.data.collection", "public.sig"),
            ("incremental.snapshot.chunk.size", "2"),
            ("notification.enabled.channels", "sink,log"),
            ("notification.sink.topic.name", "notifications"),
        ];
        all.extend_from_slice(more);
        let props = props(&server, &all);
        let task = begin(&runtime, &props, None);
        let mut run = Self {
            server,
            runtime,
            props,
            task,
            records: Vec::new(),
        };
        run.until("the slot is active", |run| {
            let sql = "SELECT 1 FROM pg_replication_slots WHERE active";
            !run.runtime.block_on(run.server.sql(sql)).is_empty()
        });
        run
    }

    /// Polls until something holds.
    fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds(self) {
            assert!(Instant::now() < end, "never: {what}; {:?}", self.notified());
            self.records
                .extend(self.task.poll().expect("polls").records);
        }
    }

    fn sql(&self, text: &str) {
        self.runtime.block_on(self.server.sql(text));
    }

    fn signal(&self, id: &str, kind: &str, data: &str) {
        self.sql(&format!(
            "INSERT INTO sig VALUES ('{id}', '{kind}', '{data}')"
        ));
    }

    /// The rows of a topic: operation, marker, key.
    fn rows(&self, topic: &str) -> Vec<String> {
        let of_topic = self.records.iter().filter(|r| r.record.topic == *topic);
        of_topic
            .map(|record| {
                let envelope = record.record.value.value.as_struct().expect("an event");
                let text = |name: &str| convert_to_string(envelope.get(name).expect(name));
                let source = envelope
                    .get("source")
                    .and_then(Value::as_struct)
                    .expect("a source");
                let marker = source
                    .get_or_default("snapshot")
                    .and_then(Value::as_str)
                    .expect("a marker");
                format!("{} {marker} {}", text("op"), text("after"))
            })
            .collect()
    }

    /// What was notified: id, type, and the data that say how far it is.
    fn notified(&self) -> Vec<String> {
        let sent = self
            .records
            .iter()
            .filter(|r| r.record.topic == *"notifications");
        sent.map(|record| {
            let value = record
                .record
                .value
                .value
                .as_struct()
                .expect("a notification");
            let text = |name: &str| value.get(name).and_then(Value::as_str).expect(name);
            let data = value
                .get("additional_data")
                .and_then(Value::as_map)
                .expect("data");
            let of = |name: &str| data.get_str(name).and_then(Value::as_str).unwrap_or("");
            format!(
                "{} {} {}{} {} {}",
                text("aggregate_type"),
                text("type"),
                of("scanned_collection"),
                of("current_collection_in_progress"),
                of("status"),
                of("last_processed_key"),
            )
            .trim_end()
            .to_owned()
        })
        .collect()
    }

    fn was_notified(&self, kind: &str) -> bool {
        self.notified()
            .iter()
            .any(|text| text.split(' ').any(|word| word == kind))
    }

    /// Stops, and starts anew from the offset of the last record.
    fn restart(&mut self) {
        let offset = self
            .records
            .last()
            .expect("a record")
            .source_offset
            .to_map();
        self.task.stop();
        self.task = begin(&self.runtime, &self.props, Some(offset));
    }
}

fn begin(
    runtime: &tokio::runtime::Runtime,
    props: &Props,
    offset: Option<OffsetMap>,
) -> PostgresTask {
    let context = SourceTaskContext {
        connector: "c".to_owned(),
        task: 0,
        plugin: PluginContext {
            runtime: runtime.handle().clone(),
        },
        stop: StopSignal::new(),
        offsets: Arc::new(Stored::new(offset)),
        topics: None,
    };
    let mut task = PostgresTask::new();
    task.start(context, props).expect("the task starts");
    task
}

const EXECUTE: &str = "execute-snapshot";

#[test]
fn an_incremental_snapshot_reads_tables_chunk_by_chunk() {
    let mut run = Run::start(&[]);
    let data = r#"{"data-collections": ["public\\.a", "public.b", "public.e", "public.nokey", "public.zzz"], "additional-conditions": [{"data-collection": "public.b", "filter": "n < 3"}]}"#;
    run.signal("s1", EXECUTE, data);
    run.until("it completes", |run| run.was_notified("COMPLETED"));
    let read = |n: i32| format!(r#"r incremental {{"id":{n},"v":"a{n}"}}"#);
    assert_eq!(
        run.rows("p.public.a"),
        (1..=5).map(read).collect::<Vec<_>>()
    );
    assert_eq!(run.rows("p.public.b").len(), 2);
    assert_eq!(
        run.notified(),
        [
            "Initial Snapshot SKIPPED",
            "Incremental Snapshot STARTED",
            "Incremental Snapshot DATA_COLLECTIONS_RESOLVED",
            "Incremental Snapshot IN_PROGRESS public.a  2",
            "Incremental Snapshot IN_PROGRESS public.a  4",
            "Incremental Snapshot IN_PROGRESS public.a  5",
            "Incremental Snapshot TABLE_SCAN_COMPLETED public.a SUCCEEDED",
            "Incremental Snapshot IN_PROGRESS public.b  k2,2",
            "Incremental Snapshot TABLE_SCAN_COMPLETED public.b SUCCEEDED",
            "Incremental Snapshot TABLE_SCAN_COMPLETED public.e EMPTY",
            "Incremental Snapshot TABLE_SCAN_COMPLETED public.nokey NO_PRIMARY_KEY",
            "Incremental Snapshot TABLE_SCAN_COMPLETED public.zzz UNKNOWN_SCHEMA",
            "Incremental Snapshot COMPLETED",
        ]
    );
    // By a key that is not unique no row is lost.
    run.signal(
        "s2",
        EXECUTE,
        r#"{"data-collections": ["public.nokey"], "surrogate-key": "v"}"#,
    );
    run.until("all rows came", |run| run.rows("p.public.nokey").len() == 3);
    run.sql("INSERT INTO a VALUES (6, 'a6')");
    run.until("the stream goes on", |run| {
        run.rows("p.public.a").len() == 6
    });
    let last = run.records.last().expect("a record").source_offset.to_map();
    assert!(
        !last.keys().any(|key| key.starts_with("incremental")),
        "{last:?}"
    );
    run.task.stop();
}

#[test]
fn tables_whose_names_need_quotes_are_found_by_a_pattern() {
    let mut run = Run::start(&[]);
    run.sql(
        r#"CREATE TABLE "Odd Name" (id int PRIMARY KEY, v text); INSERT INTO "Odd Name" VALUES (1, 'x')"#,
    );
    run.signal("s1", EXECUTE, r#"{"data-collections": ["public\\.Odd.*"]}"#);
    run.until("it completes", |run| run.was_notified("COMPLETED"));
    run.task.stop();
    let rows = run.rows("p.public.Odd_Name");
    let read = rows.iter().filter(|row| row.starts_with("r ")).cloned();
    assert_eq!(
        read.collect::<Vec<_>>(),
        [r#"r incremental {"id":1,"v":"x"}"#]
    );
}

#[test]
fn a_key_of_dates_is_kept_as_text() {
    let mut run = Run::start(&[("incremental.snapshot.chunk.size", "1")]);
    run.sql(
        "CREATE TABLE day (id date PRIMARY KEY); \
         INSERT INTO day SELECT date '2024-01-01' + i FROM generate_series(0, 5) i",
    );
    run.signal("s1", EXECUTE, r#"{"data-collections": ["public.day"]}"#);
    run.until("it completes", |run| run.was_notified("COMPLETED"));
    run.task.stop();
    let hex = |text: &str| -> String { text.bytes().map(|byte| format!("{byte:02x}")).collect() };
    let kept = run.records.iter().filter_map(|record| {
        let offset = record.source_offset.to_map();
        let key = offset.get("incremental_snapshot_primary_key")?;
        key.as_str().map(str::to_owned)
    });
    let kept: Vec<String> = kept.collect();
    assert!(
        kept.iter().any(|key| key.contains(&hex("2024-01-03"))),
        "{kept:?}"
    );
    let rows = run.rows("p.public.day");
    assert_eq!(rows.iter().filter(|row| row.starts_with("r ")).count(), 6);
}

#[test]
fn a_window_is_closed_by_deleting_its_row_where_asked_for() {
    let mut run = Run::start(&[(
        "incremental.snapshot.watermarking.strategy",
        "insert_delete",
    )]);
    run.signal("s1", EXECUTE, r#"{"data-collections": ["public.a"]}"#);
    run.until("it completes", |run| run.was_notified("COMPLETED"));
    assert_eq!(run.rows("p.public.a").len(), 5);
    run.task.stop();
    let marks = "SELECT 1 FROM sig WHERE type LIKE 'snapshot-window-%'";
    assert!(run.runtime.block_on(run.server.sql(marks)).is_empty());
}

#[test]
fn an_incremental_snapshot_goes_on_after_a_restart() {
    let mut run = Run::start(&[("incremental.snapshot.chunk.size", "1")]);
    run.sql("INSERT INTO a SELECT i, 'x' FROM generate_series(6, 40) i");
    run.until("the rows stream", |run| run.rows("p.public.a").len() == 35);
    run.signal(
        "s1",
        EXECUTE,
        r#"{"data-collections": ["public.a", "public.b"]}"#,
    );
    let read = |run: &Run| {
        let rows = run.rows("p.public.a");
        rows.into_iter().filter(|row| row.starts_with("r ")).count()
    };
    run.until("some rows are read", |run| read(run) >= 5);
    let is_read = |record: &SourceRecord| record.record.topic == *"p.public.a";
    while run.records.last().is_some_and(|record| !is_read(record)) {
        run.records.pop();
    }
    let before = read(&run);
    let stored = run.records.last().expect("a record").source_offset.to_map();
    let key = stored.get("incremental_snapshot_primary_key");
    assert!(
        matches!(key, Some(Value::String(key)) if key.starts_with("aced0005")),
        "{stored:?}"
    );
    run.restart();
    run.until("it completes", |run| run.was_notified("COMPLETED"));
    assert_eq!(run.rows("p.public.b").len(), 3, "{:?}", run.notified());
    let all = read(&run);
    assert!(
        (40..40 + before).contains(&all),
        "{before} of {all} before the restart"
    );
    run.task.stop();
}

#[test]
fn an_incremental_snapshot_pauses_and_stops() {
    let mut run = Run::start(&[]);
    run.signal(
        "s1",
        EXECUTE,
        r#"{"data-collections": ["public.a", "public.b"]}"#,
    );
    run.signal("p", "pause-snapshot", "{}");
    run.until("it pauses", |run| run.was_notified("PAUSED"));
    let quiet = Instant::now() + Duration::from_secs(1);
    run.until("time passes", |_| Instant::now() > quiet);
    let read = run.rows("p.public.a").len();
    assert!(read < 5, "{read} rows after the pause");
    run.signal(
        "t",
        "stop-snapshot",
        r#"{"data-collections": ["public.b"], "type": "incremental"}"#,
    );
    run.signal("r", "resume-snapshot", "{}");
    run.until("it completes", |run| run.was_notified("COMPLETED"));
    let notified = run.notified();
    let place = |kind: &str| notified.iter().position(|one| one.contains(kind));
    assert!(place("ABORTED") > place("RESUMED"), "{notified:?}");
    assert_eq!(run.rows("p.public.a").len(), 5);
    assert_eq!(run.rows("p.public.b").len(), 0);
    run.task.stop();
}

#[test]
fn changes_that_stream_by_replace_rows_of_the_window() {
    let mut run = Run::start(&[("incremental.snapshot.chunk.size", "10000")]);
    run.sql("INSERT INTO e SELECT generate_series(1, 2000)");
    let data = r#"{"data-collections": ["public.e"]}"#;
    // One transaction: the deletes are committed with the signal and precede the window.
    run.signal("s1", EXECUTE, data);
    for id in 1..=50 {
        run.sql(&format!("DELETE FROM e WHERE id = {id}"));
        run.records.extend(run.task.poll().expect("polls").records);
    }
    run.until("it completes", |run| run.was_notified("COMPLETED"));
    // Whatever the timing: after the last event of each key, the key is there or not as in the table.
    let mut present = std::collections::BTreeMap::new();
    for record in run
        .records
        .iter()
        .filter(|r| r.record.topic == *"p.public.e")
    {
        let key = convert_to_string(&record.record.key.value);
        let after = record
            .record
            .value
            .value
            .as_struct()
            .and_then(|v| v.get("after"));
        present.insert(key, after.is_some_and(|after| !after.is_null()));
    }
    assert_eq!(present.values().filter(|there| **there).count(), 1950);
    run.task.stop();
}

#[test]
fn a_read_only_snapshot_writes_nothing_and_needs_no_heartbeat() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("signals");
    let file = path.to_str().expect("a path");
    let mut run = Run::start(&[
        ("read.only", "true"),
        ("signal.enabled.channels", "file"),
        ("signal.file", file),
        ("signal.poll.interval.ms", "100"),
    ]);
    let signal =
        r#"{"id":"f1","type":"execute-snapshot","data":{"data-collections":["public.a"]}}"#;
    std::fs::write(&path, signal).expect("written");
    run.until("it completes", |run| run.was_notified("COMPLETED"));
    assert_eq!(run.rows("p.public.a").len(), 5);
    assert_eq!(run.rows("p.public.sig").len(), 0);
    run.task.stop();
}

#[test]
fn a_blocking_snapshot_is_taken_in_the_middle_of_the_stream() {
    let mut run = Run::start(&[]);
    let data = r#"{"data-collections": ["public.a", "public.b"], "type": "BLOCKING", "additional-conditions": [{"data-collection": "public.a", "filter": "SELECT * FROM a WHERE id > 3"}]}"#;
    run.signal("b1", EXECUTE, data);
    run.until("it completes", |run| run.was_notified("COMPLETED"));
    run.sql("INSERT INTO a VALUES (6, 'a6')");
    run.until("the stream goes on", |run| {
        run.rows("p.public.a").len() == 3
    });
    assert_eq!(
        run.rows("p.public.a"),
        [
            r#"r first {"id":4,"v":"a4"}"#,
            r#"r last_in_data_collection {"id":5,"v":"a5"}"#,
            r#"c false {"id":6,"v":"a6"}"#,
        ]
    );
    assert_eq!(
        run.notified(),
        [
            "Initial Snapshot SKIPPED",
            "Initial Snapshot STARTED",
            "Initial Snapshot DATA_COLLECTIONS_RESOLVED",
            "Initial Snapshot IN_PROGRESS public.a",
            "Initial Snapshot TABLE_SCAN_COMPLETED public.a SUCCEEDED",
            "Initial Snapshot IN_PROGRESS public.b",
            "Initial Snapshot TABLE_SCAN_COMPLETED public.b SUCCEEDED",
            "Initial Snapshot COMPLETED",
        ]
    );
    run.task.stop();
}
