//! Removes all headers of the given names.
//!
//! ```text
//! config   {"type": "…DropHeaders", "headers": "a,b"}
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.DropHeaders`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, list_rules};
use connect_api::context::PluginContext;
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Props, Result};

use crate::operand::plugin;

plugin!(
    "DropHeaders",
    definition,
    Transformation,
    DropHeaders::default()
);

const HEADERS: &str = "headers";

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(HEADERS, Type::List, Importance::High)
            .validator(list_rules(false, false))
            .distinct()
            .doc("The names of the headers to remove."),
    )
}

#[derive(Debug, Default)]
struct DropHeaders {
    names: Vec<String>,
}

impl Transformation for DropHeaders {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        self.names = definition().parse(props)?.list(HEADERS).to_vec();
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        record
            .headers
            .retain(|header| !self.names.iter().any(|name| header.key == *name.as_str()));
        Ok(Some(record))
    }
}
