//! Drops every record; together with a predicate, those that it names.
//!
//! ```text
//! config   {"type": "…Filter", "predicate": "isTombstone"}
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.Filter`.

use connect_api::config::ConfigDef;
use connect_api::context::PluginContext;
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Props, Result};

use crate::operand::plugin;

plugin!("Filter", ConfigDef::new, Transformation, Filter);

#[derive(Debug)]
struct Filter;

impl Transformation for Filter {
    fn configure(&mut self, _context: &PluginContext, _props: &Props) -> Result<()> {
        Ok(())
    }
    fn apply(&mut self, _record: Record) -> Result<Option<Record>> {
        Ok(None)
    }
}
