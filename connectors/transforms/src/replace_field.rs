//! Leaves fields out, keeps only some, renames them.
//!
//! ```text
//! config   {"type": "…ReplaceField$Value", "exclude": "b", "renames": "a:c"}
//! before   {"a": 1, "b": 2}
//! after    {"c": 1}
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.ReplaceField`.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Parsed, Type, list_rules};
use connect_api::context::PluginContext;
use connect_api::data::{
    ConnectMap, Schema, SchemaAndValue, SchemaCache, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::java::HashMap as JavaHashMap;
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};

use crate::operand::{
    REPLACE_NULL, SCHEMA_CACHE_SIZE, Side, add_field, copy_basics, key_and_value, read_field,
    replace_null_key, require_map, take_struct,
};

key_and_value!("ReplaceField", definition, ReplaceField::new);

const PURPOSE: &str = "field replacement";
const EXCLUDE: &str = "exclude";
const INCLUDE: &str = "include";
const RENAMES: &str = "renames";

fn definition() -> ConfigDef {
    let list = |name| {
        ConfigKey::new(name, Type::List, Importance::Medium)
            .default("")
            .validator(list_rules(true, false))
            .distinct()
    };
    ConfigDef::new()
        .define(list(EXCLUDE).doc("Fields to leave out; they win over include."))
        .define(list(INCLUDE).doc("Fields to keep. If given, all others are left out."))
        .define(
            list(RENAMES)
                .validator(Arc::new(|name, value| match value {
                    Some(Parsed::List(items)) => rename_map(items).map(|_| ()).map_err(|item| {
                        format!(
                            "Invalid value [{}] for configuration {name}: Invalid rename mapping: \
                             {item}",
                            items.join(", ")
                        )
                    }),
                    _ => list_rules(true, false)(name, value),
                }))
                .doc("New names of fields, as old:new."),
        )
        .define(replace_null_key())
}

/// Old names to new ones; the wrong item otherwise.
fn rename_map(items: &[String]) -> Result<HashMap<String, ByteString>, String> {
    items
        .iter()
        .map(
            |item| match item.split(':').collect::<Vec<_>>().as_slice() {
                [old, new] if !new.is_empty() => Ok(((*old).to_owned(), ByteString::from(*new))),
                _ => Err(item.clone()),
            },
        )
        .collect()
}

/// What becomes of structs of one schema: the new schema, and for each of its fields the old place.
#[derive(Debug)]
struct Plan {
    schema: SchemaRef,
    places: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct ReplaceField {
    side: Side,
    exclude: Vec<String>,
    include: Vec<String>,
    renames: HashMap<String, ByteString>,
    /// The old name of each new one.
    olds: HashMap<ByteString, ByteString>,
    replace_null: bool,
    plans: SchemaCache<Plan>,
}

impl ReplaceField {
    fn new(side: Side) -> Self {
        Self {
            side,
            exclude: Vec::new(),
            include: Vec::new(),
            renames: HashMap::new(),
            olds: HashMap::new(),
            replace_null: true,
            plans: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }

    /// One that only leaves fields out.
    pub(crate) fn excluding(names: Vec<String>) -> Self {
        Self {
            exclude: names,
            ..Self::new(Side::Value)
        }
    }

    fn keeps(&self, name: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|item| item == name);
        !listed(&self.exclude) && (self.include.is_empty() || listed(&self.include))
    }

    /// Replaces the fields of a key or value that is not null.
    pub(crate) fn replace(&mut self, operand: &mut SchemaAndValue) -> Result<()> {
        let Some(schema) = operand.schema.clone() else {
            let map = require_map(&operand.value, PURPOSE)?;
            let mut replaced = ConnectMap::with_capacity(map.len());
            for (key, value) in map.iter() {
                let Some(name) = key.as_str().filter(|name| self.keeps(name)) else {
                    continue;
                };
                let key = self
                    .renames
                    .get(name)
                    .cloned()
                    .map_or_else(|| key.clone(), Value::String);
                replaced.insert(key, value.clone());
            }
            operand.value = Value::Map(Box::new(replaced));
            return Ok(());
        };
        let mut value = take_struct(std::mem::take(&mut operand.value), PURPOSE)?;
        let plan = match self.plans.get(&schema) {
            Some(plan) => plan,
            None => {
                let plan = self.plan(&schema)?;
                &*self.plans.get_or_insert_with(&schema, || plan)
            }
        };
        let values = plan
            .schema
            .fields()
            .iter()
            .zip(&plan.places)
            .map(|(field, &place)| {
                let value = std::mem::take(&mut value.values[place]);
                if value.is_null() {
                    read_field(&field.schema, &value, self.replace_null)
                } else {
                    value
                }
            })
            .collect();
        operand.schema = Some(Arc::clone(&plan.schema));
        operand.value = Value::Struct(Struct::new(Arc::clone(&plan.schema), values));
        Ok(())
    }

    fn plan(&self, schema: &Schema) -> Result<Plan> {
        let mut builder = copy_basics(schema, Schema::builder(SchemaType::Struct));
        let (mut names, mut places) = (Vec::new(), Vec::new());
        for field in schema
            .fields()
            .iter()
            .filter(|field| self.keeps(&field.name))
        {
            let name = self.renames.get(&*field.name).unwrap_or(&field.name);
            builder = add_field(&mut names, builder, name, &field.schema)?;
            // Values are looked up by the way back from the new name, which may lead elsewhere.
            let old = self.olds.get(name).unwrap_or(&field.name);
            let source = schema
                .field(old)
                .ok_or_else(|| Error::data(format!("{old} is not a valid field name")))?;
            places.push(source.index);
        }
        Ok(Plan {
            schema: builder.build(),
            places,
        })
    }
}

impl Transformation for ReplaceField {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.exclude = config.list(EXCLUDE).to_vec();
        self.include = config.list(INCLUDE).to_vec();
        self.renames = rename_map(config.list(RENAMES)).unwrap_or_default();
        // Of two old names for one new name the last in Java's order counts.
        let java_order: JavaHashMap<ByteString, ByteString> = self
            .renames
            .iter()
            .map(|(old, new)| (old.as_str().into(), new.clone()))
            .collect();
        let turned = java_order
            .iter()
            .map(|(old, new)| (new.clone(), old.clone()));
        self.olds = turned.collect();
        self.replace_null = config.bool(REPLACE_NULL);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let side = self.side;
        if !side.of(&record).is_null() {
            self.replace(side.of_mut(&mut record))?;
        }
        Ok(Some(record))
    }
}
