//! Brokers that ask who comes: the group's own connection logs in as librdkafka does, and two workers
//! find each other behind each kind of listener.

use crate::shared::unique;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use compat_tests::kafka::{Kafka, KafkaOptions};
use compat_tests::parts::{free_port, run_folder};
use compat_tests::tls::Authority;
use compat_tests::worker::{Target, Worker, WorkerOptions};
use compat_tests::{Outcome, wait};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PATIENCE: Duration = Duration::from_secs(120);

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";

/// Where tokens come from: an endpoint that knows one client and its secret.
struct TokenEndpoint {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl TokenEndpoint {
    const SECRET: &str = "hush hush";

    fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/token", listener.local_addr()?);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                drop(Self::answer(stream));
            }
        });
        Ok(Self { url, asked })
    }

    /// One token by the client credentials grant, good for a minute, without a signature.
    fn answer(mut stream: TcpStream) -> Outcome<()> {
        let mut request = String::new();
        while !request.ends_with("scope=connect") {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes)?;
            if count == 0 {
                break;
            }
            request.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        // worker:hush hush
        let (status, body) = match request.contains("Basic d29ya2VyOmh1c2ggaHVzaA==") {
            true => (200, format!(r#"{{"access_token":"{}"}}"#, token()?)),
            false => (401, r#"{"error":"invalid_client"}"#.to_owned()),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )?;
        Ok(())
    }
}

/// A JWT that a broker's unsecured validator takes.
fn token() -> Outcome<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = format!(r#"{{"sub":"worker","iat":{now},"exp":{}}}"#, now + 60);
    Ok(format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        URL_SAFE_NO_PAD.encode(claims)
    ))
}

/// A broker with a listener of each kind; its certificates are the authority's.
fn broker(authority: &Authority) -> Outcome<Kafka> {
    let store = authority.pkcs12("broker")?.display().to_string();
    let trusted = authority.certificate().display().to_string();
    let mut properties: Vec<(String, String)> = [
        ("ssl.keystore.type", "PKCS12"),
        ("ssl.keystore.location", store.as_str()),
        ("ssl.keystore.password", Authority::PASSWORD),
        ("ssl.key.password", Authority::PASSWORD),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", trusted.as_str()),
        ("listener.name.mutual.ssl.client.auth", "required"),
        (
            "sasl.enabled.mechanisms",
            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        ),
        ("authorizer.class.name", ""),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    for listener in ["sasl", "saslssl"] {
        let prefix = format!("listener.name.{listener}");
        properties.push((
            format!("{prefix}.plain.sasl.jaas.config"),
            format!("{PLAIN} required user_ann=\"secret\";"),
        ));
        properties.push((
            format!("{prefix}.oauthbearer.sasl.jaas.config"),
            format!("{OAUTH} required unsecuredLoginStringClaim_sub=\"broker\";"),
        ));
        for mechanism in ["scram-sha-256", "scram-sha-512"] {
            let key = format!("{prefix}.{mechanism}.sasl.jaas.config");
            properties.push((key, format!("{SCRAM} required;")));
        }
    }
    let options = KafkaOptions {
        listeners: vec![
            ("SASL", "SASL_PLAINTEXT"),
            ("SASLSSL", "SASL_SSL"),
            ("TLS", "SSL"),
            ("MUTUAL", "SSL"),
        ],
        properties,
        scram: ["SCRAM-SHA-256", "SCRAM-SHA-512"]
            .map(|mechanism| format!("{mechanism}=[name=ann,password=secret]"))
            .to_vec(),
        ..KafkaOptions::default()
    };
    Kafka::start(&run_folder("secured")?, &options)
}

fn jaas(module: &str, password: &str) -> String {
    format!("{module} required username=\"ann\" password=\"{password}\";")
}

/// A worker's properties for its own clients and those of its tasks.
fn secured(options: WorkerOptions, settings: &[(&str, &str)]) -> WorkerOptions {
    settings.iter().fold(options, |options, (key, value)| {
        ["", "producer.", "consumer.", "admin."]
            .iter()
            .fold(options, |options, prefix| {
                options.property(&format!("{prefix}{key}"), value)
            })
    })
}

/// Two workers in a group, one after the other, that know of each other.
fn meet(name: &str, servers: &str, settings: &[(&str, &str)]) -> Outcome<()> {
    let group = unique(&format!("secured-{name}"));
    let one = WorkerOptions::new(Target::Ferroconnect, servers, &group);
    let one = secured(one, settings);
    let other = WorkerOptions {
        port: free_port(),
        ..one.clone()
    };
    let folder = run_folder("secured-worker")?;
    let first = Worker::start(&folder, one)?;
    let file = folder.join("lines");
    std::fs::write(&file, "a line\n")?;
    let file = file.display().to_string();
    for number in 0..2 {
        let topic = format!("{group}-{number}");
        let config = [
            ("connector.class", "FileStreamSource"),
            ("file", file.as_str()),
            ("topic", topic.as_str()),
        ];
        first.rest.create_config(&topic, &config)?;
        first.rest.wait_running(&topic)?;
    }
    let second = Worker::start(&run_folder("secured-worker")?, other)?;
    let there = second.rest.url.replace("http://", "");
    wait::until(&format!("{name}: work for the second"), PATIENCE, || {
        let mut found = false;
        for number in 0..2 {
            let status = second.rest.status(&format!("{group}-{number}"))?;
            let task = &status["tasks"][0];
            found |= task["worker_id"] == there.as_str() && task["state"] == "RUNNING";
        }
        Ok(found.then_some(()))
    })
}

#[test]
fn a_group_meets_behind_every_kind_of_listener() -> Outcome<()> {
    let authority = Authority::create(&run_folder("secured-certificates")?)?;
    let kafka = broker(&authority)?;
    let trusted = authority.certificate().display().to_string();
    let store = authority.pkcs12("worker")?.display().to_string();
    let (key, chain) = authority.pem("worker-pem")?;
    let plain = jaas(PLAIN, "secret");
    let scram = jaas(SCRAM, "secret");
    let trust = [
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", trusted.as_str()),
    ];
    let by = |protocol, mechanism, login, tls: bool| {
        let mut settings = vec![
            ("security.protocol", protocol),
            ("sasl.mechanism", mechanism),
            ("sasl.jaas.config", login),
        ];
        settings.extend(tls.then_some(trust).into_iter().flatten());
        settings
    };
    let sasl = kafka.listener("SASL");
    meet("plain", sasl, &by("SASL_PLAINTEXT", "PLAIN", &plain, false))?;
    meet(
        "scram256",
        sasl,
        &by("SASL_PLAINTEXT", "SCRAM-SHA-256", &scram, false),
    )?;
    let both = kafka.listener("SASLSSL");
    meet(
        "scram512",
        both,
        &by("SASL_SSL", "SCRAM-SHA-512", &scram, true),
    )?;
    let mut tls = vec![("security.protocol", "SSL")];
    tls.extend(trust);
    meet("tls", kafka.listener("TLS"), &tls)?;
    let mut mutual = tls.clone();
    mutual.extend([
        ("ssl.keystore.type", "PKCS12"),
        ("ssl.keystore.location", store.as_str()),
        ("ssl.keystore.password", Authority::PASSWORD),
        ("ssl.key.password", Authority::PASSWORD),
    ]);
    meet("mutual", kafka.listener("MUTUAL"), &mutual)?;
    let mut inline = tls.clone();
    let (key, chain) = (key.replace('\n', "\\n"), chain.replace('\n', "\\n"));
    inline.extend([
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.key", key.as_str()),
        ("ssl.keystore.certificate.chain", chain.as_str()),
    ]);
    meet("mutual-pem", kafka.listener("MUTUAL"), &inline)?;
    // Tokens of one's own making, renewed every few seconds, and those of an endpoint.
    let unsecured = format!(
        "{OAUTH} required unsecuredLoginStringClaim_sub=\"ann\" unsecuredLoginLifetimeSeconds=\"20\";"
    );
    let own = by("SASL_PLAINTEXT", "OAUTHBEARER", &unsecured, false);
    meet("oauth", sasl, &own)?;
    let endpoint = TokenEndpoint::start()?;
    let credentials = |secret: &str| {
        format!("{OAUTH} required clientId=\"worker\" clientSecret=\"{secret}\" scope=\"connect\";")
    };
    let good = credentials(TokenEndpoint::SECRET);
    let mut fetched = by("SASL_SSL", "OAUTHBEARER", &good, true);
    let from_endpoint = [
        (
            "sasl.login.callback.handler.class",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
        ),
        ("sasl.oauthbearer.token.endpoint.url", endpoint.url.as_str()),
    ];
    fetched.extend(from_endpoint);
    meet("oauth-endpoint", both, &fetched)?;
    let asked = endpoint.asked.load(Ordering::Relaxed);
    assert!((2..20).contains(&asked), "clients share a token: {asked}");
    let bad = credentials("wrong");
    let mut wrong_secret = by("SASL_PLAINTEXT", "OAUTHBEARER", &bad, false);
    wrong_secret.extend(from_endpoint);
    // What cannot be is said, before anything is touched.
    for (name, servers, settings, expected) in [
        (
            "gssapi",
            sasl,
            by(
                "SASL_PLAINTEXT",
                "GSSAPI",
                "com.sun.security.auth.module.Krb5LoginModule required;",
                false,
            ),
            "GSSAPI",
        ),
        (
            "wrong",
            sasl,
            by(
                "SASL_PLAINTEXT",
                "PLAIN",
                "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"ann\" password=\"no\";",
                false,
            ),
            "uthentication failed",
        ),
        (
            "wrong-secret",
            sasl,
            wrong_secret,
            "status 401, invalid_client",
        ),
    ] {
        let options = WorkerOptions::new(Target::Ferroconnect, servers, &unique(name));
        let options = secured(options, &settings);
        let mut worker = Worker::launch(&run_folder(name)?, options)?;
        let code = worker.process().wait(PATIENCE)?.code();
        let log = worker.log();
        assert!(code.is_some_and(|code| code != 0), "{name}: {code:?}");
        assert!(log.contains(expected), "{name}: {log}");
    }
    Ok(())
}

#[test]
fn workers_call_each_other_by_https_with_their_stores() -> Outcome<()> {
    let authority = Authority::create(&run_folder("https-workers-certificates")?)?;
    let store = authority.pkcs12("rest")?.display().to_string();
    let trusted = authority.certificate().display().to_string();
    let options = |port: u16| -> Outcome<WorkerOptions> {
        let mut options = crate::shared::options("https-workers");
        options.group = "https-workers".to_owned();
        options.port = port;
        let listener = format!("https://127.0.0.1:{port}");
        for (key, value) in [
            ("listeners", listener.as_str()),
            ("listeners.https.ssl.keystore.type", "PKCS12"),
            ("listeners.https.ssl.keystore.location", &store),
            ("listeners.https.ssl.keystore.password", Authority::PASSWORD),
            ("listeners.https.ssl.key.password", Authority::PASSWORD),
            ("listeners.https.ssl.truststore.type", "PEM"),
            ("listeners.https.ssl.truststore.location", &trusted),
            ("listeners.https.ssl.client.auth", "required"),
        ] {
            options = options.property(key, value);
        }
        Ok(options)
    };
    let ports = [free_port(), free_port()];
    let folder = run_folder("https-workers")?;
    let _first = Worker::launch(&folder, options(ports[0])?)?;
    let _second = Worker::launch(&run_folder("https-workers-2")?, options(ports[1])?)?;
    let (key, chain) = authority.pem("person")?;
    let identity = reqwest::Identity::from_pem(format!("{chain}\n{key}").as_bytes())?;
    let ca = std::fs::read(authority.certificate())?;
    let client = reqwest::blocking::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca)?])
        .identity(identity)
        .timeout(Duration::from_secs(100))
        .no_proxy()
        .build()?;
    let url = |at: usize, path: &str| format!("https://127.0.0.1:{}{path}", ports[at]);
    let names = ["https-workers-0", "https-workers-1"];
    wait::until("both to be there", PATIENCE, || {
        for at in [0, 1] {
            client.get(url(at, "/health")).send()?.error_for_status()?;
        }
        Ok(Some(()))
    })?;
    // One of them leads: a request to each is one that is forwarded, and one that is not.
    for (at, name) in names.iter().enumerate() {
        let config = serde_json::json!({
            "name": name,
            "config": {"connector.class": "FileStreamSource", "topic": name, "file": "/dev/null"},
        });
        let answer = client
            .post(url(at, "/connectors"))
            .header("Content-Type", "application/json")
            .body(config.to_string())
            .send()?;
        let place = answer.headers().get("location").cloned();
        assert_eq!(answer.status(), 201, "{}", answer.text()?);
        let expected = url(at, &format!("/connectors/{name}"));
        assert_eq!(
            place.as_ref().map(|place| place.as_bytes()),
            Some(expected.as_bytes())
        );
    }
    // The follower's connector has its tasks written by the leader, signed, by HTTPS.
    wait::until("both connectors to run", PATIENCE, || {
        for name in names {
            let path = format!("/connectors/{name}/status");
            let status: serde_json::Value =
                serde_json::from_str(&client.get(url(0, &path)).send()?.text()?)?;
            if status["tasks"][0]["state"] != "RUNNING" {
                return Err(status.to_string().into());
            }
        }
        Ok(Some(()))
    })
}
