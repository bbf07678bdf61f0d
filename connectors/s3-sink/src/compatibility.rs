//! Whether a record's schema fits into an open file, and the record in that file's schema.
//!
//! Answers for `io.confluent.connect.storage.schema.StorageSchemaCompatibility` and for
//! `org.apache.kafka.connect.data.SchemaProjector`.

use std::sync::Arc;

use connect_api::data::{Schema, SchemaRef, SchemaType, Struct, Value};
use connect_api::{Error, Result};

/// `schema.compatibility`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Compatibility {
    /// Any difference starts a new file.
    #[default]
    None,
    /// Older records are projected to the file's newer schema.
    Backward,
    /// Newer records are projected to the file's older schema.
    Forward,
    /// As [`Self::Backward`].
    Full,
}

/// What the check says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is written as it is.
    Same,
    /// It is written in the file's schema.
    Project,
    /// It starts a new file.
    Incompatible,
}

impl Compatibility {
    /// Any other text means none.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "BACKWARD" => Self::Backward,
            "FORWARD" => Self::Forward,
            "FULL" => Self::Full,
            _ => Self::None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::Forward => "FORWARD",
            Self::Full => "FULL",
        }
    }

    /// How a record with `record`'s schema fits into a file of `file`'s.
    ///
    /// # Errors
    /// Kind Data: a schema has no version to compare by.
    pub(crate) fn check(self, record: Option<&SchemaRef>, file: Option<&SchemaRef>) -> Result<Fit> {
        let (record, file) = match (record, file) {
            (None, None) => return Ok(Fit::Same),
            (Some(record), Some(file)) if Arc::ptr_eq(record, file) => return Ok(Fit::Same),
            (Some(record), Some(file)) => (record, file),
            _ => return Ok(Fit::Incompatible),
        };
        if self == Self::None {
            return Ok(if record == file {
                Fit::Same
            } else {
                Fit::Incompatible
            });
        }
        let (Some(record_version), Some(file_version)) = (record.version(), file.version()) else {
            return Err(Error::data(format!(
                "Schema version required for {} compatibility",
                self.name()
            )));
        };
        let versions_fit = match self {
            Self::Forward => record_version >= file_version,
            _ => record_version <= file_version,
        };
        if record == file {
            return Ok(Fit::Same);
        }
        Ok(if versions_fit && fits(record, file) {
            Fit::Project
        } else {
            Fit::Incompatible
        })
    }
}

/// Whether values of `from` can be shown in `to`.
fn fits(from: &Schema, to: &Schema) -> bool {
    if Some(from.kind()) != Some(to.kind()) && !is_promotable(from.kind(), to.kind()) {
        return false;
    }
    if from.name() != to.name() || !parameters_fit(from, to) {
        return false;
    }
    if from.is_optional() && !to.is_optional() && to.default_value().is_none() {
        return false;
    }
    let inner = |one: Option<&SchemaRef>, other: Option<&SchemaRef>| match (one, other) {
        (Some(one), Some(other)) => fits(one, other),
        (one, other) => one.is_none() == other.is_none(),
    };
    match to.kind() {
        SchemaType::Struct => to
            .fields()
            .iter()
            .all(|field| match from.field(&field.name) {
                Some(given) => fits(&given.schema, &field.schema),
                None => field.schema.is_optional() || field.schema.default_value().is_some(),
            }),
        SchemaType::Array => inner(from.value_schema(), to.value_schema()),
        SchemaType::Map => {
            inner(from.key_schema(), to.key_schema())
                && inner(from.value_schema(), to.value_schema())
        }
        _ => true,
    }
}

fn rank(kind: SchemaType) -> Option<u8> {
    Some(match kind {
        SchemaType::Int8 => 0,
        SchemaType::Int16 => 1,
        SchemaType::Int32 => 2,
        SchemaType::Int64 => 3,
        SchemaType::Float32 => 4,
        SchemaType::Float64 => 5,
        _ => return None,
    })
}

fn is_promotable(from: SchemaType, to: SchemaType) -> bool {
    matches!((rank(from), rank(to)), (Some(from), Some(to)) if from < to)
}

/// Parameters have to be equal but for documentation; an enum may have more symbols in the file.
fn parameters_fit(from: &Schema, to: &Schema) -> bool {
    const ENUM: &str = "io.confluent.connect.avro.Enum";
    let matters = |key: &str| {
        !matches!(
            key,
            "connect.record.doc" | "connect.record.aliases" | "connect.record.namespace"
        ) && !key.starts_with("io.confluent.connect.avro.field.doc.")
    };
    let covered = |one: &Schema, other: &Schema| {
        one.parameters()
            .iter()
            .filter(|(key, _)| matters(key))
            .all(|(key, value)| other.parameter(key) == Some(&**value))
    };
    let is_enum = from.parameter(ENUM).is_some() && to.parameter(ENUM).is_some();
    covered(from, to) && (is_enum || covered(to, from))
}

/// A value of `from` in the schema `to`, of which [`Compatibility::check`] said that it fits.
///
/// # Errors
/// Kind Data: a value has no place there.
pub(crate) fn project(value: &Value, from: &Schema, to: &SchemaRef) -> Result<Value> {
    if value.is_null() {
        return match to.default_value() {
            Some(default) => Ok(default.clone()),
            None if to.is_optional() => Ok(Value::Null),
            None => Err(Error::data(
                "Writer schema is optional, however, target schema does not provide a default value.",
            )),
        };
    }
    let element = |of: Option<&SchemaRef>| {
        of.map(Arc::clone)
            .ok_or_else(|| Error::data("an array or map schema lacks its parts"))
    };
    Ok(match (value, to.kind()) {
        (Value::Struct(given), SchemaType::Struct) => {
            let values = to
                .fields()
                .iter()
                .map(|field| match given.schema.field(&field.name) {
                    Some(source) => {
                        let inside = given.values.get(source.index).unwrap_or(&Value::Null);
                        project(inside, &source.schema, &field.schema)
                    }
                    None => match field.schema.default_value() {
                        Some(default) => Ok(default.clone()),
                        None if field.schema.is_optional() => Ok(Value::Null),
                        None => Err(Error::data(format!(
                            "Required field `{}` is missing from source schema",
                            field.name
                        ))),
                    },
                });
            Value::Struct(Struct::new(Arc::clone(to), values.collect::<Result<_>>()?))
        }
        (Value::Array(items), SchemaType::Array) => {
            let (source, target) = (element(from.value_schema())?, element(to.value_schema())?);
            let items = items.iter().map(|item| project(item, &source, &target));
            Value::Array(items.collect::<Result<_>>()?)
        }
        (Value::Map(map), SchemaType::Map) => {
            let (key_from, key_to) = (element(from.key_schema())?, element(to.key_schema())?);
            let (item_from, item_to) = (element(from.value_schema())?, element(to.value_schema())?);
            let entries = map.iter().map(|(key, item)| {
                Ok((
                    project(key, &key_from, &key_to)?,
                    project(item, &item_from, &item_to)?,
                ))
            });
            Value::Map(Box::new(entries.collect::<Result<_>>()?))
        }
        (value, kind) => promote(value, kind),
    })
}

/// A number in a wider type; anything else as it is.
fn promote(value: &Value, kind: SchemaType) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "Java widens so too")]
    fn widen(number: i64, kind: SchemaType) -> Option<Value> {
        Some(match kind {
            SchemaType::Int16 => Value::Int16(number.try_into().ok()?),
            SchemaType::Int32 => Value::Int32(number.try_into().ok()?),
            SchemaType::Int64 => Value::Int64(number),
            SchemaType::Float32 => Value::Float32(number as f32),
            SchemaType::Float64 => Value::Float64(number as f64),
            _ => return None,
        })
    }
    match (value, kind) {
        (Value::Float32(number), SchemaType::Float64) => Value::Float64(f64::from(*number)),
        (other, _) => other
            .as_i64()
            .and_then(|number| widen(number, kind))
            .unwrap_or_else(|| other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: i32, with_b: bool) -> SchemaRef {
        let builder = Schema::structure()
            .name("ev")
            .version(number)
            .field("a", Schema::int32().build());
        match with_b {
            true => builder
                .field("b", Schema::string().optional().build())
                .build(),
            false => builder.build(),
        }
    }

    #[test]
    fn older_records_fit_backward_and_newer_ones_forward() {
        let (old, new) = (version(1, false), version(2, true));
        for (mode, record, file, expected) in [
            (Compatibility::None, &old, &new, Fit::Incompatible),
            (Compatibility::Backward, &old, &new, Fit::Project),
            (Compatibility::Backward, &new, &old, Fit::Incompatible),
            (Compatibility::Full, &old, &new, Fit::Project),
            (Compatibility::Forward, &new, &old, Fit::Project),
            (Compatibility::Forward, &old, &new, Fit::Incompatible),
            (Compatibility::None, &old, &version(1, false), Fit::Same),
        ] {
            assert_eq!(
                mode.check(Some(record), Some(file)).expect("versions"),
                expected,
                "{mode:?}"
            );
        }
    }

    #[test]
    fn a_missing_version_is_an_error_unless_nothing_is_compared() {
        let bare = Schema::int32().build();
        let error = Compatibility::Backward
            .check(Some(&bare), Some(&Schema::int64().build()))
            .expect_err("no versions");
        assert_eq!(
            error.message(),
            "Schema version required for BACKWARD compatibility"
        );
        assert_eq!(
            Compatibility::Backward
                .check(Some(&bare), Some(&bare))
                .expect("same"),
            Fit::Same
        );
    }

    #[test]
    fn projection_fills_and_drops_fields() {
        let (old, new) = (version(1, false), version(2, true));
        let value = Value::Struct(Struct::new(Arc::clone(&old), vec![Value::Int32(1)]));
        let Value::Struct(up) = project(&value, &old, &new).expect("fits") else {
            panic!("a struct")
        };
        assert_eq!(up.values, [Value::Int32(1), Value::Null]);
        let value = Value::Struct(Struct::new(
            Arc::clone(&new),
            vec![Value::Int32(1), Value::text("x")],
        ));
        let Value::Struct(down) = project(&value, &new, &old).expect("fits") else {
            panic!("a struct")
        };
        assert_eq!(down.values, [Value::Int32(1)]);
    }
}
