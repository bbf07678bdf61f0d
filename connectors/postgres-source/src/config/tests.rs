//! The definition and the checks against what the JVM connector's validate answered.
//!
//! `recorded.jsonl` holds its answers: the definitions first, then one configuration a line with
//! the errors of each key.

use serde_json::Value as Json;

use super::*;

const RECORDED: &str = include_str!("recorded.jsonl");

fn recorded(what: &str) -> Vec<Json> {
    let lines = RECORDED
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap());
    lines.filter(|line| line.get(what).is_some()).collect()
}

fn props(entries: &[(&str, &str)]) -> Props {
    entries
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// What every configuration needs, and these.
fn complete(entries: &[(&str, &str)]) -> Props {
    let mut all = props(&[
        ("database.hostname", "db"),
        ("database.user", "u"),
        ("database.dbname", "d"),
        ("topic.prefix", "P"),
        ("plugin.name", "pgoutput"),
    ]);
    all.extend(props(entries));
    all
}

fn parse(entries: &[(&str, &str)]) -> PostgresConfig {
    PostgresConfig::parse(&complete(entries)).unwrap()
}

#[test]
fn every_option_is_defined_as_there() {
    let definition = definition();
    let values = check(&Props::new());
    let recorded = recorded("definitions").remove(0);
    let recorded = recorded["definitions"].as_array().unwrap();
    assert_eq!(definition.keys().len(), recorded.len());
    for ((key, value), expected) in definition.keys().zip(&values).zip(recorded) {
        let found = serde_json::json!({
            "name": key.name,
            "type": key.kind.name(),
            "default_value": key.default_text(),
            "importance": key.importance.name(),
            "width": key.width.name(),
            "group": key.group,
            "order_in_group": key.order_in_group,
            "display_name": key.display_name,
            "dependents": key.dependents,
            "recommended_values": value.recommended_values,
            "visible": value.visible,
        });
        assert_eq!(&found, expected);
        assert!(
            !key.documentation.is_empty(),
            "{} has no documentation",
            key.name
        );
    }
}

/// Each line: an option and tests that fail when its effect is taken away. That they are there is held
/// by `compat-tests` `each_option_is_shown_by_tests_that_are_there`.
const EFFECTS: &str = include_str!("effects.tsv");

#[test]
fn each_option_has_a_tested_effect_or_is_listed_to_have_none() {
    let listed = legacy::WITHOUT_EFFECT.iter().map(|(key, _)| *key);
    let shown = EFFECTS
        .lines()
        .filter_map(|line| Some(line.split_once('\t')?.0));
    let mut covered = std::collections::HashSet::new();
    for key in shown.chain(listed) {
        assert!(covered.insert(key), "{key} is in both, or twice");
    }
    let definition = definition();
    let missing: Vec<&str> = definition
        .keys()
        .map(|key| key.name.as_str())
        .filter(|key| !covered.contains(key))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn what_has_no_effect_is_published() {
    let published = include_str!("../../../../docs/deviations.md");
    for (key, _) in legacy::WITHOUT_EFFECT {
        assert!(published.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn every_configuration_has_the_errors_that_it_has_there() {
    let cases = recorded("props");
    assert!(cases.len() > 50);
    for case in cases {
        let given = case["props"].as_object().unwrap();
        let given: Props = given
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let mode = given.get("snapshot.mode").map_or("", String::as_str);
        let older = legacy::snapshot_mode(mode) != mode;
        for value in check(&given) {
            // Taken in its old meaning.
            if older && value.name == "snapshot.mode" {
                assert!(value.errors.is_empty(), "{:?}", value.errors);
                continue;
            }
            let expected = case["errors"]
                .get(&value.name)
                .cloned()
                .unwrap_or_else(|| Json::from(Vec::<Json>::new()));
            assert_eq!(
                Json::from(value.errors),
                expected,
                "{} of {}",
                value.name,
                case["props"]
            );
        }
    }
}

#[test]
fn what_is_accepted_beyond_the_jvm_is_exactly_this() {
    let errors = |entries: &[(&str, &str)]| -> Vec<String> {
        check(&props(entries))
            .into_iter()
            .flat_map(|value| value.errors)
            .collect()
    };
    let rest = [
        ("database.hostname", "h"),
        ("database.user", "u"),
        ("database.dbname", "d"),
    ];
    let named = [&rest[..], &[("database.server.name", "dbserver1")]].concat();
    assert_eq!(errors(&named), [] as [&str; 0]);
    let config = PostgresConfig::parse(&props(&named)).unwrap();
    assert_eq!(config.topic_prefix, "dbserver1");
    let misnamed = [&rest[..], &[("database.server.name", "a b")]].concat();
    assert_eq!(errors(&misnamed).len(), 1);
    let both = [&named[..], &[("topic.prefix", "dbz")]].concat();
    assert_eq!(
        PostgresConfig::parse(&props(&both)).unwrap().topic_prefix,
        "dbz"
    );
    for (old, new) in [
        ("never", SnapshotMode::NoData),
        ("Exported", SnapshotMode::Initial),
        ("schema_only", SnapshotMode::NoData),
    ] {
        assert_eq!(parse(&[("snapshot.mode", old)]).snapshot_mode, new, "{old}");
    }
    let config = parse(&[("table.whitelist", "public.a")]);
    let captured = |table: &str| {
        let (schema, table) = ("public".to_owned(), table.to_owned());
        config
            .tables
            .includes(&crate::change::TableId { schema, table })
    };
    assert!(captured("a") && !captured("b"));
    let config = parse(&[("debezium.compat.version", "2.4.2.Final")]);
    assert_eq!(config.compat, CompatVersion::V24);
    let unknown = PostgresConfig::parse(&complete(&[("debezium.compat.version", "1.9")]));
    assert!(
        unknown
            .unwrap_err()
            .to_string()
            .contains("Value must be one of 2.4, 3.7")
    );
    let config = parse(&[("snapshot.locking.mode", "minimal")]);
    assert_eq!(config.snapshot_locking_mode, LockingMode::None);
    for refused in ["exclusive", "extended", "x"] {
        let error = PostgresConfig::parse(&complete(&[("snapshot.locking.mode", refused)]));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("Value must be one of shared, custom, none")
        );
    }
}

#[test]
fn defaults_are_the_definitions() {
    let config = parse(&[]);
    assert_eq!(config.connection.port, 5432);
    assert_eq!(config.slot_name, "debezium");
    assert_eq!(config.publication_name, "dbz_publication");
    assert_eq!(config.max_batch_size, 2048);
    assert_eq!(config.snapshot_fetch_size, 10_240);
    assert_eq!(config.poll_interval, Duration::from_millis(500));
    assert_eq!(config.errors_max_retries, -1);
    assert_eq!(config.lsn_flush_mode, LsnFlushMode::Connector);
    assert_eq!(
        config.offset_mismatch_strategy,
        OffsetMismatchStrategy::NoValidation
    );
    assert!(config.skips(Operation::Truncate) && !config.skips(Operation::Delete));
    assert_eq!(config.published_operations(), None);
    assert!(config.tombstones_on_delete && config.extended_headers_enabled);
}

#[test]
fn keys_that_stand_for_others_are_read() {
    assert_eq!(
        parse(&[("flush.lsn.source", "false")]).lsn_flush_mode,
        LsnFlushMode::Manual
    );
    let both = [
        ("flush.lsn.source", "false"),
        ("lsn.flush.mode", "Connector"),
    ];
    assert_eq!(parse(&both).lsn_flush_mode, LsnFlushMode::Connector);
    let seek = ("internal.slot.seek.to.known.offset.on.start", "true");
    assert_eq!(
        parse(&[seek]).offset_mismatch_strategy,
        OffsetMismatchStrategy::TrustOffset
    );
    let unknown = parse(&[("offset.mismatch.strategy", "x")]);
    assert_eq!(
        unknown.offset_mismatch_strategy,
        OffsetMismatchStrategy::NoValidation
    );
    assert_eq!(
        parse(&[("money.fraction.digits", "x")])
            .modes
            .money_fraction_digits,
        2
    );
}

#[test]
fn lists_and_statements_are_taken_apart() {
    let config = parse(&[
        ("database.initial.statements", "SET a = 1; SELECT ';;'; "),
        ("slot.stream.params", "add-tables=public.a;x=1"),
        ("snapshot.select.statement.overrides", "public.a, public.b"),
        ("snapshot.select.statement.overrides.public.a", "SELECT 1"),
        ("skipped.operations", "d,t"),
    ]);
    assert_eq!(config.initial_statements, ["SET a = 1", "SELECT ';'"]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        config.slot_stream_params,
        [pair("add-tables", "public.a"), pair("x", "1")]
    );
    assert_eq!(
        config.snapshot_select_statement_overrides["public.a"],
        "SELECT 1"
    );
    assert_eq!(config.snapshot_select_statement_overrides.len(), 1);
    assert_eq!(
        config.published_operations().as_deref(),
        Some("insert,update")
    );
    assert_eq!(
        parse(&[("skipped.operations", "none")]).published_operations(),
        None
    );
}

#[test]
fn the_configurations_that_people_have_are_accepted() {
    // As two published guides write them; their framework keys are the worker's.
    let guide = props(&[
        (
            "connector.class",
            "io.debezium.connector.postgresql.PostgresConnector",
        ),
        ("database.hostname", "db"),
        ("database.port", "5432"),
        ("database.user", "replicator"),
        ("database.password", "p"),
        ("database.dbname", "shop"),
        ("topic.prefix", "dbz"),
        ("database.server.name", "aws-rds-postgres"),
        (
            "database.history.kafka.bootstrap.servers",
            "redpanda-0:9093",
        ),
        ("database.history.kafka.topic", "schema-changes.postgres"),
        ("slot.name", "slot"),
        ("schema.include.list", "public"),
        ("table.include.list", "public.orders"),
        ("topic.creation.enable", "true"),
        ("topic.creation.groups", "cdc_group"),
        ("include.schema.changes", "true"),
        ("include.query", "false"),
        ("snapshot.mode", "initial"),
        ("snapshot.locking.mode", "minimal"),
        ("snapshot.delay.ms", "0"),
        ("snapshot.fetch.size", "1024"),
        ("max.queue.size", "16384"),
        ("max.batch.size", "2048"),
        ("poll.interval.ms", "1000"),
        ("heartbeat.interval.ms", "10000"),
        ("errors.max.retries", "3"),
        ("errors.retry.delay.max.ms", "500"),
        ("plugin.name", "pgoutput"),
    ]);
    let config = PostgresConfig::parse(&guide).unwrap();
    assert_eq!(config.topic_prefix, "dbz");
    assert_eq!(config.naming.heartbeat_topic(), "__debezium-heartbeat.dbz");
    let design = props(&[
        ("database.hostname", "postgresql"),
        ("database.port", "5432"),
        ("database.user", "debezium"),
        ("database.password", "p"),
        ("database.dbname", "ecommerce"),
        ("database.server.name", "postgres"),
        ("table.include.list", "public.users,public.products"),
        ("plugin.name", "pgoutput"),
        ("slot.name", "debezium_slot"),
        ("publication.name", "debezium_publication"),
        ("transforms", "unwrap"),
        ("transforms.unwrap.drop.tombstones", "false"),
    ]);
    assert_eq!(
        PostgresConfig::parse(&design).unwrap().topic_prefix,
        "postgres"
    );
}

fn errors_of(key: &str, text: &str) -> Vec<String> {
    let props = Props::from_iter([(key.to_owned(), text.to_owned())]);
    let checked = super::check(&props).into_iter();
    let errors = checked.filter(|value| value.name == key);
    let prefix = format!("The '{key}' value is invalid: ");
    errors
        .flat_map(|value| value.errors)
        .map(|error| error.trim_start_matches(&prefix).to_owned())
        .collect()
}

// Recorded from Debezium 3.7.0.Final, as are those below.
#[test]
fn javas_words_are_no_class_names_and_its_numbers_may_be_of_any_script() {
    for word in ["true", "a.class", "_", "null.a"] {
        assert_eq!(
            errors_of("sourceinfo.struct.maker", word)
                .first()
                .map(String::as_str),
            Some("A Java class name is expected"),
            "{word}"
        );
    }
    assert_eq!(errors_of("max.batch.size", "٣"), [""; 0]);
    assert_eq!(errors_of("database.hostname", " "), ["A value is required"]);
}

#[test]
fn each_wrong_entry_of_a_list_is_told() {
    let wrong = |key, text| {
        let errors = errors_of(key, text).into_iter();
        let entry = |error: String| {
            error
                .split_once(" has an invalid format")
                .map(|(entry, _)| entry.to_owned())
        };
        errors.filter_map(entry).collect::<Vec<_>>()
    };
    assert_eq!(wrong("message.key.columns", "a;;b;"), ["a", "", "b"]);
    assert_eq!(wrong("message.key.columns", ";"), [""; 0]);
    assert_eq!(wrong("message.key.columns", ""), [""]);
    assert_eq!(
        wrong("replica.identity.autoset.values", "a.t:FULL,b,c:NOPE"),
        ["b", "c:NOPE"]
    );
    assert_eq!(wrong("replica.identity.autoset.values", ",,"), [""; 0]);
}

#[test]
fn options_that_pass_their_rules_can_still_be_unusable() {
    let said = |key: &str, text: &str| {
        let props = Props::from_iter([(key.to_owned(), text.to_owned())]);
        let error = super::unusable(&props)?;
        Some(format!("{}: {}", error.java_class(), error.message()))
    };
    assert_eq!(errors_of("skipped.operations", "c,"), [""; 0]);
    assert_eq!(said("skipped.operations", "c,u"), None);
    assert_eq!(
        said("skipped.operations", ",").as_deref(),
        Some("java.lang.IllegalArgumentException: Collection is empty")
    );
    let table = |text| said("signal.data.collection", text);
    let good = [
        "",
        "a.b",
        " a . \"b.c\" ",
        "\"a\"\"b\"",
        "a\"b",
        "a.b[",
        "[a]",
        "`a`",
    ];
    for text in good {
        assert_eq!(table(text), None, "{text}");
    }
    let illegal = "java.lang.IllegalArgumentException";
    for (text, why) in [
        ("\"a", "Invalid identifier: \"a"),
        ("a.", "Invalid identifier: a."),
        ("a b.c", "Unexpected input: b"),
        ("\"a\"b", "Unexpected input: b"),
        ("a..b", "Unexpected input: ."),
        (".", "Unexpected input: ."),
    ] {
        assert_eq!(table(text), Some(format!("{illegal}: {why}")), "{text}");
    }
    assert_eq!(
        table("[").as_deref(),
        Some(
            "java.util.regex.PatternSyntaxException: Unclosed character class near index 5\nnull.[\n     ^"
        )
    );
}
