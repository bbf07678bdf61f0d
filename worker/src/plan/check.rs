//! What the worker's own validation, Kafka client and connectors say of a configuration that runs
//! elsewhere. The shell of [`super::decide`]: may contact databases, changes nothing.

use std::sync::Arc;

use connect_api::config::{Parsed, Type};
use connect_api::context::PluginContext;
use connect_api::error::Chain;
use connect_api::java::Regex;
use connect_api::plugin::{Make, Plugin, PluginKind};
use connect_api::{Error, Props, Result};

use super::cluster::Connector;
use crate::config::WorkerConfig;
use crate::group::connection::Access;
use crate::herder::request::{RawConfig, TaskId};
use crate::herder::validate::Validator;
use crate::kafka::translate::{self, Client};
use crate::plugins::Plugins;
use crate::providers::Resolver;
use crate::run::set_up;
use crate::task::clients;

/// Stands for the brokers: they are not contacted, nor looked up.
const NOWHERE: &str = "127.0.0.1:9092";
/// A reference to a config provider.
const REFERENCE: &str = r".*\$\{[^}]*:[^}]*\}.*";

/// Something that is said of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    /// The option that it is about; `None` for the whole.
    pub(super) option: Option<String>,
    /// A sentence.
    pub(super) text: String,
}

impl Remark {
    pub(super) fn on(option: &str, text: impl Into<String>) -> Self {
        Self {
            option: Some(option.to_owned()),
            text: text.into(),
        }
    }
    pub(super) fn of_all(text: impl Into<String>) -> Self {
        Self {
            option: None,
            text: text.into(),
        }
    }
}

/// What was found out about a connector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Finding {
    /// Why it cannot be taken over.
    pub(super) obstacles: Vec<Remark>,
    /// What will be otherwise.
    pub(super) differences: Vec<Remark>,
    /// What could not be looked at from here.
    pub(super) unchecked: Vec<Remark>,
}

/// Checks configurations as a worker would.
pub(super) struct Checker {
    validator: Validator,
    /// Knows no config providers: for where those of the worker cannot be read here.
    without_providers: Arc<Resolver>,
    reference: Regex,
    offline: bool,
    worker_problems: Vec<Remark>,
    /// Whether the worker's properties are known.
    knows_worker: bool,
    /// Whether they are good.
    has_worker: bool,
}

impl Checker {
    pub(super) fn new(
        given: Option<Props>,
        plugins: &Arc<Plugins>,
        context: &PluginContext,
        offline: bool,
    ) -> Result<Self> {
        let mut worker_problems = Vec::new();
        let (without_providers, standard) = set_up(&standard_worker(), false, plugins)?;
        let mut chosen = (Arc::clone(&without_providers), standard);
        let (knows_worker, mut has_worker) = (given.is_some(), false);
        if let Some(props) = given {
            match set_up(&props, false, plugins) {
                Ok((resolver, mut config)) => {
                    if let Err(error) = check_own_clients(&config) {
                        worker_problems.push(Remark::of_all(Chain(&error).to_string()));
                    }
                    let servers = NOWHERE.to_owned();
                    config.props.insert("bootstrap.servers".to_owned(), servers);
                    chosen = (resolver, config);
                    has_worker = true;
                }
                Err(error) => worker_problems.push(Remark::of_all(Chain(&error).to_string())),
            }
        }
        let (resolver, config) = chosen;
        Ok(Self {
            validator: Validator {
                config: Arc::new(config),
                plugins: Arc::clone(plugins),
                resolver,
                context: context.clone(),
                refused: Arc::default(),
            },
            without_providers,
            reference: Regex::new(REFERENCE)
                .map_err(|error| Error::fatal("the pattern of references").with_source(error))?,
            offline,
            worker_problems,
            knows_worker,
            has_worker,
        })
    }

    /// The worker whose properties were given, where they are good.
    pub(super) fn worker(&self) -> Option<&WorkerConfig> {
        self.has_worker.then_some(&*self.validator.config)
    }

    /// What is wrong with the worker's properties.
    pub(super) fn worker_problems(&self) -> Vec<Remark> {
        self.worker_problems.clone()
    }

    /// Checks a connector.
    pub(super) async fn check(&self, connector: &Connector) -> Finding {
        let mut finding = Finding::default();
        let mut validator = self.validator.clone();
        let resolved = match validator.resolver.resolve(&connector.config) {
            Ok(resolved) => resolved,
            Err(error) => {
                let why = format!("a config provider: {}", Chain(&error));
                finding.unchecked.push(Remark::of_all(why));
                validator.resolver = Arc::clone(&self.without_providers);
                match validator.resolver.resolve(&connector.config) {
                    Ok(resolved) => resolved,
                    Err(error) => {
                        finding.obstacles.push(Remark::of_all(error.message()));
                        return finding;
                    }
                }
            }
        };
        let unresolved: Vec<&String> = resolved
            .props
            .iter()
            .filter(|(_, value)| self.reference.matches(value))
            .map(|(key, _)| key)
            .collect();
        let looks = !self.offline && unresolved.is_empty();
        let checked = validator
            .validate_looking(connector.config.clone(), looks)
            .await;
        match checked {
            Err(refusal) => finding.obstacles.push(Remark {
                option: Some("connector.class".to_owned()),
                text: refusal.message,
            }),
            Ok(infos) => {
                for value in infos.configs.into_iter().filter_map(|(_, value)| value) {
                    let known = !unresolved.iter().any(|key| **key == value.name);
                    for error in value.errors {
                        let remark = Remark::on(&value.name, error);
                        match known {
                            true => finding.obstacles.push(remark),
                            false => finding.unchecked.push(remark),
                        }
                    }
                }
            }
        }
        for key in &unresolved {
            let why = "its value comes from a config provider that is not known here";
            if !finding
                .unchecked
                .iter()
                .any(|remark| remark.option.as_ref() == Some(key))
            {
                finding.unchecked.push(Remark::on(key, why));
            }
        }
        if !looks {
            let why = "whether what it connects to can be reached";
            finding.unchecked.push(Remark::of_all(why));
        }
        let class = resolved.props.get("connector.class");
        let plugin = class.and_then(|class| validator.plugins.connector(class).ok());
        if let Some(plugin) = plugin {
            take_over(plugin, &resolved.props, &mut finding);
            if let Err(error) =
                check_clients(&validator.config, plugin, &connector.name, &resolved.props)
            {
                let remark = Remark::of_all(error.message());
                let told = |known: &Remark| remark.text.contains(&known.text);
                if !finding.obstacles.iter().any(told) {
                    finding.obstacles.push(remark);
                }
            }
            finding.differences.extend(client_remarks(&resolved.props));
        }
        if !self.knows_worker {
            self.tell_defaults(&connector.config, &mut finding);
        }
        finding
    }

    /// What the connector takes from its worker, which REST does not tell.
    fn tell_defaults(&self, config: &RawConfig, finding: &mut Finding) {
        for key in ["key.converter", "value.converter"] {
            if !config.contains_key(key) {
                let why = "it is the worker's: give its properties with --worker";
                finding.unchecked.push(Remark::on(key, why));
            }
        }
    }
}

/// A worker that allows all that a worker may allow.
fn standard_worker() -> Props {
    let json = "org.apache.kafka.connect.json.JsonConverter";
    [
        ("bootstrap.servers", NOWHERE),
        ("group.id", "ferroconnect-plan"),
        ("config.storage.topic", "configs"),
        ("offset.storage.topic", "offsets"),
        ("status.storage.topic", "statuses"),
        ("key.converter", json),
        ("value.converter", json),
        ("exactly.once.source.support", "enabled"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// The worker's own clients, that of its group included.
fn check_own_clients(config: &WorkerConfig) -> Result<()> {
    for client in [Client::Producer, Client::Consumer, Client::Admin] {
        clients::of_worker(config, client, "plan")?;
    }
    let group = clients::of_worker(config, Client::Consumer, "group")?;
    Access::of(&group, "plan").map(drop)
}

/// The clients that the connector's tasks will have.
fn check_clients(
    config: &WorkerConfig,
    plugin: &'static Plugin,
    name: &str,
    props: &Props,
) -> Result<()> {
    let id = TaskId {
        connector: name.into(),
        task: 0,
    };
    match plugin.kind() {
        PluginKind::Sink => clients::consumer(config, &id, props).map(drop),
        _ => {
            clients::producer(config, &id, props)?;
            clients::admin(config, "plan", props).map(drop)
        }
    }
}

/// What the connector itself takes otherwise than its Java class.
fn take_over(plugin: &'static Plugin, props: &Props, finding: &mut Finding) {
    let (Make::Source { connector, .. } | Make::Sink { connector, .. }) = plugin.make else {
        return;
    };
    let said = connector().take_over(props);
    let remarks = |texts: Vec<String>| texts.into_iter().map(Remark::of_all);
    finding.obstacles.extend(remarks(said.obstacles));
    finding.differences.extend(remarks(said.differences));
}

/// Overrides that our Kafka client has no counterpart of.
fn client_remarks(props: &Props) -> Vec<Remark> {
    let clients = [
        ("producer.override.", Client::Producer),
        ("consumer.override.", Client::Consumer),
        ("admin.override.", Client::Admin),
    ];
    let mut remarks = Vec::new();
    for (prefix, client) in clients {
        for (key, _) in props {
            let Some(short) = key.strip_prefix(prefix) else {
                continue;
            };
            if let Some(why) = translate::remark(client, short) {
                remarks.push(Remark::on(key, why));
            }
        }
    }
    remarks
}

/// The names in an option that lists some.
pub(super) fn names(config: &RawConfig, key: &str) -> Vec<String> {
    let text = config.get(key).and_then(Option::as_deref);
    match text.map(|text| Parsed::parse(key, Type::List, text)) {
        Some(Ok(Parsed::List(names))) => names,
        _ => Vec::new(),
    }
}
