//! A connector whose registry goes away, and one whose table changes in a way that the registry
//! refuses: the task stops with the reason in its trace, nothing is lost, and nothing of the new shape
//! is in the topic.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compat_tests::{Outcome, wait};

use crate::registry::registry;
use crate::shared::{database, kafka, postgres, source_config, worker};

/// An address that leads to the registry while it is open, and hangs up otherwise.
struct Gate {
    port: u16,
    open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Gate {
    fn to(address: String) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let open = Arc::new(AtomicBool::new(true));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let (is_open, keep) = (Arc::clone(&open), Arc::clone(&streams));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if is_open.load(Ordering::Acquire) {
                    drop(join(&near, &address, &keep));
                }
            }
        });
        Ok(Self {
            port,
            open,
            streams,
        })
    }

    fn close(&self) {
        self.open.store(false, Ordering::Release);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
    fn open(&self) {
        self.open.store(true, Ordering::Release);
    }
}

/// Passes bytes on in both directions until either side ends.
fn join(near: &TcpStream, address: &str, keep: &Mutex<Vec<TcpStream>>) -> std::io::Result<()> {
    let far = TcpStream::connect(address)?;
    {
        let mut keep = keep.lock().unwrap_or_else(PoisonError::into_inner);
        keep.extend([near.try_clone()?, far.try_clone()?]);
    }
    for (mut from, mut to) in [
        (near.try_clone()?, far.try_clone()?),
        (far.try_clone()?, near.try_clone()?),
    ] {
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            drop(to.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}

#[test]
fn a_registry_that_is_away_or_refuses_stops_the_task_and_nothing_is_lost() -> Outcome<()> {
    let name = database("outage")?;
    postgres().sql(&name, "create table t (id int primary key, x int)")?;
    let port = postgres().port().to_string();
    let (_, rest) = registry()
        .url()
        .split_once("//")
        .ok_or("an address with a host")?;
    let (host, path) = rest.split_once('/').ok_or("an address with a path")?;
    let gate = Gate::to(host.to_owned())?;
    let url = format!("http://127.0.0.1:{}/{path}", gate.port);
    let worker = worker("outage")?;
    let mut config = source_config(&name, &port, &[("snapshot.mode", "no_data")]);
    config.extend([
        ("value.converter", "io.confluent.connect.avro.AvroConverter"),
        ("value.converter.schema.registry.url", url.as_str()),
        ("value.converter.retries.wait.ms", "10"),
    ]);
    let topic = format!("{name}.public.t");
    let keys = || -> Outcome<BTreeSet<String>> {
        let records = kafka().records(&topic)?;
        Ok(records.iter().map(|record| record.key_payload()).collect())
    };
    // Counted by key: what was in flight when a task failed may come twice.
    let wait_keys = |count| {
        let what = format!("{count} rows in {topic}");
        wait::until(&what, Duration::from_secs(120), || {
            Ok((keys()?.len() >= count).then_some(()))
        })
    };
    let restart = || -> Outcome<()> {
        let path = "/connectors/pg/tasks/0/restart";
        let answer = worker.rest.request("POST", path, None)?;
        assert_eq!(answer.status, 204, "{}", answer.body);
        Ok(())
    };

    // Away from the start.
    gate.close();
    worker.rest.create_config("pg", &config)?;
    worker.rest.wait_running("pg")?;
    postgres().wait_slot(&name, true)?;
    postgres().sql(&name, "insert into t values (1, 10)")?;
    let trace = worker.rest.wait_failed("pg")?;
    assert!(
        trace.contains(
            "NetworkException: Network connection error while serializing Avro data for topic"
        ),
        "{trace}"
    );
    gate.open();
    // The status is FAILED for a moment more; records show that it runs.
    restart()?;
    wait_keys(1)?;

    // Away when a new schema comes; rows of the old one still go through.
    gate.close();
    postgres().sql(&name, "insert into t values (2, 20)")?;
    wait_keys(2)?;
    postgres().sql(
        &name,
        "alter table t add column y int; insert into t values (3, 30, 300)",
    )?;
    let trace = worker.rest.wait_failed("pg")?;
    assert!(trace.contains("NetworkException"), "{trace}");
    assert_eq!(keys()?.len(), 2);
    gate.open();
    restart()?;
    wait_keys(3)?;

    // A change that readers of the old schema could not follow.
    let before = kafka().count(&topic)?;
    postgres().sql(
        &name,
        "alter table t alter column x type text; insert into t values (4, 'forty', 400)",
    )?;
    let trace = worker.rest.wait_failed("pg")?;
    assert!(
        trace.contains("Failed to serialize Avro data from topic")
            && trace.contains("RestClientException: ")
            && trace.contains("error code: 409"),
        "{trace}"
    );
    assert_eq!(kafka().count(&topic)?, before, "nothing of the new shape");
    Ok(())
}
