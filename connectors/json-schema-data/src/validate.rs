//! Whether a JSON text is what its schema says (`json.fail.invalid.schema`): drafts 4 to 2020-12,
//! without `unevaluated…` and dynamic references. Only here a payload becomes a tree.

use std::collections::HashMap;

use connect_api::{Error, Result};
use fancy_regex::Regex;
use serde_json::{Map, Value};

use crate::documents::{Documents, Place};

/// Schemas that lead to each other deeper than this are refused.
const MAX_DEPTH: usize = 128;

/// Checks payloads by one schema.
#[derive(Debug)]
pub struct Validator {
    documents: Documents,
    /// The regular expressions of the schema; those that are none match everything.
    patterns: HashMap<String, Option<Regex>>,
}

/// What is wrong, and where in the payload.
type Checked = std::result::Result<(), String>;

impl Validator {
    /// The validator of a schema.
    pub fn new(documents: Documents) -> Self {
        let mut patterns = HashMap::new();
        for root in documents.roots() {
            collect_patterns(root, &mut patterns);
        }
        Self {
            documents,
            patterns,
        }
    }

    /// Checks a payload.
    ///
    /// # Errors
    /// It is not JSON, or not valid; the text says where.
    pub fn check(&self, payload: &[u8]) -> Result<()> {
        let value: Value = serde_json::from_slice(payload)
            .map_err(|error| Error::data("the payload is not JSON").with_source(error))?;
        self.valid(self.documents.root(), &value, "#", 0)
            .map_err(Error::data)
    }

    fn valid(&self, schema: Place<'_>, value: &Value, at: &str, depth: usize) -> Checked {
        if depth > MAX_DEPTH {
            return Err(format!("{at}: the schema is nested too deeply"));
        }
        let Value::Object(words) = schema.node else {
            return match schema.node {
                Value::Bool(false) => Err(format!("{at}: false schema always fails")),
                _ => Ok(()),
            };
        };
        let depth = depth + 1;
        if let Some(reference) = schema.text("$ref") {
            let target = self.documents.resolve(schema.document, reference);
            let target = target.map_err(|error| error.message().to_owned())?;
            self.valid(target, value, at, depth)?;
        }
        general(words, value, at)?;
        match value {
            Value::Number(_) => number(words, value, at)?,
            Value::String(text) => self.text(words, text, at)?,
            Value::Array(items) => self.array(schema, words, items, at, depth)?,
            Value::Object(members) => self.object(schema, words, members, at, depth)?,
            _ => {}
        }
        self.combined(schema, value, at, depth)
    }

    fn text(&self, words: &Map<String, Value>, text: &str, at: &str) -> Checked {
        let length = text.chars().count() as f64;
        limits(words, "minLength", "maxLength", length, "length", at)?;
        if let Some(pattern) = words.get("pattern").and_then(Value::as_str)
            && !self.matches(pattern, text)
        {
            return Err(format!(
                "{at}: string [{text}] does not match pattern {pattern}"
            ));
        }
        if let Some(format) = words.get("format").and_then(Value::as_str)
            && !is_format(format, text)
        {
            return Err(format!("{at}: [{text}] is not a valid {format}"));
        }
        Ok(())
    }

    fn matches(&self, pattern: &str, text: &str) -> bool {
        match self.patterns.get(pattern) {
            Some(Some(regex)) => regex.is_match(text).unwrap_or(false),
            _ => true,
        }
    }

    fn array(
        &self,
        schema: Place<'_>,
        words: &Map<String, Value>,
        items: &[Value],
        at: &str,
        depth: usize,
    ) -> Checked {
        limits(
            words,
            "minItems",
            "maxItems",
            items.len() as f64,
            "item count",
            at,
        )?;
        if words.get("uniqueItems") == Some(&Value::Bool(true)) {
            for (place, item) in items.iter().enumerate() {
                if items.iter().take(place).any(|other| equal(other, item)) {
                    return Err(format!("{at}: array items are not unique"));
                }
            }
        }
        let tuple = |name: &str| words.get(name).and_then(Value::as_array);
        let first = tuple("prefixItems").or_else(|| tuple("items"));
        let rest = match tuple("items") {
            Some(_) => schema.get("additionalItems"),
            None => schema.get("items"),
        };
        for (place, item) in items.iter().enumerate() {
            let inner = format!("{at}/{place}");
            let one = first
                .and_then(|first| first.get(place))
                .map(|node| schema.with(node));
            if let Some(one) = one.or(rest) {
                self.valid(one, item, &inner, depth)?;
            }
        }
        if let Some(contained) = schema.get("contains") {
            let fits = |item: &&Value| self.valid(contained, item, at, depth).is_ok();
            let count = items.iter().filter(fits).count() as f64;
            let least = words
                .get("minContains")
                .and_then(Value::as_f64)
                .unwrap_or(1.0);
            let most = words.get("maxContains").and_then(Value::as_f64);
            if count < least || most.is_some_and(|most| count > most) {
                return Err(format!("{at}: {count} items are contained"));
            }
        }
        Ok(())
    }

    fn object(
        &self,
        schema: Place<'_>,
        words: &Map<String, Value>,
        members: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Checked {
        let count = members.len() as f64;
        limits(
            words,
            "minProperties",
            "maxProperties",
            count,
            "property count",
            at,
        )?;
        if let Some(Value::Array(required)) = words.get("required") {
            for name in required.iter().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    return Err(format!("{at}: required key [{name}] not found"));
                }
            }
        }
        let properties = schema.get("properties");
        let patterns = schema.get("patternProperties");
        let names = schema.get("propertyNames");
        let additional = schema.get("additionalProperties");
        for (name, value) in members {
            let inner = format!("{at}/{name}");
            let mut known = false;
            if let Some(property) = properties.and_then(|properties| properties.get(name)) {
                known = true;
                self.valid(property, value, &inner, depth)?;
            }
            if let Some(Value::Object(by_pattern)) = patterns.map(|patterns| patterns.node) {
                for (pattern, node) in by_pattern {
                    if self.matches(pattern, name) {
                        known = true;
                        self.valid(schema.with(node), value, &inner, depth)?;
                    }
                }
            }
            if let Some(names) = names {
                self.valid(names, &Value::String(name.clone()), &inner, depth)?;
            }
            match additional {
                Some(additional) if !known => {
                    if additional.node == &Value::Bool(false) {
                        return Err(format!("{at}: extraneous key [{name}] is not permitted"));
                    }
                    self.valid(additional, value, &inner, depth)?;
                }
                _ => {}
            }
        }
        for word in ["dependencies", "dependentRequired", "dependentSchemas"] {
            let Some(dependencies) = schema.get(word) else {
                continue;
            };
            for (name, needed) in dependencies.node.as_object().into_iter().flatten() {
                if !members.contains_key(name) {
                    continue;
                }
                match needed {
                    Value::Array(needed) => {
                        for other in needed.iter().filter_map(Value::as_str) {
                            if !members.contains_key(other) {
                                return Err(format!("{at}: property [{other}] is required"));
                            }
                        }
                    }
                    needed => {
                        let whole = Value::Object(members.clone());
                        self.valid(schema.with(needed), &whole, at, depth)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn combined(&self, schema: Place<'_>, value: &Value, at: &str, depth: usize) -> Checked {
        for inner in schema.list("allOf").into_iter().flatten() {
            self.valid(inner, value, at, depth)?;
        }
        let count = |name: &str| {
            schema.list(name).map(|list| {
                let fits = |inner: &Place<'_>| self.valid(*inner, value, at, depth).is_ok();
                list.filter(fits).count()
            })
        };
        if count("anyOf") == Some(0) {
            return Err(format!("{at}: no subschema matched"));
        }
        if let Some(matched) = count("oneOf")
            && matched != 1
        {
            return Err(format!("{at}: {matched} subschemas matched instead of one"));
        }
        if let Some(not) = schema.get("not")
            && self.valid(not, value, at, depth).is_ok()
        {
            return Err(format!(
                "{at}: subject must not be valid against schema {}",
                not.node
            ));
        }
        if let Some(condition) = schema.get("if") {
            let branch = match self.valid(condition, value, at, depth) {
                Ok(()) => schema.get("then"),
                Err(_) => schema.get("else"),
            };
            if let Some(branch) = branch {
                self.valid(branch, value, at, depth)?;
            }
        }
        Ok(())
    }
}

fn collect_patterns(node: &Value, patterns: &mut HashMap<String, Option<Regex>>) {
    let mut add = |pattern: &str| {
        patterns
            .entry(pattern.to_owned())
            .or_insert_with(|| Regex::new(pattern).ok());
    };
    match node {
        Value::Object(members) => {
            if let Some(pattern) = members.get("pattern").and_then(Value::as_str) {
                add(pattern);
            }
            if let Some(Value::Object(by_pattern)) = members.get("patternProperties") {
                by_pattern.keys().for_each(|pattern| add(pattern));
            }
            for inner in members.values() {
                collect_patterns(inner, patterns);
            }
        }
        Value::Array(items) => {
            for inner in items {
                collect_patterns(inner, patterns);
            }
        }
        _ => {}
    }
}

/// Words for values of any type.
fn general(words: &Map<String, Value>, value: &Value, at: &str) -> Checked {
    let fits = |name: &str| is_type(name, value);
    let expected = match words.get("type") {
        Some(Value::String(name)) if !fits(name) => Some(name.clone()),
        Some(Value::Array(names)) if !names.iter().filter_map(Value::as_str).any(fits) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            Some(names.join(" or "))
        }
        _ => None,
    };
    if let Some(expected) = expected {
        return Err(format!(
            "{at}: expected type: {expected}, found: {}",
            type_of(value)
        ));
    }
    if let Some(Value::Array(list)) = words.get("enum")
        && !list.iter().any(|one| equal(one, value))
    {
        return Err(format!("{at}: {value} is not a valid enum value"));
    }
    if let Some(only) = words.get("const")
        && !equal(only, value)
    {
        return Err(format!("{at}: {value} is not {only}"));
    }
    Ok(())
}

fn number(words: &Map<String, Value>, value: &Value, at: &str) -> Checked {
    let number = value.as_f64().unwrap_or(f64::NAN);
    let limit = |name: &str| words.get(name).and_then(Value::as_f64);
    let exclusive = |name: &str| words.get(name) == Some(&Value::Bool(true));
    let checks = [
        (
            limit("minimum").is_some_and(|least| {
                number < least || (exclusive("exclusiveMinimum") && number <= least)
            }),
            "minimum",
        ),
        (
            limit("maximum").is_some_and(|most| {
                number > most || (exclusive("exclusiveMaximum") && number >= most)
            }),
            "maximum",
        ),
        (
            limit("exclusiveMinimum").is_some_and(|least| number <= least),
            "exclusiveMinimum",
        ),
        (
            limit("exclusiveMaximum").is_some_and(|most| number >= most),
            "exclusiveMaximum",
        ),
    ];
    for (broken, name) in checks {
        if broken {
            let limit = words.get(name).cloned().unwrap_or_default();
            return Err(format!("{at}: {value} is beyond {name} {limit}"));
        }
    }
    if let Some(factor) = limit("multipleOf").filter(|factor| *factor > 0.0) {
        let times = number / factor;
        if (times - times.round()).abs() > 1e-9 * times.abs().max(1.0) {
            return Err(format!("{at}: {value} is not a multiple of {factor}"));
        }
    }
    Ok(())
}

fn limits(
    words: &Map<String, Value>,
    least: &str,
    most: &str,
    actual: f64,
    what: &str,
    at: &str,
) -> Checked {
    let limit = |name: &str| words.get(name).and_then(Value::as_f64);
    if let Some(least) = limit(least).filter(|least| actual < *least) {
        return Err(format!(
            "{at}: expected minimum {what}: {least}, actual: {actual}"
        ));
    }
    if let Some(most) = limit(most).filter(|most| actual > *most) {
        return Err(format!(
            "{at}: expected maximum {what}: {most}, actual: {actual}"
        ));
    }
    Ok(())
}

fn is_type(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("integer", Value::Number(number)) => {
            number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        (name, value) => name == type_of(value),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Equality in which 1 is 1.0.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Whether a text has one of the common formats; others are not looked at.
fn is_format(format: &str, text: &str) -> bool {
    match format {
        "date" => is_date(text),
        "date-time" => {
            let split = text.split_once(['T', 't', ' ']);
            split.is_some_and(|(date, time)| is_date(date) && is_time(time))
        }
        "time" => is_time(text),
        "email" => {
            let split = text.rsplit_once('@');
            split.is_some_and(|(user, host)| {
                !user.is_empty() && !host.is_empty() && !text.contains(' ')
            })
        }
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "hostname" => {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !text.is_empty()
                && text.len() <= 253
                && text
                    .split('.')
                    .all(|part| !part.is_empty() && part.len() <= 63 && part.chars().all(plain))
        }
        "uri" => text.split_once(':').is_some_and(|(scheme, rest)| {
            !scheme.is_empty() && !rest.is_empty() && !text.contains(' ')
        }),
        "uuid" => {
            let parts: Vec<usize> = text.split('-').map(str::len).collect();
            parts == [8, 4, 4, 4, 12] && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        }
        "regex" => Regex::new(text).is_ok(),
        _ => true,
    }
}

fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut part = |count| parts.next().and_then(|part| digits(part, count));
    let (Some(year), Some(month), Some(day)) = (part(4), part(2), part(2)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let most = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    parts.next().is_none() && (1..=12).contains(&month) && (1..=most).contains(&day)
}

fn is_time(text: &str) -> bool {
    let zone = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone);
    let clock = clock.split_once('.').map_or(clock, |(clock, _)| clock);
    let parts: Vec<Option<u32>> = clock.split(':').map(|part| digits(part, 2)).collect();
    let clock = matches!(parts.as_slice(), [Some(0..=23), Some(0..=59), Some(0..=60)]);
    let zone = match zone.strip_prefix(['+', '-']) {
        Some(offset) => offset.split_once(':').is_some_and(|(hours, minutes)| {
            digits(hours, 2).is_some() && digits(minutes, 2).is_some()
        }),
        None => zone.eq_ignore_ascii_case("Z"),
    };
    clock && zone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, payload: &str) -> Result<()> {
        Validator::new(Documents::parse(schema, &[]).expect("JSON")).check(payload.as_bytes())
    }

    #[test]
    fn each_word_has_its_say() {
        for (schema, good, bad) in [
            (r#"{"type":"integer"}"#, "3", "3.5"),
            (r#"{"type":["null","string"]}"#, "null", "1"),
            (r#"{"enum":["a",1]}"#, "1.0", "\"b\""),
            (r#"{"const":{"a":1}}"#, r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"minimum":1,"maximum":3}"#, "2", "4"),
            (r#"{"minimum":1,"exclusiveMinimum":true}"#, "2", "1"),
            (r#"{"exclusiveMaximum":3}"#, "2.9", "3"),
            (r#"{"multipleOf":0.1}"#, "0.3", "0.35"),
            (r#"{"minLength":2,"maxLength":3}"#, "\"äöü\"", "\"a\""),
            (r#"{"pattern":"^a+$"}"#, "\"aa\"", "\"ab\""),
            (
                r#"{"format":"date-time"}"#,
                "\"2024-02-29T10:00:00Z\"",
                "\"2023-02-29T10:00:00Z\"",
            ),
            (
                r#"{"items":{"type":"string"},"minItems":1}"#,
                r#"["a"]"#,
                "[1]",
            ),
            (
                r#"{"items":[{"type":"string"}],"additionalItems":false}"#,
                r#"["a"]"#,
                r#"["a",1]"#,
            ),
            (
                r#"{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}"#,
                r#"["a",1]"#,
                r#"["a","b"]"#,
            ),
            (r#"{"contains":{"const":1}}"#, "[2,1]", "[2]"),
            (r#"{"uniqueItems":true}"#, "[1,2]", "[1,1.0]"),
            (
                r#"{"required":["a"],"maxProperties":1}"#,
                r#"{"a":1}"#,
                r#"{"b":1}"#,
            ),
            (
                r#"{"properties":{"a":{"type":"string"}},"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":false}"#,
                r#"{"a":"s","x1":1}"#,
                r#"{"b":1}"#,
            ),
            (
                r#"{"propertyNames":{"maxLength":1}}"#,
                r#"{"a":1}"#,
                r#"{"ab":1}"#,
            ),
            (
                r#"{"dependencies":{"a":["b"]}}"#,
                r#"{"a":1,"b":1}"#,
                r#"{"a":1}"#,
            ),
            (
                r#"{"dependentSchemas":{"a":{"required":["b"]}}}"#,
                r#"{"c":1}"#,
                r#"{"a":1}"#,
            ),
            (r#"{"allOf":[{"type":"integer"},{"minimum":2}]}"#, "2", "1"),
            (
                r#"{"anyOf":[{"type":"integer"},{"type":"null"}]}"#,
                "null",
                "\"a\"",
            ),
            (r#"{"oneOf":[{"type":"integer"},{"minimum":2}]}"#, "1", "3"),
            (r#"{"not":{"type":"integer"}}"#, "\"a\"", "1"),
            (
                r#"{"if":{"type":"integer"},"then":{"minimum":2},"else":{"type":"string"}}"#,
                "\"a\"",
                "1",
            ),
            (
                r##"{"definitions":{"A":{"type":"integer"}},"properties":{"a":{"$ref":"#/definitions/A"}}}"##,
                r#"{"a":1}"#,
                r#"{"a":"x"}"#,
            ),
            ("true", "1", "{"),
        ] {
            check(schema, good).unwrap_or_else(|error| panic!("{schema} {good}: {error}"));
            check(schema, bad).expect_err(schema);
        }
        let endless = r##"{"$ref":"#"}"##;
        check(endless, "1").expect_err("endless");
    }
}
