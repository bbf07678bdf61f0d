//! The texts of a schema and of what it refers to, and what a `$ref` in them means.

use connect_api::data::ByteString;
use connect_api::data::json::{Failure, Number, Parser};
use connect_api::{Error, Result};
use serde_json::{Map, Value};

/// Texts that are nested deeper are refused.
const MAX_DEPTH: usize = 128;

/// A schema and the schemas that it refers to, parsed.
#[derive(Debug)]
pub struct Documents {
    /// The schema itself first; the others by the name under which they are referred to.
    documents: Vec<(String, Value)>,
}

/// A place in the documents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) document: usize,
    pub(crate) node: &'a Value,
}

impl<'a> Place<'a> {
    /// Another node of the same document.
    pub(crate) fn with(self, node: &'a Value) -> Self {
        Self { node, ..self }
    }
    pub(crate) fn get(self, name: &str) -> Option<Self> {
        self.node.get(name).map(|node| self.with(node))
    }
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.node.get(name).and_then(Value::as_str)
    }
    /// The members of an array.
    pub(crate) fn list(self, name: &str) -> Option<impl Iterator<Item = Self>> {
        let list = self.node.get(name)?.as_array()?;
        Some(list.iter().map(move |node| self.with(node)))
    }
    /// Tells nodes apart.
    pub(crate) fn address(self) -> usize {
        std::ptr::from_ref(self.node).addr()
    }
}

impl Documents {
    /// A schema's text with those that it refers to by name.
    ///
    /// # Errors
    /// A text is not JSON, or is nested too deeply.
    pub fn parse(text: &str, references: &[(String, String)]) -> Result<Self> {
        let mut documents = vec![(String::new(), parse(text, "the schema")?)];
        for (name, text) in references {
            documents.push((name.clone(), parse(text, name)?));
        }
        Ok(Self { documents })
    }

    /// The schema itself.
    pub(crate) fn root(&self) -> Place<'_> {
        Place {
            document: 0,
            node: self
                .documents
                .first()
                .map_or(&Value::Null, |(_, root)| root),
        }
    }

    /// All schemas.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Value> {
        self.documents.iter().map(|(_, root)| root)
    }

    /// What `reference` means where it stands in `document`.
    pub(crate) fn resolve(&self, document: usize, reference: &str) -> Result<Place<'_>> {
        self.find(document, reference).ok_or_else(|| {
            Error::data(format!(
                "the JSON Schema refers to {reference}, which is neither in it nor among its references"
            ))
        })
    }

    fn find(&self, document: usize, reference: &str) -> Option<Place<'_>> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = self.at(document)?;
        let target = if uri.is_empty() {
            base
        } else {
            let resolved = join(id(base.node).unwrap_or_default(), uri);
            self.document(uri)
                .or_else(|| self.document(&resolved))
                .or_else(|| self.inner(uri))
                .or_else(|| self.inner(&resolved))?
        };
        if fragment.is_empty() {
            return Some(target);
        }
        if fragment.starts_with('/') {
            let pointer = percent_decoded(fragment);
            return Some(target.with(target.node.pointer(&pointer)?));
        }
        let anchor = format!("#{fragment}");
        let named = |node: &Value| {
            id(node).is_some_and(|id| id.ends_with(&anchor))
                || ["$anchor", "$dynamicAnchor"]
                    .iter()
                    .any(|key| node.get(key).and_then(Value::as_str) == Some(fragment))
        };
        search(target.node, &named).map(|node| target.with(node))
    }

    fn at(&self, document: usize) -> Option<Place<'_>> {
        let (_, node) = self.documents.get(document)?;
        Some(Place { document, node })
    }

    /// The document of this name or `$id`.
    fn document(&self, uri: &str) -> Option<Place<'_>> {
        let same = |id: &str| id.trim_end_matches('#') == uri;
        let at = self
            .documents
            .iter()
            .position(|(name, root)| name == uri || id(root).is_some_and(same))?;
        self.at(at)
    }

    /// The node inside a document that has this `$id`.
    fn inner(&self, uri: &str) -> Option<Place<'_>> {
        let found = |node: &Value| id(node) == Some(uri);
        (0..self.documents.len()).find_map(|document| {
            let place = self.at(document)?;
            search(place.node, &found).map(|node| place.with(node))
        })
    }
}

/// The title at a schema's root.
pub fn title(text: &str) -> Option<String> {
    let root: Value = serde_json::from_str(text).ok()?;
    root.get("title")?.as_str().map(ToOwned::to_owned)
}

fn parse(text: &str, what: &str) -> Result<Value> {
    let text = ByteString::from(text);
    let mut parser = Parser::new(&text);
    let parsed = value(&mut parser, &text, 0);
    parsed.map_err(|failure| {
        let error = Error::data(format!("{what} is no JSON Schema"));
        match failure {
            Some(failure) => error.with_source(failure.located_in(&text)),
            None => error.with_source(Error::data("it is nested too deeply, or cut off")),
        }
    })
}

/// Member beside a `default` that a tree of doubles cannot hold: the default as it is written.
pub(crate) const EXACT_DEFAULT: &str = "\0default";

/// The tree of a JSON text. Doubles are the nearest ones, which `serde_json` does not promise.
fn value(
    parser: &mut Parser<'_>,
    text: &ByteString,
    depth: usize,
) -> std::result::Result<Value, Option<Box<Failure>>> {
    if depth > MAX_DEPTH {
        return Err(None);
    }
    let close = match parser.peek_token() {
        Some(b'{') => b'}',
        Some(b'[') => b']',
        Some(b'"') => {
            parser.pos += 1;
            return Ok(Value::from(&*parser.string()?));
        }
        Some(b'-' | b'0'..=b'9') => {
            return Ok(match parser.number()? {
                Number::Integer(number) => Value::from(number),
                Number::BigInteger(text) | Number::Fraction(text) => {
                    Value::from(text.parse().unwrap_or(0.0))
                }
            });
        }
        Some(b'n') if parser.eat(b"null") => return Ok(Value::Null),
        Some(b't') if parser.eat(b"true") => return Ok(Value::Bool(true)),
        Some(b'f') if parser.eat(b"false") => return Ok(Value::Bool(false)),
        _ => {
            parser.skip_value()?;
            return Err(None);
        }
    };
    let start = parser.pos;
    parser.pos += 1;
    let (mut members, mut items) = (Map::new(), Vec::new());
    if parser.peek_token() == Some(close) {
        parser.pos += 1;
    } else {
        loop {
            let mut name = None;
            if close == b'}' {
                if parser.peek_token() != Some(b'"') {
                    return broken(parser, start);
                }
                parser.pos += 1;
                name = Some(parser.string()?);
                if parser.peek_token() != Some(b':') {
                    return broken(parser, start);
                }
                parser.pos += 1;
            }
            let from = parser.pos;
            let inner = value(parser, text, depth + 1)?;
            let raw = text.get(from..parser.pos).unwrap_or_default();
            match name {
                Some(name) => {
                    if &*name == "default" && holds_fraction(&inner) {
                        members.insert(EXACT_DEFAULT.to_owned(), Value::from(raw));
                    }
                    members.insert(name.to_string(), inner);
                }
                None => items.push(inner),
            }
            match parser.peek_token() {
                Some(b',') => parser.pos += 1,
                Some(end) if end == close => {
                    parser.pos += 1;
                    break;
                }
                _ => return broken(parser, start),
            }
        }
    }
    Ok(match close {
        b'}' => Value::Object(members),
        _ => Value::Array(items),
    })
}

/// What the parser says of an object or array that does not go on as it should.
fn broken<T>(
    parser: &mut Parser<'_>,
    start: usize,
) -> std::result::Result<T, Option<Box<Failure>>> {
    parser.pos = start;
    parser.skip_value()?;
    Err(None)
}

fn holds_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(holds_fraction),
        Value::Object(members) => members.values().any(holds_fraction),
        _ => false,
    }
}

fn id(node: &Value) -> Option<&str> {
    node.get("$id").or_else(|| node.get("id"))?.as_str()
}

/// The first node, from the outside in, that is `wanted`.
fn search<'a>(node: &'a Value, wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    if wanted(node) {
        return Some(node);
    }
    match node {
        Value::Object(members) => members.values().find_map(|inner| search(inner, wanted)),
        Value::Array(items) => items.iter().find_map(|inner| search(inner, wanted)),
        _ => None,
    }
}

/// A relative address beside the base.
fn join(base: &str, uri: &str) -> String {
    if uri.contains("://") || uri.starts_with("urn:") {
        return uri.to_owned();
    }
    let (root, path) = match base.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            (format!("{scheme}://{host}/"), path)
        }
        None => (String::new(), base),
    };
    if let Some(absolute) = uri.strip_prefix('/') {
        return format!("{root}{absolute}");
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in uri.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("{root}{}", parts.join("/"))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(code) if byte == b'%' => {
                bytes.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> Documents {
        Documents::parse(
            r##"{"$id":"http://x.org/a/root.json","definitions":{"A b":{"title":"A"}},
                "properties":{"n":{"$id":"#named","title":"N"},"m":{"$anchor":"mm","title":"M"}}}"##,
            &[
                ("other.json".to_owned(), r#"{"title":"O","definitions":{"B":{"title":"B"}}}"#.to_owned()),
                ("x".to_owned(), r#"{"$id":"http://x.org/a/third.json","title":"T"}"#.to_owned()),
            ],
        )
        .expect("JSON")
    }

    #[test]
    fn references_lead_to_pointers_names_anchors_and_ids() {
        let documents = documents();
        for (reference, title) in [
            ("#/definitions/A%20b", "A"),
            ("#named", "N"),
            ("#mm", "M"),
            ("other.json", "O"),
            ("other.json#/definitions/B", "B"),
            ("third.json", "T"),
            ("../a/third.json#", "T"),
            ("http://x.org/a/third.json", "T"),
        ] {
            let place = documents.resolve(0, reference).expect(reference);
            assert_eq!(place.text("title"), Some(title), "{reference}");
        }
        let error = documents.resolve(0, "#/nowhere").expect_err("nowhere");
        assert!(error.message().contains("#/nowhere"));
    }
}
