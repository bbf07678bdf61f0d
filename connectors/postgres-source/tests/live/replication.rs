//! Slot, stream, confirmation, against a real server.

use std::sync::Arc;
use std::time::Duration;

use postgres_source::change::{ColumnValue, TableId, TableInfo, TupleRef, TypeKind};
use postgres_source::protocol::Lsn;
use postgres_source::protocol::catalog::Catalog;
use postgres_source::protocol::connection::{Connection, SessionKind};
use postgres_source::protocol::pgoutput::{Cells, Message, decode};
use postgres_source::protocol::replication::{LogMessage, ReplicationStream, StreamOptions};
use postgres_source::protocol::slot;

use crate::server::Server;

async fn start() -> Server {
    tokio::task::spawn_blocking(|| Server::start(""))
        .await
        .expect("starts")
}

/// Reads messages until `count` rows were inserted; their first columns.
async fn inserts(stream: &mut ReplicationStream, count: usize) -> (Vec<String>, Lsn) {
    let (mut cells, mut found, mut end) = (Cells::default(), Vec::new(), Lsn(0));
    while found.len() < count {
        let chunk = tokio::time::timeout(Duration::from_secs(20), stream.next_chunk()).await;
        let mut chunk = chunk.expect("something arrives").expect("the stream lives");
        while let Some(message) = chunk.next_message().expect("well-formed") {
            let LogMessage::Data { range, .. } = message else {
                continue;
            };
            match decode(chunk.bytes(), range, &mut cells).expect("decodes") {
                Message::Insert { .. } => {
                    let row = TupleRef::new(chunk.bytes(), &cells.new);
                    let ColumnValue::Text(text) = row.get(0) else {
                        panic!("a value")
                    };
                    found.push(String::from_utf8(text.as_bytes().to_vec()).expect("UTF-8"));
                }
                Message::Commit { end_lsn, .. } => end = Lsn(end_lsn),
                _ => {}
            }
        }
    }
    (found, end)
}

#[tokio::test]
async fn a_slot_streams_repeats_what_was_not_confirmed_and_is_freed_by_a_stop() {
    let server = start().await;
    server
        .sql("CREATE TABLE t(id text PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES")
        .await;
    let replication = || async {
        let kind = SessionKind::Replication;
        Connection::open(&server.settings(), kind, "test")
            .await
            .expect("connects")
    };
    let mut session = replication().await;
    let created = slot::create_slot(&mut session, "s", "pgoutput", false)
        .await
        .expect("created");
    let again = slot::create_slot(&mut replication().await, "s", "pgoutput", false)
        .await
        .unwrap_err();
    assert!(
        again
            .to_string()
            .starts_with("Creation of replication slot failed; when"),
        "{again}"
    );

    let options = |start| StreamOptions {
        slot: "s".to_owned(),
        start,
        plugin_options: vec![
            ("proto_version".to_owned(), "1".to_owned()),
            ("publication_names".to_owned(), "p".to_owned()),
        ],
        status_interval: Duration::from_millis(200),
        // Far less than what follows, so that the reader has to wait and resume.
        buffer_bytes: 64 * 1024,
    };
    let mut stream = ReplicationStream::start(session, &options(created.consistent_point))
        .await
        .expect("streams");
    let busy = ReplicationStream::start(replication().await, &options(Lsn(0)))
        .await
        .unwrap_err();
    assert_eq!(busy.sqlstate(), Some("55006"));

    server
        .sql("INSERT INTO t SELECT 'row ' || i FROM generate_series(1, 50000) i")
        .await;
    let (rows, end) = inserts(&mut stream, 50_000).await;
    assert_eq!(rows[49_999], "row 50000");
    stream.stop().await;
    let state = async || {
        let rows = server
            .sql("SELECT active, confirmed_flush_lsn FROM pg_replication_slots")
            .await;
        (
            rows[0].flag(0),
            rows[0].text(1).parse::<Lsn>().expect("a position"),
        )
    };
    assert_eq!(
        state().await,
        (false, created.consistent_point),
        "nothing was confirmed"
    );

    let mut stream = ReplicationStream::start(replication().await, &options(Lsn(0)))
        .await
        .expect("streams");
    assert_eq!(inserts(&mut stream, 50_000).await.1, end, "the same again");
    stream.confirm(end);
    stream.confirm(Lsn(1));
    stream.stop().await;
    assert_eq!(state().await, (false, end));

    slot::drop_slot(&mut replication().await, "s")
        .await
        .expect("dropped");
    slot::drop_slot(&mut replication().await, "s")
        .await
        .expect("gone is fine");
}

#[tokio::test]
async fn the_catalog_describes_columns_keys_and_types() {
    let server = start().await;
    server
        .sql(
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TYPE mood ADD VALUE 'zero' BEFORE 'sad'; \
             CREATE DOMAIN price AS numeric(10, 2) NOT NULL; \
             CREATE TABLE a(b int, a int, m mood[] DEFAULT '{}', p price, \
                g int GENERATED ALWAYS AS (b + 1) STORED, i int GENERATED ALWAYS AS IDENTITY, \
                PRIMARY KEY (a, b)); \
             CREATE TABLE u(id int NOT NULL UNIQUE, e text UNIQUE); CREATE TABLE n(x int); \
             CREATE UNIQUE INDEX low ON n (lower(x::text)); COMMENT ON COLUMN n.x IS 'why';",
        )
        .await;
    let mut session = Connection::open(&server.settings(), SessionKind::Ordinary, "test")
        .await
        .expect("connects");
    let mut catalog = Catalog::default();
    let mut table = async |name: &str| {
        let id = TableId {
            schema: "public".to_owned(),
            table: name.to_owned(),
        };
        catalog.table(&mut session, &id).await.expect("read")
    };
    let a = table("a").await.expect("there");
    assert_eq!(a.primary_key, ["a", "b"]);
    let [b, _, moods, price, generated, identity] = &a.columns[..] else {
        panic!("six columns")
    };
    assert!(!b.optional && moods.optional && !price.optional && !identity.optional);
    let TypeKind::Array(mood) = &moods.data_type.kind else {
        panic!("an array")
    };
    assert_eq!(
        mood.kind,
        TypeKind::Enum(vec!["zero".into(), "sad".into(), "ok".into()])
    );
    assert_eq!(moods.default_expression.as_deref(), Some("'{}'::mood[]"));
    let TypeKind::Domain(base, modifier) = &price.data_type.kind else {
        panic!("a domain")
    };
    assert_eq!(
        (base.name.as_str(), *modifier),
        ("numeric", (10 << 16 | 2) + 4)
    );
    // The driver does not tell the expression of a generated column from a default.
    assert!(generated.generated && generated.default_expression.is_some());
    assert!(identity.default_expression.is_none());
    // Without a primary key the first unique index by name; without one that names columns, none.
    assert_eq!(table("u").await.expect("there").primary_key, ["e"]);
    let n = table("n").await.expect("there");
    assert_eq!(
        (n.primary_key.len(), n.columns[0].comment.as_deref()),
        (0, Some("why"))
    );
    assert_eq!(table("missing").await, None);
}

#[tokio::test]
async fn a_new_label_shows_in_its_own_type_and_not_in_arrays_as_in_the_jvm() {
    let server = start().await;
    server
        .sql(
            "CREATE TYPE mood AS ENUM ('x', 'y'); CREATE DOMAIN dm AS mood; \
             CREATE TABLE t(m mood DEFAULT 'y', a mood[], d dm)",
        )
        .await;
    let mut session = Connection::open(&server.settings(), SessionKind::Ordinary, "test")
        .await
        .expect("connects");
    let mut catalog = Catalog::default();
    catalog.load_enums(&mut session).await.expect("read");
    let id = TableId {
        schema: "public".to_owned(),
        table: "t".to_owned(),
    };
    let table = catalog.table(&mut session, &id).await.expect("read");
    let mut table = table.expect("there");
    server
        .sql("ALTER TYPE mood ADD VALUE 'z'; ALTER TYPE mood RENAME VALUE 'y' TO 'yy'")
        .await;
    let labels = |table: &TableInfo| -> Vec<usize> {
        let count = |kind: &TypeKind| match kind {
            TypeKind::Enum(labels) => labels.len(),
            _ => 0,
        };
        let of = |kind: &TypeKind| match kind {
            TypeKind::Array(inner) | TypeKind::Domain(inner, _) => count(&inner.kind),
            kind => count(kind),
        };
        let columns = table.columns.iter();
        columns.map(|column| of(&column.data_type.kind)).collect()
    };
    let [mood, domain] = [0, 2].map(|index| Arc::clone(&table.columns[index].data_type));
    for (refreshed, expected) in [(&domain, [2, 2, 2]), (&mood, [3, 2, 3])] {
        let done = catalog.refresh_type(&mut session, refreshed).await;
        done.expect("read");
        let done = catalog.refresh_table(&mut session, &mut table).await;
        done.expect("read");
        assert_eq!(labels(&table), expected);
    }
    let default = table.columns[0].default_expression.as_deref();
    assert_eq!(default, Some("'yy'::mood"));
}
