//! Validates a connector's configuration: what the validate endpoint shows, and what a POST or PUT
//! is refused for.
//!
//! Values behind bare placeholders are used for checking and never shown: the answer carries the
//! placeholder. Answers for `AbstractHerder.validateConnectorConfig` and for what
//! `DistributedHerder` adds to it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use connect_api::config::{
    ConfigDef, ConfigKey, ConfigValue, Default, Type, behind_prefix, props_with_prefix,
};
use connect_api::connector::ExactlyOnceSupport;
use connect_api::context::PluginContext;
use connect_api::java::{self, Regex};
use connect_api::plugin::{Make, Plugin, PluginKind};
use connect_api::{Error, Props};

use super::client_settings::{self, Fallback, Setting};
use super::connector_config::{self, CONVERTER_ROLES};
use super::request::{Answer, RawConfig, Refusal, RequestError};
use crate::config::{ExactlyOnce, WorkerConfig};
use crate::plugins::Plugins;
use crate::providers::{Resolved, Resolver};

/// The definition of an option as answers show it (`ConfigKeyInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// Whether it has no default.
    pub required: bool,
    /// The default; `None` where there is none or it is null.
    pub default_value: Option<String>,
    /// How much a user has to care.
    pub importance: connect_api::config::Importance,
    /// What it means.
    pub documentation: String,
    /// The heading under which a form shows it.
    pub group: Option<String>,
    /// Its place there.
    pub order_in_group: i32,
    /// How wide a form shows it.
    pub width: connect_api::config::Width,
    /// Its label.
    pub display_name: String,
    /// Keys that are looked at after it.
    pub dependents: Vec<String>,
}

impl KeyInfo {
    /// The definition of `key`, its name behind `prefix`.
    pub fn new(key: &ConfigKey, prefix: &str) -> Self {
        Self {
            name: format!("{prefix}{}", key.name),
            kind: key.kind,
            required: key.default == Default::Required,
            default_value: key.default_text(),
            importance: key.importance,
            documentation: key.documentation.clone(),
            group: key.group.clone(),
            order_in_group: key.order_in_group,
            width: key.width,
            display_name: key.display_name.clone(),
            dependents: key.dependents.clone(),
        }
    }
}

/// What validation found out about a configuration (`ConfigInfos`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigInfos {
    /// The class as it was sent.
    pub name: String,
    /// How many errors there are.
    pub error_count: usize,
    /// The groups, in order.
    pub groups: Vec<String>,
    /// Definition and value of each option.
    pub configs: Vec<(Option<KeyInfo>, Option<ConfigValue>)>,
}

impl ConfigInfos {
    /// The refusal of a configuration with errors.
    pub fn refusal(&self) -> Option<RequestError> {
        (self.error_count > 0).then(|| {
            let errors: String = self
                .configs
                .iter()
                .filter_map(|(_, value)| value.as_ref())
                .flat_map(|value| value.errors.iter())
                .map(|error| format!("\n{error}"))
                .collect();
            RequestError::bad_request(format!(
                "Connector configuration is invalid and contains the following {} error(s):{errors}\n\
                 You can also find the above list of errors at the endpoint \
                 `/connector-plugins/{{connectorType}}/config/validate`",
                self.error_count
            ))
        })
    }
}

/// Validates configurations by a worker's plugins.
#[derive(Clone, Debug)]
pub struct Validator {
    /// The worker's own options.
    pub config: Arc<WorkerConfig>,
    /// The plugins it has.
    pub plugins: Arc<Plugins>,
    /// Where references are resolved.
    pub resolver: Arc<Resolver>,
    /// What plugins get.
    pub context: PluginContext,
    /// What was refused before.
    pub refused: Arc<Mutex<Refused>>,
}

/// Connectors that could not be had. The JVM's worker remembers each, and asked for it a second time
/// answers otherwise than the first. Answers for `CachedConnectors`.
#[derive(Debug, Default)]
pub struct Refused {
    classes: HashSet<String>,
    /// Class as it was sent, and what was said of the version.
    versions: HashSet<(String, String)>,
}

impl Refused {
    /// How many are remembered; beyond it they are forgotten.
    const MOST: usize = 1_000;

    fn class(&mut self, class: &str, mut error: RequestError) -> RequestError {
        if self.classes.len() >= Self::MOST {
            self.classes.clear();
        }
        if !self.classes.insert(class.to_owned()) {
            error.message = format!(
                "org.apache.kafka.connect.errors.ConnectException: {}",
                error.message
            );
        }
        error
    }

    fn version(&mut self, class: &str, why: &str) -> Answer<()> {
        if self.versions.len() >= Self::MOST {
            self.versions.clear();
        }
        match self.versions.insert((class.to_owned(), why.to_owned())) {
            true => Ok(()),
            false => Err(RequestError::new(
                Refusal::Failure("java.lang.NullPointerException"),
                "Cannot invoke \"java.util.List.stream()\" because the return value of \
                 \"org.apache.kafka.connect.runtime.isolation.VersionedPluginLoadingException\
                 .availableVersions()\" is null",
            )),
        }
    }
}

impl Validator {
    /// Validates on a thread that may block: connectors look at the world.
    ///
    /// # Errors
    /// The configuration could not be validated at all.
    pub async fn validate(&self, raw: RawConfig) -> Answer<ConfigInfos> {
        self.validate_looking(raw, true).await
    }

    /// The same; with `looks` false connectors do not look at the world.
    ///
    /// # Errors
    /// The configuration could not be validated at all.
    pub async fn validate_looking(&self, raw: RawConfig, looks: bool) -> Answer<ConfigInfos> {
        let validator = self.clone();
        let work = tokio::task::spawn_blocking(move || validator.validate_now(&raw, looks));
        match work.await {
            Ok(answer) => answer,
            Err(panic) => Err(RequestError::failure(format!(
                "validating the configuration failed: {panic}"
            ))),
        }
    }

    /// Validates; an error where the configuration has errors.
    ///
    /// # Errors
    /// BadRequest, naming every problem.
    pub async fn check(&self, raw: RawConfig) -> Answer<()> {
        match self.validate(raw).await?.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    fn validate_now(&self, raw: &RawConfig, looks: bool) -> Answer<ConfigInfos> {
        let resolved = self.resolver.resolve(raw)?;
        let props = &resolved.props;
        let Some(class) = props.get("connector.class") else {
            return Err(RequestError::bad_request(format!(
                "Connector config {} contains no connector type",
                java_text(raw)
            )));
        };
        let refused = || self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let plugin = self
            .plugins
            .connector(class)
            .map_err(|error| refused().class(class, error))?;
        if let Some(wanted) = props.get("connector.plugin.version")
            && let Some(why) = self
                .plugins
                .check_version(plugin, wanted)
                .map_err(RequestError::bad_request)?
        {
            refused().version(class, &why)?;
            return Ok(self.without_connector(class, plugin, props, &why));
        }
        let mut infos = self.main_part(class, plugin, raw, &resolved, looks)?;
        self.client_overrides(plugin, raw, &resolved, &mut infos)?;
        self.converters(raw, &resolved, &mut infos);
        hide(&mut infos, &resolved);
        Ok(infos)
    }

    /// What is shown where the connector is not there in the version that is asked for.
    fn without_connector(
        &self,
        class: &str,
        plugin: &'static Plugin,
        props: &Props,
        why: &str,
    ) -> ConfigInfos {
        let options = connector_config::without_connector(plugin, &self.plugins);
        let mut found = Found(options.validate(&self.with_full_class_names(props)));
        found.add("connector.class", why);
        found.add("connector.plugin.version", why);
        let error_count = found.0.iter().map(|value| value.errors.len()).sum();
        let keys = options.keys().map(|key| Some(KeyInfo::new(key, "")));
        let configs = keys.zip(found.0.into_iter().map(Some)).collect();
        ConfigInfos {
            name: class.to_owned(),
            error_count,
            groups: options.groups(),
            configs,
        }
    }

    /// The options of every connector and those of this one.
    fn main_part(
        &self,
        class: &str,
        plugin: &'static Plugin,
        raw: &RawConfig,
        resolved: &Resolved,
        looks: bool,
    ) -> Answer<ConfigInfos> {
        let props = &resolved.props;
        let nulls = nulls(raw);
        let options = self.definition(plugin, props, &nulls).with_nulls(&nulls);
        let mut values = options.validate(&self.with_full_class_names(props));
        for value in &mut values {
            if value
                .errors
                .iter()
                .any(|error| connector_config::is_not_found(error))
            {
                value.value = None;
                value
                    .errors
                    .extend(connector_config::negated_alone(&value.name, props, &nulls));
            }
        }
        let mut found = Found(values);
        match plugin.kind() {
            PluginKind::Sink => self.check_sink(props, &mut found),
            _ => self.check_source(plugin, props, &mut found),
        }
        for key in &nulls {
            found.add(
                key,
                "Null value can not be supplied as the configuration value.",
            );
        }
        let mut values: Vec<ConfigValue> = found.0;
        let connector = match plugin.make {
            Make::Source { connector, .. } | Make::Sink { connector, .. } => connector(),
            _ => return Err(RequestError::failure(format!("{class} is no connector"))),
        };
        let own = (plugin.config)().with_nulls(&nulls);
        values.extend(match looks {
            true => connector.validate(&self.context, &own, props)?,
            false => connector.check(&own, props)?,
        });

        // As LinkedHashMap.putAll: a key of both stays in its place and takes the connector's
        // definition; the last value counts.
        let mut keys: indexmap::IndexMap<&str, &ConfigKey> =
            options.keys().map(|key| (key.name.as_str(), key)).collect();
        keys.extend(own.keys().map(|key| (key.name.as_str(), key)));
        let mut groups = options.groups();
        add_groups(&mut groups, own.groups());

        let mut configs = Vec::with_capacity(values.len());
        let mut by_name: HashMap<String, ConfigValue> = HashMap::with_capacity(values.len());
        let mut error_count = 0;
        for value in values {
            if keys.contains_key(value.name.as_str()) {
                by_name.insert(value.name.clone(), value);
            } else {
                error_count += value.errors.len();
                configs.push((None, Some(value)));
            }
        }
        for (name, key) in keys.into_iter().filter(|(_, key)| !key.internal) {
            let value = by_name.remove(name);
            error_count += value.as_ref().map_or(0, |value| value.errors.len());
            configs.push((Some(KeyInfo::new(key, "")), value));
        }
        Ok(ConfigInfos {
            name: class.to_owned(),
            error_count,
            groups,
            configs,
        })
    }

    /// The options of every connector of the plugin's kind, with those of the transformations and
    /// predicates that the configuration names.
    fn definition(&self, plugin: &'static Plugin, props: &Props, nulls: &[&str]) -> ConfigDef {
        let worker_class = |option: &str| self.config.options.string(option).to_owned();
        let mut options =
            connector_config::framework(plugin, &self.plugins, props, nulls, worker_class);
        for kind in [PluginKind::Transformation, PluginKind::Predicate] {
            connector_config::add_aliases(&mut options, kind, &self.plugins, props, nulls);
        }
        options
    }

    /// What `GET /connector-plugins/P/config` lists for a connector beyond its own options.
    pub fn framework_options(&self, plugin: &'static Plugin) -> ConfigDef {
        connector_config::of_kind(plugin, &self.plugins)
    }

    /// Java shows the class that an alias stood for.
    fn with_full_class_names(&self, props: &Props) -> Props {
        let of_alias = |key: &str| {
            key.ends_with(".type")
                && (key.starts_with("transforms.") || key.starts_with("predicates."))
        };
        let mut props = props.clone();
        for (key, value) in &mut props {
            if of_alias(key) || CONVERTER_ROLES.iter().any(|role| role.option == key) {
                *value = self.plugins.class(value.trim()).to_owned();
            }
        }
        props
    }

    fn check_sink(&self, props: &Props, found: &mut Found) {
        let text = |key: &str| props.get(key).map_or("", |text| text.trim());
        let (topics, regex) = (text("topics"), text("topics.regex"));
        let dead_letters = text("errors.deadletterqueue.topic.name");
        let both = |found: &mut Found, message: &str| {
            found.add("topics", message);
            found.add("topics.regex", message);
        };
        match (topics.is_empty(), regex.is_empty()) {
            (false, false) => both(
                found,
                "topics and topics.regex are mutually exclusive options, but both are set.",
            ),
            (true, true) => both(found, "Must configure one of topics or topics.regex"),
            _ => {}
        }
        if !dead_letters.is_empty() {
            let mut names: Vec<&str> = Vec::new();
            for name in topics
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
            {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            if names.contains(&dead_letters) {
                found.add(
                    "topics",
                    &format!(
                        "The DLQ topic '{dead_letters}' may not be included in the list of topics \
                     ('topics=[{}]') consumed by the connector",
                        names.join(", ")
                    ),
                );
            }
            if !regex.is_empty() && Regex::new(regex).is_ok_and(|regex| regex.matches(dead_letters))
            {
                found.add("topics.regex", &format!(
                    "The DLQ topic '{dead_letters}' may not be matched by the regex for the topics \
                     ('topics.regex={regex}') consumed by the connector"
                ));
            }
        }
        self.check_consumer_group(props, found);
    }

    /// A sink's consumers must not join the group of the workers.
    fn check_consumer_group(&self, props: &Props, found: &mut Found) {
        const OVERRIDE: &str = "consumer.override.group.id";
        let Some(workers) = self.config.group_id() else {
            return;
        };
        match props.get(OVERRIDE) {
            Some(group) => {
                let conflict = (group == workers).then(|| {
                    format!("Consumer group {group} conflicts with Connect worker group {workers}")
                });
                // Shown among the options, whether it is good or not.
                found.0.push(ConfigValue {
                    name: OVERRIDE.to_owned(),
                    value: Some(group.clone()),
                    recommended_values: Vec::new(),
                    errors: conflict.into_iter().collect(),
                    visible: true,
                });
            }
            None => {
                if let Some(name) = props
                    .get("name")
                    .filter(|name| format!("connect-{name}") == workers)
                {
                    found.add("name", &format!(
                        "Consumer group for sink connector named {name} conflicts with Connect worker group {workers}"
                    ));
                }
            }
        }
    }

    fn check_source(&self, plugin: &'static Plugin, props: &Props, found: &mut Found) {
        if self.config.standalone {
            return;
        }
        let Make::Source { connector, .. } = plugin.make else {
            return;
        };
        let is = |key: &str, word: &str| {
            props
                .get(key)
                .is_some_and(|text| text.trim().eq_ignore_ascii_case(word))
        };
        if is("exactly.once.support", "required") && !found.has_errors("exactly.once.support") {
            if self.config.exactly_once() != ExactlyOnce::Enabled {
                found.add(
                    "exactly.once.support",
                    "This worker does not have exactly-once source support enabled.",
                );
            }
            match connector().exactly_once_support(props) {
                Some(ExactlyOnceSupport::Supported) => {}
                Some(ExactlyOnceSupport::Unsupported) => found.add(
                    "exactly.once.support",
                    "The connector does not support exactly-once semantics with the provided configuration.",
                ),
                None => found.add(
                    "exactly.once.support",
                    "The connector does not implement the API required for preflight validation of \
                     exactly-once source support. Please consult the documentation for the connector \
                     to determine whether it supports exactly-once semantics, and then consider \
                     reconfiguring the connector to use the value \"requested\" for this property \
                     (which will disable this preflight check and allow the connector to be created).",
                ),
            }
        }
        if is("transaction.boundary", "connector")
            && !found.has_errors("transaction.boundary")
            && !connector().can_define_transaction_boundaries(props)
        {
            found.add("transaction.boundary", "The connector does not support connector-defined \
                transaction boundaries with the given configuration. Please reconfigure it to use a \
                different transaction boundary definition.");
        }
    }

    /// The settings of Kafka clients that the connector overrides.
    fn client_overrides(
        &self,
        plugin: &'static Plugin,
        raw: &RawConfig,
        resolved: &Resolved,
        infos: &mut ConfigInfos,
    ) -> Answer<()> {
        let props = &resolved.props;
        let (topic_key, is_sink) = match plugin.kind() {
            PluginKind::Sink => ("errors.deadletterqueue.topic.name", true),
            _ => ("offsets.storage.topic", false),
        };
        if raw.get(topic_key).is_some_and(Option::is_none) {
            return Err(RequestError::new(
                Refusal::Failure("java.lang.NullPointerException"),
                "Cannot invoke \"String.trim()\" because the return value of \
                 \"java.util.Map.getOrDefault(Object, Object)\" is null",
            ));
        }
        let names_topic = props
            .get(topic_key)
            .is_some_and(|text| !text.trim().is_empty());
        let exactly_once = self.config.exactly_once() == ExactlyOnce::Enabled;
        let (producer, consumer, admin) = match is_sink {
            true => (names_topic, true, names_topic),
            false => {
                let own_offsets = names_topic || exactly_once;
                let creates = raw.keys().any(|key| key.starts_with("topic.creation."));
                (true, own_offsets, creates || own_offsets)
            }
        };
        let clients = [
            (producer, "producer.override.", client_settings::PRODUCER),
            (consumer, "consumer.override.", client_settings::CONSUMER),
            (admin, "admin.override.", client_settings::ADMIN),
        ];
        for (_, prefix, known) in clients.into_iter().filter(|(used, ..)| *used) {
            let given = raw
                .keys()
                .filter_map(|key| Some((behind_prefix(key, prefix)?.to_owned(), props.get(key))))
                .collect();
            self.overrides_of(prefix, known, &given, infos)?;
        }
        Ok(())
    }

    fn overrides_of(
        &self,
        prefix: &str,
        known: &'static [Setting],
        given: &java::HashMap<String, Option<&String>>,
        infos: &mut ConfigInfos,
    ) -> Answer<()> {
        for (name, text) in given.iter() {
            let setting = client_settings::find(known, name);
            let shown = match (setting, text) {
                // A text of the wrong type fails the request rather than the key.
                (Some((_, kind, ..)), Some(text)) => Some(
                    client_settings::parse(&self.plugins, name, *kind, text)
                        .map_err(|why| RequestError::from(Error::config(why)))?
                        .shown(),
                ),
                (_, text) => text.cloned(),
            };
            let errors: Vec<String> = self
                .config
                .override_policy
                .refusal(name)
                .into_iter()
                .collect();
            infos.error_count += usize::from(!errors.is_empty());
            let value = ConfigValue {
                name: format!("{prefix}{name}"),
                value: shown,
                recommended_values: Vec::new(),
                errors,
                visible: true,
            };
            let key = setting.map(|(name, kind, fallback, importance)| {
                let key = ConfigKey::new(*name, *kind, *importance).doc(
                    "Overrides the worker's setting of this name for the connector's Kafka client.",
                );
                KeyInfo::new(
                    &match fallback {
                        Fallback::Required => key,
                        Fallback::Null => key.default_null(),
                        Fallback::Is(text) => key.default(text),
                    },
                    prefix,
                )
            });
            infos.configs.push((key, Some(value)));
        }
        Ok(())
    }

    /// The options of converters that the connector itself names.
    fn converters(&self, raw: &RawConfig, resolved: &Resolved, infos: &mut ConfigInfos) {
        let [key, value, header] = &CONVERTER_ROLES;
        for role in [header, key, value] {
            let Some(class) = resolved.props.get(role.option) else {
                continue;
            };
            let Some(plugin) = self.plugins.find(role.kind, class) else {
                continue;
            };
            let wanted = resolved
                .props
                .get(&format!("{}.plugin.version", role.option));
            if wanted.is_some_and(|wanted| self.plugins.version_problem(plugin, wanted).is_some()) {
                continue;
            }
            let prefix = format!("{}.", role.option);
            let mut props = props_with_prefix(&resolved.props, &prefix);
            props
                .entry("converter.type".to_owned())
                .or_insert_with(|| role.name.to_owned());
            let nulls: Vec<&str> = nulls(raw)
                .into_iter()
                .filter_map(|key| key.strip_prefix(&prefix))
                .collect();
            let options = (plugin.config)().with_nulls(&nulls);
            let values: java::HashMap<String, ConfigValue> = options
                .validate(&props)
                .into_iter()
                .map(|value| (value.name.clone(), value))
                .collect();
            for (name, value) in values.iter() {
                let definition = options.key(name);
                add_groups(
                    &mut infos.groups,
                    definition.and_then(|key| key.group.clone()),
                );
                infos.error_count += usize::from(!value.errors.is_empty());
                let mut value = value.clone();
                value.name = format!("{prefix}{name}");
                infos.configs.push((
                    definition.map(|key| KeyInfo::new(key, &prefix)),
                    Some(value),
                ));
            }
        }
    }
}

/// Keys that are given as null.
fn nulls(raw: &RawConfig) -> Vec<&str> {
    raw.iter()
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| key.as_str())
        .collect()
}

/// Values on the way to the answer.
struct Found(Vec<ConfigValue>);

impl Found {
    fn add(&mut self, name: &str, message: &str) {
        if let Some(value) = self.0.iter_mut().find(|value| value.name == name) {
            value.errors.push(message.to_owned());
        } else {
            self.0.push(ConfigValue {
                name: name.to_owned(),
                value: None,
                recommended_values: Vec::new(),
                errors: vec![message.to_owned()],
                visible: true,
            });
        }
    }
    fn has_errors(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|value| value.name == name && !value.errors.is_empty())
    }
}

fn add_groups(groups: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for group in more {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
}

/// Shows placeholders where values stood behind them, and takes these values out of errors.
fn hide(infos: &mut ConfigInfos, resolved: &Resolved) {
    for value in infos
        .configs
        .iter_mut()
        .filter_map(|(_, value)| value.as_mut())
    {
        if let Some(raw) = resolved.placeholder(&value.name)
            && value
                .value
                .as_deref()
                .is_some_and(|shown| shown != "[hidden]")
        {
            value.value = Some(raw.to_owned());
        }
        for error in &mut value.errors {
            *error = resolved.redact(error);
        }
    }
}

/// A configuration as `HashMap.toString` writes it.
fn java_text(config: &RawConfig) -> String {
    let mut map = java::HashMap::sized_for(config.len());
    for (key, value) in config {
        map.insert(key.clone(), value.as_deref().unwrap_or("null"));
    }
    let entries: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("{{{}}}", entries.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_before_is_refused_in_other_words() {
        let mut refused = Refused::default();
        let mut class = || {
            refused
                .class("X", RequestError::bad_request("no X"))
                .message
        };
        assert_eq!(class(), "no X");
        assert_eq!(
            class(),
            "org.apache.kafka.connect.errors.ConnectException: no X"
        );
        assert_eq!(refused.version("X", "not 9"), Ok(()));
        assert_eq!(refused.version("X", "not 8"), Ok(()));
        let again = refused.version("X", "not 9").expect_err("asked before");
        assert!(again.message.ends_with("availableVersions()\" is null"));
    }
}
