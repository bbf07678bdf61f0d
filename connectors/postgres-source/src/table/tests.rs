//! Plans of tables: names, keys, filters, failures, and a whole record against the JVM's.

use bytes::Bytes;
use connect_api::Props;
use connect_api::data::SchemaAndValue;
use connect_api::data::json::{JsonOptions, JsonWriter};

use super::*;
use crate::change::{Cell, Operation, Position, SnapshotMarker, TypeInfo, TypeKind};
use crate::envelope::EnvelopeFactory;

/// A record of the JVM connector: `key` and `value` as its `JsonConverter` wrote them.
const RECORDED: &str = include_str!("recorded.json");

pub(crate) fn config(entries: &[(&str, &str)]) -> PostgresConfig {
    let mut props: Props = [
        ("database.hostname", "db"),
        ("database.user", "u"),
        ("database.dbname", "shop"),
        ("topic.prefix", "dbz"),
        ("plugin.name", "pgoutput"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into_iter()
    .collect();
    props.extend(
        entries
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned())),
    );
    PostgresConfig::parse(&props).unwrap()
}

/// A table of columns `name type`, those with `!` behind not null.
pub(crate) fn table(name: &str, columns: &[&str], key: &[&str]) -> TableInfo {
    let column = |text: &&str| {
        let (column, kind) = text.rsplit_once(' ').unwrap();
        let data_type = TypeInfo {
            oid: 0,
            name: kind.trim_end_matches('!').to_owned(),
            schema: "pg_catalog".to_owned(),
            kind: TypeKind::Base,
        };
        ColumnInfo {
            name: column.to_owned(),
            data_type: Arc::new(data_type),
            type_modifier: -1,
            optional: !kind.ends_with('!'),
            default_expression: None,
            generated: false,
            comment: None,
        }
    };
    TableInfo {
        id: TableId {
            schema: "public".to_owned(),
            table: name.to_owned(),
        },
        columns: columns.iter().map(column).collect(),
        primary_key: key.iter().map(|&name| name.to_owned()).collect(),
        comment: None,
    }
}

/// A row of texts and nulls.
pub(crate) fn row(values: &[Option<&str>]) -> (Bytes, Vec<Cell>) {
    let mut buffer = Vec::new();
    let cells = values.iter().map(|value| match value {
        None => Cell::Null,
        Some(text) => {
            let start = u32::try_from(buffer.len()).unwrap();
            buffer.extend_from_slice(text.as_bytes());
            Cell::Text(start..u32::try_from(buffer.len()).unwrap())
        }
    });
    let cells = cells.collect();
    (Bytes::from(buffer), cells)
}

fn json(schema: &SchemaRef, value: impl Into<Value>) -> String {
    let mut out = Vec::new();
    let data = SchemaAndValue::new(Arc::clone(schema), value);
    let options = JsonOptions {
        replace_null_with_default: false,
        ..JsonOptions::default()
    };
    JsonWriter::new(options).write(&data, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn bare(value: &Struct) -> String {
    let mut out = Vec::new();
    let data = SchemaAndValue::new(Arc::clone(&value.schema), value.clone());
    JsonWriter::new(JsonOptions::schemaless())
        .write(&data, &mut out)
        .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_record_is_the_jvms_to_the_byte() {
    let recorded: serde_json::Value = serde_json::from_str(RECORDED).unwrap();
    let config = config(&[]);
    let info = table(
        "We ird.Näme",
        &["Id int4!", "some-col text", "1col int4"],
        &["Id"],
    );
    let plan = TablePlan::new(&info, &config, Phase::Stream).unwrap();
    assert_eq!(plan.topic, "dbz.public.We_ird.N_me");
    let (buffer, cells) = row(&[Some("1"), Some("x"), Some("2")]);
    let row = TupleRef::new(&buffer, &cells);
    let key = plan.key(row, Phase::Snapshot).unwrap().unwrap();
    assert_eq!(
        json(plan.key_schema.as_ref().unwrap(), key),
        recorded["key"].as_str().unwrap()
    );
    let position = Position {
        lsn: Some(36_464_632),
        tx_id: Some(788),
        ts_us: 1_795_253_468_362_870,
        ..Position::default()
    };
    let after = Value::Struct(plan.row(row, Phase::Snapshot).unwrap());
    let envelope = EnvelopeFactory::new(&config).envelope(
        &plan,
        Operation::Read,
        None,
        Some(after),
        &position,
        SnapshotMarker::First,
        1_795_253_469_210_444_989,
    );
    assert_eq!(
        json(&plan.envelope_schema, envelope),
        recorded["value"].as_str().unwrap()
    );
}

#[test]
fn a_key_has_the_order_of_its_index_and_may_be_named_by_the_configuration() {
    let info = table("t", &["a int4!", "b text!", "c int4"], &["b", "a"]);
    let (buffer, cells) = row(&[Some("1"), Some("k"), Some("3")]);
    let key = |entries: &[(&str, &str)]| {
        let plan = TablePlan::new(&info, &config(entries), Phase::Stream).unwrap();
        let key = plan
            .key(TupleRef::new(&buffer, &cells), Phase::Stream)
            .unwrap();
        key.map(|key| bare(&key))
    };
    assert_eq!(key(&[]).unwrap(), r#"{"b":"k","a":1}"#);
    assert_eq!(
        key(&[("message.key.columns", "public.t:c,a")]).unwrap(),
        r#"{"c":3,"a":1}"#
    );
    let keyless = table("t", &["a int4"], &[]);
    let plan = TablePlan::new(&keyless, &config(&[]), Phase::Stream).unwrap();
    assert!(plan.key_schema.is_none());
    assert_eq!(
        plan.key(TupleRef::new(&buffer, &cells), Phase::Stream)
            .unwrap(),
        None
    );
}

#[test]
fn a_key_column_that_is_filtered_out_stays_in_the_key_with_its_zero() {
    let info = table("t", &["id int4!", "r int4!", "v text"], &["id", "r"]);
    let config = config(&[("column.include.list", "public.t.(r|v)")]);
    let plan = TablePlan::new(&info, &config, Phase::Snapshot).unwrap();
    assert!(!plan.captured(0) && plan.captured(1));
    let (buffer, cells) = row(&[None, Some("7"), Some("x")]);
    let row = TupleRef::new(&buffer, &cells);
    assert_eq!(
        bare(&plan.key(row, Phase::Snapshot).unwrap().unwrap()),
        r#"{"id":0,"r":7}"#
    );
    assert_eq!(
        bare(&plan.row(row, Phase::Snapshot).unwrap()),
        r#"{"r":7,"v":"x"}"#
    );
}

#[test]
fn a_key_of_types_that_are_left_out_is_an_empty_struct() {
    let info = table("t", &["q tsquery!", "x int4"], &["q"]);
    let plan = TablePlan::new(&info, &config(&[]), Phase::Stream).unwrap();
    let (buffer, cells) = row(&[Some("'a'"), Some("1")]);
    let row = TupleRef::new(&buffer, &cells);
    let key = plan.key(row, Phase::Stream).unwrap().unwrap();
    assert_eq!(bare(&key), "{}");
    assert_eq!(plan.key_schema.unwrap().name(), Some("dbz.public.t.Key"));
}

#[test]
fn a_key_of_a_name_is_empty_in_the_stream() {
    let info = table("t", &["k name!"], &["k"]);
    let plan = TablePlan::new(&info, &config(&[]), Phase::Stream).unwrap();
    let (buffer, cells) = row(&[Some("a")]);
    let row = TupleRef::new(&buffer, &cells);
    for (phase, expected) in [
        (Phase::Snapshot, r#"{"k":"a"}"#),
        (Phase::Stream, r#"{"k":""}"#),
    ] {
        assert_eq!(bare(&plan.key(row, phase).unwrap().unwrap()), expected);
        assert_eq!(bare(&plan.row(row, phase).unwrap()), expected);
    }
}

#[test]
fn names_are_adjusted_where_asked() {
    let modes = [
        ("schema.name.adjustment.mode", "avro"),
        ("field.name.adjustment.mode", "avro"),
    ];
    let info = table("my-t", &["1st-col int4!", "b.c text"], &["1st-col"]);
    let plan = TablePlan::new(&info, &config(&modes), Phase::Stream).unwrap();
    assert_eq!(plan.topic, "dbz.public.my-t");
    assert_eq!(
        plan.envelope_schema.name(),
        Some("dbz.public.my_t.Envelope")
    );
    assert_eq!(plan.row_schema.name(), Some("dbz.public.my_t.Value"));
    let fields: Vec<&str> = plan
        .row_schema
        .fields()
        .iter()
        .map(|field| &*field.name)
        .collect();
    assert_eq!(fields, ["_1st_col", "b_c"]);
}

#[test]
fn a_value_that_cannot_be_converted_is_null_or_stops_the_task() {
    let info = table("t", &["id int4!", "n numeric"], &["id"]);
    let (buffer, cells) = row(&[Some("1"), Some("NaN")]);
    let row = TupleRef::new(&buffer, &cells);
    let plan =
        |entries: &[(&str, &str)]| TablePlan::new(&info, &config(entries), Phase::Stream).unwrap();
    assert_eq!(
        bare(&plan(&[]).row(row, Phase::Stream).unwrap()),
        r#"{"id":1,"n":null}"#
    );
    let strict = plan(&[("event.converting.failure.handling.mode", "fail")]);
    assert_eq!(
        strict.row(row, Phase::Stream).unwrap_err().to_string(),
        "Failed to properly convert data value for 'public.t.n' of type numeric"
    );
}

#[test]
fn null_for_a_required_field_stops_the_task() {
    let info = table("t", &["bt numeric!"], &[]);
    let plan = TablePlan::new(&info, &config(&[]), Phase::Stream).unwrap();
    let (buffer, _) = row(&[]);
    let error = plan
        .row(TupleRef::new(&buffer, &[Cell::Unchanged]), Phase::Stream)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid value: null used for required field: \"bt\", schema type: STRUCT"
    );
    assert_eq!(plan.lost("bt"), 1);
}

#[test]
fn a_default_stands_for_a_value_that_cannot_be_converted() {
    let mut info = table("t", &["n numeric!"], &[]);
    info.columns[0].default_expression = Some("'2.5'::numeric".to_owned());
    let config = config(&[("decimal.handling.mode", "precise")]);
    let (buffer, cells) = row(&[Some("NaN")]);
    let row = TupleRef::new(&buffer, &cells);
    // A struct cannot be a default; a Decimal of a fixed scale can.
    let plan = TablePlan::new(&info, &config, Phase::Stream).unwrap();
    assert!(plan.row(row, Phase::Stream).is_err());
    info.columns[0].type_modifier = (5 << 16 | 2) + 4;
    let plan = TablePlan::new(&info, &config, Phase::Stream).unwrap();
    assert_eq!(plan.row(row, Phase::Stream).unwrap().values, [Value::Null]);
}

#[test]
fn integers_that_count_by_themselves_go_by_their_own_type_name() {
    let mut info = table("t", &["id int4", "n int4"], &[]);
    info.columns[0].default_expression = Some("nextval('t_id_seq'::regclass)".to_owned());
    let propagated = |pattern: &str| -> Vec<bool> {
        let config = config(&[("datatype.propagate.source.type", pattern)]);
        let plan = TablePlan::new(&info, &config, Phase::Stream).unwrap();
        let fields = plan.row_schema.fields().iter();
        fields
            .map(|field| !field.schema.parameters().is_empty())
            .collect()
    };
    assert_eq!(propagated(".*\\.int4"), [false, true]);
    assert_eq!(propagated(".*\\.serial"), [true, false]);
}

#[test]
fn fields_that_an_adjustment_makes_equal_are_refused() {
    let info = table("t", &["a.b int4", "a_b int4"], &[]);
    let config = config(&[("field.name.adjustment.mode", "avro")]);
    let error = TablePlan::new(&info, &config, Phase::Stream).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Cannot create field because of field name duplication a_b"
    );
}

#[test]
fn a_strategy_with_a_regular_expression_has_keys_tell_their_table() {
    let info = table("t_1", &["id int4!"], &["id"]);
    let strategy = [
        (
            "topic.naming.strategy",
            "io.debezium.schema.SchemaRegexTopicNamingStrategy",
        ),
        ("topic.regex", "(.*)t_[0-9]+"),
        ("topic.replacement", "$1t"),
    ];
    let plan = TablePlan::new(&info, &config(&strategy), Phase::Stream).unwrap();
    assert_eq!(plan.topic, "dbz.public.t");
    let (buffer, cells) = row(&[Some("5")]);
    let key = plan
        .key(TupleRef::new(&buffer, &cells), Phase::Stream)
        .unwrap();
    assert_eq!(
        bare(&key.unwrap()),
        r#"{"id":5,"__dbz__physicalTableIdentifier":"dbz.public.t_1"}"#
    );
}

#[test]
fn masks_hide_values_and_tell_the_schema() {
    let masks = [
        ("column.truncate.to.3.chars", "public.t.a"),
        ("column.mask.with.5.chars", "public.t.b"),
        ("column.mask.hash.v2.SHA-256.with.salt.abc", "public.t.c"),
        ("column.mask.hash.SHA-256.with.salt.abc", "public.t.d"),
    ];
    let info = table("t", &["a text", "b text", "c text", "d text"], &[]);
    let plan = TablePlan::new(&info, &config(&masks), Phase::Stream).unwrap();
    let (buffer, cells) = row(&[Some("abcdef"), None, Some("x"), Some("x")]);
    let found = plan
        .row(TupleRef::new(&buffer, &cells), Phase::Stream)
        .unwrap();
    let text = |name: &str| found.get(name).unwrap().as_str().unwrap().to_owned();
    assert_eq!((text("a").as_str(), text("b").as_str()), ("abc", "*****"));
    assert_eq!(
        (text("c").as_str(), text("d").as_str()),
        (HASH_V2_OF_X, HASH_V1_OF_X)
    );
    let parameter = |name: &str, key: &str| {
        plan.row_schema
            .field(name)
            .unwrap()
            .schema
            .parameter(key)
            .map(str::to_owned)
    };
    assert_eq!(parameter("a", "truncateLength").as_deref(), Some("3"));
    assert_eq!(parameter("b", "masked").as_deref(), Some("true"));
}

/// What the JVM connector makes of `x` with the salt `abc`.
const HASH_V2_OF_X: &str = "7571ce1f8e21c6b13dd7ec2c5ec7c9e4dd9852e209869511853f2f1f74b17927";
const HASH_V1_OF_X: &str = "4b62b25282129dfd60a2e17ebd0875529e7b327d8c691f03ff05599c33142b24";

#[test]
fn a_snapshot_does_not_know_the_size_of_a_bare_numeric() {
    let config = config(&[("column.propagate.source.type", ".*")]);
    let info = table("t", &["n numeric"], &[]);
    let parameters = |phase| {
        let plan = TablePlan::new(&info, &config, phase).unwrap();
        let schema = &plan.row_schema.field("n").unwrap().schema;
        let parameter = |name: &str| schema.parameter(name).map(str::to_owned);
        (
            parameter("__debezium.source.column.length"),
            parameter("__debezium.source.column.scale"),
        )
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(parameters(Phase::Snapshot), (text("0"), None));
    assert_eq!(parameters(Phase::Stream), (text("131089"), text("0")));
}

#[test]
fn columns_that_differ_only_by_case_are_refused() {
    let info = table("t", &["a int4", "A int4"], &[]);
    let error = TablePlan::new(&info, &config(&[]), Phase::Stream)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("Table 'public.t' has columns that differ only by case."),
        "{error}"
    );
}
