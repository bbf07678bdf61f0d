//! Where Debezium's task fails, passes something over or waits for ever, and this one goes on.

use std::time::{Duration, Instant};

use connect_api::data::{SchemaAndValue, Value};
use connect_api::source::SourceTask as _;

use crate::snapshot::{BIG, Run, ids, is_complete, poll, text};

/// The value of a field of a key.
fn of_key(key: &SchemaAndValue, field: &str) -> Option<Value> {
    key.value.as_struct()?.get(field).cloned()
}

#[test]
fn a_table_without_columns_and_a_statement_with_more_of_them_are_read() {
    let run = Run::new(
        "CREATE TABLE bare(); INSERT INTO bare DEFAULT VALUES; \
         CREATE TABLE o(id int PRIMARY KEY, v text); INSERT INTO o VALUES (1, 'a'), (2, 'b')",
    );
    let select = "SELECT 'more' AS extra, id, 7 AS other, v FROM o WHERE id > 1";
    let mut task = run.start(
        None,
        &[
            ("snapshot.select.statement.overrides", "public.o"),
            ("snapshot.select.statement.overrides.public.o", select),
            // Accepted without effect.
            ("signal.enabled.channels", "source,jmx"),
            ("notification.enabled.channels", "jmx,http,log"),
            ("notification.http.url", "http://8.8.8.8/"),
        ],
    );
    let mut records = Vec::new();
    poll(&mut task, &mut records, is_complete);
    run.wait_streaming(&mut task);
    run.sql("INSERT INTO bare DEFAULT VALUES");
    run.sql("INSERT INTO o VALUES (3, 'c')");
    poll(&mut task, &mut records, |records| {
        ids(records, "o").len() > 1
    });
    task.stop();
    let rows: Vec<(String, String, Vec<Value>)> = records
        .iter()
        .map(|record| {
            let event = record.record.value.value.as_struct();
            let row = event.and_then(|event| event.get("after")?.as_struct());
            let values = row.map(|row| row.values.clone()).unwrap_or_default();
            let (op, table) = (text(record, &["op"]), text(record, &["source", "table"]));
            (op, table, values)
        })
        .collect();
    let bare = |op: &str| (op.to_owned(), "bare".to_owned(), Vec::new());
    let of_o = |op: &str, id, v| (op.to_owned(), "o".to_owned(), vec![Value::Int32(id), v]);
    assert_eq!(
        rows,
        [
            bare("r"),
            of_o("r", 2, Value::text("b")),
            bare("c"),
            of_o("c", 3, Value::text("c")),
        ]
    );
}

#[test]
fn with_an_old_slot_a_new_snapshot_is_of_one_state() {
    let run = Run::new(&format!(
        "{BIG}; CREATE TABLE later(id int PRIMARY KEY); INSERT INTO later VALUES (1)"
    ));
    run.sql("SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')");
    let more = [
        ("max.batch.size", "50"),
        ("max.queue.size.in.bytes", "65536"),
    ];
    let mut task = run.start(None, &more);
    let mut records = Vec::new();
    poll(&mut task, &mut records, |records| !records.is_empty());
    run.sql("INSERT INTO later VALUES (2)");
    poll(&mut task, &mut records, is_complete);
    let read = records.iter().filter(|record| text(record, &["op"]) == "r");
    assert_eq!(ids(read, "later"), [1]);
    poll(&mut task, &mut records, |records| {
        ids(records, "later").len() > 1
    });
    task.stop();
    assert_eq!(ids(&records, "later"), [1, 2], "the stream has the rest");
}

#[test]
fn a_time_that_an_old_key_lacks_is_midnight_in_nanoseconds() {
    let run = Run::new(
        "CREATE TABLE n(t time PRIMARY KEY, id int NOT NULL UNIQUE); \
         ALTER TABLE n REPLICA IDENTITY USING INDEX n_id_key",
    );
    let more = [
        ("time.precision.mode", "nanoseconds"),
        ("snapshot.mode", "no_data"),
    ];
    let mut task = run.start(None, &more);
    run.wait_streaming(&mut task);
    run.sql("INSERT INTO n VALUES ('01:00', 1)");
    run.sql("DELETE FROM n");
    let mut records = Vec::new();
    poll(&mut task, &mut records, |records| records.len() >= 3);
    task.stop();
    let told: Vec<_> = records
        .iter()
        .map(|record| (text(record, &["op"]), of_key(&record.record.key, "t")))
        .collect();
    let time = |nanos| Some(Value::Int64(nanos));
    assert_eq!(
        told,
        [
            ("c".to_owned(), time(3_600_000_000_000)),
            ("d".to_owned(), time(0)),
            // Its tombstone.
            ("0".to_owned(), time(0)),
        ]
    );
}

#[test]
fn an_idle_slot_moves_on_by_keepalives_after_a_minute() {
    let run = Run::new("CREATE TABLE seen(id int PRIMARY KEY); CREATE TABLE unseen(id int)");
    let more = [
        ("snapshot.mode", "no_data"),
        ("table.include.list", "public.seen"),
        ("publication.autocreate.mode", "filtered"),
    ];
    let mut task = run.start(None, &more);
    run.wait_streaming(&mut task);
    run.sql("INSERT INTO seen VALUES (1)");
    let mut records = Vec::new();
    poll(&mut task, &mut records, |records| !records.is_empty());
    let begin = Instant::now();
    let position = |offset: &connect_api::record::OffsetMap| {
        offset
            .get("lsn")
            .and_then(Value::as_i64)
            .expect("a position")
    };
    let before = position(&records[0].source_offset.to_map());
    run.sql("INSERT INTO unseen SELECT generate_series(1, 1000)");
    let progress = loop {
        assert!(
            begin.elapsed() < Duration::from_secs(120),
            "the slot stands"
        );
        let batch = task.poll().expect("polls");
        assert!(batch.records.is_empty());
        if let Some(progress) = batch.progress {
            break progress;
        }
    };
    task.stop();
    assert!(begin.elapsed() > Duration::from_secs(50), "too soon");
    assert!(position(&progress.offset.to_map()) > before);
}
