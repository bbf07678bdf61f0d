//! Apicurio's options as Confluent's, for the mode in which its converter writes what Confluent's
//! writes: a four-byte id before the data. Its other modes are refused.

use crate::config::URL;
use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::{Error, Props, Result};

const PREFIX: &str = "apicurio.registry.";
/// Of version 2.
const AUTH_PREFIX: &str = "apicurio.auth.";
/// Where Apicurio serves Confluent's API.
const COMPATIBLE_PATH: &str = "/apis/ccompat/v7";
const STRATEGIES: &str = "io.confluent.kafka.serializers.subject.";

/// A converter's definition with the registry's address optional: Apicurio's own key may give it.
pub fn definition(converter: ConfigDef) -> ConfigDef {
    converter.define(
        ConfigKey::new(URL, Type::List, Importance::High)
            .default("")
            .doc("The registry's Confluent-compatible address, where apicurio.registry.url does not say it."),
    )
}

/// The options with Apicurio's translated; Confluent's that are there already stay.
///
/// # Errors
/// Kind Config: a mode that writes something else, or a strategy that is none here.
pub fn translated(props: &Props) -> Result<Props> {
    let mut out: Props = props
        .iter()
        .filter(|(key, _)| !key.starts_with(PREFIX) && !key.starts_with(AUTH_PREFIX))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let given = |key: &str| {
        props
            .get(&format!("{PREFIX}{key}"))
            .map(|value| value.trim())
    };
    let mut set = |key: &str, value: String| {
        out.entry(key.to_owned()).or_insert(value);
    };
    let url = given("url");
    if let Some(url) = url {
        let base = url.split_once("/apis/").map_or(url, |(base, _)| base);
        let base = base.trim_end_matches('/');
        set(URL, format!("{base}{COMPATIBLE_PATH}"));
    }
    // Version 2 of the converter writes eight bytes of a global id, or headers, unless told otherwise.
    let is_old = url.is_some_and(|url| url.contains("/apis/registry/v2"));
    let flag = |key: &str, default: bool| {
        given(key).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    };
    let four_bytes = given("id-handler").map_or(!is_old, |class| class.contains("4Byte"));
    let default_id = if is_old { "globalId" } else { "contentId" };
    // Confluent's API knows schemas by the ids of their contents.
    let by_content = given("use-id").unwrap_or(default_id) == "contentId";
    if !(flag("as-confluent", four_bytes) && by_content) || flag("headers.enabled", is_old) {
        return Err(Error::config(
            "Apicurio's converter is here in its Confluent-compatible mode only: set \
             apicurio.registry.as-confluent=true, apicurio.registry.use-id=contentId and \
             apicurio.registry.headers.enabled=false",
        ));
    }
    set(
        "auto.register.schemas",
        given("auto-register").unwrap_or("false").to_owned(),
    );
    if let Some(latest) = given("find-latest") {
        set("use.latest.version", latest.to_owned());
    }
    let strategy = match given("artifact-resolver-strategy") {
        None => "TopicNameStrategy",
        Some(class) if class.ends_with(".TopicIdStrategy") => "TopicNameStrategy",
        Some(class) if class.ends_with(".RecordIdStrategy") => "RecordNameStrategy",
        Some(class) if class.ends_with(".TopicRecordIdStrategy") => "TopicRecordNameStrategy",
        Some(class) => {
            return Err(Error::config(format!(
                "Invalid value {class} for configuration {PREFIX}artifact-resolver-strategy: no \
                 such strategy in Confluent-compatible mode"
            )));
        }
    };
    for side in ["key", "value"] {
        set(
            &format!("{side}.subject.name.strategy"),
            format!("{STRATEGIES}{strategy}"),
        );
    }
    // Version 2 has its credentials beside the other options, version 3 among them.
    let auth = |key: &str| {
        let old = || {
            props
                .get(&format!("{AUTH_PREFIX}{key}"))
                .map(|value| value.trim())
        };
        given(&format!("auth.{key}")).or_else(old)
    };
    let endpoint = auth("service.token.endpoint");
    if let (Some(endpoint), Some(id), Some(secret)) =
        (endpoint, auth("client.id"), auth("client.secret"))
    {
        set("bearer.auth.credentials.source", "OAUTHBEARER".to_owned());
        set("bearer.auth.issuer.endpoint.url", endpoint.to_owned());
        set("bearer.auth.client.id", id.to_owned());
        set("bearer.auth.client.secret", secret.to_owned());
        if let Some(scope) = auth("client.scope") {
            set("bearer.auth.scope", scope.to_owned());
        }
    } else if let (Some(user), Some(password)) = (auth("username"), auth("password")) {
        set("basic.auth.credentials.source", "USER_INFO".to_owned());
        set("basic.auth.user.info", format!("{user}:{password}"));
    }
    for store in ["keystore", "truststore"] {
        for part in ["location", "password", "type"] {
            if let Some(value) = given(&format!("request.ssl.{store}.{part}")) {
                set(
                    &format!("schema.registry.ssl.{store}.{part}"),
                    value.to_owned(),
                );
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated_from(entries: &[(&str, &str)]) -> Result<Props> {
        let props = entries
            .iter()
            .map(|&(key, value)| (format!("{PREFIX}{key}"), value.to_owned()))
            .collect();
        translated(&props)
    }

    #[test]
    fn the_address_becomes_the_compatible_one() {
        let props = translated_from(&[
            ("url", "http://r:8080/apis/registry/v2"),
            ("as-confluent", "true"),
            ("use-id", "contentId"),
            ("headers.enabled", "false"),
            ("auto-register", "true"),
            ("auth.username", "u"),
            ("auth.password", "p"),
        ])
        .expect("compatible");
        assert_eq!(props[URL], "http://r:8080/apis/ccompat/v7");
        assert_eq!(props["auto.register.schemas"], "true");
        assert_eq!(props["basic.auth.user.info"], "u:p");
        assert_eq!(
            props["value.subject.name.strategy"],
            "io.confluent.kafka.serializers.subject.TopicNameStrategy"
        );
    }

    #[test]
    fn credentials_of_both_versions_and_stores_are_taken() {
        let url = (
            "apicurio.registry.url".to_owned(),
            "http://r/apis/registry/v3".to_owned(),
        );
        for prefix in ["apicurio.registry.auth.", "apicurio.auth."] {
            let entries = [
                ("service.token.endpoint", "http://i/token"),
                ("client.id", "me"),
                ("client.secret", "s"),
            ];
            let props = entries
                .iter()
                .map(|(key, value)| (format!("{prefix}{key}"), (*value).to_owned()))
                .chain([url.clone()])
                .collect();
            let props = translated(&props).expect("compatible");
            assert_eq!(props["bearer.auth.credentials.source"], "OAUTHBEARER");
            assert_eq!(props["bearer.auth.client.id"], "me");
            assert!(props.keys().all(|key| !key.starts_with("apicurio.")));
        }
        let props = translated_from(&[
            ("url", "https://r/apis/registry/v3"),
            ("request.ssl.truststore.location", "/trust.jks"),
        ])
        .expect("compatible");
        assert_eq!(
            props["schema.registry.ssl.truststore.location"],
            "/trust.jks"
        );
    }

    #[test]
    fn other_modes_are_refused() {
        let old = [
            ("url", "http://r/apis/registry/v2"),
            (
                "id-handler",
                "io.apicurio.registry.serde.Legacy4ByteIdHandler",
            ),
            ("use-id", "contentId"),
            ("headers.enabled", "false"),
        ];
        translated_from(&old).expect("all that its defaults are not");
        for (missing, why) in [(1, "eight-byte ids"), (2, "global ids"), (3, "headers")] {
            let mut rest = old.to_vec();
            rest.remove(missing);
            translated_from(&rest).expect_err(why);
        }
        let new = ("url", "http://r/apis/registry/v3");
        translated_from(&[new, ("headers.enabled", "true")]).expect_err("ids in headers");
        translated_from(&[new, ("use-id", "globalId")]).expect_err("global ids");
        translated_from(&[new, ("as-confluent", "false")]).expect_err("eight-byte ids");
        translated_from(&[new, ("artifact-resolver-strategy", "my.Own")]).expect_err("unknown");
        translated_from(&[new]).expect("four-byte ids are the default there");
    }
}
