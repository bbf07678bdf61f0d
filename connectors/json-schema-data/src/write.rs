//! Values as JSON text.
//!
//! A plan is made once per schema and then followed for every record; nothing is built in between.

use connect_api::Result;
use connect_api::data::json::{ValuePlan, ValueStyle};
use connect_api::data::{SchemaRef, Value};

use crate::{JsonSchemaOptions, is_union};

/// Writes the values of one schema.
#[derive(Debug)]
pub struct Writer {
    plan: ValuePlan,
    indent: bool,
}

/// How this converter writes values.
pub(crate) fn style(options: &JsonSchemaOptions) -> ValueStyle {
    ValueStyle {
        decimal_format: options.decimal_format,
        replace_null_with_default: true,
        replace_optional_null: !options.ignore_default_for_nullables,
        omit_required_nulls: true,
        entries_as_objects: true,
        is_union,
    }
}

impl Writer {
    /// The writer for a schema.
    pub fn new(schema: &SchemaRef, options: &JsonSchemaOptions) -> Self {
        Self {
            plan: ValuePlan::new(schema, style(options)),
            indent: options.indent_output,
        }
    }

    /// Appends a value; leaves `out` as it was where it fails.
    ///
    /// # Errors
    /// The value is not one of the schema.
    pub fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        if let Err(error) = self.plan.write(value, out) {
            out.truncate(start);
            return Err(error);
        }
        if self.indent {
            let dense = out.split_off(start);
            indent(&dense, out);
        }
        Ok(())
    }
}

/// Sets dense JSON as Jackson's `DefaultPrettyPrinter` does: objects over lines, arrays in one.
fn indent(dense: &[u8], out: &mut Vec<u8>) {
    let mut open: Vec<u8> = Vec::new();
    let mut objects = 0;
    let mut at = 0;
    let line = |objects: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', objects * 2));
    };
    while let Some(&byte) = dense.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let start = at - 1;
                while let Some(&inner) = dense.get(at) {
                    at += 1 + usize::from(inner == b'\\');
                    if inner == b'"' {
                        break;
                    }
                }
                out.extend_from_slice(dense.get(start..at).unwrap_or_default());
            }
            b'{' if dense.get(at) == Some(&b'}') => {
                at += 1;
                out.extend_from_slice(b"{ }");
            }
            b'[' if dense.get(at) == Some(&b']') => {
                at += 1;
                out.extend_from_slice(b"[ ]");
            }
            b'{' => {
                open.push(byte);
                objects += 1;
                out.push(byte);
                line(objects, out);
            }
            b'[' => {
                open.push(byte);
                out.extend_from_slice(b"[ ");
            }
            b'}' => {
                open.pop();
                objects -= 1;
                line(objects, out);
                out.push(byte);
            }
            b']' => {
                open.pop();
                out.extend_from_slice(b" ]");
            }
            b',' if open.last() == Some(&b'{') => {
                out.push(byte);
                line(objects, out);
            }
            b',' => out.extend_from_slice(b", "),
            b':' => out.extend_from_slice(b" : "),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indented_text_has_objects_over_lines_and_arrays_in_one() {
        let mut out = Vec::new();
        indent(br#"{"a":1,"b":[1,{"c":"x\",{"}],"d":{},"e":[]}"#, &mut out);
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            "{\n  \"a\" : 1,\n  \"b\" : [ 1, {\n    \"c\" : \"x\\\",{\"\n  } ],\n  \"d\" : { },\n  \"e\" : [ ]\n}"
        );
    }
}
