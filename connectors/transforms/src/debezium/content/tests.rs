//! What the subset of Groovy gives, and what it refuses.

use std::sync::Arc;

use connect_api::data::{Header, Schema, SchemaAndValue, Struct, Value};
use connect_api::record::Record;

use super::evaluate::text_of;
use super::{FILTER, ROUTER};
use crate::tests::context;
use connect_api::plugin::{Make, Plugin};
use connect_api::{Props, Result};

fn update() -> Record {
    let row = Schema::structure()
        .name("p.s.t.Value")
        .optional()
        .field("x", Schema::int32().build())
        .field("name", Schema::string().optional().build())
        .field("price", Schema::float64().optional().build())
        .build();
    let envelope = Schema::structure()
        .name("p.s.t.Envelope")
        .version(2)
        .field("op", Schema::string().build())
        .field("before", Arc::clone(&row))
        .field("after", Arc::clone(&row))
        .build();
    let values = |x, name: &'static str, price| {
        let values = vec![Value::Int32(x), Value::text(name), price];
        Value::Struct(Struct::new(Arc::clone(&row), values))
    };
    let value = Struct::new(
        Arc::clone(&envelope),
        vec![
            Value::text("u"),
            values(2, "old", Value::Null),
            values(3, "Order-7", Value::Float64(12.5)),
        ],
    );
    Record {
        topic: "p.s.t".into(),
        value: SchemaAndValue::new(envelope, value),
        headers: vec![Header {
            key: "y".into(),
            value: SchemaAndValue::new(Schema::int64().build(), 5i64),
        }]
        .into(),
        ..Record::default()
    }
}

#[test]
fn expressions_give_what_groovy_gives() {
    let record = update();
    for (expression, expected) in [
        ("value.op == 'u' && value.before.x == 2", "true"),
        ("value.op == \"u\" && value.before.x != 2", "false"),
        ("!(value.op in ['c', 'r'])", "true"),
        ("header.y.value == 5", "true"),
        ("header['y'].value + 1", "6"),
        ("header.z?.value", "null"),
        ("topic", "p.s.t"),
        ("topic.startsWith('p.') ? topic + '.x' : null", "p.s.t.x"),
        ("\"${topic}_${value.after.x * 2}\"", "p.s.t_6"),
        ("\"$topic-$value.op\"", "p.s.t-u"),
        ("value.after.price >= 12.5", "true"),
        ("value.before.price == null", "true"),
        ("value.before.price ?: 'none'", "none"),
        ("value.after.name ==~ /x/ ", ""),
        ("value.after.name ==~ 'Order-\\\\d+'", "true"),
        ("value.after.name =~ '^Ord' ? 'yes' : 'no'", "yes"),
        ("value.after.name.toLowerCase().contains('order')", "true"),
        ("value.after.name.split('-')[1].toInteger() % 4", "3"),
        ("value.get('op')", "u"),
        ("valueSchema.name", "p.s.t.Envelope"),
        ("valueSchema.field('after') != null", "true"),
        ("valueSchema.fields().size()", "3"),
        ("keySchema == null", "true"),
        ("value.after.x <=> value.before.x", "1"),
        ("-value.after.x + 10 - 2 * 3", "1"),
        ("if (value.op == 'd') { 'deleted' } else { 'kept' }", "kept"),
        (
            "if (value.op == 'u') return 'updates'; return null",
            "updates",
        ),
        ("value.after.x > 2 || value.after.missing", "true"),
        ("7 / 2", "3.5"),
        ("value.after.name.substring(0, 5)", "Order"),
    ] {
        match text_of(expression, &record) {
            Ok(text) => assert_eq!(text, expected, "{expression}"),
            Err(error) => assert!(expected.is_empty(), "{expression}: {error:?}"),
        }
    }
}

#[test]
fn what_goes_beyond_the_subset_is_refused_with_its_place() {
    for (expression, place) in [
        ("value.op == ", "the end at character 13"),
        ("System.exit(1)", "the name 'System' at character 1"),
        ("def x = 1", "the name 'def' at character 1"),
        ("value.op = 'u'", "what follows at character 10"),
        ("[a: 1]", "the name 'a' at character 2"),
        ("value.each { it }", "what follows at character 12"),
        ("'open", "a text at character 1"),
    ] {
        let error = super::parse::parse(expression).expect_err(expression);
        assert!(error.message().starts_with(place), "{expression}: {error}");
    }
}

fn run(plugin: &Plugin, options: &[(&str, &str)], record: Record) -> Result<Option<Record>> {
    let Make::Transformation(make) = plugin.make else {
        panic!("a transformation")
    };
    let props: Props = options
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let mut made = make();
    made.configure(&context(), &props)?;
    made.apply(record)
}

#[test]
fn the_filter_keeps_what_is_true_and_fails_on_what_is_no_boolean() {
    let run = |condition| {
        let options = [("language", "jsr223.groovy"), ("condition", condition)];
        run(&FILTER, &options, update())
    };
    assert!(run("value.op == 'u'").unwrap().is_some());
    assert!(run("value.op == 'c'").unwrap().is_none());
    for condition in ["value.op", "null", "value.nope == 1"] {
        let error = run(condition).expect_err(condition);
        assert!(
            error
                .message()
                .starts_with("Error while evaluating expression"),
            "{error}"
        );
    }
}

#[test]
fn the_router_renames_by_text_and_leaves_by_null() {
    let run = |expression| {
        let options = [
            ("language", "jsr223.groovy"),
            ("topic.expression", expression),
        ];
        run(&ROUTER, &options, update()).map(|record| record.expect("kept").topic)
    };
    assert_eq!(
        run("value.op == 'u' ? 'updates' : null").unwrap(),
        "updates"
    );
    assert_eq!(run("value.op == 'c' ? 'creates' : null").unwrap(), "p.s.t");
    assert!(run("5").is_err());
}

#[test]
fn records_without_value_and_of_other_topics_are_not_evaluated() {
    let tombstone = || Record {
        topic: "p.s.t".into(),
        ..Record::default()
    };
    let options = |mode| {
        [
            ("language", "jsr223.groovy"),
            ("condition", "value != null"),
            ("null.handling.mode", mode),
        ]
    };
    assert!(
        run(&FILTER, &options("keep"), tombstone())
            .unwrap()
            .is_some()
    );
    assert!(
        run(&FILTER, &options("drop"), tombstone())
            .unwrap()
            .is_none()
    );
    assert!(
        run(&FILTER, &options("evaluate"), tombstone())
            .unwrap()
            .is_none()
    );
    let mut other = options("keep").to_vec();
    other.extend([("topic.regex", "q.*"), ("condition", "false")]);
    assert!(run(&FILTER, &other, update()).unwrap().is_some());
}

#[test]
fn other_languages_are_refused() {
    for language in ["jsr223.graal.js", "wasm.chicory", "groovy"] {
        let options = [("language", language), ("condition", "true")];
        assert!(run(&FILTER, &options, update()).is_err(), "{language}");
    }
    assert!(run(&FILTER, &[("condition", "true")], update()).is_err());
}
