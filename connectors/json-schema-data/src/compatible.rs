//! Whether one schema reads what another one writes (`latest.compatibility.strict`): by the
//! registry's rules for objects that are open or closed, on the words that data depends on.

use serde_json::Value;

/// Deeper parts are taken to be compatible.
const MAX_DEPTH: usize = 32;

/// Whether data that is valid by `writer` is valid by `reader`. Both are texts.
pub fn compatible(reader: &str, writer: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (parsed(reader), parsed(writer)) {
        (Some(reader_root), Some(writer_root)) => {
            let roots = (&reader_root, &writer_root);
            reads(&reader_root, &writer_root, roots, 0)
        }
        _ => false,
    }
}

type Roots<'a> = (&'a Value, &'a Value);

fn reads(reader: &Value, writer: &Value, roots: Roots<'_>, depth: usize) -> bool {
    if reader == writer && roots.0 == roots.1 || depth > MAX_DEPTH {
        return true;
    }
    let (reader, writer) = (local(reader, roots.0), local(writer, roots.1));
    if allows_anything(reader) {
        return true;
    }
    // Each choice of the writer needs one of the reader.
    let (read, written) = (choices(reader), choices(writer));
    if read.len() > 1 || written.len() > 1 {
        return written.iter().all(|writer| {
            read.iter()
                .any(|reader| reads(reader, writer, roots, depth + 1))
        });
    }
    let (Some(reader), Some(writer)) = (read.first(), written.first()) else {
        return true;
    };
    let (reader, writer) = (local(reader, roots.0), local(writer, roots.1));
    types_fit(reader, writer)
        && listed(reader, writer)
        && object_fits(reader, writer, roots, depth)
        && match (reader.get("items"), writer.get("items")) {
            (Some(reader), Some(writer)) => reads(reader, writer, roots, depth + 1),
            (Some(reader), None) => allows_anything(reader),
            _ => true,
        }
}

/// What a reference inside the text means.
fn local<'a>(node: &'a Value, root: &'a Value) -> &'a Value {
    node.get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer))
        .unwrap_or(node)
}

fn allows_anything(node: &Value) -> bool {
    match node {
        Value::Bool(yes) => *yes,
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn choices(node: &Value) -> Vec<&Value> {
    let list = ["oneOf", "anyOf"]
        .iter()
        .find_map(|name| node.get(name).and_then(Value::as_array));
    match list {
        Some(list) => list.iter().collect(),
        None => vec![node],
    }
}

fn types(node: &Value) -> Vec<&str> {
    match node.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn types_fit(reader: &Value, writer: &Value) -> bool {
    let read = types(reader);
    let written = types(writer);
    if read.is_empty() {
        return true;
    }
    !written.is_empty()
        && written
            .iter()
            .all(|name| read.contains(name) || (*name == "integer" && read.contains(&"number")))
}

fn listed(reader: &Value, writer: &Value) -> bool {
    let list = |node: &Value| {
        let one = node.get("const").map(|value| vec![value.clone()]);
        one.or_else(|| node.get("enum").and_then(Value::as_array).cloned())
    };
    match (list(reader), list(writer)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(read), Some(written)) => written.iter().all(|value| read.contains(value)),
    }
}

fn object_fits(reader: &Value, writer: &Value, roots: Roots<'_>, depth: usize) -> bool {
    let members = |node: &'_ Value| node.get("properties").and_then(Value::as_object).cloned();
    let (Some(read), Some(written)) = (members(reader), members(writer)) else {
        return true;
    };
    let closed = |node: &Value| node.get("additionalProperties") == Some(&Value::Bool(false));
    let required = |node: &Value, name: &str| {
        let names = node.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|known| known.as_str() == Some(name)))
    };
    let of_both = written.iter().all(|(name, writer)| match read.get(name) {
        Some(reader) => reads(reader, writer, roots, depth + 1),
        // A closed reader refuses a member that it does not know.
        None => !closed(reader),
    });
    // A member that only the reader knows may stand in an open writer's data as anything.
    let only_read = read.iter().filter(|(name, _)| !written.contains_key(*name));
    let mut added = only_read.map(|(name, property)| {
        (closed(writer) || allows_anything(property))
            && (!required(reader, name) || property.get("default").is_some())
    });
    let newly_required = read.iter().any(|(name, property)| {
        written.contains_key(name)
            && required(reader, name)
            && !required(writer, name)
            && property.get("default").is_none()
    });
    of_both && added.all(|fits| fits) && !newly_required
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_takes_what_its_words_allow() {
        let object = |properties: &str, rest: &str| {
            format!(r#"{{"type":"object","properties":{{{properties}}}{rest}}}"#)
        };
        let a = r#""a":{"type":"integer"}"#;
        let both = r#""a":{"type":"integer"},"b":{"type":"string"}"#;
        let closed = r#","additionalProperties":false"#;
        for (reader, writer, expected) in [
            (object(a, ""), object(a, ""), true),
            (object(r#""a":{"type":"number"}"#, ""), object(a, ""), true),
            (object(r#""a":{"type":"string"}"#, ""), object(a, ""), false),
            (object(a, ""), object(both, ""), true),
            (object(a, closed), object(both, ""), false),
            (object(both, ""), object(a, ""), false),
            (object(both, ""), object(a, closed), true),
            (object(a, r#","required":["a"]"#), object(a, ""), false),
            (
                r#"{"oneOf":[{"type":"null"},{"type":"integer"}]}"#.to_owned(),
                r#"{"type":"integer"}"#.to_owned(),
                true,
            ),
            (
                r#"{"type":"integer"}"#.to_owned(),
                r#"{"oneOf":[{"type":"null"},{"type":"integer"}]}"#.to_owned(),
                false,
            ),
            (
                r#"{"enum":["a"]}"#.to_owned(),
                r#"{"enum":["a","b"]}"#.to_owned(),
                false,
            ),
        ] {
            assert_eq!(compatible(&reader, &writer), expected, "{reader} {writer}");
        }
    }
}
