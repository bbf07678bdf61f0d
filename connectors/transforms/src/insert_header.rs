//! Adds a header with a fixed value.
//!
//! ```text
//! config   {"type": "…InsertHeader", "header": "version", "value.literal": "5"}
//! after    header version = 5
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.InsertHeader`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, non_null};
use connect_api::context::PluginContext;
use connect_api::data::text::parse_string;
use connect_api::data::{Header, SchemaAndValue};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Props, Result};

use crate::operand::plugin;

plugin!(
    "InsertHeader",
    definition,
    Transformation,
    InsertHeader::default()
);

const HEADER: &str = "header";
const VALUE: &str = "value.literal";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(HEADER, Type::String, Importance::High)
                .validator(non_null())
                .doc("The header's name."),
        )
        .define(
            ConfigKey::new(VALUE, Type::String, Importance::High)
                .validator(non_null())
                .doc("The header's value; its type is the one that the text looks like."),
        )
}

#[derive(Debug, Default)]
struct InsertHeader {
    header: ByteString,
    value: SchemaAndValue,
}

impl Transformation for InsertHeader {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.header = config.string(HEADER).into();
        self.value = parse_string(config.string(VALUE))?;
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        record.headers.push(Header {
            key: self.header.clone(),
            value: self.value.clone(),
        });
        Ok(Some(record))
    }
}
