//! Converters: between Connect data and the bytes in Kafka.
//!
//! Answers for `org.apache.kafka.connect.storage.{Converter, HeaderConverter}`.

use crate::context::PluginContext;
use crate::data::json::JsonOptions;
use crate::data::{Bytes, Headers, SchemaAndValue};
use crate::{Props, Result};

/// Converts keys or values. One instance per task and role, used by one thread.
pub trait Converter: Send {
    /// Takes its configuration, the prefix (`value.converter.`) cut off.
    ///
    /// # Errors
    /// The configuration is wrong.
    fn configure(&mut self, context: &PluginContext, props: &Props, is_key: bool) -> Result<()>;

    /// Appends the data's bytes to `out`; answers `false`, appending nothing, where the data is a
    /// null in Kafka (a tombstone). May add headers.
    ///
    /// # Errors
    /// The data cannot be converted (kind Data), or a service is out of reach (Retriable).
    #[expect(clippy::wrong_self_convention, reason = "named as in Kafka")]
    fn from_connect_data(
        &mut self,
        topic: &str,
        headers: &mut Headers,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool>;

    /// The data of a message's bytes; strings and byte fields may share `bytes`.
    ///
    /// # Errors
    /// The bytes cannot be converted (kind Data), or a service is out of reach (Retriable).
    fn to_connect_data(
        &mut self,
        topic: &str,
        headers: &Headers,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue>;

    /// How it writes JSON, where it writes that of Connect's own mapping (`JsonWriter`).
    fn json_options(&self) -> Option<JsonOptions> {
        None
    }

    /// Whether it can give schemaless JSON objects as the text that would be printed of them; see
    /// [`Self::give_json_text`].
    fn has_json_text(&self) -> bool {
        false
    }

    /// From now on objects without a schema may come as BYTES without a schema, holding their text
    /// (`connect_api::data::json::write_schemaless`). Asked only where nothing looks inside of them.
    fn give_json_text(&mut self) {}
}

/// Converts the values of headers. One instance per task, used by one thread.
pub trait HeaderConverter: Send {
    /// Takes its configuration, the prefix (`header.converter.`) cut off.
    ///
    /// # Errors
    /// The configuration is wrong.
    fn configure(&mut self, context: &PluginContext, props: &Props) -> Result<()>;

    /// Appends the bytes of one header's value; `false` for a null.
    ///
    /// # Errors
    /// The data cannot be converted.
    #[expect(clippy::wrong_self_convention, reason = "named as in Kafka")]
    fn from_connect_header(
        &mut self,
        topic: &str,
        key: &str,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool>;

    /// The data of one header's value.
    ///
    /// # Errors
    /// The bytes cannot be converted.
    fn to_connect_header(
        &mut self,
        topic: &str,
        key: &str,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue>;
}
