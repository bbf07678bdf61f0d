//! The whole task against a real server: snapshot, stream, stop anywhere, go on.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connect_api::Props;
use connect_api::context::{PluginContext, StopSignal};
use connect_api::data::Value;
use connect_api::record::{OffsetMap, SourceOffset, SourcePartition, SourceRecord};
use connect_api::source::{OffsetReader, SourceTask, SourceTaskContext};
use postgres_source::task::PostgresTask;

use crate::server::Server;

/// The one stored offset.
#[derive(Default)]
pub(crate) struct Stored(Mutex<Option<OffsetMap>>);

impl Stored {
    pub(crate) fn new(offset: Option<OffsetMap>) -> Self {
        Self(Mutex::new(offset))
    }
}

impl OffsetReader for Stored {
    fn read(&self, partitions: &[SourcePartition]) -> connect_api::Result<Vec<Option<OffsetMap>>> {
        assert_eq!(partitions.len(), 1);
        assert_eq!(
            partitions[0].get("server").and_then(Value::as_str),
            Some("p")
        );
        Ok(vec![self.0.lock().expect("unpoisoned").clone()])
    }
}

/// A worker of one task.
struct Worker<'a> {
    server: &'a Server,
    runtime: &'a tokio::runtime::Runtime,
    props: Props,
}

impl Worker<'_> {
    fn start(&self, offset: Option<OffsetMap>) -> PostgresTask {
        let mut task = PostgresTask::new();
        let context = SourceTaskContext {
            connector: "c".to_owned(),
            task: 0,
            plugin: PluginContext {
                runtime: self.runtime.handle().clone(),
            },
            stop: StopSignal::new(),
            offsets: Arc::new(Stored(Mutex::new(offset))),
            topics: None,
        };
        task.start(context, &self.props).expect("the task starts");
        task
    }

    /// Polls until `count` records are there and a little longer.
    fn records(&self, task: &mut PostgresTask, count: usize) -> Vec<SourceRecord> {
        let mut records = Vec::new();
        let end = Instant::now() + Duration::from_secs(30);
        while records.len() < count {
            assert!(
                Instant::now() < end,
                "{} of {count} records came",
                records.len()
            );
            records.extend(task.poll().expect("polls").records);
        }
        let quiet = Instant::now() + Duration::from_millis(300);
        while Instant::now() < quiet {
            records.extend(task.poll().expect("polls").records);
        }
        records
    }

    /// Polls until the stream is open.
    fn settle(&self, task: &mut PostgresTask) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(task.poll().expect("polls").records.is_empty());
            let sql = "SELECT 1 FROM pg_replication_slots WHERE active";
            if !self.runtime.block_on(self.server.sql(sql)).is_empty() {
                return;
            }
            assert!(Instant::now() < end, "the slot does not become active");
        }
    }
}

pub(crate) fn props(server: &Server, more: &[(&str, &str)]) -> Props {
    let port = server.port().to_string();
    let common = [
        (
            "connector.class",
            "io.debezium.connector.postgresql.PostgresConnector",
        ),
        ("database.hostname", "127.0.0.1"),
        ("database.port", port.as_str()),
        ("database.user", "postgres"),
        ("database.password", "postgres"),
        ("database.dbname", "postgres"),
        ("topic.prefix", "p"),
        ("plugin.name", "pgoutput"),
        ("poll.interval.ms", "50"),
    ];
    let all = common.iter().chain(more);
    all.map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// What a record says, without what differs from run to run.
fn told(record: &SourceRecord) -> String {
    let value = record.record.value.value.as_struct();
    let field = |name| {
        value
            .and_then(|value| value.get(name))
            .cloned()
            .unwrap_or_default()
    };
    let row = |value: Value| match value {
        Value::Struct(row) => format!("{:?}", row.values),
        other => format!("{other:?}"),
    };
    let key = row(record.record.key.value.clone());
    let op = field("op").as_str().unwrap_or("-").to_owned();
    format!(
        "{} {op} {key} {} {}",
        record.record.topic,
        row(field("before")),
        row(field("after"))
    )
}

fn field(record: &SourceRecord, block: &str, name: &str) -> Value {
    let value = record.record.value.value.as_struct().expect("an envelope");
    let block = value
        .get(block)
        .and_then(Value::as_struct)
        .expect("a struct");
    block.get(name).cloned().expect("the field")
}

#[test]
fn after_a_stop_at_any_record_the_rest_follows_and_nothing_is_lost() {
    let server = Server::start("");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let sql = |sql: &str| drop(runtime.block_on(server.sql(sql)));
    sql(
        "CREATE TABLE a(id int PRIMARY KEY, v text); CREATE TABLE b(id int PRIMARY KEY); \
         CREATE TABLE hidden(id int); INSERT INTO a VALUES (1, 'one'), (2, E'tab\\there'), (3, NULL)",
    );
    let worker = Worker {
        server: &server,
        runtime: &runtime,
        props: props(&server, &[("table.exclude.list", "public.hidden")]),
    };
    let mut task = worker.start(None);
    let snapshot = worker.records(&mut task, 3);
    let markers: Vec<Value> = snapshot
        .iter()
        .map(|record| field(record, "source", "snapshot"))
        .collect();
    assert_eq!(
        markers,
        [
            Value::text("first"),
            Value::text("true"),
            Value::text("last")
        ]
    );
    assert_eq!(field(&snapshot[1], "after", "v"), Value::text("tab\there"));
    worker.settle(&mut task);

    // Two transactions that overlap, positions shared by several rows, a changed key, rows of a
    // table that is not captured between others, a rollback.
    sql("INSERT INTO a SELECT i, 'v' FROM generate_series(10, 14) i");
    runtime.block_on(async {
        use postgres_source::protocol::connection::{Connection, SessionKind};
        let open = || async {
            let kind = SessionKind::Ordinary;
            Connection::open(&server.settings(), kind, "test")
                .await
                .expect("connects")
        };
        let (mut one, mut two) = (open().await, open().await);
        for (first, sql) in [
            (true, "BEGIN; INSERT INTO b VALUES (1)"),
            (
                false,
                "BEGIN; INSERT INTO b VALUES (100); INSERT INTO hidden VALUES (1)",
            ),
            (
                true,
                "INSERT INTO b VALUES (2); UPDATE b SET id = 3 WHERE id = 2",
            ),
            (false, "COMMIT"),
            (true, "DELETE FROM b WHERE id = 1; INSERT INTO b VALUES (4)"),
            (true, "COMMIT"),
        ] {
            let session = if first { &mut one } else { &mut two };
            session.query(sql).await.expect(sql);
        }
    });
    sql("BEGIN; INSERT INTO a VALUES (77); ROLLBACK");
    sql("UPDATE a SET v = 'changed' WHERE id < 3");
    let expected = 5 + 1 + 2 + 3 + 2 + 1 + 2;
    let all = worker.records(&mut task, expected);
    assert_eq!(all.len(), expected);
    task.stop();
    let full: Vec<String> = all.iter().map(told).collect();

    for (index, record) in all.iter().enumerate() {
        let mut task = worker.start(Some(record.source_offset.to_map()));
        let left = expected - index - 1;
        let rest: Vec<String> = worker.records(&mut task, left).iter().map(told).collect();
        task.stop();
        assert!(full.ends_with(&rest), "after {}:\n{rest:#?}", full[index]);
        // The records of one change are repeated together, never in part left out.
        let repeated = rest.len() - left;
        assert!(repeated <= 2, "after {}: {repeated} repeated", full[index]);
        let whole = !matches!(full[index].split(' ').nth(1), Some("d"));
        assert!(
            repeated == 0 || !whole || full[index].contains(" - "),
            "{}",
            full[index]
        );
    }

    // What is stored moves the slot, but not beyond the commit before it.
    let mut task = worker.start(Some(all[0].source_offset.to_map()));
    drop(worker.records(&mut task, expected - 1));
    let last = all.last().expect("records");
    let offset: Arc<dyn SourceOffset> = Arc::new(last.source_offset.to_map());
    task.committed(&[(Arc::clone(&last.source_partition), offset)])
        .expect("heard");
    task.stop();
    let sql = "SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots";
    let confirmed: i64 = runtime.block_on(server.sql(sql))[0]
        .text(0)
        .parse()
        .expect("a position");
    let stored = last.source_offset.to_map();
    let commit = stored
        .get("lsn_commit")
        .and_then(Value::as_i64)
        .expect("lsn_commit");
    assert_eq!(confirmed, commit);
    assert!(Some(commit) < stored.get("lsn").and_then(Value::as_i64));
}

#[test]
fn a_broken_connection_is_opened_again_without_loss_or_repetition() {
    let server = Server::start("");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let sql = |sql: &str| drop(runtime.block_on(server.sql(sql)));
    sql("CREATE TABLE a(id int PRIMARY KEY)");
    let more = [
        ("retriable.restart.connector.wait.ms", "100"),
        ("slot.drop.on.stop", "true"),
    ];
    let worker = Worker {
        server: &server,
        runtime: &runtime,
        props: props(&server, &more),
    };
    let mut task = worker.start(None);
    worker.settle(&mut task);
    sql("INSERT INTO a SELECT generate_series(1, 1000)");
    let mut records = worker.records(&mut task, 1000);
    sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'Debezium%'",
    );
    let begin = Instant::now();
    sql("INSERT INTO a SELECT generate_series(1001, 2000)");
    records.extend(worker.records(&mut task, 1000));
    let waited = begin.elapsed();
    assert!(
        waited < Duration::from_secs(8),
        "the default is 10 s: {waited:?}"
    );
    assert_eq!(records.len(), 2000);
    for (index, record) in records.iter().enumerate() {
        let id = i32::try_from(index + 1).expect("small");
        assert_eq!(field(record, "after", "id"), Value::Int32(id));
    }
    task.stop();
    let slots = runtime.block_on(server.sql("SELECT 1 FROM pg_replication_slots"));
    assert!(slots.is_empty(), "slot.drop.on.stop");
}
