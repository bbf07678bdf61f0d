//! `ferroconnect plan` beside a live JVM worker.

use crate::shared::{database, kafka, options, postgres, source_config, unique};
use compat_tests::parts::run_folder;
use compat_tests::tls::Authority;
use compat_tests::worker::{Target, Worker, WorkerOptions, binary};
use compat_tests::{Outcome, wait};
use serde_json::Value;
use std::process::{Command, Output};
use std::time::Duration;

fn plan(arguments: &[&str]) -> Outcome<Output> {
    Ok(Command::new(binary()?)
        .arg("plan")
        .args(arguments)
        .output()?)
}

fn verdict<'a>(plan: &'a Value, name: &str) -> Option<&'a Value> {
    let connectors = plan["connectors"].as_array()?;
    connectors
        .iter()
        .find(|connector| connector["name"] == name)
}

#[test]
fn a_running_cluster_is_judged_connector_by_connector() -> Outcome<()> {
    let options = WorkerOptions {
        target: Target::Java,
        ..options("plan")
    };
    let worker = Worker::start(&run_folder("plan")?, options)?;
    let url = worker.rest.url.clone();
    let (topic, name) = (unique("plan"), database("plan")?);
    postgres().sql(&name, "create table t (id int primary key)")?;
    kafka().create_topic(&topic, 1, 1)?;
    let port = postgres().port().to_string();
    let file = [
        ("connector.class", "FileStreamSource"),
        ("topic", topic.as_str()),
        ("file", "/dev/null"),
        (
            "key.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
    ];
    worker.rest.create_config("file", &file)?;
    let more = [("max.queue.size", "16384"), ("value.converter", file[3].1)];
    worker
        .rest
        .create_config("postgres", &source_config(&name, &port, &more))?;
    let both = ["--from", url.as_str(), "--json"];
    wait::until("a plan without obstacles", Duration::from_secs(90), || {
        let found = plan(&both)?;
        let json: Value = serde_json::from_slice(&found.stdout)?;
        let verdicts = (
            verdict(&json, "file").map(|found| found["verdict"].clone()),
            verdict(&json, "postgres").map(|found| found["verdict"].clone()),
        );
        let expected = (
            Some(Value::from("as-it-is")),
            Some(Value::from("with-differences")),
        );
        match verdicts == expected && found.status.code() == Some(0) {
            true => Ok(Some(())),
            false => Err(format!("{:?}: {json:#}", found.status).into()),
        }
    })?;
    // A class that only the JVM has.
    let class = "io.debezium.transforms.tracing.ActivateTracingSpan";
    let mut foreign = file.to_vec();
    foreign.extend([("transforms", "swap"), ("transforms.swap.type", class)]);
    worker.rest.create_config("foreign", &foreign)?;
    worker.rest.wait_running("foreign")?;
    let found = plan(&both)?;
    assert_eq!(found.status.code(), Some(2));
    let json: Value = serde_json::from_slice(&found.stdout)?;
    let blocked = verdict(&json, "foreign").ok_or("it is not there")?;
    assert_eq!(blocked["verdict"], "in-the-way");
    let text = blocked["obstacles"][0]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(text.contains(class), "{text}");
    let text = plan(&["--from", &url, "--offline"])?;
    let text = String::from_utf8(text.stdout)?;
    for part in [
        "Cannot be taken over (1):\n  foreign",
        "Taken over with differences (1):\n  postgres",
        "Taken over as it is (1):\n  file",
        "Going back:",
        "max.queue.size",
        &url.replace("http://", ""),
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // The worker's own properties count where they are given.
    let properties = run_folder("plan-properties")?.join("worker.properties");
    std::fs::write(
        &properties,
        "bootstrap.servers=b:1\ngroup.id=g\nconfig.storage.topic=c\noffset.storage.topic=o\n\
         status.storage.topic=s\nkey.converter=org.acme.Converter\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\n",
    )?;
    let properties = properties.display().to_string();
    let found = plan(&["--from", &url, "--json", "--worker", &properties])?;
    let json: Value = serde_json::from_slice(&found.stdout)?;
    assert!(
        json["worker"][0]["message"]
            .as_str()
            .is_some_and(|text| text.contains("org.acme.Converter")),
        "{json:#}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named() -> Outcome<()> {
    let found = plan(&["--from", "http://127.0.0.1:1"])?;
    assert_eq!(found.status.code(), Some(1));
    let text = String::from_utf8(found.stderr)?;
    assert!(
        text.contains("http://127.0.0.1:1/ cannot be reached"),
        "{text}"
    );
    let found = plan(&["--to", "x"])?;
    assert_eq!(found.status.code(), Some(1));
    assert!(String::from_utf8(found.stderr)?.contains("--to is not known"));
    Ok(())
}

/// A worker behind HTTPS that asks for certificates and passwords, read with what opens it.
fn behind_locks(target: Target) -> Outcome<()> {
    let folder = run_folder("plan-locked")?;
    let authority = Authority::create(&folder)?;
    let store = authority.pkcs12("rest")?.display().to_string();
    let trusted = authority.trusted()?.display().to_string();
    let (key, chain) = authority.pem("person")?;
    let file = |name: &str| folder.join(name).display().to_string();
    std::fs::write(folder.join("users"), "alice=s@cret\n")?;
    let module = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
    let jaas = format!(
        "KafkaConnect {{\n  {module} required\n  file=\"{}\";\n}};\n",
        file("users")
    );
    std::fs::write(folder.join("jaas"), jaas)?;
    let java = format!("-Djava.security.auth.login.config={}", file("jaas"));
    // Scripts read the one, a bare JVM the other.
    let variables = ["KAFKA_OPTS", "JAVA_TOOL_OPTIONS"];
    let variables = variables.map(|name| (name.to_owned(), java.clone()));
    let mut options = options("plan-locked").environment(variables.to_vec());
    options.target = target;
    options.jars.push("basic-auth");
    let url = format!("https://127.0.0.1:{}", options.port);
    for (name, value) in [
        ("listeners", url.as_str()),
        (
            "rest.extension.classes",
            "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension",
        ),
        ("listeners.https.ssl.keystore.type", "PKCS12"),
        ("listeners.https.ssl.keystore.location", &store),
        ("listeners.https.ssl.keystore.password", Authority::PASSWORD),
        ("listeners.https.ssl.key.password", Authority::PASSWORD),
        ("listeners.https.ssl.truststore.type", "PKCS12"),
        ("listeners.https.ssl.truststore.location", &trusted),
        (
            "listeners.https.ssl.truststore.password",
            Authority::PASSWORD,
        ),
        ("listeners.https.ssl.client.auth", "required"),
    ] {
        options = options.property(name, value);
    }
    let _worker = Worker::launch(&folder, options)?;
    let ca = std::fs::read(authority.certificate())?;
    let client = reqwest::blocking::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca)?])
        .identity(reqwest::Identity::from_pem(
            format!("{chain}\n{key}").as_bytes(),
        )?)
        .timeout(Duration::from_secs(100))
        .no_proxy()
        .build()?;
    let call = |request: reqwest::blocking::RequestBuilder| {
        request.basic_auth("alice", Some("s@cret")).send()
    };
    wait::until("the worker", Duration::from_secs(90), || {
        let answer = call(client.get(format!("{url}/connectors")))?;
        Ok(answer.status().is_success().then_some(()))
    })?;
    let body = r#"{"name":"c","config":{"connector.class":"FileStreamSource","topic":"t","file":"/dev/null",
        "key.converter":"org.apache.kafka.connect.json.JsonConverter",
        "value.converter":"org.apache.kafka.connect.json.JsonConverter"}}"#;
    let create = client.post(format!("{url}/connectors"));
    let create = create.header("Content-Type", "application/json").body(body);
    assert_eq!(call(create)?.status(), 201);
    let [ca, cert, key] = ["ca.pem", "person.pem", "person.key"].map(file);
    let locks = ["--cacert", &ca, "--cert", &cert, "--key", &key];
    let with_login = url.replace("//", "//alice:s%40cret@");
    let wrong = url.replace("//", "//alice:wrong@");
    let properties = file("worker.properties");
    let by_worker = [
        "--user",
        "alice:s@cret",
        "--worker",
        properties.as_str(),
        "--offline",
    ];
    for (from, more) in [(&with_login, &locks[..]), (&url, &by_worker[..])] {
        let arguments = [&["--from", from.as_str(), "--json"], more].concat();
        wait::until("a plan", Duration::from_secs(60), || {
            let found = plan(&arguments)?;
            if found.status.code() != Some(0) {
                return Err(format!("{found:?}").into());
            }
            let json: Value = serde_json::from_slice(&found.stdout)?;
            assert_eq!(
                verdict(&json, "c").ok_or("no connector")?["verdict"],
                "as-it-is",
                "{json:#}"
            );
            assert!(!String::from_utf8_lossy(&found.stdout).contains("cret@"));
            Ok(Some(()))
        })?;
    }
    for (from, more, expected) in [
        (&url, &locks[..], "401 Unauthorized: give --user"),
        (&wrong, &locks[..], "401 Unauthorized"),
        (&with_login, &locks[..2], "cannot be reached"),
        (&with_login, &[], "cannot be reached"),
    ] {
        let found = plan(&[&["--from", from.as_str()], more].concat())?;
        let text = String::from_utf8(found.stderr)?;
        assert_eq!(found.status.code(), Some(1), "{text}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(!text.contains("wrong") && !text.contains("cret"), "{text}");
    }
    Ok(())
}

#[test]
fn a_jvm_worker_behind_https_and_passwords_is_read() -> Outcome<()> {
    behind_locks(Target::Java)
}

#[test]
fn a_worker_of_ours_behind_https_and_passwords_is_read() -> Outcome<()> {
    behind_locks(Target::Ferroconnect)
}
