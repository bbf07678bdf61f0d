//! Seeded fuzzing: schemas made at random go there and back; mutated schemas and messages end in
//! data or in a classified error, never in a panic.
//!
//! `FERROCONNECT_FUZZ_ROUNDS` says how many rounds each test runs (the long form: 100000).

use connect_api::ErrorKind;
use connect_api::data::logical::{date, decimal, time, timestamp};
use connect_api::data::{ConnectMap, Schema, SchemaBuilder, SchemaRef, Struct};

use super::*;

fn rounds() -> u64 {
    std::env::var("FERROCONNECT_FUZZ_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(300)
}

/// A small generator of reproducible numbers (xorshift*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % limit.max(1)
    }
    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
    fn text(&mut self) -> String {
        const ALPHABET: [char; 12] = [
            'a', 'Z', '0', ' ', '"', '\\', '\n', 'é', '😀', '\u{7f}', '/', '_',
        ];
        let length = self.below(6);
        (0..length)
            .map(|_| ALPHABET[self.below(ALPHABET.len())])
            .collect()
    }
}

/// A schema; `flat` where it must be neither list nor map.
fn schema(random: &mut Random, depth: usize, flat: bool, names: &mut usize) -> SchemaRef {
    let kinds = if depth == 0 { 13 } else { 16 };
    let builder = match random.below(kinds) {
        0 => Schema::int8(),
        1 => Schema::int16(),
        2 => Schema::int32(),
        3 => Schema::int64(),
        4 => Schema::float32(),
        5 => Schema::float64(),
        6 => Schema::boolean(),
        7 => Schema::bytes(),
        8 => decimal(i32::try_from(random.below(5)).expect("small")),
        9 => date(),
        10 => time(),
        11 => timestamp(),
        12 => Schema::string(),
        13 if !flat => Schema::array(schema(random, depth - 1, true, names)),
        14 if !flat => {
            let key = [Schema::string(), Schema::int32(), Schema::int64()];
            let key = key[random.below(3)].clone().build();
            Schema::map(key, schema(random, depth - 1, true, names))
        }
        _ => structure(random, depth.saturating_sub(1), names),
    };
    let builder = builder.optional_if(random.one_in(3));
    let bare = builder.clone().build();
    let with_default = random.one_in(5) && bare.kind().is_primitive();
    match with_default {
        true => builder.default_value(value(random, &bare, false)).build(),
        false => bare,
    }
}

fn structure(random: &mut Random, depth: usize, names: &mut usize) -> SchemaBuilder {
    *names += 1;
    let mut builder = Schema::structure().name(format!("fuzz.T{names}"));
    for field in 0..1 + random.below(6) {
        builder = builder.field(format!("f{field}"), schema(random, depth, false, names));
    }
    builder
}

fn value(random: &mut Random, schema: &SchemaRef, nulls: bool) -> Value {
    use connect_api::data::SchemaType as T;
    use connect_api::data::logical::Logical;
    if nulls && schema.is_optional() && random.one_in(3) {
        return Value::Null;
    }
    let bits = random.next();
    let number = (bits >> random.below(64)).cast_signed() * if random.one_in(2) { -1 } else { 1 };
    match schema.logical() {
        Some(Logical::Decimal) => {
            let scale = schema
                .parameter("scale")
                .expect("a scale")
                .parse()
                .expect("a number");
            return Value::Decimal(Decimal::new(number, scale));
        }
        Some(Logical::Date) => return Value::Date((number % 1_000_000) as i32),
        Some(Logical::Time) => return Value::Time((bits % 86_400_000) as i32),
        Some(Logical::Timestamp) => return Value::Timestamp(number % 1_000_000_000_000_000),
        None => {}
    }
    match schema.kind() {
        T::Int8 => Value::Int8(number as i8),
        T::Int16 => Value::Int16(number as i16),
        T::Int32 => Value::Int32(number as i32),
        T::Int64 => Value::Int64(number),
        T::Float32 => Value::Float32((number as f32) / 8.0),
        T::Float64 => Value::Float64((number as f64) / 1024.0),
        T::Boolean => Value::Boolean(random.one_in(2)),
        T::String => Value::from(random.text()),
        T::Bytes => Value::Bytes(random.text().into_bytes().into()),
        T::Array => {
            let element = schema.value_schema().expect("an element");
            Value::Array(
                (0..random.below(4))
                    .map(|_| value(random, element, false))
                    .collect(),
            )
        }
        T::Map => {
            let (key, of) = (
                schema.key_schema().expect("a key"),
                schema.value_schema().expect("a value"),
            );
            let entries =
                (0..random.below(4)).map(|_| (value(random, key, false), value(random, of, false)));
            Value::Map(Box::new(entries.collect::<ConnectMap>()))
        }
        T::Struct => {
            let values = schema
                .fields()
                .iter()
                .map(|field| value(random, &field.schema, nulls));
            Value::Struct(Struct::new(SchemaRef::clone(schema), values.collect()))
        }
    }
}

fn write(class: &str, props: &Props, data: &SchemaAndValue) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = configured(class, props, false);
    let written = writer.from_connect_data("t", &mut Headers::new(), data, &mut out);
    assert!(
        written.unwrap_or_else(|error| panic!("{error:?}: {}", text(data))),
        "some bytes"
    );
    out
}

fn read(class: &str, props: &Props, bytes: Vec<u8>) -> SchemaAndValue {
    let mut reader = configured(class, props, false);
    reader
        .to_connect_data("t", &Headers::new(), Some(&Bytes::from(bytes)))
        .unwrap_or_else(|error| panic!("{error:?}"))
}

#[test]
fn what_json_schema_says_of_connect_data_is_all_of_it() {
    for seed in 0..rounds() {
        let mut random = Random::new(seed);
        let schema = structure(&mut random, 3, &mut 0).version(1).build();
        let keep =
            Props::from_iter([("ignore.default.for.nullables".to_owned(), "true".to_owned())]);
        let mut props = props(&format!("fuzz-json-{seed}"), &Json::Null);
        props.extend(keep);
        if random.one_in(2) {
            props.insert("decimal.format".to_owned(), "NUMERIC".to_owned());
        }
        if random.one_in(2) {
            props.insert("json.fail.invalid.schema".to_owned(), "true".to_owned());
        }
        let value = value(&mut random, &schema, true);
        let data = SchemaAndValue::new(schema, value);
        let bytes = write("JsonSchemaConverter", &props, &data);
        let back = read("JsonSchemaConverter", &props, bytes);
        assert!(
            back == data,
            "seed {seed}\n{}\n{}",
            text(&back),
            text(&data)
        );
    }
}

/// Schema and payload but for the schema's defaults.
fn without_defaults(data: &SchemaAndValue) -> Json {
    fn strip(schema: &mut Json) {
        match schema {
            Json::Object(members) => {
                members.remove("default");
                members.values_mut().for_each(strip);
            }
            Json::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut whole: Json = serde_json::from_str(&text(data)).expect("an envelope");
    strip(&mut whole["schema"]);
    whole
}

#[test]
fn what_avro_says_of_connect_data_is_all_of_it() {
    let mut written = 0;
    for seed in 0..rounds() {
        let mut random = Random::new(seed);
        let schema = structure(&mut random, 3, &mut 0).version(1).build();
        let mut props = props(&format!("fuzz-avro-{seed}"), &Json::Null);
        props.insert("ignore.default.for.nullables".to_owned(), "true".to_owned());
        let value = value(&mut random, &schema, true);
        let data = SchemaAndValue::new(schema, value);
        let mut bytes = Vec::new();
        let mut writer = configured("AvroConverter", &props, false);
        match writer.from_connect_data("t", &mut Headers::new(), &data, &mut bytes) {
            Ok(_) => written += 1,
            // Entries of unlike maps have one name.
            Err(error) if error.message().contains("MapEntry") => continue,
            Err(error) => panic!("seed {seed}: {error:?}: {}", text(&data)),
        }
        let back = read("AvroConverter", &props, bytes);
        // Entries of maps without a name share one, and with it the first one's defaults.
        let share_a_name = text(&data).matches(r#""keys":{"#).count() > 1;
        assert!(
            back == data || (share_a_name && without_defaults(&back) == without_defaults(&data)),
            "seed {seed}\n{}\n{}",
            text(&back),
            text(&data)
        );
    }
    assert!(written > rounds() / 2, "{written}");
}

#[test]
fn what_protobuf_reads_it_writes_again() {
    for seed in 0..rounds() {
        let mut random = Random::new(seed);
        let schema = structure(&mut random, 3, &mut 0).build();
        let mut props = props(&format!("fuzz-proto-{seed}"), &Json::Null);
        for option in [
            "optional.for.nullables",
            "ignore.default.for.nullables",
            "flatten.unions",
        ] {
            props.insert(option.to_owned(), random.one_in(2).to_string());
        }
        let value = value(&mut random, &schema, true);
        let data = SchemaAndValue::new(schema, value);
        let bytes = write("ProtobufConverter", &props, &data);
        let back = read("ProtobufConverter", &props, bytes.clone());
        let again = write("ProtobufConverter", &props, &back);
        assert_eq!(
            hex(&again[PREFIX..]),
            hex(&bytes[PREFIX..]),
            "seed {seed}: {}",
            text(&back)
        );
        // The schema's version is the next one.
        let payload = |data: &SchemaAndValue| {
            let whole: Json = serde_json::from_str(&text(data)).expect("an envelope");
            whole["payload"].clone()
        };
        let read = read("ProtobufConverter", &props, again);
        assert_eq!(payload(&read), payload(&back), "seed {seed}");
    }
}

/// Changes a few bytes: others, fewer, more, some twice.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len().max(1));
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.next() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at.min(bytes.len()), random.next() as u8),
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let end = (at + random.below(16)).min(bytes.len());
                let part = bytes[at.min(end)..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
        }
    }
}

fn cases() -> Vec<Json> {
    let cases = recorded();
    let with_bytes = |case: &Json| case["hex"].is_string() || case["expect"]["hex"].is_string();
    cases.into_iter().filter(with_bytes).collect()
}

#[test]
fn mutated_messages_and_schemas_are_data_or_a_classified_error() {
    let cases = cases();
    let mut refused = 0;
    for seed in 0..rounds() * 4 {
        let mut random = Random::new(seed);
        let case = Case(&cases[random.below(cases.len())]);
        let (kind, class) = case.kind();
        let readonly = case.0["readonly"] == true;
        let (schema, message) = match readonly {
            true => (case.get("registered"), case.get("hex")),
            false => (
                case.0["expect"]["registered"].as_str().expect("a schema"),
                case.0["expect"]["hex"].as_str().expect("bytes"),
            ),
        };
        let (mut schema, mut message) = (schema.as_bytes().to_vec(), from_hex(message));
        if random.one_in(2) {
            mutate(&mut random, &mut schema);
        } else {
            mutate(&mut random, &mut message);
        }
        let mut registry = MockRegistry::of_scope(&format!("fuzz-mutated-{seed}"));
        let schema = RegistrySchema::new(kind, String::from_utf8_lossy(&schema));
        let id = registry
            .register("t-value", &schema, false)
            .expect("registered")
            .id;
        let mut bytes = vec![0];
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(&message);
        if random.one_in(8) {
            mutate(&mut random, &mut bytes);
        }
        let mut props = props(&format!("fuzz-mutated-{seed}"), &case.0["config"]);
        if random.one_in(4) {
            props.insert("json.fail.invalid.schema".to_owned(), "true".to_owned());
        }
        let mut reader = configured(class, &props, false);
        let read = reader.to_connect_data("t", &Headers::new(), Some(&Bytes::from(bytes)));
        match read {
            Ok(data) => {
                // What was read can be written, or is refused in words.
                let mut writer = configured(class, &props, false);
                let mut headers = Headers::new();
                if let Err(error) =
                    writer.from_connect_data("t", &mut headers, &data, &mut Vec::new())
                {
                    assert_eq!(error.kind(), ErrorKind::Data, "seed {seed}: {error:?}");
                }
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), ErrorKind::Data, "seed {seed}: {error:?}");
            }
        }
    }
    assert!(refused > 0, "some of it is no message");
}

#[test]
fn a_million_schemas_take_the_memory_of_the_caches() {
    for class in ["JsonSchemaConverter", "ProtobufConverter"] {
        let scope = format!("million-{class}");
        let registry = MockRegistry::of_scope(&scope);
        let mut writer = configured(class, &props(&scope, &Json::Null), false);
        let mut reader = configured(class, &props(&scope, &Json::Null), false);
        schema_registry::mock::check_bounded(&registry, |round| {
            let schema = Schema::structure()
                .name("a.R")
                .field(format!("f{round}"), Schema::int64().build())
                .build();
            let value = Struct::new(SchemaRef::clone(&schema), vec![Value::Int64(7)]);
            let mut out = Vec::new();
            let data = SchemaAndValue::new(schema, value);
            writer.from_connect_data("t", &mut Headers::new(), &data, &mut out)?;
            reader.to_connect_data("t", &Headers::new(), Some(&Bytes::from(out)))
        });
    }
}
