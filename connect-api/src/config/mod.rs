//! Options: declared once, with everything that parsing, validation and documentation need.
//!
//! A [`ConfigDef`] is a list of [`ConfigKey`]s. [`ConfigDef::parse`] gives typed values or all
//! problems at once, [`ConfigDef::validate`] gives what the validate endpoint shows for each key.
//! Parsing never connects to anything. Answers for
//! `org.apache.kafka.common.config.{ConfigDef, AbstractConfig, ConfigValue}`.

mod kind;
mod validator;

use std::collections::HashMap;
use std::sync::Arc;

pub use kind::{Parsed, Type, join_list};
pub use validator::{
    Validator, any_of, any_of_ignoring_case, at_least, between, check_text, list_rules, non_empty,
    non_empty_without_control, non_null, regex_list, within,
};

use crate::{Error, Props, Result};

/// How much a user has to care (`ConfigDef.Importance`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Importance {
    /// Has to be thought about.
    High,
    /// May matter.
    Medium,
    /// Rarely matters.
    Low,
}

impl Importance {
    /// `HIGH`, `MEDIUM`, `LOW`.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

/// How wide a form shows the field (`ConfigDef.Width`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// Unsaid.
    #[default]
    None,
    /// Short.
    Short,
    /// Medium.
    Medium,
    /// Long.
    Long,
}

impl Width {
    /// `NONE`, `SHORT`, `MEDIUM`, `LONG`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}

/// What stands in for a missing value.
#[derive(Clone, Debug, std::default::Default, PartialEq, Eq)]
pub enum Default {
    /// Nothing: the key is required (`NO_DEFAULT_VALUE`).
    #[default]
    Required,
    /// Java's `null`.
    Null,
    /// This text, parsed like a given one.
    Text(String),
}

/// Recommended values and visibility, given the whole configuration (`ConfigDef.Recommender`).
pub type Recommender = Arc<dyn Fn(&str, &Values) -> Recommendation + Send + Sync>;

/// What a recommender says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recommendation {
    /// Values to choose from.
    pub values: Vec<String>,
    /// Whether a form shows the key.
    pub visible: bool,
}

/// Parsed values by key; `None` is Java's `null`.
pub type Values = HashMap<String, Option<Parsed>>;

/// One option.
#[derive(Clone)]
pub struct ConfigKey {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// What stands in for a missing value.
    pub default: Default,
    /// What else has to hold for a value.
    pub validator: Option<Validator>,
    /// How much a user has to care.
    pub importance: Importance,
    /// What it means, in our own words.
    pub documentation: String,
    /// The heading under which a form shows it.
    pub group: Option<String>,
    /// Its place under the heading; -1 where there is none.
    pub order_in_group: i32,
    /// How wide a form shows it.
    pub width: Width,
    /// Its label; the name where none is given.
    pub display_name: String,
    /// Keys that are looked at after this one.
    pub dependents: Vec<String>,
    /// Recommended values and visibility.
    pub recommender: Option<Recommender>,
    /// Whether it is hidden from answers (`internalConfig`).
    pub internal: bool,
    /// Whether what stands twice in its LIST counts once. Validation still speaks of it.
    pub distinct: bool,
}

impl std::fmt::Debug for ConfigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} = {:?}", self.name, self.kind, self.default)
    }
}

impl ConfigKey {
    /// An option without default: a value is required until [`Self::default`] or
    /// [`Self::default_null`] says otherwise.
    pub fn new(name: impl Into<String>, kind: Type, importance: Importance) -> Self {
        let name = name.into();
        Self {
            display_name: name.clone(),
            name,
            kind,
            default: Default::Required,
            validator: None,
            importance,
            documentation: String::new(),
            group: None,
            order_in_group: -1,
            width: Width::None,
            dependents: Vec::new(),
            recommender: None,
            internal: false,
            distinct: false,
        }
    }
    /// The default, as text.
    #[must_use]
    pub fn default(mut self, text: impl ToString) -> Self {
        self.default = Default::Text(text.to_string());
        self
    }
    /// Java's `null` as default.
    #[must_use]
    pub fn default_null(mut self) -> Self {
        self.default = Default::Null;
        self
    }
    /// What else has to hold.
    #[must_use]
    pub fn validator(mut self, validator: Validator) -> Self {
        self.validator = Some(validator);
        self
    }
    /// What it means.
    #[must_use]
    pub fn doc(mut self, text: impl Into<String>) -> Self {
        self.documentation = text.into();
        self
    }
    /// Where and how a form shows it.
    #[must_use]
    pub fn group(
        mut self,
        group: impl Into<String>,
        order: i32,
        width: Width,
        display_name: impl Into<String>,
    ) -> Self {
        self.group = Some(group.into());
        self.order_in_group = order;
        self.width = width;
        self.display_name = display_name.into();
        self
    }
    /// Width and label without a group.
    #[must_use]
    pub fn display(mut self, width: Width, display_name: impl Into<String>) -> Self {
        self.width = width;
        self.display_name = display_name.into();
        self
    }
    /// Keys that are looked at after this one.
    #[must_use]
    pub fn dependents(mut self, names: &[&str]) -> Self {
        self.dependents = names.iter().map(|&name| name.to_owned()).collect();
        self
    }
    /// Recommended values and visibility.
    #[must_use]
    pub fn recommender(
        mut self,
        recommender: impl Fn(&str, &Values) -> Recommendation + Send + Sync + 'static,
    ) -> Self {
        self.recommender = Some(Arc::new(recommender));
        self
    }
    /// Hidden from answers.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }
    /// What stands twice in the LIST counts once.
    #[must_use]
    pub fn distinct(mut self) -> Self {
        self.distinct = true;
        self
    }
    /// The default as answers show it: `null` for a required key and for a null.
    pub fn default_text(&self) -> Option<String> {
        match &self.default {
            Default::Required | Default::Null => None,
            Default::Text(text) => {
                let parsed = Parsed::parse(&self.name, self.kind, text).ok();
                Some(parsed.map_or_else(|| text.clone(), |parsed| parsed.shown()))
            }
        }
    }
}

/// The value of one key with what validation found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigValue {
    /// The key.
    pub name: String,
    /// The value as answers show it: passwords hidden, lists joined by commas.
    pub value: Option<String>,
    /// Values to choose from.
    pub recommended_values: Vec<String>,
    /// What is wrong with it, a full sentence each.
    pub errors: Vec<String>,
    /// Whether a form shows it.
    pub visible: bool,
}

/// All options of something, in the order in which they were declared.
#[derive(Clone, Debug, Default)]
pub struct ConfigDef {
    keys: indexmap::IndexMap<String, ConfigKey>,
    /// Keys that are given as null.
    nulls: Vec<String>,
}

impl ConfigDef {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }
    /// The same where some keys are given as null, which stands for no default and is not missing.
    #[must_use]
    pub fn with_nulls(mut self, names: &[&str]) -> Self {
        self.nulls = names.iter().map(|&name| name.to_owned()).collect();
        self
    }
    /// Adds an option; one of the same name is replaced in its place.
    #[must_use]
    pub fn define(mut self, key: ConfigKey) -> Self {
        self.add(key);
        self
    }
    /// Adds an option; one of the same name is replaced in its place.
    pub fn add(&mut self, key: ConfigKey) {
        self.keys.insert(key.name.clone(), key);
    }
    /// The options.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &ConfigKey> {
        self.keys.values()
    }
    /// One option.
    pub fn key(&self, name: &str) -> Option<&ConfigKey> {
        self.keys.get(name)
    }
    /// The groups in the order in which they first appear.
    pub fn groups(&self) -> Vec<String> {
        let mut groups: Vec<String> = Vec::new();
        for group in self.keys().filter_map(|key| key.group.as_ref()) {
            if !groups.contains(group) {
                groups.push(group.clone());
            }
        }
        groups
    }

    /// Typed values of all options. Unknown keys are passed over.
    ///
    /// # Errors
    /// Kind Config with the first problem's text as `ConfigException` gives it; the others follow
    /// as causes.
    pub fn parse(&self, props: &Props) -> Result<Config> {
        let (values, mut problems) = self.check(props, true);
        let mut found: Vec<String> = self
            .keys
            .keys()
            .flat_map(|key| problems.remove(key).unwrap_or_default())
            .collect();
        if found.is_empty() {
            return Ok(Config {
                values,
                originals: props.clone(),
            });
        }
        let first = found.remove(0);
        let error = Error::config(first);
        Err(match found.is_empty() {
            true => error,
            false => error.with_source(format!("also: {}", found.join("; "))),
        })
    }

    /// What the validate endpoint shows for each option, in the order of declaration.
    pub fn validate(&self, props: &Props) -> Vec<ConfigValue> {
        let (values, mut problems) = self.check(props, false);
        self.keys()
            .map(|key| {
                let advice = key
                    .recommender
                    .as_ref()
                    .map(|advise| advise(&key.name, &values));
                let (recommended_values, visible) =
                    advice.map_or((Vec::new(), true), |advice| (advice.values, advice.visible));
                ConfigValue {
                    name: key.name.clone(),
                    value: values
                        .get(&key.name)
                        .and_then(Option::as_ref)
                        .map(Parsed::shown),
                    recommended_values,
                    errors: problems.remove(&key.name).unwrap_or_default(),
                    visible,
                }
            })
            .collect()
    }

    fn check(&self, props: &Props, distinct: bool) -> (Values, HashMap<String, Vec<String>>) {
        let mut values = Values::with_capacity(self.keys.len());
        let mut problems: HashMap<String, Vec<String>> = HashMap::new();
        for key in self.keys() {
            let mut found = Vec::new();
            let given = match (props.get(&key.name), &key.default) {
                (Some(text), _) => Some(text),
                (None, _) if self.nulls.contains(&key.name) => None,
                (None, Default::Text(text)) => Some(text),
                (None, Default::Null) => None,
                (None, Default::Required) => {
                    found.push(format!(
                        "Missing required configuration \"{}\" which has no default value.",
                        key.name
                    ));
                    None
                }
            };
            let mut value = given.and_then(|text| {
                Parsed::parse(&key.name, key.kind, text)
                    .map_err(|why| found.push(why))
                    .ok()
            });
            if let (true, Some(Parsed::List(items))) = (distinct && key.distinct, &mut value) {
                let mut seen = std::collections::HashSet::new();
                items.retain(|item| seen.insert(item.clone()));
            }
            // As in Java, also on the null that a missing value or a failed parse leaves.
            if let Some(Err(why)) = key
                .validator
                .as_ref()
                .map(|validator| validator(&key.name, value.as_ref()))
            {
                found.push(why);
            }
            if !found.is_empty() {
                problems.insert(key.name.clone(), found);
            }
            values.insert(key.name.clone(), value);
        }
        (values, problems)
    }
}

/// Typed values of a configuration (`AbstractConfig`). The getters are for keys of the definition
/// it was parsed by.
#[derive(Clone, Debug, std::default::Default)]
pub struct Config {
    values: Values,
    originals: Props,
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident, $optional:ident -> $type:ty, $pattern:pat => $value:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Panics
        /// The key is not one of the definition's, has another type, or may be null and is:
        /// faults of the caller's code, not of a configuration.
        pub fn $name(&self, key: &str) -> $type {
            self.$optional(key).unwrap_or_else(|| panic!("{key} is null or of another type"))
        }
        /// The same, `None` for null.
        pub fn $optional(&self, key: &str) -> Option<$type> {
            match self.values.get(key)? {
                Some($pattern) => Some($value),
                _ => None,
            }
        }
    )*};
}

impl Config {
    getters! {
        /// A BOOLEAN.
        bool, bool_opt -> bool, Parsed::Boolean(value) => *value;
        /// An INT, SHORT or LONG.
        int, int_opt -> i64, Parsed::Int(value) => *value;
        /// A DOUBLE.
        double, double_opt -> f64, Parsed::Double(value) => *value;
        /// A STRING, CLASS or PASSWORD, in clear.
        string, string_opt -> &str, Parsed::String(value) | Parsed::Class(value) | Parsed::Password(value) => value;
        /// A LIST.
        list, list_opt -> &[String], Parsed::List(value) => value;
    }
    /// Everything that was given, unknown keys too.
    pub fn originals(&self) -> &Props {
        &self.originals
    }
    /// What was given under a prefix, the prefix cut off.
    pub fn with_prefix(&self, prefix: &str) -> Props {
        props_with_prefix(&self.originals, prefix)
    }
}

/// The entries whose keys begin with `prefix`, the prefix cut off
/// (`AbstractConfig.originalsWithPrefix`).
pub fn props_with_prefix(props: &Props, prefix: &str) -> Props {
    props
        .iter()
        .filter_map(|(key, value)| Some((behind_prefix(key, prefix)?.to_owned(), value.clone())))
        .collect()
}

/// What of a key follows the prefix; none where nothing does.
pub fn behind_prefix<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    key.strip_prefix(prefix).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_alone_is_no_entry() {
        let pair = |key: &str| (key.to_owned(), "x".to_owned());
        let props = Props::from_iter([pair("a."), pair("a.b"), pair("b.a.c")]);
        assert_eq!(
            props_with_prefix(&props, "a."),
            Props::from_iter([pair("b")])
        );
    }

    fn definition() -> ConfigDef {
        ConfigDef::new()
            .define(ConfigKey::new("name", Type::String, Importance::High))
            .define(
                ConfigKey::new("tasks.max", Type::Int, Importance::High)
                    .default(1)
                    .validator(at_least(1)),
            )
            .define(ConfigKey::new("secret", Type::Password, Importance::High).default_null())
            .define(ConfigKey::new("tables", Type::List, Importance::Low).default(""))
    }
    fn props(entries: &[(&str, &str)]) -> Props {
        entries
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn values_are_typed_and_defaults_fill_in() {
        let config = definition()
            .parse(&props(&[("name", " c "), ("tables", "a , b,")]))
            .expect("valid");
        assert_eq!(config.string("name"), "c");
        assert_eq!(config.int("tasks.max"), 1);
        assert_eq!(config.list("tables"), ["a", "b", ""]);
        assert_eq!(config.string_opt("secret"), None);
    }

    #[test]
    fn a_refusal_shows_the_text_as_it_was_given() {
        let values = definition().validate(&props(&[("name", "c"), ("tasks.max", " x ")]));
        let told = values.iter().flat_map(|value| &value.errors).next();
        assert_eq!(
            told.map(String::as_str),
            Some("Invalid value  x  for configuration tasks.max: Not a number of type INT")
        );
    }

    #[test]
    fn validation_says_everything_at_once_and_hides_passwords() {
        let values = definition().validate(&props(&[("tasks.max", "x"), ("secret", "s3")]));
        assert_eq!(
            values[0].errors,
            ["Missing required configuration \"name\" which has no default value."]
        );
        assert_eq!(
            values[1].errors,
            [
                "Invalid value x for configuration tasks.max: Not a number of type INT",
                "Invalid value null for configuration tasks.max: Value must be non-null"
            ]
        );
        assert_eq!(values[2].value.as_deref(), Some("[hidden]"));
        assert_eq!(values[3].value.as_deref(), Some(""));
    }
}
