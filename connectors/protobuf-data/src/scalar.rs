//! The scalar types of Protobuf, and what they are in Connect.

use connect_api::data::SchemaType;

/// A scalar type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Float,
    Double,
    Bool,
    String,
    Bytes,
}

const ALL: [(Scalar, &str, SchemaType); 15] = [
    (Scalar::Int32, "int32", SchemaType::Int32),
    (Scalar::Int64, "int64", SchemaType::Int64),
    (Scalar::Uint32, "uint32", SchemaType::Int64),
    (Scalar::Uint64, "uint64", SchemaType::Int64),
    (Scalar::Sint32, "sint32", SchemaType::Int32),
    (Scalar::Sint64, "sint64", SchemaType::Int64),
    (Scalar::Fixed32, "fixed32", SchemaType::Int64),
    (Scalar::Fixed64, "fixed64", SchemaType::Int64),
    (Scalar::Sfixed32, "sfixed32", SchemaType::Int32),
    (Scalar::Sfixed64, "sfixed64", SchemaType::Int64),
    (Scalar::Float, "float", SchemaType::Float32),
    (Scalar::Double, "double", SchemaType::Float64),
    (Scalar::Bool, "bool", SchemaType::Boolean),
    (Scalar::String, "string", SchemaType::String),
    (Scalar::Bytes, "bytes", SchemaType::Bytes),
];

/// The wrapper messages, in the order of their file.
pub(crate) const WRAPPERS: [(&str, Scalar); 9] = [
    ("DoubleValue", Scalar::Double),
    ("FloatValue", Scalar::Float),
    ("Int64Value", Scalar::Int64),
    ("UInt64Value", Scalar::Uint64),
    ("Int32Value", Scalar::Int32),
    ("UInt32Value", Scalar::Uint32),
    ("BoolValue", Scalar::Bool),
    ("StringValue", Scalar::String),
    ("BytesValue", Scalar::Bytes),
];

impl Scalar {
    /// The type of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        ALL.iter()
            .find(|(_, known, _)| *known == name)
            .map(|(scalar, ..)| *scalar)
    }
    fn row(self) -> (Self, &'static str, SchemaType) {
        // The table names every type.
        ALL.into_iter()
            .find(|(scalar, ..)| *scalar == self)
            .unwrap_or(ALL[0])
    }
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.row().1
    }
    /// What its values are in Connect.
    pub(crate) fn connect(self) -> SchemaType {
        self.row().2
    }
    /// The usual type of Connect's.
    pub(crate) fn usual(kind: SchemaType) -> Option<Self> {
        Some(match kind {
            SchemaType::Int8 | SchemaType::Int16 | SchemaType::Int32 => Self::Int32,
            SchemaType::Int64 => Self::Int64,
            SchemaType::Float32 => Self::Float,
            SchemaType::Float64 => Self::Double,
            SchemaType::Boolean => Self::Bool,
            SchemaType::String => Self::String,
            SchemaType::Bytes => Self::Bytes,
            SchemaType::Array | SchemaType::Map | SchemaType::Struct => return None,
        })
    }
    /// Whether it is the one that Connect's type gives without being told.
    pub(crate) fn is_usual(self) -> bool {
        Self::usual(self.connect()) == Some(self)
    }
    /// The name of its wrapper message and its place in the file.
    pub(crate) fn wrapper(self) -> Option<(usize, &'static str)> {
        WRAPPERS
            .iter()
            .enumerate()
            .find(|(_, (_, scalar))| *scalar == self)
            .map(|(place, (name, _))| (place, *name))
    }
    /// Whether many of them stand in one part.
    pub(crate) fn packs(self) -> bool {
        !matches!(self, Self::String | Self::Bytes)
    }
    /// Its wire type.
    pub(crate) fn wire(self) -> u32 {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => crate::wire::FIXED64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => crate::wire::FIXED32,
            Self::String | Self::Bytes => crate::wire::DELIMITED,
            _ => crate::wire::VARINT,
        }
    }
}
