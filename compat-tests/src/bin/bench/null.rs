//! The connector alone, its records dropped, beside `pg_recvlogical`, which writes the same changes
//! into a file as they come: what the server gives at best.

use crate::bare;
use crate::report::{Load, Measurement};
use crate::source::{ROWS_PER_TRANSACTION, STALL, connector};
use compat_tests::load::{RowShape, Tables};
use compat_tests::parts::run_folder;
use compat_tests::postgres::Postgres;
use compat_tests::process::{Program, cpu_seconds, memory_mib};
use compat_tests::{Outcome, fail};
use connect_api::Props;
use connect_api::context::{PluginContext, StopSignal};
use connect_api::converter::Converter;
use connect_api::plugin::{Make, Plugin};
use connect_api::record::{OffsetMap, SourcePartition};
use connect_api::source::{OffsetReader, SourceTask, SourceTaskContext};
use postgres_source::task::PostgresTask;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "null";

const DATABASE: &str = "null_load";
/// The slots of the connector and of pg_recvlogical.
const SLOTS: [&str; 2] = ["null_ours", "null_file"];

/// Both over the same rows, each from a slot of its own that was made before them.
pub(crate) fn measure(postgres: &Postgres, records: usize) -> Outcome<Load> {
    let [ours, file] = SLOTS;
    let tables = Tables {
        shape: RowShape::Order,
        count: 1,
    };
    postgres.sql("postgres", &format!("create database {DATABASE}"))?;
    tables.create(postgres, DATABASE)?;
    postgres.sql(
        DATABASE,
        &format!("create publication {ours} for all tables"),
    )?;
    let slots =
        SLOTS.map(|slot| format!("pg_create_logical_replication_slot('{slot}','pgoutput')"));
    postgres.sql(DATABASE, &format!("select {}", slots.join(", ")))?;
    println!("source: {records} rows into the database ({DATABASE})");
    tables.insert(postgres, DATABASE, records, ROWS_PER_TRANSACTION)?;
    postgres.sql(DATABASE, "checkpoint")?;
    let port = postgres.port().to_string();
    let mut rows = vec![bare::child(
        "Ferroconnect, records dropped",
        records,
        &["null", &port, DATABASE, ours, &records.to_string()],
    )?];
    match recvlogical() {
        Some(program) => {
            let theirs = receive(&program, postgres, file, ours, records)?;
            println!("{theirs}");
            let rate = rows[0].per_second() / theirs.per_second();
            println!("source ({DATABASE}): {:.0} % of its rate", rate * 100.0);
            rows.push(theirs);
        }
        None => println!(
            "source ({DATABASE}): pg_recvlogical is left out: it is neither below \
             /usr/lib/postgresql nor on the PATH, and the embedded builds come without it"
        ),
    }
    let slots = SLOTS.map(|slot| format!("pg_drop_replication_slot('{slot}')"));
    postgres.sql("postgres", &format!("select {}", slots.join(", ")))?;
    postgres.sql(
        "postgres",
        &format!("drop database {DATABASE} with (force)"),
    )?;
    Ok(Load {
        title: "Postgres source: catch-up of waiting changes into nothing, JSON".to_owned(),
        records,
        rows,
    })
}

/// The newest that is installed, else the one on the PATH.
fn recvlogical() -> Option<PathBuf> {
    const PROGRAM: &str = "pg_recvlogical";
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter();
    let installed = installed.flatten().flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let program = entry.path().join("bin").join(PROGRAM);
        program.is_file().then_some((version, program))
    });
    let newest = installed.max().map(|(_, program)| program);
    newest.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join(PROGRAM))
            .find(|program| program.is_file())
    })
}

/// Runs pg_recvlogical up to where the log ends now.
fn receive(
    program: &Path,
    postgres: &Postgres,
    slot: &str,
    publication: &str,
    records: usize,
) -> Outcome<Measurement> {
    let folder = run_folder("recvlogical")?;
    let file = folder.join("changes");
    let end = postgres.value(DATABASE, "select pg_current_wal_lsn()")?;
    let end = end.ok_or("the server has no position")?;
    let arguments = [
        "--start".to_owned(),
        "--no-loop".to_owned(),
        "--host=127.0.0.1".to_owned(),
        format!("--port={}", postgres.port()),
        "--username=postgres".to_owned(),
        format!("--dbname={DATABASE}"),
        format!("--slot={slot}"),
        "--option=proto_version=1".to_owned(),
        format!("--option=publication_names={publication}"),
        format!("--endpos={end}"),
        format!("--file={}", file.display()),
    ];
    let start = Instant::now();
    let mut process = Program::new(&program.display().to_string(), arguments)
        .start(&folder.join("recvlogical.log"))?;
    let (id, mut cpu, mut peak) = (process.id(), 0.0, 0.0);
    // A process that has ended tells nothing more: what it told last is exact to this pause.
    let status = loop {
        match process.wait(Duration::from_millis(10)) {
            Ok(status) => break status,
            Err(error) if start.elapsed() > 10 * STALL => return Err(error),
            Err(_) => {
                cpu = cpu_seconds(id).unwrap_or(cpu);
                peak = memory_mib(id, "VmHWM").unwrap_or(peak);
            }
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        return fail(format!("pg_recvlogical: {status}: {}", process.output()));
    }
    std::fs::remove_file(&file)?;
    Ok(Measurement {
        who: "pg_recvlogical, into a file".to_owned(),
        records,
        seconds,
        cpu_seconds: cpu,
        peak_mib: peak,
    })
}

/// As often as the workers that are measured store offsets.
const COMMIT: Duration = Duration::from_secs(2);
/// As many threads as the worker has for the I/O of plugins.
const THREADS: usize = 2;

/// A slot that is new to the connector has no offset.
struct NoOffsets;

impl OffsetReader for NoOffsets {
    fn read(&self, partitions: &[SourcePartition]) -> connect_api::Result<Vec<Option<OffsetMap>>> {
        Ok(vec![None; partitions.len()])
    }
}

/// The child: the task as the worker runs it, with nothing in the producer's place.
pub(crate) fn run(port: &str, database: &str, slot: &str, count: usize) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()?;
    let plugin = PluginContext {
        runtime: runtime.handle().clone(),
    };
    let props: Props = connector(port, database, slot)
        .into_iter()
        .chain([("snapshot.mode", "no_data")])
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let (mut key, mut value) = (json(&plugin, true)?, json(&plugin, false)?);
    let context = SourceTaskContext {
        connector: slot.to_owned(),
        task: 0,
        plugin,
        stop: StopSignal::new(),
        offsets: Arc::new(NoOffsets),
        topics: None,
    };
    let mut task = PostgresTask::new();
    task.start(context, &props)?;
    let drained = drain(&mut task, &mut *key, &mut *value, count);
    task.stop();
    drained
}

/// A JsonConverter that writes no schemas.
fn json(context: &PluginContext, is_key: bool) -> Outcome<Box<dyn Converter>> {
    let make = |plugin: &Plugin| match plugin.make {
        Make::Converter(make) if plugin.class == crate::JSON => Some(make()),
        _ => None,
    };
    let mut converter = converters::PLUGINS
        .iter()
        .find_map(make)
        .ok_or("there is no JsonConverter")?;
    let props = [("schemas.enable".to_owned(), "false".to_owned())];
    converter.configure(context, &props.into_iter().collect(), is_key)?;
    Ok(converter)
}

/// Converts records and drops them, and has their offsets confirmed as if these were stored.
fn drain(
    task: &mut PostgresTask,
    key: &mut dyn Converter,
    value: &mut dyn Converter,
    count: usize,
) -> Outcome<()> {
    let (mut seen, mut out, mut newest) = (0, Vec::new(), None);
    let (mut last_record, mut next_commit) = (Instant::now(), Instant::now() + COMMIT);
    while seen < count {
        let batch = task.poll()?;
        let now = Instant::now();
        if !batch.records.is_empty() {
            last_record = now;
        }
        if now - last_record > STALL {
            return fail(format!("stalled at {seen} records"));
        }
        for source in batch.records {
            let mut record = source.record;
            let (topic, headers) = (&record.topic, &mut record.headers);
            out.clear();
            key.from_connect_data(topic, headers, &record.key, &mut out)?;
            value.from_connect_data(topic, headers, &record.value, &mut out)?;
            // The optimizer is not to find out that nobody reads it.
            std::hint::black_box(&out);
            newest = Some((source.source_partition, source.source_offset));
            seen += 1;
        }
        if now >= next_commit || seen >= count {
            if let Some(newest) = newest.take() {
                task.committed(&[newest])?;
            }
            next_commit = now + COMMIT;
        }
    }
    Ok(())
}
