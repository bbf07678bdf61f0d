//! What older Debezium lines called an option or a value, and options that have no effect here.
//!
//! Tables and two small functions; nothing is refused for being old. Debezium 3.7 ignores the old
//! keys or refuses the old values, so that a configuration carried over would capture everything,
//! or not start. Answers for the deprecations between Debezium 1.0 and 3.7.

use std::borrow::Cow;

use connect_api::Props;

/// Old keys and what they are called now. The new key wins where both are there.
const RENAMED: &[(&str, &str)] = &[
    (super::SERVER_NAME, "topic.prefix"),
    ("database.whitelist", "database.include.list"),
    ("database.blacklist", "database.exclude.list"),
    ("schema.whitelist", "schema.include.list"),
    ("schema.blacklist", "schema.exclude.list"),
    ("table.whitelist", "table.include.list"),
    ("table.blacklist", "table.exclude.list"),
    ("column.whitelist", "column.include.list"),
    ("column.blacklist", "column.exclude.list"),
    ("toasted.value.placeholder", "unavailable.value.placeholder"),
    ("slot.drop_on_stop", "slot.drop.on.stop"),
    ("rows.fetch.size", "snapshot.fetch.size"),
    (
        "event.deserialization.failure.handling.mode",
        "event.processing.failure.handling.mode",
    ),
    (
        "slot.seek.to.known.offset.on.start",
        "internal.slot.seek.to.known.offset.on.start",
    ),
    (
        "custom.retriable.exception",
        "internal.custom.retriable.exception",
    ),
];

/// Values of `snapshot.mode` of the 1.x and 2.x lines, and what they are called now.
pub(super) const SNAPSHOT_MODES: &[(&str, &str)] = &[
    ("never", "no_data"),
    ("schema_only", "no_data"),
    ("schema_only_recovery", "no_data"),
    ("recovery", "no_data"),
    ("exported", "initial"),
    ("initial_schema_only", "no_data"),
];

/// Options that Debezium reads and that change nothing here, with the reason.
pub(super) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("max.queue.size", "the queue is bounded in bytes"),
    ("query.fetch.size", "results are read as they arrive"),
    (
        "snapshot.fetch.size",
        "snapshots are read by COPY, row by row",
    ),
    ("lsn.flush.timeout.ms", NEVER_BLOCKS),
    ("lsn.flush.timeout.action", NEVER_BLOCKS),
    (
        "schema.refresh.mode",
        "the log itself tells each change of a table",
    ),
    (
        "incremental.snapshot.allow.schema.changes",
        "each chunk is read with the columns that the table has then",
    ),
    (
        "internal.snapshot.scan.all.columns.force",
        "the columns of captured tables are read at once",
    ),
    ("memory.management.schemas.class", NO_CLASSES),
    ("memory.management.tables.class", NO_CLASSES),
    (
        "executor.shutdown.timeout.ms",
        "there is no executor to wait for",
    ),
    ("openlineage.integration.enabled", NO_LINEAGE),
    ("openlineage.integration.config.file.path", NO_LINEAGE),
    ("openlineage.integration.job.namespace", NO_LINEAGE),
    ("openlineage.integration.job.description", NO_LINEAGE),
    ("openlineage.integration.job.tags", NO_LINEAGE),
    ("openlineage.integration.job.owners", NO_LINEAGE),
    (
        "openlineage.integration.dataset.kafka.bootstrap.servers",
        NO_LINEAGE,
    ),
    (
        "signal.kafka.poll.timeout.ms",
        "signals are fetched in the background",
    ),
    ("internal.signal.synchronous.batch.size", ONE_BY_ONE),
    ("internal.signal.processor.semaphore.wait.ms", ONE_BY_ONE),
    ("notification.http.url", NO_HTTP),
    ("notification.http.timeout.ms", NO_HTTP),
    ("notification.http.retries", NO_HTTP),
    (
        "notification.http.allow.private.networks",
        "it only decides whether an address is valid",
    ),
    ("custom.sanitize.pattern", "configurations are not logged"),
    ("internal.advanced.metrics.enable", NO_METRICS),
    ("statistics.metrics.enabled", NO_METRICS),
    ("internal.offset.activity.monitor.interval.ms", NO_METRICS),
    (
        "custom.metric.tags",
        "metrics are told apart by connector and task",
    ),
    ("topic.cache.size", "a table's name is made once"),
    (
        "snapshot.mode.configuration.based.snapshot.schema",
        NO_HISTORY,
    ),
    (
        "snapshot.mode.configuration.based.snapshot.on.schema.error",
        NO_HISTORY,
    ),
    (
        "heartbeat.topics.prefix",
        "the key is 'topic.heartbeat.prefix', as in Debezium",
    ),
    ("database.sslfactory", "it names a Java class"),
];
const NEVER_BLOCKS: &str = "confirming a position never blocks";
const NO_CLASSES: &str = "there are no such classes";
const NO_LINEAGE: &str = "OpenLineage is not supported";
const ONE_BY_ONE: &str = "signals are acted on one by one, in the stream's own thread";
const NO_HTTP: &str = "notifications go into a topic and the log only";
const NO_METRICS: &str = "there are no such metrics";
const NO_HISTORY: &str = "there is no schema history";

/// The snapshot mode that an old name stands for.
pub(super) fn snapshot_mode(text: &str) -> &str {
    let named = |(old, _): &&(&str, &str)| old.eq_ignore_ascii_case(text.trim());
    SNAPSHOT_MODES
        .iter()
        .find(named)
        .map_or(text, |(_, new)| new)
}

/// The configuration in today's names; borrowed where it has them already.
pub(super) fn in_todays_names(props: &Props) -> Cow<'_, Props> {
    let mut props = Cow::Borrowed(props);
    for (old, new) in RENAMED {
        if let Some(value) = props
            .get(*old)
            .filter(|_| !props.contains_key(*new))
            .cloned()
        {
            props.to_mut().insert((*new).to_owned(), value);
        }
    }
    let old = |key: &str, value: &str| {
        props
            .get(key)
            .is_some_and(|text| text.trim().eq_ignore_ascii_case(value))
    };
    let mut more = Vec::new();
    if old("sanitize.field.names", "true") {
        more.push(("field.name.adjustment.mode", "avro"));
    }
    if old("truncate.handling.mode", "include") {
        more.push(("skipped.operations", "none"));
    }
    for (key, value) in more {
        if !props.contains_key(key) {
            props.to_mut().insert(key.to_owned(), value.to_owned());
        }
    }
    props
}

/// What a configuration says that is old or without effect, one line each, for the log.
#[must_use]
pub fn remarks(props: &Props) -> Vec<String> {
    let given = |key: &str| props.contains_key(key);
    let renamed = RENAMED.iter().filter(|(old, _)| given(old));
    let mut remarks: Vec<String> = renamed
        .map(|(old, new)| format!("Property '{old}' is deprecated and taken as '{new}'."))
        .collect();
    if let Some(mode) = props.get("snapshot.mode")
        && snapshot_mode(mode) != mode
    {
        let new = snapshot_mode(mode);
        remarks.push(format!(
            "snapshot.mode '{mode}' is deprecated and taken as '{new}'."
        ));
    }
    if given("flush.lsn.source") {
        remarks.push(
            "Property 'flush.lsn.source' is deprecated and replaced by 'lsn.flush.mode' and will \
             be removed in a future build."
                .to_owned(),
        );
    }
    let without = WITHOUT_EFFECT.iter().filter(|(key, _)| given(key));
    remarks.extend(without.map(|(key, why)| format!("Property '{key}' has no effect: {why}.")));
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn props(entries: &[(&str, &str)]) -> Props {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        entries.iter().map(owned).collect()
    }

    #[test]
    fn old_names_are_taken_unless_the_new_one_is_there() {
        let old = props(&[("table.whitelist", "a"), ("sanitize.field.names", "true")]);
        let new = in_todays_names(&old);
        assert_eq!(new.get("table.include.list").map(String::as_str), Some("a"));
        assert_eq!(
            new.get("field.name.adjustment.mode").map(String::as_str),
            Some("avro")
        );
        let both = props(&[("table.whitelist", "a"), ("table.include.list", "b")]);
        let new = in_todays_names(&both);
        assert_eq!(new.get("table.include.list").map(String::as_str), Some("b"));
        assert!(matches!(
            in_todays_names(&props(&[("a", "b")])),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn what_is_old_or_without_effect_is_told() {
        let given = props(&[
            ("snapshot.mode", "Never"),
            ("toasted.value.placeholder", "x"),
            ("max.queue.size", "9000"),
        ]);
        let told = remarks(&given).join("\n");
        for part in [
            "taken as 'no_data'",
            "'unavailable.value.placeholder'",
            "'max.queue.size' has no effect",
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(remarks(&props(&[("slot.name", "s")])).is_empty());
    }
}
