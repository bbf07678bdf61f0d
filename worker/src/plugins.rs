//! The plugins that a worker knows: look-up by class or alias.
//!
//! The lists come from outside (`run`'s caller); this crate names no connector. Answers for
//! `Plugins`, `DelegatingClassLoader` and `PluginUtils.computeAliases`.

use std::collections::HashMap;

use connect_api::plugin::{Plugin, PluginKind};

use crate::herder::request::RequestError;
use crate::herder::version_range::VersionRange;

/// All plugins, in the order of `/connector-plugins`: by kind, then by class.
#[derive(Clone, Debug)]
pub struct Plugins {
    all: Vec<&'static Plugin>,
    /// Java class by alias; an alias of several classes is none.
    aliases: HashMap<String, Alias>,
}

/// Classes of archives that most workers do not have (debezium-scripting): what they are called must
/// not take an alias away from what every worker has.
const OPTIONAL: [&str; 2] = [
    "io.debezium.transforms.ContentBasedRouter",
    "io.debezium.transforms.Filter",
];

#[derive(Clone, Debug)]
enum Alias {
    One(&'static str),
    Several(Vec<&'static str>),
}

impl Plugins {
    /// The plugins of several lists.
    pub fn new(lists: &[&'static [Plugin]]) -> Self {
        let mut all: Vec<&'static Plugin> = lists.iter().flat_map(|list| list.iter()).collect();
        all.sort_by_key(|plugin| (plugin.kind(), plugin.class));
        let mut aliases: HashMap<String, Alias> = HashMap::new();
        let (optional, usual): (Vec<&Plugin>, Vec<&Plugin>) = all
            .iter()
            .partition(|plugin| OPTIONAL.contains(&plugin.class));
        for plugin in usual.into_iter().chain(optional) {
            // An inner class goes by the name behind the dollar: `Key`, `Value`, hence by none.
            let simple = plugin.simple_name();
            let simple = simple.rsplit_once('$').map_or(simple, |(_, inner)| inner);
            let cut = simple
                .rsplit_once(plugin.kind().suffix())
                .map_or(simple, |(head, _)| head);
            for alias in [simple, cut] {
                if OPTIONAL.contains(&plugin.class) && aliases.contains_key(alias) {
                    continue;
                }
                aliases
                    .entry(alias.to_owned())
                    .and_modify(|known| known.add(plugin.class))
                    .or_insert(Alias::One(plugin.class));
            }
        }
        Self { all, aliases }
    }

    /// All of them.
    pub fn all(&self) -> &[&'static Plugin] {
        &self.all
    }

    /// Those of one kind, by class.
    pub fn of_kind(&self, kind: PluginKind) -> impl Iterator<Item = &'static Plugin> {
        self.all
            .iter()
            .copied()
            .filter(move |plugin| plugin.kind() == kind)
    }

    /// The class that a name stands for: the name itself, or the class whose alias it is.
    pub fn class<'a>(&'a self, name: &'a str) -> &'a str {
        match self.aliases.get(name) {
            Some(Alias::One(class)) => class,
            _ => name,
        }
    }

    /// The plugin of a kind by class or alias.
    pub fn find(&self, kind: PluginKind, name: &str) -> Option<&'static Plugin> {
        let class = self.class(name);
        self.of_kind(kind).find(|plugin| plugin.class == class)
    }

    /// Any plugin of that class or alias, of whatever kind.
    pub fn any(&self, name: &str) -> Option<&'static Plugin> {
        let class = self.class(name);
        self.all
            .iter()
            .copied()
            .find(|plugin| plugin.class == class)
    }

    /// What is said where a plugin is not there in the version that is asked for.
    ///
    /// # Errors
    /// The text is no range of versions.
    pub fn check_version(&self, plugin: &Plugin, wanted: &str) -> Result<Option<String>, String> {
        let range = VersionRange::parse(wanted.trim())?;
        // A class of two kinds counts twice.
        let available: Vec<&str> = self
            .all
            .iter()
            .filter(|known| known.class == plugin.class)
            .map(|known| known.version)
            .collect();
        Ok(
            match available.iter().any(|version| range.contains(version)) {
                true => None,
                false => Some(format!(
                    "Plugin {} not found that matches the version range {}, available versions: [{}]",
                    plugin.class,
                    range.text,
                    available.join(", ")
                )),
            },
        )
    }

    /// Whether the text names a version or a range of versions.
    pub fn is_version(wanted: &str) -> bool {
        VersionRange::parse(wanted.trim()).is_ok()
    }

    /// What is wrong with the version that is asked for, be it the text or that there is none such.
    pub fn version_problem(&self, plugin: &Plugin, wanted: &str) -> Option<String> {
        self.check_version(plugin, wanted).unwrap_or_else(Some)
    }

    /// What is said of a class that is none of the plugins, though the JVM would know it: one whose
    /// inner classes are the plugins, the interface itself, or the class above some.
    pub fn abstract_class(&self, class: &str) -> Option<String> {
        const ABSTRACT: &str = "This class is abstract and cannot be created.";
        let prefix = format!("{class}$");
        let mut inner: Vec<&str> = self
            .all
            .iter()
            .map(|plugin| plugin.class)
            .filter(|known| known.starts_with(&prefix))
            .collect();
        inner.dedup();
        let classes = [
            "org.apache.kafka.connect.converters.NumberConverter",
            "org.apache.kafka.connect.storage.Converter",
            "org.apache.kafka.connect.storage.HeaderConverter",
            "org.apache.kafka.connect.transforms.Transformation",
            "org.apache.kafka.connect.transforms.predicates.Predicate",
        ];
        match inner.is_empty() {
            false => Some(format!("{ABSTRACT} Did you mean {}?", inner.join(", "))),
            true => classes.contains(&class).then(|| ABSTRACT.to_owned()),
        }
    }

    /// A connector by class or alias.
    ///
    /// # Errors
    /// BadRequest: no such connector, with a list of those that there are; or several of that alias.
    pub fn connector(&self, name: &str) -> Result<&'static Plugin, RequestError> {
        if let Some(Alias::Several(classes)) = self.aliases.get(name) {
            let found: Vec<String> = self
                .connectors()
                .filter(|plugin| classes.contains(&plugin.class))
                .map(describe)
                .collect();
            if found.len() > 1 {
                return Err(RequestError::bad_request(format!(
                    "More than one connector matches alias {name}. Please use full package and \
                     class name instead. Classes found: {}",
                    found.join(", ")
                )));
            }
        }
        let class = self.class(name);
        self.connectors().find(|plugin| plugin.class == class).ok_or_else(|| {
            let mut available: Vec<&'static Plugin> = self.connectors().collect();
            available.sort_by_key(|plugin| plugin.class);
            let available: Vec<String> = available.into_iter().map(describe).collect();
            RequestError::bad_request(format!(
                "Failed to find any class that implements Connector and which name matches {name}, \
                 available connectors are: {}",
                available.join(", ")
            ))
        })
    }

    fn connectors(&self) -> impl Iterator<Item = &'static Plugin> {
        self.all
            .iter()
            .copied()
            .filter(|plugin| matches!(plugin.kind(), PluginKind::Sink | PluginKind::Source))
    }
}

impl Alias {
    /// A class of two kinds stands in the list twice and is still one class.
    fn add(&mut self, class: &'static str) {
        match self {
            Self::One(known) if *known == class => {}
            Self::One(known) => *self = Self::Several(vec![known, class]),
            Self::Several(known) if known.contains(&class) => {}
            Self::Several(known) => known.push(class),
        }
    }
}

/// `PluginDesc.toString`; everything is on what the JVM calls the class path.
fn describe(plugin: &'static Plugin) -> String {
    let Plugin { class, version, .. } = plugin;
    let kind = plugin.kind().name();
    format!(
        "PluginDesc{{klass=class {class}, name='{class}', version='{version}', \
         encodedVersion={version}, type={kind}, typeName='{kind}', location='classpath'}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::config::ConfigDef;
    use connect_api::plugin::Make;

    #[test]
    fn an_optional_class_takes_no_alias_away() {
        static WITH_OPTIONAL: [Plugin; 2] = [
            plugin("io.debezium.transforms.Filter"),
            plugin("org.apache.kafka.connect.transforms.Filter"),
        ];
        let plugins = Plugins::new(&[&WITH_OPTIONAL]);
        assert_eq!(
            plugins.class("Filter"),
            "org.apache.kafka.connect.transforms.Filter"
        );
    }

    fn none() -> Box<dyn connect_api::transform::Predicate> {
        unreachable!("look-ups make no instances")
    }
    const fn plugin(class: &'static str) -> Plugin {
        Plugin {
            class,
            version: "1",
            config: ConfigDef::new,
            make: Make::Predicate(none),
        }
    }
    static LIST: [Plugin; 4] = [
        plugin("a.Has$Key"),
        plugin("b.Other$Key"),
        plugin("c.TopicPredicate"),
        plugin("a.Plain"),
    ];

    #[test]
    fn plugins_are_found_by_class_and_by_alias_with_and_without_the_suffix() {
        let plugins = Plugins::new(&[&LIST]);
        let check = |name: &str, class: Option<&str>| {
            assert_eq!(
                plugins
                    .find(PluginKind::Predicate, name)
                    .map(|plugin| plugin.class),
                class
            );
        };
        check("c.TopicPredicate", Some("c.TopicPredicate"));
        check("TopicPredicate", Some("c.TopicPredicate"));
        check("Topic", Some("c.TopicPredicate"));
        check("a.Has$Key", Some("a.Has$Key"));
        check("Key", None);
        check("Has$Key", None);
        assert!(plugins.find(PluginKind::Converter, "Plain").is_none());
    }

    #[test]
    fn plugins_are_listed_by_kind_and_class() {
        let plugins = Plugins::new(&[&LIST]);
        let classes: Vec<_> = plugins.all().iter().map(|plugin| plugin.class).collect();
        assert_eq!(
            classes,
            ["a.Has$Key", "a.Plain", "b.Other$Key", "c.TopicPredicate"]
        );
    }

    #[test]
    fn a_version_that_is_not_there_is_told_with_those_that_are() {
        let plugins = Plugins::new(&[&LIST]);
        let plain = plugins.any("a.Plain").expect("listed");
        assert_eq!(plugins.check_version(plain, "[1,2)"), Ok(None));
        assert_eq!(
            plugins.version_problem(plain, "9").as_deref(),
            Some(
                "Plugin a.Plain not found that matches the version range [9,9], available versions: [1]"
            )
        );
        assert_eq!(
            plugins.version_problem(plain, "[,").as_deref(),
            Some("Unbounded range: [,")
        );
    }

    #[test]
    fn a_class_around_plugins_is_abstract() {
        let plugins = Plugins::new(&[&LIST]);
        assert_eq!(
            plugins.abstract_class("a.Has").as_deref(),
            Some("This class is abstract and cannot be created. Did you mean a.Has$Key?")
        );
        assert_eq!(plugins.abstract_class("a.Plain"), None);
    }

    #[test]
    fn an_unknown_connector_is_refused_by_name() {
        let error = Plugins::new(&[]).connector("X").expect_err("unknown");
        assert_eq!(
            error.message,
            "Failed to find any class that implements Connector and which name matches X, \
             available connectors are: "
        );
    }
}
