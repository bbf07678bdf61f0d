//! The source's CPU stages alone: inserts of `pgoutput` become records, records become JSON.
//!
//! ```text
//! cargo bench -p postgres-source --bench rows [-- COUNT]
//! ```
//!
//! No socket, no Kafka: what is left can be counted instruction by instruction, which a busy
//! machine does not disturb: `valgrind --tool=callgrind target/release/deps/rows-… 20000`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_api::Props;
use connect_api::data::json::{JsonOptions, JsonWriter};
use connect_api::record::{OffsetMap, SourceOffset, SourceRecord};
use postgres_source::change::{
    ColumnInfo, Operation, Phase, Position, SnapshotMarker, TableId, TableInfo, TupleRef, TypeInfo,
    TypeKind,
};
use postgres_source::config::PostgresConfig;
use postgres_source::emitter::{Emitter, Place, RowChange, Table};
use postgres_source::envelope::{EnvelopeFactory, context_headers};
use postgres_source::protocol::pgoutput::{self, Cells};

/// As many records as `max.batch.size` lets a batch have.
const BATCH: usize = 2048;

/// Columns with the modifier of their type, and a value of each.
const COLUMNS: [(&str, &str, i32, &str); 10] = [
    ("id", "int8", -1, "123456"),
    (
        "customer",
        "uuid",
        -1,
        "c4ca4238-a0b9-2382-0dcc-509a6f75849b",
    ),
    ("status", "text", -1, "paid"),
    ("amount", "numeric", (10 << 16 | 2) + 4, "987.65"),
    ("qty", "int4", -1, "12"),
    (
        "note",
        "varchar",
        204,
        "c4ca4238a0b923820dcc509a6f75849bc4ca4238a0b923820dcc509a6f75849bc4ca4238a0b923820dcc509a6f75849b",
    ),
    ("paid", "bool", -1, "t"),
    ("created_at", "timestamptz", -1, "2024-01-02 10:17:36+00"),
    ("updated_at", "timestamp", -1, "2024-01-02 10:17:36"),
    (
        "doc",
        "jsonb",
        -1,
        "{\"k\": 123456, \"t\": \"c4ca4238a0b923820dcc509a6f75849b\"}",
    ),
];

fn main() {
    let count = std::env::args().find_map(|argument| argument.parse().ok());
    let count: usize = count.unwrap_or(1_000_000);
    let props: Props = [
        ("database.hostname", "db"),
        ("database.user", "u"),
        ("database.dbname", "shop"),
        ("topic.prefix", "dbz"),
        ("plugin.name", "pgoutput"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into_iter()
    .collect();
    let config = PostgresConfig::parse(&props).unwrap();
    let table = Table::new(orders(), &config, Phase::Stream).unwrap();
    let message = Bytes::from(insert());
    let offset: Arc<dyn SourceOffset> = Arc::new(OffsetMap::new());
    let loads = [false, true]
        .into_iter()
        .flat_map(|printed| [(printed, false), (printed, true)]);
    for (printed, schemas_enable) in loads {
        let options = JsonOptions {
            schemas_enable,
            ..JsonOptions::default()
        };
        let emitter = Emitter::new(
            &config,
            Arc::new(OffsetMap::new()),
            EnvelopeFactory::new(&config),
            context_headers(&config, 0, "run"),
        )
        .printing(printed.then_some(options));
        let mut writer = JsonWriter::new(options);
        let (mut cells, mut out) = (Cells::default(), Vec::new());
        let (mut decoding, mut writing, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
        let mut left = count;
        while left > 0 {
            let begin = Instant::now();
            let length = left.min(BATCH);
            let mut records: Vec<SourceRecord> = Vec::with_capacity(length);
            for at in 0..length {
                pgoutput::decode(&message, 0..message.len(), &mut cells).unwrap();
                let position = Position {
                    lsn: Some(987_654_321 + at as u64),
                    last_commit_lsn: Some(987_654_000),
                    tx_id: Some(12_345),
                    ts_us: 1_704_190_656_123_456,
                    ..Position::default()
                };
                let place = Place {
                    position: &position,
                    marker: SnapshotMarker::False,
                    before: &offset,
                    after: &offset,
                    transaction: None,
                };
                let change = RowChange {
                    operation: Operation::Create,
                    before: None,
                    after: Some(TupleRef::new(&message, &cells.new)),
                };
                emitter.row(&table, change, place, &mut records).unwrap();
            }
            let middle = Instant::now();
            decoding += middle - begin;
            for source in records {
                out.clear();
                writer.write(&source.record.key, &mut out).unwrap();
                writer.write(&source.record.value, &mut out).unwrap();
                bytes += out.len();
            }
            writing += middle.elapsed();
            left -= length;
        }
        let each = |time: Duration| time.as_nanos() / count as u128;
        println!(
            "schemas.enable={schemas_enable}, text={printed}: decoding {} ns, writing {} ns a record of {} bytes",
            each(decoding),
            each(writing),
            bytes / count
        );
    }
}

fn orders() -> TableInfo {
    let column = |(name, kind, type_modifier, _): &(&str, &str, i32, &str)| ColumnInfo {
        name: (*name).to_owned(),
        data_type: Arc::new(TypeInfo {
            oid: 0,
            name: (*kind).to_owned(),
            schema: "pg_catalog".to_owned(),
            kind: TypeKind::Base,
        }),
        type_modifier: *type_modifier,
        optional: !matches!(*name, "id" | "status" | "created_at"),
        default_expression: None,
        generated: false,
        comment: None,
    };
    TableInfo {
        id: TableId {
            schema: "public".to_owned(),
            table: "orders".to_owned(),
        },
        columns: COLUMNS.iter().map(column).collect(),
        primary_key: vec!["id".to_owned()],
        comment: None,
    }
}

/// An INSERT message of [`COLUMNS`].
fn insert() -> Vec<u8> {
    let mut message = vec![b'I', 0, 0, 0, 1, b'N'];
    message.extend_from_slice(&10_u16.to_be_bytes());
    for (.., value) in COLUMNS {
        message.push(b't');
        message.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        message.extend_from_slice(value.as_bytes());
    }
    message
}
