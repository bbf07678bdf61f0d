//! kill -9 at every point of an upload: before, in and after each part, before and after it is
//! completed, before the offsets are committed. Afterwards every record is in exactly one object.
//! `make chaos-s3` takes all points, `make test` some.

use crate::shared::{bucket, kafka, options, s3, sink_config, unique};
use compat_tests::kafka::{flush, send};
use compat_tests::parts::run_folder;
use compat_tests::s3::Bucket;
use compat_tests::stop_at::{Step, StopAt, When};
use compat_tests::worker::Worker;
use compat_tests::{Outcome, rows, wait};
use rdkafka::producer::BaseRecord;
use std::collections::BTreeMap;
use std::time::Duration;

/// Two objects of two parts each.
const LARGE: Shape = Shape {
    records: 124,
    flush_size: 62,
    bytes: 100_000,
};
/// Two objects of one part each.
const SMALL: Shape = Shape {
    records: 20,
    flush_size: 10,
    bytes: 100,
};

#[derive(Clone, Copy)]
struct Shape {
    records: i64,
    flush_size: i64,
    /// Of a record.
    bytes: usize,
}

struct Case {
    name: String,
    topic: String,
    bucket: Bucket,
    proxy: StopAt,
    shape: Shape,
}

impl Case {
    fn new(step: Step, when: When) -> Outcome<Self> {
        let shape = if step == Step::Put { SMALL } else { LARGE };
        let name = unique("kill");
        let topic = format!("{name}-topic");
        kafka().create_topic(&topic, 1, 1)?;
        let producer = kafka().producer()?;
        for id in 0..shape.records {
            let value = format!("{{\"id\":{id},\"text\":\"{}\"}}", "x".repeat(shape.bytes));
            let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic)
                .payload(value.as_bytes())
                .partition(0);
            send(&producer, record)?;
        }
        flush(&producer)?;
        let store = s3().endpoint.trim_start_matches("http://").to_owned();
        Ok(Self {
            proxy: StopAt::start(&store, step, when)?,
            bucket: bucket(&name)?,
            topic,
            name,
            shape,
        })
    }

    fn create(&self, worker: &Worker) -> Outcome<()> {
        let flush_size = self.shape.flush_size.to_string();
        let more = [
            ("store.url", self.proxy.endpoint.as_str()),
            (
                "format.class",
                "io.confluent.connect.s3.format.json.JsonFormat",
            ),
            (
                "value.converter",
                "org.apache.kafka.connect.json.JsonConverter",
            ),
            ("value.converter.schemas.enable", "false"),
            ("flush.size", &flush_size),
            ("s3.part.size", "5242880"),
            ("consumer.override.session.timeout.ms", "6000"),
            ("consumer.override.heartbeat.interval.ms", "1000"),
            ("consumer.override.auto.offset.reset", "earliest"),
        ];
        let config = sink_config(&self.topic, &self.bucket.name, &more);
        worker.rest.create_config(&self.name, &config)?;
        Ok(())
    }

    /// Every record in one object, the objects named by their first record.
    fn check(&self) -> Outcome<()> {
        let group = format!("connect-{}", self.name);
        wait::until(&group, Duration::from_secs(120), || {
            let committed = kafka().committed(&group, &self.topic)?;
            if committed.get(&0) != Some(&self.shape.records) {
                return Err(format!("{committed:?} is committed").into());
            }
            Ok(Some(()))
        })?;
        let objects = rows::objects(&self.bucket)?;
        let names: Vec<&str> = objects.iter().map(|(key, _)| key.as_str()).collect();
        let expected: Vec<String> = [0, self.shape.flush_size]
            .iter()
            .map(|first| {
                let topic = &self.topic;
                format!("topics/{topic}/partition=0/{topic}+0+{first:010}.json")
            })
            .collect();
        assert_eq!(names, expected);
        let mut seen = BTreeMap::new();
        for row in objects.iter().flat_map(|(_, rows)| rows) {
            *seen.entry(row["id"].as_i64()).or_insert(0) += 1;
        }
        let each: BTreeMap<_, _> = (0..self.shape.records).map(|id| (Some(id), 1)).collect();
        assert_eq!(seen, each, "each record once");
        Ok(())
    }
}

/// All points of a round are reached before the worker is killed: one kill for all of them.
fn round(points: &[(Step, When)]) -> Outcome<()> {
    let folder = run_folder("sinkkills")?;
    // No offset is committed by chance.
    let options = options("sinkkills").property("offset.flush.interval.ms", "30000");
    let cases = points
        .iter()
        .map(|&(step, when)| Case::new(step, when))
        .collect::<Outcome<Vec<_>>>()?;
    let mut worker = Worker::start(&folder, options)?;
    for case in &cases {
        case.create(&worker)?;
    }
    wait::until("every point", Duration::from_secs(90), || {
        let open = cases
            .iter()
            .zip(points)
            .filter(|(case, _)| !case.proxy.reached());
        let open: Vec<_> = open.map(|(_, point)| point).collect();
        if !open.is_empty() {
            return Err(format!("{open:?} are not reached").into());
        }
        Ok(Some(()))
    })?;
    worker.kill();
    for case in &cases {
        case.proxy.release();
    }
    worker.restart()?;
    for (case, point) in cases.iter().zip(points) {
        case.check()
            .map_err(|error| format!("{point:?}: {error}"))?;
    }
    Ok(())
}

#[test]
fn a_kill_at_any_point_of_an_upload_leaves_every_record_in_one_object() -> Outcome<()> {
    use When::{After, Before, Inside, Known};
    // What an upload has on its way is bounded for the whole worker: a few large ones at a time.
    let mut rounds = vec![vec![
        (Step::Put, Before),
        (Step::Put, Inside),
        (Step::Put, After),
        (Step::Put, Known),
        (Step::Part(1), Inside),
        (Step::Part(2), After),
        (Step::Complete, Before),
        (Step::Complete, After),
    ]];
    if std::env::var_os("CHAOS_S3_SECONDS").is_some() {
        rounds.push(vec![(Step::Begin, Before), (Step::Begin, After)]);
        rounds.push(vec![(Step::Part(1), Before), (Step::Part(1), After)]);
        rounds.push(vec![(Step::Part(2), Before), (Step::Part(2), Inside)]);
        rounds.push(vec![(Step::Complete, Inside), (Step::Complete, Known)]);
    }
    rounds.iter().try_for_each(|points| round(points))
}
