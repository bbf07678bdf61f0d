//! The options of `CloudEventsConverter`.
//!
//! Its plugin shows none of them, as there. Answers for
//! `io.debezium.converters.CloudEventsConverterConfig`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, props_with_prefix};
use connect_api::data::json::JsonOptions;
use connect_api::{Error, Props, Result};

use crate::json;

fn definition() -> ConfigDef {
    let key = |name, kind, importance| ConfigKey::new(name, kind, importance);
    ConfigDef::new()
        .define(
            key("serializer.type", Type::String, Importance::High)
                .default("json")
                .doc("What events are written as: json."),
        )
        .define(
            key("data.serializer.type", Type::String, Importance::High)
                .default("json")
                .doc("What the data inside events is written as: json."),
        )
        .define(
            key(
                "opentelemetry.tracing.attributes.enable",
                Type::Boolean,
                Importance::High,
            )
            .default(false)
            .doc("Whether events have the attribute traceparent, taken from a header."),
        )
        .define(
            key(
                "extension.attributes.enable",
                Type::Boolean,
                Importance::High,
            )
            .default(true)
            .doc("Whether events have the source's and the transaction's fields as attributes."),
        )
        .define(
            key(
                "schema.data.name.source.header.enable",
                Type::Boolean,
                Importance::Low,
            )
            .default(false)
            .doc("Whether the name of the data's schema may come from a header."),
        )
        .define(
            key("metadata.source", Type::List, Importance::High)
                .default(
                    "value,id:generate,type:generate,traceparent:header,dataSchemaName:generate",
                )
                .doc("Where the event's attributes come from: value or header, then exceptions."),
        )
}

/// Where an attribute comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Value,
    Header,
    Generate,
}

impl From {
    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "value" => Some(Self::Value),
            "header" => Some(Self::Header),
            "generate" => Some(Self::Generate),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Value => "VALUE",
            Self::Header => "HEADER",
            Self::Generate => "GENERATE",
        }
    }
}

/// The options, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub tracing: bool,
    pub extensions: bool,
    /// Where source, operation and transaction come from: value or header.
    pub metadata: From,
    pub id: From,
    pub kind: From,
    pub trace_parent: From,
    pub data_schema_name: From,
    /// How the data is written; the event around it never has a schema.
    pub json: JsonOptions,
}

impl Options {
    pub(super) fn parse(props: &Props) -> Result<Self> {
        let config = definition().parse(props)?;
        for key in ["serializer.type", "data.serializer.type"] {
            let given = config.string(key);
            if !given.eq_ignore_ascii_case("json") {
                return Err(Error::config(format!(
                    "Invalid value {given} for configuration {key}: events are written as json; \
                     avro and protobuf are not built in"
                )));
            }
        }
        let sources = config.list("metadata.source");
        let global = sources.first().map_or("", String::as_str);
        let metadata = match From::parse(global) {
            Some(From::Generate) => {
                return Err(Error::config("Global metadata source can't be GENERATE"));
            }
            Some(other) => other,
            None => {
                return Err(Error::config(format!(
                    "Global metadata source `{global}` is not valid"
                )));
            }
        };
        let mut options = Self {
            tracing: config.bool("opentelemetry.tracing.attributes.enable"),
            extensions: config.bool("extension.attributes.enable"),
            metadata,
            id: metadata,
            kind: metadata,
            trace_parent: metadata,
            data_schema_name: metadata,
            json: json::parse_options(&props_with_prefix(props, "json."))?,
        };
        for item in sources.iter().skip(1) {
            let (field, source) = item.split_once(':').unwrap_or((item, ""));
            let source = match From::parse(source) {
                Some(From::Value) => {
                    return Err(Error::config(format!(
                        "Field metadata source can't be {}",
                        From::Value.name()
                    )));
                }
                Some(source) => source,
                None => {
                    return Err(Error::config(format!(
                        "Field source `{source}` is not valid"
                    )));
                }
            };
            match field {
                "id" => options.id = source,
                "type" => options.kind = source,
                "traceparent" => options.trace_parent = source,
                "dataSchemaName" => options.data_schema_name = source,
                other => {
                    return Err(Error::config(format!(
                        "Field `{other}` is not allowed to set custom source"
                    )));
                }
            }
        }
        // Two headers are looked at only where that is asked for on its own.
        if !options.tracing && options.trace_parent == From::Header {
            options.trace_parent = From::Generate;
        }
        if !config.bool("schema.data.name.source.header.enable")
            && options.data_schema_name == From::Header
        {
            options.data_schema_name = From::Generate;
        }
        Ok(options)
    }
}
