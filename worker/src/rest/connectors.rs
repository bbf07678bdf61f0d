//! `/connectors` and all below it (`ConnectorsResource`).

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use connect_api::java;

use super::body::{Info, Offsets, State as StateBody, Status, Tasks};
use super::error::no_such_path;
use super::internal;
use super::{Api, Body, Call, json, json_body, ok, resource};
use crate::herder::request::{
    Answer, ConnectorInfo, RawConfig, Refusal, RequestError, TargetState,
};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route(
            "/connectors",
            resource(&["GET", "POST"], get(list).post(create)),
        )
        .route(
            "/connectors/{name}",
            resource(&["GET", "DELETE"], get(info).delete(delete)),
        )
        .route(
            "/connectors/{name}/config",
            resource(
                &["GET", "PUT", "PATCH"],
                get(config).put(put_config).patch(patch_config),
            ),
        )
        .route("/connectors/{name}/status", resource(&["GET"], get(status)))
        .route(
            "/connectors/{name}/tasks",
            resource(&["GET", "POST"], get(tasks).post(internal::put_tasks)),
        )
        .route(
            "/connectors/{name}/tasks/{task}/status",
            resource(&["GET"], get(task_status)),
        )
        .route(
            "/connectors/{name}/tasks/{task}/restart",
            resource(&["POST"], post(restart_task)),
        )
        .route(
            "/connectors/{name}/restart",
            resource(&["POST"], post(restart)),
        )
        .route("/connectors/{name}/pause", resource(&["PUT"], put(pause)))
        .route("/connectors/{name}/resume", resource(&["PUT"], put(resume)))
        .route("/connectors/{name}/stop", resource(&["PUT"], put(stop)))
        .route("/connectors/{name}/topics", resource(&["GET"], get(topics)))
        .route(
            "/connectors/{name}/topics/reset",
            resource(&["PUT"], put(reset_topics)),
        )
        .route(
            "/connectors/{name}/offsets",
            resource(
                &["GET", "PATCH", "DELETE"],
                get(offsets).patch(alter_offsets).delete(reset_offsets),
            ),
        )
}

/// The answer of a handler: refusals become bodies by [`RequestError`]'s own conversion.
type Reply = Result<Response, RequestError>;

/// What Java says when it is given no configuration (`{}` or `null`).
fn null_pointer(what: &str, variable: &str) -> RequestError {
    RequestError::new(
        Refusal::Failure("java.lang.NullPointerException"),
        format!("Cannot invoke \"{what}\" because \"{variable}\" is null"),
    )
}

async fn list(call: Call, State(api): State<Api>) -> Response {
    let names = api.herder.connectors();
    let expand = call.params("expand");
    if expand.is_empty() {
        return ok(&names);
    }
    let mut out: java::HashMap<String, java::HashMap<String, serde_json::Value>> =
        java::HashMap::new();
    for name in names {
        match expansions(&api, &name, &expand).await {
            Ok(expansions) => drop(out.insert(name, expansions)),
            // Removed while we look, or without status yet.
            Err(error) if error.refusal == Refusal::NotFound => {}
            Err(error) => return error.into_response(),
        }
    }
    ok(&out)
}

async fn expansions(
    api: &Api,
    name: &str,
    expand: &[String],
) -> Answer<java::HashMap<String, serde_json::Value>> {
    let value = |body: serde_json::Result<serde_json::Value>| {
        body.map_err(|error| RequestError::failure(error.to_string()))
    };
    let mut found = java::HashMap::new();
    for kind in expand {
        match kind.as_str() {
            "status" => {
                let status = api.herder.status(name)?;
                found.insert(kind.clone(), value(serde_json::to_value(Status(&status)))?);
            }
            "info" => {
                let info = api.herder.connector(name).await?;
                found.insert(kind.clone(), value(serde_json::to_value(Info(&info)))?);
            }
            _ => tracing::info!(expand = kind.as_str(), "passing over an unknown expansion"),
        }
    }
    Ok(found)
}

async fn create(call: Call, State(api): State<Api>, Body(body): Body) -> Reply {
    let request = json_body::create_request(&body)?.ok_or_else(|| {
        null_pointer(
            "org.apache.kafka.connect.runtime.rest.entities.CreateConnectorRequest.name()",
            "createRequest",
        )
    })?;
    // Java trims what is not above the space, and no other white space.
    let name = request
        .name
        .as_deref()
        .unwrap_or_default()
        .trim_matches(|character| character <= ' ')
        .to_owned();
    let config = named(&name, request.config)?;
    api.validator.check(config.clone()).await?;
    let (_, info) = api
        .herder
        .put_connector(&name, config, request.initial_state, false)
        .await?;
    created(&call, &info)
}

/// The configuration with its `name`, which is added last where it is missing.
fn named(name: &str, config: Option<RawConfig>) -> Answer<RawConfig> {
    let mut config =
        config.ok_or_else(|| null_pointer("java.util.Map.get(Object)", "connectorConfig"))?;
    match config.get("name").and_then(Option::as_deref) {
        Some(included) if included != name => Err(RequestError::bad_request(format!(
            "Connector name configuration ({included}) doesn't match connector name in the URL ({name})"
        ))),
        Some(_) => Ok(config),
        None => {
            config.insert("name".to_owned(), Some(name.to_owned()));
            Ok(config)
        }
    }
}

/// The answer for a new connector, with its address. In Java the address is made of a template, and
/// so fails for names that hold a variable of one: the connector is there nevertheless.
fn created(call: &Call, info: &ConnectorInfo) -> Reply {
    if let Some(variable) = template_variable(&info.name) {
        return Err(RequestError::new(
            Refusal::Failure("java.lang.IllegalArgumentException"),
            format!("The template variable '{variable}' has no value"),
        ));
    }
    let mut response = json(StatusCode::CREATED, &Info(info));
    let scheme = if call.tls { "https" } else { "http" };
    if let Ok(value) = location(scheme, call.host.as_deref(), &info.name).parse() {
        response.headers_mut().insert(header::LOCATION, value);
    }
    Ok(response)
}

/// The first `{variable}` of a name.
fn template_variable(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once('{')?;
    let (variable, _) = rest.split_once('}')?;
    let legal = |character: char| character.is_alphanumeric() || "_.-".contains(character);
    (!variable.is_empty() && variable.chars().all(legal)).then_some(variable)
}

/// Where a new connector is, for a client that asked at this host.
pub(super) fn location(scheme: &str, host: Option<&str>, name: &str) -> String {
    let host = host.unwrap_or("localhost");
    format!("{scheme}://{host}/connectors/{}", encode_path(name))
}

/// A name in a path as `UriBuilder.path` writes it: slashes stay, and so does what looks encoded.
fn encode_path(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let is_hex = |at: usize| name.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
    for (at, byte) in name.bytes().enumerate() {
        let is_encoded = byte == b'%' && is_hex(at + 1) && is_hex(at + 2);
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) || is_encoded {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

async fn info(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    Ok(ok(&Info(&api.herder.connector(&name).await?)))
}

async fn delete(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    api.herder.delete_connector(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn config(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    Ok(ok(&api.herder.connector(&name).await?.config))
}

async fn put_config(
    call: Call,
    State(api): State<Api>,
    Path(name): Path<String>,
    Body(body): Body,
) -> Reply {
    let config = named(&name, json_body::string_map(&body)?)?;
    api.validator.check(config.clone()).await?;
    let (new, info) = api.herder.put_connector(&name, config, None, true).await?;
    if new {
        created(&call, &info)
    } else {
        Ok(ok(&Info(&info)))
    }
}

/// RFC 7396 on a flat map: a null takes a key away. The name is not looked at, as in Java.
async fn patch_config(
    _: Call,
    State(api): State<Api>,
    Path(name): Path<String>,
    Body(body): Body,
) -> Reply {
    let patch = json_body::string_map(&body)?;
    let known = api.herder.connector(&name).await?.config;
    let patch = patch.ok_or_else(|| {
        null_pointer(
            "java.util.Map.forEach(java.util.function.BiConsumer)",
            "patch",
        )
    })?;
    let mut patched = java::HashMap::sized_for(known.len());
    for (key, value) in known {
        patched.insert(key, value);
    }
    for (key, value) in patch {
        match value {
            Some(value) => drop(patched.insert(key, Some(value))),
            None => drop(patched.remove(&key)),
        }
    }
    let config: RawConfig = patched
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    api.validator.check(config.clone()).await?;
    let (_, info) = api.herder.put_connector(&name, config, None, true).await?;
    Ok(ok(&Info(&info)))
}

async fn status(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    Ok(ok(&Status(&api.herder.status(&name)?)))
}

async fn tasks(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    let configs = api.herder.task_configs(&name).await?;
    Ok(ok(&Tasks(&name, &configs)))
}

/// A task's number in a path: Java's int.
fn task_number(text: &str) -> Answer<i32> {
    java::parse_long(text)
        .and_then(|number| i32::try_from(number).ok())
        .ok_or_else(no_such_path)
}

async fn task_status(
    _: Call,
    State(api): State<Api>,
    Path((name, task)): Path<(String, String)>,
) -> Reply {
    let task = task_number(&task)?;
    let Ok(number) = u32::try_from(task) else {
        return Err(RequestError::not_found(format!(
            "No status found for task {name}-{task}"
        )));
    };
    Ok(ok(&StateBody(
        Some(number),
        &api.herder.task_status(&name, number)?,
    )))
}

async fn restart_task(
    _: Call,
    State(api): State<Api>,
    Path((name, task)): Path<(String, String)>,
) -> Reply {
    let task = task_number(&task)?;
    let Ok(number) = u32::try_from(task) else {
        return Err(RequestError::not_found(format!(
            "Unknown task: {name}-{task}"
        )));
    };
    api.herder.restart_task(&name, number).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn restart(call: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    let include_tasks = call.flag("includeTasks", false);
    let only_failed = call.flag("onlyFailed", false);
    if !include_tasks && !only_failed {
        api.herder.restart_connector(&name).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let planned = api
        .herder
        .restart(&name, only_failed, include_tasks)
        .await?;
    Ok(json(StatusCode::ACCEPTED, &Status(&planned)))
}

async fn pause(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    api.herder
        .set_target_state(&name, TargetState::Paused)
        .await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn resume(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    api.herder
        .set_target_state(&name, TargetState::Started)
        .await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn stop(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    api.herder
        .set_target_state(&name, TargetState::Stopped)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn topics(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    if !api.config.options.bool("topic.tracking.enable") {
        return Err(RequestError::new(
            Refusal::Forbidden,
            "Topic tracking is disabled.",
        ));
    }
    let topics = serde_json::json!({ "topics": api.herder.active_topics(&name) });
    Ok(ok(&serde_json::Map::from_iter([(name, topics)])))
}

async fn reset_topics(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    let options = &api.config.options;
    let refuse = |message| Err(RequestError::new(Refusal::Forbidden, message));
    if !options.bool("topic.tracking.enable") {
        return refuse("Topic tracking is disabled.");
    }
    if !options.bool("topic.tracking.allow.reset") {
        return refuse("Topic tracking reset is disabled.");
    }
    api.herder.reset_active_topics(&name).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn offsets(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    Ok(ok(&Offsets(&api.herder.offsets(&name).await?)))
}

async fn alter_offsets(
    _: Call,
    State(api): State<Api>,
    Path(name): Path<String>,
    Body(body): Body,
) -> Reply {
    let changes = json_body::offsets(&body)?.ok_or_else(|| {
        null_pointer(
            "org.apache.kafka.connect.runtime.rest.entities.ConnectorOffsets.offsets()",
            "offsets",
        )
    })?;
    if changes.is_empty() {
        return Err(RequestError::bad_request(
            "Partitions / offsets need to be provided for an alter offsets request",
        ));
    }
    message(api.herder.alter_offsets(&name, Some(changes)).await?)
}

async fn reset_offsets(_: Call, State(api): State<Api>, Path(name): Path<String>) -> Reply {
    message(api.herder.alter_offsets(&name, None).await?)
}

fn message(text: String) -> Reply {
    Ok(ok(&serde_json::json!({ "message": text })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_keeps_slashes_and_encodes_the_rest() {
        assert_eq!(encode_path("a b/c%é"), "a%20b/c%25%C3%A9");
        assert_eq!(encode_path("a%2Fb%2"), "a%2Fb%252");
    }

    #[test]
    fn a_tasks_number_is_an_int_of_java() {
        assert_eq!(task_number("+٣"), Ok(3));
        assert!(task_number("2147483648").is_err());
        assert!(task_number("x").is_err());
    }

    #[test]
    fn a_name_that_holds_a_template_variable_has_no_address() {
        assert_eq!(template_variable("a{x}b"), Some("x"));
        assert_eq!(template_variable("a{}b"), None);
        assert_eq!(template_variable("a}x{"), None);
    }

    #[test]
    fn a_missing_name_is_added_last_and_a_different_one_refused() {
        let config = |entries: &[(&str, &str)]| -> RawConfig {
            entries
                .iter()
                .map(|&(key, value)| (key.to_owned(), Some(value.to_owned())))
                .collect()
        };
        let named = |map| super::named("c", Some(map));
        assert_eq!(
            named(config(&[("x", "1")]))
                .expect("named")
                .keys()
                .collect::<Vec<_>>(),
            ["x", "name"]
        );
        let error = named(config(&[("name", "d")])).expect_err("refused");
        assert_eq!(
            error.message,
            "Connector name configuration (d) doesn't match connector name in the URL (c)"
        );
        let error = super::named("c", None).expect_err("refused");
        assert_eq!(
            error.message,
            "Cannot invoke \"java.util.Map.get(Object)\" because \"connectorConfig\" is null"
        );
    }
}
