//! True for records with a header of the given name.
//!
//! Answers for `org.apache.kafka.connect.transforms.predicates.HasHeaderKey`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, non_empty};
use connect_api::context::PluginContext;
use connect_api::record::Record;
use connect_api::transform::Predicate;
use connect_api::{Props, Result};

use crate::operand::plugin;

plugin!(
    "predicates.HasHeaderKey",
    definition,
    Predicate,
    HasHeaderKey::default()
);

const NAME: &str = "name";

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(NAME, Type::String, Importance::Medium)
            .validator(non_empty())
            .doc("The header's name."),
    )
}

#[derive(Debug, Default)]
struct HasHeaderKey {
    name: String,
}

impl Predicate for HasHeaderKey {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        definition()
            .parse(props)?
            .string(NAME)
            .clone_into(&mut self.name);
        Ok(())
    }
    fn test(&mut self, record: &Record) -> Result<bool> {
        Ok(record
            .headers
            .iter()
            .any(|header| header.key == *self.name.as_str()))
    }
}
