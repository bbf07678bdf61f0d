//! The shapes of load that the kill test and the benchmark share.

use crate::kafka::{Kafka, flush, send};
use crate::postgres::Postgres;
use crate::{Outcome, fail};
use rdkafka::producer::BaseRecord;

/// What the rows are like that the benchmark captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowShape {
    /// One column of each common type.
    Order,
    /// A key and a text, about 100 bytes together.
    Narrow,
    /// A key and a text of 50 KB.
    Wide,
}

impl RowShape {
    /// The name of a table of such rows.
    fn table(self) -> &'static str {
        match self {
            Self::Order => "orders",
            Self::Narrow => "narrow",
            Self::Wide => "wide",
        }
    }

    fn columns(self) -> &'static str {
        match self {
            Self::Order => {
                "id bigint primary key, customer uuid, status text not null, \
                 amount numeric(10,2), qty int, note varchar(200), paid boolean, \
                 created_at timestamptz not null, updated_at timestamp, doc jsonb"
            }
            Self::Narrow | Self::Wide => "id bigint primary key, content text",
        }
    }

    /// The columns of row `i`. A wide one repeats nothing, so that compression finds nothing.
    fn values(self) -> &'static str {
        match self {
            Self::Order => {
                "i, md5(i::text)::uuid, (array['new','paid','sent','done'])[1+mod(i,4)], \
                 mod(i,100000)/100.0, mod(i,17), repeat(md5(i::text),3), mod(i,2)=0, \
                 timestamptz '2024-01-01'+i*interval '1 second', \
                 timestamp '2024-01-01'+i*interval '1 second', \
                 jsonb_build_object('k',i,'t',md5(i::text))"
            }
            Self::Narrow => "i, repeat(md5(i::text),3)",
            Self::Wide => {
                "i, (select string_agg(md5((i*1600+part)::text),'') \
                 from generate_series(1,1563) part)"
            }
        }
    }
}

/// The tables whose changes the benchmark captures.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// Their rows.
    pub shape: RowShape,
    /// How many of them there are.
    pub count: usize,
}

impl Tables {
    /// Their names.
    pub fn names(&self) -> Vec<String> {
        let name = self.shape.table();
        match self.count {
            1 => vec![name.to_owned()],
            count => (1..=count).map(|n| format!("{name}_{n}")).collect(),
        }
    }

    /// Creates them.
    pub fn create(&self, postgres: &Postgres, database: &str) -> Outcome<()> {
        let mut statements = String::new();
        for name in self.names() {
            let columns = self.shape.columns();
            statements.push_str(&format!("create table {name} ({columns});"));
            if self.shape == RowShape::Wide {
                // The server is not to spend its time on compression.
                statements.push_str(&format!(
                    "alter table {name} alter column content set storage external;"
                ));
            }
        }
        postgres.sql(database, &statements)
    }

    /// Inserts rows `1..=count`, `per_transaction` to a transaction, in turn into one table after
    /// the other.
    pub fn insert(
        &self,
        postgres: &Postgres,
        database: &str,
        count: usize,
        per_transaction: usize,
    ) -> Outcome<()> {
        let per_statement = match self.count {
            1 => per_transaction,
            _ => 1,
        };
        let per_turn = per_statement * self.count;
        if !count.is_multiple_of(per_turn) || !per_turn.is_multiple_of(per_transaction) {
            return fail(format!("{count} rows do not fill {} tables", self.count));
        }
        let (values, mut turn, mut done) = (self.shape.values(), String::new(), 0);
        for name in self.names() {
            let (first, last) = (done + 1, done + per_statement);
            turn.push_str(&format!(
                "insert into {name} select {values} \
                 from generate_series(b*{per_turn}+{first},b*{per_turn}+{last}) i; "
            ));
            if last.is_multiple_of(per_transaction) {
                turn.push_str("commit; ");
            }
            done = last;
        }
        let last = count / per_turn - 1;
        let block = format!("do $$ begin for b in 0..{last} loop {turn}end loop; end $$");
        postgres.sql(database, &block)
    }
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
