//! What a worker does when people or the world give it what it cannot use: a clear refusal that
//! names host, port and cause; nothing lost; secrets never shown.

use crate::shared::{
    bucket, database, kafka, postgres, s3, sink_config, source_config, unique, wait_count,
    wait_objects, worker,
};
use compat_tests::kafka::{flush, send};
use compat_tests::parts::{free_port, run_folder};
use compat_tests::postgres::{Postgres, PostgresOptions};
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use rdkafka::producer::BaseRecord;
use std::time::Duration;

#[test]
fn invalid_requests_are_refused_and_leave_nothing_behind() -> Outcome<()> {
    let worker = worker("bad")?;
    let post = |body: &str| worker.rest.request("POST", "/connectors", Some(body));
    // What the JVM answers to each is recorded in `recorded/rest.tsv`; here, that nothing remains.
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"name":"x","config":{"connector.class":"no.such.Class"}}"#,
    ] {
        assert!(post(body)?.status >= 400, "{body}");
    }
    let missing = post(
        r#"{"name":"x","config":{"connector.class":"io.confluent.connect.s3.S3SinkConnector","topics":"t"}}"#,
    )?;
    assert_eq!(missing.status, 400, "{}", missing.body);
    for key in ["s3.bucket.name", "format.class", "flush.size"] {
        let sentence =
            format!("Missing required configuration \\\"{key}\\\" which has no default value.");
        assert!(
            missing.body.contains(&sentence),
            "{key} in {}",
            missing.body
        );
    }
    assert_eq!(worker.rest.get("/connectors")?.body, "[]");
    Ok(())
}

#[test]
fn what_debezium_refuses_is_refused_and_what_the_documents_need_is_accepted() -> Outcome<()> {
    let worker = worker("accepted")?;
    let database = database("accepted")?;
    let port = postgres().port().to_string();
    let validate = |config: &[(&str, &str)]| {
        let config: serde_json::Map<String, serde_json::Value> = config
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).into()))
            .collect();
        let body = serde_json::Value::Object(config).to_string();
        let class = "io.debezium.connector.postgresql.PostgresConnector";
        let path = format!("/connector-plugins/{class}/config/validate");
        let answer = worker.rest.request("PUT", &path, Some(&body))?.json()?;
        let configs = answer["configs"].as_array().cloned().unwrap_or_default();
        let mut keys: Vec<String> = Vec::new();
        for entry in configs {
            if entry["value"]["errors"]
                .as_array()
                .is_some_and(|errors| !errors.is_empty())
            {
                keys.push(
                    entry["value"]["name"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                );
            }
        }
        Outcome::Ok(keys)
    };
    let named = |more: &[(&'static str, &'static str)]| {
        let mut config = source_config(&database, &port, &[]);
        config.push(("name", "n"));
        for (key, value) in more {
            config.retain(|(known, _)| known != key);
            if !value.is_empty() {
                config.push((key, value));
            }
        }
        validate(&config)
    };
    let none: [&str; 0] = [];
    assert_eq!(named(&[])?, none);
    // Accepted beyond Debezium 3.7: exactly these.
    assert_eq!(
        named(&[("topic.prefix", ""), ("database.server.name", "postgres")])?,
        none
    );
    assert_eq!(named(&[("snapshot.locking.mode", "minimal")])?, none);
    // All else is refused with the same keys in error.
    assert_eq!(named(&[("topic.prefix", "")])?, ["topic.prefix"]);
    assert_eq!(
        named(&[("snapshot.locking.mode", "sometimes")])?,
        ["snapshot.locking.mode"]
    );
    assert_eq!(named(&[("snapshot.mode", "often")])?, ["snapshot.mode"]);
    assert_eq!(named(&[("plugin.name", "none")])?, ["plugin.name"]);
    Ok(())
}

#[test]
fn an_unreachable_database_is_named_and_what_comes_back_is_used() -> Outcome<()> {
    let worker = worker("nodb")?;
    let port = free_port();
    let text = port.to_string();
    let config = source_config("nodb", &text, &[]);
    // Debezium checks the connection when it validates: the JVM answers 400.
    let refused = worker
        .rest
        .create_config("nodb", &config)
        .expect_err("nothing listens there");
    let refused = refused.to_string();
    assert!(
        refused.contains("400") && refused.contains("127.0.0.1"),
        "{refused}"
    );
    assert!(refused.contains("refused"), "the cause is named: {refused}");

    // A server that goes away under a running connector: an error that names it, then recovery.
    let options = PostgresOptions {
        port,
        ..PostgresOptions::default()
    };
    let mut server = Postgres::start(&run_folder("nodb")?, options)?;
    server.sql("postgres", "create database nodb")?;
    server.sql(
        "nodb",
        "create table t (id int primary key); insert into t values (1)",
    )?;
    let config = source_config(
        "nodb",
        &text,
        &[("errors.max.retries", "-1"), ("topic.prefix", "nodb")],
    );
    worker.rest.create_config("nodb", &config)?;
    wait_count(kafka(), "nodb.public.t", 1)?;
    server.wait_slot("nodb", true)?;
    server.stop()?;
    wait::until(
        "a log line that names the server",
        Duration::from_secs(60),
        || {
            let log = worker.log();
            Ok(log
                .lines()
                .any(|line| line.contains("127.0.0.1") && line.contains(&text))
                .then_some(()))
        },
    )?;
    server.restart()?;
    server.sql("nodb", "insert into t values (2)")?;
    let back = wait_count(kafka(), "nodb.public.t", 2);
    back.map_err(|error| format!("{error}; {:?}", worker.rest.status("nodb")))?;
    Ok(())
}

#[test]
fn a_wrong_password_is_refused_and_never_shown() -> Outcome<()> {
    let worker = worker("password")?;
    let database = database("password")?;
    let role = unique("reader");
    postgres().sql(
        &database,
        &format!("create role {role} superuser login password 'right-one'"),
    )?;
    postgres().sql(
        &database,
        "create table t (id int primary key); insert into t values (1)",
    )?;
    let port = postgres().port().to_string();
    let wrong = [
        ("database.user", role.as_str()),
        ("database.password", "wrong-secret"),
    ];
    let refused = worker
        .rest
        .create_config("p", &source_config(&database, &port, &wrong));
    let refused = refused.expect_err("the password is wrong").to_string();
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
    assert!(!refused.contains("wrong-secret"), "{refused}");
    let right = [
        ("database.user", role.as_str()),
        ("database.password", "right-one"),
    ];
    worker
        .rest
        .create_config("p", &source_config(&database, &port, &right))?;
    wait_count(kafka(), &format!("{database}.public.t"), 1)?;
    assert!(
        !worker.log().contains("right-one"),
        "the log shows the password"
    );
    Ok(())
}

#[test]
fn every_login_of_postgres_works() -> Outcome<()> {
    let worker = worker("logins")?;
    for login in ["password", "md5", "scram-sha-256"] {
        let options = PostgresOptions {
            login,
            ..PostgresOptions::default()
        };
        let server = Postgres::start(&run_folder("login")?, options)?;
        let name = unique("login");
        server.sql("postgres", &format!("create database {name}"))?;
        server.sql(&name, "create role cdc superuser login password 's3cret'; create table t (id int primary key); insert into t values (1)")?;
        let port = server.port().to_string();
        let more = [
            ("database.user", "cdc"),
            ("database.password", "s3cret"),
            ("topic.prefix", &name),
        ];
        worker
            .rest
            .create_config(&name, &source_config(&name, &port, &more))?;
        wait_count(kafka(), &format!("{name}.public.t"), 1).map_err(|e| format!("{login}: {e}"))?;
        worker.rest.delete(&format!("/connectors/{name}"))?;
    }
    Ok(())
}

#[test]
fn an_unreachable_broker_ends_the_worker_with_its_name() -> Outcome<()> {
    let bootstrap = format!("127.0.0.1:{}", free_port());
    let options = WorkerOptions::new(Target::Ferroconnect, &bootstrap, "nobroker");
    let mut worker = Worker::launch(&run_folder("nobroker")?, options)?;
    wait::until(
        "a log line that names the broker",
        Duration::from_secs(90),
        || Ok(worker.log().contains(&bootstrap).then_some(())),
    )?;
    worker.process().signal("TERM");
    worker.process().wait(Duration::from_secs(30)).map(drop)
}

#[test]
fn an_unreachable_store_loses_nothing() -> Outcome<()> {
    let topic = unique("nobucket");
    let producer = kafka().producer()?;
    kafka().create_topic(&topic, 1, 1)?;
    for i in 0..3 {
        let value = format!("{{\"id\":{i}}}");
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic)
            .payload(value.as_bytes())
            .partition(0);
        send(&producer, record)?;
    }
    flush(&producer)?;
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let worker = worker("nobucket")?;
    let bucket = bucket("nobucket")?;
    let json = [
        (
            "format.class",
            "io.confluent.connect.s3.format.json.JsonFormat",
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("value.converter.schemas.enable", "false"),
    ];
    let mut more = json.to_vec();
    more.extend([
        ("store.url", url.as_str()),
        ("s3.part.retries", "1"),
        ("s3.retry.backoff.ms", "10"),
    ]);
    let created = worker
        .rest
        .create_config("nostore", &sink_config(&topic, &bucket.name, &more));
    let text = match created {
        Err(error) => error.to_string(),
        Ok(_) => worker.rest.wait_failed("nostore")?,
    };
    assert!(
        text.contains(&port.to_string()),
        "names host and port: {text}"
    );
    // The right address later: every record arrives.
    let mut more = json.to_vec();
    more.push(("store.url", s3().endpoint.as_str()));
    let config = sink_config(&topic, &bucket.name, &more);
    let config: serde_json::Map<String, serde_json::Value> = config
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.into()))
        .collect();
    let body = serde_json::Value::Object(config).to_string();
    let answer = worker
        .rest
        .request("PUT", "/connectors/nostore/config", Some(&body))?;
    assert!(answer.status < 300, "{}", answer.body);
    let keys = wait_objects(&bucket, 1)?;
    assert_eq!(
        keys,
        [format!(
            "topics/{topic}/partition=0/{topic}+0+0000000000.json"
        )]
    );

    let mut more = json.to_vec();
    more.push(("store.url", s3().endpoint.as_str()));
    let missing = unique("never-made");
    let created = worker
        .rest
        .create_config("nobucket", &sink_config(&topic, &missing, &more));
    let text = match created {
        Err(error) => error.to_string(),
        Ok(_) => worker.rest.wait_failed("nobucket")?,
    };
    assert!(text.contains(&missing), "names the bucket: {text}");
    Ok(())
}

#[test]
fn a_record_that_cannot_be_converted_follows_errors_tolerance() -> Outcome<()> {
    let topic = unique("tolerance");
    kafka().create_topic(&topic, 1, 1)?;
    let producer = kafka().producer()?;
    for value in ["{\"id\":1}", "not json", "{\"id\":2}"] {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic)
            .payload(value.as_bytes())
            .partition(0);
        send(&producer, record)?;
    }
    flush(&producer)?;
    let worker = worker("tolerance")?;
    let json = [
        (
            "format.class",
            "io.confluent.connect.s3.format.json.JsonFormat",
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("value.converter.schemas.enable", "false"),
        ("flush.size", "1"),
    ];
    let strict = bucket("strict")?;
    worker
        .rest
        .create_config("strict", &sink_config(&topic, &strict.name, &json))?;
    let trace = worker.rest.wait_failed("strict")?;
    assert!(
        trace.contains("Tolerance exceeded in error handler"),
        "{trace}"
    );
    let tolerant = bucket("tolerant")?;
    let mut more = json.to_vec();
    more.push(("errors.tolerance", "all"));
    worker
        .rest
        .create_config("tolerant", &sink_config(&topic, &tolerant.name, &more))?;
    let keys = wait_objects(&tolerant, 2)?;
    let name = |offset: i32| format!("topics/{topic}/partition=0/{topic}+0+{offset:010}.json");
    assert_eq!(keys, [name(0), name(2)]);
    Ok(())
}
