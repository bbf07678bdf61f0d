//! A table's plan: its topic, its schemas, one decoder per column. Made once per description.
//!
//! The second row of a table looks at no schema and no option any more. Answers for
//! `TableSchemaBuilder` and `TableSchema`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connect_api::ByteString;
use connect_api::data::json::{self, ValuePlan, ValueStyle};
use connect_api::data::{Field, Schema, SchemaRef, Struct, Value};

use crate::change::{ColumnInfo, ColumnValue, Phase, TableId, TableInfo, TupleRef};
use crate::column::{self, ColumnPlan, Unconvertible};
use crate::config::{ConversionFailure, PostgresConfig};
use crate::envelope;
use crate::error::PgError;

/// A longer text costs more memory than it saves time.
const LONG_ROW: usize = 128 * 1024;

/// How the rows of a [`TablePlan`] become JSON text: `,"name":` and the way of the value, for each
/// column.
#[derive(Debug)]
pub struct RowText(Vec<(Vec<u8>, ValuePlan)>);

/// How a table's rows become keys and values.
#[derive(Clone, Debug)]
pub struct TablePlan {
    /// The topic of its changes.
    pub topic: ByteString,
    /// The key's schema; none for a table without key.
    pub key_schema: Option<SchemaRef>,
    /// The schema of a row; optional, since either side of an envelope may be missing.
    pub row_schema: SchemaRef,
    /// The envelope's schema.
    pub envelope_schema: SchemaRef,
    /// The schema's name, for the source block.
    pub source_schema_name: ByteString,
    /// The table's name, for the source block.
    pub source_table: ByteString,
    id: TableId,
    columns: Vec<Planned>,
    key: Vec<Planned>,
    /// What the topic's naming strategy adds to the key.
    key_augment: Option<ByteString>,
    captured: Vec<bool>,
    on_failure: ConversionFailure,
}

/// A column of the row or of the key.
#[derive(Clone, Debug)]
struct Planned {
    /// Its place in the table.
    index: usize,
    plan: ColumnPlan,
    name: String,
    type_name: String,
    /// How many values its schema could not hold.
    lost: Arc<AtomicU64>,
}

impl Planned {
    /// Whether the schema takes a null, if only by its default.
    fn may_be_null(&self) -> bool {
        self.plan.is_optional() || self.plan.schema.default_value().is_some()
    }
}

impl TablePlan {
    /// The plan of a table as it is now. Snapshot and stream learn of it in different ways, so that
    /// propagated types tell a little less in a snapshot.
    ///
    /// # Errors
    /// Columns that differ only by case, or a mask that cannot be.
    pub fn new(info: &TableInfo, config: &PostgresConfig, phase: Phase) -> Result<Self, PgError> {
        refuse_case_duplicates(info)?;
        let (rules, modes, naming) = (&config.columns, &config.modes, &config.naming);
        let topic = naming.table_topic(&info.id)?;
        let comments = config.include_schema_comments;
        let planned = |index: usize, column: &ColumnInfo, plan| Planned {
            index,
            plan,
            name: column.name.clone(),
            type_name: column.data_type.name.clone(),
            lost: Arc::default(),
        };
        let mut key = Vec::new();
        let key_columns = rules.key_columns(info);
        // A key all of whose columns are left out is an empty struct, not none.
        let keyed = !key_columns.is_empty();
        for index in key_columns {
            if let Some(column) = info.columns.get(index)
                && let Some(plan) = column::plan(column, modes, None, comments, phase)?
            {
                key.push(planned(index, column, plan));
            }
        }
        let mut columns = Vec::with_capacity(info.columns.len());
        let mut captured = vec![false; info.columns.len()];
        for (index, column) in info.columns.iter().enumerate() {
            if !rules.includes(&info.id, &column.name) {
                continue;
            }
            let mask = rules.mask(&info.id, &column.name, column::type_name(column));
            let Some(plan) = column::plan(column, modes, mask, comments, phase)? else {
                tracing::warn!(
                    table = %info.id, column = %column.name, r#type = %column.data_type.name,
                    "unexpected type, the column is left out"
                );
                continue;
            };
            captured[index] = true;
            columns.push(planned(index, column, plan));
        }
        let schema_of = |part: &str, fields: &[Planned]| {
            let name = naming.schema_name(&format!("{topic}.{part}"));
            let mut builder = Schema::structure().name(name);
            let mut names = HashSet::with_capacity(fields.len());
            for field in fields {
                let name = naming.field_name(&field.name);
                if !names.insert(name.clone()) {
                    return Err(PgError::Fatal(format!(
                        "Cannot create field because of field name duplication {name}"
                    )));
                }
                builder = builder.field(name, Arc::clone(&field.plan.schema));
            }
            Ok(builder)
        };
        let row_schema = schema_of("Value", &columns)?.optional().build();
        let augment = naming.key_augment(&info.id)?;
        let mut key_schema = schema_of("Key", &key)?;
        if let Some((name, _)) = &augment {
            key_schema = key_schema.field(*name, Schema::string().build());
        }
        let key_schema = (keyed || augment.is_some()).then(|| key_schema.build());
        let envelope_name = naming.schema_name(&format!("{topic}.Envelope"));
        Ok(Self {
            topic: ByteString::from(topic),
            key_schema,
            envelope_schema: envelope::envelope_schema(envelope_name, &row_schema, config.compat),
            row_schema,
            source_schema_name: ByteString::from(info.id.schema.as_str()),
            source_table: ByteString::from(info.id.table.as_str()),
            id: info.id.clone(),
            columns,
            key,
            key_augment: augment.map(|(_, value)| ByteString::from(value)),
            captured,
            on_failure: config.event_converting_failure_handling,
        })
    }

    /// The places of the record key's columns.
    pub fn key_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.key.iter().map(|planned| planned.index)
    }

    /// Whether the column at `index` is part of the row.
    #[must_use]
    pub fn captured(&self, index: usize) -> bool {
        self.captured.get(index).copied().unwrap_or(false)
    }

    /// A row's value.
    ///
    /// # Errors
    /// A value that cannot be represented, where it may not be null or
    /// `event.converting.failure.handling.mode` says so.
    pub fn row(&self, row: TupleRef<'_>, phase: Phase) -> Result<Struct, PgError> {
        let mut values = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let value = match column.plan.value(row.get(column.index), phase) {
                Ok(value) => value,
                Err(lost) => self.failed(column, lost)?,
            };
            if value.is_null() && !column.may_be_null() {
                return Err(required(column));
            }
            values.push(value);
        }
        Ok(Struct::new(Arc::clone(&self.row_schema), values))
    }

    /// How rows become JSON text.
    #[must_use]
    pub fn row_text(&self, style: ValueStyle) -> RowText {
        let member = |(index, field): (usize, &Field)| {
            let mut name = vec![if index == 0 { b'{' } else { b',' }];
            json::write_string(&field.name, &mut name);
            name.push(b':');
            (name, ValuePlan::new(&field.schema, style))
        };
        RowText(
            self.row_schema
                .fields()
                .iter()
                .enumerate()
                .map(member)
                .collect(),
        )
    }

    /// Appends the JSON text of the value that [`Self::row`] gives, where the row is neither long
    /// nor has a value that cannot be represented; `false` where it is.
    #[must_use]
    pub fn write_row(
        &self,
        row: TupleRef<'_>,
        phase: Phase,
        text: &RowText,
        out: &mut Vec<u8>,
    ) -> bool {
        if text.0.is_empty() {
            out.push(b'{');
        }
        for (column, (name, json)) in self.columns.iter().zip(&text.0) {
            let cell = row.get(column.index);
            let length = match cell {
                ColumnValue::Text(text) => text.as_bytes().len(),
                ColumnValue::Null | ColumnValue::Unchanged => 0,
            };
            if out.len() + length > LONG_ROW {
                return false;
            }
            out.extend_from_slice(name);
            if column.plan.write_plain(cell, out) {
                continue;
            }
            match column.plan.value(cell, phase) {
                Ok(value) if !value.is_null() || column.may_be_null() => {
                    if json.write(&value, out).is_err() {
                        return false;
                    }
                }
                _ => return false,
            }
        }
        out.push(b'}');
        true
    }

    /// A row's key; none for a table without key.
    ///
    /// # Errors
    /// A value that cannot be represented and may not be null.
    pub fn key(&self, row: TupleRef<'_>, phase: Phase) -> Result<Option<Struct>, PgError> {
        let Some(schema) = &self.key_schema else {
            return Ok(None);
        };
        let mut values = Vec::with_capacity(self.key.len() + 1);
        for column in &self.key {
            let value = match column.plan.value(row.get(column.index), phase) {
                Ok(value) => value,
                Err(lost) => {
                    tracing::error!(
                        "Failed to properly convert key value for '{}.{}' of type {}",
                        self.id,
                        column.name,
                        column.type_name
                    );
                    lost.instead.unwrap_or_default()
                }
            };
            if value.is_null() && !column.may_be_null() {
                return Err(required(column));
            }
            values.push(value);
        }
        values.extend(self.key_augment.clone().map(Value::String));
        Ok(Some(Struct::new(Arc::clone(schema), values)))
    }

    /// What is left of a value that its schema cannot hold: counted, and told of the more seldom
    /// the more often it happens.
    #[cold]
    fn failed(&self, column: &Planned, lost: Unconvertible) -> Result<Value, PgError> {
        let text = format!(
            "Failed to properly convert data value for '{}.{}' of type {}",
            self.id, column.name, column.type_name
        );
        if lost.instead.is_none() && self.on_failure == ConversionFailure::Fail {
            return Err(PgError::Fatal(text));
        }
        let count = column.lost.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            match self.on_failure {
                ConversionFailure::Skip => tracing::debug!(count, "{text}"),
                _ => tracing::warn!(
                    count,
                    "{text}: its schema cannot hold the value, which is lost; so many were so far"
                ),
            }
        }
        Ok(lost.instead.unwrap_or_default())
    }

    /// How many values of a column its schema could not hold.
    #[must_use]
    pub fn lost(&self, column: &str) -> u64 {
        let found = self.columns.iter().find(|planned| planned.name == column);
        found.map_or(0, |planned| planned.lost.load(Ordering::Relaxed))
    }
}

#[cold]
fn required(column: &Planned) -> PgError {
    PgError::Fatal(format!(
        "Invalid value: null used for required field: \"{}\", schema type: {}",
        column.name,
        column.plan.schema.kind().name()
    ))
}

fn refuse_case_duplicates(info: &TableInfo) -> Result<(), PgError> {
    let mut names: Vec<String> = info
        .columns
        .iter()
        .map(|column| column.name.to_lowercase())
        .collect();
    names.sort();
    let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.last()) else {
        return Ok(());
    };
    Err(PgError::Fatal(format!(
        "Table '{}' has columns that differ only by case. Column name: '{}'. Debezium does not \
         support case-sensitive duplicate column names as this causes data corruption. Please \
         rename one of the duplicate columns before running Debezium.",
        info.id,
        pair.first().map_or("", String::as_str)
    )))
}

#[cfg(test)]
pub(crate) mod tests;
