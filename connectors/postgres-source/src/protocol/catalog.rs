//! Tables, types and keys as the system catalog has them.
//!
//! Types are remembered for the life of a [`Catalog`], and those of enumerations as they were at its
//! start until [`Catalog::refresh_type`] is asked for one; what else can change under a connector
//! (columns, keys) is read anew each time a table is. Answers for `PostgresConnection`,
//! `TypeRegistry` and the driver's `DatabaseMetaData`.

use std::collections::HashMap;
use std::sync::Arc;

use super::connection::Connection;
use super::pgoutput::Relation;
use super::quote_literal;
use crate::change::{ColumnInfo, TableId, TableInfo, TypeInfo, TypeKind};
use crate::error::PgError;

/// A type may refer to another a few levels deep (domain over array of domain ...); a catalog that
/// goes deeper is broken.
const TYPE_DEPTH: usize = 16;

/// Reads table and type descriptions.
#[derive(Debug, Default)]
pub struct Catalog {
    types: HashMap<u32, Arc<TypeInfo>>,
}

impl Catalog {
    /// All tables and partitioned tables that are not the system's, sorted.
    ///
    /// # Errors
    /// The query's.
    pub async fn tables(connection: &mut Connection) -> Result<Vec<TableId>, PgError> {
        let sql = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' \
             AND n.nspname <> 'information_schema'";
        let mut tables: Vec<TableId> = connection
            .query(sql)
            .await?
            .iter()
            .map(|row| TableId {
                schema: row.text(0).to_owned(),
                table: row.text(1).to_owned(),
            })
            .collect();
        tables.sort();
        Ok(tables)
    }

    /// A table as it is now, with all its columns. `None` when there is no such table.
    ///
    /// # Errors
    /// A query's.
    pub async fn table(
        &mut self,
        connection: &mut Connection,
        id: &TableId,
    ) -> Result<Option<TableInfo>, PgError> {
        let Some(live) = live_table(connection, id).await? else {
            return Ok(None);
        };
        let mut columns = Vec::with_capacity(live.columns.len());
        for column in live.columns {
            let data_type = self.data_type(connection, column.type_oid).await?;
            columns.push(column.into_info(data_type));
        }
        let id = id.clone();
        Ok(Some(TableInfo {
            id,
            columns,
            primary_key: live.primary_key,
            comment: live.comment,
        }))
    }

    /// A table as a RELATION message has it; the catalog adds what the message does not say. What
    /// the catalog no longer knows is taken as optional and without default.
    ///
    /// # Errors
    /// A query's.
    pub async fn relation(
        &mut self,
        connection: &mut Connection,
        relation: &Relation,
    ) -> Result<TableInfo, PgError> {
        let id = TableId {
            schema: relation.schema.clone(),
            table: relation.table.clone(),
        };
        let live = live_table(connection, &id).await?.unwrap_or_default();
        let mut known: HashMap<String, LiveColumn> = live
            .columns
            .into_iter()
            .map(|column| (column.name.clone(), column))
            .collect();
        let mut columns = Vec::with_capacity(relation.columns.len());
        for column in &relation.columns {
            let data_type = self.data_type(connection, column.type_oid).await?;
            let live = known.remove(&column.name).unwrap_or_else(|| {
                tracing::warn!(
                    table = %id, column = %column.name,
                    "column optionality could not be determined, defaulting to true"
                );
                LiveColumn {
                    name: column.name.clone(),
                    ..LiveColumn::default()
                }
            });
            columns.push(ColumnInfo {
                type_modifier: column.type_modifier,
                generated: false,
                ..live.into_info(data_type)
            });
        }
        // The key may have been changed since; what the message lacks cannot be part of it.
        let primary_key = live
            .primary_key
            .into_iter()
            .filter(|name| columns.iter().any(|column| column.name == *name))
            .collect();
        Ok(TableInfo {
            id,
            columns,
            primary_key,
            comment: live.comment,
        })
    }

    /// Reads all enumerations, and the arrays of them.
    ///
    /// # Errors
    /// The query's.
    pub async fn load_enums(&mut self, connection: &mut Connection) -> Result<(), PgError> {
        let sql = "SELECT t.oid, t.typname, n.nspname, e.enumlabel, t.typarray, \
             coalesce(a.typname, '') FROM pg_catalog.pg_enum e \
             JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid \
             JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
             LEFT JOIN pg_catalog.pg_type a ON a.oid = t.typarray \
             ORDER BY t.oid, e.enumsortorder";
        let rows = connection.query(sql).await?;
        for labels in rows.chunk_by(|a, b| a.get(0) == b.get(0)) {
            let Some(first) = labels.first() else {
                continue;
            };
            let schema = first.text(2).to_owned();
            let labels = labels.iter().map(|row| row.text(3).to_owned()).collect();
            let element = Arc::new(TypeInfo {
                oid: first.number(0)?,
                name: first.text(1).to_owned(),
                schema: schema.clone(),
                kind: TypeKind::Enum(labels),
            });
            self.types.insert(element.oid, Arc::clone(&element));
            let array = TypeInfo {
                oid: first.number(4)?,
                name: first.text(5).to_owned(),
                schema,
                kind: TypeKind::Array(element),
            };
            if array.oid != 0 {
                self.types.insert(array.oid, Arc::new(array));
            }
        }
        Ok(())
    }

    /// Reads one type again. As in the JVM a domain follows its type, while an array keeps the
    /// labels that its elements had when it was first seen.
    ///
    /// # Errors
    /// A query's.
    pub async fn refresh_type(
        &mut self,
        connection: &mut Connection,
        data_type: &TypeInfo,
    ) -> Result<(), PgError> {
        let is_domain = |info: &TypeInfo| matches!(info.kind, TypeKind::Domain(..));
        self.types
            .retain(|oid, info| *oid != data_type.oid && !is_domain(info));
        self.data_type(connection, data_type.oid).await.map(drop)
    }

    /// Has a table's columns refer to the types as they are known now, and have the defaults that
    /// they have now.
    ///
    /// # Errors
    /// A query's.
    pub async fn refresh_table(
        &mut self,
        connection: &mut Connection,
        info: &mut TableInfo,
    ) -> Result<(), PgError> {
        let live = live_table(connection, &info.id).await?.unwrap_or_default();
        for column in &mut info.columns {
            column.data_type = self.data_type(connection, column.data_type.oid).await?;
            let live = live.columns.iter().find(|live| live.name == column.name);
            if let Some(live) = live {
                column
                    .default_expression
                    .clone_from(&live.default_expression);
            }
        }
        Ok(())
    }

    async fn data_type(
        &mut self,
        connection: &mut Connection,
        oid: u32,
    ) -> Result<Arc<TypeInfo>, PgError> {
        // From the type inwards to the one that refers to no other, then outwards again.
        let mut outer: Vec<(TypeRow, u32)> = Vec::new();
        let mut next = oid;
        let mut info = loop {
            if let Some(info) = self.types.get(&next) {
                break Arc::clone(info);
            }
            let row = type_row(connection, next).await?;
            match row.inner {
                Some(inner) if outer.len() < TYPE_DEPTH => {
                    outer.push((row, next));
                    next = inner;
                }
                _ => {
                    let labels = match row.kind.as_str() {
                        "e" => enum_labels(connection, next).await?,
                        _ => Vec::new(),
                    };
                    let info = Arc::new(row.into_info(next, None, labels));
                    self.types.insert(next, Arc::clone(&info));
                    break info;
                }
            }
        };
        while let Some((row, oid)) = outer.pop() {
            info = Arc::new(row.into_info(oid, Some(info), Vec::new()));
            self.types.insert(oid, Arc::clone(&info));
        }
        Ok(info)
    }
}

struct TypeRow {
    name: String,
    schema: String,
    kind: String,
    inner: Option<u32>,
    modifier: i32,
}

impl TypeRow {
    fn into_info(self, oid: u32, inner: Option<Arc<TypeInfo>>, labels: Vec<String>) -> TypeInfo {
        let kind = match (self.kind.as_str(), inner) {
            ("d", Some(inner)) => TypeKind::Domain(inner, self.modifier),
            (_, Some(inner)) => TypeKind::Array(inner),
            ("e", None) => TypeKind::Enum(labels),
            ("c", None) => TypeKind::Composite,
            ("r", None) => TypeKind::Range,
            ("m", None) => TypeKind::Multirange,
            ("p", None) => TypeKind::Pseudo,
            _ => TypeKind::Base,
        };
        TypeInfo {
            oid,
            name: self.name,
            schema: self.schema,
            kind,
        }
    }
}

async fn type_row(connection: &mut Connection, oid: u32) -> Result<TypeRow, PgError> {
    let sql = format!(
        "SELECT t.typname, n.nspname, t.typtype, t.typtypmod, \
         CASE WHEN t.typtype = 'd' THEN t.typbasetype \
              WHEN t.typelem <> 0 AND t.typcategory = 'A' THEN t.typelem ELSE 0 END \
         FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         WHERE t.oid = {oid}"
    );
    let Some(row) = connection.query_first(&sql).await? else {
        // Dropped since the row was written: its values are text of a type nobody knows.
        return Ok(TypeRow {
            name: format!("unknown_{oid}"),
            schema: String::new(),
            kind: "b".to_owned(),
            inner: None,
            modifier: -1,
        });
    };
    let inner: u32 = row.number(4)?;
    Ok(TypeRow {
        name: row.text(0).to_owned(),
        schema: row.text(1).to_owned(),
        kind: row.text(2).to_owned(),
        inner: (inner != 0).then_some(inner),
        modifier: row.number(3)?,
    })
}

async fn enum_labels(connection: &mut Connection, oid: u32) -> Result<Vec<String>, PgError> {
    let sql = format!(
        "SELECT enumlabel FROM pg_catalog.pg_enum WHERE enumtypid = {oid} ORDER BY enumsortorder"
    );
    Ok(connection
        .query(&sql)
        .await?
        .iter()
        .map(|row| row.text(0).to_owned())
        .collect())
}

#[derive(Debug, Default)]
struct LiveTable {
    columns: Vec<LiveColumn>,
    primary_key: Vec<String>,
    comment: Option<String>,
}

#[derive(Debug)]
struct LiveColumn {
    name: String,
    type_oid: u32,
    type_modifier: i32,
    optional: bool,
    default_expression: Option<String>,
    generated: bool,
    comment: Option<String>,
}

impl Default for LiveColumn {
    fn default() -> Self {
        Self {
            name: String::new(),
            type_oid: 0,
            type_modifier: -1,
            optional: true,
            default_expression: None,
            generated: false,
            comment: None,
        }
    }
}

impl LiveColumn {
    fn into_info(self, data_type: Arc<TypeInfo>) -> ColumnInfo {
        ColumnInfo {
            name: self.name,
            data_type,
            type_modifier: self.type_modifier,
            optional: self.optional,
            default_expression: self.default_expression,
            generated: self.generated,
            comment: self.comment,
        }
    }
}

async fn live_table(
    connection: &mut Connection,
    id: &TableId,
) -> Result<Option<LiveTable>, PgError> {
    // Generated columns came with version 12.
    let generated = if connection.server_version() >= 120_000 {
        "a.attgenerated <> ''"
    } else {
        "false"
    };
    let (schema, table) = (quote_literal(&id.schema), quote_literal(&id.table));
    let sql = format!(
        "SELECT a.attname, a.atttypid, a.atttypmod, \
         a.attnotnull OR (t.typtype = 'd' AND t.typnotnull), \
         pg_catalog.pg_get_expr(d.adbin, d.adrelid), {generated}, \
         pg_catalog.col_description(c.oid, a.attnum), pg_catalog.obj_description(c.oid, 'pg_class') \
         FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
              AND NOT a.attisdropped \
         LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE n.nspname = {schema} AND c.relname = {table} AND c.relkind IN ('r', 'p') \
         ORDER BY a.attnum"
    );
    let rows = connection.query(&sql).await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let comment = first.get(7).map(str::to_owned);
    let mut columns = Vec::with_capacity(rows.len());
    // A table without columns is one row without an attribute.
    for row in rows.iter().filter(|row| row.get(0).is_some()) {
        let generated = row.flag(5);
        columns.push(LiveColumn {
            name: row.text(0).to_owned(),
            type_oid: row.number(1)?,
            type_modifier: row.number(2)?,
            optional: !row.flag(3),
            // Of a generated column, its expression: the driver does not tell them apart.
            default_expression: row.get(4).map(str::to_owned),
            generated,
            comment: row.get(6).map(str::to_owned),
        });
    }
    let primary_key = key_columns(connection, id).await?;
    Ok(Some(LiveTable {
        columns,
        primary_key,
        comment,
    }))
}

/// The primary key's columns in index order, else those of the first unique index without
/// expressions: clustered before others, then by name, as the driver lists indices.
async fn key_columns(connection: &mut Connection, id: &TableId) -> Result<Vec<String>, PgError> {
    // Columns that an index only includes came with version 11.
    let key_count = if connection.server_version() >= 110_000 {
        "i.indnkeyatts"
    } else {
        "i.indnatts"
    };
    let (schema, table) = (quote_literal(&id.schema), quote_literal(&id.table));
    let sql = format!(
        "SELECT ic.relname, i.indisprimary, a.attname \
         FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
         WHERE n.nspname = {schema} AND c.relname = {table} AND k.place <= {key_count} \
         AND (i.indisprimary OR (i.indisunique AND i.indexprs IS NULL)) \
         ORDER BY i.indisprimary DESC, i.indisclustered DESC, ic.relname, k.place"
    );
    let rows = connection.query(&sql).await?;
    let Some(first) = rows.first() else {
        return Ok(Vec::new());
    };
    if !first.flag(1) {
        tracing::warn!(
            "Primary keys are not defined for table '{}', defaulting to unique indices",
            id.table
        );
    }
    Ok(rows
        .iter()
        .filter(|row| row.get(0) == first.get(0))
        .map(|row| row.text(2).to_owned())
        .collect())
}
