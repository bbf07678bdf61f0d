//! Connect's four logical types by name (`org.apache.kafka.connect.data.{Decimal,Date,Time,Timestamp}`).

use super::{Schema, SchemaBuilder};

/// Name of the Decimal type: BYTES that hold the unscaled value, big-endian two's complement.
pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Name of the Date type: INT32 days since the epoch.
pub const DATE: &str = "org.apache.kafka.connect.data.Date";
/// Name of the Time type: INT32 milliseconds since midnight.
pub const TIME: &str = "org.apache.kafka.connect.data.Time";
/// Name of the Timestamp type: INT64 milliseconds since the epoch.
pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
/// Schema parameter that holds a Decimal's scale.
pub const SCALE: &str = "scale";

/// Which of Connect's logical types a schema is, decided once when the schema is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Logical {
    /// [`DECIMAL`]; its value is [`super::Value::Decimal`].
    Decimal,
    /// [`DATE`]; its value is [`super::Value::Date`].
    Date,
    /// [`TIME`]; its value is [`super::Value::Time`].
    Time,
    /// [`TIMESTAMP`]; its value is [`super::Value::Timestamp`].
    Timestamp,
}

impl Logical {
    /// The logical type that a schema's name says.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            DECIMAL => Some(Self::Decimal),
            DATE => Some(Self::Date),
            TIME => Some(Self::Time),
            TIMESTAMP => Some(Self::Timestamp),
            _ => None,
        }
    }
}

/// A Decimal schema of this scale.
pub fn decimal(scale: i32) -> SchemaBuilder {
    Schema::bytes()
        .name(DECIMAL)
        .version(1)
        .parameter(SCALE, scale.to_string())
}
/// A Date schema.
pub fn date() -> SchemaBuilder {
    Schema::int32().name(DATE).version(1)
}
/// A Time schema.
pub fn time() -> SchemaBuilder {
    Schema::int32().name(TIME).version(1)
}
/// A Timestamp schema.
pub fn timestamp() -> SchemaBuilder {
    Schema::int64().name(TIMESTAMP).version(1)
}
