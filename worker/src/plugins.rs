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

/// Plugins of Java's workers of a kind that no connector can name; their aliases are taken.
const POLICIES: [&str; 4] = [
    "org.apache.kafka.connect.connector.policy.AllConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.connector.policy.AllowlistConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy",
];

/// Interfaces of plugins.
const INTERFACES: [(&str, &[PluginKind]); 4] = [
    (
        "org.apache.kafka.connect.storage.Converter",
        &[PluginKind::Converter],
    ),
    (
        "org.apache.kafka.connect.storage.HeaderConverter",
        &[PluginKind::HeaderConverter],
    ),
    (
        "org.apache.kafka.connect.transforms.Transformation",
        &[PluginKind::Transformation],
    ),
    (
        "org.apache.kafka.connect.transforms.predicates.Predicate",
        &[PluginKind::Predicate],
    ),
];

/// A class that is none of the plugins, though a JVM has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// A plugin of a kind without options.
    Policy,
    /// One that anybody can make: Kafka's serializers.
    Plain,
    /// One that only the JDK can make.
    Jdk,
    /// An interface.
    Interface,
}

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
        for class in POLICIES {
            let simple = class.rsplit_once('.').map_or(class, |(_, simple)| simple);
            let cut = simple.strip_suffix("ConnectorClientConfigOverridePolicy");
            for alias in [Some(simple), cut].into_iter().flatten() {
                aliases
                    .entry(alias.to_owned())
                    .and_modify(|known| known.add(class))
                    .or_insert(Alias::One(class));
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

    /// What is said of a class that is no plugin of `kind`, though in Java it implements the kind's
    /// interface: one whose inner classes are the plugins, the interface itself, or the class above
    /// some.
    pub fn abstract_class(&self, kind: PluginKind, class: &str) -> Option<String> {
        const ABSTRACT: &str = "This class is abstract and cannot be created.";
        let inner: Vec<&str> = self
            .of_kind(kind)
            .map(|plugin| plugin.class)
            .filter(|known| is_inner(known, class))
            .collect();
        if !inner.is_empty() {
            return Some(format!("{ABSTRACT} Did you mean {}?", inner.join(", ")));
        }
        const NUMBERS: (&str, &[PluginKind]) = (
            "org.apache.kafka.connect.converters.NumberConverter",
            &[PluginKind::Converter, PluginKind::HeaderConverter],
        );
        INTERFACES
            .into_iter()
            .chain([NUMBERS])
            .any(|(name, kinds)| name == class && kinds.contains(&kind))
            .then(|| ABSTRACT.to_owned())
    }

    /// A class that is none of the plugins, though a JVM has it: what people name by mistake.
    pub fn other(&self, name: &str) -> Option<Other> {
        other_class(self.class(name))
    }

    /// A class that Java would find, as it describes it (`Class.toString`).
    pub fn described(&self, name: &str) -> Option<String> {
        let class = self.class(name);
        let around = |plugin: &&Plugin| plugin.class == class || is_inner(plugin.class, class);
        match self.other(class) {
            Some(Other::Interface) => Some(format!("interface {class}")),
            Some(_) => Some(format!("class {class}")),
            None => (self.all.iter().any(around)
                || self.abstract_class(PluginKind::Converter, class).is_some())
            .then(|| format!("class {class}")),
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

/// Whether `inner` is a class inside `outer`.
fn is_inner(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.starts_with('$'))
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

/// A class that is none of the plugins, though a JVM has it: what people name by mistake.
pub fn other_class(class: &str) -> Option<Other> {
    if POLICIES.contains(&class) {
        return Some(Other::Policy);
    }
    if INTERFACES.iter().any(|(interface, _)| *interface == class) {
        return Some(Other::Interface);
    }
    let (package, simple) = class.rsplit_once('.')?;
    const NUMBERS: &[&str] = &["Double", "Float", "Integer", "Long", "Short"];
    const TYPES: &[&str] = &[
        "Boolean",
        "ByteArray",
        "ByteBuffer",
        "Bytes",
        "List",
        "String",
        "UUID",
        "Void",
    ];
    let serializes = |simple: &str| {
        let of = simple
            .strip_suffix("Serializer")
            .or_else(|| simple.strip_suffix("Deserializer"));
        of.is_some_and(|of| NUMBERS.contains(&of) || TYPES.contains(&of))
    };
    match (package, simple) {
        ("org.apache.kafka.common.serialization", "Serializer" | "Deserializer" | "Serde")
        | ("java.util", "Collection" | "List" | "Map" | "Set") => Some(Other::Interface),
        ("org.apache.kafka.common.serialization", simple) if serializes(simple) => {
            Some(Other::Plain)
        }
        (
            "java.lang",
            "Boolean" | "Byte" | "Character" | "Class" | "Number" | "Object" | "String",
        )
        | ("java.math", "BigDecimal" | "BigInteger")
        | ("java.util", "ArrayList" | "Date" | "HashMap" | "HashSet" | "Properties" | "UUID") => {
            Some(Other::Jdk)
        }
        ("java.lang", number) if NUMBERS.contains(&number) => Some(Other::Jdk),
        _ => None,
    }
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
        let said = |class| plugins.abstract_class(PluginKind::Predicate, class);
        assert_eq!(
            said("a.Has").as_deref(),
            Some("This class is abstract and cannot be created. Did you mean a.Has$Key?")
        );
        assert_eq!(said("a.Plain"), None);
        assert_eq!(
            plugins.abstract_class(PluginKind::Converter, "a.Has"),
            None,
            "it is no converter at all"
        );
    }

    #[test]
    fn classes_that_only_a_jvm_has_are_known_and_described() {
        let plugins = Plugins::new(&[&LIST]);
        let described = |name: &str| plugins.described(name);
        let check = |name: &str, text: &str| assert_eq!(described(name).as_deref(), Some(text));
        check("a.Has", "class a.Has");
        check("Topic", "class c.TopicPredicate");
        check("java.lang.String", "class java.lang.String");
        check("java.util.Map", "interface java.util.Map");
        check(
            "org.apache.kafka.common.serialization.StringSerializer",
            "class org.apache.kafka.common.serialization.StringSerializer",
        );
        check(
            "None",
            "class org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy",
        );
        check(
            "org.apache.kafka.connect.storage.Converter",
            "interface org.apache.kafka.connect.storage.Converter",
        );
        assert_eq!(described("String"), None);
        assert_eq!(described("a.Nope"), None);
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
