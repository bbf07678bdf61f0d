//! Which plan values of a Connect schema follow into an Avro schema: made once per pair of schemas.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use connect_api::data::logical::Logical;
use connect_api::data::{Schema, SchemaRef, SchemaType};
use connect_api::{Error, Result};

use crate::from_connect::{ENUM, FIXED_SIZE, GENERIC_ENUM, Options, decimal_scale, is_union};
use crate::names;
use crate::schema::{Avro, AvroRef, Shape};
use crate::write::{FieldPlan, Number, Plan, StructPlan, mismatching};

/// The plan of a schema's values in an Avro schema, and the structs' plans by number.
pub(crate) fn plan(
    schema: &SchemaRef,
    avro: &AvroRef,
    options: &Options,
) -> Result<(Plan, Vec<StructPlan>)> {
    let mut planning = Planning {
        options,
        named: HashMap::new(),
        structs: Vec::new(),
        open: Vec::new(),
    };
    planning.collect_names(avro);
    let plan = planning.plan(schema, avro)?;
    let structs = planning.structs.into_iter().collect::<Option<Vec<_>>>();
    let structs = structs.ok_or_else(|| Error::fatal("a struct's plan has no end"))?;
    Ok((plan, structs))
}

struct Planning<'a> {
    options: &'a Options,
    /// Named types of the Avro schema, for references.
    named: HashMap<String, AvroRef>,
    structs: Vec<Option<StructPlan>>,
    /// Structs around the place that is being planned, with their numbers.
    open: Vec<(SchemaRef, String, usize)>,
}

impl Planning<'_> {
    fn collect_names(&mut self, avro: &AvroRef) {
        if let Some(name) = avro.name()
            && !matches!(avro.shape, Shape::Reference(_))
            && self.named.insert(name.full(), Arc::clone(avro)).is_some()
        {
            return;
        }
        match &avro.shape {
            Shape::Array(inner) | Shape::Map(inner) => self.collect_names(inner),
            Shape::Union(branches) => {
                for branch in branches {
                    self.collect_names(branch);
                }
            }
            Shape::Record { fields, .. } => {
                for field in fields {
                    self.collect_names(&field.schema);
                }
            }
            _ => {}
        }
    }

    /// The type that a reference stands for.
    fn resolved(&self, avro: &AvroRef) -> Result<AvroRef> {
        match &avro.shape {
            Shape::Reference(name) => {
                self.named.get(&name.full()).cloned().ok_or_else(|| {
                    Error::data(format!("the schema does not define {}", name.full()))
                })
            }
            _ => Ok(Arc::clone(avro)),
        }
    }

    fn plan(&mut self, schema: &SchemaRef, avro: &AvroRef) -> Result<Plan> {
        let Shape::Union(branches) = &avro.shape else {
            return self.base(schema, avro);
        };
        let place = |branch: usize| branch as i64;
        let null = branches
            .iter()
            .position(|branch| branch.shape == Shape::Null)
            .map(place);
        if is_union(schema) {
            let mut members = Vec::with_capacity(schema.fields().len());
            for field in schema.fields() {
                let branch = self.branch_of(&field.schema, branches)?;
                let plan = self.base(&field.schema, &branches[branch])?;
                members.push((place(branch), plan));
            }
            return Ok(Plan::Union {
                schema: Arc::clone(schema),
                null,
                members,
            });
        }
        let branch = self.branch_of(schema, branches)?;
        let inner = self.base(schema, &branches[branch])?;
        Ok(Plan::Branch {
            // A required schema has no null, whatever the union would allow.
            null: null.filter(|_| schema.is_optional()),
            value: place(branch),
            inner: Box::new(inner),
        })
    }

    /// The branch of a union that takes values of a schema.
    fn branch_of(&self, schema: &Schema, branches: &[AvroRef]) -> Result<usize> {
        let fits = |exact: bool| {
            branches.iter().position(|branch| {
                self.resolved(branch)
                    .is_ok_and(|branch| self.fits(schema, &branch, exact))
            })
        };
        fits(true).or_else(|| fits(false)).ok_or_else(|| {
            Error::data(format!(
                "no branch of the union takes a value of {}",
                schema.name().unwrap_or_else(|| schema.kind().name())
            ))
        })
    }

    fn fits(&self, schema: &Schema, branch: &Avro, exact: bool) -> bool {
        let same_name = || {
            let name = branch.name().map(|name| name.full());
            let own = schema.name().map(|own| {
                names::full_name(own, self.options.scrub_invalid_names)
                    .map_or_else(|_| own.to_owned(), |name| name.full())
            });
            // An unnamed struct got its name from the mapping.
            own.is_none_or(|own| Some(own) == name)
        };
        match (schema.kind(), &branch.shape) {
            (SchemaType::Int8 | SchemaType::Int16 | SchemaType::Int32, Shape::Int)
            | (SchemaType::Int64, Shape::Long)
            | (SchemaType::Float32, Shape::Float)
            | (SchemaType::Float64, Shape::Double)
            | (SchemaType::Boolean, Shape::Boolean)
            | (SchemaType::Array, Shape::Array(_))
            | (SchemaType::Map, Shape::Map(_) | Shape::Array(_)) => true,
            (SchemaType::String, Shape::String) => !exact || !is_enum(schema),
            (SchemaType::String, Shape::Enum { name, .. }) => {
                is_enum(schema) && (!exact || is_named(schema, &name.full()))
            }
            (SchemaType::Bytes, Shape::Bytes) => !exact || schema.parameter(FIXED_SIZE).is_none(),
            (SchemaType::Bytes, Shape::Fixed { .. }) => !exact || same_name(),
            (SchemaType::Struct, Shape::Record { .. }) => !exact || same_name(),
            (SchemaType::Int8 | SchemaType::Int16 | SchemaType::Int32, Shape::Long)
            | (SchemaType::Float32, Shape::Double) => !exact,
            _ => false,
        }
    }

    fn base(&mut self, schema: &SchemaRef, avro: &AvroRef) -> Result<Plan> {
        let avro = &self.resolved(avro)?;
        let scale = |schema: &Schema| Ok::<_, Error>(decimal_scale(schema)?.unwrap_or(0));
        let is_decimal = schema.logical() == Some(Logical::Decimal);
        Ok(match (schema.kind(), &avro.shape) {
            (SchemaType::Int8, Shape::Int) => Plan::Int8,
            (SchemaType::Int16, Shape::Int) => Plan::Int16,
            (SchemaType::Int32, Shape::Int) => match schema.logical() {
                Some(Logical::Date) => Plan::Date,
                Some(Logical::Time) => Plan::Time,
                _ => Plan::Int32,
            },
            (SchemaType::Int64, Shape::Long) => match schema.logical() {
                Some(Logical::Timestamp) => Plan::Timestamp,
                _ => Plan::Int64,
            },
            (SchemaType::Float32, Shape::Float) => Plan::Float32,
            (SchemaType::Float64, Shape::Double) => Plan::Float64,
            (SchemaType::Boolean, Shape::Boolean) => Plan::Boolean,
            (SchemaType::String, Shape::String) => Plan::String,
            (SchemaType::String, Shape::Enum { symbols, .. }) => Plan::Enum(symbols.clone()),
            (SchemaType::Bytes, Shape::Bytes) if is_decimal => Plan::Decimal(scale(schema)?),
            (SchemaType::Bytes, Shape::Bytes) => Plan::Bytes,
            (SchemaType::Bytes, Shape::Fixed { size, .. }) if is_decimal => {
                Plan::FixedDecimal(*size, scale(schema)?)
            }
            (SchemaType::Bytes, Shape::Fixed { size, .. }) => Plan::Fixed(*size),
            (SchemaType::Array, Shape::Array(items)) => {
                Plan::Array(Box::new(self.plan(value_schema(schema)?, items)?))
            }
            (SchemaType::Map, Shape::Map(values)) => {
                Plan::Map(Box::new(self.plan(value_schema(schema)?, values)?))
            }
            (SchemaType::Map, Shape::Array(entry)) => {
                let keys = schema
                    .key_schema()
                    .ok_or_else(|| Error::data("a map schema has no key schema"))?;
                let entry = self.resolved(entry)?;
                let Shape::Record { fields, .. } = &entry.shape else {
                    return Ok(impossible(schema, avro));
                };
                let [key, value] = fields.as_slice() else {
                    return Ok(impossible(schema, avro));
                };
                let key = self.plan(keys, &key.schema)?;
                let value = self.plan(value_schema(schema)?, &value.schema)?;
                Plan::Entries(Box::new((key, value)))
            }
            (SchemaType::Struct, Shape::Record { .. }) => {
                Plan::Struct(self.structure(schema, avro)?)
            }
            (from, Shape::Int | Shape::Long | Shape::Float | Shape::Double)
                if matches!(
                    from,
                    SchemaType::Int8
                        | SchemaType::Int16
                        | SchemaType::Int32
                        | SchemaType::Int64
                        | SchemaType::Float32
                        | SchemaType::Float64
                ) =>
            {
                let to = match &avro.shape {
                    Shape::Int => Number::Int,
                    Shape::Long => Number::Long,
                    Shape::Float => Number::Float,
                    _ => Number::Double,
                };
                Plan::Widened(from, to)
            }
            _ => impossible(schema, avro),
        })
    }

    fn structure(&mut self, schema: &SchemaRef, avro: &AvroRef) -> Result<usize> {
        let Shape::Record { name, fields, .. } = &avro.shape else {
            return Err(Error::fatal("a struct is written as a record"));
        };
        let full = name.full();
        let target = schema.recursion();
        if schema.is_recursive() {
            let target = target.as_ref().ok_or_else(mismatching)?;
            let around = self.open.iter().find(|(open, name, _)| {
                *name == full && (Arc::ptr_eq(open, target) || same_but_optional(open, target))
            });
            let (_, _, number) = around.ok_or_else(|| {
                Error::data("a recursive schema refers to a struct that is not around it")
            })?;
            return Ok(*number);
        }
        let number = self.structs.len();
        self.structs.push(None);
        self.open.push((Arc::clone(schema), full, number));
        let mut plans = Vec::with_capacity(fields.len());
        for (place, field) in fields.iter().enumerate() {
            let own = schema
                .fields()
                .iter()
                .find(|own| {
                    if self.options.scrub_invalid_names {
                        names::scrub(&own.name) == field.name
                    } else {
                        *own.name == *field.name
                    }
                })
                // As there: a field that only the other schema has takes the value at its place.
                .or_else(|| schema.fields().get(place));
            let Some(own) = own else {
                return Err(Error::data(format!(
                    "Index {place} out of bounds for length {}",
                    schema.fields().len()
                ))
                .with_class("java.lang.ArrayIndexOutOfBoundsException"));
            };
            let plan = self.plan(&own.schema, &field.schema)?;
            let default = own.schema.default_value();
            plans.push(FieldPlan {
                from: own.index,
                plan,
                default: default
                    .filter(|_| !self.options.ignore_default_for_nullables)
                    .cloned(),
            });
        }
        self.open.pop();
        self.structs[number] = Some(StructPlan {
            schema: Arc::clone(schema),
            equal: OnceCell::new(),
            fields: plans,
        });
        Ok(number)
    }
}

fn impossible(schema: &Schema, avro: &Avro) -> Plan {
    Plan::Impossible(format!(
        "a value of {} cannot be written as {}",
        schema.kind().name(),
        avro.type_name()
    ))
}

fn is_enum(schema: &Schema) -> bool {
    schema.parameter(ENUM).is_some() || schema.parameter(GENERIC_ENUM).is_some()
}

fn is_named(schema: &Schema, full: &str) -> bool {
    [ENUM, GENERIC_ENUM]
        .into_iter()
        .any(|parameter| schema.parameter(parameter) == Some(full))
}

fn same_but_optional(one: &SchemaRef, other: &SchemaRef) -> bool {
    one.to_builder().optional_if(false).no_default().build()
        == other.to_builder().optional_if(false).no_default().build()
}

fn value_schema(schema: &Schema) -> Result<&SchemaRef> {
    schema
        .value_schema()
        .ok_or_else(|| Error::data("an array or map schema has no value schema"))
}
