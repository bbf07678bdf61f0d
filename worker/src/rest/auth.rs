//! Basic authentication against a file of users, set up as on a JVM worker: the REST extension in
//! `rest.extension.classes`, the login module in the JAAS file that a `-D` in `KAFKA_OPTS` names.
//!
//! Never logs what it reads. Answers for `BasicAuthSecurityRestExtension`, `JaasBasicAuthFilter` and
//! `PropertyFileLoginModule`.

use std::collections::HashMap;

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connect_api::config::Config;
use connect_api::java::parse_properties;
use connect_api::{Error, Result};

use crate::herder::request::{Refusal, RequestError};
use crate::kafka::jaas;

const EXTENSION: &str =
    "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
const MODULE: &str = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
/// The section of the JAAS file.
const SECTION: &str = "KafkaConnect";
/// The system property that names the JAAS file.
const LOGIN_CONFIG: &str = "java.security.auth.login.config";
/// Where start scripts and the JVM itself look for system properties; a later one wins.
const OPTION_VARIABLES: [&str; 5] = [
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_OPTS",
    "EXTRA_ARGS",
];

/// Who may use the REST API.
pub struct BasicAuth {
    users: HashMap<String, String>,
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicAuth").finish_non_exhaustive()
    }
}

/// The extensions that the worker's options name; `environment` gives the variables.
///
/// # Errors
/// Kind Config: an extension is unknown, or the login cannot be set up.
pub fn of(
    options: &Config,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<BasicAuth>> {
    let mut found = None;
    for class in options.list("rest.extension.classes") {
        if class != EXTENSION
            && class != "BasicAuthSecurityRestExtension"
            && class != "BasicAuthSecurity"
        {
            return Err(Error::config(format!(
                "Failed to find any class that implements interface \
                 org.apache.kafka.connect.rest.ConnectRestExtension and which name matches {class}"
            )));
        }
        found = Some(BasicAuth::set_up(&environment)?);
    }
    Ok(found)
}

impl BasicAuth {
    fn set_up(environment: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let path = login_config(environment).ok_or_else(|| {
            Error::config(format!(
                "basic authentication needs a JAAS file: name it by -D{LOGIN_CONFIG}=FILE in KAFKA_OPTS"
            ))
        })?;
        let failed = |what: &str| Error::config(format!("{what} of basic authentication, {path}"));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| failed("reading the JAAS file").with_source(error))?;
        let module = section(&text, SECTION)
            .ok_or_else(|| failed(&format!("finding the section {SECTION} in the JAAS file")))?;
        let module = jaas::parse(module)
            .map_err(|error| failed("reading the JAAS file").with_source(error.to_owned()))?;
        if module.class != MODULE {
            return Err(failed(&format!(
                "the login module {} is not {MODULE}, which alone is known: the JAAS file",
                module.class
            )));
        }
        let users = module
            .options
            .get("file")
            .filter(|file| !file.is_empty())
            .ok_or_else(|| Error::config("Property Credentials file must be specified"))?;
        Self::read(users)
    }

    fn read(path: &str) -> Result<Self> {
        let failed = || Error::config(format!("Error loading Property Credentials file: {path}"));
        let bytes = std::fs::read(path).map_err(|error| failed().with_source(error))?;
        // A properties file is Latin-1, whatever editors make of it.
        let text: String = bytes.into_iter().map(char::from).collect();
        let users = parse_properties(&text).map_err(|error| failed().with_source(error))?;
        if users.is_empty() {
            tracing::warn!(
                file = path,
                "Credential properties is empty; all requests will be permitted"
            );
        }
        Ok(Self {
            users: users.into_iter().collect(),
        })
    }

    /// The refusal of a request that may not be answered.
    pub(super) fn refusal(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Response> {
        if is_internal(method, path) {
            return None;
        }
        let value = headers.get(header::AUTHORIZATION);
        let allowed = match value.and_then(|value| value.to_str().ok()).map(credentials) {
            Some(Ok(Some((user, password)))) => self.allows(&user, &password),
            Some(Err(why)) => return Some(why.into_response()),
            Some(Ok(None)) | None => self.users.is_empty(),
        };
        if allowed {
            return None;
        }
        // The type of the answer that would have come, though this is a plain text.
        let content_type = match *method {
            Method::OPTIONS => "text/plain",
            _ => "application/json",
        };
        let headers = [(header::CONTENT_TYPE, content_type)];
        Some(
            (
                StatusCode::UNAUTHORIZED,
                headers,
                "User cannot access the resource.",
            )
                .into_response(),
        )
    }

    fn allows(&self, user: &str, password: &str) -> bool {
        let known = self.users.get(user).map(String::as_bytes);
        self.users.is_empty() || known.is_some_and(|known| same(known, password.as_bytes()))
    }
}

/// Compares without telling by the time how far two texts agree.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |found, (a, b)| found | (a ^ b)) == 0
}

/// User and password; `None` where the header is of another kind.
fn credentials(header: &str) -> std::result::Result<Option<(String, String)>, RequestError> {
    let Some((scheme, encoded)) = header.split_once(' ') else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let refuse = |text: String| {
        RequestError::new(Refusal::Failure("java.lang.IllegalArgumentException"), text)
    };
    if let Some(byte) = encoded.bytes().find(|byte| !legal(byte)) {
        return Err(refuse(format!("Illegal base64 character {byte:x}")));
    }
    let decoded = STANDARD
        .decode(encoded)
        .or_else(|_| base64::engine::general_purpose::STANDARD_NO_PAD.decode(encoded))
        .map_err(|_| refuse("Input byte array has wrong 4-byte ending unit".to_owned()))?;
    let text = String::from_utf8_lossy(&decoded).into_owned();
    Ok(text
        .split_once(':')
        .map(|(user, password)| (user.to_owned(), password.to_owned())))
}

/// What workers ask each other is signed instead.
fn is_internal(method: &Method, path: &str) -> bool {
    let mut parts = path.trim_matches('/').split('/');
    let (first, name, last, end) = (parts.next(), parts.next(), parts.next(), parts.next());
    let there =
        first == Some("connectors") && name.is_some_and(|name| !name.is_empty()) && end.is_none();
    there
        && ((method == Method::POST && last == Some("tasks"))
            || (method == Method::PUT && last == Some("fence")))
}

/// The JAAS file that the options of the JVM name.
fn login_config(environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    let start = format!("-D{LOGIN_CONFIG}=");
    OPTION_VARIABLES
        .iter()
        .filter_map(|name| environment(name))
        .flat_map(|options| {
            options
                .split_whitespace()
                .filter_map(|option| {
                    option
                        .trim_matches(['"', '\''])
                        .strip_prefix(&start)
                        .map(str::to_owned)
                })
                .collect::<Vec<_>>()
        })
        .last()
}

/// What stands between the braces after `name`.
fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('{')?;
        let (inside, behind) = after.split_once('}')?;
        let label = before.trim_start_matches([';', ' ', '\t', '\r', '\n']);
        if label.lines().last().unwrap_or_default().trim() == name {
            return Some(inside.trim());
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(users: &[(&str, &str)]) -> BasicAuth {
        BasicAuth {
            users: users
                .iter()
                .map(|&(user, password)| (user.to_owned(), password.to_owned()))
                .collect(),
        }
    }

    fn status(auth: &BasicAuth, method: Method, path: &str, header: Option<&str>) -> Option<u16> {
        let headers: HeaderMap = header
            .map(|value| (header::AUTHORIZATION, value.parse().expect("a header")))
            .into_iter()
            .collect();
        auth.refusal(&method, path, &headers)
            .map(|refused| refused.status().as_u16())
    }

    #[test]
    fn only_users_with_their_passwords_are_let_in() {
        let auth = auth(&[("alice", "secret")]);
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let check = |header: &str, expected| {
            assert_eq!(
                status(&auth, Method::GET, "/connectors", Some(header)),
                expected,
                "{header}"
            );
        };
        check(&basic("alice:secret"), None);
        check(&basic("alice:secret").replacen("Basic", "bASIC", 1), None);
        check(&basic("alice:wrong"), Some(401));
        check(&basic("alice"), Some(401));
        check("Bearer x", Some(401));
        check("Basic", Some(401));
        check("Basic !!!", Some(500));
        assert_eq!(status(&auth, Method::GET, "/", None), Some(401));
    }

    #[test]
    fn what_workers_ask_each_other_needs_no_user() {
        let auth = auth(&[("alice", "secret")]);
        assert_eq!(
            status(&auth, Method::POST, "/connectors/c/tasks", None),
            None
        );
        assert_eq!(
            status(&auth, Method::PUT, "/connectors/c/fence", None),
            None
        );
        assert_eq!(
            status(&auth, Method::GET, "/connectors/c/tasks", None),
            Some(401)
        );
        assert_eq!(
            status(&auth, Method::POST, "/connectors/c/d/tasks", None),
            Some(401)
        );
    }

    #[test]
    fn without_users_everybody_is_let_in() {
        assert_eq!(status(&auth(&[]), Method::GET, "/", None), None);
    }

    #[test]
    fn the_jaas_file_is_named_as_a_system_property() {
        let environment = |name: &str| {
            (name == "KAFKA_OPTS")
                .then(|| "-Dx=1 -Djava.security.auth.login.config=/a/jaas.conf -Dy".to_owned())
        };
        assert_eq!(login_config(environment).as_deref(), Some("/a/jaas.conf"));
        assert_eq!(login_config(|_| None), None);
    }

    #[test]
    fn the_workers_section_is_found_among_others() {
        let text = "KafkaClient {\n  a.B required;\n};\n\n// users\nKafkaConnect {\n  c.D required file=\"f\";\n};";
        assert_eq!(
            section(text, "KafkaConnect"),
            Some("c.D required file=\"f\";")
        );
        assert_eq!(section(text, "Other"), None);
    }
}
