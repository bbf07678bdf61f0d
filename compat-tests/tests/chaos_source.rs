//! kill -9 of the worker over every kind of change: single rows, COPY, multi-row updates, logical
//! messages, snapshots. Nothing is lost, each key's versions come in order, and where the source
//! writes exactly once nothing is doubled.
//!
//! A kill counts only when it landed while a part of its burst was in Kafka and a part was not.
//! Every other kill waits, with the burst on its way, for the moment at which an offset was stored:
//! it falls between that and the slot's confirmation. `make chaos` runs the long form.

use crate::shared::{database, kafka, options, postgres, source_config, unique};
use compat_tests::kafka::Tail;
use compat_tests::parts::run_folder;
use compat_tests::worker::Worker;
use compat_tests::{Outcome, wait};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a burst consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Burst {
    Inserts,
    Copy,
    Updates,
    Messages,
    Snapshot,
}

const BURSTS: [Burst; 5] = [
    Burst::Inserts,
    Burst::Copy,
    Burst::Updates,
    Burst::Messages,
    Burst::Snapshot,
];

/// Rows that are updated, all of them by each statement.
const KEYS: i64 = 500;

/// One source, its worker, and what was written so far.
struct Chaos {
    name: String,
    port: String,
    worker: Worker,
    offsets: Tail,
    topic: String,
    /// Events of a burst.
    size: i64,
    inserted: i64,
    version: i64,
    messages: i64,
    snapshots: i64,
    kills: BTreeMap<(Burst, bool), usize>,
}

impl Chaos {
    fn start(label: &str, exactly_once: bool, size: i64) -> Outcome<Self> {
        let name = database(label)?;
        postgres().sql(
            &name,
            &format!(
                "create table t (id bigint primary key, version bigint not null);
                 create table u (id bigint primary key, version bigint not null);
                 create table s (id bigint primary key, note text);
                 insert into u select i, 0 from generate_series(1, {KEYS}) i;
                 insert into s select i, repeat('n', 100) from generate_series(1, {size}) i"
            ),
        )?;
        let mut options = options(label)
            .property("offset.flush.interval.ms", "100")
            .property("offset.storage.partitions", "1");
        if exactly_once {
            options = options.property("exactly.once.source.support", "enabled");
        }
        let offsets = format!("{}-offsets", options.group);
        let worker = Worker::start(&run_folder(label)?, options)?;
        let port = postgres().port().to_string();
        // One topic for all, so that one count shows what is on its way.
        let topic = format!("{name}.all");
        kafka().create_topic(&topic, 3, 1)?;
        let chaos = Self {
            offsets: Tail::new(kafka(), &offsets)?,
            name,
            port,
            worker,
            topic,
            size,
            inserted: 0,
            version: 0,
            messages: 0,
            snapshots: 0,
            kills: BTreeMap::new(),
        };
        chaos.create(&chaos.name, "public.t,public.u", "no_data")?;
        postgres().wait_slot(&chaos.name, true)?;
        Ok(chaos)
    }

    fn create(&self, connector: &str, tables: &str, mode: &str) -> Outcome<()> {
        let more = [
            ("topic.prefix", connector),
            ("slot.name", connector),
            ("publication.name", connector),
            ("publication.autocreate.mode", "filtered"),
            ("table.include.list", tables),
            ("snapshot.mode", mode),
            ("slot.drop.on.stop", "false"),
            ("transforms", "all"),
            (
                "transforms.all.type",
                "org.apache.kafka.connect.transforms.RegexRouter",
            ),
            ("transforms.all.regex", ".*"),
            ("transforms.all.replacement", &self.topic),
            ("tombstones.on.delete", "false"),
            // Offsets are stored also in the middle of large transactions.
            ("max.batch.size", "200"),
            ("producer.override.batch.size", "8192"),
        ];
        self.worker
            .rest
            .create_config(connector, &source_config(&self.name, &self.port, &more))
            .map(drop)
    }

    /// What the burst does, and how many events it makes. A snapshot is begun by its connector.
    fn burst(&mut self, burst: Burst) -> (String, i64) {
        let size = self.size;
        match burst {
            Burst::Inserts => {
                let first = self.inserted + 1;
                self.inserted += size;
                let sql = format!(
                    "do $$ begin for i in {first}..{} loop insert into t values (i, 0); \
                     if i % 5 = 0 then commit; end if; end loop; end $$",
                    self.inserted
                );
                (sql, size)
            }
            Burst::Copy => {
                let first = self.inserted + 1;
                self.inserted += size;
                let sql = format!(
                    "copy t from program 'seq -f ''%.0f,0'' {first} {}' (delimiter ',')",
                    self.inserted
                );
                (sql, size)
            }
            Burst::Updates => {
                let rounds = (size / KEYS).max(1);
                let first = self.version + 1;
                self.version += rounds;
                let sql = format!(
                    "do $$ begin for v in {first}..{} loop update u set version = v; commit; \
                     end loop; end $$",
                    self.version
                );
                (sql, rounds * KEYS)
            }
            Burst::Messages => {
                let first = self.messages + 1;
                self.messages += size;
                // Half of them stand alone, half are of transactions.
                let sql = format!(
                    "do $$ begin for i in {first}..{} loop \
                     perform pg_logical_emit_message(i % 2 = 0, 'm', i::text); \
                     if i % 10 = 0 then commit; end if; end loop; end $$",
                    self.messages
                );
                (sql, size)
            }
            Burst::Snapshot => {
                self.snapshots += 1;
                (String::new(), size)
            }
        }
    }

    /// Kills the worker in the middle of a burst; tries again where the burst was over too soon.
    fn kill(&mut self, burst: Burst, after_offset: bool) -> Outcome<()> {
        for _ in 0..20 {
            let tail = Tail::new(kafka(), &self.topic)?;
            let start = quiet(&tail)?;
            let stored = self.offsets.count()?;
            let (sql, events) = self.burst(burst);
            let load = match burst {
                Burst::Snapshot => {
                    let connector = format!("{}s{}", self.name, self.snapshots);
                    self.create(&connector, "public.s", "initial")?;
                    None
                }
                _ => {
                    let name = self.name.clone();
                    Some(std::thread::spawn(move || postgres().sql(&name, &sql)))
                }
            };
            let end = Instant::now() + Duration::from_secs(180);
            while tail.count()? - start == 0 || (after_offset && self.offsets.count()? == stored) {
                if tail.count()? - start >= events {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
                if Instant::now() > end {
                    let status = self.worker.rest.status(&self.name);
                    return Err(format!("{burst:?} does not reach Kafka: {status:?}").into());
                }
            }
            let flying = tail.count()? - start < events;
            if flying {
                self.worker.kill();
            }
            if let Some(load) = load {
                load.join().map_err(|_| "the load panicked")??;
            }
            // The broker may have had more than was seen.
            let sent = tail.count()? - start;
            if flying {
                self.worker.restart()?;
            }
            if burst == Burst::Snapshot {
                self.end_snapshot()?;
            }
            if flying && sent < events {
                *self.kills.entry((burst, after_offset)).or_default() += 1;
                return Ok(());
            }
        }
        Err(format!("each {burst:?} was over at once").into())
    }

    /// Waits for the snapshot, and lets go of its connector, which would only cost.
    fn end_snapshot(&self) -> Outcome<()> {
        let connector = format!("{}s{}", self.name, self.snapshots);
        postgres().wait_slot(&connector, true)?;
        quiet(&Tail::new(kafka(), &self.topic)?)?;
        self.worker
            .rest
            .delete(&format!("/connectors/{connector}"))?;
        postgres().wait_slot(&connector, false)?;
        let drop = format!("select pg_drop_replication_slot('{connector}')");
        postgres().sql(&self.name, &drop)
    }

    /// Waits until all is in Kafka, checks it, and tells what it found.
    fn check(&self, exactly_once: bool) -> Outcome<String> {
        let mut seen = Seen::default();
        wait::until("every event", Duration::from_secs(300), || {
            quiet(&Tail::new(kafka(), &self.topic)?)?;
            seen = Seen::read(&self.topic)?;
            let missing = self.missing(&seen);
            match missing.is_empty() {
                true => Ok(Some(())),
                false => Err(missing.join("; ").into()),
            }
        })
        .map_err(|error| format!("{error}; {:?}", self.worker.rest.status(&self.name)))?;
        assert_eq!(seen.unordered, Vec::<String>::new(), "order of a key");
        let doubled: Vec<_> = seen.count.iter().filter(|(_, times)| **times > 1).collect();
        if exactly_once {
            // A snapshot that is cut off is taken again from its start, as Debezium takes it.
            let again = doubled
                .iter()
                .find(|((kind, ..), _)| !kind.starts_with("s:"));
            assert_eq!(again, None, "{} doubled", doubled.len());
        }
        Ok(format!(
            "{} events, {} of them sent again after {} kills: {:?}",
            seen.count.len(),
            doubled.len(),
            self.kills.values().sum::<usize>(),
            self.kills
        ))
    }

    fn missing(&self, seen: &Seen) -> Vec<String> {
        let mut wanted: Vec<(String, i64, i64)> = Vec::new();
        let change = |table: &str, id, version| (table.to_owned(), id, version);
        wanted.extend((1..=self.inserted).map(|id| change("t", id, 0)));
        for version in 1..=self.version {
            wanted.extend((1..=KEYS).map(|id| change("u", id, version)));
        }
        wanted.extend((1..=self.messages).map(|id| change("m", id, 0)));
        for snapshot in 1..=self.snapshots {
            let table = format!("s:{}s{snapshot}", self.name);
            wanted.extend((1..=self.size).map(|id| change(&table, id, 0)));
        }
        wanted.retain(|event| !seen.count.contains_key(event));
        let total = wanted.len();
        let some = wanted.into_iter().take(5);
        let mut told: Vec<String> = some.map(|event| format!("{event:?} is missing")).collect();
        if total > told.len() {
            told.push(format!("{total} in all"));
        }
        told
    }
}

/// What is in the topic: how often each event, and where a key's versions were out of order.
#[derive(Default)]
struct Seen {
    count: BTreeMap<(String, i64, i64), usize>,
    unordered: Vec<String>,
}

impl Seen {
    fn read(topic: &str) -> Outcome<Self> {
        let mut seen = Self::default();
        let mut newest: BTreeMap<i64, i64> = BTreeMap::new();
        for record in kafka().records(topic)? {
            let value = record.value_json()?["payload"].take();
            let event = match value["op"].as_str() {
                Some("m") => {
                    let content = value["message"]["content"].as_str().unwrap_or_default();
                    ("m".to_owned(), base64_number(content)?, 0)
                }
                _ => {
                    let table = value["source"]["table"].as_str().unwrap_or_default();
                    let row = &value["after"];
                    let id = row["id"].as_i64();
                    let id = id.ok_or_else(|| format!("no id in {}", record.value_text()))?;
                    let version = row["version"].as_i64().unwrap_or_default();
                    let prefix = value["source"]["name"].as_str().unwrap_or_default();
                    match table {
                        "s" => (format!("s:{prefix}"), id, version),
                        table => (table.to_owned(), id, version),
                    }
                }
            };
            if event.0 == "u" {
                let newest = newest.entry(event.1).or_insert(0);
                // A repetition begins with something that was there; it never skips ahead.
                if event.2 > *newest + 1 {
                    seen.unordered
                        .push(format!("{event:?} after version {newest}"));
                }
                *newest = event.2.max(*newest);
            }
            *seen.count.entry(event).or_default() += 1;
        }
        Ok(seen)
    }
}

/// The number whose decimal text this is the base64 of.
fn base64_number(text: &str) -> Outcome<i64> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut length, mut bytes) = (0u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let six = ALPHABET.iter().position(|known| *known == byte);
        bits = bits << 6 | u32::try_from(six.ok_or("no base64")?)?;
        length += 6;
        if length >= 8 {
            length -= 8;
            bytes.push(u8::try_from(bits >> length & 0xff)?);
        }
    }
    Ok(String::from_utf8(bytes)?.parse()?)
}

/// Waits until a topic takes no more records, and gives their number.
fn quiet(tail: &Tail) -> Outcome<i64> {
    let mut last = (tail.count()?, Instant::now());
    let end = Instant::now() + Duration::from_secs(120);
    while last.1.elapsed() < Duration::from_millis(700) {
        std::thread::sleep(Duration::from_millis(20));
        let count = tail.count()?;
        if count != last.0 {
            last = (count, Instant::now());
        }
        if Instant::now() > end {
            return Err("the topic does not come to rest".into());
        }
    }
    Ok(last.0)
}

/// Runs the kills, each kind in turn.
fn run(label: &str, exactly_once: bool) -> Outcome<String> {
    let number = |name: &str, short: usize| {
        let value = std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok());
        value.unwrap_or(short)
    };
    let kills = number("CHAOS_SOURCE_KILLS", BURSTS.len());
    let size = i64::try_from(number("CHAOS_SOURCE_BURST", 3000))?;
    let mut chaos = Chaos::start(&unique(label), exactly_once, size)?;
    for (index, burst) in BURSTS.into_iter().cycle().take(kills).enumerate() {
        // No offset is stored in a snapshot of a moment that would be worth waiting for.
        let after_offset = index / BURSTS.len() % 2 == 1 && burst != Burst::Snapshot;
        chaos.kill(burst, after_offset)?;
    }
    chaos.check(exactly_once)
}

#[test]
fn kills_over_every_kind_of_change_lose_nothing() -> Outcome<()> {
    println!("{}", run("kills", false)?);
    Ok(())
}

#[test]
fn kills_of_an_exactly_once_source_double_nothing() -> Outcome<()> {
    println!("{}", run("killsonce", true)?);
    Ok(())
}
