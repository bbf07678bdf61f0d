//! The shapes of load that the kill test and the benchmark share.

use crate::kafka::{Kafka, flush, send};
use crate::{Outcome, postgres::Postgres};
use rdkafka::producer::BaseRecord;

/// The table whose changes the benchmark captures: one column of each common type.
pub const ORDERS_TABLE: &str = "create table orders (id bigint primary key, customer uuid, \
    status text not null, amount numeric(10,2), qty int, note varchar(200), paid boolean, \
    created_at timestamptz not null, updated_at timestamp, doc jsonb)";

/// Inserts orders `1..=count`, `per_transaction` to a transaction.
pub fn insert_orders(
    postgres: &Postgres,
    database: &str,
    count: usize,
    per_transaction: usize,
) -> Outcome<()> {
    let last = count / per_transaction - 1;
    let rows = format!(
        "insert into orders select i, md5(i::text)::uuid, \
         (array['new','paid','sent','done'])[1+mod(i,4)], mod(i,100000)/100.0, mod(i,17), \
         repeat(md5(i::text),3), mod(i,2)=0, timestamptz '2024-01-01'+i*interval '1 second', \
         timestamp '2024-01-01'+i*interval '1 second', \
         jsonb_build_object('k',i,'t',md5(i::text)) \
         from generate_series(b*{per_transaction}+1,b*{per_transaction}+{per_transaction}) i"
    );
    let block = format!("do $$ begin for b in 0..{last} loop {rows}; commit; end loop; end $$");
    postgres.sql(database, &block)
}

/// The JSON schema part of an order as JsonConverter writes it.
pub const ORDER_SCHEMA: &str = concat!(
    r#"{"type":"struct","fields":["#,
    r#"{"type":"int64","optional":false,"field":"id"},"#,
    r#"{"type":"string","optional":true,"field":"customer"},"#,
    r#"{"type":"string","optional":false,"field":"status"},"#,
    r#"{"type":"double","optional":true,"field":"amount"},"#,
    r#"{"type":"int32","optional":true,"field":"qty"},"#,
    r#"{"type":"string","optional":true,"field":"note"},"#,
    r#"{"type":"boolean","optional":true,"field":"paid"},"#,
    r#"{"type":"int64","optional":true,"field":"created_at"},"#,
    r#"{"type":"string","optional":true,"field":"updated_at"},"#,
    r#"{"type":"string","optional":true,"field":"doc"}],"#,
    r#""optional":false,"name":"perf.public.orders.Value"}"#
);

/// Timestamp of the first record of [`produce_orders`]: 2024-01-15T10:30:00Z.
pub const FIRST_TIMESTAMP: i64 = 1_705_314_600_000;

/// Order number `i` as JSON.
pub fn order_json(i: usize) -> String {
    format!(
        r#"{{"id":{i},"customer":"c{i:032}","status":"{status}","amount":{amount:.2},"qty":{qty},"note":"{note}","paid":{paid},"created_at":{created},"updated_at":"2024-01-15T10:30:00Z","doc":"{{\"k\":{i}}}"}}"#,
        status = ["new", "paid", "sent"][i % 3],
        amount = (i % 10_000) as f64 / 100.0,
        qty = i % 17,
        note = "n".repeat(60),
        paid = i % 2 == 1,
        created = 1_705_314_600_000_000 + i,
    )
}

/// How the values of [`produce_orders`] are serialized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderFormat {
    /// JSON alone.
    Json,
    /// JsonConverter's schema and payload.
    JsonWithSchemas,
    /// Avro behind the id of [`ORDER_AVRO_SCHEMA`] in a registry.
    Avro(u32),
}

/// The schema of an order in Avro, as AvroConverter registers it.
pub const ORDER_AVRO_SCHEMA: &str = concat!(
    r#"{"type":"record","name":"Value","namespace":"perf.public.orders","fields":["#,
    r#"{"name":"id","type":"long"},"#,
    r#"{"name":"customer","type":["null","string"],"default":null},"#,
    r#"{"name":"status","type":"string"},"#,
    r#"{"name":"amount","type":["null","double"],"default":null},"#,
    r#"{"name":"qty","type":["null","int"],"default":null},"#,
    r#"{"name":"note","type":["null","string"],"default":null},"#,
    r#"{"name":"paid","type":["null","boolean"],"default":null},"#,
    r#"{"name":"created_at","type":["null","long"],"default":null},"#,
    r#"{"name":"updated_at","type":["null","string"],"default":null},"#,
    r#"{"name":"doc","type":["null","string"],"default":null}],"#,
    r#""connect.name":"perf.public.orders.Value"}"#
);

/// Order number `i` in Avro, behind its schema's id.
pub fn order_avro(schema: u32, i: usize) -> Vec<u8> {
    fn long(out: &mut Vec<u8>, value: usize) {
        let mut rest = value << 1;
        while rest > 0x7f {
            out.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    fn text(out: &mut Vec<u8>, value: &str) {
        long(out, value.len());
        out.extend_from_slice(value.as_bytes());
    }
    // The branch of a union that is not null.
    const SOME: u8 = 2;
    let mut out = vec![0];
    out.extend_from_slice(&schema.to_be_bytes());
    long(&mut out, i);
    out.push(SOME);
    text(&mut out, &format!("c{i:032}"));
    text(&mut out, ["new", "paid", "sent"][i % 3]);
    out.push(SOME);
    out.extend_from_slice(&((i % 10_000) as f64 / 100.0).to_le_bytes());
    out.push(SOME);
    long(&mut out, i % 17);
    out.push(SOME);
    text(&mut out, &"n".repeat(60));
    out.extend([SOME, u8::from(i % 2 == 1)]);
    out.push(SOME);
    long(&mut out, 1_705_314_600_000_000 + i);
    out.push(SOME);
    text(&mut out, "2024-01-15T10:30:00Z");
    out.push(SOME);
    text(&mut out, &format!("{{\"k\":{i}}}"));
    out
}

/// Fills a topic with `count` orders, spread over `partitions`.
pub fn produce_orders(
    kafka: &Kafka,
    topic: &str,
    count: usize,
    partitions: i32,
    format: OrderFormat,
) -> Outcome<()> {
    kafka.create_topic(topic, partitions, 1)?;
    let producer = kafka.producer()?;
    for i in 0..count {
        let value = match format {
            OrderFormat::Json => order_json(i).into_bytes(),
            OrderFormat::JsonWithSchemas => {
                let row = order_json(i);
                format!(r#"{{"schema":{ORDER_SCHEMA},"payload":{row}}}"#).into_bytes()
            }
            OrderFormat::Avro(schema) => order_avro(schema, i),
        };
        let partition = i32::try_from(i % usize::try_from(partitions)?)?;
        let timestamp = FIRST_TIMESTAMP + i64::try_from(i / 1000)?;
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
            .payload(value.as_slice())
            .partition(partition)
            .timestamp(timestamp);
        send(&producer, record)?;
    }
    flush(&producer)
}
