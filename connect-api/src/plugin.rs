//! A plugin as a plain value: what it is called, what options it has, how one is made.
//!
//! Lists of plugins are `const` slices that a reader finds by searching for a class name; there is
//! no registration at run time. Answers for `PluginDesc` and `Plugins`.

use crate::config::ConfigDef;
use crate::connector::Connector;
use crate::converter::{Converter, HeaderConverter};
use crate::provider::ConfigProvider;
use crate::sink::SinkTask;
use crate::source::SourceTask;
use crate::transform::{Predicate, Transformation};

/// The kinds of plugins, in the order in which `/connector-plugins` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginKind {
    /// A sink connector.
    Sink,
    /// A source connector.
    Source,
    /// A transformation.
    Transformation,
    /// A predicate.
    Predicate,
    /// A converter of keys and values.
    Converter,
    /// A converter of headers.
    HeaderConverter,
    /// A config provider; not listed by `/connector-plugins`.
    ConfigProvider,
}

impl PluginKind {
    /// The kind as REST answers name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Source => "source",
            Self::Transformation => "transformation",
            Self::Predicate => "predicate",
            Self::Converter => "converter",
            Self::HeaderConverter => "header_converter",
            Self::ConfigProvider => "configprovider",
        }
    }
    /// The suffix that an alias may leave out: `Connector` of `FileStreamSourceConnector`.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Sink | Self::Source => "Connector",
            Self::Transformation => "Transformation",
            Self::Predicate => "Predicate",
            Self::Converter => "Converter",
            Self::HeaderConverter => "HeaderConverter",
            Self::ConfigProvider => "ConfigProvider",
        }
    }
}

/// Makes instances of a plugin.
#[derive(Clone, Copy, Debug)]
pub enum Make {
    /// A source connector, the Java class of its tasks, and its tasks.
    Source {
        /// Makes the connector.
        connector: fn() -> Box<dyn Connector>,
        /// `task.class` as the config topic shows it.
        task_class: &'static str,
        /// Makes a task.
        task: fn() -> Box<dyn SourceTask>,
    },
    /// A sink connector, the Java class of its tasks, and its tasks.
    Sink {
        /// Makes the connector.
        connector: fn() -> Box<dyn Connector>,
        /// `task.class` as the config topic shows it.
        task_class: &'static str,
        /// Makes a task.
        task: fn() -> Box<dyn SinkTask>,
    },
    /// A transformation.
    Transformation(fn() -> Box<dyn Transformation>),
    /// A predicate.
    Predicate(fn() -> Box<dyn Predicate>),
    /// A converter.
    Converter(fn() -> Box<dyn Converter>),
    /// A header converter.
    HeaderConverter(fn() -> Box<dyn HeaderConverter>),
    /// A config provider.
    ConfigProvider(fn() -> Box<dyn ConfigProvider>),
}

/// A plugin. A class that serves as two kinds (`JsonConverter` as converter and header converter)
/// stands in the list twice.
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// The Java class it stands in for, e.g. `io.debezium.connector.postgresql.PostgresConnector`.
    pub class: &'static str,
    /// The version that `/connector-plugins` and statuses show: that of the Java plugin whose
    /// behaviour this is, since clients decide by it.
    pub version: &'static str,
    /// Its options. For a connector: its own, without those that every connector has.
    pub config: fn() -> ConfigDef,
    /// Makes instances.
    pub make: Make,
}

impl Plugin {
    /// Its kind.
    pub fn kind(&self) -> PluginKind {
        match self.make {
            Make::Source { .. } => PluginKind::Source,
            Make::Sink { .. } => PluginKind::Sink,
            Make::Transformation(_) => PluginKind::Transformation,
            Make::Predicate(_) => PluginKind::Predicate,
            Make::Converter(_) => PluginKind::Converter,
            Make::HeaderConverter(_) => PluginKind::HeaderConverter,
            Make::ConfigProvider(_) => PluginKind::ConfigProvider,
        }
    }
    /// The class without its package: `RegexRouter`, and `HoistField$Value` for an inner class.
    pub fn simple_name(&self) -> &'static str {
        self.class
            .rsplit_once('.')
            .map_or(self.class, |(_, name)| name)
    }
}
