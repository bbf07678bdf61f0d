//! Postgres' geometric types, and PostGIS', as structs with well-known binary.
//!
//! Answers for `io.debezium.data.geometry`, `WkbWriter` and `PostgisGeometry`.

use std::str::FromStr;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use connect_api::ByteString;
use connect_api::data::{ConnectMap, Schema, SchemaBuilder, SchemaRef, Struct, Value};

/// How a geometric value becomes a struct.
#[derive(Clone, Debug)]
pub(super) enum Geometry {
    Point(SchemaRef),
    Line(SchemaRef),
    /// Circle, and the point in it.
    Circle(SchemaRef, SchemaRef),
    Segment(SchemaRef),
    Box(SchemaRef),
    Path(SchemaRef),
    Polygon(SchemaRef),
    Postgis(SchemaRef),
}

fn named(name: &str, version: i32, doc: &'static str) -> SchemaBuilder {
    Schema::structure()
        .name(format!("io.debezium.data.geometry.{name}"))
        .version(version)
        .doc(doc)
}

fn point_schema() -> SchemaBuilder {
    named("Point", 1, "Geometry (POINT)")
        .field("x", Schema::float64().build())
        .field("y", Schema::float64().build())
        .field("wkb", Schema::bytes().optional().build())
        .field("srid", Schema::int32().optional().build())
}

/// PostGIS' geography: an earlier form of the geometry, as optional as its column.
fn geography_schema() -> SchemaBuilder {
    named("Geography", 1, "Geography")
        .field("wkb", Schema::bytes().build())
        .field("srid", Schema::int32().optional().build())
}

fn shape_schema() -> SchemaBuilder {
    let text = Schema::string().build();
    // Optional whatever the column is, here and in the two below.
    named("Geometry", 2, "Geometry")
        .optional()
        .field("wkb", Schema::bytes().build())
        .field("srid", Schema::int32().optional().build())
        .field(
            "extensions",
            Schema::map(Arc::clone(&text), text).optional().build(),
        )
}

/// The plan of a geometric type by its name.
pub(super) fn geometry(type_name: &str) -> Option<(SchemaBuilder, Geometry)> {
    let shape = |builder: SchemaBuilder, make: fn(SchemaRef) -> Geometry| {
        let schema = builder.clone().optional().build();
        Some((builder, make(schema)))
    };
    match type_name {
        "point" => shape(point_schema(), Geometry::Point),
        "line" => {
            let number = Schema::float64().build();
            let builder = ["a", "b", "c"].iter().fold(
                named("Line", 1, "Geometry (LINE)").optional(),
                |builder, name| builder.field(*name, Arc::clone(&number)),
            );
            shape(builder, Geometry::Line)
        }
        "circle" => {
            let center = point_schema().build();
            let builder = named("Circle", 1, "Geometry (CIRCLE)")
                .optional()
                .field("center", Arc::clone(&center))
                .field("radius", Schema::float64().build());
            let schema = builder.clone().optional().build();
            Some((builder, Geometry::Circle(schema, center)))
        }
        "lseg" => shape(shape_schema(), Geometry::Segment),
        "box" => shape(shape_schema(), Geometry::Box),
        "path" => shape(shape_schema(), Geometry::Path),
        "polygon" => shape(shape_schema(), Geometry::Polygon),
        "geometry" => shape(shape_schema(), Geometry::Postgis),
        "geography" => shape(geography_schema(), Geometry::Postgis),
        _ => None,
    }
}

type Pair = (f64, f64);

impl Geometry {
    /// Takes the column's finished schema.
    pub(super) fn adopt(&mut self, schema: &SchemaRef) {
        match self {
            Self::Point(own)
            | Self::Line(own)
            | Self::Circle(own, _)
            | Self::Segment(own)
            | Self::Box(own)
            | Self::Path(own)
            | Self::Polygon(own)
            | Self::Postgis(own) => *own = Arc::clone(schema),
        }
    }

    /// The value of a text; none where it is not of this shape.
    pub(super) fn decode(&self, text: &[u8]) -> Option<Value> {
        if let Self::Postgis(schema) = self {
            return postgis(schema, text);
        }
        let numbers = numbers(text)?;
        let pairs: Vec<Pair> = numbers
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect();
        match self {
            Self::Point(schema) => Some(point(schema, *pairs.first()?)),
            Self::Line(schema) => {
                let [a, b, c] = numbers.get(..3)?.try_into().ok()?;
                Some(triple(schema, [a, b, c]))
            }
            Self::Circle(schema, center) => {
                let radius = *numbers.get(2)?;
                let values = vec![point(center, *pairs.first()?), Value::Float64(radius)];
                Some(Struct::new(Arc::clone(schema), values).into())
            }
            Self::Segment(schema) => {
                let pairs = pairs.get(..2)?;
                Some(shape(schema, line_string(pairs), &[("type", "lseg")]))
            }
            Self::Box(schema) => {
                let (&(x1, y1), &(x2, y2)) = (pairs.first()?, pairs.get(1)?);
                let ring = [(x1, y1), (x1, y2), (x2, y2), (x2, y1), (x1, y1)];
                Some(shape(schema, polygon(&ring), &[("type", "box")]))
            }
            Self::Path(schema) => {
                let closed = if text.first() == Some(&b'[') {
                    "false"
                } else {
                    "true"
                };
                let extensions = [("type", "path"), ("closed", closed)];
                Some(shape(schema, line_string(&pairs), &extensions))
            }
            Self::Polygon(schema) => {
                let mut ring = pairs;
                if ring.len() >= 2 && ring.first() != ring.last() {
                    ring.extend(ring.first().copied());
                }
                Some(shape(schema, polygon(&ring), &[("type", "polygon")]))
            }
            Self::Postgis(_) => None,
        }
    }

    /// What stands for a null that may not be: the smallest shape that is one.
    pub(super) fn fallback(&self) -> Option<Value> {
        const SEGMENT: [Pair; 2] = [(0.0, 0.0), (1.0, 0.0)];
        Some(match self {
            Self::Point(schema) => point(schema, (0.0, 0.0)),
            Self::Line(schema) => triple(schema, [0.0, 1.0, 0.0]),
            Self::Circle(schema, center) => {
                let values = vec![point(center, (0.0, 0.0)), Value::Float64(0.0)];
                Struct::new(Arc::clone(schema), values).into()
            }
            Self::Segment(schema) => shape(schema, line_string(&SEGMENT), &[("type", "lseg")]),
            Self::Path(schema) => shape(schema, line_string(&SEGMENT), &[("type", "path")]),
            Self::Box(schema) => {
                let ring = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)];
                shape(schema, polygon(&ring), &[("type", "box")])
            }
            Self::Polygon(schema) => {
                let ring = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)];
                shape(schema, polygon(&ring), &[("type", "polygon")])
            }
            // An empty collection.
            Self::Postgis(schema) => {
                let empty = Bytes::from_static(&[1, 7, 0, 0, 0, 0, 0, 0, 0]);
                spatial(schema, empty, Value::Null)
            }
        })
    }
}

/// All numbers in a text, whatever stands between them.
fn numbers(text: &[u8]) -> Option<Vec<f64>> {
    text.split(|byte| {
        matches!(
            byte,
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b','
        )
    })
    .filter(|word| !word.is_empty())
    .map(super::decoder::parse_float)
    .collect()
}

fn point(schema: &SchemaRef, (x, y): Pair) -> Value {
    let mut wkb = header(1, 21);
    wkb.put_f64_le(x);
    wkb.put_f64_le(y);
    let values = vec![
        Value::Float64(x),
        Value::Float64(y),
        Value::Bytes(Bytes::from(wkb)),
        Value::Null,
    ];
    Struct::new(Arc::clone(schema), values).into()
}

fn triple(schema: &SchemaRef, numbers: [f64; 3]) -> Value {
    let values = numbers.into_iter().map(Value::Float64).collect();
    Struct::new(Arc::clone(schema), values).into()
}

fn shape(schema: &SchemaRef, wkb: Vec<u8>, extensions: &[(&'static str, &'static str)]) -> Value {
    // Java's map keeps the order of insertion here; a table of this size happens to give the same.
    let mut map = ConnectMap::sized_for(2);
    for (key, value) in extensions {
        map.insert(Value::text(key), Value::text(value));
    }
    let values = vec![
        Value::Bytes(Bytes::from(wkb)),
        Value::Null,
        Value::Map(Box::new(map)),
    ];
    Struct::new(Arc::clone(schema), values).into()
}

/// Byte order (little endian) and the kind of shape.
fn header(kind: u32, size: usize) -> Vec<u8> {
    let mut wkb = Vec::with_capacity(size);
    wkb.put_u8(1);
    wkb.put_u32_le(kind);
    wkb
}

fn put_pairs(wkb: &mut Vec<u8>, pairs: &[Pair]) {
    wkb.put_u32_le(u32::try_from(pairs.len()).unwrap_or(u32::MAX));
    for (x, y) in pairs {
        wkb.put_f64_le(*x);
        wkb.put_f64_le(*y);
    }
}

fn line_string(pairs: &[Pair]) -> Vec<u8> {
    let mut wkb = header(2, 9 + 16 * pairs.len());
    put_pairs(&mut wkb, pairs);
    wkb
}

fn polygon(ring: &[Pair]) -> Vec<u8> {
    let mut wkb = header(3, 13 + 16 * ring.len());
    wkb.put_u32_le(1);
    put_pairs(&mut wkb, ring);
    wkb
}

/// Hexadecimal EWKB: the octets stay as they are, the reference system is read out of them.
fn postgis(schema: &SchemaRef, text: &[u8]) -> Option<Value> {
    const HAS_SRID: u32 = 0x2000_0000;
    let octets = super::text::parse_hex(text)?;
    let little = *octets.first()? == 1;
    let word = |at: usize| -> Option<u32> {
        let word: [u8; 4] = octets.get(at..at + 4)?.try_into().ok()?;
        Some(if little {
            u32::from_le_bytes(word)
        } else {
            u32::from_be_bytes(word)
        })
    };
    let srid = match word(1)? & HAS_SRID {
        0 => Value::Null,
        _ => Value::Int32(i32::from_ne_bytes(word(5)?.to_ne_bytes())),
    };
    Some(spatial(schema, Bytes::from(octets), srid))
}

/// A PostGIS value; a geography has no extensions.
fn spatial(schema: &SchemaRef, wkb: Bytes, srid: Value) -> Value {
    let mut values = vec![Value::Bytes(wkb), srid];
    values.resize(schema.fields().len(), Value::Null);
    Struct::new(Arc::clone(schema), values).into()
}

/// How a pgvector value becomes a value.
#[derive(Clone, Debug)]
pub(super) enum Vector {
    Doubles,
    Floats,
    Sparse(SchemaRef),
}

/// The plan of a pgvector type by its name.
pub(super) fn vector(type_name: &str) -> Option<(SchemaBuilder, Vector)> {
    let named =
        |builder: SchemaBuilder, name| builder.name(format!("io.debezium.data.{name}")).version(1);
    match type_name {
        "vector" => {
            let builder = Schema::array(Schema::float64().build());
            Some((named(builder, "DoubleVector"), Vector::Doubles))
        }
        "halfvec" => {
            let builder = Schema::array(Schema::float32().build());
            Some((named(builder, "FloatVector"), Vector::Floats))
        }
        "sparsevec" => {
            let map = Schema::map(Schema::int16().build(), Schema::float64().build()).build();
            let builder = named(Schema::structure(), "SparseDoubleVector")
                .doc("Sparse double vector")
                .field("dimensions", Schema::int16().build())
                .field("vector", map);
            let schema = builder.clone().optional().build();
            Some((builder, Vector::Sparse(schema)))
        }
        _ => None,
    }
}

impl Vector {
    /// The value of `[1,2]` or `{1:0.1,3:0.2}/5`.
    pub(super) fn decode(&self, text: &[u8]) -> Option<Value> {
        match self {
            Self::Doubles => elements(text, Value::Float64),
            Self::Floats => elements(text, Value::Float32),
            Self::Sparse(schema) => {
                let text = std::str::from_utf8(text).ok()?;
                let (entries, dimensions) = text.rsplit_once('/')?;
                let entries = entries.trim().strip_prefix('{')?.strip_suffix('}')?;
                let entries = entries.split(',').filter(|entry| !entry.trim().is_empty());
                // The table's length decides on the order, and the JVM gives it one.
                let mut map = ConnectMap::with_capacity(entries.clone().count());
                for entry in entries {
                    let (index, number) = entry.split_once(':')?;
                    let index = Value::Int16(index.trim().parse().ok()?);
                    map.insert(index, Value::Float64(number.trim().parse().ok()?));
                }
                let dimensions = dimensions.trim().parse().ok()?;
                Some(sparse(schema, dimensions, map))
            }
        }
    }

    /// What stands for a null that may not be: a vector without dimensions, which there is none of.
    pub(super) fn fallback(&self) -> Option<Value> {
        Some(match self {
            Self::Doubles | Self::Floats => Value::Array(Vec::new()),
            // Debezium has a list here too, which is no struct, and stops.
            Self::Sparse(schema) => sparse(schema, 0, ConnectMap::new()),
        })
    }
}

/// The numbers of `[1,2]`.
fn elements<N: FromStr>(text: &[u8], value: fn(N) -> Value) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let numbers = text.strip_prefix('[')?.strip_suffix(']')?.split(',');
    let values: Option<Vec<Value>> = numbers
        .map(|number| number.trim().parse().ok().map(value))
        .collect();
    values.map(Value::Array)
}

fn sparse(schema: &SchemaRef, dimensions: i16, entries: ConnectMap) -> Value {
    let values = vec![Value::Int16(dimensions), Value::Map(Box::new(entries))];
    Struct::new(Arc::clone(schema), values).into()
}

/// A text as a map's key.
pub(super) fn map_key(text: ByteString) -> Value {
    Value::String(text)
}
