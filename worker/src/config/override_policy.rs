//! Which client settings a connector may override (`connector.client.config.override.policy`).
//!
//! One decision for validation and for the start of tasks. Answers for the
//! `ConnectorClientConfigOverridePolicy` classes of Kafka 4.3.

use connect_api::config::Config;
use connect_api::{Error, Result};

use super::definition::OVERRIDE_ALLOWLIST;

const KEY: &str = "connector.client.config.override.policy";
const INTERFACE: &str =
    "org.apache.kafka.connect.connector.policy.ConnectorClientConfigOverridePolicy";

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverridePolicy {
    /// Everything may be overridden.
    All,
    /// Nothing may.
    None,
    /// Who the client is may.
    Principal,
    /// What the worker lists may.
    Allowlist(Vec<String>),
}

impl OverridePolicy {
    /// The policy that a worker's options name, by class or alias.
    ///
    /// # Errors
    /// There is no such policy.
    pub fn of(options: &Config) -> Result<Self> {
        let name = options.string(KEY);
        let simple = match name.rsplit_once('.') {
            Some(("org.apache.kafka.connect.connector.policy", class)) => class,
            Some(_) => "",
            None => name,
        };
        let alias = simple
            .strip_suffix("ConnectorClientConfigOverridePolicy")
            .unwrap_or(simple);
        let policy = match alias {
            "All" => Self::All,
            "None" => Self::None,
            "Principal" => Self::Principal,
            "Allowlist" => Self::Allowlist(options.list(OVERRIDE_ALLOWLIST).to_vec()),
            _ => {
                return Err(Error::config(format!(
                    "Failed to find any class that implements interface {INTERFACE} and which name matches {name}"
                )));
            }
        };
        if policy == Self::Principal {
            tracing::warn!(
                "the policy Principal is deprecated: use Allowlist with {OVERRIDE_ALLOWLIST}={}",
                PRINCIPAL.join(",")
            );
        }
        Ok(policy)
    }

    /// What is said against overriding this setting.
    pub fn refusal(&self, setting: &str) -> Option<String> {
        let (name, allowed) = match self {
            Self::All => return None,
            Self::None => ("None", false),
            Self::Principal => ("Principal", PRINCIPAL.contains(&setting)),
            Self::Allowlist(list) => ("Allowlist", list.iter().any(|item| item == setting)),
        };
        (!allowed).then(|| {
            format!(
                "The '{name}' policy does not allow '{setting}' to be overridden in the connector configuration."
            )
        })
    }
}

const PRINCIPAL: [&str; 3] = ["sasl.jaas.config", "sasl.mechanism", "security.protocol"];

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};

    fn policy(name: &str, list: &str) -> Result<OverridePolicy> {
        let options = ConfigDef::new()
            .define(ConfigKey::new(KEY, Type::String, Importance::Medium))
            .define(ConfigKey::new(
                OVERRIDE_ALLOWLIST,
                Type::List,
                Importance::Low,
            ));
        let props = [(KEY, name), (OVERRIDE_ALLOWLIST, list)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        OverridePolicy::of(&options.parse(&props).expect("options"))
    }

    #[test]
    fn each_policy_allows_what_it_says() {
        let allows = |name: &str, setting: &str| {
            policy(name, "acks,linger.ms")
                .expect("a policy")
                .refusal(setting)
                .is_none()
        };
        assert!(allows("All", "acks"));
        assert!(!allows("None", "acks"));
        assert!(allows("Principal", "sasl.mechanism") && !allows("Principal", "acks"));
        assert!(allows("Allowlist", "acks") && !allows("Allowlist", "retries"));
        assert_eq!(
            policy("None", "")
                .expect("a policy")
                .refusal("acks")
                .as_deref(),
            Some(
                "The 'None' policy does not allow 'acks' to be overridden in the connector configuration."
            )
        );
    }

    #[test]
    fn class_names_are_taken_and_unknown_ones_refused() {
        let class =
            "org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy";
        assert_eq!(policy(class, "").expect("a policy"), OverridePolicy::None);
        assert!(policy("Nope", "").is_err());
        assert!(policy("com.acme.All", "").is_err());
    }
}
