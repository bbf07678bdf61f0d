//! Says what happens to records without a value.
//!
//! ```text
//! config   {"type": "…TombstoneHandler", "behavior": "drop_silent"}
//! ```
//!
//! Answers for `io.confluent.connect.transforms.TombstoneHandler`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, any_of_ignoring_case};
use connect_api::context::PluginContext;
use connect_api::plugin::{Make, Plugin};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

pub(crate) const PLUGIN: Plugin = Plugin {
    class: "io.confluent.connect.transforms.TombstoneHandler",
    version: super::VERSION,
    config: definition,
    make: Make::Transformation(|| Box::new(TombstoneHandler::default())),
};

const BEHAVIOR: &str = "behavior";

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(BEHAVIOR, Type::String, Importance::Medium)
            .default("drop_warn")
            .validator(any_of_ignoring_case(&[
                "drop_silent",
                "drop_warn",
                "warn",
                "fail",
                "ignore",
            ]))
            .doc("What to do with a record without a value: drop it, with or without a warning, warn only, fail, or let it pass."),
    )
}

#[derive(Debug, Default)]
struct TombstoneHandler {
    behavior: String,
}

impl Transformation for TombstoneHandler {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        self.behavior = definition()
            .parse(props)?
            .string(BEHAVIOR)
            .to_ascii_lowercase();
        Ok(())
    }

    fn apply(&mut self, record: Record) -> Result<Option<Record>> {
        if !record.value.is_null() {
            return Ok(Some(record));
        }
        let topic = &*record.topic;
        match self.behavior.as_str() {
            "drop_silent" => Ok(None),
            "drop_warn" => {
                tracing::warn!(topic, "dropping a tombstone");
                Ok(None)
            }
            "fail" => Err(Error::data(format!(
                "Tombstone record encountered in topic {topic}, failing due to configured 'fail' behavior"
            ))),
            "warn" => {
                tracing::warn!(topic, "a tombstone passes");
                Ok(Some(record))
            }
            _ => Ok(Some(record)),
        }
    }
}
