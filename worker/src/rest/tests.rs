//! Requests through the whole application, answered by a herder that lives in memory. The expected
//! answers are those of Kafka Connect 4.3.1.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::connector::{Connector, ConnectorContext};
use connect_api::context::PluginContext;
use connect_api::plugin::{Make, Plugin};
use connect_api::source::{SourceBatch, SourceTask, SourceTaskContext};
use connect_api::{Error, Props};
use indexmap::IndexMap;
use tower::ServiceExt as _;

use super::{Api, app};
use crate::config::WorkerConfig;
use crate::herder::request::{
    Answer, ConnectorInfo, ConnectorKind, ConnectorStatus, Herder, OffsetEntry, RawConfig,
    RequestError, SignedRequest, StateInfo, TargetState,
};
use crate::herder::validate::Validator;
use crate::logging::Loggers;
use crate::plugins::Plugins;
use crate::providers::{PROVIDERS, Resolver};

/// Connectors that exist and do nothing.
#[derive(Default)]
struct MemoryHerder(Mutex<IndexMap<String, RawConfig>>);

impl MemoryHerder {
    fn find(&self, name: &str) -> Answer<RawConfig> {
        let connectors = self.0.lock().expect("no test panics with the lock");
        let missing = || RequestError::not_found(format!("Connector {name} not found"));
        connectors.get(name).cloned().ok_or_else(missing)
    }
    fn info(name: &str, config: RawConfig) -> ConnectorInfo {
        ConnectorInfo {
            name: name.to_owned(),
            config,
            tasks: vec![0],
            kind: ConnectorKind::Source,
        }
    }
}

#[async_trait]
impl Herder for MemoryHerder {
    async fn kafka_cluster_id(&self) -> Answer<String> {
        Ok("cluster".to_owned())
    }
    async fn ping(&self) -> Answer<()> {
        Ok(())
    }
    fn connectors(&self) -> Vec<String> {
        self.0
            .lock()
            .expect("no test panics with the lock")
            .keys()
            .cloned()
            .collect()
    }
    async fn connector(&self, name: &str) -> Answer<ConnectorInfo> {
        self.find(name).map(|config| Self::info(name, config))
    }
    async fn put_connector(
        &self,
        name: &str,
        config: RawConfig,
        _: Option<TargetState>,
        allow_replace: bool,
    ) -> Answer<(bool, ConnectorInfo)> {
        let known = self.find(name).is_ok();
        if known && !allow_replace {
            return Err(RequestError::conflict(format!(
                "Connector {name} already exists"
            )));
        }
        self.0
            .lock()
            .expect("no test panics with the lock")
            .insert(name.to_owned(), config.clone());
        Ok((!known, Self::info(name, config)))
    }
    async fn delete_connector(&self, name: &str) -> Answer<()> {
        self.find(name)?;
        self.0
            .lock()
            .expect("no test panics with the lock")
            .shift_remove(name);
        Ok(())
    }
    async fn set_target_state(&self, name: &str, _: TargetState) -> Answer<()> {
        self.find(name)
            .map(drop)
            .map_err(|_| RequestError::not_found(format!("Unknown connector {name}")))
    }
    fn status(&self, name: &str) -> Answer<ConnectorStatus> {
        self.find(name).map_err(|_| {
            RequestError::not_found(format!("No status found for connector {name}"))
        })?;
        let connector = StateInfo {
            state: "RUNNING".to_owned(),
            worker_id: "h:1".to_owned(),
            version: Some("1".to_owned()),
            trace: None,
        };
        Ok(ConnectorStatus {
            name: name.to_owned(),
            connector,
            tasks: Vec::new(),
            kind: ConnectorKind::Source,
        })
    }
    fn task_status(&self, name: &str, task: u32) -> Answer<StateInfo> {
        Err(RequestError::not_found(format!(
            "No status found for task {name}-{task}"
        )))
    }
    async fn task_configs(&self, name: &str) -> Answer<Vec<RawConfig>> {
        self.find(name).map(|config| vec![config])
    }
    async fn restart_connector(&self, name: &str) -> Answer<()> {
        self.find(name).map(drop)
    }
    async fn restart(&self, name: &str, _: bool, _: bool) -> Answer<ConnectorStatus> {
        self.status(name)
    }
    async fn restart_task(&self, name: &str, _: u32) -> Answer<()> {
        self.find(name).map(drop)
    }
    fn active_topics(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
    fn restarts(&self, _: &str) -> Vec<crate::task::auto_restart::Restart> {
        Vec::new()
    }
    async fn reset_active_topics(&self, _: &str) -> Answer<()> {
        Ok(())
    }
    async fn offsets(&self, name: &str) -> Answer<Vec<OffsetEntry>> {
        self.find(name).map(|_| Vec::new())
    }
    async fn put_task_configs(
        &self,
        name: &str,
        tasks: Vec<RawConfig>,
        signed: SignedRequest,
    ) -> Answer<()> {
        assert_eq!((name, tasks.len()), ("a", 1));
        match signed.signature {
            Some(_) => Ok(()),
            None => Err(RequestError::not_here(None)),
        }
    }
    async fn fence_zombies(&self, _: &str, _: SignedRequest) -> Answer<()> {
        Ok(())
    }
    async fn alter_offsets(&self, name: &str, _: Option<Vec<OffsetEntry>>) -> Answer<String> {
        self.find(name).map(|_| String::new())
    }
    async fn set_logger_level(&self, _: &str, _: &str) -> Answer<()> {
        Ok(())
    }
    fn stop(&self) {}
    async fn failed(&self) -> Error {
        std::future::pending().await
    }
}

/// The file source's options, without a source.
struct Idle;
impl Connector for Idle {
    fn start(&mut self, _: ConnectorContext, _: &Props) -> connect_api::Result<()> {
        Ok(())
    }
    fn task_configs(&mut self, _: usize) -> connect_api::Result<Vec<Props>> {
        Ok(Vec::new())
    }
}
impl SourceTask for Idle {
    fn start(&mut self, _: SourceTaskContext, _: &Props) -> connect_api::Result<()> {
        Ok(())
    }
    fn poll(&mut self) -> connect_api::Result<SourceBatch> {
        Ok(SourceBatch::default())
    }
    fn committed(
        &mut self,
        _: &[(
            Arc<connect_api::record::SourcePartition>,
            Arc<dyn connect_api::record::SourceOffset>,
        )],
    ) -> connect_api::Result<()> {
        Ok(())
    }
    fn stop(&mut self) {}
}

const fn converter(class: &'static str, make: Make) -> Plugin {
    Plugin {
        class,
        version: "4.3.1",
        config: ConfigDef::new,
        make,
    }
}

static PLUGINS: [Plugin; 3] = [
    converter(
        "org.apache.kafka.connect.json.JsonConverter",
        Make::Converter(|| unreachable!("requests make no converters")),
    ),
    converter(
        "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        Make::HeaderConverter(|| unreachable!("requests make no converters")),
    ),
    Plugin {
        class: "org.apache.kafka.connect.file.FileStreamSourceConnector",
        version: "4.3.1",
        config: || {
            ConfigDef::new()
                .define(ConfigKey::new("file", Type::String, Importance::High).default_null())
                .define(ConfigKey::new("topic", Type::String, Importance::High))
        },
        make: Make::Source {
            connector: || Box::new(Idle),
            task_class: "org.apache.kafka.connect.file.FileStreamSourceTask",
            task: || Box::new(Idle),
        },
    },
];

fn api() -> Api {
    api_with(&[])
}

/// An API of a worker that has these options besides what it must be given.
fn api_with(options: &[(&str, &str)]) -> Api {
    let props: Props = [
        ("bootstrap.servers", "b:9092"),
        ("group.id", "g"),
        ("key.converter", "JsonConverter"),
        ("value.converter", "JsonConverter"),
        ("config.storage.topic", "c"),
        ("offset.storage.topic", "o"),
        ("status.storage.topic", "s"),
    ]
    .iter()
    .chain(options)
    .map(|&(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    let plugins = Arc::new(Plugins::new(&[&PLUGINS, PROVIDERS]));
    let environment =
        Arc::new(|name: &str| (name == "TOPIC_SECRET").then(|| "the-secret".to_owned()));
    let resolver = Arc::new(Resolver::new(&props, &plugins, environment).expect("valid"));
    let config = Arc::new(WorkerConfig::new(props, false, "box").expect("valid"));
    let context = PluginContext {
        runtime: tokio::runtime::Handle::current(),
    };
    Api {
        herder: Arc::new(MemoryHerder::default()),
        validator: Validator {
            config: Arc::clone(&config),
            plugins,
            resolver,
            context,
            refused: Arc::default(),
        },
        config,
        loggers: Arc::new(Loggers::new("info", |_| ())),
        auth: None,
    }
}

/// Status, content type and body of an answer.
async fn call(
    api: &Api,
    method: &str,
    uri: &str,
    body: Option<&str>,
) -> (u16, Option<String>, String) {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(uri)
        .header(header::HOST, "box:8083");
    if body.is_some() {
        request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_LENGTH, body.map_or(0, str::len));
    }
    let request = request
        .body(Body::from(body.unwrap_or_default().to_owned()))
        .expect("a request");
    let response = app(api.clone())
        .oneshot(request)
        .await
        .expect("never fails");
    let status = response.status().as_u16();
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body");
    (
        status,
        content_type,
        String::from_utf8_lossy(&bytes).into_owned(),
    )
}

async fn check(api: &Api, request: &str, body: Option<&str>, status: u16, expected: &str) {
    let (method, uri) = request.split_once(' ').expect("method and uri");
    let (code, _, text) = call(api, method, uri, body).await;
    assert_eq!((code, text.as_str()), (status, expected), "{request}");
}

#[tokio::test]
async fn topics_are_told_and_forgotten_where_the_options_allow_it() {
    let disabled = r#"{"error_code":403,"message":"Topic tracking is disabled."}"#;
    let kept = r#"{"error_code":403,"message":"Topic tracking reset is disabled."}"#;
    for (options, told, forgotten) in [
        (&[][..], 200, (202, "")),
        (
            &[("topic.tracking.enable", "false")][..],
            403,
            (403, disabled),
        ),
        (
            &[("topic.tracking.allow.reset", "false")][..],
            200,
            (403, kept),
        ),
    ] {
        let api = api_with(options);
        let (status, ..) = call(&api, "GET", "/connectors/c/topics", None).await;
        assert_eq!(status, told, "{options:?}");
        let (status, text) = forgotten;
        check(&api, "PUT /connectors/c/topics/reset", None, status, text).await;
    }
}

#[tokio::test]
async fn what_is_said_of_the_worker_itself_takes_requests_of_any_type() {
    for (path, status) in [("/", 200), ("/health", 200), ("/connectors", 415)] {
        let request = Request::builder()
            .uri(path)
            .header(header::CONTENT_TYPE, "text/plain")
            .body(Body::empty())
            .expect("a request");
        let response = app(api()).oneshot(request).await.expect("never fails");
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn a_connector_is_made_read_and_deleted() {
    let api = api();
    let request = r#"{"name":"c","config":{"topic":"t","connector.class":"FileStreamSource"}}"#;
    let info = r#"{"name":"c","config":{"topic":"t","connector.class":"FileStreamSource","name":"c"},"tasks":[{"connector":"c","task":0}],"type":"source"}"#;
    check(&api, "POST /connectors", Some(request), 201, info).await;
    check(
        &api,
        "POST /connectors",
        Some(request),
        409,
        r#"{"error_code":409,"message":"Connector c already exists"}"#,
    )
    .await;
    check(&api, "GET /connectors", None, 200, r#"["c"]"#).await;
    check(&api, "GET /connectors/", None, 200, r#"["c"]"#).await;
    check(&api, "GET /connectors/c", None, 200, info).await;
    check(
        &api,
        "GET /connectors?expand=bogus",
        None,
        200,
        r#"{"c":{}}"#,
    )
    .await;
    check(&api, "GET /connectors/c/status", None, 200, r#"{"name":"c","connector":{"state":"RUNNING","worker_id":"h:1","version":"1"},"tasks":[],"type":"source"}"#).await;
    check(
        &api,
        "GET /connectors/c/topics",
        None,
        200,
        r#"{"c":{"topics":[]}}"#,
    )
    .await;
    check(&api, "PUT /connectors/c/pause", None, 202, "").await;
    check(&api, "PUT /connectors/c/stop", None, 204, "").await;
    check(&api, "DELETE /connectors/c", None, 204, "").await;
    check(
        &api,
        "GET /connectors/c",
        None,
        404,
        r#"{"error_code":404,"message":"Connector c not found"}"#,
    )
    .await;
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_words_of_the_jvm() {
    let api = api();
    check(&api, "POST /connectors", Some(""), 500, r#"{"error_code":500,"message":"Cannot invoke \"org.apache.kafka.connect.runtime.rest.entities.CreateConnectorRequest.name()\" because \"createRequest\" is null"}"#).await;
    check(
        &api,
        "POST /connectors",
        Some(r#"{"name":"x","config":{}}"#),
        400,
        r#"{"error_code":400,"message":"Connector config {name=x} contains no connector type"}"#,
    )
    .await;
    check(
        &api,
        "PATCH /connectors/none/config",
        Some("{}"),
        404,
        r#"{"error_code":404,"message":"Connector none not found"}"#,
    )
    .await;
    check(
        &api,
        "GET /connectors/none/tasks/x/status",
        None,
        404,
        r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#,
    )
    .await;
    check(
        &api,
        "GET /connector-plugins/nope/config?version=%5B1",
        None,
        400,
        r#"{"error_code":400,"message":"Invalid version specification: [1"}"#,
    )
    .await;
    check(
        &api,
        "GET /connector-plugins/nope/config?version=1",
        None,
        404,
        r#"{"error_code":404,"message":"Unknown plugin nope."}"#,
    )
    .await;
    check(&api, "PUT /connector-plugins/FileStreamSource/config/validate", Some("{}"), 500, r#"{"error_code":500,"message":"org.apache.kafka.connect.runtime.rest.errors.BadRequestException: Connector config {} contains no connector type"}"#).await;
    let (status, _, text) = call(
        &api,
        "POST",
        "/connectors",
        Some(r#"{"name":"x","config":{"connector.class":"FileStreamSource"}}"#),
    )
    .await;
    assert_eq!(status, 400);
    assert_eq!(
        text,
        r#"{"error_code":400,"message":"Connector configuration is invalid and contains the following 1 error(s):\nMissing required configuration \"topic\" which has no default value.\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`"}"#
    );
}

#[tokio::test]
async fn what_no_resource_answers_has_a_body_without_content_type() {
    let api = api();
    let not_found = (
        404,
        None,
        r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#.to_owned(),
    );
    assert_eq!(call(&api, "GET", "/nope", None).await, not_found);
    assert_eq!(
        call(&api, "GET", "/connectors/c/tasks-config", None).await,
        not_found
    );
    assert_eq!(
        call(&api, "PUT", "/connectors", None).await,
        (
            405,
            None,
            r#"{"error_code":405,"message":"HTTP 405 Method Not Allowed"}"#.to_owned()
        )
    );
    let (status, content_type, _) = call(&api, "GET", "/connectors/a%2Fb", None).await;
    assert_eq!(
        (status, content_type.as_deref()),
        (400, Some("text/html;charset=iso-8859-1"))
    );
}

#[tokio::test]
async fn options_lists_the_methods_of_a_resource() {
    let api = api();
    check(
        &api,
        "OPTIONS /connectors",
        None,
        200,
        "HEAD, POST, GET, OPTIONS",
    )
    .await;
    check(
        &api,
        "OPTIONS /connectors/c/config",
        None,
        200,
        "HEAD, GET, OPTIONS, PUT, PATCH",
    )
    .await;
    check(
        &api,
        "OPTIONS /connectors/c/offsets",
        None,
        200,
        "HEAD, DELETE, GET, OPTIONS, PATCH",
    )
    .await;
}

#[tokio::test]
async fn validate_answers_with_the_placeholder_and_never_with_what_it_stands_for() {
    let api = api();
    let config = r#"{"connector.class":"FileStreamSource","name":"x","topic":"${TOPIC_SECRET}","tasks.max":"${TOPIC_SECRET}"}"#;
    let (status, _, text) = call(
        &api,
        "PUT",
        "/connector-plugins/FileStreamSource/config/validate",
        Some(config),
    )
    .await;
    assert_eq!(status, StatusCode::OK.as_u16());
    assert!(!text.contains("the-secret"), "{text}");
    assert!(
        text.contains(r#""value":{"name":"topic","value":"${TOPIC_SECRET}""#),
        "{text}"
    );
    assert!(text.contains(
        "Invalid value ${TOPIC_SECRET} for configuration tasks.max: Not a number of type INT"
    ));
}

#[tokio::test]
async fn loggers_are_shown_and_set() {
    let api = api();
    check(
        &api,
        "GET /admin/loggers/root",
        None,
        200,
        r#"{"level":"INFO","last_modified":null}"#,
    )
    .await;
    check(
        &api,
        "GET /admin/loggers/x",
        None,
        404,
        r#"{"error_code":404,"message":"Logger x not found."}"#,
    )
    .await;
    check(
        &api,
        "PUT /admin/loggers/x.y",
        Some(r#"{"level":"debug"}"#),
        200,
        r#"["x.y"]"#,
    )
    .await;
    check(
        &api,
        "PUT /admin/loggers/x.y?scope=cluster",
        Some(r#"{"level":"info"}"#),
        204,
        "",
    )
    .await;
    check(
        &api,
        "PUT /admin/loggers/x",
        Some(r#"{"level":"bad"}"#),
        404,
        r#"{"error_code":404,"message":"invalid log level 'bad'."}"#,
    )
    .await;
    check(
        &api,
        "PUT /admin/loggers/x",
        Some("{}"),
        400,
        r#"{"error_code":400,"message":"Desired 'level' parameter was not specified in request."}"#,
    )
    .await;
    check(&api, "PUT /admin/loggers/x", Some(""), 500, r#"{"error_code":500,"message":"Cannot invoke \"java.util.Map.get(Object)\" because \"levelMap\" is null"}"#).await;
}
