//! The quickstart: real parts, the two connectors of the Kafka Connect guide unchanged, rows changed
//! in Postgres read back out of Parquet. Leaves everything running; `quickstart stop` ends it.
//!
//! `BOOTSTRAP_SERVERS` uses another broker, `S3_ENDPOINT` (with AWS_ACCESS_KEY_ID,
//! AWS_SECRET_ACCESS_KEY, AWS_REGION, S3_BUCKET_NAME) another store.
#![expect(clippy::print_stdout, reason = "it is for a person to read")]

use compat_tests::example::Example;
use compat_tests::kafka::{Kafka, KafkaOptions};
use compat_tests::postgres::{Postgres, PostgresOptions};
use compat_tests::process::{Life, signal};
use compat_tests::s3::{Bucket, S3, S3Server};
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, fail, parts, wait};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TOPIC: &str = "dbz.public.users";
const DATABASE: &str = "mydatabase";

fn main() -> Outcome<()> {
    let folder = parts::repository().join(".quickstart");
    match std::env::args().nth(1).as_deref() {
        None => up(&folder),
        Some("stop") => {
            stop(&folder);
            println!(
                "stopped; {} holds the logs until the next run",
                folder.display()
            );
            Ok(())
        }
        Some(other) => fail(format!("unknown argument {other}: use none, or stop")),
    }
}

/// Kills what the last run left running, as far as it is still that.
fn stop(folder: &Path) {
    let running = std::fs::read_to_string(folder.join("running")).unwrap_or_default();
    // The worker is the last line and goes first, so that it can stop cleanly.
    for line in running.lines().rev() {
        let Some((pid, name)) = line.split_once(' ') else {
            continue;
        };
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !command.contains(name) {
            continue;
        }
        signal(if name == "postgres" { "INT" } else { "TERM" }, pid);
        let end = Instant::now() + Duration::from_secs(10);
        while Path::new(&format!("/proc/{pid}/exe")).exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        signal("KILL", &format!("-{pid}"));
    }
    drop(std::fs::remove_file(folder.join("running")));
}

/// Writes down a process for [`stop`]: its id and a word of its command line.
fn running(folder: &Path, id: u32, name: &str) -> Outcome<()> {
    let file = folder.join("running");
    let mut text = std::fs::read_to_string(&file).unwrap_or_default();
    text.push_str(&format!("{id} {name}\n"));
    Ok(std::fs::write(file, text)?)
}

fn up(folder: &Path) -> Outcome<()> {
    let start = Instant::now();
    stop(folder);
    drop(std::fs::remove_dir_all(folder));
    std::fs::create_dir_all(folder)?;
    let run = SystemTime::now()
        .duration_since(UNIX_EPOCH)?
        .as_secs()
        .to_string();

    title("Starting the parts");
    let options = KafkaOptions {
        life: Life::Detached,
        ..KafkaOptions::default()
    };
    let kafka = Kafka::existing_or_start(folder, &options)?;
    for id in kafka.process_ids() {
        running(folder, id, "kafka.Kafka")?;
    }
    println!("Kafka        {}", kafka.bootstrap());
    let (s3, bucket, store) = start_store(folder)?;
    println!(
        "S3           {} (bucket {}{store})",
        s3.endpoint, bucket.name
    );
    let postgres = start_postgres(folder)?;
    println!("PostgreSQL   {}:{}", postgres.address(), postgres.port());

    // The connectors would create these with three replicas; a single broker has one.
    for (topic, partitions) in [(TOPIC, 3), ("__debezium-heartbeat.dbz", 1)] {
        kafka.create_topic(topic, partitions, 1)?;
    }
    let earlier = kafka.count(TOPIC)?;

    let mut options = WorkerOptions::new(
        Target::Ferroconnect,
        kafka.bootstrap(),
        &format!("quickstart-{run}"),
    )
    .environment(s3.environment())
    .environment(guide_environment(&postgres, &bucket.name));
    options.life = Life::Detached;
    if TcpListener::bind(("127.0.0.1", 8083)).is_ok() {
        options.port = 8083;
    }
    let before = Instant::now();
    let worker = Worker::start(folder, options)?;
    running(folder, worker.id(), "ferroconnect")?;
    println!(
        "Ferroconnect {} (ready after {} ms)",
        worker.rest.url,
        before.elapsed().as_millis()
    );

    title("The guide's two connectors, unchanged: POST /connectors");
    let guide = Example::new("004-kafka-connect-guide");
    let mut names = Vec::new();
    for file in ["debezium-postgres.json", "s3-sink.json"] {
        let name = worker.rest.create(&guide.read(file)?)?;
        worker.rest.wait_running(&name)?;
        println!("examples/004-kafka-connect-guide/{file} -> {name}");
        names.push(name);
    }

    title("Changing rows");
    postgres.wait_slot("debezium_slot", true)?;
    let token = format!(
        "token-{run}-{:08x}",
        std::process::id().wrapping_mul(2_654_435_761)
    );
    for statement in [
        format!("INSERT INTO users (email, name) VALUES ('carol@example.com', '{token}')"),
        "UPDATE users SET balance = 30.75 WHERE email = 'carol@example.com'".to_owned(),
        "DELETE FROM users WHERE email = 'bob@example.com'".to_owned(),
    ] {
        println!("{statement};");
        postgres.sql(DATABASE, &statement)?;
    }
    // 2 rows of the snapshot, insert, update, delete and its tombstone; the sink ignores the last.
    wait::until("6 records in Kafka", Duration::from_secs(60), || {
        Ok((kafka.count(TOPIC)? >= earlier + 6).then_some(()))
    })?;
    wait::until("the token in S3", Duration::from_secs(60), || {
        Ok((bucket.list()?.len() >= 5).then_some(()))
    })?;

    title("Status");
    for name in &names {
        println!(
            "{}",
            worker.rest.get(&format!("/connectors/{name}/status"))?.body
        );
    }
    title(&format!("Kafka: the payloads in {TOPIC}"));
    let records = kafka.records(TOPIC)?;
    for record in records.iter().rev().take(6).rev() {
        let payload = record.value_json()?["payload"].take();
        let short: String = payload.to_string().chars().take(230).collect();
        println!(
            "{}@{} {} {short}…",
            record.partition,
            record.offset,
            record.key_payload()
        );
    }
    title(&format!("S3: s3://{}", bucket.name));
    let objects = bucket.list()?;
    for (key, size) in objects.iter().rev().take(10).rev() {
        println!("{size:>8}  {key}");
    }
    title("DuckDB: SELECT op, after.* FROM the Parquet");
    let rows = read_back(folder, &bucket, &objects)?;
    print!("{rows}");
    if !rows.contains(&token) {
        return fail(format!("{token} did not come back out of the Parquet"));
    }
    println!("\n{token} went from Postgres through Kafka into Parquet.");
    go_on(&worker, &kafka, &postgres, &bucket, folder);
    println!("({:.1} s)", start.elapsed().as_secs_f64());
    Ok(())
}

fn title(text: &str) {
    println!("\n== {text}");
}

fn start_store(folder: &Path) -> Outcome<(S3, Bucket, String)> {
    let var =
        |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let name = var("S3_BUCKET_NAME", "my-cdc-bucket");
    if let Ok(endpoint) = std::env::var("S3_ENDPOINT") {
        let s3 = S3 {
            endpoint,
            access_key: std::env::var("AWS_ACCESS_KEY_ID")
                .map_err(|_| "S3_ENDPOINT is set: set AWS_ACCESS_KEY_ID too")?,
            secret_key: std::env::var("AWS_SECRET_ACCESS_KEY")
                .map_err(|_| "S3_ENDPOINT is set: set AWS_SECRET_ACCESS_KEY too")?,
            region: var("AWS_REGION", "us-east-1"),
        };
        let bucket = s3.create_bucket(&name)?;
        return Ok((s3, bucket, String::new()));
    }
    let data = folder.join("s3");
    let server = S3Server::folder(&data, &folder.join("s3.log"), Life::Detached)?;
    running(folder, server.id(), "s3-folder")?;
    let bucket = server.s3.create_bucket(&name)?;
    Ok((
        server.s3,
        bucket,
        format!(", a folder: {}", data.join(name).display()),
    ))
}

/// A server with the guide's tables and user. Its data lies where its own user may go, which the
/// checkout need not be.
fn start_postgres(folder: &Path) -> Outcome<Postgres> {
    let data = PathBuf::from("/tmp").join(format!("ferroconnect-quickstart-{}", user_id()?));
    drop(std::fs::remove_dir_all(&data));
    std::fs::create_dir_all(&data)?;
    let options = PostgresOptions {
        life: Life::Detached,
        settings: "",
        ..PostgresOptions::default()
    };
    let postgres = Postgres::start(&data, options)?;
    running(folder, postgres.id(), "postgres")?;
    postgres.sql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
    postgres.sql(
        DATABASE,
        &Example::new("004-kafka-connect-guide").read("setup.sql")?,
    )?;
    Ok(postgres)
}

fn user_id() -> Outcome<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata("/proc/self")?.uid())
}

/// The variables of the guide's env.template.
fn guide_environment(postgres: &Postgres, bucket: &str) -> Vec<(String, String)> {
    [
        ("AWS_RDS_ENDPOINT", postgres.address().to_owned()),
        ("AWS_RDS_PORT", postgres.port().to_string()),
        ("AWS_RDS_DBNAME", DATABASE.to_owned()),
        ("AWS_RDS_USER", "replicator".to_owned()),
        ("AWS_RDS_PASSWORD", "your_password".to_owned()),
        ("S3_BUCKET_NAME", bucket.to_owned()),
        ("POSTGRES_SCHEMA_TO_TRACK", "public".to_owned()),
        ("POSTGRES_TABLE_TO_TRACK", "users".to_owned()),
        ("REPLICATION_SLOT_NAME", "debezium_slot".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Fetches the objects over the S3 API and lets DuckDB read them.
fn read_back(folder: &Path, bucket: &Bucket, objects: &[(String, u64)]) -> Outcome<String> {
    let copies = folder.join("read-back");
    std::fs::create_dir_all(&copies)?;
    for (i, (key, _)) in objects.iter().enumerate() {
        std::fs::write(copies.join(format!("{i}.parquet")), bucket.get(key)?)?;
    }
    let query = format!(
        "SELECT op, before.id AS before_id, after.id, after.email, after.name, after.balance \
         FROM read_parquet('{}/*.parquet', union_by_name=true) ORDER BY source.lsn, ts_ms",
        copies.display()
    );
    let script = "import duckdb, sys; c = duckdb.connect(); r = c.sql(sys.argv[1]); \
                  print(*r.columns, sep=' | '); [print(*row, sep=' | ') for row in r.fetchall()]";
    let python = parts::path("venv/bin/python")?;
    let output = Command::new(python).args(["-c", script, &query]).output()?;
    if !output.status.success() {
        return fail(format!(
            "DuckDB: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn go_on(worker: &Worker, kafka: &Kafka, postgres: &Postgres, bucket: &Bucket, folder: &Path) {
    let url = &worker.rest.url;
    let (address, port) = (postgres.address(), postgres.port());
    title("Go on");
    println!("curl {url}/connectors?expand=status");
    println!("curl {url}/connector-plugins");
    println!("psql -h {address} -p {port} -U postgres {DATABASE}    (no password)");
    println!(
        "broker {}, topic {TOPIC}, bucket {}",
        kafka.bootstrap(),
        bucket.name
    );
    println!("log: {}", folder.join("worker.log").display());
    println!("stop everything: make quickstart-stop");
}
