//! What options change, where it takes a server to see: each test gives several that do not touch each
//! other, and looks for the trace of every one of them. `config/effects.tsv` says which test is whose.

use std::time::{Duration, Instant};

use connect_api::data::json::{JsonOptions, JsonWriter};
use connect_api::record::SourceRecord;
use connect_api::source::SourceTask as _;
use postgres_source::task::PostgresTask;

use crate::snapshot::{Run, ids, poll, text};

/// Keys, values and schemas of the records of a topic, one a line.
fn shown(records: &[SourceRecord], topic: &str) -> String {
    let mut writer = JsonWriter::new(JsonOptions::default());
    let mut out = Vec::new();
    for SourceRecord { record, .. } in records.iter().filter(|it| it.record.topic == *topic) {
        writer.write(&record.key, &mut out).expect("printed");
        writer.write(&record.value, &mut out).expect("printed");
        out.push(b'\n');
    }
    String::from_utf8(out).expect("text")
}

fn count(records: &[SourceRecord], topic: &str, op: &str) -> usize {
    let of_topic = records.iter().filter(|it| it.record.topic == *topic);
    of_topic.filter(|it| text(it, &["op"]) == op).count()
}

/// Whether the last change of the stream has come: a row of `done`.
fn is_done(records: &[SourceRecord]) -> bool {
    let mut changes = records.iter();
    changes.any(|it| text(it, &["source", "table"]) == "done" && text(it, &["op"]) == "c")
}

/// Everything up to the end of these changes, the snapshot before them too.
fn stream(run: &Run, task: &mut PostgresTask, sql: &[&str]) -> Vec<SourceRecord> {
    let mut records = run.until_streaming(task);
    for sql in sql {
        run.sql(sql);
    }
    run.sql("INSERT INTO done VALUES (1)");
    poll(task, &mut records, is_done);
    records
}

const DONE: &str = "CREATE TABLE done(id int PRIMARY KEY)";

#[test]
fn options_of_values_show_in_the_rows() {
    let run = Run::new(&format!(
        "CREATE EXTENSION hstore; {DONE}; \
         CREATE TABLE t(id int PRIMARY KEY, n numeric(8,2), at timestamp, data bytea, h hstore, \
           i interval, odd tsquery, said text, hidden text, big text); \
         ALTER TABLE t ALTER big SET STORAGE EXTERNAL; COMMENT ON COLUMN t.said IS 'in passing'; \
         INSERT INTO t VALUES (1, 1.50, '2024-01-02 03:04:05', '\\x00ff', 'a=>1', '1 year', 'a & b', \
           'x', 'h', repeat('b', 9000))"
    ));
    let options = [
        ("decimal.handling.mode", "string"),
        ("time.precision.mode", "isostring"),
        ("binary.handling.mode", "hex"),
        ("hstore.handling.mode", "map"),
        ("interval.handling.mode", "string"),
        ("include.unknown.datatypes", "true"),
        ("unavailable.value.placeholder", "gone"),
        ("include.schema.comments", "true"),
        ("column.exclude.list", "public.t.hidden"),
    ];
    let mut task = run.start(None, &options);
    let records = stream(&run, &mut task, &["UPDATE t SET said = 'y'"]);
    task.stop();
    let rows = shown(&records, "p.public.t");
    for trace in [
        r#""n":"1.50""#,
        r#""name":"io.debezium.time.IsoTimestamp""#,
        r#""data":"00ff""#,
        r#""h":{"a":"1"}"#,
        r#""i":"P1Y"#,
        r#""odd":"#,
        r#""big":"gone""#,
        r#""doc":"in passing""#,
    ] {
        assert!(rows.contains(trace), "{trace} is not in {rows}");
    }
    assert!(!rows.contains("hidden"), "column.exclude.list: {rows}");
}

#[test]
fn options_of_events_show_in_what_is_told() {
    let run = Run::new(&format!(
        "{DONE}; CREATE TABLE u(id int PRIMARY KEY, v text); ALTER TABLE u REPLICA IDENTITY FULL; \
         CREATE TABLE beats(limited text); INSERT INTO u VALUES (0, 'old')"
    ));
    let options = [
        ("snapshot.mode", "no_data"),
        ("tombstones.on.delete", "false"),
        ("skip.messages.without.change", "true"),
        ("skipped.operations", "c"),
        ("table.include.list", "public.u,public.done"),
        ("provide.transaction.metadata", "true"),
        ("topic.delimiter", "-"),
        ("topic.transaction", "tx"),
        ("extended.headers.enabled", "false"),
        ("message.prefix.exclude.list", "bad.*"),
        ("xmin.fetch.interval.ms", "1"),
        ("heartbeat.interval.ms", "50"),
        ("topic.heartbeat.prefix", "hb"),
        (
            "heartbeat.action.query",
            "INSERT INTO beats SELECT current_setting('statement_timeout')",
        ),
        ("database.query.timeout.ms", "12345"),
    ];
    let mut task = run.start(None, &options);
    let end = Instant::now() + Duration::from_secs(60);
    let changes = [
        "INSERT INTO u VALUES (1, 'a')",
        "UPDATE u SET v = 'a' WHERE id = 1",
        "UPDATE u SET v = 'b' WHERE id = 1",
        "SELECT pg_logical_emit_message(true, 'good', 'x')",
        "SELECT pg_logical_emit_message(true, 'bad.', 'y')",
        "DELETE FROM u WHERE id = 1",
    ];
    let mut records = run.until_streaming(&mut task);
    for sql in changes {
        run.sql(sql);
    }
    let is_complete = |records: &[SourceRecord]| {
        let has = |start: &str| records.iter().any(|it| it.record.topic.starts_with(start));
        count(records, "p-public-u", "d") > 0 && has("hb")
    };
    while !is_complete(&records) || run.sql("SELECT 1 FROM beats").is_empty() {
        assert!(Instant::now() < end, "{} records came", records.len());
        records.extend(task.poll().expect("polls").records);
    }
    task.stop();
    let ops = ["r", "c", "u", "d"].map(|op| count(&records, "p-public-u", op));
    assert_eq!(
        ops,
        [0, 0, 1, 1],
        "snapshot.mode, skipped.operations, skip.messages.without.change"
    );
    let of_table = records.iter().filter(|it| it.record.topic == *"p-public-u");
    for it in of_table {
        assert!(!it.record.value.value.is_null(), "tombstones.on.delete");
        assert!(it.record.headers.is_empty(), "extended.headers.enabled");
    }
    let rows = shown(&records, "p-public-u");
    assert!(
        rows.contains(r#""total_order":1"#),
        "provide.transaction.metadata: {rows}"
    );
    assert!(
        rows.contains(r#""xmin":"#) && !rows.contains(r#""xmin":null"#),
        "{rows}"
    );
    assert!(shown(&records, "p-tx").contains(r#""status":"END""#));
    let messages = shown(&records, "p.message");
    assert!(messages.contains(r#""prefix":"good""#), "{messages}");
    assert!(!messages.contains(r#""prefix":"bad."#), "{messages}");
    let limits = run.sql("SELECT DISTINCT limited FROM beats");
    assert_eq!(limits[0].text(0), "12345ms", "database.query.timeout.ms");
}

#[test]
fn options_of_the_slot_show_in_the_database() {
    let run = Run::new(&format!(
        "{DONE}; CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE other(id int PRIMARY KEY); \
         CREATE TABLE parts(id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100)"
    ));
    let options = [
        ("slot.name", "mine"),
        ("publication.name", "its"),
        ("publication.autocreate.mode", "filtered"),
        ("publish.via.partition.root", "true"),
        ("table.include.list", "public.t,public.done,public.parts"),
        ("replica.identity.autoset.values", "public.t:FULL"),
        (
            "database.initial.statements",
            "CREATE TABLE IF NOT EXISTS said(id int)",
        ),
        ("database.tcpKeepAlive", "false"),
        ("status.update.interval.ms", "200"),
        ("slot.drop.on.stop", "true"),
    ];
    let mut task = run.start(None, &options);
    let records = stream(&run, &mut task, &["INSERT INTO parts VALUES (7)"]);
    assert_eq!(ids(&records, "parts"), [7], "publish.via.partition.root");
    let one = |sql: &str| run.sql(sql).first().map(|row| row.text(0).to_owned());
    assert_eq!(
        one("SELECT slot_name FROM pg_replication_slots").as_deref(),
        Some("mine")
    );
    let published =
        run.sql("SELECT pubname || '.' || tablename FROM pg_publication_tables ORDER BY 1");
    let published: Vec<_> = published.iter().map(|row| row.text(0).to_owned()).collect();
    assert_eq!(published, ["its.done", "its.parts", "its.t"]);
    let identity = one("SELECT relreplident FROM pg_class WHERE relname = 't'");
    assert_eq!(
        identity.as_deref(),
        Some("f"),
        "replica.identity.autoset.values"
    );
    assert!(one("SELECT to_regclass('public.said')").is_some_and(|name| name == "said"));
    assert_eq!(probed(run.port()), 0, "database.tcpKeepAlive");
    // When the server was last told is said to the microsecond.
    let told = || one("SELECT reply_time FROM pg_stat_replication");
    let (first, end) = (told(), Instant::now() + Duration::from_secs(5));
    while told() == first {
        assert!(Instant::now() < end, "status.update.interval.ms");
        task.poll().expect("polls");
    }
    task.stop();
    assert_eq!(
        one("SELECT 1 FROM pg_replication_slots"),
        None,
        "slot.drop.on.stop"
    );
}

/// How many connections of this process to a port the operating system probes (`so_keepalive`), as
/// `/proc/net/tcp` tells by their timer.
fn probed(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let to = format!(":{port:04X}");
    let connections = table.lines().filter(|line| {
        let mut parts = line.split_whitespace().skip(2);
        let (remote, state, timer) = (parts.next(), parts.next(), parts.nth(1));
        remote.is_some_and(|remote| remote.ends_with(&to))
            && state == Some("01")
            && timer.is_some_and(|timer| timer.starts_with("02:"))
    });
    connections.count()
}

#[test]
fn connections_are_probed_unless_they_shall_not_be() {
    let run = Run::new(DONE);
    let mut task = run.start(None, &[]);
    let _records = stream(&run, &mut task, &[]);
    assert!(probed(run.port()) > 0);
    task.stop();
}

#[test]
fn options_of_the_snapshot_show_in_what_is_read() {
    let run = Run::new(&format!(
        "{DONE}; CREATE TABLE a(id int PRIMARY KEY, v text); CREATE TABLE b(id int PRIMARY KEY); \
         CREATE TABLE c(id int PRIMARY KEY); INSERT INTO a VALUES (1, ''), (2, ''); \
         INSERT INTO b VALUES (1); INSERT INTO c VALUES (1)"
    ));
    let seen = "SELECT id, current_setting('lock_timeout') || ' ' || (SELECT count(*) FROM pg_locks \
         WHERE relation = 'b'::regclass AND mode = 'AccessShareLock') AS v FROM a WHERE id > 1";
    let options = [
        ("snapshot.mode", "configuration_based"),
        ("snapshot.mode.configuration.based.snapshot.data", "true"),
        ("snapshot.mode.configuration.based.start.stream", "true"),
        ("snapshot.include.collection.list", "public.a,public.b"),
        ("snapshot.select.statement.overrides", "public.a"),
        ("snapshot.select.statement.overrides.public.a", seen),
        ("snapshot.locking.mode", "shared"),
        ("snapshot.lock.timeout.ms", "4321"),
        ("snapshot.delay.ms", "1500"),
        ("streaming.delay.ms", "1500"),
    ];
    let begin = Instant::now();
    let mut task = run.start(None, &options);
    let mut records = Vec::new();
    poll(&mut task, &mut records, |records| records.len() >= 2);
    let read = Instant::now();
    assert!(
        begin.elapsed() >= Duration::from_millis(1500),
        "snapshot.delay.ms"
    );
    records.extend(stream(&run, &mut task, &[]));
    assert!(
        read.elapsed() >= Duration::from_millis(1000),
        "streaming.delay.ms"
    );
    task.stop();
    assert_eq!(
        ids(&records, "c"),
        Vec::<i64>::new(),
        "snapshot.include.collection.list"
    );
    assert_eq!(
        ids(&records, "a"),
        [2],
        "snapshot.select.statement.overrides"
    );
    let seen = records
        .iter()
        .find(|it| text(it, &["source", "table"]) == "a");
    let seen = seen.map(|it| text(it, &["after", "v"]));
    assert_eq!(seen.as_deref(), Some("4321ms 1"));
}

#[test]
fn a_snapshot_that_no_stream_follows_has_the_isolation_of_its_option() {
    let run = Run::new("CREATE TABLE a(id int, v text); INSERT INTO a VALUES (1, '')");
    let options = [
        ("snapshot.mode", "initial_only"),
        ("snapshot.isolation.mode", "read_committed"),
        ("snapshot.select.statement.overrides", "public.a"),
        (
            "snapshot.select.statement.overrides.public.a",
            "SELECT id, current_setting('transaction_isolation') AS v FROM a",
        ),
    ];
    let mut task = run.start(None, &options);
    let mut records = Vec::new();
    poll(&mut task, &mut records, |records| !records.is_empty());
    task.stop();
    assert_eq!(text(&records[0], &["after", "v"]), "read committed");
}

#[test]
fn large_tables_are_read_first_or_last() {
    let run = Run::new(
        "CREATE TABLE a(id int); CREATE TABLE b(id int); CREATE TABLE c(id int); \
         CREATE TABLE d(id int); CREATE TABLE z(id int); INSERT INTO a VALUES (1); \
         INSERT INTO b VALUES (1); INSERT INTO c VALUES (1); INSERT INTO d VALUES (1); \
         INSERT INTO z SELECT generate_series(1, 9)",
    );
    run.sql("VACUUM ANALYZE");
    let options = [
        ("snapshot.mode", "initial_only"),
        ("snapshot.max.threads", "2"),
        ("snapshot.tables.order.by.row.count", "descending"),
    ];
    let mut task = run.start(None, &options);
    let mut records = Vec::new();
    poll(&mut task, &mut records, |records| records.len() >= 13);
    task.stop();
    let tables = records.iter().map(|it| text(it, &["source", "table"]));
    let first = tables.take_while(|table| table != "z").count();
    assert!(first <= 2, "{first} records before those of z");
}

#[test]
fn options_of_the_queue_show_in_its_batches() {
    let run = Run::new(&format!(
        "{DONE}; CREATE TABLE a(id int PRIMARY KEY, m money); \
         INSERT INTO a SELECT generate_series(1, 20), '1.50'"
    ));
    let options = [
        ("max.batch.size", "3"),
        ("poll.interval.ms", "2500"),
        ("money.fraction.digits", "0"),
        ("debezium.compat.version", "2.4"),
    ];
    let mut task = run.start(None, &options);
    let mut records = Vec::new();
    while records.len() < 20 {
        let batch = task.poll().expect("polls").records;
        assert!(batch.len() <= 3, "max.batch.size: {}", batch.len());
        records.extend(batch);
    }
    let rows = shown(&records[..1], "p.public.a");
    assert!(
        rows.contains(r#""scale":"0""#),
        "money.fraction.digits: {rows}"
    );
    assert!(rows.contains(r#""version":"2.4."#), "{rows}");
    let end = Instant::now() + Duration::from_secs(60);
    let waited = loop {
        assert!(Instant::now() < end, "no poll waits");
        let begin = Instant::now();
        let batch = task.poll().expect("polls");
        if batch.records.is_empty() && begin.elapsed() > Duration::from_millis(1500) {
            break begin.elapsed();
        }
    };
    task.stop();
    assert!(waited < Duration::from_secs(30), "{waited:?}");
}

#[test]
fn no_more_is_read_ahead_than_the_queue_may_hold() {
    let run = Run::new(
        "CREATE TABLE big(id int, v text); \
         INSERT INTO big SELECT i, repeat('v', 1000) FROM generate_series(1, 40000) i",
    );
    let read_ahead = |bytes, is_enough: &dyn Fn(u64, Duration) -> bool| {
        let options = [
            ("snapshot.mode", "initial_only"),
            ("max.queue.size.in.bytes", bytes),
            ("max.batch.size", "10"),
        ];
        let mut task = run.start(None, &options);
        let mut records = Vec::new();
        poll(&mut task, &mut records, |records| !records.is_empty());
        let end = Instant::now() + Duration::from_secs(60);
        let (mut sent, mut since) = (0, Instant::now());
        while !is_enough(sent, since.elapsed()) {
            assert!(Instant::now() < end, "{sent} bytes are read ahead");
            std::thread::sleep(Duration::from_millis(100));
            let rows = run.sql("SELECT bytes_processed FROM pg_stat_progress_copy");
            let now = rows[0].text(0).parse().expect("a number");
            if now > sent {
                (sent, since) = (now, Instant::now());
            }
        }
        task.stop();
        sent
    };
    // What is not in the queue is in the sockets.
    let little = read_ahead("65536", &|_, still| still > Duration::from_secs(2));
    assert!(little < 14_000_000, "{little}");
    read_ahead("16777216", &|sent, _| sent >= 16_777_216);
}

#[test]
fn signals_come_by_the_file_that_is_named_as_soon_as_it_is_looked_at() {
    let run = Run::new(&format!(
        "{DONE}; CREATE TABLE sig(id varchar(60) PRIMARY KEY, type varchar(60), data text); \
         CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 5)"
    ));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("signals.txt");
    std::fs::write(&file, "").expect("written");
    let options = [
        ("snapshot.mode", "no_data"),
        ("signal.data.collection", "public.sig"),
        ("signal.enabled.channels", "source,file"),
        ("signal.file", file.to_str().expect("text")),
        ("signal.poll.interval.ms", "100"),
    ];
    let mut task = run.start(None, &options);
    let mut records = stream(&run, &mut task, &[]);
    let signal = r#"{"id":"1","type":"execute-snapshot","data":{"data-collections":["public.a"],"type":"incremental"}}"#;
    std::fs::write(&file, format!("{signal}\n")).expect("written");
    let begin = Instant::now();
    poll(&mut task, &mut records, |records| {
        ids(records, "a").len() >= 5
    });
    task.stop();
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "signal.poll.interval.ms"
    );
}

/// The error with which a task ends that cannot start, and how long that took.
fn failure(run: &Run, options: &[(&str, &str)]) -> (String, Duration) {
    let begin = Instant::now();
    let mut task = run.start(None, options);
    let error = loop {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "it goes on: {options:?}"
        );
        if let Err(error) = task.poll() {
            break error;
        }
    };
    task.stop();
    (
        connect_api::error::Chain(&error).to_string(),
        begin.elapsed(),
    )
}

#[test]
fn options_of_failures_decide_when_a_task_gives_up() {
    let run = Run::new(&format!("{DONE}; CREATE TABLE a(id int PRIMARY KEY)"));
    let guard = [
        ("guardrail.collections.max", "1"),
        ("guardrail.collections.limit.action", "fail"),
    ];
    let (error, _) = failure(&run, &guard);
    assert!(error.contains("maximum allowed is 1"), "{error}");
    let (error, _) = failure(&run, &[("plugin.name", "decoderbufs")]);
    assert!(error.contains("Set plugin.name=pgoutput"), "{error}");
    let (error, _) = failure(
        &run,
        &[
            ("slot.stream.params", "nonsense=1"),
            ("errors.max.retries", "0"),
        ],
    );
    assert!(error.contains("nonsense"), "{error}");

    let mut owner = run.start(None, &[]);
    let _records = stream(&run, &mut owner, &[]);
    let retries = [
        ("slot.max.retries", "1"),
        ("slot.retry.delay.ms", "1000"),
        ("errors.max.retries", "0"),
        ("publication.name", "another"),
    ];
    let (error, took) = failure(&run, &retries);
    assert!(error.contains("debezium"), "{error}");
    assert!(
        took > Duration::from_millis(900),
        "slot.retry.delay.ms: {took:?}"
    );
    assert!(
        took < Duration::from_millis(5500),
        "slot.max.retries: {took:?}"
    );
    owner.stop();
}

#[test]
fn a_slot_stays_where_others_move_it() {
    let run = Run::new(&format!("{DONE}; CREATE TABLE a(id int PRIMARY KEY)"));
    let position = || {
        let sql = "SELECT confirmed_flush_lsn FROM pg_replication_slots";
        run.sql(sql)[0].text(0).to_owned()
    };
    for (manual, moves) in [
        (("lsn.flush.mode", "manual"), false),
        (("flush.lsn.source", "false"), false),
        (("lsn.flush.mode", "connector"), true),
    ] {
        let options = [
            ("snapshot.mode", "no_data"),
            ("slot.drop.on.stop", "true"),
            manual,
        ];
        let mut task = run.start(None, &options);
        let records = stream(
            &run,
            &mut task,
            &["INSERT INTO a SELECT generate_series(1, 100)"],
        );
        run.sql("DELETE FROM done; DELETE FROM a");
        let before = position();
        let last = records.last().expect("a record");
        let offset = std::sync::Arc::clone(&last.source_offset);
        task.committed(&[(std::sync::Arc::clone(&last.source_partition), offset)])
            .expect("heard");
        let end = Instant::now() + Duration::from_millis(if moves { 20_000 } else { 1500 });
        while position() == before && Instant::now() < end {
            task.poll().expect("polls");
        }
        assert_eq!(position() != before, moves, "{manual:?}");
        task.stop();
    }
}

#[test]
fn an_event_that_cannot_be_processed_is_passed_over_where_that_is_asked_for() {
    let run = Run::new(&format!(
        "{DONE}; CREATE TABLE a(id int PRIMARY KEY, n numeric(8,2))"
    ));
    let options = [
        ("event.converting.failure.handling.mode", "fail"),
        ("event.processing.failure.handling.mode", "warn"),
    ];
    let mut task = run.start(None, &options);
    let changes = [
        "INSERT INTO a VALUES (1, 'NaN')",
        "INSERT INTO a VALUES (2, 1)",
    ];
    let records = stream(&run, &mut task, &changes);
    task.stop();
    assert_eq!(ids(&records, "a"), [2]);
}

#[test]
fn a_mark_that_cannot_be_written_is_tried_again_as_often_as_asked_for() {
    let run = Run::new(&format!(
        "{DONE}; CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a VALUES (1); \
         CREATE TABLE sig(id varchar(60) PRIMARY KEY, type varchar(60), data text); \
         CREATE SEQUENCE tries; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
           'BEGIN IF new.type LIKE ''snapshot-window%'' AND nextval(''tries'') <= 2 THEN \
              RAISE ''not yet''; END IF; RETURN new; END'; \
         CREATE TRIGGER refuse BEFORE INSERT ON sig FOR EACH ROW EXECUTE FUNCTION refuse()"
    ));
    let options = [
        ("snapshot.mode", "no_data"),
        ("signal.data.collection", "public.sig"),
        ("signal.emit.failure.max.retries", "2"),
        ("signal.emit.failure.backoff.ms", "300"),
    ];
    let mut task = run.start(None, &options);
    let signal = "INSERT INTO sig VALUES ('s', 'execute-snapshot', \
         '{\"data-collections\":[\"public.a\"],\"type\":\"incremental\"}')";
    let mut records = stream(&run, &mut task, &[]);
    run.sql(signal);
    let begin = Instant::now();
    poll(&mut task, &mut records, |records| {
        !ids(records, "a").is_empty()
    });
    task.stop();
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(600), "two pauses: {took:?}");
    assert!(
        took < Duration::from_secs(9),
        "not of ten seconds: {took:?}"
    );
}
