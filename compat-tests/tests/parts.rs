//! The parts themselves: that what the other tests stand on does what it says.

use crate::shared::{s3, unique};
use compat_tests::kafka::{Kafka, KafkaOptions, flush, send};
use compat_tests::parts::{loopback_address, run_folder};
use compat_tests::postgres::{Postgres, PostgresOptions};
use compat_tests::process::{Life, Program};
use compat_tests::s3::{S3, S3Server};
use compat_tests::{Outcome, rows};
use rdkafka::producer::BaseRecord;
use std::path::Path;

fn holds_a_bucket(store: &S3, put: impl Fn(&str, &str, &[u8]) -> Outcome<()>) -> Outcome<()> {
    let name = unique("parts");
    let bucket = store.create_bucket(&name)?;
    store.create_bucket(&name)?;
    assert_eq!(bucket.list()?, []);
    put(
        &name,
        "topics/t/partition=0/t+0+0000000000.json",
        b"{\"id\":1}\n",
    )?;
    put(
        &name,
        "topics/t/partition=1/t+1+0000000000.json",
        b"{\"id\":2}\n{\"id\":3}\n",
    )?;
    let keys: Vec<String> = bucket.list()?.into_iter().map(|(key, _)| key).collect();
    assert_eq!(
        keys,
        [
            "topics/t/partition=0/t+0+0000000000.json",
            "topics/t/partition=1/t+1+0000000000.json"
        ]
    );
    let objects = rows::objects(&bucket)?;
    assert_eq!(objects[1].1.len(), 2);
    assert_eq!(objects[1].1[1]["id"], 3);
    Ok(())
}

#[test]
fn minio_holds_a_bucket() -> Outcome<()> {
    holds_a_bucket(s3(), |bucket, key, bytes| {
        s3().bucket(bucket)?.put(key, bytes)
    })
}

#[test]
fn the_embedded_store_is_a_folder() -> Outcome<()> {
    let folder = run_folder("embedded")?;
    let data = folder.join("data");
    let server = S3Server::folder(&data, &folder.join("log"), Life::Owned)?;
    holds_a_bucket(&server.s3, |bucket, key, bytes| {
        server.s3.bucket(bucket)?.put(key, bytes)?;
        assert_eq!(std::fs::read(data.join(bucket).join(key))?, bytes);
        Ok(())
    })
}

#[test]
fn three_brokers_hold_three_replicas() -> Outcome<()> {
    let options = KafkaOptions {
        brokers: 3,
        ..KafkaOptions::default()
    };
    let kafka = Kafka::start(&run_folder("three")?, &options)?;
    kafka.create_topic("t", 3, 3)?;
    let producer = kafka.producer()?;
    for i in 0..9_i32 {
        let value = i.to_string();
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to("t")
            .payload(value.as_bytes())
            .partition(i % 3);
        send(&producer, record)?;
    }
    flush(&producer)?;
    assert_eq!(kafka.count("t")?, 9);
    let texts: Vec<String> = kafka.records("t")?.iter().map(|r| r.value_text()).collect();
    assert_eq!(texts, ["0", "3", "6", "1", "4", "7", "2", "5", "8"]);
    Ok(())
}

#[test]
fn postgres_keeps_its_rows_over_a_restart() -> Outcome<()> {
    let options = PostgresOptions {
        address: loopback_address(),
        port: 5432,
        ..PostgresOptions::default()
    };
    let mut server = Postgres::start(&run_folder("restart")?, options)?;
    server.sql(
        "postgres",
        "create table t (id int); insert into t values (1), (2)",
    )?;
    server.stop()?;
    assert!(server.sql("postgres", "select 1").is_err());
    server.restart()?;
    assert_eq!(
        server
            .value("postgres", "select sum(id) from t")?
            .as_deref(),
        Some("3")
    );
    assert_eq!(
        server.value("postgres", "show wal_level")?.as_deref(),
        Some("logical")
    );
    Ok(())
}

#[test]
fn a_process_takes_its_children_along() -> Outcome<()> {
    let log = run_folder("process")?.join("log");
    let process = Program::new("sh", ["-c", "sleep 1000 & echo $!; wait"]).start(&log)?;
    let child = compat_tests::wait::until("its child", std::time::Duration::from_secs(5), || {
        Ok(process.output().lines().next().map(str::to_owned))
    })?;
    let alive = || {
        let stat = std::fs::read_to_string(Path::new("/proc").join(&child).join("stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(alive());
    drop(process);
    compat_tests::wait::until(
        "its child to end",
        std::time::Duration::from_secs(5),
        || Ok((!alive()).then_some(())),
    )
}
