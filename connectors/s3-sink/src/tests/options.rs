//! What each option changes: for every one of them there is a test that fails where its effect is taken
//! away.
//!
//! | options | test |
//! | --- | --- |
//! | `topics.dir`, `directory.delim`, `file.delim`, `filename.offset.zero.pad.width`, `s3.schema.partition.affix.type`, `partition.field.name`, `format.class`, `parquet.codec` | [`options_of_names_show_in_the_names`] |
//! | `partitioner.class`, `path.format`, `partition.duration.ms`, `timezone`, `locale`, `timestamp.extractor`, `timestamp.field` | [`options_of_time_show_in_the_folders`] |
//! | `avro.codec`, `connect.meta.data`, `enhanced.avro.schema.support`, `allow.optional.map.keys`, `json.decimal.format`, `s3.compression.type`, `s3.compression.level` | [`options_of_formats_show_in_the_content`] |
//! | `format.bytearray.extension`, `format.bytearray.separator` | [`bytes_have_the_extension_and_the_separator_of_their_options`] |
//! | `behavior.on.null.values`, `report.null.values.to.dlq`, `tombstone.encoded.partition`, `store.kafka.keys`, `keys.format.class` | [`options_of_records_without_a_value_say_who_hears_of_them`] |
//! | `store.kafka.headers`, `headers.format.class` | `headers_are_stored_beside_the_values`, `headers_are_a_list_in_avro_and_a_record_in_parquet` |
//! | `flush.size`, `rotate.interval.ms`, `rotate.file.on.partition.change`, `partitioner.max.open.files` | [`options_of_rotation_decide_how_many_files_there_are`] |
//! | `rotate.schedule.interval.ms`, `enable.conditional.writes` | `under_scheduled_rotation_objects_that_exist_stand_for_their_records` |
//! | `max.files.scan.limit` | [`so_many_names_are_tried_after_an_object_that_exists`] |
//! | `schema.compatibility` | `another_schema_starts_another_file_unless_it_can_be_projected` |
//! | `max.write.duration.ms` | `writing_stops_when_its_time_is_over_and_goes_on_with_the_next_call` |
//! | `retry.backoff.ms` | [`a_partition_is_left_alone_for_the_backoff`] |
//! | `schemas.cache.config` | `format::avro` and `format::parquet::tests`, `as_many_schemas_are_kept_as_the_option_says` |
//! | `s3.part.size` | `large_objects_go_up_in_parts` |
//! | `s3.object.tagging`, `s3.object.tagging.key.value.pairs`, `s3.object.behavior.on.tagging.error` | `objects_are_tagged_with_…`, `an_object_that_cannot_be_tagged_…` |
//! | `s3.bucket.name`, `s3.region`, `aws.access.key.id`, `aws.secret.access.key`, `s3.http.send.expect.continue` | `storage::s3_tests` `requests_are_named_signed_…`, [`access_keys_sign_the_requests`] |
//! | `s3.path.style.access.enabled`, `s3.wan.mode`, `store.url`, `s3.acl.canned`, `s3.send.digest` | `storage::s3_tests` `options_show_in_the_requests_…`, `settings` `options_of_the_store_arrive_there` |
//! | `s3.ssea.name`, `s3.sse.customer.key`, `s3.sse.kms.key.id` | `settings` `only_combinations_that_confluents_sink_sends_encrypt`, `storage::s3_tests` |
//! | `s3.proxy.url`, `s3.proxy.user`, `s3.proxy.password` | `storage::s3_tests` `requests_go_through_the_proxy` |
//! | `s3.part.retries`, `s3.retry.backoff.ms` | `storage::tests` |
//! | `s3.credentials.provider.class` and what begins with it | `storage::credentials::tests`, [`options_without_a_trace_in_objects_reach_the_settings`] |
//! | `storage.class` | `connector` `a_configuration_without_a_storage_class_is_valid`, `config` |
//! | `s3.sink.memory.bytes`, `s3.sink.spill.dir` | [`what_is_beyond_the_budget_waits_in_the_folder`] |
//! | `rotate.size.bytes`, `rotate.idle.ms`, `exactly.once.schedule`, `schema.change.policy` | `files_rotate_by_size`, `an_idle_partition_…`, `where_files_end_by_the_clock_…`, `files_of_several_schemas_…` |
//! | `shutdown.timeout.ms`, `s3.elastic.buffer.enable`, `s3.elastic.buffer.init.capacity` | none: accepted and without effect, [`what_has_no_effect_is_accepted_and_checked`] |

use connect_api::data::{ConnectMap, Decimal, logical};

use super::*;
use crate::storage::credentials::Source;

const AVRO: &str = "io.confluent.connect.s3.format.avro.AvroFormat";
/// 2024-01-15T10:30:00Z.
const MORNING: i64 = 1_705_314_600_000;
const HOUR_MS: i64 = 3_600_000;

/// A row of `ev` with a number, a symbol of an enum, a decimal and a map of optional keys.
fn row(offset: i64, at: i64) -> SinkRecord {
    let symbol = Schema::string()
        .parameter("io.confluent.connect.avro.Enum", "e")
        .parameter("io.confluent.connect.avro.Enum.A", "A")
        .build();
    let map = Schema::map(Schema::string().optional().build(), Schema::int32().build());
    let schema = Schema::structure()
        .name("ev")
        .version(7)
        .field("at", Schema::int64().build())
        .field("symbol", symbol)
        .field("price", logical::decimal(2).build())
        .field("counts", map.build())
        .build();
    let mut counts = ConnectMap::new();
    counts.insert(Value::from("k"), Value::Int32(1));
    let values = vec![
        Value::Int64(at),
        Value::from("A"),
        Value::Decimal(Decimal::new(12_345, 2)),
        Value::Map(Box::new(counts)),
    ];
    let value = Value::Struct(Struct::new(Arc::clone(&schema), values));
    let mut row = record(offset, value, Some(schema));
    row.record.timestamp = Some(at);
    row.record.key = SchemaAndValue::new(None, "k");
    row
}

/// Two rows an hour apart, and what the options make of them: names and contents.
fn stored(changes: &[(&str, &str)]) -> Vec<(String, Bytes)> {
    let mut sink = Sink::new(changes);
    sink.put(&[row(0, MORNING), row(1, MORNING + HOUR_MS)]);
    assert_eq!(sink.committed(), Some(2), "{changes:?}");
    let keys = sink.keys().into_iter();
    keys.map(|key| (key.clone(), sink.bytes(&key))).collect()
}

fn names(changes: &[(&str, &str)]) -> Vec<String> {
    stored(changes).into_iter().map(|(name, _)| name).collect()
}

fn content(changes: &[(&str, &str)]) -> Bytes {
    stored(changes).remove(0).1
}

fn holds(changes: &[(&str, &str)], part: &str) -> bool {
    String::from_utf8_lossy(&content(changes)).contains(part)
}

#[test]
fn options_of_names_show_in_the_names() {
    for (changes, expected) in [
        (&[][..], "topics/t/partition=0/t+0+0000000000.json"),
        (
            &[("topics.dir", "lake")],
            "lake/t/partition=0/t+0+0000000000.json",
        ),
        (&[("topics.dir", "")], "t/partition=0/t+0+0000000000.json"),
        (
            &[("directory.delim", "_")],
            "topics_t_partition=0_t+0+0000000000.json",
        ),
        (
            &[("file.delim", "-")],
            "topics/t/partition=0/t-0-0000000000.json",
        ),
        (
            &[("filename.offset.zero.pad.width", "3")],
            "topics/t/partition=0/t+0+000.json",
        ),
        (
            &[("s3.schema.partition.affix.type", "PREFIX")],
            "topics/t/schema_name=ev/partition=0/t+0+0000000000.json",
        ),
        (
            &[("s3.schema.partition.affix.type", "SUFFIX")],
            "topics/t/partition=0/schema_name=ev/t+0+0000000000.json",
        ),
        (
            &[("s3.compression.type", "gzip")],
            "topics/t/partition=0/t+0+0000000000.json.gz",
        ),
        (
            &[("format.class", AVRO)],
            "topics/t/partition=0/t+0+0000000000.avro",
        ),
        (
            &[
                ("partitioner.class", "FieldPartitioner"),
                ("partition.field.name", "symbol,at"),
            ],
            "topics/t/symbol=A/at=1705314600000/t+0+0000000000.json",
        ),
    ] {
        assert_eq!(names(changes)[0], expected, "{changes:?}");
    }
    for (codec, extension) in [
        ("none", "parquet"),
        ("snappy", "snappy.parquet"),
        ("gzip", "gz.parquet"),
        ("zstd", "zstd.parquet"),
        ("lz4", "lz4hadoop.parquet"),
        ("lz4_raw", "lz4raw.parquet"),
    ] {
        let names = names(&[("format.class", PARQUET), ("parquet.codec", codec)]);
        assert_eq!(
            names,
            [format!("topics/t/partition=0/t+0+0000000000.{extension}")]
        );
    }
}

#[test]
fn options_of_time_show_in_the_folders() {
    let folders = |changes: &[(&str, &str)]| {
        let mut all = vec![
            ("partitioner.class", "TimeBasedPartitioner"),
            ("path.format", "'d'=YYYY-MM-dd-HH"),
            ("partition.duration.ms", "3600000"),
            ("locale", "en"),
            ("timezone", "UTC"),
            ("timestamp.extractor", "Record"),
        ];
        all.extend(changes);
        let mut folders = names(&all);
        for name in &mut folders {
            *name = name.split('/').nth(2).unwrap_or_default().to_owned();
        }
        folders
    };
    assert_eq!(folders(&[]), ["d=2024-01-15-10", "d=2024-01-15-11"]);
    let day = ("partition.duration.ms", "86400000");
    assert_eq!(folders(&[day]), ["d=2024-01-15-00"]);
    assert_eq!(
        folders(&[("timezone", "Asia/Kolkata")]),
        ["d=2024-01-15-16", "d=2024-01-15-17"],
        "16:00 begins at 10:30Z there"
    );
    assert_eq!(folders(&[("path.format", "'y'=YYYY")]), ["y=2024"]);
    let months = ("path.format", "MMMM");
    assert_eq!(folders(&[months, ("locale", "fr")]), ["janvier"]);
    assert_eq!(folders(&[months, ("locale", "en")]), ["January"]);
    assert_eq!(folders(&[months, ("locale", "en-US")]), ["Jan"]);
    let field = ("timestamp.extractor", "RecordField");
    assert_eq!(folders(&[field, ("timestamp.field", "at")]).len(), 2);
    let error = Sink::new(&[
        ("partitioner.class", "HourlyPartitioner"),
        ("locale", "en"),
        ("timezone", "UTC"),
        field,
    ])
    .task
    .put(&[row(0, MORNING)])
    .expect_err("there is no field `timestamp`");
    assert_eq!(error.message(), "The field 'timestamp' does not exist.");
    assert_eq!(
        folders(&[
            ("timestamp.extractor", "Wallclock"),
            ("path.format", "'y'=YYYY")
        ])[0]
            .len(),
        "y=2024".len()
    );
}

#[test]
fn options_of_formats_show_in_the_content() {
    assert!(holds(&[], r#""price":"MDk=""#));
    assert!(holds(
        &[("json.decimal.format", "numeric")],
        r#""price":123.45"#
    ));

    let gzip = ("s3.compression.type", "gzip");
    assert_eq!(content(&[gzip])[..2], [0x1f, 0x8b]);
    let level = |level| content(&[gzip, ("s3.compression.level", level)]).len();
    assert!(level("0") > level("9"), "stored, not compressed");

    let avro = ("format.class", AVRO);
    for codec in ["null", "deflate", "snappy", "bzip2"] {
        assert!(holds(&[avro, ("avro.codec", codec)], codec), "{codec}");
    }
    assert!(holds(&[avro], r#""connect.version":7"#));
    assert!(!holds(
        &[avro, ("connect.meta.data", "false")],
        "connect.version"
    ));
    assert!(holds(&[avro], r#""type":"enum""#));
    let enums = ("enhanced.avro.schema.support", "false");
    assert!(!holds(&[avro, enums], r#""type":"enum""#));
    assert!(holds(&[avro], "MapEntry"));
    let keys = ("allow.optional.map.keys", "true");
    assert!(!holds(&[avro, keys], "MapEntry"));
    assert!(holds(&[avro, keys], r#""type":"map""#));
}

#[test]
fn bytes_have_the_extension_and_the_separator_of_their_options() {
    let mut sink = Sink::new(&[
        ("format.class", BYTES),
        ("format.bytearray.extension", ".txt"),
        ("format.bytearray.separator", " | "),
    ]);
    let bytes = |offset, text: &'static str| {
        record(
            offset,
            Value::Bytes(Bytes::from_static(text.as_bytes())),
            None,
        )
    };
    sink.put(&[bytes(0, "a"), bytes(1, "b")]);
    assert_eq!(sink.committed(), Some(2));
    assert_eq!(
        sink.text("topics/t/partition=0/t+0+0000000000.txt"),
        "a | b | "
    );
}

#[test]
fn options_of_records_without_a_value_say_who_hears_of_them() {
    let mut records = texts(0..3);
    records[1].record.value = SchemaAndValue::NULL;
    for (value, reports) in [("true", 1), ("false", 0)] {
        let mut sink = Sink::with(
            &[
                ("behavior.on.null.values", "ignore"),
                ("report.null.values.to.dlq", value),
            ],
            true,
        );
        sink.put(&records);
        assert_eq!(sink.asked().len(), reports, "{value}");
    }
    let mut sink = Sink::new(&[
        ("behavior.on.null.values", "write"),
        ("store.kafka.keys", "true"),
        ("keys.format.class", JSON),
        ("tombstone.encoded.partition", "gone"),
    ]);
    for record in &mut records {
        record.record.key = SchemaAndValue::new(None, "k");
    }
    sink.put(&records[..2]);
    assert_eq!(sink.committed(), Some(2));
    assert_eq!(sink.keys()[0], "topics/t/gone/t+0+0000000001.keys.json");
}

#[test]
fn options_of_rotation_decide_how_many_files_there_are() {
    let count = |changes: &[(&str, &str)]| {
        let mut all = vec![
            ("flush.size", "4"),
            ("partitioner.class", "HourlyPartitioner"),
            ("locale", "en"),
            ("timezone", "UTC"),
            ("timestamp.extractor", "Record"),
        ];
        all.extend(changes);
        let mut sink = Sink::new(&all);
        // Two folders by turns.
        let records: Vec<SinkRecord> = (0..4)
            .map(|offset| row(offset, MORNING + offset % 2 * HOUR_MS))
            .collect();
        sink.put(&records);
        sink.committed();
        sink.keys().len()
    };
    assert_eq!(count(&[]), 2);
    assert_eq!(count(&[("partitioner.max.open.files", "1")]), 3);
    let interval = ("rotate.interval.ms", "86400000");
    assert_eq!(
        count(&[interval]),
        3,
        "each change of the folder ends a file"
    );
    assert_eq!(
        count(&[interval, ("rotate.file.on.partition.change", "false")]),
        2
    );
    assert_eq!(
        count(&[
            ("rotate.interval.ms", "3600000"),
            ("rotate.file.on.partition.change", "false")
        ]),
        1,
        "the second record ends the first one's file, and the others are not enough"
    );
    assert_eq!(count(&[("flush.size", "1")]), 4);
}

#[test]
fn options_without_a_trace_in_objects_reach_the_settings() {
    let settings = |changes: &[(&str, &str)]| Settings::new(&props(changes)).expect("valid");
    let store = settings(&[("aws.access.key.id", "a"), ("aws.secret.access.key", "b")]).store;
    assert_eq!(
        store.credentials,
        Source::Static("a".to_owned(), "b".to_owned())
    );
    let class = "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider";
    let store = settings(&[("s3.credentials.provider.class", class)]).store;
    assert_eq!(store.credentials, Source::Environment);
    let changed = settings(&[
        ("s3.sink.spill.dir", "/spill"),
        ("max.files.scan.limit", "7"),
        ("retry.backoff.ms", "11"),
        ("s3.sink.memory.bytes", "12345"),
    ]);
    assert_eq!(changed.spill_folder.to_str(), Some("/spill"));
    assert_eq!((changed.scan_limit, changed.memory), (7, 12_345));
    assert_eq!(changed.retry_backoff, Duration::from_millis(11));
}

#[test]
fn so_many_names_are_tried_after_an_object_that_exists() {
    for (limit, next) in [("100", 4), ("1", 2)] {
        let mut sink = Sink::new(&[
            ("flush.size", "4"),
            ("rotate.schedule.interval.ms", "86400000"),
            ("timezone", "UTC"),
            ("max.files.scan.limit", limit),
        ]);
        for offset in 0..4 {
            sink.store(
                &format!("topics/t/partition=0/t+0+{offset:010}.json"),
                "old",
            );
        }
        sink.put(&texts(0..4));
        assert_eq!(sink.committed(), None);
        assert_eq!(
            sink.asked(),
            [format!("seek t-0 {next}"), "pause".to_owned()]
        );
    }
}

#[test]
fn a_partition_is_left_alone_for_the_backoff() {
    for (backoff, asked) in [("0", &["seek t-0 0", "resume"][..]), ("600000", &[])] {
        let mut sink = Sink::new(&[("retry.backoff.ms", backoff)]);
        sink.failures.store(1, Ordering::SeqCst);
        sink.put(&texts(0..2));
        assert_eq!(sink.committed(), None);
        assert_eq!(sink.asked(), ["seek t-0 0", "pause"]);
        sink.put(&[]);
        assert_eq!(sink.asked(), asked, "{backoff}");
        sink.put(&texts(0..2));
        assert_eq!(sink.committed(), (backoff == "0").then_some(2), "{backoff}");
    }
}

#[test]
fn what_is_beyond_the_budget_waits_in_the_folder() {
    let folder = std::env::temp_dir().join(format!("spill-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    // A spool's file has no name any more, but the process still has it open.
    let spools = || {
        let open = std::fs::read_dir("/proc/self/fd").expect("Linux").flatten();
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(|path| path.starts_with(&folder))
            .count()
    };
    for (memory, expected) in [("1000000000", 0), ("1", 1)] {
        let mut sink = Sink::new(&[
            ("flush.size", "1000"),
            ("s3.sink.memory.bytes", memory),
            ("s3.sink.spill.dir", &folder.display().to_string()),
        ]);
        for batch in 0..6 {
            sink.put(&texts(batch * 10..batch * 10 + 10));
        }
        assert_eq!(spools(), expected, "{memory}");
    }
    std::fs::remove_dir_all(&folder).expect("empty");
}

#[test]
fn access_keys_sign_the_requests() {
    let source = |changes: &[(&str, &str)]| {
        let settings = Settings::new(&props(changes)).expect("valid");
        settings.store.credentials
    };
    let (key, secret) = (("aws.access.key.id", "a"), ("aws.secret.access.key", "b"));
    let of_options = Source::Static("a".to_owned(), "b".to_owned());
    assert_eq!(source(&[key, secret]), of_options);
    for alone in [key, secret] {
        assert_eq!(
            source(&[alone]),
            source(&[]),
            "{alone:?} alone says nothing"
        );
    }
    assert_ne!(source(&[]), of_options);
}

#[test]
fn what_has_no_effect_is_accepted_and_checked() {
    let of = |key, value| Settings::new(&props(&[(key, value)])).map(|_| ());
    for (key, good, bad) in [
        ("shutdown.timeout.ms", "7", "soon"),
        ("s3.elastic.buffer.enable", "true", "perhaps"),
        ("s3.elastic.buffer.init.capacity", "4096", "4095"),
    ] {
        of(key, good).expect(key);
        of(key, bad).expect_err(key);
    }
}

#[test]
fn every_option_is_in_the_list_above() {
    let table: String = include_str!("options.rs")
        .lines()
        .filter(|line| line.starts_with("//! |"))
        .collect();
    let missing: Vec<String> = crate::config::definition()
        .validate(&Props::new())
        .into_iter()
        .map(|value| value.name)
        .filter(|name| !table.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(missing, [] as [String; 0]);
}
