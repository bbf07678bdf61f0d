//! Writes vectors as JSON text, for readers that know no vectors.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.VectorToJsonConverter"}
//! before   {"after": {"embedding": [1.0, 2.5]}}
//! after    {"after": {"embedding": "{ \"values\": [1.0, 2.5] }"}}
//! ```
//!
//! Answers for `io.debezium.transforms.VectorToJsonConverter`.

use std::sync::Arc;

use connect_api::config::ConfigDef;
use connect_api::context::PluginContext;
use connect_api::data::text::to_java_string;
use connect_api::data::{Schema, SchemaCache, SchemaRef, SchemaType, Struct, Value};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Props, Result};

use crate::operand::{SCHEMA_CACHE_SIZE, copy_basics, require_struct, take_struct};

super::plugin!(
    "io.debezium.transforms.VectorToJsonConverter",
    ConfigDef::new,
    VectorToJsonConverter::default()
);

/// What becomes of a field.
#[derive(Debug)]
enum Change {
    Keep,
    Vector,
    Sparse,
    Struct(Plan),
}

/// What becomes of structs of one schema.
#[derive(Debug)]
struct Plan {
    schema: SchemaRef,
    fields: Vec<Change>,
}

#[derive(Debug)]
struct VectorToJsonConverter {
    plans: SchemaCache<Plan>,
}

impl Default for VectorToJsonConverter {
    fn default() -> Self {
        Self {
            plans: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for VectorToJsonConverter {
    fn configure(&mut self, _context: &PluginContext, _props: &Props) -> Result<()> {
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        if record.value.is_null() {
            return Ok(Some(record));
        }
        let value = std::mem::take(&mut record.value.value);
        let value = take_struct(value, "Value should be a struct")?;
        let schema = Arc::clone(&value.schema);
        let plan = self.plans.get_or_insert_with(&schema, || plan(&schema));
        record.value.schema = Some(Arc::clone(&plan.schema));
        record.value.value = Value::Struct(convert(plan, value)?);
        Ok(Some(record))
    }
}

fn plan(schema: &Schema) -> Plan {
    let mut builder =
        copy_basics(schema, Schema::builder(SchemaType::Struct)).optional_if(schema.is_optional());
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let (change, new) = match field.schema.name() {
            Some("io.debezium.data.DoubleVector" | "io.debezium.data.FloatVector") => {
                (Change::Vector, json(&field.schema))
            }
            Some("io.debezium.data.SparseDoubleVector") => (Change::Sparse, json(&field.schema)),
            _ if field.schema.kind() == SchemaType::Struct => {
                let plan = plan(&field.schema);
                let schema = Arc::clone(&plan.schema);
                (Change::Struct(plan), schema)
            }
            _ => (Change::Keep, Arc::clone(&field.schema)),
        };
        builder = builder.field(field.name.clone(), new);
        fields.push(change);
    }
    Plan {
        schema: builder.build(),
        fields,
    }
}

/// The schema of JSON text in place of another.
fn json(replaced: &Schema) -> SchemaRef {
    Schema::string()
        .name("io.debezium.data.Json")
        .version(1)
        .optional_if(replaced.is_optional())
        .build()
}

fn convert(plan: &Plan, value: Struct) -> Result<Struct> {
    let values = value.values.into_iter().zip(&plan.fields);
    let values = values.map(|(value, change)| {
        Ok(match (change, value) {
            (Change::Keep, value) => value,
            (_, Value::Null) => Value::Null,
            (Change::Vector, Value::Array(items)) => {
                let items: Vec<String> = items.iter().map(to_java_string).collect();
                Value::from(format!("{{ \"values\": [{}] }}", items.join(", ")))
            }
            (Change::Vector, value) => value,
            (Change::Sparse, value) => sparse(&value)?,
            (Change::Struct(plan), value) => {
                Value::Struct(convert(plan, take_struct(value, "Should be a struct.")?)?)
            }
        })
    });
    let values = values.collect::<Result<_>>()?;
    Ok(Struct::new(Arc::clone(&plan.schema), values))
}

fn sparse(value: &Value) -> Result<Value> {
    let vector = require_struct(value, "SparseDoubleVector should be a struct.")?;
    let dimensions = vector.get("dimensions").map(to_java_string);
    let mut entries: Vec<(i64, String)> = match vector.get("vector") {
        Some(Value::Map(map)) => map
            .iter()
            .filter_map(|(index, value)| Some((index.as_i64()?, to_java_string(value))))
            .collect(),
        _ => Vec::new(),
    };
    entries.sort_by_key(|(index, _)| *index);
    let entries: Vec<String> = entries
        .iter()
        .map(|(index, value)| format!("\"{index}\": {value}"))
        .collect();
    Ok(Value::from(format!(
        "{{ \"dimensions\": {}, \"vector\": {{ {} }} }}",
        dimensions.unwrap_or_default(),
        entries.join(", ")
    )))
}
