//! What was written in one schema as what a reader of another expects: fields by their names, the
//! reader's defaults for those that were not written, wider numbers, aliases, branches of unions.
//!
//! Bytes in, bytes out, by steps that are worked out once for the two schemas; [`crate::Reader`]
//! reads the outcome. Answers for `org.apache.avro.Resolver` and `Schema.applyAliases`.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::{Bytes, Error, Result};
use serde_json::Value;

use crate::binary::{write_bytes, write_long};
use crate::compatible::{named, resolved, written_field};
use crate::defaults::{is_valid, latin};
use crate::read::{Input, no_branch};
use crate::schema::{Avro, AvroField, AvroRef, Name, Shape};

/// How messages of a writer's schema become those of a reader's.
#[derive(Debug)]
pub struct Resolution {
    root: Step,
    /// Records by number.
    records: Vec<RecordSteps>,
}

#[derive(Clone, Debug)]
enum Step {
    /// So many bytes.
    Fixed(usize),
    /// An int or a long.
    Number,
    /// A length and as many bytes.
    Delimited,
    /// The bytes alone: a root of type bytes has no length.
    Bare,
    LongToFloat,
    LongToDouble,
    FloatToDouble,
    /// By the writer's symbol, the reader's.
    Enum(Arc<[std::result::Result<i64, String>]>),
    Array(Box<Self>),
    Map(Box<Self>),
    /// The record of this number.
    Record(usize),
    /// By the writer's branch.
    Union(Vec<Self>),
    /// The reader's branch, and what is in it.
    Branch(i64, Box<Self>),
    /// The two do not fit; said only where such data is met.
    Mismatch(String),
}

#[derive(Clone, Debug, Default)]
struct RecordSteps {
    /// The writer's fields in their order, then the reader's that were not written.
    pieces: Vec<Piece>,
    /// The pieces in the reader's order, where it is another one.
    order: Option<Box<[usize]>>,
}

#[derive(Clone, Debug)]
enum Piece {
    Keep(Step),
    Drop(Step),
    /// A default, encoded.
    Default(Box<[u8]>),
}

impl Resolution {
    /// The steps from `writer` to `reader`; `None` where a message is read as it was written: both
    /// are one, or it is bytes without a length, which have no other form.
    ///
    /// # Errors
    /// Kind Data: a default is none of its field.
    pub fn new(writer: &AvroRef, reader: &AvroRef) -> Result<Option<Self>> {
        if writer == reader || writer.shape == Shape::Bytes {
            return Ok(None);
        }
        let mut steps = Steps {
            writers: named(writer),
            readers: named(reader),
            numbers: HashMap::new(),
            records: Vec::new(),
        };
        let root = match (steps.step(writer, reader)?, &reader.shape) {
            (Step::Delimited, Shape::Bytes) => Step::Bare,
            (step, _) => step,
        };
        Ok(Some(Self {
            root,
            records: steps.records,
        }))
    }

    /// A message in the reader's schema. What follows the data stays behind it.
    ///
    /// # Errors
    /// Kind Data: the bytes are none of the writer's schema, or have what the reader's cannot hold.
    pub fn apply(&self, message: &Bytes) -> Result<Bytes> {
        let mut input = Input::new(message, &[]);
        let mut out = Vec::with_capacity(message.len() + 16);
        self.run(&self.root, &mut input, &mut out)?;
        // Bytes without a length would take the rest as theirs.
        if !matches!(self.root, Step::Bare) {
            let rest = input.left();
            out.extend_from_slice(input.take(rest)?);
        }
        Ok(out.into())
    }

    fn run(&self, mut step: &Step, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<()> {
        loop {
            match step {
                Step::Union(branches) => {
                    let branch = input.branch()?;
                    let chosen = usize::try_from(branch).ok().and_then(|at| branches.get(at));
                    step = chosen.ok_or_else(|| no_branch(branch))?;
                }
                Step::Branch(branch, inner) => {
                    write_long(*branch, out);
                    step = inner;
                }
                Step::Record(number) => {
                    input.enter()?;
                    self.record(&self.records[*number], input, out)?;
                    input.leave();
                    return Ok(());
                }
                Step::Array(items) => {
                    return blocks(input, out, |input, out| self.run(items, input, out));
                }
                Step::Map(values) => {
                    return blocks(input, out, |input, out| {
                        scalar(&Step::Delimited, input, out)?;
                        self.run(values, input, out)
                    });
                }
                _ => return scalar(step, input, out),
            }
        }
    }

    fn record(&self, record: &RecordSteps, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let mut ends = Vec::new();
        for piece in &record.pieces {
            match piece {
                Piece::Keep(step) => self.run(step, input, out)?,
                Piece::Drop(step) => {
                    let length = out.len();
                    self.run(step, input, out)?;
                    out.truncate(length);
                }
                Piece::Default(bytes) => out.extend_from_slice(bytes),
            }
            if record.order.is_some() {
                ends.push(out.len() - start);
            }
        }
        if let Some(order) = &record.order {
            let pieces = out.split_off(start);
            for &at in order {
                let from = at.checked_sub(1).map_or(0, |before| ends[before]);
                out.extend_from_slice(&pieces[from..ends[at]]);
            }
        }
        Ok(())
    }
}

/// What holds nothing else.
fn scalar(step: &Step, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<()> {
    match step {
        Step::Fixed(length) => out.extend_from_slice(input.take(*length)?),
        Step::Number => write_long(input.long()?, out),
        Step::Delimited => {
            let length = input.length()?;
            write_bytes(input.take(length)?, out);
        }
        Step::Bare => {
            let length = input.length()?;
            out.extend_from_slice(input.take(length)?);
        }
        Step::LongToFloat => out.extend_from_slice(&(input.long()? as f32).to_le_bytes()),
        Step::LongToDouble => out.extend_from_slice(&(input.long()? as f64).to_le_bytes()),
        Step::FloatToDouble => {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(input.take(4)?);
            out.extend_from_slice(&f64::from(f32::from_le_bytes(bytes)).to_le_bytes());
        }
        Step::Enum(symbols) => {
            let symbol = input.branch()?;
            let known = usize::try_from(symbol).ok().and_then(|at| symbols.get(at));
            match known {
                Some(Ok(symbol)) => write_long(*symbol, out),
                Some(Err(why)) => return Err(mismatch(why.clone())),
                None => return Err(mismatch(format!("no enum symbol has the number {symbol}"))),
            }
        }
        Step::Mismatch(why) => return Err(mismatch(why.clone())),
        Step::Union(_) | Step::Branch(..) | Step::Record(_) | Step::Array(_) | Step::Map(_) => {}
    }
    Ok(())
}

/// Each item is a block of its own: how many follow is known only behind them.
fn blocks(
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut Input<'_>, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    input.enter()?;
    input.blocks(|input| {
        write_long(1, out);
        item(input, out)
    })?;
    input.leave();
    write_long(0, out);
    Ok(())
}

fn mismatch(why: String) -> Error {
    Error::data(why).with_class("org.apache.avro.AvroTypeException")
}

/// Works out the steps.
struct Steps {
    writers: HashMap<String, AvroRef>,
    readers: HashMap<String, AvroRef>,
    /// The numbers of pairs of records, by the writer's and the reader's name.
    numbers: HashMap<(String, String), usize>,
    records: Vec<RecordSteps>,
}

impl Steps {
    fn step(&mut self, writer: &AvroRef, reader: &AvroRef) -> Result<Step> {
        let writer = &resolved(writer, &self.writers);
        let reader = &resolved(reader, &self.readers);
        Ok(match (&writer.shape, &reader.shape) {
            (Shape::Union(branches), _) => {
                let steps = branches.iter().map(|branch| self.step(branch, reader));
                Step::Union(steps.collect::<Result<_>>()?)
            }
            (_, Shape::Union(branches)) => match self.branch(writer, branches)? {
                Some(at) => Step::Branch(at as i64, Box::new(self.step(writer, &branches[at])?)),
                None => not_expected(writer, reader),
            },
            (Shape::Null, Shape::Null) => Step::Fixed(0),
            (Shape::Boolean, Shape::Boolean) => Step::Fixed(1),
            (Shape::Int, Shape::Int | Shape::Long) | (Shape::Long, Shape::Long) => Step::Number,
            (Shape::Int | Shape::Long, Shape::Float) => Step::LongToFloat,
            (Shape::Int | Shape::Long, Shape::Double) => Step::LongToDouble,
            (Shape::Float, Shape::Float) => Step::Fixed(4),
            (Shape::Float, Shape::Double) => Step::FloatToDouble,
            (Shape::Double, Shape::Double) => Step::Fixed(8),
            (Shape::Bytes | Shape::String, Shape::Bytes | Shape::String) => Step::Delimited,
            (Shape::Fixed { size, .. }, Shape::Fixed { size: other, .. })
                if size == other && is_called(reader, writer) =>
            {
                Step::Fixed(*size)
            }
            (
                Shape::Enum { symbols, .. },
                Shape::Enum {
                    symbols: known,
                    default,
                    ..
                },
            ) if is_called(reader, writer) => {
                let place = |symbol: &String| known.iter().position(|other| other == symbol);
                let default = default.as_ref().and_then(place);
                let symbols = symbols.iter().map(|symbol| {
                    let at = place(symbol).or(default).map(|at| at as i64);
                    at.ok_or_else(|| format!("No match for {symbol}"))
                });
                Step::Enum(symbols.collect())
            }
            (Shape::Array(one), Shape::Array(other)) => {
                Step::Array(Box::new(self.step(one, other)?))
            }
            (Shape::Map(one), Shape::Map(other)) => Step::Map(Box::new(self.step(one, other)?)),
            (
                Shape::Record { name, fields, .. },
                Shape::Record {
                    name: other,
                    fields: wanted,
                    ..
                },
            ) => {
                // A field's old names are those of a record of the same name.
                let aliased = is_called(reader, writer);
                let places: Vec<Option<usize>> = wanted
                    .iter()
                    .map(|field| match aliased {
                        true => written_field(fields, field),
                        false => fields.iter().position(|other| other.name == field.name),
                    })
                    .collect();
                let mut pairs = wanted.iter().zip(&places);
                let missing =
                    pairs.find(|(field, place)| field.default.is_none() && place.is_none());
                if let Some((field, _)) = missing {
                    return Ok(Step::Mismatch(format!(
                        "Found {}, expecting {}, missing required field {}",
                        name.full(),
                        other.full(),
                        field.name
                    )));
                }
                self.record((name, fields), (other, wanted), &places)?
            }
            _ => not_expected(writer, reader),
        })
    }

    /// `found` are the places of the reader's fields among the writer's.
    fn record(
        &mut self,
        (name, fields): (&Name, &[AvroField]),
        (other, wanted): (&Name, &[AvroField]),
        found: &[Option<usize>],
    ) -> Result<Step> {
        let pair = (name.full(), other.full());
        if let Some(&number) = self.numbers.get(&pair) {
            return Ok(Step::Record(number));
        }
        let number = self.records.len();
        self.records.push(RecordSteps::default());
        self.numbers.insert(pair, number);
        let mut pieces = Vec::with_capacity(fields.len());
        // The reader's place of each piece that is kept, with the piece's own.
        let mut places = Vec::with_capacity(wanted.len());
        for (at, field) in fields.iter().enumerate() {
            let place = found.iter().position(|found| *found == Some(at));
            pieces.push(match place {
                Some(place) => {
                    places.push((place, at));
                    Piece::Keep(self.step(&field.schema, &wanted[place].schema)?)
                }
                None => Piece::Drop(self.same(&field.schema)?),
            });
        }
        for (place, field) in wanted.iter().enumerate() {
            if let Some(default) = &field.default
                && found[place].is_none()
            {
                let mut bytes = Vec::new();
                self.encode(&field.schema, default, &mut bytes)?;
                places.push((place, pieces.len()));
                pieces.push(Piece::Default(bytes.into()));
            }
        }
        let order = (!places.is_sorted()).then(|| {
            places.sort_unstable();
            places.iter().map(|&(_, piece)| piece).collect()
        });
        self.records[number] = RecordSteps { pieces, order };
        Ok(Step::Record(number))
    }

    /// A value of the writer's, as it is: what is passed over has to be gone through all the same.
    fn same(&mut self, writer: &AvroRef) -> Result<Step> {
        let mut alone = Steps {
            writers: self.writers.clone(),
            readers: self.writers.clone(),
            numbers: HashMap::new(),
            records: std::mem::take(&mut self.records),
        };
        let step = alone.step(writer, writer);
        self.records = alone.records;
        step
    }

    /// The reader's branch for a writer's type: the same type of the same name, a record of another
    /// name whose fields fit, or a wider type.
    fn branch(&mut self, writer: &AvroRef, branches: &[AvroRef]) -> Result<Option<usize>> {
        let branches: Vec<AvroRef> = branches
            .iter()
            .map(|branch| resolved(branch, &self.readers))
            .collect();
        let same = |branch: &AvroRef| match writer.name() {
            Some(_) => is_same_type(branch, writer) && is_called(branch, writer),
            None => is_same_type(branch, writer),
        };
        if let Some(at) = branches.iter().position(same) {
            return Ok(Some(at));
        }
        let short = writer.name().map(|name| &name.name);
        let mut alike = None;
        for (at, branch) in branches.iter().enumerate() {
            if self.fits(writer, branch)?
                && (alike.is_none() || branch.name().map(|name| &name.name) == short)
            {
                alike = Some(at);
            }
        }
        if alike.is_some() {
            return Ok(alike);
        }
        let wider = |branch: &AvroRef| {
            matches!(
                (&writer.shape, &branch.shape),
                (Shape::Int, Shape::Long | Shape::Float | Shape::Double)
                    | (Shape::Long, Shape::Float | Shape::Double)
                    | (Shape::Float, Shape::Double)
                    | (Shape::String, Shape::Bytes)
                    | (Shape::Bytes, Shape::String)
            )
        };
        Ok(branches.iter().position(wider))
    }

    /// Whether both are records and each field finds one that it can become.
    fn fits(&mut self, writer: &AvroRef, reader: &AvroRef) -> Result<bool> {
        let Shape::Record { .. } = writer.shape else {
            return Ok(false);
        };
        Ok(match self.step(writer, reader)? {
            Step::Record(number) => {
                let is_wrong = |piece: &Piece| matches!(piece, Piece::Keep(Step::Mismatch(_)));
                !self.records[number].pieces.iter().any(is_wrong)
            }
            _ => false,
        })
    }

    /// A default in its binary form. Of a union it is one of the first branch that holds it.
    fn encode(&self, schema: &AvroRef, json: &Value, out: &mut Vec<u8>) -> Result<()> {
        let schema = &resolved(schema, &self.readers);
        let wrong = || {
            mismatch(format!(
                "{json} is no default of type {}",
                schema.type_name()
            ))
        };
        match &schema.shape {
            Shape::Null => {}
            Shape::Boolean => out.push(u8::from(json.as_bool().ok_or_else(wrong)?)),
            Shape::Int | Shape::Long => write_long(json.as_i64().ok_or_else(wrong)?, out),
            Shape::Float => {
                let number = json.as_f64().ok_or_else(wrong)?;
                out.extend_from_slice(&(number as f32).to_le_bytes());
            }
            Shape::Double => {
                out.extend_from_slice(&json.as_f64().ok_or_else(wrong)?.to_le_bytes());
            }
            Shape::String => write_bytes(json.as_str().ok_or_else(wrong)?.as_bytes(), out),
            Shape::Bytes => write_bytes(&latin(json).ok_or_else(wrong)?, out),
            Shape::Fixed { size, .. } => {
                let bytes = latin(json).filter(|bytes| bytes.len() == *size);
                out.extend_from_slice(&bytes.ok_or_else(wrong)?);
            }
            Shape::Enum { symbols, .. } => {
                let symbol = json.as_str().ok_or_else(wrong)?;
                let at = symbols.iter().position(|known| known == symbol);
                write_long(at.ok_or_else(wrong)? as i64, out);
            }
            Shape::Array(items) => {
                for item in json.as_array().ok_or_else(wrong)? {
                    write_long(1, out);
                    self.encode(items, item, out)?;
                }
                write_long(0, out);
            }
            Shape::Map(values) => {
                for (key, value) in json.as_object().ok_or_else(wrong)? {
                    write_long(1, out);
                    write_bytes(key.as_bytes(), out);
                    self.encode(values, value, out)?;
                }
                write_long(0, out);
            }
            Shape::Record { fields, .. } => {
                let members = json.as_object().ok_or_else(wrong)?;
                for field in fields {
                    let member = members.get(&field.name).or(field.default.as_ref());
                    self.encode(&field.schema, member.ok_or_else(wrong)?, out)?;
                }
            }
            Shape::Union(branches) => {
                let holds = |branch: &AvroRef| is_valid(&resolved(branch, &self.readers), json);
                let at = branches.iter().position(holds).ok_or_else(wrong)?;
                write_long(at as i64, out);
                self.encode(&branches[at], json, out)?;
            }
            Shape::Reference(name) => return Err(mismatch(format!("{} is unknown", name.full()))),
        }
        Ok(())
    }
}

/// Whether the reader's type has the writer's full name, or had it before.
fn is_called(reader: &Avro, writer: &Avro) -> bool {
    reader.name() == writer.name()
        || writer
            .name()
            .is_some_and(|name| reader.aliases.contains(&name.full()))
}

fn is_same_type(one: &Avro, other: &Avro) -> bool {
    std::mem::discriminant(&one.shape) == std::mem::discriminant(&other.shape)
}

fn not_expected(writer: &Avro, reader: &Avro) -> Step {
    Step::Mismatch(format!(
        "Found {}, expecting {}",
        writer.type_name(),
        reader.type_name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::parse::Parser;
    use crate::read::Reader;
    use connect_api::data::json::{JsonOptions, JsonWriter};

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
    }

    fn parsed(text: &str) -> AvroRef {
        Parser::new().parse(text).expect("a schema")
    }

    fn payload(reader: &Reader, bytes: &Bytes) -> Result<Value> {
        let data = reader.read(bytes, true)?;
        let mut text = Vec::new();
        let options = JsonOptions {
            schemas_enable: false,
            replace_null_with_default: false,
            ..JsonOptions::default()
        };
        JsonWriter::new(options).write(&data, &mut text)?;
        Ok(serde_json::from_slice(&text).expect("JSON"))
    }

    /// What a reader of `reader` reads of bytes that were written in `writer`.
    fn resolved_value(writer: &str, reader: &str, bytes: &[u8]) -> Result<Value> {
        let (writer, reader) = (parsed(writer), parsed(reader));
        let resolution = Resolution::new(&writer, &reader)?.expect("two schemas");
        let bytes = resolution.apply(&Bytes::copy_from_slice(bytes))?;
        payload(&Reader::new(&reader, &Options::default(), None)?, &bytes)
    }

    #[test]
    fn fields_go_by_their_names_and_defaults_stand_in() {
        let writer = record(
            r#"{"name":"a","type":"int"},{"name":"gone","type":["null",{"type":"array","items":"string"}]},{"name":"b","type":"string"},{"name":"old","type":"long"}"#,
        );
        let reader = record(
            r#"{"name":"b","type":["null","string"]},{"name":"new","type":"double","aliases":["x","old"]},{"name":"l","type":{"type":"array","items":"int"},"default":[1,-2]},{"name":"m","type":{"type":"map","values":"bytes"},"default":{"k":"ÿ"}},{"name":"a","type":"long"},{"name":"n","type":["string","null"],"default":"d"},{"name":"i","type":{"type":"record","name":"I","fields":[{"name":"x","type":"int","default":7}]},"default":{}},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"B"}"#,
        );
        // 5, ["p", "q"] in one block with its size, "hi", 100.
        let bytes = [10, 2, 3, 8, 2, b'p', 2, b'q', 0, 4, b'h', b'i', 200, 1];
        let value = resolved_value(&writer, &reader, &bytes).expect("fits");
        let expected = serde_json::json!({
            "b": "hi", "new": 100.0, "l": [1, -2], "m": {"k": "/w=="}, "a": 5, "n": "d",
            "i": {"x": 7}, "e": "B"
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn numbers_widen_and_unions_choose() {
        let float = 1.5_f32.to_le_bytes();
        for (writer, reader, bytes, expected) in [
            (r#""int""#, r#""long""#, &[9][..], "-5"),
            (r#""int""#, r#""float""#, &[9], "-5.0"),
            (r#""long""#, r#""double""#, &[9], "-5.0"),
            (r#""float""#, r#""double""#, &float, "1.5"),
            (r#""string""#, r#""bytes""#, &[2, b'a'], r#""YQ==""#),
            (
                r#""int""#,
                r#"["null","double","int"]"#,
                &[9],
                r#"{"int":-5}"#,
            ),
            (r#""int""#, r#"["null","double"]"#, &[9], "-5.0"),
            (r#"["null","int"]"#, r#""long""#, &[2, 9], "-5"),
            (r#"["int","null"]"#, r#"["null","long"]"#, &[0, 9], "-5"),
            (
                r#"{"type":"enum","name":"E","symbols":["A","B","C"]}"#,
                r#"{"type":"enum","name":"F","aliases":["E"],"symbols":["C","A"],"default":"A"}"#,
                &[2],
                r#""A""#,
            ),
            (
                r#"{"type":"array","items":"int"}"#,
                r#"{"type":"array","items":"double"}"#,
                &[4, 2, 4, 0],
                "[1.0,2.0]",
            ),
        ] {
            let value = resolved_value(writer, reader, bytes);
            let value = value.unwrap_or_else(|error| panic!("{writer} as {reader}: {error}"));
            let expected: Value = serde_json::from_str(expected).expect("JSON");
            // A union of several types is a struct with one field set.
            let value = match value {
                Value::Object(members) if reader.starts_with('[') => members
                    .into_iter()
                    .filter(|(_, member)| !member.is_null())
                    .collect(),
                other => other,
            };
            assert_eq!(value, expected, "{writer} as {reader}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_where_it_is_met() {
        for (writer, reader, bytes, why) in [
            (
                r#""long""#,
                r#""int""#,
                &[2][..],
                "Found long, expecting int",
            ),
            (
                r#"["int","string"]"#,
                r#""int""#,
                &[2, 2, b'a'],
                "Found string, expecting int",
            ),
            (
                &record(""),
                &record(r#"{"name":"a","type":"int"}"#),
                &[],
                "Found R, expecting R, missing required field a",
            ),
            (
                r#"{"type":"enum","name":"E","symbols":["A"]}"#,
                r#"{"type":"enum","name":"E","symbols":["B"]}"#,
                &[0],
                "No match for A",
            ),
            (
                r#"{"type":"fixed","name":"F","size":2}"#,
                r#"{"type":"fixed","name":"G","size":2}"#,
                &[0, 0],
                "Found F, expecting G",
            ),
        ] {
            let error = resolved_value(writer, reader, bytes).expect_err("does not fit");
            assert_eq!(error.message(), why);
            assert_eq!(error.java_class(), "org.apache.avro.AvroTypeException");
        }
        let int = resolved_value(r#"["int","string"]"#, r#""int""#, &[0, 2]);
        assert_eq!(int.expect("an int"), serde_json::json!(1));
    }

    #[test]
    fn a_schema_that_contains_itself_is_resolved_and_bad_bytes_are_refused() {
        let next = r#"{"name":"next","type":["null","R"]}"#;
        let writer = record(&format!(r#"{{"name":"v","type":"int"}},{next}"#));
        let reader = record(&format!(r#"{next},{{"name":"v","type":"long"}}"#));
        let value = resolved_value(&writer, &reader, &[2, 2, 4, 0]).expect("fits");
        assert_eq!(
            value,
            serde_json::json!({"next": {"next": null, "v": 2}, "v": 1})
        );
        for bytes in [&[][..], &[2], &[2, 4], &[2, 2].repeat(1000)] {
            resolved_value(&writer, &reader, bytes).expect_err("cut off or too deep");
        }
    }

    #[test]
    fn bytes_without_a_length_are_read_as_they_were_written() {
        let resolution = Resolution::new(&parsed("\"bytes\""), &parsed("\"string\""));
        assert!(resolution.expect("no default").is_none());
        let same = Resolution::new(&parsed("\"int\""), &parsed("\"int\""));
        assert!(same.expect("no default").is_none());
    }
}
