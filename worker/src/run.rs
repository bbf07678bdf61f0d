//! Wires a worker together and runs it until it is told to stop. Decides nothing.
//!
//! Answers for `ConnectDistributed`, `ConnectStandalone` and `Connect`.

use std::future::Future;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connect_api::context::PluginContext;
use connect_api::plugin::Plugin;
use connect_api::{Error, Props, Result};
use tokio::sync::watch;

use crate::config::WorkerConfig;
use crate::herder::request::{Herder, Parts, RequestError};
use crate::herder::validate::Validator;
use crate::logging::Loggers;
use crate::plugins::Plugins;
use crate::providers::{PROVIDERS, Resolver};
use crate::rest::{self, Api};
use crate::{herder, standalone};

/// What a worker is to do.
#[derive(Clone, Debug)]
pub struct Command {
    /// Its properties, the environment's already in them.
    pub props: Props,
    /// Whether it works alone.
    pub standalone: bool,
    /// Files of connectors to start with; only for a worker that works alone.
    pub connectors: Vec<PathBuf>,
}

/// Why a worker ended other than by being told to: also its exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The herder could not go on.
    #[error("running the herder")]
    Herder(#[source] Error),
    /// The worker could not be set up.
    #[error("setting up the worker")]
    Setup(#[source] Error),
    /// The worker was set up and could not be started.
    #[error("starting the worker")]
    Start(#[source] Error),
}

impl Failure {
    /// As the JVM worker's.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Herder(_) => 1,
            Self::Setup(_) => 2,
            Self::Start(_) => 3,
        }
    }
}

/// How long answers under way may take once the worker stops. The JVM gives them 60 s, longer than
/// what a container gets.
const REST_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a worker until `shutdown` completes. `plugins_runtime` serves plugins and tasks, so that
/// nothing they do delays REST, which runs on the caller's.
///
/// # Errors
/// See [`Failure`].
pub async fn run(
    command: Command,
    lists: &[&'static [Plugin]],
    plugins_runtime: tokio::runtime::Handle,
    loggers: Arc<Loggers>,
    shutdown: impl Future<Output = ()>,
) -> std::result::Result<(), Failure> {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        "Kafka Connect worker initializing"
    );
    let lists: Vec<&'static [Plugin]> = lists.iter().copied().chain([PROVIDERS]).collect();
    let plugins = Arc::new(Plugins::new(&lists));
    let (resolver, mut config) =
        set_up(&command.props, command.standalone, &plugins).map_err(Failure::Setup)?;

    let auth = rest::auth::of(&config.options, |name| std::env::var(name).ok())
        .map_err(Failure::Setup)?
        .map(Arc::new);
    let doors = rest::server::open(&config).await.map_err(Failure::Setup)?;
    config.advertise(
        &host_address(),
        doors.first().map_or(0, rest::server::Door::port),
    );
    let config = Arc::new(config);
    for listener in &config.listeners {
        tracing::info!(
            "REST server listening at {}://{}:{}/, advertising URL {}",
            listener.scheme(),
            listener.host,
            listener.port,
            config.advertised_url
        );
    }
    for listener in config.admin_listeners.iter().flatten() {
        tracing::info!(
            "REST admin endpoints at {}://{}:{}/",
            listener.scheme(),
            listener.host,
            listener.port
        );
    }

    let herder = herder::start(Parts {
        config: Arc::clone(&config),
        plugins: Arc::clone(&plugins),
        resolver: Arc::clone(&resolver),
        runtime: plugins_runtime.clone(),
        loggers: Arc::clone(&loggers),
    })
    .map_err(Failure::Start)?;
    let validator = Validator {
        config: Arc::clone(&config),
        plugins,
        resolver,
        context: PluginContext {
            runtime: plugins_runtime,
        },
        refused: Arc::default(),
    };
    let api = Api {
        herder: Arc::clone(&herder),
        validator: validator.clone(),
        config,
        loggers,
        auth,
    };

    let (stop_rest, stopped) = watch::channel(());
    let mut servers = tokio::task::JoinSet::new();
    for door in doors {
        let mut stopped = stopped.clone();
        servers.spawn(rest::server::serve(door, api.clone(), async move {
            // Both a message and a dropped sender mean the end.
            drop(stopped.changed().await);
        }));
    }
    tracing::info!("Kafka Connect started");
    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        error = herder.failed() => Err(Failure::Herder(error)),
        error = start_connectors(&command.connectors, &validator, herder.as_ref()) => Err(Failure::Start(error)),
    };
    tracing::info!("Kafka Connect stopping");
    drop(stop_rest);
    let answered = tokio::time::timeout(REST_STOP_TIMEOUT, async {
        while servers.join_next().await.is_some() {}
    });
    if answered.await.is_err() {
        tracing::warn!("some requests were still waiting for an answer");
        servers.abort_all();
    }
    // Blocks until every task has stopped or its time is over.
    if let Err(error) = tokio::task::spawn_blocking(move || herder.stop()).await {
        tracing::error!(%error, "stopping the herder");
    }
    tracing::info!("Kafka Connect stopped");
    outcome
}

/// A worker's options from its properties, and what resolves references by them.
pub(crate) fn set_up(
    props: &Props,
    standalone: bool,
    plugins: &Arc<Plugins>,
) -> Result<(Arc<Resolver>, WorkerConfig)> {
    let environment = Arc::new(|name: &str| std::env::var(name).ok());
    let resolver = Resolver::new(props, plugins, environment)?;
    let props = resolver.resolve_worker(props)?;
    let config = WorkerConfig::new(props, standalone, &host_address())?;
    for key in ["key.converter", "value.converter", "header.converter"] {
        let class = config.options.string(key);
        let kind = match key {
            "header.converter" => connect_api::plugin::PluginKind::HeaderConverter,
            _ => connect_api::plugin::PluginKind::Converter,
        };
        if plugins.find(kind, class).is_none() {
            return Err(Error::config(format!(
                "Invalid value {class} for configuration {key}: Class {class} could not be found."
            )));
        }
    }
    Ok((Arc::new(resolver), config))
}

/// Starts the connectors of a worker that works alone; completes only with an error.
async fn start_connectors(files: &[PathBuf], validator: &Validator, herder: &dyn Herder) -> Error {
    for path in files {
        if let Err(error) = start_connector(path, validator, herder).await {
            return error;
        }
    }
    std::future::pending().await
}

async fn start_connector(
    path: &std::path::Path,
    validator: &Validator,
    herder: &dyn Herder,
) -> Result<()> {
    let failed = |error: RequestError| {
        Error::config(format!("creating the connector of {}", path.display())).with_source(error)
    };
    let connector = standalone::read_connector(path)?;
    validator
        .check(connector.config.clone())
        .await
        .map_err(failed)?;
    herder
        .put_connector(
            &connector.name,
            connector.config,
            connector.initial_state,
            false,
        )
        .await
        .map_err(failed)?;
    tracing::info!(connector = connector.name, file = %path.display(), "created connector");
    Ok(())
}

/// The address that the machine's name stands for, as the JVM worker advertises it.
fn host_address() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let addresses = (name.trim(), 0).to_socket_addrs();
    let found = addresses.ok().and_then(|mut addresses| {
        addresses
            .find(std::net::SocketAddr::is_ipv4)
            .map(|address| address.ip().to_string())
    });
    found.unwrap_or_else(|| "127.0.0.1".to_owned())
}
