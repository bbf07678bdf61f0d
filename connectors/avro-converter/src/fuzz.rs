//! Bad input of every kind, from a seed: an error each time, never a panic, nothing that grows.
//!
//! `FERROCONNECT_FUZZ_ROUNDS` makes it longer; a failure shows the round, which is the seed.

use std::sync::Arc;

use avro_data::{Options, Parser, Reader};
use connect_api::converter::Converter as _;
use connect_api::data::{Headers, Schema, SchemaAndValue, Struct, Value};
use connect_api::{Bytes, ErrorKind};
use schema_registry::mock::MockRegistry;
use schema_registry::{Registry as _, RegistrySchema, SchemaKind};
use serde_json::json;

use crate::tests::{converter, recorded, unhex};

fn rounds() -> u64 {
    std::env::var("FERROCONNECT_FUZZ_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000)
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(usize::MAX) % limit.max(1)
    }
    /// Some bytes changed, cut, doubled or added.
    fn mangle(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 if at < bytes.len() => bytes[at] = self.next() as u8,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, self.next() as u8),
                _ => bytes.extend_from_within(..at.min(16).min(bytes.len())),
            }
        }
    }
}

/// Schema texts and payloads of the recorded cases.
fn samples() -> Vec<(String, Vec<u8>)> {
    let cases = recorded();
    let of_avro = cases.iter().filter(|case| case["converter"] == "avro");
    of_avro
        .filter_map(|case| {
            let written = &case["expect"];
            let text = case["registered"]
                .as_str()
                .or_else(|| written["registered"].as_str())?;
            let hex = case["hex"].as_str().or_else(|| written["hex"].as_str())?;
            Some((text.to_owned(), unhex(hex)))
        })
        .collect()
}

#[test]
fn mangled_payloads_are_errors_or_values_and_nothing_else() {
    let samples = samples();
    let readers: Vec<Reader> = samples
        .iter()
        .map(|(text, _)| {
            let avro = Parser::new().parse(text).expect("a schema");
            Reader::new(&avro, &Options::default(), Some(1)).expect("a plan")
        })
        .collect();
    for round in 0..rounds() {
        let mut random = Random(round);
        let (_, payload) = &samples[random.below(samples.len())];
        let reader = &readers[random.below(readers.len())];
        let mut bytes = payload.clone();
        random.mangle(&mut bytes);
        // Either outcome is fine; coming back is what is tested.
        drop(reader.read(&Bytes::from(bytes), false));
    }
}

#[test]
fn mangled_schemas_are_refused_or_make_a_plan() {
    let samples = samples();
    for round in 0..rounds() {
        let mut random = Random(round);
        let (text, payload) = &samples[random.below(samples.len())];
        let mut bytes = text.clone().into_bytes();
        random.mangle(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let Ok(avro) = Parser::new().parse(&text) else {
            continue;
        };
        if let Ok(reader) = Reader::new(&avro, &Options::default(), None) {
            drop(reader.read(&Bytes::from(payload.clone()), true));
        }
    }
}

#[test]
fn lists_without_content_and_deep_values_have_an_end() {
    let read = |text: &str, bytes: Vec<u8>| {
        let avro = Parser::new().parse(text).expect("a schema");
        let reader = Reader::new(&avro, &Options::default(), None).expect("a plan");
        reader.read(&Bytes::from(bytes), false)
    };
    // A list of 2^62 records without fields, in nine bytes.
    let empty = r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#;
    let many = vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    read(empty, many).expect_err("too many");
    let node = r#"{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}"#;
    read(node, vec![2; 1 << 20]).expect_err("too deep");
}

#[test]
fn messages_that_are_none_are_classified() {
    let mut registry = MockRegistry::new();
    let mut register = |kind, text| {
        let schema = RegistrySchema::new(kind, text);
        registry
            .register("t-value", &schema, false)
            .expect("registered")
    };
    register(SchemaKind::Avro, "\"string\"");
    register(SchemaKind::Json, "{}");
    register(SchemaKind::Avro, "{\"type\":\"nope\"}");
    let mut converter = converter(&json!({}), false, &registry);
    for bytes in [
        &[][..],
        &[0],
        &[0, 0, 0, 0],
        &[9, 0, 0, 0, 1, 2, 65],
        &[0, 0, 0, 0, 99, 2, 65],
        &[0, 0, 0, 0, 1],
        &[0, 0, 0, 0, 1, 200],
        &[0, 0, 0, 0, 2, 2, 65],
        &[0, 0, 0, 0, 3, 2, 65],
        &[1, 0, 0],
    ] {
        let bytes = Bytes::copy_from_slice(bytes);
        let error = converter
            .to_connect_data("t", &Headers::new(), Some(&bytes))
            .expect_err("no message");
        assert_eq!(error.kind(), ErrorKind::Data, "{bytes:?}");
        assert!(
            error
                .message()
                .starts_with("Failed to deserialize data for topic t to Avro:"),
            "{error:?}"
        );
    }
}

#[test]
fn ever_new_schemas_fill_no_memory() {
    let registry = MockRegistry::new();
    let options = json!({"schemas.cache.config": "10", "max.schemas.per.subject": "10"});
    let mut writer = converter(&options, false, &registry);
    let mut reader = converter(&options, false, &registry);
    let count = rounds() / 4;
    for round in 0..count {
        let schema = Schema::structure()
            .name("a.R")
            .field(format!("f{round}"), Schema::int64().build())
            .build();
        let value = Struct::new(Arc::clone(&schema), vec![Value::Int64(7)]);
        let data = SchemaAndValue::new(schema, value);
        let mut out = Vec::new();
        writer
            .from_connect_data("t", &mut Headers::new(), &data, &mut out)
            .expect("written");
        let back = reader
            .to_connect_data("t", &Headers::new(), Some(&out.into()))
            .expect("readable");
        assert_eq!(
            back.value.as_struct().map(|back| &back.values),
            Some(&vec![Value::Int64(7)])
        );
    }
    for converter in [&writer, &reader] {
        assert!(converter.language().expect("configured").kept() <= 20);
    }
    assert_eq!(registry.requests("register") as u64, count);
}

#[test]
fn a_million_schemas_take_the_memory_of_the_caches() {
    let registry = MockRegistry::new();
    let mut writer = converter(&json!({}), false, &registry);
    let mut reader = converter(&json!({}), false, &registry);
    schema_registry::mock::check_bounded(&registry, |round| {
        let schema = Schema::structure()
            .name("a.R")
            .field(format!("f{round}"), Schema::int64().build())
            .build();
        let value = Struct::new(Arc::clone(&schema), vec![Value::Int64(7)]);
        let mut out = Vec::new();
        let data = SchemaAndValue::new(schema, value);
        writer.from_connect_data("t", &mut Headers::new(), &data, &mut out)?;
        reader.to_connect_data("t", &Headers::new(), Some(&out.into()))
    });
    for converter in [&writer, &reader] {
        assert!(converter.language().expect("configured").kept() <= 1000);
    }
}
