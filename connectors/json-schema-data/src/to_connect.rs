//! A JSON Schema as a Connect schema.

use std::collections::{BTreeMap, HashMap, HashSet};

use connect_api::data::{Bytes, Knot, Schema, SchemaBuilder, SchemaRef, SchemaType};
use connect_api::java::HashMap as JavaHashMap;
use connect_api::{Error, Result};
use serde_json::Value;

use crate::documents::{Documents, EXACT_DEFAULT, Place};
use crate::read::read;
use crate::{
    CONNECT_INDEX, CONNECT_PARAMETERS, CONNECT_TYPE, CONNECT_VERSION, ENUM, GENERAL_ENUM,
    GENERAL_UNION, ID, JsonSchemaOptions, KEY, MAX_DEPTH, NULL_SYMBOL, ONE_OF, ONE_OF_FIELD, VALUE,
};

/// How many places of a schema are converted at most: references can make a small text endless.
const MAX_PLACES: usize = 100_000;

/// The Connect schema of a JSON Schema; `version` stands on its root unless it says its own.
/// `unions` counts generalized unions over all schemas that one converter reads.
///
/// # Errors
/// The schema has no Connect form: an array without items, a reference to nothing or to itself.
pub fn connect_schema(
    documents: &Documents,
    version: Option<i32>,
    options: &JsonSchemaOptions,
    unions: &mut usize,
) -> Result<SchemaRef> {
    let root = documents.root();
    let mut converter = Converter {
        documents,
        options,
        unions,
        open: HashMap::from([(root.address(), None)]),
        converted: HashMap::new(),
        ids: HashMap::new(),
        depth: 0,
        places: 0,
    };
    let schema = converter.schema(root, false)?;
    let knot = converter.open.remove(&root.address()).flatten();
    let schema = match version {
        Some(version) if schema.version().is_none() => schema.to_builder().version(version).build(),
        _ => schema,
    };
    converter.tied(schema, root, knot)
}

struct Converter<'a, 'o> {
    documents: &'a Documents,
    options: &'o JsonSchemaOptions,
    unions: &'o mut usize,
    /// What is being converted, with the end that refers to it from inside, if there is one.
    open: HashMap<usize, Option<Knot>>,
    /// What was referred to: the schema of each use after the first, by whether it is optional.
    converted: HashMap<(usize, bool), SchemaRef>,
    /// The name given to what is referred to more than once.
    ids: HashMap<usize, Option<String>>,
    depth: usize,
    places: usize,
}

/// Members of a schema that say nothing about the type.
const COMBINATIONS: [&str; 2] = ["oneOf", "anyOf"];

impl<'a> Converter<'a, '_> {
    fn schema(&mut self, place: Place<'a>, optional: bool) -> Result<SchemaRef> {
        self.depth += 1;
        self.places += 1;
        if self.depth > MAX_DEPTH || self.places > MAX_PLACES {
            return Err(Error::data(
                "a JSON Schema is nested too deeply, or refers to too much",
            ));
        }
        let schema = self.convert(place, optional)?;
        self.depth -= 1;
        Ok(schema)
    }

    fn convert(&mut self, place: Place<'a>, optional: bool) -> Result<SchemaRef> {
        if let Some(reference) = place.text("$ref") {
            let target = self.documents.resolve(place.document, reference)?;
            let more = ["properties", "allOf", "oneOf", "anyOf", "type"]
                .iter()
                .any(|name| place.node.get(name).is_some());
            if !more {
                return self.referred(target, optional);
            }
        }
        let parts = self.parts(place)?;
        if let [only] = parts.as_slice() {
            return self.part(only.clone(), place, optional);
        }
        self.merged(&parts, place, optional)
    }

    /// What a reference leads to. From the second use on it has a name, by which writing finds out
    /// that it is the same.
    fn referred(&mut self, target: Place<'a>, optional: bool) -> Result<SchemaRef> {
        let address = target.address();
        if let Some(known) = self.converted.get(&(address, optional)) {
            return Ok(SchemaRef::clone(known));
        }
        if let Some(knot) = self.open.get_mut(&address) {
            let knot = knot.get_or_insert_with(Knot::new).clone();
            let mut end = Schema::recursive(knot).optional_if(optional);
            if let Some(title) = target.text("title") {
                end = end.name(title);
            }
            return Ok(end.parameter(ID, self.id(address)).build());
        }
        self.open.insert(address, None);
        let schema = self.schema(target, optional)?;
        let knot = self.open.remove(&address).flatten();
        if knot.is_some() || !self.ids.contains_key(&address) {
            let id = knot.is_some().then(|| self.id(address));
            self.ids.insert(address, id);
            return self.tied(schema, target, knot);
        }
        let id = self.id(address);
        let schema = schema.to_builder().parameter(ID, id).build();
        let known = SchemaRef::clone(&schema);
        self.converted.insert((address, optional), known);
        Ok(schema)
    }

    /// The name given to a place that is referred to again.
    fn id(&mut self, address: usize) -> String {
        if let Some(Some(id)) = self.ids.get(&address) {
            return id.clone();
        }
        let given = self.ids.values().flatten().count();
        let id = format!("#id{}", given + 1);
        self.ids.insert(address, Some(id.clone()));
        id
    }

    /// A schema to which what refers to it from inside is tied.
    fn tied(
        &mut self,
        schema: SchemaRef,
        place: Place<'a>,
        knot: Option<Knot>,
    ) -> Result<SchemaRef> {
        let Some(knot) = knot else {
            return Ok(schema);
        };
        if schema.kind() != SchemaType::Struct || schema.is_recursive() {
            return Err(Error::data(
                "the JSON Schema refers to itself where it is no object, which has no Connect form",
            ));
        }
        let id = self.id(place.address());
        let schema = schema.to_builder().parameter(ID, id).build();
        knot.tie(&schema);
        Ok(schema)
    }

    /// What has to hold together: the schema's own words, and each member of its `allOf`.
    fn parts(&mut self, place: Place<'a>) -> Result<Vec<Part<'a>>> {
        let mut parts = Vec::new();
        self.collect(place, &mut parts, 0)?;
        if parts.is_empty() {
            parts.push(Part::Any(place));
        }
        Ok(parts)
    }

    fn collect(&mut self, place: Place<'a>, parts: &mut Vec<Part<'a>>, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH || parts.len() > MAX_PLACES {
            return Err(Error::data("a JSON Schema's allOf refers to itself"));
        }
        if let Some(reference) = place.text("$ref") {
            let target = self.documents.resolve(place.document, reference)?;
            self.collect(target, parts, depth + 1)?;
        }
        if place.node.get("const").is_some() || place.node.get("enum").is_some_and(Value::is_array)
        {
            parts.push(Part::Enum(place));
        }
        match place.node.get("type") {
            Some(Value::String(name)) => parts.push(Part::Typed(place, name)),
            Some(Value::Array(names)) => {
                let names = names.iter().filter_map(Value::as_str);
                let members = names.map(|name| Member::Typed(place, name)).collect();
                parts.push(Part::Choice(place, members));
            }
            _ => {
                if let Some(name) = implied_type(place.node) {
                    parts.push(Part::Typed(place, name));
                }
            }
        }
        for name in COMBINATIONS {
            if let Some(members) = place.list(name) {
                parts.push(Part::Choice(place, members.map(Member::Schema).collect()));
            }
        }
        if let Some(members) = place.list("allOf") {
            for member in members {
                self.collect(member, parts, depth + 1)?;
            }
        }
        Ok(())
    }

    fn part(&mut self, part: Part<'a>, outer: Place<'a>, optional: bool) -> Result<SchemaRef> {
        match part {
            Part::Any(place) => {
                let builder = Schema::string().optional();
                Ok(self.with_metadata(builder, place, true).build())
            }
            Part::Enum(place) => {
                let builder = self.enumeration(place).optional_if(optional);
                Ok(self.with_metadata(builder, outer, optional).build())
            }
            Part::Typed(place, name) => {
                let builder = self.typed(place, name)?.optional_if(optional);
                let builder = match place.address() == outer.address() {
                    true => builder,
                    // By way of an `allOf` or a reference: the outer words win.
                    false => self.with_metadata(builder, place, optional),
                };
                let nullable = optional
                    || name == "null"
                    || place.node.get("nullable") == Some(&Value::Bool(true));
                let builder = builder.optional_if(nullable);
                Ok(self.with_metadata(builder, outer, nullable).build())
            }
            Part::Choice(place, members) => self.choice(place, &members, optional),
        }
    }

    /// Several parts that all have to hold.
    fn merged(
        &mut self,
        parts: &[Part<'a>],
        outer: Place<'a>,
        optional: bool,
    ) -> Result<SchemaRef> {
        let nullable = optional || parts.iter().any(|part| part.allows_null());
        let objects: Vec<Place<'a>> = self.objects(parts)?;
        if objects
            .iter()
            .any(|place| place.node.get("properties").is_some())
        {
            let mut properties = Vec::new();
            let mut required = HashSet::new();
            for place in &objects {
                properties.extend(members(*place, "properties"));
                let names = place.node.get("required").and_then(Value::as_array);
                required.extend(names.into_iter().flatten().filter_map(Value::as_str));
            }
            let mut chosen = Vec::new();
            for part in parts {
                if let Part::Choice(_, choices) = part {
                    self.choice_properties(choices, &mut chosen, 0)?;
                }
            }
            let builder = self.structure(&properties, &required, &chosen)?;
            let mut builder = builder.optional_if(nullable);
            for place in objects.iter().rev() {
                builder = self.with_metadata(builder, *place, nullable);
            }
            return Ok(self.with_metadata(builder, outer, nullable).build());
        }
        // Without properties: the most telling part, by this order.
        let rank = |part: &Part<'_>| match part {
            Part::Enum(_) => 0,
            Part::Typed(_, "object" | "array") => 1,
            Part::Choice(_, members) if members.iter().any(|member| !member.is_null()) => 2,
            Part::Typed(..) => 3,
            Part::Choice(..) => 4,
            Part::Any(_) => 5,
        };
        let typed = parts.iter().any(|part| matches!(part, Part::Typed(..)));
        let best = parts
            .iter()
            // Choices among constraints (`required`, `pattern`) are no choice of type.
            .filter(|part| !(typed && matches!(part, Part::Choice(..))))
            .min_by_key(|part| rank(part));
        match best {
            Some(part) => self.part(part.clone(), outer, nullable),
            None => self.part(Part::Any(outer), outer, nullable),
        }
    }

    /// The parts that describe objects.
    fn objects(&self, parts: &[Part<'a>]) -> Result<Vec<Place<'a>>> {
        let object = |part: &Part<'a>| match part {
            Part::Typed(place, "object") => Some(*place),
            Part::Choice(place, members) => members
                .iter()
                .any(|member| matches!(member, Member::Typed(_, "object")))
                .then_some(*place),
            _ => None,
        };
        Ok(parts.iter().filter_map(object).collect())
    }

    /// The properties of objects that are a matter of choice.
    fn choice_properties(
        &mut self,
        choices: &[Member<'a>],
        found: &mut Vec<(&'a str, Place<'a>)>,
        depth: usize,
    ) -> Result<()> {
        for choice in choices {
            let Member::Schema(place) = *choice else {
                continue;
            };
            let mut parts = Vec::new();
            self.collect(place, &mut parts, depth)?;
            for object in self.objects(&parts)? {
                found.extend(members(object, "properties"));
            }
        }
        Ok(())
    }

    fn typed(&mut self, place: Place<'a>, name: &str) -> Result<SchemaBuilder> {
        let connect_type = place.text(CONNECT_TYPE);
        Ok(match (name, connect_type) {
            ("boolean", _) => Schema::boolean(),
            ("integer" | "number", Some("int8")) => Schema::int8(),
            ("integer" | "number", Some("int16")) => Schema::int16(),
            ("integer" | "number", Some("int32")) => Schema::int32(),
            ("integer" | "number", Some("int64")) | ("integer", None) => Schema::int64(),
            ("integer" | "number", Some("float32")) => Schema::float32(),
            ("integer" | "number", Some("float64")) | ("number", None) => Schema::float64(),
            ("integer" | "number" | "string", Some("bytes")) => Schema::bytes(),
            ("integer", Some(_)) => Schema::int64(),
            ("number", Some(_)) => Schema::float64(),
            ("string" | "null", _) => Schema::string(),
            ("array", Some("map")) => self.map_of_entries(place)?,
            ("array", _) => match place.get("items") {
                Some(items) if !items.node.is_array() => {
                    let element = self.schema(items, false)?;
                    Schema::array(element)
                }
                _ => {
                    return Err(Error::data(
                        "Array schema did not specify the items type: lists of several types have \
                         no Connect form",
                    ));
                }
            },
            ("object", connect_type) => {
                let values = place
                    .get("additionalProperties")
                    .filter(|values| values.node.is_object());
                let properties: Vec<_> = members(place, "properties").collect();
                let patterns: Vec<_> = members(place, "patternProperties").collect();
                match (connect_type, values, patterns.as_slice()) {
                    (Some("map"), None, []) => {
                        return Err(Error::data("Map schema did not specify the value type"));
                    }
                    (Some("map"), Some(values), _) => self.map(values)?,
                    (_, Some(values), []) if properties.is_empty() => self.map(values)?,
                    (_, None, [(_, values)]) if properties.is_empty() => self.map(*values)?,
                    _ => {
                        let required = place.node.get("required").and_then(Value::as_array);
                        let required = required.into_iter().flatten().filter_map(Value::as_str);
                        self.structure(&properties, &required.collect(), &[])?
                    }
                }
            }
            (other, _) => {
                return Err(Error::data(format!("Unsupported schema type {other}")));
            }
        })
    }

    fn map(&mut self, values: Place<'a>) -> Result<SchemaBuilder> {
        let value = self.schema(values, false)?;
        Ok(Schema::map(Schema::string().build(), value))
    }

    fn map_of_entries(&mut self, place: Place<'a>) -> Result<SchemaBuilder> {
        let properties = place.get("items").and_then(|items| items.get("properties"));
        let part = |name| properties.and_then(|properties| properties.get(name));
        let (Some(key), Some(value)) = (part(KEY), part(VALUE)) else {
            return Err(Error::data(
                "Map schema did not specify the key and value types",
            ));
        };
        let key = self.schema(key, false)?;
        let value = self.schema(value, false)?;
        Ok(Schema::map(key, value))
    }

    /// A struct of these properties; those of `chosen` may always be missing.
    fn structure(
        &mut self,
        properties: &[(&'a str, Place<'a>)],
        required: &HashSet<&str>,
        chosen: &[(&'a str, Place<'a>)],
    ) -> Result<SchemaBuilder> {
        let mut by_name: JavaHashMap<String, (Place<'a>, bool)> = JavaHashMap::new();
        for (name, place) in properties {
            let optional = self.options.use_optional_for_nonrequired && !required.contains(name);
            by_name.insert((*name).to_owned(), (*place, optional));
        }
        for (name, place) in chosen {
            if !by_name.contains_key(*name) {
                by_name.insert((*name).to_owned(), (*place, true));
            }
        }
        // A property without index takes the next place; two of one index are one, as in the JVM.
        let mut by_index = BTreeMap::new();
        for (name, (place, optional)) in by_name.iter() {
            if place.node == &Value::Bool(false) {
                continue;
            }
            let index = place.node.get(CONNECT_INDEX).and_then(Value::as_i64);
            let index = index.unwrap_or_else(|| i64::try_from(by_index.len()).unwrap_or(i64::MAX));
            by_index.insert(index, (name, *place, *optional));
        }
        let mut builder = Schema::structure();
        for (name, place, optional) in by_index.into_values() {
            builder = builder.field(name.as_str(), self.schema(place, optional)?);
        }
        Ok(builder)
    }

    fn enumeration(&self, place: Place<'a>) -> SchemaBuilder {
        let one = place.node.get("const").map(std::slice::from_ref);
        let list = place.node.get("enum").and_then(Value::as_array);
        let symbols = one.or_else(|| list.map(Vec::as_slice)).unwrap_or_default();
        let parameter = match self.options.generalized_sum_types {
            true => GENERAL_ENUM,
            false => ENUM,
        };
        let mut builder = Schema::string().parameter(parameter, "");
        for (index, symbol) in symbols.iter().enumerate() {
            let symbol = match symbol {
                Value::Null => NULL_SYMBOL.to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let value = match self.options.generalized_sum_types {
                true => index.to_string(),
                false => symbol.clone(),
            };
            builder = builder.parameter(format!("{parameter}.{symbol}"), value);
        }
        builder
    }

    /// One of several types: the only one, or a struct with a field for each.
    fn choice(
        &mut self,
        place: Place<'a>,
        members: &[Member<'a>],
        optional: bool,
    ) -> Result<SchemaRef> {
        let nullable = optional || members.iter().any(Member::is_null);
        let others: Vec<Member<'a>> = members.iter().copied().filter(|m| !m.is_null()).collect();
        if let [only] = others.as_slice()
            && (self.options.flatten_singleton_unions || others.len() < members.len())
        {
            let schema = self.member(*only, place, nullable)?;
            return Ok(self.completed(&schema, place));
        }
        let union = self.options.generalized_sum_types.then(|| {
            let name = format!("connect_union_{}", *self.unions);
            *self.unions += 1;
            name
        });
        let mut builder = match &union {
            Some(name) => Schema::structure()
                .name(name.clone())
                .parameter(GENERAL_UNION, name.clone()),
            None => Schema::structure().name(ONE_OF),
        };
        for (index, member) in others.iter().enumerate() {
            let name = match &union {
                Some(_) => format!("connect_union_field_{index}"),
                None => format!("{ONE_OF_FIELD}{index}"),
            };
            builder = builder.field(name, self.member(*member, place, true)?);
        }
        if let Some(doc) = place.text("description") {
            builder = builder.doc(doc);
        }
        if let Some(version) = version(place) {
            builder = builder.version(version);
        }
        Ok(builder.optional_if(nullable).build())
    }

    fn member(
        &mut self,
        member: Member<'a>,
        outer: Place<'a>,
        optional: bool,
    ) -> Result<SchemaRef> {
        match member {
            Member::Schema(place) => self.schema(place, optional),
            Member::Typed(place, name) => {
                self.depth += 1;
                let schema = self.part(Part::Typed(place, name), outer, optional)?;
                self.depth -= 1;
                Ok(schema)
            }
        }
    }

    /// What the words around a choice add to its only member.
    fn completed(&self, schema: &SchemaRef, place: Place<'a>) -> SchemaRef {
        let mut builder = schema.to_builder();
        if let Some(title) = place.text("title")
            && schema.name().is_none()
        {
            builder = builder.name(title);
        }
        if let Some(doc) = place.text("description")
            && schema.doc().is_none()
        {
            builder = builder.doc(doc);
        }
        if let Some(version) = version(place)
            && schema.version().is_none()
        {
            builder = builder.version(version);
        }
        if schema.default_value().is_none() {
            builder = self.with_default(builder, place);
        }
        builder.build()
    }

    fn with_metadata(
        &self,
        mut builder: SchemaBuilder,
        place: Place<'a>,
        optional: bool,
    ) -> SchemaBuilder {
        if let Some(title) = place.text("title") {
            builder = builder.name(title);
        }
        if let Some(doc) = place.text("description") {
            builder = builder.doc(doc);
        }
        if let Some(version) = version(place) {
            builder = builder.version(version);
        }
        let parameters = place
            .node
            .get(CONNECT_PARAMETERS)
            .and_then(Value::as_object);
        for (key, value) in parameters.into_iter().flatten() {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            builder = builder.parameter(key.as_str(), value);
        }
        self.with_default(builder.optional_if(optional), place)
    }

    /// The default, where it is a value of the schema.
    fn with_default(&self, builder: SchemaBuilder, place: Place<'a>) -> SchemaBuilder {
        let Some(default) = place
            .node
            .get("default")
            .filter(|default| !default.is_null())
        else {
            return builder;
        };
        let schema = builder.clone().build();
        let text = match place.text(EXACT_DEFAULT) {
            Some(exact) => exact.to_owned(),
            None => default.to_string(),
        };
        let text = Bytes::from(text.into_bytes());
        match read(&text, &schema, self.options) {
            Ok(value) if !value.is_null() => builder.default_value(value),
            _ => builder,
        }
    }
}

/// One thing that a schema asks for.
#[derive(Clone, Debug)]
enum Part<'a> {
    /// Nothing.
    Any(Place<'a>),
    /// One of a list, or one value.
    Enum(Place<'a>),
    /// A type.
    Typed(Place<'a>, &'a str),
    /// One of several schemas or types.
    Choice(Place<'a>, Vec<Member<'a>>),
}

impl Part<'_> {
    fn allows_null(&self) -> bool {
        match self {
            Self::Choice(_, members) => members.iter().any(Member::is_null),
            _ => false,
        }
    }
}

/// One choice.
#[derive(Clone, Copy, Debug)]
enum Member<'a> {
    Schema(Place<'a>),
    /// One of the names in `type`.
    Typed(Place<'a>, &'a str),
}

impl Member<'_> {
    fn is_null(&self) -> bool {
        match self {
            Self::Schema(place) => place.text("type") == Some("null"),
            Self::Typed(_, name) => *name == "null",
        }
    }
}

/// The type that a schema without `type` means by its other words.
fn implied_type(node: &Value) -> Option<&'static str> {
    let has = |names: &[&str]| names.iter().any(|name| node.get(name).is_some());
    if node.get("const").is_some() || node.get("enum").is_some() {
        return None;
    }
    if has(&[
        "properties",
        "additionalProperties",
        "patternProperties",
        "minProperties",
        "maxProperties",
        "propertyNames",
    ]) {
        Some("object")
    } else if has(&[
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "contains",
    ]) {
        Some("array")
    } else if has(&[
        "minimum",
        "maximum",
        "multipleOf",
        "exclusiveMinimum",
        "exclusiveMaximum",
    ]) {
        Some("number")
    } else if has(&["minLength", "maxLength", "pattern", "format"]) {
        Some("string")
    } else {
        None
    }
}

/// The members of an object-valued word.
fn members<'a>(place: Place<'a>, name: &str) -> impl Iterator<Item = (&'a str, Place<'a>)> {
    let members = place.node.get(name).and_then(Value::as_object);
    members
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != EXACT_DEFAULT)
        .map(move |(name, node)| (name.as_str(), place.with(node)))
}

fn version(place: Place<'_>) -> Option<i32> {
    let version = place.node.get(CONNECT_VERSION)?.as_i64()?;
    i32::try_from(version).ok()
}
