//! Where the REST API listens and who may use it: several addresses, TLS with and without clients'
//! certificates, a separate administration, users with passwords, headers for browsers. Each option is
//! tested so that the test fails when its effect is taken away.

use crate::shared::{options, unique};
use compat_tests::parts::{free_port, run_folder};
use compat_tests::steps::{Raw, send};
use compat_tests::tls::Authority;
use compat_tests::worker::{Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use std::time::Duration;

/// A header to send.
fn with(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

fn get(port: u16, path: &str, headers: &[(String, String)]) -> Outcome<Raw> {
    send(
        &format!("127.0.0.1:{port}"),
        &format!("GET {path}"),
        headers,
        None,
    )
}

/// Waits until a port answers with this status.
fn wait_status(port: u16, path: &str, headers: &[(String, String)], status: u16) -> Outcome<Raw> {
    wait::until(
        &format!("{status} of {path}"),
        Duration::from_secs(90),
        || {
            let answer = get(port, path, headers)?;
            match answer.status == status {
                true => Ok(Some(answer)),
                false => Err(format!("{} {}", answer.status, answer.body).into()),
            }
        },
    )
}

/// Waits until a worker has refused to start and gives what it printed.
fn refusal(name: &str, options: WorkerOptions) -> Outcome<String> {
    let mut worker = Worker::launch(&run_folder(name)?, options)?;
    let status = worker.process().wait(Duration::from_secs(60))?;
    assert_ne!(status.code(), Some(0));
    Ok(worker.log())
}

#[test]
fn a_separate_administration_has_listeners_of_its_own() -> Outcome<()> {
    let admin = free_port();
    let second = free_port();
    let options = options("admin");
    let first = options.port;
    let both = format!("http://127.0.0.1:{first},http://127.0.0.1:{second}");
    let options = options
        .property("listeners", &both)
        .property("admin.listeners", &format!("http://127.0.0.1:{admin}"))
        .property("rest.advertised.host.name", "advertised.example")
        .property("rest.advertised.port", "4711");
    let worker = Worker::start(&run_folder("admin")?, options)?;
    assert_eq!(get(second, "/connectors", &[])?.status, 200);
    assert_eq!(get(first, "/admin/loggers", &[])?.status, 404);
    assert_eq!(get(admin, "/admin/loggers", &[])?.status, 200);
    assert_eq!(get(admin, "/connectors", &[])?.status, 404);
    assert!(
        worker.log().contains("http://advertised.example:4711/"),
        "{}",
        worker.log()
    );
    Ok(())
}

#[test]
fn an_empty_list_of_admin_listeners_switches_the_administration_off() -> Outcome<()> {
    let options = options("noadmin").property("admin.listeners", "");
    let port = options.port;
    let _worker = Worker::start(&run_folder("noadmin")?, options)?;
    assert_eq!(get(port, "/admin/loggers", &[])?.status, 404);
    Ok(())
}

#[test]
fn other_origins_and_headers_are_as_configured() -> Outcome<()> {
    let options = options("cors")
        .property(
            "access.control.allow.origin",
            "http://*.example,http://a.test",
        )
        .property("access.control.allow.methods", "GET,PUT")
        .property(
            "response.http.headers.config",
            "add X-One: 1, \"set X-Two: a, b\"",
        );
    let port = options.port;
    let _worker = Worker::start(&run_folder("cors")?, options)?;
    let plain = get(port, "/connectors", &[])?;
    assert_eq!(plain.header("vary"), Some("Origin"));
    assert_eq!(plain.header("x-one"), Some("1"));
    assert_eq!(plain.header("x-two"), Some("a, b"));
    assert_eq!(get(port, "/nope", &[])?.header("x-one"), Some("1"));
    let origin = |origin: &str| get(port, "/connectors", &with("Origin", origin));
    let allowed = |answer: &Raw| {
        answer
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    assert_eq!(
        allowed(&origin("http://x.example")?).as_deref(),
        Some("http://x.example")
    );
    assert_eq!(
        allowed(&origin("http://a.test")?).as_deref(),
        Some("http://a.test")
    );
    assert_eq!(allowed(&origin("http://b.test")?), None);
    let mut preflight = with("Origin", "http://a.test");
    preflight.extend(with("Access-Control-Request-Method", "DELETE"));
    let answer = send(
        &format!("127.0.0.1:{port}"),
        "OPTIONS /connectors",
        &preflight,
        None,
    )?;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("GET,PUT")
    );
    Ok(())
}

#[test]
fn users_and_passwords_are_asked_for_as_by_the_jvm() -> Outcome<()> {
    let folder = run_folder("auth")?;
    let users = folder.join("users.properties");
    std::fs::write(&users, "alice=secret\n")?;
    let jaas = folder.join("jaas.conf");
    std::fs::write(
        &jaas,
        format!(
            "KafkaConnect {{\n  org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required\n  file=\"{}\";\n}};\n",
            users.display()
        ),
    )?;
    let extension =
        "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
    let java = format!("-Djava.security.auth.login.config={}", jaas.display());
    let with_users = options("auth")
        .property("rest.extension.classes", extension)
        .environment(vec![("KAFKA_OPTS".to_owned(), java)]);
    let port = with_users.port;
    let worker = Worker::launch(&folder, with_users)?;
    // alice:secret, alice:wrong
    let right = with("Authorization", "Basic YWxpY2U6c2VjcmV0");
    let wrong = with("Authorization", "Basic YWxpY2U6d3Jvbmc=");
    wait_status(port, "/health", &right, 200)?;
    let refused = get(port, "/connectors", &wrong)?;
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (401, "User cannot access the resource.")
    );
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert_eq!(get(port, "/connectors", &[])?.status, 401);
    assert_eq!(get(port, "/admin/loggers", &[])?.status, 401);
    assert_eq!(get(port, "/nope", &[])?.status, 404);
    assert!(!worker.log().contains("secret"));
    drop(worker);
    let log = refusal(
        "noext",
        options("noext").property("rest.extension.classes", "no.Such"),
    )?;
    assert!(
        log.contains("Failed to find any class that implements interface org.apache.kafka.connect.rest.ConnectRestExtension and which name matches no.Such"),
        "{log}"
    );
    Ok(())
}

#[test]
fn https_asks_clients_who_they_are_where_it_is_told_to() -> Outcome<()> {
    let folder = run_folder("https")?;
    let authority = Authority::create(&folder)?;
    authority.pkcs12("server")?;
    authority.pem("client")?;
    let read = |name: &str| std::fs::read(folder.join(name));
    let trusted = reqwest::Certificate::from_pem(&read("ca.pem")?)?;
    let mut both = read("client.pem")?;
    both.extend(read("client.key")?);
    let client = |identity: bool| -> Outcome<reqwest::blocking::Client> {
        let builder = reqwest::blocking::Client::builder()
            .add_root_certificate(trusted.clone())
            .timeout(Duration::from_secs(20))
            .no_proxy();
        Ok(match identity {
            true => builder
                .identity(reqwest::Identity::from_pem(&both)?)
                .build()?,
            false => builder.build()?,
        })
    };
    let path = |name: &str| folder.join(name).display().to_string();
    let start_with = |name: &str, auth: &str, options: WorkerOptions| {
        let tls = free_port();
        let listeners = format!("http://127.0.0.1:{},https://127.0.0.1:{tls}", options.port);
        let options = options
            .property("listeners", &listeners)
            // Under the prefix counts; the plain one would be refused.
            .property("ssl.keystore.location", "/no/such/file")
            .property("listeners.https.ssl.keystore.location", &path("server.p12"))
            .property("listeners.https.ssl.keystore.type", "PKCS12")
            .property("listeners.https.ssl.keystore.password", "changeit")
            .property("listeners.https.ssl.truststore.location", &path("ca.pem"))
            .property("listeners.https.ssl.truststore.type", "PEM")
            .property("listeners.https.ssl.client.auth", auth);
        let worker = Worker::start(&run_folder(name)?, options)?;
        Outcome::Ok((worker, format!("https://127.0.0.1:{tls}")))
    };
    let start = |name: &str, auth: &str| start_with(name, auth, options(name));
    let (_first, url) = start("httpsnone", "requested")?;
    assert_eq!(
        client(false)?
            .get(format!("{url}/connectors"))
            .send()?
            .status(),
        200
    );
    let created = client(true)?
        .post(format!("{url}/connectors"))
        .header("Content-Type", "application/json")
        .body(r#"{"name":"c","config":{"connector.class":"FileStreamSource","topic":"t"},"initial_state":"STOPPED"}"#)
        .send()?;
    assert_eq!(created.status(), 201);
    let location = created
        .headers()
        .get("location")
        .map(|value| value.to_str().map(str::to_owned));
    assert_eq!(location.transpose()?, Some(format!("{url}/connectors/c")));
    let (_second, url) = start("httpsneed", "required")?;
    assert!(
        client(false)?
            .get(format!("{url}/connectors"))
            .send()
            .is_err()
    );
    assert_eq!(
        client(true)?
            .get(format!("{url}/connectors"))
            .send()?
            .status(),
        200
    );
    // Workers know each other by the same stores: one of the two sends on what it is asked.
    let of_group = |group: &str| {
        let mut options = options("httpspair").property("rest.advertised.listener", "https");
        options.group = group.to_owned();
        options
    };
    let group = unique("httpspair");
    let (leader, _) = start_with("httpspair1", "required", of_group(&group))?;
    let (follower, _) = start_with("httpspair2", "required", of_group(&group))?;
    for (name, worker) in [("one", &leader), ("two", &follower)] {
        let body = format!(
            r#"{{"name":"{name}","config":{{"connector.class":"FileStreamSource","topic":"t"}},"initial_state":"STOPPED"}}"#
        );
        let created = worker.rest.request("POST", "/connectors", Some(&body))?;
        assert_eq!(created.status, 201, "{}", created.body);
    }
    let log = refusal(
        "httpsbad",
        options("httpsbad").property("listeners", &format!("https://127.0.0.1:{}", free_port())),
    )?;
    assert!(log.contains("https needs ssl.keystore.location"), "{log}");
    Ok(())
}

#[test]
fn two_that_create_one_name_leave_one_whole_connector() -> Outcome<()> {
    let name = unique("twice");
    let options = options("twice");
    let worker = Worker::start(&run_folder("twice")?, options)?;
    let statuses = std::thread::scope(|scope| -> Outcome<Vec<u16>> {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (rest, name) = (&worker.rest, &name);
                scope.spawn(move || {
                    let body = format!(
                        r#"{{"name":"{name}","config":{{"connector.class":"FileStreamSource","topic":"t{number}","own":"{number}"}},"initial_state":"STOPPED"}}"#
                    );
                    rest.request("POST", "/connectors", Some(&body)).map(|answer| answer.status)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread panicked")?)
            .collect()
    })?;
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        7,
        "{statuses:?}"
    );
    let config = worker
        .rest
        .get(&format!("/connectors/{name}/config"))?
        .json()?;
    let own = config["own"].as_str().unwrap_or_default().to_owned();
    assert_eq!(config["topic"].as_str(), Some(format!("t{own}").as_str()));
    Ok(())
}

#[test]
fn with_200_connectors_gets_are_quick_and_soon_back_after_a_restart() -> Outcome<()> {
    let folder = run_folder("many")?;
    let mut worker = Worker::start(&folder, options("many"))?;
    let lines = folder.join("lines.txt");
    std::fs::write(&lines, "")?;
    for number in 0..200 {
        let file = lines.display().to_string();
        let topic = format!("many-{number}");
        let config = [
            ("connector.class", "FileStreamSource"),
            ("file", file.as_str()),
            ("topic", topic.as_str()),
        ];
        worker
            .rest
            .create_config(&format!("many-{number}"), &config)?;
    }
    for number in 0..200 {
        worker.rest.wait_running(&format!("many-{number}"))?;
    }
    let mut times = Vec::new();
    for round in 0..100 {
        for path in [
            "/connectors",
            "/connectors/many-7",
            "/connectors/many-9/status",
            "/connectors/many-11/config",
            "/connectors/many-13/tasks",
        ] {
            let start = std::time::Instant::now();
            let answer = worker.rest.get(path)?;
            times.push(start.elapsed());
            assert_eq!(answer.status, 200, "{path} in round {round}");
        }
    }
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    worker.terminate()?;
    let start = std::time::Instant::now();
    worker.restart()?;
    wait::until("all to run again", Duration::from_secs(60), || {
        let all = worker.rest.get("/connectors?expand=status")?.json()?;
        let runs = |part: &serde_json::Value| part["state"] == "RUNNING";
        let up = all.as_object().is_some_and(|all| {
            all.len() == 200
                && all.values().all(|one| {
                    let status = &one["status"];
                    runs(&status["connector"])
                        && status["tasks"]
                            .as_array()
                            .is_some_and(|tasks| tasks.len() == 1 && tasks.iter().all(runs))
                })
        });
        Ok(up.then_some(()))
    })?;
    let up = start.elapsed();
    println!("GET p99 {p99:?}, all 200 run {up:?} after the start");
    // What is asked for holds on a quiet machine (`make rest-figures`); a test machine may be busy.
    let (slowest, latest) = match std::env::var_os("REST_FIGURES") {
        Some(_) => (Duration::from_millis(2), Duration::from_secs(5)),
        None => (Duration::from_millis(100), Duration::from_secs(30)),
    };
    assert!(p99 < slowest, "p99 of GET: {p99:?}");
    assert!(up < latest, "all run after {up:?}");
    assert_eq!(
        worker
            .rest
            .get("/connectors")?
            .json()?
            .as_array()
            .map(Vec::len),
        Some(200)
    );
    Ok(())
}
