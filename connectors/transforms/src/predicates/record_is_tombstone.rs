//! True for records without a value.
//!
//! Answers for `org.apache.kafka.connect.transforms.predicates.RecordIsTombstone`.

use connect_api::config::ConfigDef;
use connect_api::context::PluginContext;
use connect_api::record::Record;
use connect_api::transform::Predicate;
use connect_api::{Props, Result};

use crate::operand::plugin;

plugin!(
    "predicates.RecordIsTombstone",
    ConfigDef::new,
    Predicate,
    RecordIsTombstone
);

#[derive(Debug)]
struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn configure(&mut self, _context: &PluginContext, _props: &Props) -> Result<()> {
        Ok(())
    }
    fn test(&mut self, record: &Record) -> Result<bool> {
        Ok(record.value.is_null())
    }
}
