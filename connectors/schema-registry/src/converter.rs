//! The shell that all converters with a registry share: options in, errors that leave nothing half
//! written, nulls. What a schema or a value is in one language is that language's affair.

use connect_api::config::{Config, ConfigDef};
use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::{Headers, SchemaAndValue};
use connect_api::{Bytes, Error, Props, Result};

use crate::apicurio;
use crate::registry::SchemaKind;
use crate::serde::Serde;

/// Whose converter of the two that share wire format and API one stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Confluent's.
    Confluent,
    /// Apicurio's (`io.apicurio.registry.utils.converter`) in its Confluent-compatible mode.
    Apicurio,
}

/// A schema language's side of a converter.
pub trait Language: Sized + Send {
    /// The language.
    const KIND: SchemaKind;

    /// All options, those of every converter with a registry included.
    fn definition() -> ConfigDef;

    /// What converts by these options, over its side of the registry.
    fn new(serde: Serde, config: &Config) -> Self;

    /// Appends a message; answers `false`, appending nothing, for a null in Kafka. What was appended
    /// before an error is cut off again.
    ///
    /// # Errors
    /// The data has no such form, or the registry does not do its part.
    fn write(
        &mut self,
        topic: &str,
        headers: &mut Headers,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool>;

    /// The data of a message.
    ///
    /// # Errors
    /// The bytes are none, or the registry does not do its part.
    fn read(&mut self, topic: &str, headers: &Headers, bytes: &Bytes) -> Result<SchemaAndValue>;
}

/// A converter for one language.
#[derive(Debug)]
pub struct RegistryConverter<L> {
    dialect: Dialect,
    language: Option<L>,
}

impl<L: Language> RegistryConverter<L> {
    /// The converter under Confluent's name.
    pub fn confluent() -> Self {
        Self {
            dialect: Dialect::Confluent,
            language: None,
        }
    }
    /// The converter under Apicurio's name, which has other options.
    pub fn apicurio() -> Self {
        Self {
            dialect: Dialect::Apicurio,
            language: None,
        }
    }
    /// A converter that is configured already.
    pub fn over(language: L) -> Self {
        Self {
            dialect: Dialect::Confluent,
            language: Some(language),
        }
    }
    /// What it converts with, once it is configured.
    pub fn language(&self) -> Option<&L> {
        self.language.as_ref()
    }

    fn configured(&mut self) -> Result<&mut L> {
        self.language
            .as_mut()
            .ok_or_else(|| Error::fatal("a converter is used before it is configured"))
    }
}

/// The options under Apicurio's name.
pub fn apicurio_definition<L: Language>() -> ConfigDef {
    apicurio::definition(L::definition())
}

impl<L: Language> Converter for RegistryConverter<L> {
    fn configure(&mut self, context: &PluginContext, props: &Props, is_key: bool) -> Result<()> {
        let config = match self.dialect {
            Dialect::Apicurio => apicurio_definition::<L>().parse(&apicurio::translated(props)?)?,
            Dialect::Confluent => L::definition().parse(props)?,
        };
        let serde = Serde::new(L::KIND, &config, is_key, self.dialect, context)?;
        self.language = Some(L::new(serde, &config));
        Ok(())
    }

    fn from_connect_data(
        &mut self,
        topic: &str,
        headers: &mut Headers,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let start = out.len();
        let written = self.configured()?.write(topic, headers, data, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn to_connect_data(
        &mut self,
        topic: &str,
        headers: &Headers,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue> {
        match bytes {
            None => Ok(SchemaAndValue::NULL),
            Some(bytes) => self.configured()?.read(topic, headers, bytes),
        }
    }
}
