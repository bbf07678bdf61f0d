//! The client against a registry that answers from a script.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use connect_api::ErrorKind;
use connect_api::context::PluginContext;

use super::*;
use crate::config::definition;
use crate::serde::Serde;

/// One answer: status and body; a status of 0 hangs up.
type Answer = (u16, &'static str);

/// A server that gives scripted answers, the last one for good, and keeps what it was asked.
struct Scripted {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn new(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<_>>()));
        let keep = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (keep, answers) = (Arc::clone(&keep), Arc::clone(&answers));
                // Connections are kept open, so each has a thread.
                std::thread::spawn(move || serve(stream, &keep, &answers));
            }
        });
        Self { port, asked }
    }
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
    fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn serve(
    stream: std::net::TcpStream,
    keep: &Mutex<Vec<String>>,
    answers: &Mutex<VecDeque<Answer>>,
) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let request = format!("{head}{}", String::from_utf8_lossy(&body));
        keep.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        let (status, answer) = {
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() > 1 {
                answers.pop_front()?
            } else {
                *answers.front()?
            }
        };
        if status == 0 {
            return None;
        }
        write!(
            writer,
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        )
        .ok()?;
    }
}

/// A serializer's side over real HTTP, with short pauses.
fn serde(urls: &str, options: &[(&str, &str)]) -> (tokio::runtime::Runtime, Serde) {
    let mut props = connect_api::Props::new();
    for (key, value) in [
        ("schema.registry.url", urls),
        ("retries.wait.ms", "2"),
        (
            "value.subject.name.strategy",
            "io.confluent.kafka.serializers.subject.TopicNameStrategy",
        ),
    ]
    .iter()
    .chain(options)
    {
        props.insert((*key).to_owned(), (*value).to_owned());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let context = PluginContext {
        runtime: runtime.handle().clone(),
    };
    let config = definition().parse(&props).expect("valid");
    let serde = Serde::new(SchemaKind::Avro, &config, false, &context).expect("a client");
    (runtime, serde)
}

fn register(serde: &mut Serde) -> ConnectResult<i32> {
    let schema = RegistrySchema::new(SchemaKind::Avro, "\"int\"");
    serde
        .write_schema("t/1", &schema, None, &|_| true)
        .map(|written| written.id)
}

#[test]
fn an_error_of_the_default_strategy_is_one_of_the_serializer_whatever_its_status() {
    let associated = "io.confluent.kafka.serializers.subject.AssociatedNameStrategy";
    let options = [("value.subject.name.strategy", associated)];
    for status in [401, 503] {
        let server = Scripted::new(&[(status, "{}")]);
        let (_runtime, mut serde) = serde(&server.url(), &options);
        let error = register(&mut serde).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Data, "{status}");
    }
    let server = Scripted::new(&[(404, "{}"), (200, r#"{"id":2}"#)]);
    let (_runtime, mut serde) = serde(&server.url(), &options);
    assert_eq!(register(&mut serde).expect("by the topic's name"), 2);
    assert!(server.asked()[0].starts_with(
        "GET /associations/resources/-/t%2F1?resourceType=topic&associationType=value "
    ));
}

#[test]
fn a_request_is_the_one_that_registries_know() {
    let server = Scripted::new(&[(200, r#"{"id":7}"#)]);
    let (_runtime, mut serde) = serde(
        &format!("{}/base/", server.url()),
        &[
            ("request.header.X-Team", "blue"),
            ("normalize.schemas", "true"),
        ],
    );
    assert_eq!(register(&mut serde).expect("registered"), 7);
    register(&mut serde).expect("known");
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "asked once");
    let lower = asked[0].to_lowercase();
    assert!(
        asked[0].starts_with("POST /base/subjects/t%2F1-value/versions?normalize=true HTTP/1.1"),
        "{asked:?}"
    );
    assert!(lower.contains("content-type: application/vnd.schemaregistry.v1+json"));
    assert!(lower.contains("confluent-accept-unknown-properties: true"));
    assert!(lower.contains("x-team: blue"));
    assert!(!lower.contains("authorization:"));
}

#[test]
fn every_status_has_the_outcome_and_the_number_of_requests_of_the_jvm() {
    let refusal = r#"{"error_code":40901,"message":"the registry's reason"}"#;
    for (status, kind, requests) in [
        (400, ErrorKind::Data, 1),
        (401, ErrorKind::Config, 1),
        (403, ErrorKind::Config, 1),
        (404, ErrorKind::Data, 1),
        (409, ErrorKind::Data, 1),
        (422, ErrorKind::Data, 1),
        (408, ErrorKind::Retriable, 4),
        (429, ErrorKind::Data, 4),
        (500, ErrorKind::Retriable, 4),
        (502, ErrorKind::Data, 4),
        (503, ErrorKind::Retriable, 4),
        (504, ErrorKind::Retriable, 4),
    ] {
        let server = Scripted::new(&[(status, refusal)]);
        let (_runtime, mut serde) = serde(&server.url(), &[]);
        let error = register(&mut serde).expect_err("refused");
        assert_eq!(error.kind(), kind, "{status}: {error:?}");
        assert!(
            error
                .trace()
                .contains("the registry's reason; error code: 40901")
        );
        assert_eq!(server.asked().len(), requests, "{status}");
    }
}

#[test]
fn a_registry_that_comes_back_is_used_and_failures_are_not_kept() {
    let server = Scripted::new(&[(503, "busy"), (0, ""), (200, r#"{"id":3}"#)]);
    let (_runtime, mut serde_) = serde(&server.url(), &[]);
    assert_eq!(register(&mut serde_).expect("the third answer"), 3);
    let server = Scripted::new(&[(404, "{}"), (200, r#"{"id":4}"#)]);
    let (_runtime, mut serde_) = serde(&server.url(), &[]);
    let error = register(&mut serde_).expect_err("not there");
    assert!(
        error.trace().contains("Unable to parse error message"),
        "{error:?}"
    );
    assert_eq!(register(&mut serde_).expect("there now"), 4);
}

#[test]
fn the_next_address_takes_over_and_stays_first() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = free.local_addr().expect("bound").port();
    drop(free);
    let busy = Scripted::new(&[(500, "{}")]);
    let good = Scripted::new(&[(200, r#"{"id":5}"#)]);
    let urls = format!("http://127.0.0.1:{dead},{},{}", busy.url(), good.url());
    let (_runtime, mut serde) = serde(&urls, &[("max.retries", "1")]);
    assert_eq!(register(&mut serde).expect("the third address"), 5);
    assert_eq!(busy.asked().len(), 2);
    let schema = RegistrySchema::new(SchemaKind::Avro, "\"long\"");
    serde
        .write_schema("t", &schema, None, &|_| true)
        .expect("registered");
    assert_eq!(busy.asked().len(), 2, "nobody asks the busy one again");
    assert_eq!(good.asked().len(), 2);
}

#[test]
fn a_refusal_is_not_taken_elsewhere() {
    let first = Scripted::new(&[(409, r#"{"error_code":409,"message":"no"}"#)]);
    let second = Scripted::new(&[(200, r#"{"id":5}"#)]);
    let (_runtime, mut serde) = serde(&format!("{},{}", first.url(), second.url()), &[]);
    register(&mut serde).expect_err("refused");
    assert!(second.asked().is_empty());
}

#[test]
fn a_registry_that_is_down_or_slow_is_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = free.local_addr().expect("bound").port();
    drop(free);
    let (_runtime, mut down) = serde(&format!("http://127.0.0.1:{dead}"), &[]);
    let error = register(&mut down).expect_err("down");
    assert_eq!(error.java_class(), crate::error::class::NETWORK);
    assert!(
        error.message().starts_with(
            "Network connection error while serializing Avro data for topic t/1: Connection refused"
        ),
        "{error:?}"
    );
    // Listens and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("bound"));
    let options = [("http.read.timeout.ms", "50"), ("max.retries", "0")];
    let (_runtime, mut slow) = serde(&url, &options);
    let error = register(&mut slow).expect_err("slow");
    assert_eq!(error.kind(), ErrorKind::Retriable, "{error:?}");
}

#[test]
fn credentials_are_sent_as_their_source_says() {
    let server = Scripted::new(&[(200, r#"{"id":1}"#)]);
    let with_name = server.url().replace("http://", "http://me:p%40ss@");
    let sent = |options: &[(&str, &str)]| {
        let (_runtime, mut serde) = serde(&with_name, options);
        register(&mut serde).expect("registered");
        let asked = server.asked();
        let last = asked.last().expect("a request").to_lowercase();
        last.lines()
            .find_map(|line| line.strip_prefix("authorization: ").map(ToOwned::to_owned))
    };
    assert_eq!(sent(&[]), None, "a name in the address alone is not sent");
    // me:p@ss, lower case as all of the header here.
    assert_eq!(
        sent(&[("basic.auth.credentials.source", "URL")]).as_deref(),
        Some("basic bwu6cebzcw==")
    );
    let issuer = Scripted::new(&[(200, r#"{"access_token":"abc","expires_in":3600}"#)]);
    let endpoint = format!("{}/token", issuer.url());
    let oauth = [
        ("bearer.auth.credentials.source", "OAUTHBEARER"),
        ("bearer.auth.issuer.endpoint.url", endpoint.as_str()),
        ("bearer.auth.client.id", "id"),
        ("bearer.auth.client.secret", "secret"),
        ("bearer.auth.scope", "a b"),
    ];
    assert_eq!(sent(&oauth).as_deref(), Some("bearer abc"));
    let asked = issuer.asked();
    assert!(
        asked[0].ends_with("grant_type=client_credentials&scope=a+b"),
        "{asked:?}"
    );
}

#[test]
fn answers_that_make_no_sense_are_errors() {
    for answer in [
        "",
        "junk",
        "{}",
        r#"{"id":"x"}"#,
        "[1]",
        r#"{"id":99999999999}"#,
    ] {
        let server = Scripted::new(&[(200, answer)]);
        let (_runtime, mut serde) = serde(&server.url(), &[("max.retries", "0")]);
        register(&mut serde).expect_err(answer);
    }
}

#[test]
fn a_subject_is_one_segment_of_the_path() {
    assert_eq!(encoded("a/b:c d-1_ü"), "a%2Fb%3Ac%20d-1_%C3%BC");
}

#[test]
fn a_request_leaves_out_what_is_empty() {
    let mut schema = RegistrySchema::new(SchemaKind::Avro, "\"int\"");
    let body = |schema: &RegistrySchema| {
        Request::post(String::new(), schema)
            .expect("a body")
            .body
            .unwrap_or_default()
    };
    assert_eq!(body(&schema), r#"{"schemaType":"AVRO","schema":"\"int\""}"#);
    schema.references.push(Reference {
        name: "a.B".into(),
        subject: "b".into(),
        version: 3,
    });
    assert_eq!(
        body(&schema),
        r#"{"schemaType":"AVRO","schema":"\"int\"","references":[{"name":"a.B","subject":"b","version":3}]}"#
    );
}

#[test]
fn an_answer_without_a_type_is_avro_and_unknown_members_are_passed_over() {
    let answer: SchemaAnswer =
        serde_json::from_str(r#"{"id":3,"ts":1,"schema":"\"int\"","metadata":{}}"#)
            .expect("readable");
    let registered = answer.registered().expect("complete");
    assert_eq!(registered.id, 3);
    assert_eq!(
        registered.schema,
        Some(RegistrySchema::new(SchemaKind::Avro, "\"int\""))
    );
}
