//! Unwraps Debezium's envelope: the row's new state becomes the record's value.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.ExtractNewRecordState", "add.fields": "op"}
//! before   {"before": null, "after": {"id": 1, "name": "a"}, "source": {…}, "op": "c", …}
//! after    {"id": 1, "name": "a", "__op": "c"}
//! ```
//!
//! What is no envelope passes unchanged; truncations are dropped. Everything that follows from the
//! envelope's schema is worked out once per schema. Options of older releases (`drop.tombstones`,
//! `delete.handling.mode`) are unknown keys and change nothing, as in Debezium 3.7.
//!
//! Answers for `io.debezium.transforms.{ExtractNewRecordState, AbstractExtractNewRecordState}` and
//! `io.debezium.transforms.extractnewstate.DefaultDeleteHandlingStrategy`.

mod options;

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::context::PluginContext;
use connect_api::data::{
    Field, Header, Schema, SchemaAndValue, SchemaCache, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::plugin::{Make, Plugin};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};

use self::options::{
    ADD_FIELDS, ADD_FIELDS_PREFIX, ADD_HEADERS, ADD_HEADERS_PREFIX, DROP_FIELDS_FROM_KEY,
    DROP_FIELDS_HEADER, DROP_FIELDS_KEEP_COMPATIBLE, DeleteHandling, HANDLING, ROUTE_BY_FIELD,
    definition,
};
use crate::debezium::is_envelope;
use crate::debezium::shared_headers::SharedHeaders;
use crate::operand::{
    REPLACE_NULL, SCHEMA_CACHE_SIZE, Side, add_field, copy_basics, optional_copy, read_field,
    string_field, take_struct,
};
use crate::replace_field::ReplaceField;

pub(crate) const PLUGIN: Plugin = Plugin {
    class: "io.debezium.transforms.ExtractNewRecordState",
    version: "3.7.0.Final",
    config: definition,
    make: Make::Transformation(|| Box::new(ExtractNewRecordState::default())),
};

const DELETED_FIELD: &str = "__deleted";
const PURPOSE: &str = "source field insertion";

/// A part of the envelope and the name under which it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldReference {
    /// The struct in the envelope; `None` for the envelope itself.
    parent: Option<&'static str>,
    other_parent: Option<String>,
    field: String,
    new_name: ByteString,
}

impl FieldReference {
    fn parse(text: &str, prefix: &str) -> Result<Self> {
        let mut renamed = text.split(':').collect::<Vec<_>>();
        while renamed.len() > 1 && renamed.last() == Some(&"") {
            renamed.pop();
        }
        let unexpected = || Error::config(format!("Unexpected field name: {text}"));
        let (path, new_name) = match renamed.as_slice() {
            [path] => (*path, None),
            [path, new_name] => (*path, Some(*new_name)),
            _ => return Err(unexpected()),
        };
        let (other_parent, field) = match path.split_once('.') {
            Some((parent, field)) => (
                Some(parent.to_owned()),
                field.split('.').next().unwrap_or(field),
            ),
            None => (None, path),
        };
        let name = match (new_name, &other_parent) {
            (Some(new_name), _) => format!("{prefix}{new_name}"),
            (None, Some(parent)) => format!("{prefix}{parent}_{field}"),
            (None, None) => format!("{prefix}{field}"),
        };
        let parent = match field {
            _ if other_parent.is_some() => None,
            "op" | "ts_ms" | "ts_us" | "ts_ns" => None,
            "id" | "total_order" | "data_collection_order" => Some("transaction"),
            _ => Some("source"),
        };
        Ok(Self {
            parent,
            other_parent,
            field: field.to_owned(),
            new_name: name.into(),
        })
    }

    fn parse_all(list: &[String], prefix: &str) -> Result<Vec<Self>> {
        list.iter()
            .filter(|item| !item.is_empty())
            .map(|item| Self::parse(item.trim(), prefix))
            .collect()
    }

    /// Where the part stands in envelopes of this schema; `None` where there is none.
    fn find(&self, envelope: &Schema) -> Result<Option<Part>> {
        let parent = match self.parent.or(self.other_parent.as_deref()) {
            None => None,
            Some(name) => Some(envelope.field(name).ok_or_else(|| {
                Error::data(
                    "Cannot invoke \"org.apache.kafka.connect.data.Field.schema()\" because the \
                     return value of \"org.apache.kafka.connect.data.Schema.field(String)\" is null",
                )
                .with_source(format!("the envelope has no part {name}"))
            })?),
        };
        let in_parent = match parent {
            Some(parent) => parent.schema.field(&self.field),
            None => envelope.field(&self.field),
        };
        let (field, fallback) = match in_parent {
            Some(field) => (field, false),
            None => match envelope.field(&self.field) {
                Some(field) => (field, true),
                None => return Ok(None),
            },
        };
        let schema = match field.schema.kind() {
            // Debezium copies such a schema without its fields, so that only null fits.
            SchemaType::Struct => without_fields(&field.schema),
            _ => optional_copy(&field.schema),
        };
        Ok(Some(Part {
            name: self.new_name.clone(),
            schema,
            parent: parent.map(|parent| parent.index),
            field: field.index,
            fallback,
        }))
    }
}

/// A struct's schema, optional and without its fields.
fn without_fields(schema: &Schema) -> SchemaRef {
    let mut copy = Schema::structure().optional();
    if let Some(name) = schema.name() {
        copy = copy.name(name);
    }
    if let Some(version) = schema.version() {
        copy = copy.version(version);
    }
    if let Some(doc) = schema.doc() {
        copy = copy.doc(doc);
    }
    copy.build()
}

/// A [`FieldReference`] found in a schema.
#[derive(Debug)]
struct Part {
    name: ByteString,
    schema: SchemaRef,
    parent: Option<usize>,
    field: usize,
    /// The field is not in its parent but in the envelope.
    fallback: bool,
}

impl Part {
    /// The part's value, which has to fit its schema.
    fn fitting(&self, envelope: &[Value]) -> Result<Value> {
        match self.value(envelope) {
            Value::Struct(_) => Err(Error::data("Struct schemas do not match.")),
            value => Ok(value),
        }
    }

    fn value(&self, envelope: &[Value]) -> Value {
        let fields = match self.parent.map(|parent| &envelope[parent]) {
            None => envelope,
            Some(Value::Struct(_)) if self.fallback => envelope,
            Some(Value::Struct(parent)) => &parent.values,
            // A missing parent gives null even where the field would be in the envelope.
            Some(_) => return Value::Null,
        };
        fields.get(self.field).cloned().unwrap_or_default()
    }
}

/// What follows from an envelope's schema.
#[derive(Debug)]
struct Plan {
    before: Option<usize>,
    after: Option<usize>,
    /// The row's schema as the envelope has it.
    row: SchemaRef,
    /// The row's schema with what is added to it.
    unwrapped: SchemaRef,
    added: Vec<Part>,
    headers: Vec<Part>,
}

#[derive(Debug)]
struct ExtractNewRecordState {
    handling: DeleteHandling,
    add_fields: Vec<FieldReference>,
    add_headers: Vec<FieldReference>,
    route_by_field: Option<String>,
    drop_fields_header: Option<String>,
    drop_fields_from_key: bool,
    drop_fields_keep_compatible: bool,
    replace_null: bool,
    plans: SchemaCache<Arc<Plan>>,
    /// What leaves fields out, by their names.
    droppers: HashMap<Vec<String>, ReplaceField>,
    string: SchemaRef,
    shared_headers: SharedHeaders,
}

impl Default for ExtractNewRecordState {
    fn default() -> Self {
        Self {
            handling: DeleteHandling::Tombstone,
            add_fields: Vec::new(),
            add_headers: Vec::new(),
            route_by_field: None,
            drop_fields_header: None,
            drop_fields_from_key: false,
            drop_fields_keep_compatible: true,
            replace_null: true,
            plans: SchemaCache::new(SCHEMA_CACHE_SIZE),
            droppers: HashMap::new(),
            string: Schema::string().build(),
            shared_headers: SharedHeaders::default(),
        }
    }
}

impl Transformation for ExtractNewRecordState {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        let text = |key| {
            config
                .string_opt(key)
                .filter(|text| !text.trim().is_empty())
        };
        self.handling = DeleteHandling::parse(config.string(HANDLING)).unwrap_or_default();
        self.add_fields =
            FieldReference::parse_all(config.list(ADD_FIELDS), config.string(ADD_FIELDS_PREFIX))?;
        self.add_headers =
            FieldReference::parse_all(config.list(ADD_HEADERS), config.string(ADD_HEADERS_PREFIX))?;
        self.route_by_field = text(ROUTE_BY_FIELD).map(str::to_owned);
        self.drop_fields_header = text(DROP_FIELDS_HEADER).map(str::to_owned);
        self.drop_fields_from_key = config.bool(DROP_FIELDS_FROM_KEY);
        self.drop_fields_keep_compatible = config.bool(DROP_FIELDS_KEEP_COMPATIBLE);
        // An option that the definition does not show.
        self.replace_null = !props
            .get(REPLACE_NULL)
            .is_some_and(|text| text.trim().eq_ignore_ascii_case("false"));
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        self.shared_headers.see(&mut record);
        if record.value.is_null() {
            self.add_tombstone_headers(&mut record);
            let kept = self.handling == DeleteHandling::RewriteWithTombstone;
            return Ok(kept.then_some(record));
        }
        let Some(schema) = record
            .value
            .schema
            .as_ref()
            .filter(|schema| is_envelope(schema))
        else {
            return Ok(Some(record));
        };
        let plan = Arc::clone(self.plan(&Arc::clone(schema))?);
        let mut envelope = take_struct(std::mem::take(&mut record.value.value), PURPOSE)?;
        let is_null = |at: Option<usize>| at.is_none_or(|at| envelope.values[at].is_null());
        let deleted = is_null(plan.after);
        let has_tombstone = deleted
            && self.handling == DeleteHandling::RewriteWithTombstone
            && !plan.headers.is_empty();
        let given = has_tombstone.then(|| record.headers.clone());
        for part in &plan.headers {
            record.headers.push(Header {
                key: part.name.clone(),
                value: SchemaAndValue {
                    schema: Some(Arc::clone(&part.schema)),
                    value: part.value(&envelope.values),
                },
            });
        }
        if let Some(given) = given {
            self.shared_headers.added(&record, given);
        }
        if deleted && is_null(plan.before) {
            return Ok(None);
        }
        let Some(state) = plan.after.filter(|_| !deleted).or(plan.before) else {
            return Ok(None);
        };
        if deleted && self.handling == DeleteHandling::Drop {
            return Ok(None);
        }
        let topic = match &self.route_by_field {
            Some(field) => route(&envelope.values[state], field)?,
            None => None,
        };
        record.value = match self.handling {
            DeleteHandling::DeleteToTombstone if deleted => SchemaAndValue::NULL,
            DeleteHandling::Tombstone if deleted => SchemaAndValue {
                schema: Some(Arc::clone(&plan.row)),
                value: Value::Null,
            },
            _ => {
                // Read first: what is added may be a part of the row.
                let added = plan.added.iter().map(|part| part.fitting(&envelope.values));
                let added = added.collect::<Result<Vec<_>>>()?;
                let row = take_struct(std::mem::take(&mut envelope.values[state]), PURPOSE)?;
                self.unwrap_row(&plan, row, added, deleted)
            }
        };
        if let Some(topic) = topic {
            record.topic = topic;
        }
        if self.drop_fields_header.is_some() {
            self.drop_fields(&mut record)?;
        }
        Ok(Some(record))
    }
}

/// The topic that a row's field names; none where it is blank.
fn route(row: &Value, field: &str) -> Result<Option<ByteString>> {
    let Value::Struct(row) = row else {
        return Ok(None);
    };
    let topic = string_field(row, field)?.filter(|topic| !topic.trim().is_empty());
    Ok(topic.map(ByteString::from))
}

impl ExtractNewRecordState {
    /// A tombstone tells nothing but that it stands for a deletion.
    fn add_tombstone_headers(&self, record: &mut Record) {
        for reference in self
            .add_headers
            .iter()
            .filter(|reference| reference.field == "op")
        {
            record.headers.push(Header {
                key: reference.new_name.clone(),
                value: SchemaAndValue {
                    schema: Some(Arc::clone(&self.string)),
                    value: Value::text("d"),
                },
            });
        }
    }

    fn plan(&mut self, envelope: &SchemaRef) -> Result<&Arc<Plan>> {
        let Self {
            plans,
            add_fields,
            add_headers,
            handling,
            ..
        } = self;
        plans
            .get_or_try_insert_with(envelope, || {
                make_plan(envelope, add_fields, add_headers, handling.rewrites()).map(Arc::new)
            })
            .map(|plan| &*plan)
    }

    /// The row with what is added to it: the mark of a deletion, parts of the envelope.
    fn unwrap_row(
        &self,
        plan: &Plan,
        row: Struct,
        added: Vec<Value>,
        deleted: bool,
    ) -> SchemaAndValue {
        let mut values = row.values;
        values.reserve_exact(plan.unwrapped.fields().len().saturating_sub(values.len()));
        if self.handling.rewrites() {
            if self.replace_null {
                for (field, value) in row.schema.fields().iter().zip(&mut values) {
                    if value.is_null() {
                        *value = read_field(&field.schema, value, true);
                    }
                }
            }
            values.push(Value::text(if deleted { "true" } else { "false" }));
        }
        values.extend(added);
        SchemaAndValue {
            schema: Some(Arc::clone(&plan.unwrapped)),
            value: Value::Struct(Struct::new(Arc::clone(&plan.unwrapped), values)),
        }
    }

    /// Leaves out the fields that a header lists.
    fn drop_fields(&mut self, record: &mut Record) -> Result<()> {
        let header = self.drop_fields_header.as_deref().unwrap_or_default();
        let listed = record
            .headers
            .iter()
            .find(|candidate| candidate.key == *header);
        let Some(Value::Array(names)) = listed.map(|found| &found.value.value) else {
            return Ok(());
        };
        let names: Vec<String> = names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let sides: &[Side] = if self.drop_fields_from_key {
            &[Side::Key, Side::Value]
        } else {
            &[Side::Value]
        };
        for &side in sides {
            let operand = side.of_mut(record);
            let Some(schema) = &operand.schema else {
                continue;
            };
            let optional = |field: &&Field| field.schema.is_optional();
            let exclude: Vec<String> = match self.drop_fields_keep_compatible {
                false => names.clone(),
                true => schema
                    .fields()
                    .iter()
                    .filter(optional)
                    .map(|field| field.name.to_string())
                    .filter(|name| names.contains(name))
                    .collect(),
            };
            if exclude.is_empty() || operand.is_null() {
                continue;
            }
            if self.droppers.len() >= SCHEMA_CACHE_SIZE {
                self.droppers.clear();
            }
            let dropper = self
                .droppers
                .entry(exclude)
                .or_insert_with_key(|names| ReplaceField::excluding(names.clone()));
            dropper.replace(operand)?;
        }
        Ok(())
    }
}

fn make_plan(
    envelope: &Schema,
    add_fields: &[FieldReference],
    add_headers: &[FieldReference],
    rewrites: bool,
) -> Result<Plan> {
    let before = envelope.field("before");
    let after = envelope.field("after");
    let row = after
        .or(before)
        .map(|field| Arc::clone(&field.schema))
        .ok_or_else(|| Error::data("the envelope has neither a field before nor a field after"))?;
    let find = |references: &[FieldReference]| -> Result<Vec<Part>> {
        references
            .iter()
            .filter_map(|reference| reference.find(envelope).transpose())
            .collect()
    };
    let added = find(add_fields)?;
    let mut builder = copy_basics(&row, Schema::builder(SchemaType::Struct));
    let mut names = Vec::with_capacity(row.fields().len() + added.len() + 1);
    for field in row.fields() {
        builder = add_field(&mut names, builder, &field.name, &field.schema)?;
    }
    if rewrites {
        let mark = Schema::string().optional().build();
        builder = add_field(
            &mut names,
            builder,
            &ByteString::from_static(DELETED_FIELD),
            &mark,
        )?;
    }
    for part in &added {
        builder = add_field(&mut names, builder, &part.name, &part.schema)?;
    }
    Ok(Plan {
        before: before.map(|field| field.index),
        after: after.map(|field| field.index),
        row,
        unwrapped: builder.build(),
        added,
        headers: find(add_headers)?,
    })
}

#[cfg(test)]
mod tests;
