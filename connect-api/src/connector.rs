//! A connector: validates a configuration and divides the work among tasks. It moves no records.
//!
//! Answers for `org.apache.kafka.connect.connector.Connector`, `SourceConnector`, `SinkConnector`.

use std::sync::Arc;

use crate::config::ConfigValue;
use crate::context::{PluginContext, StopSignal};
use crate::record::OffsetMap;
use crate::{Error, ErrorKind, Props, Result};

/// What a running connector can ask of the runtime.
#[derive(Clone)]
pub struct ConnectorContext {
    /// The connector's name.
    pub name: String,
    /// The runtime and what goes with it.
    pub plugin: PluginContext,
    /// Set when the connector is to stop.
    pub stop: StopSignal,
    /// Asks for new task configurations (`ConnectorContext.requestTaskReconfiguration`).
    pub request_task_reconfiguration: Arc<dyn Fn() + Send + Sync>,
    /// Fails the connector with an error that happened outside a call (`raiseError`).
    pub raise_error: Arc<dyn Fn(Error) + Send + Sync>,
}

impl std::fmt::Debug for ConnectorContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectorContext")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Whether a source keeps its promise of exactly-once (`ExactlyOnceSupport`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactlyOnceSupport {
    /// It does.
    Supported,
    /// It does not.
    Unsupported,
}

/// A source partition, which may have been sent as null, and the position that a user wants to set
/// for it, or to forget (`None`).
pub type OffsetChange = (Option<OffsetMap>, Option<OffsetMap>);

/// What a connector takes otherwise than the Java class that it stands in for, beyond what its
/// validation refuses: for whoever is about to take a running one over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakeOver {
    /// Why a task with this configuration would fail, a sentence each.
    pub obstacles: Vec<String>,
    /// What will be otherwise, a sentence each.
    pub differences: Vec<String>,
}

/// The part that validates and divides work. One instance per running connector, used by one
/// thread at a time.
pub trait Connector: Send {
    /// Checks a configuration beyond its definition, and looks at nothing else: one value per
    /// option, each with its errors. The default is the definition's own check.
    ///
    /// # Errors
    /// The check itself could not be done.
    fn check(
        &self,
        definition: &crate::config::ConfigDef,
        props: &Props,
    ) -> Result<Vec<ConfigValue>> {
        Ok(definition.validate(props))
    }

    /// The same, against the world where that is needed (`Connector.validate`).
    ///
    /// # Errors
    /// The check itself could not be done.
    fn validate(
        &self,
        context: &PluginContext,
        definition: &crate::config::ConfigDef,
        props: &Props,
    ) -> Result<Vec<ConfigValue>> {
        let _unused = context;
        self.check(definition, props)
    }

    /// What a configuration that runs under the Java class comes to here.
    fn take_over(&self, props: &Props) -> TakeOver {
        let _unused = props;
        TakeOver::default()
    }

    /// Starts with a validated configuration.
    ///
    /// # Errors
    /// The connector is then FAILED.
    fn start(&mut self, context: ConnectorContext, props: &Props) -> Result<()>;

    /// One configuration per task, `max_tasks` at most.
    ///
    /// # Errors
    /// The connector is then FAILED.
    fn task_configs(&mut self, max_tasks: usize) -> Result<Vec<Props>>;

    /// Stops and lets go of everything.
    fn stop(&mut self) {}

    /// Whether a source with this configuration gives exactly-once; `None` where the connector
    /// does not say.
    fn exactly_once_support(&self, props: &Props) -> Option<ExactlyOnceSupport> {
        let _unused = props;
        None
    }

    /// Whether a source with this configuration marks its own transaction boundaries.
    fn can_define_transaction_boundaries(&self, props: &Props) -> bool {
        let _unused = props;
        false
    }

    /// Checks offsets that a user wants to set or reset; `true` where the connector handles them
    /// completely (`alterOffsets`).
    ///
    /// # Errors
    /// The change is refused with the error's message.
    fn alter_offsets(&self, props: &Props, offsets: &[OffsetChange]) -> Result<bool> {
        let _unused = (props, offsets);
        Err(Error::new(
            ErrorKind::Fatal,
            "the connector does not support altering offsets",
        ))
    }
}
