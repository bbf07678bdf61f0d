//! The options of the outbox router.
//!
//! Answers for `io.debezium.transforms.outbox.{EventRouterConfigDefinition, AdditionalFieldsValidator}`
//! and the options of `ActivateTracingSpan` that are shown with them and have no effect without
//! OpenTelemetry's libraries, which no plugin archive carries.

use connect_api::ByteString;
use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, Width};
use connect_api::data::NameAdjustment;
use connect_api::java::Regex;
use connect_api::{Props, Result};

use crate::debezium::json_payload::JsonSchemas;
use crate::debezium::{choice, flag, invalid, list, regex, text};

const EVENT_ID: &str = "table.field.event.id";
const EVENT_KEY: &str = "table.field.event.key";
const EVENT_TYPE: &str = "table.field.event.type";
const PAYLOAD: &str = "table.field.event.payload";
const TIMESTAMP: &str = "table.field.event.timestamp";
const PLACEMENT: &str = "table.fields.additional.placement";
const MISSING: &str = "table.field.additional.missing";
const SCHEMA_VERSION: &str = "table.field.event.schema.version";
const INVALID_OPERATION: &str = "table.op.invalid.behavior";
const EXPAND_JSON: &str = "table.expand.json.payload";
const JSON_NULL: &str = "table.json.payload.null.behavior";
const JSON_EMPTY_ARRAY: &str = "table.json.payload.empty.array.behavior";
const ROUTE_BY: &str = "route.by.field";
const TOPIC_REGEX: &str = "route.topic.regex";
const TOPIC_REPLACEMENT: &str = "route.topic.replacement";
const TOMBSTONE: &str = "route.tombstone.on.empty.payload";
const FIELD_NAMES: &str = "field.name.adjustment.mode";

const DEFAULT_REGEX: &str = "(?<routedByValue>.*)";
const DEFAULT_REPLACEMENT: &str = "outbox.event.${routedByValue}";

pub(super) fn definition() -> ConfigDef {
    use Importance::{High, Low, Medium};
    let mut definition = ConfigDef::new();
    let mut group = |name: &str, keys: Vec<(ConfigKey, &str, &str)>| {
        for (order, (key, display, doc)) in (1..).zip(keys) {
            definition.add(key.group(name, order, Width::Medium, display).doc(doc));
        }
    };
    let text = |name, importance| ConfigKey::new(name, Type::String, importance);
    let flag = |name, importance| ConfigKey::new(name, Type::Boolean, importance).default(false);
    group(
        "Table",
        vec![
            (
                text(EVENT_ID, Low).default("id"),
                "Event ID Field",
                "The outbox column that holds the event's id; it goes into the header id.",
            ),
            (
                text(EVENT_KEY, Low).default("aggregateid"),
                "Event Key Field",
                "The outbox column that becomes the record's key.",
            ),
            (
                text(EVENT_TYPE, Low).default("type"),
                "Event Type Field",
                "The outbox column that holds the event's type.",
            ),
            (
                text(PAYLOAD, Low).default("payload"),
                "Event Payload Field",
                "The outbox column that holds the event itself.",
            ),
            (
                text(TIMESTAMP, Medium).default_null(),
                "Event Timestamp Field",
                "The outbox column that becomes the record's timestamp; without it, that is when \
                 the change was processed.",
            ),
            (
                ConfigKey::new(PLACEMENT, Type::List, High).default_null(),
                "Settings for each additional column in the outbox table",
                "Further columns to pass on, each as column:place or column:place:name, where \
                 place is header, envelope or partition.",
            ),
            (
                text(MISSING, Medium).default("error"),
                "Behavior when an additional field is missing in the change data",
                "What happens when such a column is missing: error fails, ignore goes on without.",
            ),
            (
                text(SCHEMA_VERSION, Low).default_null(),
                "Event Schema Version Field",
                "The outbox column that holds the version of the event's schema.",
            ),
            (
                text(INVALID_OPERATION, Medium).default("warn"),
                "Behavior when capturing an unexpected outbox event",
                "What happens when an outbox row is updated: warn and error say so in the log and \
                 drop the event, fatal fails the task.",
            ),
            (
                flag(EXPAND_JSON, Medium),
                "Expand Payload escaped string as real JSON",
                "Whether a payload of JSON text becomes structured data, its schema read off the \
                 text. What is not JSON stays text.",
            ),
            (
                text(JSON_NULL, Medium).default("ignore"),
                "Behavior when json payload including null value",
                "What becomes of nulls in expanded JSON: ignore leaves them out, optional_bytes \
                 keeps them as optional bytes.",
            ),
            (
                text(JSON_EMPTY_ARRAY, Medium).default("ignore"),
                "Behavior when json payload including empty array value",
                "What becomes of empty arrays in expanded JSON: ignore leaves them out, \
                 optional_string keeps them as arrays of optional strings.",
            ),
        ],
    );
    group(
        "Router",
        vec![
            (
                text(ROUTE_BY, High).default("aggregatetype"),
                "Field to route events by",
                "The outbox column whose value decides about the topic.",
            ),
            (
                text(TOPIC_REGEX, Low).default(DEFAULT_REGEX),
                "The name of the routed topic",
                "The regular expression that the value is matched with.",
            ),
            (
                text(TOPIC_REPLACEMENT, High).default(DEFAULT_REPLACEMENT),
                "The name of the routed topic",
                "The topic, in which groups of the match stand for their text.",
            ),
            (
                flag(TOMBSTONE, High),
                "Empty payloads cause a tombstone message",
                "Whether an event with an empty payload becomes a tombstone.",
            ),
        ],
    );
    group(
        "Tracing",
        vec![
            (
                text("tracing.span.context.field", High).default("tracingspancontext"),
                "Serialized tracing span context field",
                "The column that holds a serialized span context. Without effect: tracing needs \
                 OpenTelemetry.",
            ),
            (
                text("tracing.operation.name", High).default("debezium-read"),
                "Tracing operation name",
                "The name of the operation in traces. Without effect: tracing needs OpenTelemetry.",
            ),
            (
                flag("tracing.with.context.field.only", High),
                "Trace only events with context field present",
                "Whether only events with a span context are traced. Without effect: tracing \
                 needs OpenTelemetry.",
            ),
        ],
    );
    definition
}

/// Where a further column goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Header,
    Envelope,
    Partition,
}

/// A further column to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Additional {
    pub column: String,
    pub place: Place,
    pub alias: ByteString,
}

/// `table.op.invalid.behavior`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unexpected {
    Warn,
    Error,
    Fatal,
}

/// The options, read.
#[derive(Debug)]
pub(super) struct Options {
    pub event_id: String,
    pub event_key: String,
    pub payload: String,
    pub timestamp: Option<String>,
    pub additional: Vec<Additional>,
    pub ignore_missing: bool,
    pub schema_version: Option<String>,
    pub unexpected: Unexpected,
    /// How JSON payloads are expanded, if they are.
    pub json: Option<JsonSchemas>,
    pub route_by: String,
    pub topic_regex: Regex,
    pub topic_replacement: String,
    pub tombstone_on_empty: bool,
}

impl Options {
    pub(super) fn parse(props: &Props) -> Result<Self> {
        // An option that is there but empty stays empty, as `Configuration.getString` answers.
        let given = |key: &str, default: &str| {
            props
                .get(key)
                .map_or(default, String::as_str)
                .trim()
                .to_owned()
        };
        let nulls = [("ignore", false), ("optional_bytes", true)];
        let empties = [("ignore", false), ("optional_string", true)];
        let missing = [("error", false), ("ignore", true)];
        let unexpected = [
            ("warn", Unexpected::Warn),
            ("error", Unexpected::Error),
            ("fatal", Unexpected::Fatal),
        ];
        let mut json = JsonSchemas::default();
        json.nulls_as_bytes = choice(props, JSON_NULL, &nulls, false)?;
        json.empty_as_strings = choice(props, JSON_EMPTY_ARRAY, &empties, false)?;
        // Not in the definition, but read.
        json.names = text(props, FIELD_NAMES)
            .and_then(NameAdjustment::parse)
            .unwrap_or_default();
        let topic_regex = match regex(props, TOPIC_REGEX)? {
            Some(regex) => regex,
            None => crate::regex_router::compile(DEFAULT_REGEX)?,
        };
        Ok(Self {
            event_id: given(EVENT_ID, "id"),
            event_key: given(EVENT_KEY, "aggregateid"),
            payload: given(PAYLOAD, "payload"),
            timestamp: text(props, TIMESTAMP).map(str::to_owned),
            additional: additional(props)?,
            ignore_missing: choice(props, MISSING, &missing, false)?,
            schema_version: text(props, SCHEMA_VERSION).map(str::to_owned),
            unexpected: choice(props, INVALID_OPERATION, &unexpected, Unexpected::Warn)?,
            json: flag(props, EXPAND_JSON, false)?.then_some(json),
            route_by: given(ROUTE_BY, "aggregatetype"),
            topic_regex,
            topic_replacement: given(TOPIC_REPLACEMENT, DEFAULT_REPLACEMENT),
            tombstone_on_empty: flag(props, TOMBSTONE, false)?,
        })
    }
}

fn additional(props: &Props) -> Result<Vec<Additional>> {
    let items = list(props, PLACEMENT);
    let shown = || format!("[{}]", items.join(", "));
    let problem = |why: String| invalid(PLACEMENT, Some(&shown()), &why);
    let parse = |item: &String| {
        let parts: Vec<&str> = item.split(':').map(str::trim).collect();
        let (column, place, alias) = match parts.as_slice() {
            [column, place] => (*column, *place, *column),
            [column, place, alias] => (*column, *place, *alias),
            _ => {
                return Err(problem(format!(
                    "A comma-separated list of valid String pairs or trios is expected but got: {}",
                    shown()
                )));
            }
        };
        let place = match place.to_ascii_lowercase().as_str() {
            "header" => Place::Header,
            "envelope" => Place::Envelope,
            "partition" => Place::Partition,
            other => {
                return Err(problem(format!(
                    "{other} is no place: header, envelope and partition are"
                )));
            }
        };
        Ok(Additional {
            column: column.to_owned(),
            place,
            alias: alias.into(),
        })
    };
    items.iter().map(parse).collect()
}
