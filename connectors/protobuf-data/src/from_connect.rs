//! A Connect schema as the `.proto` text that is registered.

use connect_api::data::logical::SCALE;
use connect_api::data::{Schema, SchemaRef, SchemaType};
use connect_api::{Error, Result};

use crate::known;
use crate::layout::{self, Type, scrubbed, symbols, type_of};
use crate::print::print;
use crate::scalar::Scalar;
use crate::syntax::{Enum, Field, File, Label, Message};
use crate::{DEFAULT_NAME, MAX_DEPTH, PRECISION, ProtobufOptions};

/// What is registered for a Connect schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSchema {
    /// The text.
    pub text: String,
    /// The full name of the message.
    pub full_name: String,
    /// Where it is in the file.
    pub indexes: Vec<i32>,
}

/// The Protobuf schema of a Connect schema.
///
/// # Errors
/// The schema has no Protobuf form: a list at its root, a list of lists, a name that is none.
pub fn message_schema(schema: &SchemaRef, options: &ProtobufOptions) -> Result<MessageSchema> {
    match schema.kind() {
        SchemaType::Struct => {}
        SchemaType::Array | SchemaType::Map => {
            return Err(illegal(format!(
                "Unsupported root schema of type {}",
                schema.kind().name()
            )));
        }
        _ => {
            let (place, name) = root_scalar(schema).wrapper().unwrap_or((0, "DoubleValue"));
            return Ok(MessageSchema {
                text: known::WRAPPERS_TEXT.to_owned(),
                full_name: format!("google.protobuf.{name}"),
                indexes: vec![i32::try_from(place).unwrap_or(0)],
            });
        }
    }
    let mut builder = Builder {
        options,
        imports: Vec::new(),
        unnamed: 0,
        open: Vec::new(),
    };
    let full_name = match schema.name() {
        Some(name) => scrubbed(name, options),
        None => builder.default_name(),
    };
    let (package, name) = full_name.rsplit_once('.').unwrap_or(("", &full_name));
    for part in full_name.split('.') {
        check_name(part)?;
    }
    let message = builder.message(schema, name.to_owned())?;
    let file = File {
        package: package.to_owned(),
        imports: builder.imports,
        messages: vec![message],
        ..File::default()
    };
    Ok(MessageSchema {
        text: print(&file),
        full_name: full_name.clone(),
        indexes: vec![0],
    })
}

/// The scalar that a root which is no struct is wrapped as.
pub(crate) fn root_scalar(schema: &Schema) -> Scalar {
    let told = schema.parameter(crate::TYPE).and_then(Scalar::of);
    told.filter(|told| told.connect() == schema.kind() && told.wrapper().is_some())
        .or_else(|| Scalar::usual(schema.kind()))
        .unwrap_or(Scalar::String)
}

fn illegal(message: String) -> Error {
    Error::data(message).with_class("java.lang.IllegalArgumentException")
}

fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(Error::data(format!(
            "\"{name}\" is not a valid identifier. Set scrub.invalid.names=true to have such names \
             changed."
        )));
    }
    Ok(())
}

struct Builder<'a> {
    options: &'a ProtobufOptions,
    imports: Vec<String>,
    /// How many names were made up.
    unnamed: usize,
    /// The messages around, from the outside in, with what is declared in each.
    open: Vec<Open>,
}

struct Open {
    name: String,
    message: Message,
    /// What the nested messages stand for.
    declared: Vec<(String, SchemaRef)>,
}

impl Builder<'_> {
    fn default_name(&mut self) -> String {
        self.unnamed += 1;
        format!("{DEFAULT_NAME}{}", self.unnamed)
    }

    fn import(&mut self, path: &str) {
        if !self.imports.iter().any(|known| known == path) {
            self.imports.push(path.to_owned());
        }
    }

    fn message(&mut self, schema: &Schema, name: String) -> Result<Message> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Error::data(format!(
                "a schema is nested more than {MAX_DEPTH} levels deep"
            )));
        }
        self.open.push(Open {
            name: name.clone(),
            message: Message {
                name,
                ..Message::default()
            },
            declared: Vec::new(),
        });
        let (layout, oneofs) = layout::fields(schema, self.options)?;
        let mut fields: Vec<Field> = Vec::with_capacity(layout.len());
        for field in &layout {
            check_name(&field.name)?;
            if fields.iter().any(|known| known.name == field.name) {
                return Err(Error::data(format!(
                    "\"{}\" is already defined",
                    field.name
                )));
            }
            let mut built = self.field(&field.name, field.schema)?;
            built.number = field.number;
            built.oneof = field.choice.map(|(_, oneof)| oneof);
            if built.oneof.is_some() {
                built.label = Label::None;
            }
            fields.push(built);
        }
        let Some(open) = self.open.pop() else {
            return Err(Error::data("a message was closed twice"));
        };
        Ok(Message {
            fields,
            oneofs,
            ..open.message
        })
    }

    fn field(&mut self, name: &str, schema: &SchemaRef) -> Result<Field> {
        let kind = type_of(schema, self.options, false)?;
        let (label, schema, kind) = match kind {
            Type::Repeated(element) => (
                Label::Repeated,
                element,
                type_of(element, self.options, true)?,
            ),
            kind => {
                let optional = self.options.optional_for_nullables
                    && schema.is_optional()
                    && !matches!(kind, Type::Map(..) | Type::Wrapper(_));
                let label = match optional {
                    true => Label::Optional,
                    false => Label::None,
                };
                (label, schema, kind)
            }
        };
        let mut field = Field {
            label,
            name: name.to_owned(),
            ..Field::default()
        };
        field.type_name = match kind {
            Type::Scalar(scalar) => scalar.name().to_owned(),
            Type::Wrapper(scalar) => {
                self.import(known::WRAPPERS);
                let (_, name) = scalar.wrapper().unwrap_or_default();
                format!("google.protobuf.{name}")
            }
            Type::Decimal => {
                self.import(known::DECIMAL);
                for (parameter, key) in [(PRECISION, "precision"), (SCALE, SCALE)] {
                    if let Some(value) = schema.parameter(parameter) {
                        field.params.push((key.to_owned(), value.to_owned()));
                    }
                }
                "confluent.type.Decimal".to_owned()
            }
            Type::Date => {
                self.import(known::DATE);
                "google.type.Date".to_owned()
            }
            Type::TimeOfDay => {
                self.import(known::TIME_OF_DAY);
                "google.type.TimeOfDay".to_owned()
            }
            Type::Timestamp => {
                self.import(known::TIMESTAMP);
                "google.protobuf.Timestamp".to_owned()
            }
            Type::Enum(name) => self.enumeration(name, schema)?,
            Type::Message if schema.is_recursive() => self.recursion(schema)?,
            Type::Message => {
                let full = schema.name().map(|full| scrubbed(full, self.options));
                let short = full.as_deref().map(short_name);
                let type_name = match short {
                    Some(short) if short == name => format!("{short}Message"),
                    Some(short) => short.to_owned(),
                    None => self.default_name(),
                };
                self.nested(type_name, schema, |builder, name| {
                    builder.message(schema, name)
                })?
            }
            Type::Map(key, value) => {
                field.label = Label::Repeated;
                let type_name = match schema.name() {
                    Some(full) => {
                        let full = scrubbed(full, self.options);
                        format!("{}Entry", upper_camel(short_name(&full)))
                    }
                    None => format!("{}Entry", self.default_name()),
                };
                let entry = Schema::structure()
                    .field("key", SchemaRef::clone(key))
                    .field("value", SchemaRef::clone(value))
                    .build();
                self.nested(type_name, schema, |builder, name| {
                    builder.message(&entry, name)
                })?
            }
            Type::Repeated(_) => return Err(illegal("Array cannot be nested".to_owned())),
        };
        let small = matches!(schema.kind(), SchemaType::Int8 | SchemaType::Int16);
        if small && schema.logical().is_none() {
            let name = if schema.kind() == SchemaType::Int8 {
                "int8"
            } else {
                "int16"
            };
            field
                .params
                .push(("connect.type".to_owned(), name.to_owned()));
        }
        Ok(field)
    }

    /// The name of the message around that a schema refers to.
    fn recursion(&self, schema: &Schema) -> Result<String> {
        let target = schema.recursion();
        let name = target
            .as_deref()
            .unwrap_or(schema)
            .name()
            .map(|name| scrubbed(name, self.options));
        let short = name.as_deref().map(short_name);
        let around = |open: &&Open| Some(open.name.as_str()) == short;
        let open = self.open.iter().rev().find(around);
        open.map(|open| open.name.clone())
            .ok_or_else(|| Error::data("a schema refers to a struct that is not around it"))
    }

    /// The name of a nested message: one that is in sight already, or a new one.
    fn nested(
        &mut self,
        wanted: String,
        schema: &SchemaRef,
        make: impl FnOnce(&mut Self, String) -> Result<Message>,
    ) -> Result<String> {
        check_name(&wanted)?;
        for open in self.open.iter().rev() {
            if let Some((_, known)) = open.declared.iter().find(|(name, _)| *name == wanted) {
                if same(known, schema) {
                    return Ok(wanted);
                }
                break;
            }
        }
        let taken = |builder: &Self, name: &str| {
            builder.open.last().is_some_and(|open| {
                open.name == name
                    || open.declared.iter().any(|(known, _)| known == name)
                    || open.message.enums.iter().any(|known| known.name == name)
            })
        };
        // Two structs whose names differ in their package only.
        let mut name = wanted.clone();
        let mut more = 2;
        while taken(self, &name) {
            name = format!("{wanted}{more}");
            more += 1;
        }
        // In sight before its parts are: a name inside must not be taken for this one.
        let at = self.open.last_mut().map(|open| {
            open.declared.push((name.clone(), SchemaRef::clone(schema)));
            open.message.messages.push(Message::default());
            open.message.messages.len() - 1
        });
        let message = make(self, name.clone())?;
        if let (Some(open), Some(at)) = (self.open.last_mut(), at)
            && let Some(slot) = open.message.messages.get_mut(at)
        {
            *slot = message;
        }
        Ok(name)
    }

    fn enumeration(&mut self, name: &str, schema: &Schema) -> Result<String> {
        let name = scrubbed(short_name(name), self.options);
        check_name(&name)?;
        let values = symbols(schema);
        for (symbol, _) in &values {
            check_name(symbol)?;
        }
        let list = Enum {
            name: name.clone(),
            values,
        };
        if list.values.is_empty() {
            return Err(Error::data(format!("the enum {name} has no symbols")));
        }
        for open in self.open.iter_mut().rev() {
            if let Some(known) = open.message.enums.iter().find(|known| known.name == name) {
                if known.values == list.values {
                    return Ok(name);
                }
                break;
            }
        }
        if let Some(open) = self.open.last_mut() {
            if open.message.enums.iter().any(|known| known.name == name) {
                return Err(Error::data(format!(
                    "two enums of one message are called {name} and differ"
                )));
            }
            open.message.enums.push(list);
        }
        Ok(name)
    }
}

fn short_name(full: &str) -> &str {
    full.rsplit_once('.').map_or(full, |(_, short)| short)
}

/// Whether two structs or maps are one as messages: names, fields and what they hold.
fn same(a: &SchemaRef, b: &SchemaRef) -> bool {
    SchemaRef::ptr_eq(a, b)
        || (a.kind() == b.kind()
            && a.name() == b.name()
            && a.name().is_some()
            && a.fields().len() == b.fields().len()
            && a.fields().iter().zip(b.fields()).all(|(a, b)| {
                a.name == b.name
                    && (SchemaRef::ptr_eq(&a.schema, &b.schema) || a.schema == b.schema)
            })
            && a.key_schema() == b.key_schema()
            && a.value_schema() == b.value_schema())
}

/// `my_counts` as `MyCounts`: each word's first letter large, its others small.
fn upper_camel(name: &str) -> String {
    let mut camel = String::new();
    for word in name.split('_') {
        let mut characters = word.chars();
        camel.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(&characters.as_str().to_ascii_lowercase());
    }
    camel
}
