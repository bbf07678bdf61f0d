//! Signals to a source connector by a topic.

use crate::shared::{database, kafka, postgres, source_config, wait_count, worker};
use compat_tests::kafka::{flush, send};
use compat_tests::{Outcome, wait};
use rdkafka::producer::BaseRecord;
use std::time::Duration;

#[test]
fn a_signal_in_the_topic_is_carried_out_once() -> Outcome<()> {
    let name = database("signals")?;
    postgres().sql(
        &name,
        "create table t (id int primary key); insert into t values (1), (2), (3); \
         create table sig (id varchar(64) primary key, type varchar(64), data text)",
    )?;
    let (port, group) = (postgres().port().to_string(), format!("{name}-group"));
    let more = [
        ("snapshot.mode", "no_data"),
        ("signal.data.collection", "public.sig"),
        ("signal.enabled.channels", "source,kafka"),
        ("signal.kafka.bootstrap.servers", kafka().bootstrap()),
        ("signal.kafka.groupId", group.as_str()),
        ("signal.poll.interval.ms", "200"),
    ];
    let topic = format!("{name}-signal");
    kafka().create_topic(&topic, 1, 1)?;
    let producer = kafka().producer()?;
    let signal = |key: &str| {
        let value =
            r#"{"id":"s","type":"execute-snapshot","data":{"data-collections":["public.t"]}}"#;
        let record = BaseRecord::to(&topic)
            .partition(0)
            .key(key.as_bytes())
            .payload(value.as_bytes());
        send(&producer, record)?;
        flush(&producer)
    };
    // What was written before the connector is there counts, too; what is meant for others does not.
    signal("another")?;
    signal(&name)?;
    let mut worker = worker("signals")?;
    worker
        .rest
        .create_config(&name, &source_config(&name, &port, &more))?;
    worker.rest.wait_running(&name)?;
    let captured = format!("{name}.public.t");
    wait_count(kafka(), &captured, 3)?;
    wait::until("the committed position", Duration::from_secs(60), || {
        let committed = kafka().committed(&group, &topic)?;
        Ok((committed.get(&0) == Some(&2)).then_some(()))
    })?;

    worker.kill();
    worker.restart()?;
    worker.rest.wait_running(&name)?;
    signal(&name)?;
    wait_count(kafka(), &captured, 6)?;
    worker.terminate()?;
    assert_eq!(kafka().committed(&group, &topic)?.get(&0), Some(&3));
    assert_eq!(kafka().count(&captured)?, 6);
    Ok(())
}
