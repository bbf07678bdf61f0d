//! Single message transformations and predicates.
//!
//! Answers for `org.apache.kafka.connect.transforms.{Transformation, predicates.Predicate}`.

use crate::context::PluginContext;
use crate::record::Record;
use crate::{Props, Result};

/// Changes records one by one. One instance per task, used by one thread.
pub trait Transformation: Send {
    /// Takes its configuration, the prefix (`transforms.NAME.`) cut off.
    ///
    /// # Errors
    /// The configuration is wrong.
    fn configure(&mut self, context: &PluginContext, props: &Props) -> Result<()>;

    /// The record that goes on in place of this one; `None` drops it.
    ///
    /// # Errors
    /// The record cannot be transformed; `errors.tolerance` decides.
    fn apply(&mut self, record: Record) -> Result<Option<Record>>;
}

/// Decides whether a transformation is applied to a record. One instance per task.
pub trait Predicate: Send {
    /// Takes its configuration, the prefix (`predicates.NAME.`) cut off.
    ///
    /// # Errors
    /// The configuration is wrong.
    fn configure(&mut self, context: &PluginContext, props: &Props) -> Result<()>;

    /// Whether the record is one of those.
    ///
    /// # Errors
    /// It cannot be told; `errors.tolerance` decides.
    fn test(&mut self, record: &Record) -> Result<bool>;
}
