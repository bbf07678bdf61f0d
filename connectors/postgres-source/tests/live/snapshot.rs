//! The initial snapshot by several sessions, and one that goes on after an interruption.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::context::{PluginContext, StopSignal};
use connect_api::data::Value;
use connect_api::record::{OffsetMap, SourceRecord};
use connect_api::source::{SourceTask, SourceTaskContext};
use postgres_source::task::PostgresTask;

use crate::server::Server;
use crate::task::{Stored, props};

/// About 290 pages, so that sessions share it.
pub(crate) const BIG: &str = "CREATE TABLE big(id int PRIMARY KEY, v text) WITH (autovacuum_enabled = off); \
    INSERT INTO big SELECT i, repeat('v', 700) FROM generate_series(1, 3000) i";

pub(crate) struct Run {
    server: Server,
    runtime: tokio::runtime::Runtime,
}

impl Run {
    pub(crate) fn new(sql: &str) -> Self {
        let run = Self {
            server: Server::start(""),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        };
        run.sql(sql);
        run
    }

    pub(crate) fn sql(&self, sql: &str) -> Vec<postgres_source::protocol::connection::Row> {
        self.runtime.block_on(self.server.sql(sql))
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    pub(crate) fn start(&self, offset: Option<OffsetMap>, more: &[(&str, &str)]) -> PostgresTask {
        let mut task = PostgresTask::new();
        let context = SourceTaskContext {
            connector: "c".to_owned(),
            task: 0,
            plugin: PluginContext {
                runtime: self.runtime.handle().clone(),
            },
            stop: StopSignal::new(),
            offsets: Arc::new(Stored::new(offset)),
            topics: None,
        };
        task.start(context, &props(&self.server, more))
            .expect("the task starts");
        task
    }

    /// Polls until the stream has its slot; there is nothing to read yet.
    pub(crate) fn wait_streaming(&self, task: &mut PostgresTask) {
        assert!(self.until_streaming(task).is_empty());
    }

    /// Polls until the stream has its slot, for what comes before.
    pub(crate) fn until_streaming(&self, task: &mut PostgresTask) -> Vec<SourceRecord> {
        let mut records = Vec::new();
        let end = Instant::now() + Duration::from_secs(60);
        while self
            .sql("SELECT 1 FROM pg_replication_slots WHERE active")
            .is_empty()
        {
            assert!(Instant::now() < end, "no slot became active");
            records.extend(task.poll().expect("polls").records);
        }
        records
    }
}

/// Polls until something holds of what came.
pub(crate) fn poll(
    task: &mut PostgresTask,
    records: &mut Vec<SourceRecord>,
    holds: impl Fn(&[SourceRecord]) -> bool,
) {
    let end = Instant::now() + Duration::from_secs(120);
    while !holds(records) {
        assert!(Instant::now() < end, "{} records came", records.len());
        records.extend(task.poll().expect("polls").records);
    }
}

pub(crate) fn text(record: &SourceRecord, path: &[&str]) -> String {
    let start = Some(&record.record.value.value);
    let found = path.iter().fold(start, |value, name| {
        value
            .and_then(Value::as_struct)
            .and_then(|row| row.get(name))
    });
    match found {
        Some(Value::String(text)) => text.to_string(),
        other => other
            .and_then(Value::as_i64)
            .unwrap_or_default()
            .to_string(),
    }
}

fn marker(record: &SourceRecord) -> String {
    text(record, &["source", "snapshot"])
}

pub(crate) fn ids<'a>(
    records: impl IntoIterator<Item = &'a SourceRecord>,
    table: &str,
) -> Vec<i64> {
    let of_table = records
        .into_iter()
        .filter(|record| text(record, &["source", "table"]) == table);
    of_table
        .map(|record| text(record, &["after", "id"]).parse().expect("a number"))
        .collect()
}

pub(crate) fn is_complete(records: &[SourceRecord]) -> bool {
    records
        .last()
        .is_some_and(|record| marker(record) == "last")
}

#[test]
fn several_sessions_read_each_row_of_one_state_once() {
    let run = Run::new(&format!(
        "{BIG}; CREATE TABLE empty(id int PRIMARY KEY); CREATE TABLE one(id int); \
         INSERT INTO one VALUES (7); CREATE TABLE part(id int PRIMARY KEY, v text) \
         PARTITION BY RANGE (id); \
         CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (500); \
         CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (500) TO (2000); \
         INSERT INTO part SELECT i, repeat('p', 300) FROM generate_series(1, 1000) i"
    ));
    let mut task = run.start(
        None,
        &[
            ("snapshot.max.threads", "4"),
            ("max.batch.size", "50"),
            ("max.queue.size.in.bytes", "65536"),
            ("table.exclude.list", "public.part_.*"),
        ],
    );
    let mut records = Vec::new();
    poll(&mut task, &mut records, |records| !records.is_empty());
    // Later than what the sessions see, however long they read.
    run.sql("DELETE FROM big WHERE id > 2500; INSERT INTO part VALUES (0, 'late')");
    poll(&mut task, &mut records, is_complete);
    task.stop();

    for (table, rows) in [("big", 3000), ("part", 1000)] {
        let mut found = ids(&records, table);
        found.sort_unstable();
        assert_eq!(found, (1..=rows).collect::<Vec<i64>>(), "{table}");
        let of_table: Vec<&SourceRecord> = records
            .iter()
            .filter(|record| text(record, &["source", "table"]) == table)
            .collect();
        let marked = |what: &str| of_table.iter().filter(|r| marker(r) == what).count();
        assert_eq!(
            marked("true"),
            usize::try_from(rows).expect("few") - 2,
            "{table}"
        );
        // What is marked as the end of the table is sent last, whoever read it.
        let (first, last) = (of_table[0], of_table[of_table.len() - 1]);
        assert_eq!(text(first, &["after", "id"]), "1", "{table}");
        assert_eq!(text(last, &["after", "id"]), rows.to_string(), "{table}");
    }
    assert_eq!(ids(&records, "one"), [7]);
    assert_eq!(ids(&records, "empty"), [0_i64; 0]);
    let marks: BTreeSet<(String, String)> = records
        .iter()
        .map(|record| (text(record, &["source", "table"]), marker(record)))
        .collect();
    let has = |table: &str, what: &str| marks.contains(&(table.to_owned(), what.to_owned()));
    assert_eq!(marker(&records[0]), "first");
    assert!(
        has("big", "first") && has("big", "last_in_data_collection"),
        "{marks:?}"
    );
    assert!(has("one", "last_in_data_collection"), "{marks:?}");
    assert!(
        has("part", "first_in_data_collection") && has("part", "last"),
        "{marks:?}"
    );
}

#[test]
fn an_interrupted_snapshot_goes_on_at_the_chunk() {
    let run = Run::new(&format!(
        "{BIG}; CREATE TABLE after(id int); INSERT INTO after VALUES (1)"
    ));
    let more = [
        ("snapshot.resume", "true"),
        ("snapshot.max.threads.multiplier", "8"),
        ("table.include.list", "public.big,public.after"),
        ("max.batch.size", "50"),
    ];
    let mut task = run.start(None, &more);
    let mut before = Vec::new();
    poll(&mut task, &mut before, |records| records.len() >= 1500);
    drop(task);
    let stored = before[before.len() - 1].source_offset.to_map();
    assert!(stored.get("snapshot_progress").is_some(), "{stored:?}");

    // Changed rows of the part that was not read move into pages that were.
    run.sql("DELETE FROM big WHERE id <= 100");
    run.sql("VACUUM big");
    run.sql("UPDATE big SET v = 'changed' WHERE id > 2950");
    run.sql("INSERT INTO big VALUES (5000, 'new')");
    run.sql("DELETE FROM big WHERE id BETWEEN 2000 AND 2010");

    let mut task = run.start(Some(stored.clone()), &more);
    let mut resumed = Vec::new();
    poll(&mut task, &mut resumed, is_complete);
    let again = ids(&resumed, "big");
    let seen: BTreeSet<i64> = again.iter().copied().collect();
    // What was read is not read again but for the chunk that was interrupted.
    assert!(again.len() < 2200, "{} rows", again.len());
    assert!(!seen.contains(&150) && !seen.contains(&1000));
    assert!((2951..=3000).all(|id| seen.contains(&id)));
    assert!(marker(&resumed[0]) == "true", "{}", marker(&resumed[0]));
    assert_eq!(ids(&resumed, "after"), [1]);
    let done = resumed[resumed.len() - 1].source_offset.to_map();
    assert!(done.get("snapshot_progress").is_none(), "{done:?}");
    // The log goes on from where the first run began.
    assert_eq!(done.get("lsn"), stored.get("lsn"));

    let complete = |records: &[SourceRecord]| {
        let gone = records.iter().filter(|record| text(record, &["op"]) == "d");
        gone.count() >= 111
    };
    poll(&mut task, &mut resumed, complete);
    task.stop();
    let mut state = BTreeMap::new();
    for record in before.iter().chain(&resumed) {
        if text(record, &["source", "table"]) != "big" {
            continue;
        }
        match text(record, &["op"]).as_str() {
            "d" => {
                state.remove(&text(record, &["before", "id"]));
            }
            _ => {
                let row = (
                    text(record, &["after", "id"]),
                    text(record, &["after", "v"]),
                );
                state.insert(row.0, row.1);
            }
        }
    }
    let rows: BTreeMap<String, String> = run
        .sql("SELECT id, v FROM big")
        .iter()
        .map(|row| (row.text(0).to_owned(), row.text(1).to_owned()))
        .collect();
    assert!(state == rows, "{} and {} rows", state.len(), rows.len());
}
