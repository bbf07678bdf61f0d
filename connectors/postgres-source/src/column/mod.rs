//! One table from Postgres type and options to schema and decoder.
//!
//! [`plan`] looks at a column once; afterwards a value goes from Postgres' text form to a [`Value`]
//! by one match, the same for snapshot and stream. Texts stay slices of the row's buffer. It knows
//! neither tables nor records. Answers for `PostgresValueConverter`, `JdbcValueConverters` and
//! `TypeRegistry`; schemas are theirs without exception, and so are values, but where the JVM loses
//! one that the schema can hold (times in arrays, arrays of boxes).
//!
//! | module | one line |
//! |---|---|
//! | [`modes`] | the options that decide how values appear |
//! | `decoder` | how one type's text becomes a value |
//! | `calendar` | dates and times out of bytes |
//! | `temporal` | dates and times as values, by `time.precision.mode` |
//! | `numeric` | exact numbers, money, bits |
//! | `geometry` | geometric types, PostGIS, pgvector |
//! | `text` | bytea, hstore, array literals |
//! | `mask` | truncation, stars, hashes |
//! | `placeholder` | what stands for an unchanged toasted value |
//! | `default` | default expressions as schema defaults |

mod calendar;
mod decoder;
mod default;
mod geometry;
mod mask;
pub mod modes;
mod numeric;
mod placeholder;
mod temporal;
mod text;

use connect_api::data::{Schema, SchemaBuilder, SchemaRef, Value};

use crate::change::{ColumnInfo, ColumnValue, Phase, TypeInfo, TypeKind};
use crate::config::CompatVersion;
use crate::error::PgError;
use crate::filter::Mask;
pub use decoder::opaque;
use decoder::{ArrayDecoder, Decoder};
use geometry::Geometry;
use mask::Masking;
use modes::{BinaryMode, HstoreMode, Modes};
use placeholder::unchanged;

/// The length that the driver reports for a type without one.
const NO_LENGTH: i32 = i32::MAX;
/// Types that Debezium 2.4 did not know yet.
const SINCE_24: [&str; 10] = [
    "tsvector",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "vector",
    "halfvec",
    "sparsevec",
];
/// Precision of a temporal type that does not declare one.
const DEFAULT_PRECISION: i32 = 6;

/// A value that its column's schema cannot hold, or not whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Unconvertible {
    /// What the schema can hold of it; none where nothing can be.
    pub instead: Option<Value>,
}

impl Unconvertible {
    const WHOLLY: Self = Self { instead: None };
}

/// A column's schema and decoder.
#[derive(Clone, Debug)]
pub struct ColumnPlan {
    /// The schema of its values, with default, parameters and optionality.
    pub schema: SchemaRef,
    decoder: Decoder,
    masking: Option<Masking>,
    optional: bool,
    /// What a null becomes.
    null: Value,
    /// What an unchanged toasted value becomes; none where it cannot be represented.
    unchanged: Option<Value>,
}

/// A type with the modifier that applies to it, out of its domains.
#[derive(Clone, Copy, Debug)]
struct Resolved<'a> {
    info: &'a TypeInfo,
    modifier: i32,
}

fn resolve(info: &TypeInfo, modifier: i32) -> Resolved<'_> {
    let mut resolved = Resolved { info, modifier };
    while let TypeKind::Domain(inner, own) = &resolved.info.kind {
        let modifier = if *own >= 0 { *own } else { resolved.modifier };
        resolved = Resolved {
            info: inner,
            modifier,
        };
    }
    resolved
}

/// The plan of a column, without masks and defaults for a key. None for a type that is left out.
///
/// # Errors
/// A mask that cannot be.
pub fn plan(
    column: &ColumnInfo,
    modes: &Modes,
    mask: Option<&Mask>,
    with_comment: bool,
    phase: Phase,
) -> Result<Option<ColumnPlan>, PgError> {
    let resolved = resolve(&column.data_type, column.type_modifier);
    let Some((mut builder, mut decoder)) = type_plan(resolved, modes) else {
        return Ok(None);
    };
    let default = column.default_expression.as_deref().and_then(|expression| {
        default::value(expression, &column.data_type, resolved.modifier, &decoder)
    });
    let mut masking = None;
    if let Some(mask) = mask {
        let (length, scale) = match column.data_type.name.as_str() {
            // Debezium looks their dimensions up itself; a domain over one stays the driver's.
            "vector" | "halfvec" | "sparsevec" => (column.type_modifier, 0),
            _ => length_and_scale(resolved),
        };
        // A snapshot learns from the driver's metadata, which knows nothing of a bare numeric.
        let unknown = phase == Phase::Snapshot
            && resolved.info.name == "numeric"
            && numeric::precision_and_scale(resolved.modifier).is_none();
        if *mask == Mask::PropagateType {
            let comment = column.comment.as_deref().filter(|_| with_comment);
            let size = if unknown {
                (0, None)
            } else {
                (length, Some(scale))
            };
            builder = propagated(column, size, comment, builder);
        }
        (builder, masking) = mask::prepare(mask, length, is_character(resolved.info), builder)?;
    }
    if column.optional {
        builder = builder.optional();
    }
    if let Some(comment) = column.comment.as_ref().filter(|_| with_comment) {
        builder = builder.doc(comment.as_str());
    }
    if let Some(default) = &default {
        builder = builder.default_value(default.clone());
    }
    let schema = builder.build();
    decoder.adopt(&schema);
    let null = if column.optional {
        Value::Null
    } else {
        default
            .or_else(|| decoder.fallback(resolved.modifier))
            .unwrap_or_default()
    };
    let unchanged = unchanged(resolved.info, &decoder, modes);
    let optional = schema.is_optional();
    Ok(Some(ColumnPlan {
        schema,
        decoder,
        masking,
        optional,
        null,
        unchanged,
    }))
}

impl ColumnPlan {
    /// The value of a column.
    ///
    /// # Errors
    /// There is no such value in this column's schema.
    #[inline]
    pub fn value(&self, cell: ColumnValue<'_>, phase: Phase) -> Result<Value, Unconvertible> {
        let value = match cell {
            ColumnValue::Text(text) => {
                let (value, lossy) = match &self.decoder {
                    Decoder::Array(array) => {
                        let array = array.decode(text).ok_or(Unconvertible::WHOLLY)?;
                        (array.value, array.lossy)
                    }
                    decoder => match decoder.decode(text, phase) {
                        Some(Value::Null) => (self.null.clone(), true),
                        Some(value) => (value, false),
                        None => return Err(Unconvertible::WHOLLY),
                    },
                };
                if lossy {
                    return Err(Unconvertible {
                        instead: Some(self.masked(value)),
                    });
                }
                value
            }
            ColumnValue::Null => self.null.clone(),
            ColumnValue::Unchanged => match &self.unchanged {
                Some(value) => value.clone(),
                // Indistinguishable from null, and nothing stands in for it.
                None => return Err(Unconvertible::WHOLLY),
            },
        };
        Ok(self.masked(value))
    }

    /// Appends the JSON of a value whose text needs no more than to be copied; otherwise answers
    /// `false` and appends nothing.
    #[inline]
    pub fn write_plain(&self, cell: ColumnValue<'_>, out: &mut Vec<u8>) -> bool {
        match cell {
            ColumnValue::Text(text) if self.masking.is_none() => {
                self.decoder.write_plain(text.as_bytes(), out)
            }
            _ => false,
        }
    }

    #[inline]
    fn masked(&self, value: Value) -> Value {
        match &self.masking {
            None => value,
            Some(masking) => masking.apply(value),
        }
    }

    /// The same for a column of a key.
    ///
    /// # Errors
    /// There is no such value in this column's schema.
    #[inline]
    pub fn key_value(&self, cell: ColumnValue<'_>, phase: Phase) -> Result<Value, Unconvertible> {
        self.value(cell, phase)
    }

    /// Whether null is a value of it.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.optional
    }
}

/// A schema named after one of Debezium's semantic types.
fn semantic(builder: SchemaBuilder, name: &str) -> SchemaBuilder {
    builder.name(format!("io.debezium.data.{name}")).version(1)
}

fn binary_schema(mode: BinaryMode) -> SchemaBuilder {
    match mode {
        BinaryMode::Bytes => Schema::bytes(),
        _ => Schema::string(),
    }
}

fn hstore_schema(mode: HstoreMode) -> SchemaBuilder {
    match mode {
        HstoreMode::Json => semantic(Schema::string(), "Json"),
        HstoreMode::Map => Schema::map(
            Schema::string().build(),
            Schema::string().optional().build(),
        ),
    }
}

fn enum_schema(labels: &[String]) -> SchemaBuilder {
    semantic(Schema::string(), "Enum").parameter("allowed", labels.join(","))
}

/// Digits of the second that a temporal type declares.
fn precision(modifier: i32) -> i32 {
    if modifier < 0 {
        DEFAULT_PRECISION
    } else {
        modifier
    }
}

/// An interval's modifier has the fields in its upper half.
fn interval_precision(modifier: i32) -> i32 {
    if modifier < 0 || modifier & 0xffff == 0xffff && modifier >> 16 == 0x7fff {
        return DEFAULT_PRECISION;
    }
    modifier & 0xffff
}

/// The one table: type to schema and decoder. None for a type that is left out.
fn type_plan(resolved: Resolved<'_>, modes: &Modes) -> Option<(SchemaBuilder, Decoder)> {
    let Resolved { info, modifier } = resolved;
    match &info.kind {
        TypeKind::Enum(labels) => return Some((enum_schema(labels), Decoder::Text)),
        TypeKind::Array(element) => return array_plan(info, element, modifier, modes),
        TypeKind::Base | TypeKind::Range => {}
        TypeKind::Composite | TypeKind::Multirange | TypeKind::Pseudo | TypeKind::Domain(..) => {
            return unknown(modes);
        }
    }
    if modes.compat == CompatVersion::V24 && SINCE_24.contains(&info.name.as_str()) {
        return unknown(modes);
    }
    let temporal = |(builder, form)| (builder, Decoder::Temporal(form));
    let numeric = |(builder, form)| (builder, Decoder::Numeric(form));
    let plain = |builder, decoder| Some((builder, decoder));
    match info.name.as_str() {
        "bool" => plain(Schema::boolean(), Decoder::Boolean),
        "int2" => plain(Schema::int16(), Decoder::Int16),
        "int4" => plain(Schema::int32(), Decoder::Int32),
        "int8" | "oid" => plain(Schema::int64(), Decoder::Int64),
        "float4" => plain(Schema::float32(), Decoder::Float32),
        "float8" => plain(Schema::float64(), Decoder::Float64),
        "numeric" => Some(numeric(numeric::numeric(modes, modifier))),
        "money" => Some(numeric(numeric::money(modes))),
        "text" | "varchar" | "bpchar" | "char" | "citext" | "inet" | "cidr" | "macaddr"
        | "macaddr8" | "int4range" | "int8range" | "numrange" | "tsrange" | "tstzrange"
        | "daterange" | "isbn" => plain(Schema::string(), Decoder::Text),
        "name" if modes.include_unknown => plain(Schema::string(), Decoder::Text),
        "name" => plain(Schema::string(), Decoder::Name),
        "uuid" => plain(semantic(Schema::string(), "Uuid"), Decoder::Text),
        "json" | "jsonb" => plain(semantic(Schema::string(), "Json"), Decoder::Text),
        "xml" => plain(semantic(Schema::string(), "Xml"), Decoder::Text),
        "ltree" => plain(semantic(Schema::string(), "Ltree"), Decoder::Text),
        "tsvector" => plain(semantic(Schema::string(), "Tsvector"), Decoder::Text),
        "bytea" => plain(binary_schema(modes.binary), Decoder::Binary(modes.binary)),
        "bit" | "varbit" => Some(bit_plan(&info.name, modifier)),
        "date" => Some(temporal(temporal::date(modes))),
        "time" => Some(temporal(temporal::time(modes, precision(modifier)))),
        "timetz" => Some(temporal(temporal::zoned_time(modes, precision(modifier)))),
        "timestamp" => Some(temporal(temporal::timestamp(modes, precision(modifier)))),
        "timestamptz" => Some(temporal(temporal::zoned_timestamp(
            modes,
            precision(modifier),
        ))),
        "interval" => Some(temporal(temporal::interval(
            modes,
            interval_precision(modifier),
        ))),
        "hstore" => plain(
            hstore_schema(modes.hstore),
            match modes.hstore {
                HstoreMode::Json => Decoder::HstoreJson,
                HstoreMode::Map => Decoder::HstoreMap,
            },
        ),
        name => geometry::geometry(name)
            .map(|(builder, form)| (builder, Decoder::Geometry(form)))
            .or_else(|| {
                geometry::vector(name).map(|(builder, form)| (builder, Decoder::Vector(form)))
            })
            .or_else(|| unknown(modes)),
    }
}

fn bit_plan(name: &str, modifier: i32) -> (SchemaBuilder, Decoder) {
    let length = match (name, modifier) {
        ("bit", i32::MIN..0) => 1,
        (_, i32::MIN..0) => NO_LENGTH,
        (_, length) => length,
    };
    if length > 1 {
        let builder = semantic(Schema::bytes(), "Bits").parameter("length", length.to_string());
        (builder, Decoder::Bits)
    } else {
        (Schema::boolean(), Decoder::Bit)
    }
}

/// A type that nobody knows: its text as bytes, or nothing.
fn unknown(modes: &Modes) -> Option<(SchemaBuilder, Decoder)> {
    modes
        .include_unknown
        .then(|| (binary_schema(modes.binary), Decoder::Opaque(modes.binary)))
}

fn array_plan(
    array: &TypeInfo,
    element: &TypeInfo,
    modifier: i32,
    modes: &Modes,
) -> Option<(SchemaBuilder, Decoder)> {
    if let Some(vector) = vector_plan(&array.name) {
        return Some(vector);
    }
    if let Some((vector, decoder)) = vector_plan(&element.name) {
        return Some(array_of(vector, decoder, b',', true));
    }
    let opaque = || {
        modes.include_unknown.then(|| {
            let element = Decoder::Opaque(modes.binary);
            array_of(binary_schema(modes.binary), element, b',', true)
        })
    };
    // A domain over an enumeration: its labels are not looked up there.
    let root = resolve(element, modifier).info;
    if matches!(element.kind, TypeKind::Domain(..)) && matches!(root.kind, TypeKind::Enum(_)) {
        return Some(array_of(enum_schema(&[]), Decoder::Text, b',', true));
    }
    if !matches!(
        element.kind,
        TypeKind::Base | TypeKind::Enum(_) | TypeKind::Range
    ) {
        return opaque();
    }
    // Never implemented there; left out even with `include.unknown.datatypes`.
    let name = element.name.as_str();
    if matches!(
        name,
        "name" | "money" | "interval" | "varbit" | "xml" | "point" | "refcursor"
    ) {
        return None;
    }
    // Its arrays had one unit.
    let modifier = match modes.compat {
        CompatVersion::V24 if name == "time" => -1,
        _ => modifier,
    };
    let known = Modes {
        include_unknown: false,
        ..modes.clone()
    };
    let Some((builder, decoder)) = type_plan(
        Resolved {
            info: element,
            modifier,
        },
        &known,
    ) else {
        return opaque();
    };
    if name == "bit" {
        // The schema is the element's own.
        return Some((builder, Decoder::Null));
    }
    let delimiter = match decoder {
        Decoder::Geometry(Geometry::Postgis(_)) => b':',
        Decoder::Geometry(Geometry::Box(_)) => b';',
        _ => b',',
    };
    let required = matches!(element.kind, TypeKind::Enum(_))
        || matches!(
            name,
            "tsvector" | "isbn" | "vector" | "halfvec" | "sparsevec"
        );
    Some(array_of(builder, decoder, delimiter, required))
}

/// The system's arrays of their own form, numbers apart by blanks.
fn vector_plan(name: &str) -> Option<(SchemaBuilder, Decoder)> {
    let (number, decoder) = match name {
        "int2vector" => (Schema::int16(), Decoder::Int16),
        "oidvector" => (Schema::int64(), Decoder::Int64),
        _ => return None,
    };
    let decoder = Decoder::Spaced(Box::new(decoder));
    Some((Schema::array(number.build()), decoder))
}

fn array_of(
    element_schema: SchemaBuilder,
    element: Decoder,
    delimiter: u8,
    required: bool,
) -> (SchemaBuilder, Decoder) {
    let decoder = ArrayDecoder {
        element,
        delimiter,
        required,
    };
    let element = element_schema.optional_if(!required).build();
    (Schema::array(element), Decoder::Array(Box::new(decoder)))
}

/// Whether the driver reports a character type: masks apply only to those.
fn is_character(info: &TypeInfo) -> bool {
    matches!(info.kind, TypeKind::Enum(_))
        || matches!(
            info.name.as_str(),
            "text" | "varchar" | "bpchar" | "char" | "name"
        )
}

/// Length and scale as the driver reports them.
fn length_and_scale(resolved: Resolved<'_>) -> (i32, i32) {
    let Resolved { info, modifier } = resolved;
    let info = match &info.kind {
        TypeKind::Array(element) if !matches!(info.name.as_str(), "int2vector" | "oidvector") => {
            element
        }
        _ => info,
    };
    let digits = precision(modifier);
    // `.` and the digits; one digit is reported as two.
    let fraction = match digits {
        0 => 0,
        1 => 3,
        _ => digits + 1,
    };
    match info.name.as_str() {
        "int2" => (5, 0),
        "int4" | "oid" => (10, 0),
        "int8" => (19, 0),
        "float4" => (8, 8),
        "float8" => (17, 17),
        "bool" | "char" => (1, 0),
        "numeric" => numeric::precision_and_scale(modifier).unwrap_or((131_089, 0)),
        "bpchar" | "varchar" if modifier >= 4 => (modifier - 4, 0),
        "bit" => (if modifier < 0 { 1 } else { modifier }, 0),
        "varbit" => (if modifier < 0 { NO_LENGTH } else { modifier }, 0),
        "date" => (13, 0),
        "time" => (8 + fraction, digits),
        "timetz" => (14 + fraction, digits),
        "timestamp" => (22 + fraction, digits),
        "timestamptz" => (28 + fraction, digits),
        "interval" => (49, interval_precision(modifier)),
        _ => (NO_LENGTH, 0),
    }
}

/// `column.propagate.source.type`: the column's own type as schema parameters.
fn propagated(
    column: &ColumnInfo,
    (length, scale): (i32, Option<i32>),
    comment: Option<&str>,
    builder: SchemaBuilder,
) -> SchemaBuilder {
    let mut builder = builder.parameter(
        "__debezium.source.column.type",
        type_name(column).to_uppercase(),
    );
    if length >= 0 {
        builder = builder.parameter("__debezium.source.column.length", length.to_string());
    }
    let builder = match scale {
        Some(scale) => builder.parameter("__debezium.source.column.scale", scale.to_string()),
        None => builder,
    };
    let builder = match comment {
        Some(comment) if !comment.is_empty() => {
            builder.parameter("__debezium.source.column.comment", comment)
        }
        _ => builder,
    };
    builder.parameter("__debezium.source.column.name", column.name.as_str())
}

/// The name of a column's type, as the driver tells it: an integer that counts up by itself goes by
/// the name that it was probably declared by.
pub(crate) fn type_name(column: &ColumnInfo) -> &str {
    let name = column.data_type.name.as_str();
    let counts = column.default_expression.as_deref();
    if !counts.is_some_and(|expression| expression.starts_with("nextval(")) {
        return name;
    }
    match name {
        "int2" => "smallserial",
        "int4" => "serial",
        "int8" => "bigserial",
        _ => name,
    }
}

#[cfg(test)]
mod tests;
