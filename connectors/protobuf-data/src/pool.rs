//! What the names in a file and its imports mean: messages and enums by number, fields with the
//! types that they have.

use std::collections::{HashMap, HashSet};

use connect_api::{Error, Result};

use crate::known;
use crate::parse::parse;
use crate::scalar::Scalar;
use crate::syntax::{Enum, Features, Field, File, Label, Message, Syntax};

/// All types of a file and of what it imports.
#[derive(Debug, Default)]
pub struct Pool {
    pub(crate) messages: Vec<MessageType>,
    pub(crate) enums: Vec<EnumType>,
    /// The messages of the file itself, in its order.
    roots: Vec<usize>,
}

/// A message type.
#[derive(Debug)]
pub(crate) struct MessageType {
    pub(crate) full_name: String,
    pub(crate) fields: Vec<FieldType>,
    pub(crate) oneofs: Vec<String>,
    /// Its nested messages, without those made for maps.
    nested: Vec<usize>,
    pub(crate) map_entry: bool,
}

/// An enum type.
#[derive(Debug)]
pub(crate) struct EnumType {
    pub(crate) full_name: String,
    pub(crate) values: Vec<(String, i32)>,
    /// Whether a number without a name is no value (proto2).
    pub(crate) closed: bool,
}

/// A field.
#[derive(Debug)]
pub(crate) struct FieldType {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) kind: FieldKind,
    pub(crate) repeated: bool,
    pub(crate) required: bool,
    /// Whether there is a difference between nothing and zero.
    pub(crate) presence: bool,
    /// Written `optional`: by proto3's word, or by proto2's.
    pub(crate) optional: bool,
    pub(crate) proto2: bool,
    pub(crate) oneof: Option<usize>,
    pub(crate) params: Vec<(String, String)>,
    /// Written between two tags and not behind a length.
    pub(crate) group: bool,
}

/// What a field holds; messages and enums by their place in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Scalar(Scalar),
    Enum(usize),
    Message(usize),
}

#[derive(Clone, Copy)]
enum Known {
    Message(usize),
    Enum(usize),
}

impl Pool {
    /// The types of a schema's text; `references` are the files that it imports, by path.
    ///
    /// # Errors
    /// A text is no Protobuf schema, or names what there is not.
    pub fn new(text: &str, references: &[(String, String)]) -> Result<Self> {
        let mut files = Vec::new();
        let mut seen = HashSet::new();
        let root = parse(text, "the schema")?;
        let mut wanted = root.imports.clone();
        files.push(root);
        while let Some(path) = wanted.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let reference = references.iter().find(|(name, _)| *name == path);
            let file = match reference {
                Some((name, text)) => parse(text, name)?,
                None => match known::text(&path) {
                    Some(text) => parse(&text, &path)?,
                    // Only an error where something of it is used.
                    None => continue,
                },
            };
            wanted.extend(file.imports.iter().cloned());
            files.push(file);
        }
        let mut pool = Self::default();
        let mut names = HashMap::new();
        let mut declared = Vec::new();
        for (place, file) in files.iter().enumerate() {
            let mut roots = Vec::new();
            for message in &file.messages {
                roots.push(pool.declare(file, message, &file.package, &mut names, &mut declared));
            }
            for list in &file.enums {
                pool.declare_enum(file, list, &file.package, &mut names);
            }
            if place == 0 {
                pool.roots = roots;
            }
        }
        for (at, file, message, outer) in declared {
            let features = message.features.inside(outer);
            let full_name = pool.messages.get(at).map(|m| m.full_name.clone());
            let scope = full_name.unwrap_or_default();
            let mut fields = Vec::with_capacity(message.fields.len());
            let mut numbers = HashSet::new();
            for field in &message.fields {
                if !numbers.insert(field.number) {
                    return Err(Error::data(format!(
                        "Field number {} has already been used in \"{scope}\"",
                        field.number
                    )));
                }
                fields.push(resolve(file, field, &scope, features, &names)?);
            }
            if let Some(known) = pool.messages.get_mut(at) {
                known.fields = fields;
            }
        }
        Ok(pool)
    }

    fn declare<'a>(
        &mut self,
        file: &'a File,
        message: &'a Message,
        scope: &str,
        names: &mut HashMap<String, Known>,
        declared: &mut Vec<(usize, &'a File, &'a Message, Features)>,
    ) -> usize {
        let full_name = joined(scope, &message.name);
        let at = self.messages.len();
        names.insert(full_name.clone(), Known::Message(at));
        declared.push((at, file, message, file.features));
        self.messages.push(MessageType {
            full_name: full_name.clone(),
            fields: Vec::new(),
            oneofs: message.oneofs.clone(),
            nested: Vec::new(),
            map_entry: message.map_entry,
        });
        for list in &message.enums {
            self.declare_enum(file, list, &full_name, names);
        }
        let mut nested = Vec::new();
        for inner in &message.messages {
            let inner_at = self.declare(file, inner, &full_name, names, declared);
            if !inner.map_entry {
                nested.push(inner_at);
            }
        }
        if let Some(known) = self.messages.get_mut(at) {
            known.nested = nested;
        }
        at
    }

    fn declare_enum(
        &mut self,
        file: &File,
        list: &Enum,
        scope: &str,
        names: &mut HashMap<String, Known>,
    ) {
        let full_name = joined(scope, &list.name);
        names.insert(full_name.clone(), Known::Enum(self.enums.len()));
        self.enums.push(EnumType {
            full_name,
            values: list.values.clone(),
            closed: file.syntax == Syntax::Proto2,
        });
    }

    /// The message that a message's indexes lead to.
    pub(crate) fn by_indexes(&self, indexes: &[i32]) -> Option<usize> {
        let (first, rest) = indexes.split_first()?;
        let mut at = *self.roots.get(usize::try_from(*first).ok()?)?;
        for index in rest {
            at = *self
                .messages
                .get(at)?
                .nested
                .get(usize::try_from(*index).ok()?)?;
        }
        Some(at)
    }

    /// The indexes that lead to the message of this full name; to the first message without one.
    pub fn indexes_of(&self, full_name: Option<&str>) -> Option<Vec<i32>> {
        let Some(name) = full_name else {
            return (!self.roots.is_empty()).then(|| vec![0]);
        };
        let mut path = Vec::new();
        self.find(&self.roots, name, &mut path).then_some(path)
    }

    fn find(&self, among: &[usize], name: &str, path: &mut Vec<i32>) -> bool {
        for (index, &at) in among.iter().enumerate() {
            let Some(message) = self.messages.get(at) else {
                continue;
            };
            path.push(i32::try_from(index).unwrap_or(i32::MAX));
            if message.full_name == name || self.find(&message.nested, name, path) {
                return true;
            }
            path.pop();
        }
        false
    }

    /// The full name of the message that these indexes lead to.
    pub fn name_of(&self, indexes: &[i32]) -> Option<&str> {
        let at = self.by_indexes(indexes)?;
        self.messages
            .get(at)
            .map(|message| message.full_name.as_str())
    }

    /// Whether what is written as `writer` can be read as this: no number has changed its type.
    pub fn reads(&self, writer: &Self) -> bool {
        writer.roots.iter().all(|&at| {
            let Some(old) = writer.messages.get(at) else {
                return true;
            };
            let new = self.roots.iter().filter_map(|&at| self.messages.get(at));
            let mut same = new.filter(|new| new.full_name == old.full_name);
            same.next()
                .is_none_or(|new| self.fields_read(new, writer, old, 0))
        })
    }

    fn fields_read(
        &self,
        new: &MessageType,
        writer: &Self,
        old: &MessageType,
        depth: usize,
    ) -> bool {
        let compatible = |new: &FieldType, old: &FieldType| match (new.kind, old.kind) {
            (FieldKind::Message(new), FieldKind::Message(old)) => {
                match (self.messages.get(new), writer.messages.get(old)) {
                    (Some(new), Some(old)) => {
                        depth > crate::MAX_DEPTH
                            || (new.full_name == old.full_name
                                && (depth >= 8 || self.fields_read(new, writer, old, depth + 1)))
                    }
                    _ => false,
                }
            }
            (FieldKind::Enum(_), FieldKind::Enum(_)) => true,
            (FieldKind::Scalar(new), FieldKind::Scalar(old)) => family(new) == family(old),
            (FieldKind::Scalar(scalar), FieldKind::Enum(_))
            | (FieldKind::Enum(_), FieldKind::Scalar(scalar)) => family(scalar) == 0,
            _ => false,
        };
        old.fields.iter().all(|old| {
            let mut same = new.fields.iter().filter(|new| new.number == old.number);
            same.next().is_none_or(|new| compatible(new, old))
        })
    }
}

/// The full name of the message that `indexes` lead to in a text; nothing where there is none.
pub fn message_name(text: &str, indexes: &[i32]) -> Option<String> {
    let file = parse(text, "the schema").ok()?;
    let mut messages: Vec<&Message> = file.messages.iter().collect();
    let mut name = file.package;
    for index in indexes {
        let message = *messages.get(usize::try_from(*index).ok()?)?;
        name = joined(&name, &message.name);
        messages = message
            .messages
            .iter()
            .filter(|inner| !inner.map_entry)
            .collect();
    }
    Some(name)
}

/// Types of one family read each other's bytes.
fn family(scalar: Scalar) -> u8 {
    match scalar {
        Scalar::Int32 | Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64 | Scalar::Bool => 0,
        Scalar::Sint32 | Scalar::Sint64 => 1,
        Scalar::String | Scalar::Bytes => 2,
        Scalar::Fixed32 | Scalar::Sfixed32 => 3,
        Scalar::Fixed64 | Scalar::Sfixed64 => 4,
        Scalar::Float => 5,
        Scalar::Double => 6,
    }
}

fn joined(scope: &str, name: &str) -> String {
    match scope {
        "" => name.to_owned(),
        scope => format!("{scope}.{name}"),
    }
}

fn resolve(
    file: &File,
    field: &Field,
    scope: &str,
    features: Features,
    names: &HashMap<String, Known>,
) -> Result<FieldType> {
    let kind = match Scalar::of(&field.type_name) {
        Some(scalar) => FieldKind::Scalar(scalar),
        None => match lookup(&field.type_name, scope, names) {
            Some(Known::Message(at)) => FieldKind::Message(at),
            Some(Known::Enum(at)) => FieldKind::Enum(at),
            None => {
                return Err(Error::data(format!(
                    "\"{}\" is not defined: it is the type of {scope}.{} and neither the schema nor \
                     what it imports has it",
                    field.type_name, field.name
                )));
            }
        },
    };
    let features = field.features.inside(features);
    let edition = file.syntax == Syntax::Edition;
    let repeated = field.label == Label::Repeated;
    let message = matches!(kind, FieldKind::Message(_));
    let implicit = match file.syntax {
        Syntax::Proto2 => false,
        Syntax::Proto3 => field.label != Label::Optional,
        Syntax::Edition => features.implicit_presence == Some(true),
    };
    Ok(FieldType {
        name: field.name.clone(),
        number: field.number,
        kind,
        repeated,
        required: field.label == Label::Required || (edition && features.required == Some(true)),
        presence: !repeated && (message || field.oneof.is_some() || !implicit),
        optional: field.label == Label::Optional || (edition && !implicit && !repeated),
        proto2: file.syntax == Syntax::Proto2,
        oneof: field.oneof,
        params: field.params.clone(),
        group: field.group || (edition && message && features.delimited == Some(true)),
    })
}

/// What a name means: from the inside out.
fn lookup(name: &str, scope: &str, names: &HashMap<String, Known>) -> Option<Known> {
    if let Some(absolute) = name.strip_prefix('.') {
        return names.get(absolute).copied();
    }
    let mut scope = scope;
    loop {
        if let Some(known) = names.get(&joined(scope, name)) {
            return Some(*known);
        }
        if scope.is_empty() {
            return None;
        }
        scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
    }
}
