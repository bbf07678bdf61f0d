//! Config providers: where `${provider:path:key}` in a configuration comes from.
//!
//! Answers for `org.apache.kafka.common.config.provider.ConfigProvider`.

use std::collections::HashMap;
use std::time::Duration;

use crate::{Props, Result};

/// What a provider found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigData {
    /// Values of the keys that were found; a reference to a missing key stays as it was written.
    pub data: HashMap<String, String>,
    /// How long the values hold; afterwards the connector is restarted.
    pub ttl: Option<Duration>,
}

/// Looks values up. Shared by all connectors of a worker.
pub trait ConfigProvider: Send + Sync {
    /// Takes its configuration: `config.providers.NAME.param.*`, the prefix cut off.
    ///
    /// # Errors
    /// The configuration is wrong; the worker does not start.
    fn configure(&mut self, props: &Props) -> Result<()>;

    /// The values of `keys` at `path` (empty where the reference names none).
    ///
    /// # Errors
    /// The path cannot be read.
    fn get(&self, path: &str, keys: &[&str]) -> Result<ConfigData>;
}
