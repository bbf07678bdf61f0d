//! The client against a registry that answers from a script.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use connect_api::ErrorKind;
use connect_api::context::PluginContext;

use super::*;
use crate::config::definition;
use crate::converter::Dialect;
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
    let serde = Serde::new(
        SchemaKind::Avro,
        &config,
        false,
        Dialect::Confluent,
        &context,
    )
    .expect("a client");
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
fn a_token_is_kept_until_shortly_before_its_end() {
    let server = Scripted::new(&[(200, r#"{"id":1}"#)]);
    let asked_after_two = |answer, buffer| {
        let issuer = Scripted::new(&[(200, answer)]);
        let endpoint = format!("{}/token", issuer.url());
        // As a Kafka client is told, here under the registry's prefix.
        let options = [
            (
                "schema.registry.bearer.auth.credentials.source",
                "SASL_OAUTHBEARER_INHERIT",
            ),
            ("sasl.oauthbearer.token.endpoint.url", endpoint.as_str()),
            (
                "sasl.jaas.config",
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                 clientId=\"me\" clientSecret=\"it's\" scope=\"sr\";",
            ),
            ("bearer.auth.cache.expiry.buffer.seconds", buffer),
        ];
        let (_runtime, mut serde) = serde(&server.url(), &options);
        for text in ["\"int\"", "\"long\""] {
            let schema = RegistrySchema::new(SchemaKind::Avro, text);
            serde
                .write_schema("t", &schema, None, &|_| true)
                .expect("registered");
        }
        let asked = issuer.asked();
        assert!(asked[0].ends_with("grant_type=client_credentials&scope=sr"));
        assert!(
            asked[0]
                .to_lowercase()
                .contains("authorization: basic bwu6axqncw==\r\n")
        );
        asked.len()
    };
    let token = r#"{"access_token":"abc","expires_in":600}"#;
    assert_eq!(asked_after_two(token, "300"), 1);
    assert_eq!(asked_after_two(token, "601"), 2, "it would soon be over");
    assert_eq!(asked_after_two(r#"{"access_token":"abc"}"#, "300"), 1);
}

#[test]
fn a_token_that_nobody_gives_is_told_with_its_issuer() {
    let server = Scripted::new(&[(200, r#"{"id":1}"#)]);
    let issuer = Scripted::new(&[(401, "{}")]);
    let options = [
        ("bearer.auth.credentials.source", "OAUTHBEARER"),
        ("bearer.auth.issuer.endpoint.url", &issuer.url()),
        ("bearer.auth.client.id", "id"),
        ("bearer.auth.client.secret", "hidden"),
    ];
    let (_runtime, mut serde) = serde(&server.url(), &options);
    let trace = register(&mut serde).expect_err("no token").trace();
    assert!(
        trace.contains(&issuer.url()) && trace.contains("401"),
        "{trace}"
    );
    assert!(!trace.contains("hidden"), "{trace}");
    assert!(server.asked().is_empty(), "nothing is sent without a token");
}

#[test]
fn a_proxy_is_asked_for_the_registrys_address() {
    let proxy = Scripted::new(&[(200, r#"{"id":7}"#)]);
    let port = proxy.port.to_string();
    let options = [("proxy.host", "127.0.0.1"), ("proxy.port", port.as_str())];
    let (_runtime, mut serde) = serde("http://registry.invalid:8081/base", &options);
    assert_eq!(register(&mut serde).expect("through the proxy"), 7);
    let asked = proxy.asked();
    let line =
        "POST http://registry.invalid:8081/base/subjects/t%2F1-value/versions?normalize=false";
    assert!(asked[0].starts_with(line), "{asked:?}");
}

#[test]
fn a_limit_of_requests_is_waited_out_as_often_as_any_other_error() {
    let busy = (429, r#"{"error_code":42901,"message":"slow down"}"#);
    let server = Scripted::new(&[busy, busy, (200, r#"{"id":8}"#)]);
    let (_runtime, mut serde_) = serde(&server.url(), &[]);
    assert_eq!(register(&mut serde_).expect("the third answer"), 8);
    let server = Scripted::new(&[busy]);
    let (_runtime, mut serde_) = serde(&server.url(), &[]);
    let error = register(&mut serde_).expect_err("four times");
    assert_eq!(error.java_class(), crate::error::class::THROTTLING);
    assert!(error.trace().contains("slow down; error code: 42901"));
    assert_eq!(server.asked().len(), 4);
}

/// Speaks TLS with the client under these options; answers whether the client's own certificate
/// came along.
fn over_tls(ssl: &[(&str, &str)]) -> ConnectResult<bool> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let stores = concat!(env!("CARGO_MANIFEST_DIR"), "/../../keystore/src/tests/");
    let path = |name: &str| format!("{stores}{name}");
    let store = keystore::read(path("key.p12").as_ref(), Some("changeit"), None)?;
    let identity = store.identity.expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).expect("a key");
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes())
        .collect::<std::result::Result<Vec<_>, _>>()
        .expect("certificates");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(Arc::new(AnyCertificate))
        .with_single_cert(chain, key)
        .expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().ok()?;
        let mut session = rustls::ServerConnection::new(Arc::new(config)).ok()?;
        let mut stream = rustls::Stream::new(&mut session, &mut socket);
        let mut head = [0; 4096];
        let read = stream.read(&mut head).ok()?;
        let body = r#"{"id":9}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).ok()?;
        stream.flush().ok()?;
        let _closed = stream.read(&mut head);
        (read > 0).then(|| {
            session
                .peer_certificates()
                .is_some_and(|chain| !chain.is_empty())
        })
    });
    let given: Vec<(String, String)> = ssl
        .iter()
        .map(|&(key, value)| {
            let value = match key.ends_with(".location") {
                true => path(value),
                false => value.to_owned(),
            };
            (format!("schema.registry.ssl.{key}"), value)
        })
        .collect();
    let mut options: Vec<(&str, &str)> = given
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    options.push(("max.retries", "0"));
    let (_runtime, mut serde) = serde(&format!("https://127.0.0.1:{port}"), &options);
    let registered = register(&mut serde);
    drop(serde);
    assert_eq!(registered?, 9);
    Ok(server.join().expect("served").expect("spoken with"))
}

/// Asks for a client's certificate and takes whichever comes, or none.
#[derive(Debug)]
struct AnyCertificate;

impl rustls::server::danger::ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _end_entity: &rustls::pki_types::CertificateDer<'_>,
        _intermediates: &[rustls::pki_types::CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> std::result::Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &rustls::pki_types::CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> std::result::Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &rustls::pki_types::CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> std::result::Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[test]
fn tls_takes_stores_of_every_kind_and_checks_names_only_where_asked() {
    let pem = include_str!("../../../../keystore/src/tests/certificate.pem");
    for kind in ["jks", "p12"] {
        let (key, trust) = (format!("key.{kind}"), format!("trust.{kind}"));
        let trusting = [
            ("truststore.location", trust.as_str()),
            ("truststore.password", "changeit"),
        ];
        assert!(!over_tls(&trusting).expect("trusted"), "{kind}");
        let both = [
            trusting[0],
            trusting[1],
            ("keystore.location", key.as_str()),
            ("keystore.password", "changeit"),
        ];
        assert!(over_tls(&both).expect("trusted"), "{kind}");
    }
    let as_text = [("truststore.certificates", pem), ("truststore.type", "PEM")];
    assert!(!over_tls(&as_text).expect("trusted"));
    let named = [as_text[0], ("endpoint.identification.algorithm", "https")];
    let error = over_tls(&named).expect_err("its name is another");
    assert_eq!(error.java_class(), crate::error::class::NETWORK);
    // Nobody vouches for it.
    over_tls(&[("endpoint.identification.algorithm", "")]).expect_err("not trusted");
}

#[test]
fn data_whose_contract_has_rules_does_not_pass_without_them() {
    let written = |rule: &str| {
        let body = format!(
            r#"{{"id":1,"schema":"\"int\"","ruleSet":{{"migrationRules":null,"domainRules":[{rule}]}}}}"#
        );
        let server = Scripted::new(&[(200, Box::leak(body.into_boxed_str()))]);
        let (_runtime, mut serde) = serde(&server.url(), &[]);
        let wrote = register(&mut serde).map(drop);
        let read = serde.read_schema("t", crate::wire::SchemaId::Id(1), &|_| None);
        (wrote, read.map(drop))
    };
    let (wrote, read) = written(r#"{"name":"hide","type":"ENCRYPT","mode":"WRITEREAD"}"#);
    for error in [
        wrote.expect_err("not encrypted"),
        read.expect_err("not decrypted"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Data);
        let trace = error.trace();
        assert!(
            trace.contains("SerializationException: Rule failed: hide\n")
                && trace.contains("Could not find rule executor of type ENCRYPT"),
            "{trace}"
        );
    }
    let (wrote, read) = written(r#"{"name":"check","type":"CEL","mode":"READ"}"#);
    wrote.expect("no rule when writing");
    read.expect_err("one when reading");
    for passed in [
        r#"{"name":"x","type":"CEL","mode":"WRITEREAD","disabled":true}"#,
        r#"{"name":"x","type":"CEL","mode":"WRITEREAD","onFailure":"NONE,NONE"}"#,
        r#"{"name":"x","type":"JSONATA","mode":"UPGRADE"}"#,
    ] {
        let (wrote, read) = written(passed);
        wrote.expect(passed);
        read.expect(passed);
    }
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
