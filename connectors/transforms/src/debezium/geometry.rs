//! Rewrites the geometries of a row: the order of their coordinates, or whether they name their
//! system of coordinates themselves.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.SwapGeometryCoordinates", "srids": "4326"}
//! config   {"type": "io.debezium.transforms.GeometryFormatTransformer", "format": "wkb"}
//! ```
//!
//! Structs named `io.debezium.data.geometry.Geometry` are rewritten wherever they stand in a value;
//! schemas stay. As in Debezium, whose setters do it in passing, a null on the way becomes its
//! field's default.
//!
//! Answers for `io.debezium.transforms.{SwapGeometryCoordinates, GeometryFormatTransformer}`.

use connect_api::config::{ConfigDef, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::data::{Bytes, Struct, Value};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use super::{DEBEZIUM, choice, list, option, text};

const GEOMETRY: &str = "io.debezium.data.geometry.Geometry";
const SRIDS: &str = "srids";
const FORMAT: &str = "format";

/// The flags of the type of an extended geometry: it has a third ordinate, a fourth, an SRID.
const HAS_Z: u32 = 0x8000_0000;
const HAS_M: u32 = 0x4000_0000;
const HAS_SRID: u32 = 0x2000_0000;
/// What is left of the type without flags.
const TYPE_MASK: u32 = 0xff;

macro_rules! plugin {
    ($name:ident, $class:literal, $definition:expr, $make:ty) => {
        pub(crate) const $name: connect_api::plugin::Plugin = connect_api::plugin::Plugin {
            class: concat!("io.debezium.transforms.", $class),
            version: DEBEZIUM,
            config: $definition,
            make: connect_api::plugin::Make::Transformation(|| Box::new(<$make>::default())),
        };
    };
}
plugin!(SWAP, "SwapGeometryCoordinates", swap_definition, Swap);
plugin!(
    REFORMAT,
    "GeometryFormatTransformer",
    format_definition,
    Reformat
);

fn swap_definition() -> ConfigDef {
    ConfigDef::new().define(option(
        SRIDS,
        Type::String,
        Importance::Low,
        Width::Medium,
        "Geometry SRIDs that should be considered for coordinate swapping",
        "The SRIDs of the geometries whose coordinates are swapped; 4326, 3857 and 4269 without it.",
    ))
}

fn format_definition() -> ConfigDef {
    ConfigDef::new().define(
        option(
            FORMAT,
            Type::String,
            Importance::Low,
            Width::Medium,
            "Target Format",
            "The format of geometries: wkb or ewkb.",
        )
        .default("wkb"),
    )
}

#[derive(Debug)]
struct Swap {
    srids: Vec<i32>,
}

impl Default for Swap {
    fn default() -> Self {
        Self {
            srids: vec![4326, 3857, 4269],
        }
    }
}

impl Transformation for Swap {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        if text(props, SRIDS).is_some() {
            let number = |item: &String| {
                item.parse().map_err(|_| {
                    Error::config(format!("For input string: \"{item}\""))
                        .with_class("java.lang.NumberFormatException")
                })
            };
            self.srids = list(props, SRIDS)
                .iter()
                .map(number)
                .collect::<Result<_>>()?;
        }
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        if let Value::Struct(value) = &mut record.value.value {
            rewrite(value, true, &mut |wkb, srid| match srid {
                Some(srid) if self.srids.contains(&srid) => swap(wkb).map(Some),
                _ => Ok(None),
            })?;
        }
        Ok(Some(record))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Wkb,
    Ewkb,
}

/// The format is that of the geometries to *change*: plain ones are extended under `wkb`. From the
/// first extended one on they are made plain, as Debezium remembers it.
#[derive(Debug, Default)]
struct Reformat {
    format: Format,
}

impl Transformation for Reformat {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let formats = [("wkb", Format::Wkb), ("ewkb", Format::Ewkb)];
        self.format = choice(props, FORMAT, &formats, Format::Wkb)?;
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        if let Value::Struct(value) = &mut record.value.value {
            rewrite(value, false, &mut |wkb, srid| {
                let extended = kind(wkb).is_some_and(|kind| kind & HAS_SRID != 0);
                if extended {
                    self.format = Format::Ewkb;
                }
                match (self.format, srid) {
                    (Format::Wkb, Some(srid)) => Ok(with_srid(wkb, srid)),
                    (Format::Ewkb, _) if extended => Ok(without_srid(wkb)),
                    _ => Ok(None),
                }
            })?;
        }
        Ok(Some(record))
    }
}

/// Applies `change` (of WKB and SRID to new WKB, `None` to leave it) to every geometry of a struct;
/// to those in arrays and maps where `deep`.
fn rewrite(
    value: &mut Struct,
    deep: bool,
    change: &mut impl FnMut(&[u8], Option<i32>) -> Result<Option<Vec<u8>>>,
) -> Result<()> {
    for (slot, field) in value.values.iter_mut().zip(value.schema.fields()) {
        if slot.is_null()
            && let Some(default) = field.schema.default_value()
        {
            *slot = default.clone();
        }
        rewrite_value(slot, deep, change)?;
    }
    Ok(())
}

fn rewrite_value(
    value: &mut Value,
    deep: bool,
    change: &mut impl FnMut(&[u8], Option<i32>) -> Result<Option<Vec<u8>>>,
) -> Result<()> {
    match value {
        Value::Struct(geometry) if geometry.schema.name() == Some(GEOMETRY) => {
            let srid = match geometry.get("srid") {
                Some(Value::Int32(srid)) => Some(*srid),
                _ => None,
            };
            let Some(wkb) = geometry.schema.field("wkb").map(|field| field.index) else {
                return Ok(());
            };
            if let Value::Bytes(bytes) = &geometry.values[wkb]
                && let Some(new) = change(bytes, srid)?
            {
                geometry.values[wkb] = Value::Bytes(Bytes::from(new));
            }
            Ok(())
        }
        Value::Struct(value) => rewrite(value, deep, change),
        Value::Array(items) if deep => items
            .iter_mut()
            .try_for_each(|item| rewrite_value(item, deep, change)),
        Value::Map(map) if deep => {
            let entries = std::mem::take(&mut **map);
            for (key, value) in entries.iter() {
                let mut value = value.clone();
                rewrite_value(&mut value, deep, change)?;
                map.insert(key.clone(), value);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The type of a geometry with its flags; `None` where the bytes are too few.
fn kind(wkb: &[u8]) -> Option<u32> {
    Reader::new(wkb)?.number()
}

fn with_srid(wkb: &[u8], srid: i32) -> Option<Vec<u8>> {
    let mut reader = Reader::new(wkb)?;
    let kind = reader.number()?;
    let mut out = Writer::of(&reader, wkb.len() + 4);
    out.byte(wkb[0]);
    out.number(kind | HAS_SRID);
    out.number(srid.cast_unsigned());
    out.bytes.extend_from_slice(reader.rest);
    Some(out.bytes)
}

fn without_srid(wkb: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(wkb)?;
    let kind = reader.number()?;
    reader.number()?;
    let mut out = Writer::of(&reader, wkb.len());
    out.byte(wkb[0]);
    out.number(kind & !HAS_SRID);
    out.bytes.extend_from_slice(reader.rest);
    Some(out.bytes)
}

/// The geometry with the first two ordinates of every point exchanged.
fn swap(wkb: &[u8]) -> Result<Vec<u8>> {
    let swapped = || {
        let mut reader = Reader::new(wkb)?;
        let mut out = Writer::of(&reader, wkb.len());
        out.byte(wkb[0]);
        geometry(&mut reader, &mut out, DEPTH)?;
        Some(out.bytes)
    };
    swapped().ok_or_else(|| Error::data("Failed to swap EWKB/WKB coordinates"))
}

/// How deep collections may lie in collections; what lies deeper is refused. A server's own limit
/// is its stack's.
const DEPTH: usize = 128;

fn geometry(reader: &mut Reader<'_>, out: &mut Writer, depth: usize) -> Option<()> {
    let kind = reader.number()?;
    let ordinates = 2 + usize::from(kind & HAS_Z != 0) + usize::from(kind & HAS_M != 0);
    out.number(kind);
    if kind & HAS_SRID != 0 {
        out.number(reader.number()?);
    }
    match kind & TYPE_MASK {
        1 => point(reader, out, ordinates),
        2 => points(reader, out, ordinates),
        3 => rings(reader, out, ordinates),
        4..=6 => {
            let part = match kind & TYPE_MASK {
                4 => point,
                5 => points,
                _ => rings,
            };
            counted(reader, out, |reader, out| {
                reader.enter(out)?;
                out.number(reader.number()?);
                part(reader, out, ordinates)
            })
        }
        7 if depth > 0 => counted(reader, out, |reader, out| {
            reader.enter(out)?;
            geometry(reader, out, depth - 1)
        }),
        _ => None,
    }
}

fn point(reader: &mut Reader<'_>, out: &mut Writer, ordinates: usize) -> Option<()> {
    let mut read = [0; 4];
    for ordinate in &mut read[..ordinates] {
        *ordinate = reader.ordinate()?;
    }
    read.swap(0, 1);
    read[..ordinates]
        .iter()
        .for_each(|ordinate| out.ordinate(*ordinate));
    Some(())
}

fn points(reader: &mut Reader<'_>, out: &mut Writer, ordinates: usize) -> Option<()> {
    counted(reader, out, |reader, out| point(reader, out, ordinates))
}

fn rings(reader: &mut Reader<'_>, out: &mut Writer, ordinates: usize) -> Option<()> {
    counted(reader, out, |reader, out| points(reader, out, ordinates))
}

/// A number of parts and the parts. Those of other byte orders are read in theirs.
fn counted<'a>(
    reader: &mut Reader<'a>,
    out: &mut Writer,
    mut part: impl FnMut(&mut Reader<'a>, &mut Writer) -> Option<()>,
) -> Option<()> {
    let count = reader.number()?;
    out.number(count);
    let little = reader.little;
    for _ in 0..count {
        part(reader, out)?;
        reader.little = little;
    }
    Some(())
}

/// Well-known binary, read from the front.
struct Reader<'a> {
    rest: &'a [u8],
    little: bool,
}

impl<'a> Reader<'a> {
    fn new(wkb: &'a [u8]) -> Option<Self> {
        let (order, rest) = wkb.split_first()?;
        let little = *order == 1;
        Some(Self { rest, little })
    }
    /// The byte order of a part, copied.
    fn enter(&mut self, out: &mut Writer) -> Option<()> {
        let (order, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.little = *order == 1;
        out.byte(*order);
        Some(())
    }
    fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(match self.little {
            true => u32::from_le_bytes(*bytes),
            false => u32::from_be_bytes(*bytes),
        })
    }
    /// The bits of an ordinate.
    fn ordinate(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(match self.little {
            true => u64::from_le_bytes(*bytes),
            false => u64::from_be_bytes(*bytes),
        })
    }
}

/// Well-known binary, written in the byte order of the whole.
struct Writer {
    bytes: Vec<u8>,
    little: bool,
}

impl Writer {
    fn of(reader: &Reader<'_>, capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            little: reader.little,
        }
    }
    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }
    fn number(&mut self, number: u32) {
        self.bytes.extend_from_slice(&match self.little {
            true => number.to_le_bytes(),
            false => number.to_be_bytes(),
        });
    }
    fn ordinate(&mut self, ordinate: u64) {
        self.bytes.extend_from_slice(&match self.little {
            true => ordinate.to_le_bytes(),
            false => ordinate.to_be_bytes(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    // POINT(1 2) of SRID 4326 as PostGIS prints it.
    const EXTENDED: &str = "0101000020E6100000000000000000F03F0000000000000040";
    const PLAIN: &str = "0101000000000000000000F03F0000000000000040";

    #[test]
    fn ordinates_are_exchanged_in_every_part() {
        let swapped = bytes("0101000020E61000000000000000000040000000000000F03F");
        assert_eq!(swap(&bytes(EXTENDED)).unwrap(), swapped);
        // A collection of a line with two points of three ordinates.
        let collection = "0107000000010000000102000080020000000000000000000000000000000000F03F\
                          0000000000000840000000000000004000000000000010400000000000001440";
        let expected = "010700000001000000010200008002000000000000000000F03F0000000000000000\
                        0000000000000840000000000000104000000000000000400000000000001440";
        assert_eq!(swap(&bytes(collection)).unwrap(), bytes(expected));
        assert_eq!(
            swap(&swap(&bytes(collection)).unwrap()).unwrap(),
            bytes(collection)
        );
    }

    #[test]
    fn broken_geometries_are_refused() {
        for broken in ["", "01", "0101000000", "01010000000000", "0109000000"] {
            assert!(swap(&bytes(broken)).is_err(), "{broken}");
        }
        // A count beyond what follows.
        assert!(swap(&bytes("0102000000FFFFFFFF")).is_err());
        assert!(swap(&[&bytes("0107000000FFFFFFFF")[..]; 200].concat()).is_err());
    }

    #[test]
    fn an_srid_is_put_in_and_taken_out() {
        assert_eq!(with_srid(&bytes(PLAIN), 4326).unwrap(), bytes(EXTENDED));
        assert_eq!(without_srid(&bytes(EXTENDED)).unwrap(), bytes(PLAIN));
        assert_eq!(without_srid(&bytes("0101")), None);
    }
}
