//! The connector's configuration: what validate shows, and typed values for the task.
//!
//! Parsing looks at texts only; `validate` is the one that connects. Answers for
//! `PostgresConnectorConfig`, `RelationalDatabaseConnectorConfig` and `CommonConnectorConfig`.
//!
//! Accepted beyond Debezium 3.7, because configurations in use say so, and nothing else is: names
//! and values of older lines (`legacy`), and `snapshot.locking.mode` may be one of
//! [`LOCKING_MODES_BEYOND`], which locks nothing. Unknown keys are passed over, as there.

mod choices;
mod classes;
// One option a line reads best as a table.
#[rustfmt::skip]
mod keys;
mod legacy;
mod rules;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connect_api::config::{
    ConfigDef, ConfigKey, ConfigValue, Recommendation, Values, props_with_prefix,
};
use connect_api::java::Regex;
use connect_api::{Error, Props};

use crate::change::Operation;
use crate::column::modes::{
    BinaryMode, DecimalMode, HstoreMode, IntervalMode, Modes, Placeholder, TimeMode,
};
use crate::error::PgError;
use crate::filter::{ColumnRules, PatternList, TableFilter};
use crate::naming::{NameAdjustment, Naming};
use crate::protocol::connection::ConnectionSettings;
use crate::protocol::tls::{SslMode, TlsSettings};
use crate::reselect::Reselect;

pub(crate) use choices::choice;
pub use choices::{
    AutocreateMode, CompatVersion, ConversionFailure, FailureHandling, FlushTimeoutAction,
    GuardrailAction, IsolationMode, LockingMode, LsnFlushMode, OffsetMismatchStrategy,
    RowCountOrder, SchemaRefreshMode, SnapshotMode,
};
pub use classes::{RESELECT, refuse_unknown, unknown_class};
pub use legacy::remarks;
use rules::Rule;
pub(crate) use rules::{items, java_boolean};

/// Values of `snapshot.locking.mode` that older connectors knew and configurations still say. All
/// of them mean `none`: a snapshot in one transaction needs no lock.
pub const LOCKING_MODES_BEYOND: &[&str] = &["minimal"];
/// What older connectors called `topic.prefix`.
pub const SERVER_NAME: &str = "database.server.name";
/// Ours: the line of Debezium whose records are made.
const COMPAT_VERSION: &str = "debezium.compat.version";
/// Default of `max.batch.size`.
const MAX_BATCH_SIZE: i64 = 2048;
/// Rows per read of a snapshot where `snapshot.fetch.size` is not set.
const SNAPSHOT_FETCH_SIZE: usize = 10_240;

/// `snapshot.mode.configuration.based.*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationBased {
    /// Rows are read.
    pub snapshot_data: bool,
    /// Structures are read.
    pub snapshot_schema: bool,
    /// Streaming follows.
    pub start_stream: bool,
    /// Rows are read again when the position is gone.
    pub snapshot_on_data_error: bool,
    /// Structures are read again when they cannot be restored.
    pub snapshot_on_schema_error: bool,
}

/// The configuration, parsed.
#[derive(Clone, Debug)]
#[expect(
    missing_docs,
    reason = "each field is named after its key; `keys` says what it means"
)]
pub struct PostgresConfig {
    /// The line of Debezium whose records are made.
    pub compat: CompatVersion,
    pub connection: ConnectionSettings,
    pub dbname: String,
    pub query_timeout: Duration,
    pub initial_statements: Vec<String>,
    pub connection_validation_timeout: Duration,

    /// Topic and schema names.
    pub naming: Naming,
    pub topic_prefix: String,
    /// Captured tables and message prefixes.
    pub tables: Arc<TableFilter>,
    /// Captured columns, masks, keys.
    pub columns: Arc<ColumnRules>,
    /// How values appear.
    pub modes: Modes,
    pub event_converting_failure_handling: ConversionFailure,
    pub tombstones_on_delete: bool,
    pub skip_messages_without_change: bool,
    pub include_schema_comments: bool,
    pub provide_transaction_metadata: bool,
    pub extended_headers_enabled: bool,
    pub schema_refresh_mode: SchemaRefreshMode,

    pub snapshot_mode: SnapshotMode,
    pub snapshot_configuration_based: ConfigurationBased,
    pub snapshot_isolation_mode: IsolationMode,
    pub snapshot_locking_mode: LockingMode,
    pub snapshot_lock_timeout: Duration,
    pub snapshot_delay: Duration,
    pub streaming_delay: Duration,
    pub snapshot_fetch_size: usize,
    pub query_fetch_size: usize,
    /// Tables that the snapshot reads; all captured ones if none.
    pub snapshot_include_collection_list: Option<PatternList>,
    /// Statement by table, as `schema.table`.
    pub snapshot_select_statement_overrides: HashMap<String, String>,
    pub snapshot_max_threads: usize,
    pub snapshot_max_threads_multiplier: usize,
    pub legacy_snapshot_max_threads: bool,
    /// Ours: an interrupted initial snapshot goes on.
    pub snapshot_resume: bool,
    pub snapshot_tables_order_by_row_count: RowCountOrder,
    pub incremental_snapshot_chunk_size: usize,

    pub slot_name: String,
    pub slot_drop_on_stop: bool,
    pub slot_failover: bool,
    pub slot_stream_params: Vec<(String, String)>,
    pub slot_max_retries: u32,
    pub slot_retry_delay: Duration,
    pub publication_name: String,
    pub publication_autocreate_mode: AutocreateMode,
    pub publish_via_partition_root: bool,
    /// Entries of `replica.identity.autoset.values` as they stand there.
    pub replica_identity_autoset_values: Vec<String>,
    pub status_update_interval: Duration,
    pub lsn_flush_mode: LsnFlushMode,
    pub lsn_flush_timeout: Duration,
    pub lsn_flush_timeout_action: FlushTimeoutAction,
    pub xmin_fetch_interval: Duration,
    pub offset_mismatch_strategy: OffsetMismatchStrategy,
    pub offset_mismatch_strategy_is_set: bool,
    pub log_position_check: bool,

    pub max_queue_size: usize,
    pub max_queue_size_in_bytes: u64,
    pub max_batch_size: usize,
    pub poll_interval: Duration,
    pub event_processing_failure_handling: FailureHandling,
    /// -1: without end.
    pub errors_max_retries: i64,
    pub retriable_restart_wait: Duration,
    /// What `post.processors` asks for.
    pub reselect: Vec<Reselect>,
    pub custom_retriable_exception: Option<Regex>,
    pub guardrail_collections_max: usize,
    pub guardrail_collections_limit_action: GuardrailAction,

    pub heartbeat_interval: Duration,
    pub heartbeat_action_query: Option<String>,

    pub read_only: bool,
    pub signal_data_collection: Option<String>,
    pub signal_enabled_channels: Vec<String>,
    pub signal_poll_interval: Duration,
    pub notification_enabled_channels: Vec<String>,
    pub notification_sink_topic_name: Option<String>,

    skipped: Skipped,
    originals: Props,
}

#[derive(Clone, Debug, Default)]
struct Skipped {
    operations: Vec<Operation>,
    explicit: bool,
}

/// The definition as the validate endpoint shows it.
#[must_use]
pub fn definition() -> ConfigDef {
    let mut definition = ConfigDef::new();
    for (group, keys) in keys::GROUPS {
        for key in *keys {
            let mut shown = ConfigKey::new(key.name, key.kind, key.importance)
                .doc(key.doc)
                .group(*group, key.order, key.width, key.label);
            shown = match key.default {
                Some(default) => shown.default(default),
                None => shown.default_null(),
            };
            if matches!(key.name, "schema.include.list" | "database.include.list") {
                shown = shown.dependents(&["table.include.list"]);
            }
            if let Some((values, visible)) = advice(key) {
                shown = shown.recommender(move |_, _: &Values| Recommendation {
                    values: values.iter().map(|&value| value.to_owned()).collect(),
                    visible,
                });
            }
            definition.add(shown);
        }
    }
    definition
}

/// Recommended values, and whether a form shows the option.
fn advice(key: &keys::Key) -> Option<(&'static [&'static str], bool)> {
    if key.name == "schema.exclude.list" {
        return Some((&[], false));
    }
    key.rules.iter().find_map(|rule| match rule {
        Rule::OneOf(allowed) => Some((*allowed, true)),
        _ => None,
    })
}

/// What validate answers for each option without a look at the database. As Debezium's, the
/// answers carry errors but never values.
#[must_use]
pub fn check(props: &Props) -> Vec<ConfigValue> {
    let props = &*legacy::in_todays_names(props);
    let all = keys::GROUPS.iter().flat_map(|(_, keys)| keys.iter());
    all.map(|key| {
        let (recommended, visible) = advice(key).unwrap_or((&[], true));
        ConfigValue {
            name: key.name.to_owned(),
            value: None,
            recommended_values: recommended.iter().map(|&value| value.to_owned()).collect(),
            errors: rules::problems(key, props),
            visible,
        }
    })
    .collect()
}

/// What the whole request fails with in Debezium, whatever else is wrong.
#[must_use]
pub fn unreadable(props: &Props) -> Option<Error> {
    let mut keys = keys::GROUPS.iter().flat_map(|(_, keys)| keys.iter());
    keys.any(|key| rules::unterminated(key, props)).then(|| {
        Error::config("Unterminated escape sequence at the end of the string")
            .with_class("io.debezium.text.ParsingException")
    })
}

/// What Debezium fails with when it reads options that passed [`check`].
#[must_use]
pub fn unusable(props: &Props) -> Option<Error> {
    if let Some((_, class)) = unknown_class(props) {
        let error = Error::config(format!("Unable to find class {class}"));
        return Some(error.with_class("java.lang.IllegalArgumentException"));
    }
    let operations = props.get("skipped.operations");
    if let Some((class, why)) = operations.and_then(|text| rules::unusable_operations(text)) {
        return Some(Error::config(why).with_class(class));
    }
    let table = props.get("signal.data.collection");
    let (class, why) = table.and_then(|text| rules::unusable_table(text))?;
    Some(Error::config(why).with_class(class))
}

/// Reads options from texts that passed [`check`]: what does not parse falls back to its default.
struct Reader<'a>(&'a Props);

impl<'a> Reader<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str)
    }

    /// The text or the definition's default.
    fn or_default(&self, name: &str) -> &'a str {
        let default = || {
            let mut all = keys::GROUPS.iter().flat_map(|(_, keys)| keys.iter());
            all.find(|key| key.name == name).and_then(|key| key.default)
        };
        self.text(name).or_else(default).unwrap_or_default()
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    fn flag(&self, name: &str) -> bool {
        rules::java_boolean(self.or_default(name)).unwrap_or(false)
    }

    fn number(&self, name: &str) -> i64 {
        rules::java_number(self.or_default(name)).unwrap_or_default()
    }

    fn count(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or_default()
    }

    fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.number(name)).unwrap_or_default())
    }

    fn choice<T>(&self, name: &str, of: impl Fn(&str) -> Option<T>, default: T) -> T {
        of(self.or_default(name)).unwrap_or(default)
    }

    fn items(&self, name: &str) -> Vec<String> {
        rules::items(self.or_default(name))
            .into_iter()
            .map(str::to_owned)
            .collect()
    }
}

impl PostgresConfig {
    /// Typed values of a configuration.
    ///
    /// # Errors
    /// Everything that [`check`] finds, in one error.
    pub fn parse(props: &Props) -> Result<Self, PgError> {
        let problems: Vec<String> = check(props)
            .into_iter()
            .flat_map(|value| value.errors)
            .collect();
        if !problems.is_empty() {
            return Err(PgError::Config(problems.join("; ")));
        }
        let props = &*legacy::in_todays_names(props);
        let read = Reader(props);
        let topic_prefix = read.or_default("topic.prefix").to_owned();
        let naming = Naming::new(
            &topic_prefix,
            props,
            read.choice(
                "schema.name.adjustment.mode",
                NameAdjustment::of,
                NameAdjustment::None,
            ),
            read.choice(
                "field.name.adjustment.mode",
                NameAdjustment::of,
                NameAdjustment::None,
            ),
        )?;
        let dbname = read.or_default("database.dbname").to_owned();
        Ok(Self {
            compat: compat_version(&read)?,
            connection: connection(&read, &dbname),
            query_timeout: read.millis("database.query.timeout.ms"),
            initial_statements: statements(read.or_default("database.initial.statements")),
            connection_validation_timeout: read.millis("connection.validation.timeout.ms"),
            naming,
            topic_prefix,
            tables: Arc::new(TableFilter::new(props)?),
            columns: Arc::new(ColumnRules::new(props)?),
            modes: modes(&read),
            event_converting_failure_handling: read.choice(
                "event.converting.failure.handling.mode",
                ConversionFailure::of,
                ConversionFailure::Warn,
            ),
            tombstones_on_delete: read.flag("tombstones.on.delete"),
            skip_messages_without_change: read.flag("skip.messages.without.change"),
            include_schema_comments: read.flag("include.schema.comments"),
            provide_transaction_metadata: read.flag("provide.transaction.metadata"),
            extended_headers_enabled: read.flag("extended.headers.enabled"),
            schema_refresh_mode: read.choice(
                "schema.refresh.mode",
                SchemaRefreshMode::of,
                SchemaRefreshMode::ColumnsDiff,
            ),
            snapshot_mode: read.choice(
                "snapshot.mode",
                |text| SnapshotMode::of(legacy::snapshot_mode(text)),
                SnapshotMode::Initial,
            ),
            snapshot_configuration_based: configuration_based(&read),
            snapshot_isolation_mode: read.choice(
                "snapshot.isolation.mode",
                IsolationMode::of,
                IsolationMode::Serializable,
            ),
            snapshot_locking_mode: read.choice(
                "snapshot.locking.mode",
                LockingMode::of,
                LockingMode::None,
            ),
            snapshot_lock_timeout: read.millis("snapshot.lock.timeout.ms"),
            snapshot_delay: read.millis("snapshot.delay.ms"),
            streaming_delay: read.millis("streaming.delay.ms"),
            snapshot_fetch_size: match read.text("snapshot.fetch.size") {
                Some(_) => read.count("snapshot.fetch.size"),
                None => SNAPSHOT_FETCH_SIZE,
            },
            query_fetch_size: read.count("query.fetch.size"),
            snapshot_include_collection_list: read
                .text("snapshot.include.collection.list")
                .map(PatternList::parse)
                .transpose()?,
            snapshot_select_statement_overrides: overrides(&read),
            snapshot_resume: read.flag("snapshot.resume"),
            snapshot_max_threads: read.count("snapshot.max.threads"),
            snapshot_max_threads_multiplier: read.count("snapshot.max.threads.multiplier"),
            legacy_snapshot_max_threads: read.flag("legacy.snapshot.max.threads")
                || read.flag("internal.legacy.snapshot.max.threads"),
            snapshot_tables_order_by_row_count: read.choice(
                "snapshot.tables.order.by.row.count",
                RowCountOrder::of,
                RowCountOrder::Disabled,
            ),
            incremental_snapshot_chunk_size: read.count("incremental.snapshot.chunk.size"),
            slot_name: read.or_default("slot.name").to_owned(),
            slot_drop_on_stop: read.flag("slot.drop.on.stop"),
            slot_failover: read.flag("slot.failover"),
            slot_stream_params: stream_params(read.or_default("slot.stream.params")),
            slot_max_retries: u32::try_from(read.number("slot.max.retries")).unwrap_or_default(),
            slot_retry_delay: read.millis("slot.retry.delay.ms"),
            publication_name: read.or_default("publication.name").to_owned(),
            publication_autocreate_mode: read.choice(
                "publication.autocreate.mode",
                AutocreateMode::of,
                AutocreateMode::AllTables,
            ),
            publish_via_partition_root: read.flag("publish.via.partition.root"),
            replica_identity_autoset_values: read.items("replica.identity.autoset.values"),
            status_update_interval: read.millis("status.update.interval.ms"),
            lsn_flush_mode: flush_mode(&read),
            lsn_flush_timeout: read.millis("lsn.flush.timeout.ms"),
            lsn_flush_timeout_action: read.choice(
                "lsn.flush.timeout.action",
                FlushTimeoutAction::of,
                FlushTimeoutAction::Fail,
            ),
            xmin_fetch_interval: read.millis("xmin.fetch.interval.ms"),
            offset_mismatch_strategy: mismatch_strategy(&read),
            offset_mismatch_strategy_is_set: read.text("offset.mismatch.strategy").is_some()
                || read
                    .text("internal.slot.seek.to.known.offset.on.start")
                    .is_some(),
            log_position_check: read.flag("internal.log.position.check.enable"),
            max_queue_size: read.count("max.queue.size"),
            max_queue_size_in_bytes: u64::try_from(read.number("max.queue.size.in.bytes"))
                .unwrap_or_default(),
            max_batch_size: read.count("max.batch.size"),
            poll_interval: read.millis("poll.interval.ms"),
            event_processing_failure_handling: read.choice(
                "event.processing.failure.handling.mode",
                FailureHandling::of,
                FailureHandling::Fail,
            ),
            errors_max_retries: read.number("errors.max.retries"),
            retriable_restart_wait: read.millis("retriable.restart.connector.wait.ms"),
            reselect: Reselect::all(props)?,
            custom_retriable_exception: read
                .text("internal.custom.retriable.exception")
                .map(|pattern| {
                    Regex::new(pattern).map_err(|error| PgError::Config(error.to_string()))
                })
                .transpose()?,
            guardrail_collections_max: read.count("guardrail.collections.max"),
            guardrail_collections_limit_action: read.choice(
                "guardrail.collections.limit.action",
                GuardrailAction::of,
                GuardrailAction::Warn,
            ),
            heartbeat_interval: read.millis("heartbeat.interval.ms"),
            heartbeat_action_query: read
                .owned("heartbeat.action.query")
                .filter(|query| !query.trim().is_empty()),
            read_only: read.flag("read.only"),
            signal_data_collection: read
                .items("signal.data.collection")
                .into_iter()
                .find(|table| !table.is_empty()),
            signal_enabled_channels: read.items("signal.enabled.channels"),
            signal_poll_interval: read.millis("signal.poll.interval.ms"),
            notification_enabled_channels: read.items("notification.enabled.channels"),
            notification_sink_topic_name: read.owned("notification.sink.topic.name"),
            skipped: skipped(&read),
            dbname,
            originals: props.to_owned(),
        })
    }

    /// Whether `skipped.operations` leaves this operation out.
    #[must_use]
    pub fn skips(&self, operation: Operation) -> bool {
        self.skipped.operations.contains(&operation)
    }

    /// The operations of `publish = '...'` for a new publication: those that are not skipped, if
    /// `skipped.operations` was set and skips any; none where the server's default is right.
    #[must_use]
    pub fn published_operations(&self) -> Option<String> {
        if !self.skipped.explicit || self.skipped.operations.is_empty() {
            return None;
        }
        let all = [
            (Operation::Create, "insert"),
            (Operation::Update, "update"),
            (Operation::Delete, "delete"),
            (Operation::Truncate, "truncate"),
        ];
        let left = all.iter().filter(|(operation, _)| !self.skips(*operation));
        Some(left.map(|(_, name)| *name).collect::<Vec<_>>().join(","))
    }

    /// Everything that was given, unknown keys too.
    #[must_use]
    pub fn originals(&self) -> &Props {
        &self.originals
    }
}

/// Where the `database.*` keys of a plugin that is no connector lead.
pub(crate) fn connection_of(props: &Props) -> ConnectionSettings {
    let read = Reader(props);
    connection(&read, read.or_default("database.dbname"))
}

fn connection(read: &Reader<'_>, dbname: &str) -> ConnectionSettings {
    let path = |name| {
        read.text(name)
            .filter(|text| !text.is_empty())
            .map(PathBuf::from)
    };
    let mode = match read
        .or_default("database.sslmode")
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => SslMode::Prefer,
    };
    ConnectionSettings {
        host: read.or_default("database.hostname").to_owned(),
        port: u16::try_from(read.number("database.port")).unwrap_or_default(),
        user: read.or_default("database.user").to_owned(),
        password: read.owned("database.password"),
        database: dbname.to_owned(),
        tls: TlsSettings {
            mode,
            root_certificate: path("database.sslrootcert"),
            certificate: path("database.sslcert"),
            key: path("database.sslkey"),
            key_password: read.owned("database.sslpassword"),
        },
        keep_alive: read.flag("database.tcpKeepAlive"),
    }
}

/// `debezium.compat.version`.
fn compat_version(read: &Reader<'_>) -> Result<CompatVersion, PgError> {
    let Some(text) = read.text(COMPAT_VERSION) else {
        return Ok(CompatVersion::V37);
    };
    // A release of the line stands for it.
    let line: Vec<&str> = text.trim().split('.').take(2).collect();
    CompatVersion::of(&line.join(".")).ok_or_else(|| {
        PgError::Config(format!(
            "The '{COMPAT_VERSION}' value is invalid: Value must be one of 2.4, 3.7"
        ))
    })
}

fn modes(read: &Reader<'_>) -> Modes {
    let digits = read
        .text("money.fraction.digits")
        .and_then(rules::java_number);
    Modes {
        binary: read.choice("binary.handling.mode", BinaryMode::of, BinaryMode::Bytes),
        decimal: read.choice(
            "decimal.handling.mode",
            DecimalMode::of,
            DecimalMode::Precise,
        ),
        time: read.choice("time.precision.mode", TimeMode::of, TimeMode::Adaptive),
        hstore: read.choice("hstore.handling.mode", HstoreMode::of, HstoreMode::Json),
        interval: read.choice(
            "interval.handling.mode",
            IntervalMode::of,
            IntervalMode::Numeric,
        ),
        include_unknown: read.flag("include.unknown.datatypes"),
        compat: compat_version(read).unwrap_or(CompatVersion::V37),
        money_fraction_digits: digits.unwrap_or(2),
        placeholder: Placeholder::parse(read.or_default("unavailable.value.placeholder")),
    }
}

fn configuration_based(read: &Reader<'_>) -> ConfigurationBased {
    let flag = |what| read.flag(&format!("snapshot.mode.configuration.based.{what}"));
    ConfigurationBased {
        snapshot_data: flag("snapshot.data"),
        snapshot_schema: flag("snapshot.schema"),
        start_stream: flag("start.stream"),
        snapshot_on_data_error: flag("snapshot.on.data.error"),
        snapshot_on_schema_error: flag("snapshot.on.schema.error"),
    }
}

fn overrides(read: &Reader<'_>) -> HashMap<String, String> {
    const KEY: &str = "snapshot.select.statement.overrides";
    let statements = props_with_prefix(read.0, &format!("{KEY}."));
    read.items(KEY)
        .into_iter()
        .filter_map(|table| {
            let statement = statements.get(&table)?.clone();
            Some((table, statement))
        })
        .collect()
}

/// Statements apart by semicolons; two of them are one that belongs to a statement.
fn statements(text: &str) -> Vec<String> {
    const BOTH: &str = "\u{0}";
    text.replace(";;", BOTH)
        .split(';')
        .map(|statement| statement.replace(BOTH, ";").trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

fn stream_params(text: &str) -> Vec<(String, String)> {
    text.split(';')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn skipped(read: &Reader<'_>) -> Skipped {
    const KEY: &str = "skipped.operations";
    let operations = read.items(KEY);
    let operations = operations
        .iter()
        .filter_map(|operation| match operation.as_str() {
            "c" => Some(Operation::Create),
            "u" => Some(Operation::Update),
            "d" => Some(Operation::Delete),
            "t" => Some(Operation::Truncate),
            _ => None,
        });
    Skipped {
        operations: operations.collect(),
        explicit: read.text(KEY).is_some(),
    }
}

fn flush_mode(read: &Reader<'_>) -> LsnFlushMode {
    if let Some(mode) = read.text("lsn.flush.mode").and_then(LsnFlushMode::of) {
        return mode;
    }
    match read.text("flush.lsn.source").and_then(rules::java_boolean) {
        Some(false) => LsnFlushMode::Manual,
        _ => LsnFlushMode::Connector,
    }
}

fn mismatch_strategy(read: &Reader<'_>) -> OffsetMismatchStrategy {
    if let Some(text) = read.text("offset.mismatch.strategy") {
        return OffsetMismatchStrategy::of(text).unwrap_or(OffsetMismatchStrategy::NoValidation);
    }
    match read
        .text("internal.slot.seek.to.known.offset.on.start")
        .and_then(rules::java_boolean)
    {
        Some(true) => OffsetMismatchStrategy::TrustOffset,
        _ => OffsetMismatchStrategy::NoValidation,
    }
}

#[cfg(test)]
mod tests;
