//! Names of fields: plain ones, and with `field.syntax.version=V2` paths of names apart by dots,
//! names with dots in backticks.
//!
//! Answers for `org.apache.kafka.connect.transforms.field.{SingleFieldPath, FieldSyntaxVersion}`.

use connect_api::config::{ConfigKey, Importance, Type, any_of_ignoring_case};
use connect_api::data::{ConnectMap, Field, Schema, SchemaType, Struct, Value};
use connect_api::{Error, Result};

use crate::operand::{read_field, require_map};

pub(crate) const SYNTAX: &str = "field.syntax.version";

pub(crate) fn syntax_key() -> ConfigKey {
    ConfigKey::new(SYNTAX, Type::String, Importance::High)
        .default("V1")
        .validator(any_of_ignoring_case(&["V1", "V2"]))
        .doc("How fields are named: V1, by their plain names; V2, by paths into nested values.")
}

/// The steps to a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldPath {
    pub(crate) text: String,
    steps: Vec<String>,
}

impl FieldPath {
    pub(crate) fn new(text: &str, syntax: &str) -> Result<Self> {
        let steps = if syntax.eq_ignore_ascii_case("V2") {
            split(text)?
        } else {
            vec![text.to_owned()]
        };
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }

    /// The field in a schema.
    ///
    /// # Errors
    /// The way leads through what has no fields.
    pub(crate) fn field<'a>(&self, schema: &'a Schema) -> Result<Option<&'a Field>> {
        let mut steps = self.steps.iter();
        let Some(mut field) = steps.next().and_then(|step| schema.field(step)) else {
            return Ok(None);
        };
        for step in steps {
            if field.schema.kind() != SchemaType::Struct {
                return Err(Error::data("Cannot look up fields on non-struct type"));
            }
            let Some(next) = field.schema.field(step) else {
                return Ok(None);
            };
            field = next;
        }
        Ok(Some(field))
    }

    /// The value in a struct.
    pub(crate) fn in_struct(&self, value: &Struct, replace_null: bool) -> Value {
        let Some((last, parents)) = self.steps.split_last() else {
            return Value::Null;
        };
        let mut current = value;
        for step in parents {
            match current.get(step) {
                Some(Value::Struct(next)) => current = next,
                _ => return Value::Null,
            }
        }
        match current.schema.field(last) {
            Some(field) => read_field(&field.schema, &current.values[field.index], replace_null),
            None => Value::Null,
        }
    }

    /// The value in a map.
    pub(crate) fn in_map(&self, map: &ConnectMap) -> Result<Value> {
        let Some((last, parents)) = self.steps.split_last() else {
            return Ok(Value::Null);
        };
        let mut current = map;
        for step in parents {
            match current.get_str(step) {
                None | Some(Value::Null) => return Ok(Value::Null),
                Some(next) => current = require_map(next, "nested field access")?,
            }
        }
        Ok(current.get_str(last).cloned().unwrap_or_default())
    }
}

/// Splits a path at its dots outside of backticks; `\`` inside of them is a backtick.
fn split(path: &str) -> Result<Vec<String>> {
    let mut steps = Vec::new();
    let mut rest = path;
    loop {
        if let Some(quoted) = rest.strip_prefix('`') {
            let opened = path.len() - rest.len();
            let mut step = String::new();
            let mut characters = quoted.char_indices().peekable();
            let mut after = None;
            while let Some((at, character)) = characters.next() {
                match character {
                    '\\' if characters.peek().is_some_and(|(_, next)| *next == '`') => {
                        step.push('`');
                        characters.next();
                    }
                    // A closing backtick stands before a dot or at the end.
                    '`' if characters.peek().is_none_or(|(_, next)| *next == '.') => {
                        after = quoted.get(at + 1..);
                        break;
                    }
                    other => step.push(other),
                }
            }
            let Some(after) = after else {
                return Err(Error::config(format!(
                    "Incomplete backtick pair in path: [{path}], consider adding a backslash \
                     before backtick at position {opened} to escape it"
                )));
            };
            steps.push(step);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None => return Ok(steps),
            }
        } else {
            match rest.split_once('.') {
                Some((step, next)) => {
                    steps.push(step.replace("\\`", "`"));
                    rest = next;
                }
                None => {
                    steps.push(rest.replace("\\`", "`"));
                    return Ok(steps);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_at_dots_outside_of_backticks() {
        for (path, steps) in [
            ("a", vec!["a"]),
            ("a.b.c", vec!["a", "b", "c"]),
            ("`a.b`.c", vec!["a.b", "c"]),
            ("a.`b.c`", vec!["a", "b.c"]),
            ("`a\\`.b`", vec!["a`.b"]),
        ] {
            assert_eq!(split(path).expect(path), steps);
        }
        assert_eq!(
            split("`a.b").expect_err("open").message(),
            "Incomplete backtick pair in path: [`a.b], consider adding a backslash before backtick \
             at position 0 to escape it"
        );
    }
}
