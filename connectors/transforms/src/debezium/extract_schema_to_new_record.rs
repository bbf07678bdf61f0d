//! Adds to a change event what its table's columns are in the database.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.ExtractSchemaToNewRecord"}
//! after    {..., "sourceSchema": {"id": "t", "table": {"columns": [
//!              {"name": "id", "typeName": "INT4", "length": 10, "scale": 0, "comment": null}]}}}
//! ```
//!
//! It is read from the parameters that `column.propagate.source.type=.*` puts into the schemas of
//! the row. Tombstones, truncations and what is no change event pass unchanged.
//!
//! Answers for `io.debezium.transforms.ExtractSchemaToNewRecord`.

use std::sync::Arc;

use connect_api::config::ConfigDef;
use connect_api::context::PluginContext;
use connect_api::data::{NameAdjustment, Schema, SchemaCache, SchemaRef, Struct, Value};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use super::envelope_of;
use crate::operand::SCHEMA_CACHE_SIZE;

super::plugin!(
    "io.debezium.transforms.ExtractSchemaToNewRecord",
    ConfigDef::new,
    ExtractSchemaToNewRecord::default()
);

const SOURCE_SCHEMA: &str = "sourceSchema";
const PARAMETER: &str = "__debezium.source.column.";

/// The schema of an event with the new field, and the field's value.
#[derive(Debug)]
struct Plan {
    schema: SchemaRef,
    columns: Value,
}

#[derive(Debug)]
struct ExtractSchemaToNewRecord {
    names: NameAdjustment,
    plans: SchemaCache<Plan>,
}

impl Default for ExtractSchemaToNewRecord {
    fn default() -> Self {
        Self {
            names: NameAdjustment::default(),
            plans: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for ExtractSchemaToNewRecord {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let mode = props.get("schema.name.adjustment.mode");
        self.names = mode
            .and_then(|mode| NameAdjustment::parse(mode))
            .unwrap_or_default();
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let Some(schema) = envelope_of(&record.value).map(Arc::clone) else {
            return Ok(Some(record));
        };
        let Value::Struct(event) = &mut record.value.value else {
            return Ok(Some(record));
        };
        let row = |name| event.get(name).and_then(Value::as_struct);
        if row("after").or_else(|| row("before")).is_none() {
            return Ok(Some(record));
        }
        let names = self.names;
        let plan = self
            .plans
            .get_or_try_insert_with(&schema, || plan(&schema, event, names))?;
        // A null becomes its field's default, as where Debezium copies it.
        for (slot, field) in event.values.iter_mut().zip(schema.fields()) {
            if let (Value::Null, Some(default)) = (&*slot, field.schema.default_value()) {
                *slot = default.clone();
            }
        }
        event.values.push(plan.columns.clone());
        event.schema = Arc::clone(&plan.schema);
        record.value.schema = Some(Arc::clone(&plan.schema));
        Ok(Some(record))
    }
}

fn plan(schema: &SchemaRef, event: &Struct, names: NameAdjustment) -> Result<Plan> {
    let text = || Schema::string().build();
    let column = Schema::structure()
        .name(names.schema_name("io.debezium.connector.source.schema.Column"))
        .version(1)
        .field("name", text())
        .field("typeName", text())
        .field("length", Schema::int32().optional().build())
        .field("scale", Schema::int32().optional().build())
        .field("comment", Schema::string().optional().build())
        .build();
    let table = Schema::structure()
        .name("io.debezium.connector.source.schema.Table")
        .version(1)
        .field("columns", Schema::array(Arc::clone(&column)).build())
        .build();
    let source_schema = Schema::structure()
        .name(names.schema_name("io.debezium.connector.source.Schema"))
        .version(1)
        .field("id", text())
        .field("table", Arc::clone(&table))
        .build();
    let rows = schema.field("after").map(|field| &field.schema);
    let columns = rows
        .iter()
        .flat_map(|row| row.fields())
        .map(|field| describe(&field.schema, &column))
        .collect::<Result<Vec<Value>>>()?;
    let id = event
        .get("source")
        .and_then(Value::as_struct)
        .and_then(|source| source.get("table"))
        .cloned()
        .unwrap_or_default();
    let table = Struct::new(table, vec![Value::Array(columns)]);
    let value = Struct::new(Arc::clone(&source_schema), vec![id, Value::Struct(table)]);
    let schema = schema
        .to_builder()
        .no_default()
        .field(SOURCE_SCHEMA, source_schema)
        .build();
    Ok(Plan {
        schema,
        columns: Value::Struct(value),
    })
}

/// What a field's parameters say of its column.
fn describe(field: &Schema, column: &SchemaRef) -> Result<Value> {
    let parameter = |name: &str| field.parameter(&format!("{PARAMETER}{name}"));
    let (Some(name), Some(kind)) = (parameter("name"), parameter("type")) else {
        return Err(Error::data(
            "Ensure that enable configurations \"column.propagate.source.type\" or \
             \"datatype.propagate.source.type\" and the value is set to \".*\"",
        ));
    };
    let number = |name: &str| -> Result<Value> {
        let text = parameter(name);
        let number = text.map(str::parse::<i32>).transpose();
        number.map(Value::from).map_err(|_| {
            Error::data(format!(
                "For input string: \"{}\"",
                text.unwrap_or_default()
            ))
        })
    };
    let values = vec![
        Value::from(name),
        Value::from(kind),
        number("length")?,
        number("scale")?,
        Value::from(parameter("comment")),
    ];
    Ok(Value::Struct(Struct::new(Arc::clone(column), values)))
}
