//! Evaluates a parsed expression over a record.
//!
//! Names, properties and methods mean what they mean in Groovy over Connect's classes: a struct's
//! property is its field (an error where the schema has none), a header's are `value` and `schema`.

use connect_api::data::{Schema, Struct};
use connect_api::java::Regex;
use connect_api::record::Record;
use connect_api::{Error, Result};

use super::item::Item;
use super::parse::{Expression, Operator};

/// The value of an expression.
pub(super) fn evaluate<'a>(expression: &'a Expression, record: &'a Record) -> Result<Item<'a>> {
    let value = |inner: &'a Expression| evaluate(inner, record);
    Ok(match expression {
        Expression::Null => Item::Null,
        Expression::Boolean(value) => Item::Boolean(*value),
        Expression::Integer(number) => Item::Integer(*number),
        Expression::Float(number) => Item::Float(*number),
        Expression::Text(text) => Item::borrowed(text),
        Expression::Template(parts) => {
            let mut text = String::new();
            for part in parts {
                text.push_str(&value(part)?.text());
            }
            Item::owned(text)
        }
        Expression::List(items) => Item::List(items.iter().map(value).collect::<Result<_>>()?),
        Expression::Name(name) => binding(name, record),
        Expression::Property(of, name, safe) => match value(of)? {
            Item::Null if *safe => Item::Null,
            of => property(&of, name)?,
        },
        Expression::Index(of, index) => indexed(&value(of)?, &value(index)?)?,
        Expression::Call(of, method, arguments, safe) => match value(of)? {
            Item::Null if *safe => Item::Null,
            of => {
                let arguments: Vec<Item<'a>> =
                    arguments.iter().map(value).collect::<Result<_>>()?;
                call(&of, method, &arguments)?
            }
        },
        Expression::Not(inner) => Item::Boolean(!value(inner)?.is_true()),
        Expression::Negate(inner) => match value(inner)? {
            Item::Integer(number) => Item::Integer(number.wrapping_neg()),
            Item::Float(number) => Item::Float(-number),
            other => return Err(Error::data(format!("{} has no negative", other.kind()))),
        },
        Expression::Binary(Operator::Or, left, right) => {
            Item::Boolean(value(left)?.is_true() || value(right)?.is_true())
        }
        Expression::Binary(Operator::And, left, right) => {
            Item::Boolean(value(left)?.is_true() && value(right)?.is_true())
        }
        Expression::Binary(operator, left, right) => {
            binary(*operator, &value(left)?, &value(right)?)?
        }
        Expression::Choice(condition, then, otherwise) => match value(condition)?.is_true() {
            true => value(then)?,
            false => value(otherwise)?,
        },
        Expression::Elvis(first, otherwise) => match value(first)? {
            first if first.is_true() => first,
            _ => value(otherwise)?,
        },
    })
}

fn binding<'a>(name: &str, record: &'a Record) -> Item<'a> {
    let schema = |schema: &'a Option<connect_api::data::SchemaRef>| {
        schema.as_deref().map_or(Item::Null, Item::Schema)
    };
    match name {
        "key" => Item::of(&record.key.value),
        "value" => Item::of(&record.value.value),
        "keySchema" => schema(&record.key.schema),
        "valueSchema" => schema(&record.value.schema),
        "topic" => Item::borrowed(&record.topic),
        _ => Item::Headers(&record.headers),
    }
}

/// A struct's field, its default in place of null.
fn field<'a>(value: &'a Struct, name: &str) -> Result<Item<'a>> {
    value
        .get_or_default(name)
        .map(Item::of)
        .ok_or_else(|| Error::data(format!("{name} is not a valid field name")))
}

fn schema_part<'a>(schema: &'a Schema, part: &str) -> Option<Item<'a>> {
    Some(match part {
        "name" => schema.name().map_or(Item::Null, Item::borrowed),
        "version" => schema
            .version()
            .map_or(Item::Null, |version| Item::Integer(version.into())),
        "doc" => schema.doc().map_or(Item::Null, Item::borrowed),
        "type" => Item::borrowed(schema.kind().name()),
        "optional" | "isOptional" => Item::Boolean(schema.is_optional()),
        "defaultValue" => schema.default_value().map_or(Item::Null, Item::of),
        "fields" => Item::List(schema.fields().iter().map(Item::Field).collect()),
        "keySchema" => schema.key_schema().map_or(Item::Null, |s| Item::Schema(s)),
        "valueSchema" => schema
            .value_schema()
            .map_or(Item::Null, |s| Item::Schema(s)),
        _ => return None,
    })
}

fn property<'a>(of: &Item<'a>, name: &str) -> Result<Item<'a>> {
    match of {
        Item::Null => Err(Error::data(format!(
            "Cannot get property '{name}' on null object"
        ))),
        Item::Struct(value) => field(value, name),
        Item::Map(map) => Ok(map.get_str(name).map_or(Item::Null, Item::of)),
        // The last of several, as a map made of them has it.
        Item::Headers(headers) => Ok(headers
            .iter()
            .rev()
            .find(|header| header.key == *name)
            .map_or(Item::Null, |header| Item::Header(&header.value))),
        Item::Header(header) => match name {
            "value" => Ok(Item::of(&header.value)),
            "schema" => Ok(header.schema.as_deref().map_or(Item::Null, Item::Schema)),
            _ => Err(no_such(of, name)),
        },
        Item::Schema(schema) => schema_part(schema, name).ok_or_else(|| no_such(of, name)),
        Item::Field(field) => match name {
            "name" => Ok(Item::borrowed(&field.name)),
            "schema" => Ok(Item::Schema(&field.schema)),
            _ => Err(no_such(of, name)),
        },
        _ => Err(no_such(of, name)),
    }
}

fn no_such(of: &Item<'_>, name: &str) -> Error {
    Error::data(format!("No such property: {name} for {}", of.kind()))
}

fn indexed<'a>(of: &Item<'a>, index: &Item<'_>) -> Result<Item<'a>> {
    match (of, index) {
        (Item::List(items), Item::Integer(index)) => {
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let index = if *index < 0 { length + index } else { *index };
            let item = usize::try_from(index).ok().and_then(|at| items.get(at));
            Ok(item.cloned().unwrap_or(Item::Null))
        }
        (Item::Text(text), Item::Integer(index)) => {
            let index = usize::try_from(*index).ok();
            let character = index.and_then(|index| text.chars().nth(index));
            character
                .map(Item::owned)
                .ok_or_else(|| Error::data("the index is beyond the text"))
        }
        (_, Item::Text(name)) => property(of, name),
        _ => Err(Error::data(format!(
            "{} cannot be indexed by {}",
            of.kind(),
            index.kind()
        ))),
    }
}

fn binary<'a>(operator: Operator, left: &Item<'a>, right: &Item<'a>) -> Result<Item<'a>> {
    let compared = || {
        left.compare(right).ok_or_else(|| {
            Error::data(format!(
                "Cannot compare {} with value '{}' and {} with value '{}'",
                left.kind(),
                left.text(),
                right.kind(),
                right.text()
            ))
        })
    };
    Ok(Item::Boolean(match operator {
        Operator::Equal => left.equals(right),
        Operator::NotEqual => !left.equals(right),
        Operator::Compare => return Ok(Item::Integer(compared()? as i64)),
        Operator::Less => compared()?.is_lt(),
        Operator::LessOrEqual => compared()?.is_le(),
        Operator::Greater => compared()?.is_gt(),
        Operator::GreaterOrEqual => compared()?.is_ge(),
        Operator::In => contains(right, left),
        Operator::NotIn => !contains(right, left),
        Operator::Find => pattern(right)?.find(&left.text()),
        Operator::Match => pattern(right)?.matches(&left.text()),
        _ => return arithmetic(operator, left, right),
    }))
}

fn pattern(item: &Item<'_>) -> Result<Regex> {
    Regex::new(&item.text()).map_err(|error| {
        Error::data(format!("{} is no regular expression", item.text())).with_source(error)
    })
}

fn contains(items: &Item<'_>, item: &Item<'_>) -> bool {
    match items {
        Item::List(items) => items.iter().any(|known| known.equals(item)),
        Item::Map(map) => map.keys().any(|key| Item::of(key).equals(item)),
        Item::Text(text) => text.contains(&item.text()),
        other => other.equals(item),
    }
}

fn arithmetic<'a>(operator: Operator, left: &Item<'a>, right: &Item<'a>) -> Result<Item<'a>> {
    match (operator, left, right) {
        (Operator::Plus, Item::Text(_), _) | (Operator::Plus, _, Item::Text(_)) => {
            return Ok(Item::owned(left.text() + &right.text()));
        }
        (_, Item::Integer(a), Item::Integer(b)) => {
            let result = match operator {
                Operator::Plus => a.checked_add(*b),
                Operator::Minus => a.checked_sub(*b),
                Operator::Times => a.checked_mul(*b),
                Operator::Modulo => a.checked_rem(*b),
                // A quotient is a decimal in Groovy, and equal to an integer where it is one.
                _ if *b != 0 && a.checked_rem(*b) == Some(0) => a.checked_div(*b),
                _ => None,
            };
            if let Some(result) = result {
                return Ok(Item::Integer(result));
            }
            if *b == 0 && matches!(operator, Operator::Over | Operator::Modulo) {
                return Err(Error::data("Division by zero"));
            }
        }
        _ => {}
    }
    let (Some(a), Some(b)) = (left.number(), right.number()) else {
        return Err(Error::data(format!(
            "{} and {} are no operands of arithmetic",
            left.kind(),
            right.kind()
        )));
    };
    Ok(Item::Float(match operator {
        Operator::Plus => a + b,
        Operator::Minus => a - b,
        Operator::Times => a * b,
        Operator::Modulo => a % b,
        _ => a / b,
    }))
}

fn call<'a>(of: &Item<'a>, method: &str, arguments: &[Item<'a>]) -> Result<Item<'a>> {
    let unknown = || {
        Error::data(format!(
            "No signature of method: {method}() with {} arguments for {}",
            arguments.len(),
            of.kind()
        ))
    };
    match (method, arguments) {
        ("equals", [other]) => return Ok(Item::Boolean(of.equals(other))),
        ("toString", []) => return Ok(Item::owned(of.text())),
        ("compareTo", [_]) => return binary(Operator::Compare, of, &arguments[0]),
        _ => {}
    }
    match of {
        Item::Null => Err(Error::data(format!(
            "Cannot invoke method {method}() on null object"
        ))),
        Item::Struct(value) => match (method, arguments) {
            ("schema", []) => Ok(Item::Schema(&value.schema)),
            ("getWithoutDefault", [Item::Text(name)]) => value
                .get(name)
                .map(Item::of)
                .ok_or_else(|| Error::data(format!("{name} is not a valid field name"))),
            (
                "get" | "getString" | "getInt8" | "getInt16" | "getInt32" | "getInt64"
                | "getFloat32" | "getFloat64" | "getBoolean" | "getStruct" | "getArray" | "getMap",
                [Item::Text(name)],
            ) => field(value, name),
            _ => Err(unknown()),
        },
        Item::Schema(schema) => match (method, arguments) {
            ("field", [Item::Text(name)]) => Ok(schema.field(name).map_or(Item::Null, Item::Field)),
            (part, []) => schema_part(schema, part).ok_or_else(unknown),
            _ => Err(unknown()),
        },
        Item::Field(field) => match (method, arguments) {
            ("name", []) => Ok(Item::borrowed(&field.name)),
            ("schema", []) => Ok(Item::Schema(&field.schema)),
            ("index", []) => Ok(Item::Integer(
                i64::try_from(field.index).unwrap_or_default(),
            )),
            _ => Err(unknown()),
        },
        Item::Map(map) => match (method, arguments) {
            ("get", [Item::Text(name)]) => property(of, name),
            ("containsKey", [key]) => Ok(Item::Boolean(
                map.keys().any(|known| Item::of(known).equals(key)),
            )),
            ("size", []) => Ok(size(map.len())),
            ("isEmpty", []) => Ok(Item::Boolean(map.is_empty())),
            _ => Err(unknown()),
        },
        Item::Headers(headers) => match (method, arguments) {
            ("get", [Item::Text(name)]) => property(of, name),
            ("containsKey", [Item::Text(name)]) => Ok(Item::Boolean(
                headers.iter().any(|header| header.key == **name),
            )),
            ("size", []) => Ok(size(headers.len())),
            ("isEmpty", []) => Ok(Item::Boolean(headers.is_empty())),
            _ => Err(unknown()),
        },
        Item::List(items) => match (method, arguments) {
            ("contains", [item]) => Ok(Item::Boolean(contains(of, item))),
            ("get" | "getAt", [index]) => indexed(of, index),
            ("size", []) => Ok(size(items.len())),
            ("isEmpty", []) => Ok(Item::Boolean(items.is_empty())),
            ("join", [Item::Text(between)]) => {
                let items: Vec<String> = items.iter().map(Item::text).collect();
                Ok(Item::owned(items.join(between)))
            }
            _ => Err(unknown()),
        },
        Item::Text(text) => text_method(text, method, arguments).unwrap_or_else(|| Err(unknown())),
        Item::Integer(number) => match (method, arguments) {
            ("intValue" | "longValue" | "toInteger" | "toLong", []) => Ok(Item::Integer(*number)),
            ("abs", []) => Ok(Item::Integer(number.wrapping_abs())),
            _ => Err(unknown()),
        },
        _ => Err(unknown()),
    }
}

fn size<'a>(length: usize) -> Item<'a> {
    Item::Integer(i64::try_from(length).unwrap_or(i64::MAX))
}

/// A method of a String; `None` for one that is not known.
fn text_method<'a>(text: &str, method: &str, arguments: &[Item<'a>]) -> Option<Result<Item<'a>>> {
    let part = |from: i64, to: Option<i64>| {
        let units: Vec<u16> = text.encode_utf16().collect();
        let from = usize::try_from(from).ok();
        let to = to.map_or(Some(units.len()), |to| usize::try_from(to).ok());
        let part = from.zip(to).and_then(|(from, to)| units.get(from..to));
        part.map(|part| Item::owned(String::from_utf16_lossy(part)))
            .ok_or_else(|| Error::data("the index is beyond the text"))
    };
    let index = |at: Option<usize>| {
        let units = at
            .and_then(|at| text.get(..at))
            .map(|s| s.encode_utf16().count());
        units.map_or(Item::Integer(-1), size)
    };
    let number = |parsed: Option<Item<'a>>| {
        parsed.ok_or_else(|| Error::data(format!("For input string: \"{text}\"")))
    };
    Some(Ok(match (method, arguments) {
        ("startsWith", [Item::Text(start)]) => Item::Boolean(text.starts_with(&**start)),
        ("endsWith", [Item::Text(end)]) => Item::Boolean(text.ends_with(&**end)),
        ("contains", [Item::Text(part)]) => Item::Boolean(text.contains(&**part)),
        ("equalsIgnoreCase", [other]) => Item::Boolean(
            matches!(other, Item::Text(other) if text.to_lowercase() == other.to_lowercase()),
        ),
        ("matches", [regex]) => match pattern(regex) {
            Ok(regex) => Item::Boolean(regex.matches(text)),
            Err(error) => return Some(Err(error)),
        },
        ("isEmpty", []) => Item::Boolean(text.is_empty()),
        ("isBlank", []) => Item::Boolean(text.trim().is_empty()),
        ("length" | "size", []) => size(text.encode_utf16().count()),
        ("toLowerCase", []) => Item::owned(text.to_lowercase()),
        ("toUpperCase", []) => Item::owned(text.to_uppercase()),
        ("trim" | "strip", []) => Item::owned(text.trim()),
        ("concat", [Item::Text(other)]) => Item::owned(format!("{text}{other}")),
        ("replace", [Item::Text(old), Item::Text(new)]) => Item::owned(text.replace(&**old, new)),
        ("replaceAll" | "replaceFirst", [regex, Item::Text(new)]) => {
            let replaced = pattern(regex).and_then(|regex| {
                let replaced = match method {
                    "replaceAll" => regex.replace_all(text, new),
                    _ => regex.replace_first(text, new),
                };
                replaced.map_err(|(class, why)| Error::data(why).with_class(class))
            });
            match replaced {
                Ok(replaced) => Item::owned(replaced),
                Err(error) => return Some(Err(error)),
            }
        }
        ("split" | "tokenize", [Item::Text(between)]) if !between.is_empty() => {
            let between = between.replace('\\', "");
            let mut parts: Vec<&str> = text.split(&*between).collect();
            if method == "tokenize" {
                parts.retain(|part| !part.is_empty());
            } else {
                while parts.len() > 1 && parts.last() == Some(&"") {
                    parts.pop();
                }
            }
            Item::List(parts.into_iter().map(Item::owned).collect())
        }
        ("substring", [Item::Integer(from)]) => return Some(part(*from, None)),
        ("substring", [Item::Integer(from), Item::Integer(to)]) => {
            return Some(part(*from, Some(*to)));
        }
        ("indexOf", [Item::Text(part)]) => index(text.find(&**part)),
        ("lastIndexOf", [Item::Text(part)]) => index(text.rfind(&**part)),
        ("toInteger" | "toLong", []) => {
            return Some(number(text.trim().parse().ok().map(Item::Integer)));
        }
        ("toDouble" | "toFloat" | "toBigDecimal", []) => {
            return Some(number(text.trim().parse().ok().map(Item::Float)));
        }
        ("toBoolean", []) => Item::Boolean(matches!(
            text.trim().to_lowercase().as_str(),
            "true" | "y" | "1"
        )),
        _ => return None,
    }))
}

/// A record's value of any kind, for tests of the parts.
#[cfg(test)]
pub(super) fn text_of(expression: &str, record: &Record) -> Result<String> {
    let parsed = super::parse::parse(expression)?;
    let text = evaluate(&parsed, record)?.text();
    Ok(text)
}
