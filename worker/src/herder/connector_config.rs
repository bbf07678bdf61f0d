//! The options that every connector has, whatever its class, and those of its transformations and
//! predicates.
//!
//! Declares; validates nothing beyond single values. Answers for `ConnectorConfig`,
//! `SourceConnectorConfig` and `SinkConnectorConfig` (with `EnrichablePlugin`).

use std::sync::Arc;

use connect_api::Props;
use connect_api::config::{
    ConfigDef, ConfigKey, Default, Importance, Parsed, Recommendation, Type, Validator, Width,
    any_of, any_of_ignoring_case, at_least, check_text, list_rules, non_empty,
    non_empty_without_control,
};
use connect_api::java::Regex;
use connect_api::plugin::{Plugin, PluginKind};

use super::version_range::VersionRange;
use crate::plugins::Plugins;

use Importance::{High, Low, Medium};

/// A role that a converter has in a connector.
pub(super) struct ConverterRole {
    /// The option that names the class: `key.converter`.
    pub(super) option: &'static str,
    /// What `converter.type` says.
    pub(super) name: &'static str,
    /// What kind of plugin it takes.
    pub(super) kind: PluginKind,
}

/// The roles, in the order of the options.
pub(super) const CONVERTER_ROLES: [ConverterRole; 3] = [
    ConverterRole {
        option: "key.converter",
        name: "key",
        kind: PluginKind::Converter,
    },
    ConverterRole {
        option: "value.converter",
        name: "value",
        kind: PluginKind::Converter,
    },
    ConverterRole {
        option: "header.converter",
        name: "header",
        kind: PluginKind::HeaderConverter,
    },
];

/// The options of every connector of `plugin`'s kind. `worker_class` gives the worker's own
/// converter for a role, which is the default.
pub(super) fn framework(
    plugin: &'static Plugin,
    plugins: &Plugins,
    props: &Props,
    nulls: &[&str],
    worker_class: impl Fn(&str) -> String,
) -> ConfigDef {
    let options = common(Some(plugin), plugins, props, nulls, |option| {
        Some(worker_class(option))
    });
    match plugin.kind() {
        PluginKind::Sink => sink(options),
        _ => source(options),
    }
}

/// The options of every connector, where the connector itself is not there in the version that is
/// asked for.
pub(super) fn without_connector(plugin: &'static Plugin, plugins: &Plugins) -> ConfigDef {
    common(Some(plugin), plugins, &Props::new(), &[], |_| None)
}

/// The options of every connector of `plugin`'s kind, as they are without a worker: converters have
/// no default.
pub(super) fn of_kind(plugin: &'static Plugin, plugins: &Plugins) -> ConfigDef {
    let options = common(Some(plugin), plugins, &Props::new(), &[], |_| None);
    match plugin.kind() {
        PluginKind::Sink => sink(options),
        _ => source(options),
    }
}

fn common(
    plugin: Option<&'static Plugin>,
    plugins: &Plugins,
    props: &Props,
    nulls: &[&str],
    worker_class: impl Fn(&str) -> Option<String>,
) -> ConfigDef {
    const COMMON: &str = "Common";
    const ERRORS: &str = "Error Handling";
    let key = |name: &str, kind, importance| ConfigKey::new(name, kind, importance);
    let mut options = ConfigDef::new()
        .define(key("name", Type::String, High).validator(non_empty_without_control()).group(COMMON, 1, Width::Medium, "Connector name").doc("The name of the connector, unique in the cluster."))
        .define(key("connector.class", Type::String, High).group(COMMON, 2, Width::Long, "Connector class").doc("The class of the connector, or its alias: the class's own name, with or without `Connector` at its end."))
        .define(version_key("connector.plugin.version", plugin, plugin, Medium).group(COMMON, 3, Width::Medium, "Connector version").doc("The version of the connector; the only one there is where it is left out."))
        .define(key("tasks.max", Type::Int, High).default(1).validator(at_least(1)).group(COMMON, 4, Width::Short, "Tasks max").doc("How many tasks the connector may have."))
        .define(key("tasks.max.enforce", Type::Boolean, Low).default("true").group(COMMON, 5, Width::Short, "Enforce tasks max").doc("Whether a connector that makes more tasks than it may is failed."));
    let labels = ["Key converter", "Value converter", "Header converter"];
    for ((role, label), order) in CONVERTER_ROLES.iter().zip(labels).zip([6, 8, 10]) {
        let default = worker_class(role.option);
        let class = props.get(role.option).or(default.as_ref());
        // Java looks for the text as it is here, and for the trimmed one when it checks the class.
        let used = class.and_then(|class| plugins.find(role.kind, class));
        let version_name = format!("{}.plugin.version", role.option);
        let wanted = props.get(&version_name);
        // Without a class of the connector's own only the text is looked at.
        let checked = used
            .filter(|_| props.contains_key(role.option))
            .zip(wanted)
            .map(|(plugin, wanted)| plugins.check_version(plugin, wanted))
            .or_else(|| wanted.map(|wanted| VersionRange::parse(wanted.trim()).map(|_| None)));
        let mismatch = checked.clone().and_then(|checked| checked.ok().flatten());
        let not_loaded = checked.as_ref().is_none_or(Result::is_ok);
        let problem = checked.and_then(|checked| checked.unwrap_or_else(Some));
        let given = props.get(role.option).map(String::as_str);
        let mismatch = match given {
            Some(given) if used.is_none() => {
                not_loaded.then(|| format!("Failed to load class {given}: {given}"))
            }
            _ => mismatch,
        };
        let names: Vec<String> = match default {
            Some(_) => plugins
                .of_kind(role.kind)
                .map(|plugin| plugin.class.to_owned())
                .collect(),
            None => Vec::new(),
        };
        let converter = key(role.option, Type::Class, Low);
        options.add(
            match &default {
                Some(class) => converter.default(plugins.class(class)),
                None => converter.default_null(),
            }
            .validator(plugin_class(plugins, role.kind, given, mismatch))
            .recommender(move |_, _| Recommendation {
                values: names.clone(),
                visible: true,
            })
            .group(COMMON, order, Width::Short, format!("{label} class"))
            .doc("The converter between records and bytes; the worker's own where it is left out."),
        );
        options.add(
            converter_version_key(
                &version_name,
                used,
                class.and_then(|class| plugins.find(role.kind, class.trim())),
                !nulls.contains(&role.option)
                    && class.is_some_and(|class| plugins.described(class.trim()).is_some()),
            )
            .validator(refusing(problem))
            .group(COMMON, order + 1, Width::Short, format!("{label} version"))
            .doc("The version of that converter."),
        );
    }
    options
        .define(key("transforms", Type::List, Low).default("").validator(unique_aliases()).group("Transforms", 12, Width::Long, "Transforms").doc("Names of transformations, in the order in which records pass them."))
        .define(key("predicates", Type::List, Low).default("").validator(unique_aliases()).group("Predicates", 13, Width::Long, "Predicates").doc("Names of predicates that transformations may refer to."))
        .define(key("config.action.reload", Type::String, Low).default("restart").validator(any_of(&["none", "restart"])).group(COMMON, 14, Width::Medium, "Reload Action").doc("What to do when a value from a config provider runs out."))
        .define(key("errors.retry.timeout", Type::Long, Medium).default(0).group(ERRORS, 1, Width::Medium, "Retry Timeout for Errors").doc("How long a failed conversion or transformation is tried again, in milliseconds; -1 for ever."))
        .define(key("errors.retry.delay.max.ms", Type::Long, Medium).default(60_000).group(ERRORS, 2, Width::Medium, "Maximum Delay Between Retries for Errors").doc("The longest pause between two tries."))
        .define(key("errors.tolerance", Type::String, Medium).default("none").validator(any_of(&["none", "all"])).group(ERRORS, 3, Width::Short, "Error Tolerance").doc("Whether a bad record fails the task (none) or is passed over (all)."))
        .define(key("errors.log.enable", Type::Boolean, Medium).default("false").group(ERRORS, 4, Width::Short, "Log Errors").doc("Whether each bad record is logged."))
        .define(key("errors.log.include.messages", Type::Boolean, Medium).default("false").group(ERRORS, 5, Width::Short, "Log Error Details").doc("Whether the log says where the record stood."))
}

fn sink(options: ConfigDef) -> ConfigDef {
    const COMMON: &str = "Common";
    const ERRORS: &str = "Error Handling";
    let key = |name: &str, kind, importance| ConfigKey::new(name, kind, importance);
    options
        .define(
            key("topics", Type::List, High)
                .default("")
                .validator(list_rules(true, false))
                .group(COMMON, 4, Width::Long, "Topics")
                .doc("The topics to read, apart by commas."),
        )
        .define(
            key("topics.regex", Type::String, High)
                .default("")
                .validator(regex())
                .group(COMMON, 4, Width::Long, "Topics regex")
                .doc("A regular expression for the topics to read."),
        )
        .define(
            key("errors.deadletterqueue.topic.name", Type::String, Medium)
                .default("")
                .group(ERRORS, 6, Width::Medium, "Dead Letter Queue Topic Name")
                .doc("The topic for records that could not be handled; none where empty."),
        )
        .define(
            key(
                "errors.deadletterqueue.topic.replication.factor",
                Type::Short,
                Medium,
            )
            .default(3)
            .group(
                ERRORS,
                7,
                Width::Medium,
                "Dead Letter Queue Topic Replication Factor",
            )
            .doc("The replication factor of that topic when it has to be created."),
        )
        .define(
            key(
                "errors.deadletterqueue.context.headers.enable",
                Type::Boolean,
                Medium,
            )
            .default("false")
            .group(ERRORS, 8, Width::Medium, "Enable Error Context Headers")
            .doc("Whether such records get headers that say what went wrong."),
        )
}

fn source(options: ConfigDef) -> ConfigDef {
    let key = |name: &str, kind, importance| ConfigKey::new(name, kind, importance);
    const EXACTLY_ONCE: &str = "Exactly Once Support";
    options
        .define(
            key("topic.creation.groups", Type::List, Low)
                .default("")
                .validator(unique_aliases())
                .group("Topic Creation", 1, Width::Long, "Topic Creation Groups")
                .doc("Names of groups of topics with settings of their own for creating them."),
        )
        .define(
            key("exactly.once.support", Type::String, Medium)
                .default("requested")
                .validator(any_of_ignoring_case(&["REQUIRED", "REQUESTED"]))
                .group(EXACTLY_ONCE, 2, Width::Short, "Exactly once support")
                .doc("Whether the connector must be able to write each record exactly once."),
        )
        .define(
            key("transaction.boundary", Type::String, Medium)
                .default("poll")
                .validator(any_of_ignoring_case(&["INTERVAL", "POLL", "CONNECTOR"]))
                .group(EXACTLY_ONCE, 3, Width::Short, "Transaction Boundary")
                .doc("What ends a transaction: each batch, a time, or the connector."),
        )
        .define(
            key("transaction.boundary.interval.ms", Type::Long, Low)
                .default_null()
                .validator(at_least_or_null(0))
                .group(
                    EXACTLY_ONCE,
                    4,
                    Width::Short,
                    "Transaction boundary interval",
                )
                .doc("That time, in milliseconds."),
        )
        .define(
            key("offsets.storage.topic", Type::String, Low)
                .default_null()
                .validator(non_empty())
                .group("offsets.topic", 1, Width::Long, "Offsets topic")
                .doc("A topic of the connector's own for its offsets."),
        )
}

/// What is said where the transformation whose type stands at `type_name` is negated without a
/// predicate. A key that is given as null is given, too.
pub(super) fn negated_alone(type_name: &str, props: &Props, nulls: &[&str]) -> Option<String> {
    let prefix = type_name.strip_suffix("type")?;
    if !prefix.starts_with("transforms.") {
        return None;
    }
    let given = |name: &str| {
        let key = format!("{prefix}{name}");
        props.contains_key(&key) || nulls.contains(&key.as_str())
    };
    (given("negate") && !given("predicate")).then(|| {
        format!(
            "Config '{prefix}negate' was provided but there is no config '{prefix}predicate' \
             defining a predicate to be negated."
        )
    })
}

/// Adds the options of the transformations or predicates that `props` names.
pub(super) fn add_aliases(
    options: &mut ConfigDef,
    kind: PluginKind,
    plugins: &Plugins,
    props: &Props,
    nulls: &[&str],
) {
    let (list, label) = match kind {
        PluginKind::Predicate => ("predicates", "Predicate"),
        _ => ("transforms", "Transformation"),
    };
    let group_label = if kind == PluginKind::Predicate {
        "Predicates"
    } else {
        "Transforms"
    };
    let Some(Ok(Parsed::List(mut aliases))) = props
        .get(list)
        .map(|text| Parsed::parse(list, Type::List, text))
    else {
        return;
    };
    let mut seen = std::collections::HashSet::new();
    aliases.retain(|alias| seen.insert(alias.clone()));
    let classes: Vec<String> = plugins
        .of_kind(kind)
        .map(|plugin| plugin.class.to_owned())
        .collect();
    for alias in aliases {
        let prefix = format!("{list}.{alias}.");
        let group = format!("{group_label}: {alias}");
        let type_name = format!("{prefix}type");
        let given = props.get(&type_name).map(String::as_str);
        // Java looks for the text as it is here, and for the trimmed one when it checks the class.
        let plugin = given.and_then(|class| plugins.find(kind, class));
        let found = given.and_then(|class| plugins.find(kind, class.trim()));
        let version_name = format!("{prefix}plugin.version");
        let problem = plugin
            .zip(props.get(&version_name))
            .and_then(|(plugin, wanted)| plugins.version_problem(plugin, wanted));
        let names = classes.clone();
        options.add(
            ConfigKey::new(type_name.clone(), Type::Class, High)
                .validator(alias_type(
                    plugins,
                    kind,
                    label,
                    given,
                    negated_alone(&type_name, props, nulls),
                    problem.clone(),
                ))
                .recommender(move |_, _| Recommendation {
                    values: names.clone(),
                    visible: true,
                })
                .group(
                    group.clone(),
                    0,
                    Width::Long,
                    format!("{label} type for {alias}"),
                )
                .doc(format!(
                    "The class of the {} {alias}.",
                    label.to_lowercase()
                )),
        );
        options.add(
            version_key(&version_name, plugin, found, High)
                .validator(refusing(problem.clone()))
                .group(
                    group.clone(),
                    1,
                    Width::Long,
                    format!("{label} version for {alias}"),
                )
                .doc(format!(
                    "The version of the {} {alias}.",
                    label.to_lowercase()
                )),
        );
        let Some(plugin) = plugin.filter(|_| problem.is_none()) else {
            continue;
        };
        let mut own = ConfigDef::new();
        if kind == PluginKind::Transformation {
            own.add(
                ConfigKey::new("predicate", Type::String, Medium)
                    .default_null()
                    .doc("The predicate that decides whether the transformation is applied."),
            );
            own.add(
                ConfigKey::new("negate", Type::Boolean, Medium)
                    .default("false")
                    .doc("Whether it is applied where the predicate does not hold."),
            );
        }
        for key in (plugin.config)().keys() {
            own.add(key.clone());
        }
        embed(options, &prefix, &group, 2, &own);
    }
}

/// Adds the options of `child` under a prefix (`ConfigDef.embed`): sorted, in groups below `group`,
/// counted on from `order`. Their validators see the names without the prefix.
fn embed(options: &mut ConfigDef, prefix: &str, group: &str, order: i32, child: &ConfigDef) {
    let groups = child.groups();
    let place = |key: &ConfigKey| {
        key.group
            .as_ref()
            .map(|group| groups.iter().position(|known| known == group))
    };
    let mut keys: Vec<&ConfigKey> = child.keys().collect();
    keys.sort_by(|a, b| {
        let rank = |key: &ConfigKey| {
            (
                place(key),
                key.order_in_group,
                key.default != Default::Required,
                key.importance,
            )
        };
        rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name))
    });
    for (key, order) in keys.into_iter().zip(order..) {
        let mut embedded = key.clone();
        embedded.name = format!("{prefix}{}", key.name);
        embedded.group = Some(match &key.group {
            Some(own) => format!("{group}: {own}"),
            None => group.to_owned(),
        });
        embedded.order_in_group = order;
        embedded.dependents = key
            .dependents
            .iter()
            .map(|name| format!("{prefix}{name}"))
            .collect();
        let short = key.name.clone();
        embedded.validator = key
            .validator
            .clone()
            .map(|check| -> Validator { Arc::new(move |_, value| check(&short, value)) });
        let (cut, short) = (prefix.to_owned(), key.name.clone());
        embedded.recommender =
            key.recommender
                .clone()
                .map(|advise| -> connect_api::config::Recommender {
                    Arc::new(move |_, values| {
                        let own = values
                            .iter()
                            .filter_map(|(name, value)| {
                                Some((name.strip_prefix(&cut)?.to_owned(), value.clone()))
                            })
                            .collect();
                        advise(&short, &own)
                    })
                });
        options.add(embedded);
    }
}

/// The version of a plugin: that of `plugin` by default, that of `found` as the only recommendation.
/// They are two since Java trims the class's name for the latter only.
fn version_key(
    name: &str,
    plugin: Option<&'static Plugin>,
    found: Option<&'static Plugin>,
    importance: Importance,
) -> ConfigKey {
    let key = ConfigKey::new(name, Type::String, importance);
    let key = match plugin {
        Some(plugin) => key.default(plugin.version),
        None => key.default_null(),
    };
    let Some(plugin) = found else {
        return key;
    };
    key.recommender(move |_, _| Recommendation {
        values: vec![plugin.version.to_owned()],
        visible: true,
    })
}

/// The version of a converter: hidden where there is no such class.
fn converter_version_key(
    name: &str,
    plugin: Option<&'static Plugin>,
    found: Option<&'static Plugin>,
    class_exists: bool,
) -> ConfigKey {
    let key = version_key(name, plugin, found, Low);
    match class_exists {
        true => key,
        false => key.recommender(|_, _| Recommendation {
            values: Vec::new(),
            visible: false,
        }),
    }
}

/// Refuses whatever the value is, if there is something to say.
fn refusing(problem: Option<String>) -> Validator {
    Arc::new(move |_, _| problem.clone().map_or(Ok(()), Err))
}

/// A class that is a plugin of that kind; `mismatch` is said of its version. `given` is the text that
/// names it.
fn plugin_class(
    plugins: &Plugins,
    kind: PluginKind,
    given: Option<&str>,
    mismatch: Option<String>,
) -> Validator {
    let (plugins, given) = (plugins.clone(), given.map(str::to_owned));
    Arc::new(move |name, value| {
        let Some(Parsed::Class(class)) = value else {
            return Ok(());
        };
        if plugins.find(kind, class).is_some() {
            return mismatch.clone().map_or(Ok(()), Err);
        }
        let interface = match kind {
            PluginKind::HeaderConverter => "HeaderConverter",
            _ => "Converter",
        };
        Err(plugins
            .abstract_class(kind, class)
            .or_else(|| Some(not_a(&plugins.described(class)?, interface)))
            .unwrap_or_else(|| not_found(name, given.as_deref().unwrap_or(class))))
    })
}

/// The `type` of a transformation or predicate, which `given` names; `negated` is what is said of one
/// that is negated without a predicate, `mismatch` what is said of its version.
fn alias_type(
    plugins: &Plugins,
    kind: PluginKind,
    label: &'static str,
    given: Option<&str>,
    negated: Option<String>,
    mismatch: Option<String>,
) -> Validator {
    let (plugins, given) = (plugins.clone(), given.map(str::to_owned));
    Arc::new(move |name, value| {
        let class = match value {
            Some(Parsed::Class(class)) => Some(class),
            _ => None,
        };
        let described = class.and_then(|class| plugins.described(class));
        // Of a class that is not there it is said as well, see `validate.rs`.
        if let Some(class) = class.filter(|_| described.is_none()) {
            return Err(not_found(name, given.as_deref().unwrap_or(class)));
        }
        let is_abstract = class.and_then(|class| plugins.abstract_class(kind, class));
        if let Some(why) = negated.clone().or(is_abstract) {
            return Err(why);
        }
        match (class, described) {
            (Some(class), Some(described)) if plugins.find(kind, class).is_none() => {
                Err(not_a(&described, label))
            }
            (Some(_), _) => mismatch.clone().map_or(Ok(()), Err),
            (None, _) => Ok(()),
        }
    })
}

/// What is said of a class that does something else.
fn not_a(described: &str, interface: &str) -> String {
    format!("Class {described} does not implement the {interface} interface")
}

/// What is said of a class that no plugin has.
pub(super) fn not_found(name: &str, class: &str) -> String {
    format!("Invalid value {class} for configuration {name}: Class {class} could not be found.")
}

/// Whether an error says that: the value is then shown as null.
pub(super) fn is_not_found(error: &str) -> bool {
    error.ends_with(" could not be found.")
}

/// A list without an alias twice.
fn unique_aliases() -> Validator {
    Arc::new(|name, value| match value {
        None => Err(format!(
            "Invalid value null for configuration {name}: entry must be non null"
        )),
        Some(Parsed::List(items)) => {
            let twice = items
                .iter()
                .enumerate()
                .any(|(at, item)| items.iter().take(at).any(|other| other == item));
            match twice {
                true => Err(format!(
                    "Invalid value [{}] for configuration {name}: Duplicate alias provided.",
                    items.join(", ")
                )),
                false => Ok(()),
            }
        }
        Some(_) => Ok(()),
    })
}

fn regex() -> Validator {
    let check = check_text(|text| {
        Regex::new(text)
            .map(|_| ())
            .map_err(|error| format!("Invalid regex: {error}"))
    });
    Arc::new(move |name, value| match value {
        None => Err(format!(
            "Invalid value null for configuration {name}: Invalid regex: Cannot invoke \
             \"String.isEmpty()\" because \"this.pattern\" is null"
        )),
        some => check(name, some),
    })
}

fn at_least_or_null(min: i64) -> Validator {
    let check = at_least(min);
    Arc::new(move |name, value| match value {
        None => Ok(()),
        some => check(name, some),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::plugin::Make;

    fn none() -> Box<dyn connect_api::transform::Predicate> {
        unreachable!("look-ups make no instances")
    }
    static LIST: [Plugin; 1] = [Plugin {
        class: "a.TopicPredicate",
        version: "1",
        config: ConfigDef::new,
        make: Make::Predicate(none),
    }];

    #[test]
    fn a_class_is_looked_for_trimmed_and_told_as_it_was_given() {
        let plugins = Plugins::new(&[&LIST]);
        let check = |class: &str, given: &str| {
            let class = Parsed::Class(class.to_owned());
            let kind = PluginKind::Predicate;
            alias_type(&plugins, kind, "Predicate", Some(given), None, None)("t", Some(&class))
        };
        assert_eq!(check("a.TopicPredicate", " Topic "), Ok(()));
        assert_eq!(
            check("Nope", " Nope ").expect_err("unknown"),
            "Invalid value  Nope  for configuration t: Class  Nope  could not be found."
        );
        assert_eq!(
            check("java.util.Map", "java.util.Map").expect_err("no predicate"),
            "Class interface java.util.Map does not implement the Predicate interface"
        );
    }

    #[test]
    fn a_converter_in_white_space_is_not_loaded() {
        let plugins = Plugins::new(&[&LIST]);
        let said = |class: &str| {
            let props = Props::from_iter([("key.converter".to_owned(), class.to_owned())]);
            let options = common(None, &plugins, &props, &[], |_| None);
            let checked = options.validate(&props).into_iter();
            let errors = checked.map(|value| (value.name, value.errors));
            let of_it = errors.filter(|(name, _)| name == "key.converter");
            of_it.flat_map(|(_, errors)| errors).collect::<Vec<_>>()
        };
        let key = version_key("v", None, Some(&LIST[0]), Low);
        assert_eq!(key.default_text(), None);
        assert!(key.recommender.is_some());
        assert_eq!(
            said("java.lang.String "),
            ["Class class java.lang.String does not implement the Converter interface"]
        );
    }
}
