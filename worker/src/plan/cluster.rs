//! A running Connect cluster as its REST API tells of it. Only asks, with GET.

use std::collections::BTreeSet;
use std::time::Duration;

use connect_api::{Error, Result};
use reqwest::{Certificate, Identity, StatusCode};
use serde_json::Value as Json;

use super::Command;
use crate::config::WorkerConfig;
use crate::herder::request::RawConfig;
use crate::rest::tls::client_of_workers;

/// How long an answer may take: the JVM's own limit for a request.
const LIMIT: Duration = Duration::from_secs(90);
/// While its workers rebalance a cluster answers 409; asked again so often, so far apart.
const ATTEMPTS: usize = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// What a cluster runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Where it was asked.
    pub(super) url: String,
    /// Kafka's version.
    pub(super) version: String,
    /// The id of its Kafka cluster.
    pub(super) kafka_cluster_id: String,
    /// Class and version of each of its plugins.
    pub(super) plugins: Vec<(String, String)>,
    /// Its connectors, by name.
    pub(super) connectors: Vec<Connector>,
}

/// A connector of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Connector {
    /// Its name.
    pub(super) name: String,
    /// Its configuration, placeholders unresolved.
    pub(super) config: RawConfig,
    /// Its state.
    pub(super) state: String,
    /// Its tasks' states, by number.
    pub(super) tasks: Vec<String>,
    /// The workers that run it.
    pub(super) workers: BTreeSet<String>,
}

/// How it is reached.
pub(super) struct Access {
    url: String,
    user: Option<(String, String)>,
    http: reqwest::Client,
}

impl Access {
    /// By the command's options; where they say nothing of TLS, by the stores of the worker.
    ///
    /// # Errors
    /// Kind Config: a file cannot be used.
    pub(super) fn new(command: &Command, worker: Option<&WorkerConfig>) -> Result<Self> {
        let says_nothing = command.cacert.is_none() && command.cert.is_none() && !command.insecure;
        let http = match worker.filter(|_| says_nothing && command.from.starts_with("https:")) {
            Some(worker) => client_of_workers(worker, LIMIT)?,
            None => Self::client(command)?,
        };
        Ok(Self {
            url: command.from.trim_end_matches('/').to_owned(),
            user: command.user.clone(),
            http,
        })
    }

    fn client(command: &Command) -> Result<reqwest::Client> {
        let mut http = reqwest::Client::builder().timeout(LIMIT);
        let read = |path: &std::path::Path| {
            std::fs::read(path).map_err(|error| {
                Error::config(format!("reading {}", path.display())).with_source(error)
            })
        };
        if let Some(path) = &command.cacert {
            let bad = |error: reqwest::Error| {
                Error::config(format!("the certificates of {}", path.display())).with_source(error)
            };
            let store = keystore::read(path, None, None)?;
            let trusted: Vec<Certificate> = store
                .trusted
                .iter()
                .map(|der| Certificate::from_der(der).map_err(bad))
                .collect::<Result<_>>()?;
            http = http.tls_certs_only(trusted);
        }
        if let (Some(cert), Some(key)) = (&command.cert, &command.key) {
            let mut pem = read(cert)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            let identity = Identity::from_pem(&pem).map_err(|error| {
                Error::config(format!("{} and {}", cert.display(), key.display()))
                    .with_source(error)
            })?;
            http = http.identity(identity);
        }
        if command.insecure {
            http = http.tls_danger_accept_invalid_certs(true);
        }
        http.build()
            .map_err(|error| Error::config("setting up an HTTP client").with_source(error))
    }

    /// Reads the cluster.
    pub(super) async fn read(&self) -> Result<Cluster> {
        let root = self.get("/").await?;
        if root.get("kafka_cluster_id").is_none() {
            return Err(Error::config(format!(
                "{} answers, but not as a Kafka Connect worker: {root}",
                self.url
            )));
        }
        let plugins = self.get("/connector-plugins?connectorsOnly=false").await?;
        for _ in 0..ATTEMPTS {
            let names = self.get("/connectors").await?;
            let all = self.get("/connectors?expand=info&expand=status").await?;
            if let Some(cluster) = cluster(&self.url, &root, &plugins, &names, &all) {
                return Ok(cluster);
            }
            // A connector without its part was just made or deleted, or its workers rebalance.
            tokio::time::sleep(PAUSE).await;
        }
        Err(Error::retriable(format!(
            "{} does not tell of all its connectors: try again when it has stopped rebalancing",
            self.url
        )))
    }

    async fn get(&self, path: &str) -> Result<Json> {
        let url = format!("{}{path}", self.url);
        for attempt in 1.. {
            let mut request = self.http.get(&url).header("Accept", "application/json");
            if let Some((name, password)) = &self.user {
                request = request.basic_auth(name, Some(password));
            }
            let answer = request.send().await.map_err(|error| {
                Error::retriable(format!("{url} cannot be reached")).with_source(error)
            })?;
            let status = answer.status();
            let text = answer.text().await.map_err(|error| {
                Error::retriable(format!("the answer of {url} broke off")).with_source(error)
            })?;
            if status.is_success() {
                return serde_json::from_str(&text).map_err(|error| {
                    Error::config(format!("{url} answers no JSON; is it a Connect worker?"))
                        .with_source(error)
                });
            }
            if status == StatusCode::CONFLICT && attempt < ATTEMPTS {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let hint = match status {
                StatusCode::UNAUTHORIZED => ": give --user NAME:PASSWORD",
                StatusCode::FORBIDDEN => ": this user may not read it",
                StatusCode::NOT_FOUND => ": is it a Connect worker?",
                _ => "",
            };
            let shown: String = text.chars().take(300).collect();
            return Err(Error::config(format!(
                "{url} answers {status}{hint} {shown}"
            )));
        }
        Err(Error::retriable(format!("{url} was asked too often")))
    }
}

/// The cluster of these answers; `None` where they do not belong together.
pub(super) fn cluster(
    url: &str,
    root: &Json,
    plugins: &Json,
    names: &Json,
    all: &Json,
) -> Option<Cluster> {
    let text = |json: &Json, key: &str| json.get(key).and_then(Json::as_str).map(str::to_owned);
    let plugins = plugins.as_array().into_iter().flatten();
    let mut connectors = Vec::new();
    for name in names.as_array()? {
        let name = name.as_str()?;
        let (info, status) = (all.get(name)?.get("info")?, all.get(name)?.get("status")?);
        let config = info.get("config")?.as_object()?;
        let tasks = status.get("tasks")?.as_array()?;
        let parts = tasks.iter().chain(status.get("connector"));
        connectors.push(Connector {
            name: name.to_owned(),
            config: config
                .iter()
                .map(|(key, value)| (key.clone(), value.as_str().map(str::to_owned)))
                .collect(),
            state: text(status.get("connector")?, "state")?,
            tasks: tasks
                .iter()
                .filter_map(|task| text(task, "state"))
                .collect(),
            workers: parts.filter_map(|part| text(part, "worker_id")).collect(),
        });
    }
    connectors.sort_by(|a, b| a.name.cmp(&b.name));
    Some(Cluster {
        url: url.to_owned(),
        version: text(root, "version").unwrap_or_default(),
        kafka_cluster_id: text(root, "kafka_cluster_id").unwrap_or_default(),
        plugins: plugins
            .filter_map(|plugin| Some((text(plugin, "class")?, text(plugin, "version")?)))
            .collect(),
        connectors,
    })
}
