//! The Connect schema of an Avro schema, and the plan by which its values are read.
//!
//! Answers for `AvroData.toConnectSchema`.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::data::logical::Logical;
use connect_api::data::{ByteString, Knot, Schema, SchemaBuilder, SchemaRef, logical};
use connect_api::{Error, Result};
use serde_json::Value;

use crate::defaults;
use crate::from_connect::{
    CONNECT_ENUM_DOC, CONNECT_RECORD_DOC, DECIMAL_PRECISION, DEFAULT_PRECISION, DEFAULT_RECORD,
    ENUM, ENUM_DEFAULT, ENUM_DOC, FIELD_DEFAULT, FIELD_DOC, FIXED_SIZE, GENERIC_ENUM,
    GENERIC_UNION, INTERNAL_TYPE, MAP_ENTRY, NAMESPACE, Options, RECORD_DOC, UNION, decimal_scale,
};
use crate::read::{Plan, Reader, RecordPlan};
use crate::schema::{Avro, AvroField, AvroRef, Name, Shape};

/// Name of the record that stands for data without a schema.
pub const ANYTHING: &str = "Anything";

/// A reader of messages of this schema.
pub(crate) fn reader(
    avro: &AvroRef,
    options: &Options,
    version: Option<i32>,
    unions: &mut usize,
) -> Result<Reader> {
    let raw_bytes = avro.shape == Shape::Bytes;
    let mut mapping = Mapping {
        options,
        root_version: version,
        records: Vec::new(),
        open: Vec::new(),
        done: HashMap::new(),
        unions,
    };
    let (schema, plan) = mapping.map(avro, &Context::root())?;
    let records = mapping
        .records
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Error::data("a record's definition has no end"))?;
    Ok(Reader {
        plan,
        schema,
        records,
        raw_bytes,
    })
}

/// What the place of a schema adds to it.
#[derive(Default)]
struct Context<'a> {
    root: bool,
    optional: bool,
    /// The default of the field that has it.
    default: Option<&'a Value>,
    /// The documentation of the field that has it.
    doc: Option<&'a str>,
}

impl Context<'_> {
    fn root() -> Self {
        Self {
            root: true,
            ..Self::default()
        }
    }
}

struct Mapping<'a> {
    options: &'a Options,
    root_version: Option<i32>,
    /// Filled in when a record's fields are known.
    records: Vec<Option<RecordPlan>>,
    /// The records around the place that is being mapped.
    open: Vec<Open>,
    /// Complete records by full name: their number.
    done: HashMap<String, usize>,
    unions: &'a mut usize,
}

struct Open {
    full: String,
    number: usize,
    knot: Knot,
    /// Name and version that an end which refers to it shows.
    name: Option<ByteString>,
    version: Option<i32>,
}

type Mapped = (Option<SchemaRef>, Plan);

fn of_type(avro: &Avro) -> Error {
    Error::data(format!(
        "Couldn't translate unsupported schema type {}",
        avro.type_name().to_uppercase()
    ))
}

impl Mapping<'_> {
    /// A schema in a place where there has to be one.
    fn inner(&mut self, avro: &AvroRef, context: &Context<'_>) -> Result<(SchemaRef, Plan)> {
        let (schema, plan) = self.map(avro, context)?;
        Ok((schema.ok_or_else(|| of_type(avro))?, plan))
    }

    fn map(&mut self, avro: &AvroRef, context: &Context<'_>) -> Result<Mapped> {
        let logical = avro.logical_type();
        let (builder, plan) = match &avro.shape {
            Shape::Null if context.root => return Ok((None, Plan::Null)),
            Shape::Null => return Err(of_type(avro)),
            Shape::Union(branches) => return self.union(branches, context),
            Shape::Record { name, doc, fields } => {
                return self.record(avro, (name, doc.as_deref(), fields), context);
            }
            Shape::Reference(name) => return self.reference(name, context),
            Shape::Boolean => (Schema::boolean(), Plan::Boolean),
            Shape::Int => match (logical, avro.props.get("connect.type")) {
                (Some("date"), _) => (logical::date(), Plan::Date),
                (Some("time-millis"), _) => (logical::time(), Plan::Time),
                (_, None) => (Schema::int32(), Plan::Int32),
                (_, Some(kind)) if kind == "int8" => (Schema::int8(), Plan::Int8),
                (_, Some(kind)) if kind == "int16" => (Schema::int16(), Plan::Int16),
                (_, Some(kind)) => {
                    return Err(Error::data(format!(
                        "Connect type annotation for Avro int field is neither int8 nor int16: \
                         {kind}"
                    )));
                }
            },
            Shape::Long => match logical {
                Some("timestamp-millis") => (logical::timestamp(), Plan::Timestamp),
                _ => (Schema::int64(), Plan::Int64),
            },
            Shape::Float => (Schema::float32(), Plan::Float32),
            Shape::Double => (Schema::float64(), Plan::Float64),
            Shape::String => (Schema::string(), Plan::String),
            Shape::Bytes => match decimal(avro)? {
                Some((builder, scale)) => (builder, Plan::Decimal(scale)),
                None => (Schema::bytes(), Plan::Bytes),
            },
            Shape::Fixed { size, .. } => {
                let (builder, plan) = match decimal(avro)? {
                    Some((builder, scale)) => (builder, Plan::FixedDecimal(*size, scale)),
                    None => (Schema::bytes(), Plan::Fixed(*size)),
                };
                (builder.parameter(FIXED_SIZE, size.to_string()), plan)
            }
            Shape::Enum {
                name,
                doc,
                symbols,
                default,
            } => {
                let builder = self.enumeration(name, symbols, doc.as_ref(), default.as_ref());
                let symbols: Vec<ByteString> = symbols
                    .iter()
                    .map(|symbol| ByteString::from(symbol.as_str()))
                    .collect();
                (builder, Plan::Enum(symbols.into()))
            }
            Shape::Array(items) => match entry_fields(items)? {
                Some((key, value)) => {
                    let (keys, key) = self.inner(key, &Context::default())?;
                    let (values, value) = self.inner(value, &Context::default())?;
                    let plan = Plan::Entries(Box::new((key, value)));
                    (Schema::map(keys, values), plan)
                }
                None => {
                    let (items, plan) = self.inner(items, &Context::default())?;
                    (Schema::array(items), Plan::Array(Box::new(plan)))
                }
            },
            Shape::Map(values) => {
                let (values, plan) = self.inner(values, &Context::default())?;
                (
                    Schema::map(Schema::string().build(), values),
                    Plan::Map(Box::new(plan)),
                )
            }
        };
        let schema = self.finish(builder, avro, context)?;
        let plan = logical_plan(plan, &schema)?;
        Ok((Some(schema), plan))
    }

    fn enumeration(
        &self,
        name: &Name,
        symbols: &[String],
        doc: Option<&String>,
        default: Option<&String>,
    ) -> SchemaBuilder {
        let mut builder = Schema::string();
        if self.options.connect_meta_data {
            let discard = self.options.discard_type_doc_default;
            let doc_parameter = match discard {
                true => CONNECT_ENUM_DOC.to_owned(),
                false => format!("{ENUM_DOC}{}", name.name),
            };
            let default_parameter = format!("{ENUM_DEFAULT}{}", name.name);
            let default = default.filter(|_| !discard);
            for (parameter, text) in [(doc_parameter, doc), (default_parameter, default)] {
                if let Some(text) = text {
                    builder = builder.parameter(parameter, text.as_str());
                }
            }
        }
        let generic = self.options.generalized_sum_types;
        let parameter = if generic { GENERIC_ENUM } else { ENUM };
        builder = builder.parameter(parameter, name.full());
        for (index, symbol) in symbols.iter().enumerate() {
            let value = if generic {
                index.to_string()
            } else {
                symbol.clone()
            };
            builder = builder.parameter(format!("{parameter}.{symbol}"), value);
        }
        builder
    }

    fn union(&mut self, branches: &[AvroRef], context: &Context<'_>) -> Result<Mapped> {
        let is_null = |branch: &&AvroRef| branch.shape == Shape::Null;
        let null = branches.iter().position(|branch| is_null(&branch));
        if let [only] = branches
            && self.options.flatten_singleton_unions
        {
            // Of the place nothing is left, not even its default.
            let (schema, plan) = self.map(only, &Context::default())?;
            // The branch still stands in the bytes.
            return Ok((schema, Plan::Nullable(1, Box::new(plan))));
        }
        if let ([_, _], Some(null)) = (branches, null) {
            let context = Context {
                optional: true,
                doc: context.doc,
                ..Context::default()
            };
            let (schema, plan) = self.inner(&branches[1 - null], &context)?;
            return Ok((Some(schema), Plan::Nullable(null as u64, Box::new(plan))));
        }
        let mut builder = Schema::structure();
        if self.options.generalized_sum_types {
            let name = format!("connect_union_{}", *self.unions);
            *self.unions += 1;
            builder = builder
                .name(name.as_str())
                .parameter(GENERIC_UNION, name.as_str());
        } else {
            builder = builder.name(UNION);
        }
        let mut plans = Vec::with_capacity(branches.len());
        let mut names: Vec<String> = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            if branch.shape == Shape::Null {
                plans.push(None);
                continue;
            }
            let name = self.member_name(branch, index);
            if names.contains(&name) {
                return Err(Error::data(format!(
                    "Cannot create field because of field name duplication {name}"
                )));
            }
            let context = Context {
                optional: true,
                ..Context::default()
            };
            let (schema, plan) = self.inner(branch, &context)?;
            builder = builder.field(name.as_str(), schema);
            plans.push(Some((names.len(), plan)));
            names.push(name);
        }
        builder = builder.optional_if(null.is_some() || context.optional);
        let plain = Avro::plain(Shape::Union(Vec::new()));
        let schema =
            self.finish_with(builder, &plain, context, context.optional || null.is_some())?;
        let plan = Plan::Union(Arc::clone(&schema), plans);
        Ok((Some(schema), plan))
    }

    /// The name of the field that stands for a union's branch.
    fn member_name(&self, branch: &Avro, index: usize) -> String {
        if self.options.generalized_sum_types {
            return format!("connect_union_field_{index}");
        }
        match branch.name() {
            Some(name) if !self.options.enhanced_schema_support => name.name.clone(),
            _ => branch.type_name(),
        }
    }

    fn reference(&mut self, name: &Name, context: &Context<'_>) -> Result<Mapped> {
        let full = name.full();
        let Some(open) = self.open.iter().find(|open| open.full == full) else {
            // Complete by now: another branch of the schema refers to it.
            let number = self.done.get(&full).copied();
            let number = number.ok_or_else(|| {
                Error::data(format!(
                    "the schema refers to {full}, which it does not define"
                ))
            })?;
            return self.variant(
                number,
                &Avro::plain(Shape::Reference(name.clone())),
                context,
            );
        };
        let mut builder = Schema::recursive(open.knot.clone()).optional_if(context.optional);
        if let Some(name) = &open.name {
            builder = builder.name(name.clone());
        }
        if let Some(version) = open.version {
            builder = builder.version(version);
        }
        Ok((Some(builder.build()), Plan::Record(open.number)))
    }

    fn record(
        &mut self,
        avro: &AvroRef,
        (name, doc, fields): (&Name, Option<&str>, &[AvroField]),
        context: &Context<'_>,
    ) -> Result<Mapped> {
        let full = name.full();
        if name.name == ANYTHING && name.namespace.as_deref() == Some(NAMESPACE) && context.root {
            return Ok((None, Plan::Anything));
        }
        if let Some(number) = self.done.get(&full) {
            return self.variant(*number, avro, context);
        }
        let number = self.records.len();
        self.records.push(None);
        let knot = Knot::new();
        let (base_name, version) = self.identity(avro, context.root)?;
        self.open.push(Open {
            full: full.clone(),
            number,
            knot: knot.clone(),
            name: base_name,
            version,
        });
        let mut builder = Schema::structure();
        let mut plans = Vec::with_capacity(fields.len());
        for field in fields {
            let context = Context {
                root: false,
                optional: false,
                default: field.default.as_ref(),
                doc: field.doc.as_deref(),
            };
            let (schema, plan) = self.inner(&field.schema, &context)?;
            builder = builder.field(field.name.as_str(), schema);
            plans.push(plan);
        }
        self.open.pop();
        if self.options.connect_meta_data && !self.options.discard_type_doc_default {
            if let Some(doc) = doc {
                builder = builder.parameter(RECORD_DOC, doc);
            }
            for field in fields {
                if let Some(doc) = field.doc.as_deref() {
                    builder = builder.parameter(format!("{FIELD_DOC}{}", field.name), doc);
                }
            }
        }
        let root = Context {
            root: context.root,
            ..Context::default()
        };
        let base = self.finish(builder, avro, &root)?;
        knot.tie(&base);
        self.records[number] = Some(RecordPlan {
            schema: base,
            fields: plans.into(),
        });
        self.done.insert(full, number);
        self.variant(number, avro, context)
    }

    /// A complete record as its place wants it: optional, with a default.
    fn variant(&mut self, number: usize, avro: &Avro, context: &Context<'_>) -> Result<Mapped> {
        let record = self.records[number]
            .clone()
            .ok_or_else(|| Error::data("a record refers to itself before its end"))?;
        if !context.optional && context.default.is_none() && context.doc.is_none() {
            return Ok((Some(record.schema), Plan::Record(number)));
        }
        let mut builder = record.schema.to_builder().optional_if(context.optional);
        if self.options.discard_type_doc_default
            && let Some(doc) = context.doc
        {
            builder = builder.doc(doc);
        }
        let schema = self.with_default(builder, avro, context, context.optional)?;
        let schema = schema.build();
        let known = self.records.iter().position(|known| {
            known.as_ref().is_some_and(|known| {
                Arc::ptr_eq(&known.fields, &record.fields) && known.schema == schema
            })
        });
        if let Some(known) = known
            && let Some(plan) = &self.records[known]
        {
            return Ok((Some(Arc::clone(&plan.schema)), Plan::Record(known)));
        }
        self.records.push(Some(RecordPlan {
            schema: Arc::clone(&schema),
            fields: record.fields,
        }));
        Ok((Some(schema), Plan::Record(self.records.len() - 1)))
    }

    /// The Connect name and version that a schema says or gets.
    fn identity(&self, avro: &Avro, root: bool) -> Result<(Option<ByteString>, Option<i32>)> {
        let name = match avro.props.get("connect.name") {
            Some(Value::String(name)) => Some(name.clone()),
            Some(other) => {
                return Err(Error::data(format!("Invalid schema name: {other}")));
            }
            None => avro.name().map(Name::full),
        };
        let dropped = format!("{NAMESPACE}.{DEFAULT_RECORD}");
        let name = name.filter(|name| !name.starts_with(&dropped));
        let version = match avro.props.get("connect.version") {
            Some(version) => Some(
                version
                    .as_i64()
                    .and_then(|version| i32::try_from(version).ok())
                    .ok_or_else(|| {
                        Error::data(format!(
                            "Invalid Connect version annotation for Avro schema: {version}"
                        ))
                    })?,
            ),
            None => self.root_version.filter(|_| root),
        };
        Ok((name.map(ByteString::from), version))
    }

    fn finish(
        &self,
        builder: SchemaBuilder,
        avro: &Avro,
        context: &Context<'_>,
    ) -> Result<SchemaRef> {
        self.finish_with(builder, avro, context, context.optional)
    }

    /// Adds what properties and place say.
    fn finish_with(
        &self,
        mut builder: SchemaBuilder,
        avro: &Avro,
        context: &Context<'_>,
        optional: bool,
    ) -> Result<SchemaRef> {
        let so_far = builder.clone().build();
        let own_doc = avro.props.get("connect.doc").and_then(Value::as_str);
        let doc = if self.options.discard_type_doc_default {
            // As there: whether meta data is wanted makes no difference.
            context.doc.or_else(|| avro.doc()).or(own_doc)
        } else {
            own_doc.filter(|_| self.options.connect_meta_data)
        };
        if let Some(doc) = doc {
            builder = builder.doc(doc);
        }
        if let Some(doc) = avro.doc()
            && self.options.discard_type_doc_default
            && self.options.connect_meta_data
        {
            builder = builder.parameter(CONNECT_RECORD_DOC, doc);
        }
        let (name, version) = self.identity(avro, context.root)?;
        match (so_far.name(), name) {
            // A decimal's fixed type has a name of its own, which says nothing.
            (Some(known), Some(name))
                if *known != *name && avro.props.contains_key("connect.name") =>
            {
                return Err(Error::data(format!(
                    "Mismatched names: name already set to {known} but expected to be {name}"
                )));
            }
            (None, Some(name)) => builder = builder.name(name),
            _ => {}
        }
        match (so_far.version(), version) {
            (Some(known), Some(version))
                if known != version && avro.props.contains_key("connect.version") =>
            {
                return Err(Error::data(format!(
                    "Mismatched versions: version already set to {known} but expected to be \
                     {version}"
                )));
            }
            (None, Some(version)) => builder = builder.version(version),
            _ => {}
        }
        let parameters = avro.props.get("connect.parameters");
        match parameters.filter(|_| self.options.connect_meta_data) {
            Some(Value::Object(parameters)) => {
                for (key, value) in parameters {
                    let Value::String(value) = value else {
                        return Err(Error::data(format!(
                            "Expected schema parameter values to be strings but found: {value}"
                        )));
                    };
                    builder = builder.parameter(key.as_str(), value.as_str());
                }
            }
            None => {}
            Some(other) => {
                return Err(Error::data(format!(
                    "Expected JSON object for schema parameters but found: {other}"
                )));
            }
        }
        for (key, value) in &avro.props {
            if key.starts_with("avro") {
                let text = match value {
                    Value::String(text) => text.clone(),
                    other => crate::text::print(other),
                };
                builder = builder.parameter(key.as_str(), text);
            }
        }
        let builder = builder.optional_if(optional);
        Ok(self.with_default(builder, avro, context, optional)?.build())
    }

    fn with_default(
        &self,
        mut builder: SchemaBuilder,
        avro: &Avro,
        context: &Context<'_>,
        optional: bool,
    ) -> Result<SchemaBuilder> {
        let own = avro.props.get("connect.default");
        let flagged = self.options.connect_meta_data && !self.options.discard_type_doc_default;
        if context.default.is_some() && own.is_none() && flagged {
            builder = builder.parameter(FIELD_DEFAULT, "true");
        }
        if let Some(default) = context.default.or(own) {
            let schema = builder.clone().build();
            match defaults::to_connect(&schema, default) {
                Some(value) if !value.is_null() => builder = builder.default_value(value),
                Some(_) => {}
                None if default.is_null() && optional => {}
                // As there: data is not held up by a default that fits nothing.
                None => {}
            }
        }
        Ok(builder)
    }
}

/// How values are read whose Connect schema says by its name what they are, though no logical type
/// does.
fn logical_plan(plan: Plan, schema: &Schema) -> Result<Plan> {
    let scale = || {
        decimal_scale(schema)?
            .and_then(|scale| i32::try_from(scale).ok())
            .ok_or_else(|| Error::data("a decimal's scale is out of range"))
    };
    Ok(match (plan, schema.logical()) {
        (Plan::Int32, Some(Logical::Date)) => Plan::Date,
        (Plan::Int32, Some(Logical::Time)) => Plan::Time,
        (Plan::Int64, Some(Logical::Timestamp)) => Plan::Timestamp,
        (Plan::Bytes, Some(Logical::Decimal)) => Plan::Decimal(scale()?),
        (Plan::Fixed(size), Some(Logical::Decimal)) => Plan::FixedDecimal(size, scale()?),
        (plan, _) => plan,
    })
}

/// Key and value of the pairs that a map's entries are, where a list's items are such.
fn entry_fields(items: &Avro) -> Result<Option<(&AvroRef, &AvroRef)>> {
    let Shape::Record { name, fields, .. } = &items.shape else {
        return Ok(None);
    };
    let by_name = name.name == MAP_ENTRY && name.namespace.as_deref() == Some(NAMESPACE);
    let by_mark = items.props.get(INTERNAL_TYPE).and_then(Value::as_str) == Some(MAP_ENTRY);
    if !by_name && !by_mark {
        return Ok(None);
    }
    match fields.as_slice() {
        [key, value] if key.name == "key" && value.name == "value" => {
            Ok(Some((&key.schema, &value.schema)))
        }
        _ => Err(Error::data(
            "Found map entry records that do not have the fields key and value",
        )),
    }
}

/// A decimal and its scale, where the schema says it is one.
fn decimal(avro: &Avro) -> Result<Option<(SchemaBuilder, i32)>> {
    if avro.logical_type() != Some("decimal") {
        return Ok(None);
    }
    let number = |key: &str, default: i64| match avro.props.get(key) {
        None => Ok(default),
        Some(value) => value
            .as_i64()
            .ok_or_else(|| Error::data(format!("{key} must be a JSON integer. It was: {value}"))),
    };
    let scale = i32::try_from(number("scale", 0)?)
        .map_err(|_| Error::data("a decimal's scale is out of range"))?;
    let mut builder = logical::decimal(scale);
    let precision = number("precision", DEFAULT_PRECISION)?;
    if precision != DEFAULT_PRECISION {
        builder = builder.parameter(DECIMAL_PRECISION, precision.to_string());
    }
    Ok(Some((builder, scale)))
}

#[cfg(test)]
mod tests {
    use connect_api::Bytes;
    use connect_api::data::{Decimal, Value as ConnectValue};

    use super::*;
    use crate::parse::Parser;

    fn read(text: &str, bytes: &[u8]) -> (SchemaRef, ConnectValue) {
        let avro = Parser::new().parse(text).expect("a schema");
        let reader = Reader::new(&avro, &Options::default(), None).expect("a plan");
        let read = reader
            .read(&Bytes::copy_from_slice(bytes), true)
            .expect("readable");
        (read.schema.expect("a schema"), read.value)
    }

    #[test]
    fn a_connect_name_alone_makes_a_logical_type() {
        let named = |kind: &str, name: &str| {
            format!(
                r#"{{"type":{kind},"connect.version":1,"connect.parameters":{{"scale":"2"}},"connect.name":"org.apache.kafka.connect.data.{name}"}}"#
            )
        };
        for (kind, name, bytes, value) in [
            (r#""int""#, "Date", &[6][..], ConnectValue::Date(3)),
            (r#""int""#, "Time", &[6], ConnectValue::Time(3)),
            (r#""long""#, "Timestamp", &[6], ConnectValue::Timestamp(3)),
            (
                r#""bytes""#,
                "Decimal",
                &[7],
                ConnectValue::Decimal(Decimal::new(7, 2)),
            ),
        ] {
            let (schema, read) = read(&named(kind, name), bytes);
            assert!(schema.logical().is_some(), "{name}");
            assert_eq!(read, value, "{name}");
        }
    }

    fn schema_of(text: &str, options: &Options) -> SchemaRef {
        let avro = Parser::new().parse(text).expect("a schema");
        let reader = Reader::new(&avro, options, None).expect("a plan");
        Arc::clone(reader.schema().expect("a schema"))
    }

    #[test]
    fn of_a_union_of_one_type_only_the_type_is_left() {
        let text =
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":["int"],"default":5}]}"#;
        let schema = schema_of(text, &Options::default());
        let a = &schema.fields()[0].schema;
        assert_eq!(*a, Schema::int32().build());
        let kept = Options {
            flatten_singleton_unions: false,
            ..Options::default()
        };
        let schema = schema_of(text, &kept);
        let a = &schema.fields()[0].schema;
        assert_eq!(a.name(), Some(UNION));
        assert_eq!(&*a.fields()[0].name, "int");
    }

    #[test]
    fn documentation_is_the_fields_where_that_of_types_is_discarded() {
        let text = r#"{"type":"record","name":"R","doc":"r","fields":[
            {"name":"a","doc":"f","type":{"type":"int","connect.doc":"c"}},
            {"name":"e","type":{"type":"enum","name":"E","doc":"e","symbols":["X"]}},
            {"name":"o","doc":"g","type":["null",{"type":"record","name":"S","fields":[]}]}]}"#;
        let discarded = Options {
            discard_type_doc_default: true,
            ..Options::default()
        };
        let schema = schema_of(text, &discarded);
        assert_eq!(schema.doc(), Some("r"));
        assert_eq!(schema.parameter(CONNECT_RECORD_DOC), Some("r"));
        let fields = schema.fields();
        assert_eq!(fields[0].schema.doc(), Some("f"));
        assert_eq!(fields[1].schema.parameter(CONNECT_ENUM_DOC), Some("e"));
        assert_eq!(fields[2].schema.doc(), Some("g"));

        let schema = schema_of(text, &Options::default());
        assert_eq!(schema.doc(), None);
        assert_eq!(schema.parameter(RECORD_DOC), Some("r"));
        assert_eq!(
            schema.parameter("io.confluent.connect.avro.field.doc.a"),
            Some("f")
        );
        let fields = schema.fields();
        assert_eq!(fields[0].schema.doc(), Some("c"));
        let of_enum = fields[1]
            .schema
            .parameter("io.confluent.connect.avro.enum.doc.E");
        assert_eq!(of_enum, Some("e"));
    }

    #[test]
    fn generalized_unions_are_counted_over_all_that_one_converter_reads() {
        let avro = Parser::new()
            .parse(r#"["int","string"]"#)
            .expect("a schema");
        let options = Options {
            generalized_sum_types: true,
            ..Options::default()
        };
        let mut unions = 0;
        for name in ["connect_union_0", "connect_union_1"] {
            let reader = Reader::counting(&avro, &options, None, &mut unions).expect("a plan");
            let schema = reader.schema().expect("a schema");
            assert_eq!(schema.name(), Some(name));
            assert_eq!(schema.parameter(GENERIC_UNION), Some(name));
        }
    }
}
