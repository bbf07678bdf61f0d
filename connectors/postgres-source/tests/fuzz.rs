//! Mutated bytes through the decoder of the stream and through every value parser: nothing may
//! panic, loop, or give a value that its schema does not allow.
//!
//! A seeded generator, so that a failure repeats: a test prints its seed. Runs a second by default;
//! `FUZZ_SECONDS` (and `FUZZ_SEED`) make it long, as `make fuzz` does. It judges no value's rightness:
//! that is what the recorded answers are for.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test: it panics where it fails, and tells its seed"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_api::ByteString;
use connect_api::data::SchemaAndValue;
use connect_api::data::Value;
use connect_api::data::json::{JsonOptions, JsonWriter};
use connect_api::record::OffsetMap;
use postgres_source::change::{ColumnInfo, ColumnValue, Phase, Text, TypeInfo, TypeKind};
use postgres_source::column::modes::{
    BinaryMode, DecimalMode, HstoreMode, IntervalMode, Modes, TimeMode,
};
use postgres_source::column::{ColumnPlan, plan};
use postgres_source::offset::Offset;
use postgres_source::protocol::Lsn;
use postgres_source::protocol::pgoutput::{self, Cells};

/// Values of every type that has a parser of its own.
const VALUES: &[(&str, &[&str])] = &[
    ("bool", &["t", "f", "true"]),
    ("int2", &["32767", "-32768"]),
    ("int4", &["2147483647", "-2147483648"]),
    ("int8", &["9223372036854775807", "-9223372036854775808"]),
    ("oid", &["4294967295"]),
    ("float4", &["1.5", "NaN", "-Infinity", "1e-45"]),
    ("float8", &["1.7976931348623157e+308", "-0"]),
    (
        "numeric",
        &[
            "123.4500",
            "NaN",
            "Infinity",
            "-0.00",
            "1e20",
            "99999999999999999999.9",
        ],
    ),
    (
        "money",
        &[
            "$1,234.56",
            "-$92,233,720,368,547,758.08",
            "($0.05)",
            "1.234,56 €",
        ],
    ),
    ("text", &["x", "\u{1d11e}☃"]),
    ("varchar", &["abc"]),
    ("bpchar", &["ab  "]),
    ("name", &["n"]),
    ("bytea", &["\\xdeadbeef00", "a\\\\b\\001"]),
    ("bit", &["1", "10101010"]),
    ("varbit", &["101", ""]),
    ("uuid", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("json", &["{\"a\": 1}"]),
    (
        "date",
        &[
            "2024-02-29",
            "0044-03-15 BC",
            "infinity",
            "-infinity",
            "5874897-12-31",
        ],
    ),
    ("time", &["13:14:15.123456", "24:00:00"]),
    ("timetz", &["13:14:15.123456+02", "24:00:00-15:59:59"]),
    (
        "timestamp",
        &[
            "2024-02-29 13:14:15.123456",
            "294276-12-31 23:59:59.999999",
            "4713-01-01 00:00:00 BC",
            "infinity",
        ],
    ),
    (
        "timestamptz",
        &[
            "2024-02-29 13:14:15.123456+02",
            "0044-03-15 12:00:00-00:53:28 BC",
            "-infinity",
        ],
    ),
    (
        "interval",
        &[
            "1 year 2 mons 3 days 04:05:06.789",
            "-178000000 years",
            "-1 mons +2 days -00:00:01",
            "596523:00:54.775807",
        ],
    ),
    (
        "hstore",
        &["\"a\"=>\"1\", \"n\"=>NULL", "\"q\\\"u\"=>\"v\\\\w\""],
    ),
    ("ltree", &["a.b"]),
    ("tsvector", &["'a':1 'b c':2"]),
    ("int4range", &["[1,5)", "empty"]),
    ("point", &["(1.5,-2)", "(Infinity,NaN)"]),
    ("line", &["{1,2,3}"]),
    ("lseg", &["[(0,0),(1,1)]"]),
    ("box", &["(3,4),(1,2)"]),
    ("path", &["[(0,0),(1,1)]", "((0,0),(1,1))"]),
    ("polygon", &["((0,0),(1,1),(2,0))"]),
    ("circle", &["<(1,2),3>"]),
    (
        "geometry",
        &["0101000020E6100000000000000000F03F0000000000000040"],
    ),
    ("vector", &["[1,2.5,-3]"]),
    ("halfvec", &["[1,0.1]"]),
    ("sparsevec", &["{1:0.1,3:0.25}/5"]),
    (
        "_int4",
        &["{1,NULL,3}", "{{1,2},{3,4}}", "[2:3]={1,2}", "{}"],
    ),
    (
        "_text",
        &["{a,\"b,c\",\"d\\\"e\",NULL,\"\"}", "{{a,\"}\"},{b,c}}"],
    ),
    ("_numeric", &["{1.10,NaN}"]),
    ("_date", &["{2024-02-29,infinity}"]),
    ("_time", &["{13:14:15.123456,24:00:00}"]),
    ("_timestamptz", &["{\"2024-02-29 13:14:15+02\"}"]),
    ("_bytea", &["{\"\\\\xdead\"}"]),
    ("_hstore", &["{\"\\\"a\\\"=>\\\"1\\\"\"}"]),
    ("_box", &["{(3,4),(1,2);(0,0),(0,0)}"]),
    ("_tsvector", &["{'a',NULL}"]),
    ("int2vector", &["1 2 3"]),
    ("pg_lsn", &["0/16B3748"]),
];

/// Expressions as `pg_get_expr` prints them.
const DEFAULTS: &[&str] = &[
    "5",
    "'-7'::integer",
    "'x'::text",
    "'it''s'::text",
    "nextval('s'::regclass)",
    "now()",
    "'2020-02-03 04:05:06'::timestamp without time zone",
    "'1 day'::interval",
    "'24:00:00'::time without time zone",
    "'{}'::jsonb",
    "B'101'::\"bit\"",
    "('now'::text)::date",
    "NULL::character varying",
    "'infinity'::date",
    "(-5)",
    "1.5",
    "'NaN'::numeric",
    "true",
    "gen_random_uuid()",
    "upper('abc'::text)",
    "CURRENT_TIMESTAMP",
];

/// What texts are spliced with.
const TOKENS: &[&[u8]] = &[
    b"",
    b"-",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"NULL",
    b"=>",
    b",",
    b";",
    b" BC",
    b"infinity",
    b"NaN",
    b"\0",
    b"\xff",
    b"\xf0\x9f",
    b"999999999",
    b"9999999999999999999999",
    b"-2147483649",
    b"24:00:00",
    b"1e400",
    b"e",
    b".",
    b":",
    b"+15:59:59",
    b"(",
    b"<",
    b"[",
    b"00000000-00",
    b" years",
    b"'",
    b"::",
];

/// xorshift64*: small, seeded, good enough to splice with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap();
        usize::try_from(self.next() % limit).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A few changes at random places.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.truncate(at),
                4 => {
                    let end = at + self.below(bytes.len() - at + 1);
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let token = *self.of(TOKENS);
                    bytes.splice(at..at, token.iter().copied());
                }
            }
        }
    }
}

/// Calls `once` until the time is over; a panic tells the seed.
fn fuzz(name: &str, mut once: impl FnMut(&mut Random)) {
    let number = |key: &str| {
        std::env::var(key)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let time = Duration::from_millis(number("FUZZ_SECONDS").map_or(700, |seconds| seconds * 1000));
    // Another seed each day of long runs, the same in each short one.
    let seed = number("FUZZ_SEED").unwrap_or(0x9e37_79b9_7f4a_7c15);
    let (began, mut random, mut count) = (Instant::now(), Random(seed | 1), 0_u64);
    let (mut slowest, mut slowest_state) = (Duration::ZERO, 0);
    while began.elapsed() < time {
        for _ in 0..200 {
            let (state, start) = (random.0, Instant::now());
            let run = std::panic::AssertUnwindSafe(|| once(&mut random));
            if let Err(panic) = std::panic::catch_unwind(run) {
                eprintln!("{name}: repeat it with FUZZ_SEED={state}");
                std::panic::resume_unwind(panic);
            }
            count += 1;
            if start.elapsed() > slowest {
                (slowest, slowest_state) = (start.elapsed(), state);
            }
        }
    }
    eprintln!("{name}: {count} inputs, none longer than {slowest:?} (FUZZ_SEED={slowest_state})");
}

fn type_info(name: &str) -> Arc<TypeInfo> {
    let kind = match name.strip_prefix('_') {
        Some(element) => TypeKind::Array(type_info(element)),
        None => match name {
            "int2vector" => TypeKind::Array(type_info("int2")),
            _ => TypeKind::Base,
        },
    };
    Arc::new(TypeInfo {
        oid: 0,
        name: name.to_owned(),
        schema: "pg_catalog".to_owned(),
        kind,
    })
}

fn any_modes(random: &mut Random) -> Modes {
    Modes {
        binary: *random.of(&[BinaryMode::Bytes, BinaryMode::Base64, BinaryMode::Hex]),
        decimal: *random.of(&[
            DecimalMode::Precise,
            DecimalMode::String,
            DecimalMode::Double,
        ]),
        time: *random.of(&[
            TimeMode::Adaptive,
            TimeMode::Connect,
            TimeMode::Microseconds,
            TimeMode::Nanoseconds,
            TimeMode::IsoString,
            TimeMode::Structured,
        ]),
        hstore: *random.of(&[HstoreMode::Json, HstoreMode::Map]),
        interval: *random.of(&[IntervalMode::Numeric, IntervalMode::String]),
        include_unknown: random.below(2) == 0,
        money_fraction_digits: i32::try_from(random.below(5)).unwrap(),
        ..Modes::default()
    }
}

fn any_plan(name: &str, default: Option<String>, random: &mut Random) -> Option<ColumnPlan> {
    let modifiers = [-1, 0, 3, 6, 7, 0x0005_0006, 0x0005_07ff, 70, i32::MAX];
    let column = ColumnInfo {
        name: "c".to_owned(),
        data_type: type_info(name),
        type_modifier: *random.of(&modifiers),
        optional: random.below(2) == 0,
        default_expression: default,
        generated: false,
        comment: None,
    };
    plan(&column, &any_modes(random), None, false, Phase::Stream).unwrap()
}

/// What a plan gives has to be what its schema allows.
fn check(plan: &ColumnPlan, value: Value, input: &[u8]) {
    assert!(
        !value.is_null() || plan.is_optional() || plan.schema.kind().name() == "STRING",
        "null of {input:?}"
    );
    if !value.is_null() {
        assert!(!json(plan, value).is_empty(), "{input:?}");
    }
}

/// A value's JSON; that it can be written is part of what is asked.
fn json(plan: &ColumnPlan, value: Value) -> Vec<u8> {
    let mut out = Vec::new();
    let data = SchemaAndValue::new(Arc::clone(&plan.schema), value);
    let mut writer = JsonWriter::new(JsonOptions::schemaless());
    writer.write(&data, &mut out).unwrap();
    out
}

#[test]
fn values_of_every_type_survive_mutation() {
    fuzz("values", |random| {
        let (name, samples) = *random.of(VALUES);
        let mut text = random.of(samples).as_bytes().to_vec();
        random.mutate(&mut text);
        let Some(plan) = any_plan(name, None, random) else {
            return;
        };
        let phase = *random.of(&[Phase::Snapshot, Phase::Stream]);
        let text = Bytes::from(text);
        let cell = ColumnValue::Text(Text::of(&text));
        let mut plain = Vec::new();
        let is_plain = plan.write_plain(cell, &mut plain);
        match plan.value(cell, phase) {
            Ok(value) if is_plain => assert_eq!(plain, json(&plan, value), "{text:?}"),
            Ok(value) => check(&plan, value, &text),
            Err(lost) => {
                assert!(!is_plain, "{text:?}");
                check_lost(&plan, lost.instead, &text);
            }
        }
    });
}

fn check_lost(plan: &ColumnPlan, instead: Option<Value>, input: &[u8]) {
    if let Some(value) = instead.filter(|value| !value.is_null()) {
        check(plan, value, input);
    }
}

#[test]
fn default_expressions_survive_mutation() {
    fuzz("defaults", |random| {
        let (name, _) = *random.of(VALUES);
        let mut text = random.of(DEFAULTS).as_bytes().to_vec();
        random.mutate(&mut text);
        let expression = String::from_utf8_lossy(&text).into_owned();
        if let Some(plan) = any_plan(name, Some(expression), random)
            && let Some(default) = plan.schema.default_value()
        {
            check(&plan, default.clone(), &text);
        }
    });
}

#[test]
fn positions_and_offsets_survive_mutation() {
    fuzz("offsets", |random| {
        let mut text = b"16/B374D848".to_vec();
        random.mutate(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        if let Ok(lsn) = text.parse::<Lsn>() {
            assert_eq!(lsn.to_string().parse::<Lsn>().ok(), Some(lsn));
        }
        let values = [
            Value::Int64(5),
            Value::Int32(-1),
            Value::Boolean(true),
            Value::from(text.as_str()),
            Value::Float64(f64::NAN),
            Value::Null,
        ];
        let keys = [
            "lsn",
            "lsn_proc",
            "lsn_commit",
            "lsn_events_processed",
            "messageType",
            "txId",
            "xmin",
            "ts_usec",
            "snapshot",
            "last_snapshot_record",
            "snapshot_completed",
            "transaction_id",
            "incremental_snapshot_primary_key",
        ];
        let mut map = OffsetMap::new();
        for key in keys {
            if random.below(2) == 0 {
                map.insert(ByteString::from_static(key), random.of(&values).clone());
            }
        }
        let _either = Offset::load(&map);
    });
}

/// Well-formed messages of every kind.
fn messages() -> Vec<Vec<u8>> {
    let mut relation = b"R\0\0\0\x01public\0t\0d\0\x02".to_vec();
    relation.extend(b"\x01id\0\0\0\0\x17\xff\xff\xff\xff\0v\0\0\0\0\x19\xff\xff\xff\xff");
    let row = b"\0\x03t\0\0\0\x0242nu";
    let joined = |parts: &[&[u8]]| parts.concat();
    vec![
        joined(&[b"B", &[1; 8], &[2; 8], &[3; 4]]),
        joined(&[b"C", &[0; 1], &[1; 8], &[2; 8], &[3; 8]]),
        joined(&[b"O", &[1; 8], b"origin\0"]),
        relation,
        b"Y\0\0\0\x19pg_catalog\0text\0".to_vec(),
        joined(&[b"I\0\0\0\x01N", row]),
        joined(&[b"U\0\0\0\x01N", row]),
        joined(&[b"U\0\0\0\x01K", row, b"N", row]),
        joined(&[b"U\0\0\0\x01O", row, b"N", row]),
        joined(&[b"D\0\0\0\x01K", row]),
        joined(&[b"D\0\0\0\x01O", row]),
        b"T\0\0\0\x02\0\0\0\0\x01\0\0\0\x02".to_vec(),
        joined(&[b"M\x01", &[1; 8], b"prefix\0\0\0\0\x03abc"]),
    ]
}

#[test]
fn the_streams_decoder_survives_mutation() {
    let messages = messages();
    let mut cells = Cells::default();
    for message in &messages {
        let decoded = pgoutput::decode(message, 0..message.len(), &mut cells);
        assert!(decoded.is_ok(), "{message:?}: {decoded:?}");
    }
    fuzz("pgoutput", |random| {
        let mut message = random.of(&messages).clone();
        random.mutate(&mut message);
        // Messages lie one behind the other in a buffer: nothing may reach beyond its own.
        let start = random.below(3);
        let mut buffer = vec![b'B'; start];
        buffer.extend(&message);
        buffer.extend(b"tail");
        let end = start + message.len();
        if pgoutput::decode(&buffer, start..end, &mut cells).is_ok() {
            for cell in cells.old.iter().chain(&cells.new) {
                if let postgres_source::change::Cell::Text(range) = cell {
                    let range =
                        usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                    assert!(range.start <= range.end && range.end <= end, "{message:?}");
                }
            }
        }
    });
}
