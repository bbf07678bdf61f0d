//! The options, held against the JVM's.

use super::PLUGINS;

/// An option as the JVM's `GET /connector-plugins/CLASS/config` shows it, without documentation.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct RecordedKey {
    name: String,
    r#type: String,
    required: bool,
    default_value: Option<String>,
    importance: String,
    group: Option<String>,
    width: String,
    display_name: String,
    dependents: Vec<String>,
    #[serde(rename = "order_in_group")]
    order: i32,
}

#[test]
fn definitions_are_those_of_the_jvm() {
    let recorded: indexmap::IndexMap<String, Vec<RecordedKey>> =
        serde_json::from_str(include_str!("../tests/data/definitions.json")).expect("recorded");
    for plugin in PLUGINS {
        let ours: Vec<RecordedKey> = (plugin.config)()
            .keys()
            .map(|key| RecordedKey {
                name: key.name.clone(),
                r#type: key.kind.name().to_owned(),
                required: key.default == connect_api::config::Default::Required,
                default_value: key.default_text(),
                importance: key.importance.name().to_owned(),
                group: key.group.clone(),
                width: key.width.name().to_owned(),
                display_name: key.display_name.clone(),
                dependents: key.dependents.clone(),
                order: key.order_in_group,
            })
            .collect();
        assert_eq!(Some(&ours), recorded.get(plugin.class), "{}", plugin.class);
        assert!(
            (plugin.config)()
                .keys()
                .all(|key| !key.documentation.is_empty())
        );
    }
}
