//! `topic.creation.*`: topics that a source creates before it first writes to them.
//!
//! Answers for `TopicCreation`, `TopicCreationGroup` and `NewTopicCreationGroup`.

use connect_api::config::props_with_prefix;
use connect_api::java::Regex;
use connect_api::{Error, Props, Result};

use crate::kafka::admin::TopicPlan;

/// The settings of one group of topics.
#[derive(Debug)]
struct Group {
    name: String,
    include: Option<Regex>,
    exclude: Option<Regex>,
    partitions: i32,
    replication_factor: i32,
    config: Vec<(String, String)>,
}

/// A connector's groups, the default one last.
#[derive(Debug)]
pub struct TopicCreation {
    groups: Vec<Group>,
}

const PREFIX: &str = "topic.creation.";

impl TopicCreation {
    /// A connector's groups; `None` where the broker's own creation of topics serves.
    ///
    /// # Errors
    /// A value is missing or wrong.
    pub fn new(props: &Props) -> Result<Option<Self>> {
        if !props.keys().any(|key| key.starts_with(PREFIX)) {
            return Ok(None);
        }
        let number = |key: &str, what: &str, default: Option<i32>| -> Result<i32> {
            let Some(text) = props.get(key).map(|text| text.trim()) else {
                return default.ok_or_else(|| {
                    Error::config(format!(
                        "Missing required configuration \"{key}\" which has no default value."
                    ))
                });
            };
            text.parse::<i32>()
                .ok()
                .filter(|number| *number >= 1 || *number == -1)
                .ok_or_else(|| {
                    // Validators are told the name within the group.
                    let name = key.splitn(4, '.').last().unwrap_or(key);
                    Error::config(format!(
                        "Invalid value {text} for configuration {name}: {what}"
                    ))
                })
        };
        let replicas = "Replication factor must be positive and not larger than the number of \
                        brokers in the Kafka cluster, or -1 to use the broker's default";
        let partitions = "Number of partitions must be positive, or -1 to use the broker's default";
        let of = |group: &str, key: &str| format!("{PREFIX}{group}.{key}");
        let default_replicas = number(&of("default", "replication.factor"), replicas, None)?;
        let default_partitions = number(&of("default", "partitions"), partitions, None)?;
        let names = props
            .get("topic.creation.groups")
            .map_or("", String::as_str);
        let names = names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty() && *name != "default");
        let mut groups = Vec::new();
        for name in names.chain(["default"]) {
            let regex = |key: &str| match props.get(&of(name, key)).filter(|_| name != "default") {
                Some(list) if !list.trim().is_empty() => {
                    let items: Vec<&str> = list.split(',').map(str::trim).collect();
                    Regex::new(&items.join("|")).map(Some).map_err(|error| {
                        Error::config(format!("Syntax error in regular expression: {error}"))
                    })
                }
                _ => Ok(None),
            };
            groups.push(Group {
                include: regex("include")?,
                exclude: regex("exclude")?,
                partitions: number(
                    &of(name, "partitions"),
                    partitions,
                    Some(default_partitions),
                )?,
                replication_factor: number(
                    &of(name, "replication.factor"),
                    replicas,
                    Some(default_replicas),
                )?,
                config: props_with_prefix(props, &of(name, ""))
                    .into_iter()
                    .filter(|(key, _)| {
                        !["include", "exclude", "partitions", "replication.factor"]
                            .contains(&key.as_str())
                    })
                    .collect(),
                name: name.to_owned(),
            });
        }
        Ok(Some(Self { groups }))
    }

    /// How a topic is to be created, and by which group's settings.
    pub fn plan(&self, topic: &str) -> Option<(TopicPlan, &str)> {
        let matches = |group: &&Group| {
            group.name == "default"
                || group
                    .include
                    .as_ref()
                    .is_some_and(|include| include.matches(topic))
                    && !group
                        .exclude
                        .as_ref()
                        .is_some_and(|exclude| exclude.matches(topic))
        };
        let group = self.groups.iter().find(matches)?;
        let plan = TopicPlan {
            name: topic.to_owned(),
            partitions: group.partitions,
            replication_factor: group.replication_factor,
            config: group.config.clone(),
        };
        Some((plan, &group.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn creation(entries: &[(&str, &str)]) -> Result<Option<TopicCreation>> {
        TopicCreation::new(
            &entries
                .iter()
                .map(|&(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        )
    }

    #[test]
    fn the_first_group_that_includes_a_topic_and_does_not_exclude_it_creates_it() {
        let creation = creation(&[
            ("topic.creation.groups", "big, small"),
            ("topic.creation.default.replication.factor", "3"),
            ("topic.creation.default.partitions", "1"),
            ("topic.creation.big.include", "db\\..*,x"),
            ("topic.creation.big.exclude", "db\\.tiny"),
            ("topic.creation.big.partitions", "12"),
            ("topic.creation.big.cleanup.policy", "compact"),
            ("topic.creation.small.include", ".*tiny"),
            ("topic.creation.small.replication.factor", "-1"),
        ])
        .expect("valid")
        .expect("given");
        let check = |topic: &str, group: &str, partitions: i32, replicas: i32| {
            let (plan, name) = creation.plan(topic).expect("the default takes all");
            assert_eq!(
                (name, plan.partitions, plan.replication_factor),
                (group, partitions, replicas),
                "{topic}"
            );
        };
        check("db.orders", "big", 12, 3);
        check("db.tiny", "small", 1, -1);
        check("other", "default", 1, 3);
        let (plan, _) = creation.plan("x").expect("the default takes all");
        assert_eq!(
            plan.config,
            [("cleanup.policy".to_owned(), "compact".to_owned())]
        );
    }

    #[test]
    fn without_such_keys_the_broker_creates_topics_and_wrong_values_are_refused() {
        assert!(creation(&[("topics", "x")]).expect("valid").is_none());
        let error =
            creation(&[("topic.creation.default.partitions", "1")]).expect_err("incomplete");
        assert!(
            error
                .message()
                .contains("topic.creation.default.replication.factor")
        );
        assert!(
            creation(&[
                ("topic.creation.default.partitions", "0"),
                ("topic.creation.default.replication.factor", "1")
            ])
            .is_err()
        );
    }
}
