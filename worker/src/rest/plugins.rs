//! `/connector-plugins` (`ConnectorPluginsResource`).

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, put};
use connect_api::config::ConfigDef;
use connect_api::plugin::PluginKind;
use serde::Serialize;

use super::body::{Infos, Key};
use super::{Api, Body, Call, json_body, ok, resource};
use crate::herder::request::{Refusal, RequestError};
use crate::herder::validate::KeyInfo;
use crate::plugins::{Other, Plugins};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/connector-plugins", resource(&["GET"], get(list)))
        .route(
            "/connector-plugins/{plugin}/config",
            resource(&["GET"], get(config)),
        )
        .route(
            "/connector-plugins/{plugin}/config/validate",
            resource(&["PUT"], put(validate)),
        )
}

async fn list(call: Call, State(api): State<Api>) -> Response {
    #[derive(Serialize)]
    struct PluginInfo {
        class: &'static str,
        #[serde(rename = "type")]
        kind: &'static str,
        version: &'static str,
    }
    let connectors_only = call.flag("connectorsOnly", true);
    let shown = |plugin: &&&'static connect_api::plugin::Plugin| match plugin.kind() {
        PluginKind::Sink | PluginKind::Source => true,
        PluginKind::ConfigProvider => false,
        _ => !connectors_only,
    };
    let infos: Vec<PluginInfo> = api
        .validator
        .plugins
        .all()
        .iter()
        .filter(shown)
        .map(|plugin| PluginInfo {
            class: plugin.class,
            kind: plugin.kind().name(),
            version: plugin.version,
        })
        .collect();
    ok(&infos)
}

/// The plugin's own options, then those that every connector has.
async fn config(
    call: Call,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, RequestError> {
    let plugins = &api.validator.plugins;
    let versions = call.params("version");
    // What is no version is refused before anybody looks for the class.
    if let Some(wanted) = versions.first()
        && !Plugins::is_version(wanted)
    {
        return Err(RequestError::bad_request(format!(
            "Invalid version specification: {wanted}"
        )));
    }
    let plugin = plugins
        .any(&name)
        .ok_or_else(|| unknown(plugins, &name, versions.first().map(String::as_str)))?;
    if let Some(wanted) = versions.first()
        && let Some(why) = plugins.version_problem(plugin, wanted)
    {
        return Err(RequestError::bad_request(why));
    }
    let own = (plugin.config)();
    let framework = match plugin.kind() {
        PluginKind::Sink | PluginKind::Source => api.validator.framework_options(plugin),
        PluginKind::ConfigProvider => return Err(of_another_kind(&name)),
        _ => ConfigDef::new(),
    };
    let keys: Vec<KeyInfo> = own
        .keys()
        .chain(framework.keys().filter(|key| own.key(&key.name).is_none()))
        .filter(|key| !key.internal)
        .map(|key| KeyInfo::new(key, ""))
        .collect();
    Ok(ok(&keys.iter().map(Key).collect::<Vec<_>>()))
}

fn of_another_kind(name: &str) -> RequestError {
    RequestError::bad_request(format!(
        "Invalid plugin class {name}. Valid types are sink, source, converter, header_converter, \
         transformation, predicate."
    ))
}

/// A class that is no plugin: perhaps one that Java knows.
fn unknown(plugins: &Plugins, name: &str, version: Option<&str>) -> RequestError {
    let other = plugins.other(name);
    match (plugins.described(name), version) {
        (None, _) => RequestError::not_found(format!("Unknown plugin {name}.")),
        (Some(_), Some(_)) if other != Some(Other::Policy) => RequestError::bad_request(format!(
            "Plugin {name} is not part of Connect's plugin loading mechanism (ClassPath or Plugin Path)"
        )),
        _ if matches!(other, Some(Other::Policy | Other::Plain)) => of_another_kind(name),
        _ => RequestError::failure("Instantiation error"),
    }
}

async fn validate(
    _: Call,
    State(api): State<Api>,
    Path(name): Path<String>,
    Body(body): Body,
) -> Result<Response, RequestError> {
    let config = json_body::string_map(&body)?.ok_or_else(|| {
        RequestError::new(
            Refusal::Failure("java.lang.NullPointerException"),
            "Cannot invoke \"java.util.Map.get(Object)\" because \"connectorConfig\" is null",
        )
    })?;
    if let Some(class) = config.get("connector.class").and_then(Option::as_deref)
        && !short(class).ends_with(short(&name))
    {
        return Err(RequestError::bad_request(format!(
            "Included connector type {class} does not match request type {name}"
        )));
    }
    match api.validator.validate(config).await {
        Ok(infos) => Ok(ok(&Infos(&infos))),
        Err(error) => Err(with_class(error)),
    }
}

/// A class without the suffix that an alias may leave out.
fn short(class: &str) -> &str {
    match class.strip_suffix("Connector") {
        Some("") | None => class,
        Some(short) => short,
    }
}

/// Whatever fails in validation is a 500 that names the exception's class, as in Java.
fn with_class(error: RequestError) -> RequestError {
    let class = match error.refusal {
        Refusal::BadRequest => "org.apache.kafka.connect.runtime.rest.errors.BadRequestException",
        Refusal::NotFound => "org.apache.kafka.connect.errors.NotFoundException",
        Refusal::Failure(class) => class,
        Refusal::Conflict | Refusal::NotHere | Refusal::Forbidden | Refusal::Unavailable => {
            "org.apache.kafka.connect.errors.ConnectException"
        }
    };
    RequestError::failure(format!("{class}: {}", error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_only_a_jvm_has_is_refused_as_it_refuses_it() {
        let plugins = Plugins::new(&[]);
        let said = |name: &str| unknown(&plugins, name, None).message;
        assert_eq!(said("java.lang.String"), "Instantiation error");
        assert_eq!(said("Nope"), "Unknown plugin Nope.");
        let kinds =
            "Valid types are sink, source, converter, header_converter, transformation, predicate.";
        let serializer = "org.apache.kafka.common.serialization.StringSerializer";
        for name in [serializer, "None"] {
            assert_eq!(said(name), format!("Invalid plugin class {name}. {kinds}"));
        }
        assert_eq!(
            unknown(&plugins, serializer, Some("1")).message,
            format!(
                "Plugin {serializer} is not part of Connect's plugin loading mechanism (ClassPath or Plugin Path)"
            )
        );
    }

    #[test]
    fn refusals_of_validate_name_the_exception() {
        let error = with_class(RequestError::bad_request("no type"));
        assert_eq!(
            error.message,
            "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: no type"
        );
        assert_eq!(super::super::error::status(error.refusal).as_u16(), 500);
    }
}
