//! Options of workers and connectors do what they say: each of them seen in topics, files and answers.

use crate::shared::{kafka, options, unique, wait_count};
use compat_tests::kafka::{Record, flush, send};
use compat_tests::parts::run_folder;
use compat_tests::worker::{Target, Worker};
use compat_tests::{Outcome, wait};
use rdkafka::producer::BaseRecord;
use std::time::Duration;

const FILE_SOURCE: &str = "FileStreamSource";
const FILE_SINK: &str = "FileStreamSink";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// A connector that reads the one line of a file, with a header that holds a number.
fn source<'a>(
    file: &'a str,
    topic: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut config = vec![
        ("connector.class", FILE_SOURCE),
        ("file", file),
        ("topic", topic),
        ("transforms", "h"),
        (
            "transforms.h.type",
            "org.apache.kafka.connect.transforms.InsertHeader",
        ),
        ("transforms.h.header", "n"),
        ("transforms.h.value.literal", "7"),
    ];
    config.extend(more);
    config
}

/// The first record of a topic, once it is there.
fn first(topic: &str) -> Outcome<Record> {
    wait_count(kafka(), topic, 1)?;
    let records = kafka().some_records(topic, 1)?;
    Ok(records.into_iter().next().ok_or("no record")?)
}

fn header(record: &Record) -> String {
    let value = record
        .headers
        .first()
        .and_then(|(_, value)| value.as_deref());
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

#[test]
fn converters_are_the_workers_unless_a_connector_has_its_own() -> Outcome<()> {
    let mut options = options("converters")
        .property("key.converter", STRING)
        .property("value.converter", STRING)
        .property("header.converter", JSON);
    options.target = Target::from_environment();
    let folder = run_folder("converters")?;
    let worker = Worker::start(&folder, options)?;
    let file = folder.join("line.txt");
    std::fs::write(&file, "one\n")?;
    let file = file.display().to_string();
    let topic = unique("converters");
    let keyed = [
        ("transforms", "h,k"),
        (
            "transforms.k.type",
            "org.apache.kafka.connect.transforms.HoistField$Key",
        ),
        ("transforms.k.field", "f"),
    ];
    let own = [
        ("key.converter", JSON),
        ("key.converter.schemas.enable", "false"),
        ("value.converter", JSON),
        ("value.converter.schemas.enable", "true"),
        (
            "header.converter",
            "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        ),
    ];
    // What each writes as key, value and header.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], [&'a str; 3]);
    let cases: [Case<'_>; 2] = [
        (
            "workers",
            &[],
            [
                "{f=null}",
                "one",
                r#"{"schema":{"type":"int8","optional":false},"payload":7}"#,
            ],
        ),
        (
            "own",
            &own,
            [
                r#"{"f":null}"#,
                r#"{"schema":{"type":"string","optional":false},"payload":"one"}"#,
                "7",
            ],
        ),
    ];
    for (name, more, expected) in cases {
        let topic = format!("{topic}-{name}");
        let mut config = source(&file, &topic, &[]);
        config.retain(|(key, _)| *key != "transforms");
        config.extend(keyed.iter().chain(more));
        worker.rest.create_config(name, &config)?;
        let record = first(&topic)?;
        let found = [record.key_text(), record.value_text(), header(&record)];
        assert_eq!(found, expected, "{name}");
    }
    Ok(())
}

#[test]
fn a_transformation_is_applied_where_its_predicate_says_so() -> Outcome<()> {
    let mut options = options("predicates");
    options.target = Target::from_environment();
    let folder = run_folder("predicates")?;
    let worker = Worker::start(&folder, options)?;
    let file = folder.join("line.txt");
    std::fs::write(&file, "one\n")?;
    let file = file.display().to_string();
    let topic = unique("predicates");
    let routed = |name: &str, pattern: &str, negate: &str| -> Outcome<String> {
        let (from, to) = (format!("{topic}-{name}"), format!("{topic}-{name}-routed"));
        let config = source(
            &file,
            &from,
            &[
                ("transforms", "r"),
                (
                    "transforms.r.type",
                    "org.apache.kafka.connect.transforms.RegexRouter",
                ),
                ("transforms.r.regex", ".*"),
                ("transforms.r.replacement", &to),
                ("transforms.r.predicate", "p"),
                ("transforms.r.negate", negate),
                ("predicates", "p"),
                (
                    "predicates.p.type",
                    "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
                ),
                ("predicates.p.pattern", pattern),
            ],
        );
        // The later of two values wins.
        let json: std::collections::BTreeMap<_, _> = config.into_iter().collect();
        let config: Vec<_> = json.into_iter().collect();
        worker.rest.create_config(name, &config)?;
        let found = wait::until("the record", Duration::from_secs(60), || {
            let topics = kafka().topics()?;
            let here = |topic: &String| topics.contains_key(topic).then(|| topic.clone());
            Ok(here(&to).or_else(|| here(&from)))
        })?;
        Ok(found.trim_start_matches(&from).to_owned())
    };
    assert_eq!(routed("fits", ".*", "false")?, "-routed");
    assert_eq!(routed("fits-negated", ".*", "true")?, "");
    assert_eq!(routed("other", "x", "false")?, "");
    assert_eq!(routed("other-negated", "x", "true")?, "-routed");
    Ok(())
}

#[test]
fn offsets_that_are_not_stored_in_time_are_told() -> Outcome<()> {
    for (timeout, told) in [("0", true), ("5000", false)] {
        let folder = run_folder(&format!("flush-{timeout}"))?;
        let file = folder.join("line.txt");
        std::fs::write(&file, "one\n")?;
        let file = file.display().to_string();
        let options = options("flush")
            .property("offset.flush.interval.ms", "300")
            .property("offset.flush.timeout.ms", timeout);
        let worker = Worker::start(&folder, options)?;
        let topic = unique("flush");
        let config = source(&file, &topic, &[]);
        worker.rest.create_config("flush", &config)?;
        wait::until("the offset", Duration::from_secs(20), || {
            let offsets = worker.rest.get("/connectors/flush/offsets")?.body;
            Ok(offsets.contains("position").then_some(()))
        })?;
        let failed = worker.log().contains("Failed to commit offsets");
        assert_eq!(failed, told, "{timeout}: {}", worker.log());
    }
    Ok(())
}

const CONTEXT: [&str; 10] = [
    "topic",
    "partition",
    "offset",
    "connector.name",
    "task.id",
    "stage",
    "class.name",
    "exception.class.name",
    "exception.message",
    "exception.stacktrace",
];

#[test]
fn dead_letters_have_the_jvms_headers_where_they_are_asked_for() -> Outcome<()> {
    let mut options = options("letters");
    options.target = Target::from_environment();
    let folder = run_folder("letters")?;
    let worker = Worker::start(&folder, options)?;
    let topic = unique("letters");
    kafka().create_topic(&topic, 1, 1)?;
    let producer = kafka().producer()?;
    for value in ["not json", "{\"id\":1}"] {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic)
            .payload(value.as_bytes())
            .partition(0);
        send(&producer, record)?;
    }
    flush(&producer)?;
    let out = folder.join("out.txt").display().to_string();
    let sink = |name: &str, more: &[(&str, &str)]| -> Outcome<String> {
        let letters = format!("{topic}-{name}");
        let mut config = vec![
            ("connector.class", FILE_SINK),
            // The pattern that a connector reads by, and nothing of its letters.
            ("topics.regex", topic.as_str()),
            ("file", out.as_str()),
            ("value.converter", JSON),
            ("value.converter.schemas.enable", "false"),
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", letters.as_str()),
        ];
        config.extend(more);
        worker.rest.create_config(name, &config)?;
        Ok(letters)
    };
    let one = ("errors.deadletterqueue.topic.replication.factor", "1");
    let told = [
        one,
        ("errors.deadletterqueue.context.headers.enable", "true"),
        ("errors.log.enable", "true"),
        ("errors.log.include.messages", "true"),
    ];
    let letter = first(&sink("told", &told)?)?;
    assert_eq!(letter.value_text(), "not json");
    let names: Vec<&str> = letter
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        CONTEXT.map(|name| format!("__connect.errors.{name}"))
    );
    let text = |at: usize| {
        let value = letter.headers[at].1.as_deref().unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    let context: Vec<String> = (0..8).map(text).collect();
    assert_eq!(
        context,
        [
            topic.as_str(),
            "0",
            "0",
            "told",
            "0",
            "VALUE_CONVERTER",
            JSON,
            "org.apache.kafka.connect.errors.DataException",
        ]
    );
    assert_eq!(
        text(8),
        "Converting byte[] to Kafka Connect data failed due to serialization error: "
    );
    let trace = format!("{}: {}", text(7), text(8));
    assert!(text(9).starts_with(&trace), "{}", text(9));
    let logged = [one, ("errors.log.enable", "true")];
    let letter = first(&sink("logged", &logged)?)?;
    assert!(letter.headers.is_empty(), "{:?}", letter.headers);
    assert!(first(&sink("silent", &[one])?)?.headers.is_empty());
    let log = worker.log();
    let of = |name: &str| {
        let start = format!("Error encountered in task {name}-0.");
        log.lines()
            .find(|line| line.contains(&start))
            .map(str::to_owned)
    };
    let place = format!("topic='{topic}', partition=0, offset=0");
    assert!(
        of("told").is_some_and(|line| line.contains(&place)),
        "{log}"
    );
    assert!(
        of("logged").is_some_and(|line| !line.contains(&place)),
        "{log}"
    );
    assert_eq!(of("silent"), None);
    // Three replicas, where it is not said otherwise, are more than there are brokers.
    sink("replicas", &[])?;
    let trace = worker.rest.wait_failed("replicas")?;
    assert!(
        trace.contains("Could not initialize dead letter queue"),
        "{trace}"
    );
    Ok(())
}

#[test]
fn a_worker_creates_topics_and_flushes_offsets_as_it_is_told() -> Outcome<()> {
    let folder = run_folder("creates")?;
    let file = folder.join("line.txt");
    std::fs::write(&file, "one\n")?;
    let file = file.display().to_string();
    for (create, interval, partitions) in [("true", "300", 3), ("false", "600000", 1)] {
        let mut options = options("creates")
            .property("topic.creation.enable", create)
            .property("offset.flush.interval.ms", interval);
        options.target = Target::from_environment();
        let worker = Worker::start(&folder, options)?;
        let topic = unique("creates");
        let config = source(
            &file,
            &topic,
            &[
                ("topic.creation.default.partitions", "3"),
                ("topic.creation.default.replication.factor", "1"),
            ],
        );
        worker.rest.create_config("creates", &config)?;
        first(&topic)?;
        assert_eq!(kafka().topics()?.get(&topic), Some(&partitions), "{create}");
        let offsets =
            || -> Outcome<String> { Ok(worker.rest.get("/connectors/creates/offsets")?.body) };
        if partitions == 3 {
            wait::until("the offset", Duration::from_secs(20), || {
                Ok(offsets()?.contains("position").then_some(()))
            })?;
        } else {
            std::thread::sleep(Duration::from_secs(2));
            assert_eq!(offsets()?, r#"{"offsets":[]}"#);
        }
    }
    Ok(())
}

#[test]
fn records_go_to_partitions_in_turn_or_anywhere_whatever_their_keys() -> Outcome<()> {
    const LINES: usize = 60;
    let mut options = options("partitioners");
    options.target = Target::from_environment();
    let folder = run_folder("partitioners")?;
    let worker = Worker::start(&folder, options)?;
    let file = folder.join("lines.txt");
    let lines: Vec<String> = (0..LINES)
        .map(|number| format!("line {number}\n"))
        .collect();
    std::fs::write(&file, lines.concat())?;
    let file = file.display().to_string();
    // The partition of each line, all of which have one key.
    let partitions = |name: &str, own: &[(&'static str, &'static str)]| -> Outcome<Vec<i32>> {
        // The name counts: Java's turn goes by the hashes of partitions.
        let topic = format!("partitioned-{name}");
        kafka().create_topic(&topic, 5, 1)?;
        // Only partitions that have a leader by now get records.
        wait_count(kafka(), &topic, 0)?;
        let mut config = source(&file, &topic, own);
        config.retain(|(key, _)| !key.starts_with("transforms"));
        config.extend([
            ("value.converter", STRING),
            ("transforms", "k"),
            (
                "transforms.k.type",
                "org.apache.kafka.connect.transforms.HoistField$Key",
            ),
            ("transforms.k.field", "f"),
        ]);
        worker.rest.create_config(name, &config)?;
        wait_count(kafka(), &topic, i64::try_from(LINES)?)?;
        let mut found = vec![-1; LINES];
        for record in kafka().records(&topic)? {
            let text = record.value_text();
            let number: usize = text.trim_start_matches("line ").parse()?;
            found[number] = record.partition;
        }
        Ok(found)
    };
    let in_turn = [(
        "producer.override.partitioner.class",
        "org.apache.kafka.clients.producer.RoundRobinPartitioner",
    )];
    for (name, turn) in [
        ("in-turn", [0, 1, 2, 3, 4]),
        ("by-turns", [2, 3, 4, 0, 1]),
        ("one-by-one", [3, 4, 1, 2, 0]),
    ] {
        let found = partitions(name, &in_turn)?;
        assert!(
            found.chunks(5).all(|five| five == turn),
            "{name}: {found:?}"
        );
    }
    let by_key = partitions("by-key", &[])?;
    assert!(by_key.iter().all(|found| *found == by_key[0]), "{by_key:?}");
    let anywhere = partitions(
        "anywhere",
        &[
            ("producer.override.partitioner.ignore.keys", "true"),
            ("producer.override.batch.size", "100"),
        ],
    )?;
    let first = anywhere[0];
    assert!(anywhere.iter().any(|found| *found != first), "{anywhere:?}");
    Ok(())
}
