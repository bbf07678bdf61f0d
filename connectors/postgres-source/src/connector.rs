//! The connector: validates a configuration, also against the database, and makes its one task.
//!
//! Answers for `PostgresConnector`. Whatever is wrong with the database shows on
//! `database.hostname`, as there.

use std::time::Duration;

use connect_api::config::{ConfigDef, ConfigValue};
use connect_api::connector::{
    Connector, ConnectorContext, ExactlyOnceSupport, OffsetChange, TakeOver,
};
use connect_api::context::PluginContext;
use connect_api::{Props, Result};

use crate::config::{self, PostgresConfig};
use crate::error::PgError;
use crate::protocol::connection::{Connection, SessionKind};
use crate::protocol::quote_literal;
use crate::startup::PLUGIN_NAME;

/// The option that shows what is wrong with the database.
const HOSTNAME: &str = "database.hostname";

/// The connector.
#[derive(Debug, Default)]
pub struct PostgresConnector {
    props: Props,
}

impl PostgresConnector {
    /// A connector that has not been started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Connector for PostgresConnector {
    fn check(&self, definition: &ConfigDef, props: &Props) -> Result<Vec<ConfigValue>> {
        Ok(merged(definition, props, config::check(props)))
    }

    fn validate(
        &self,
        context: &PluginContext,
        definition: &ConfigDef,
        props: &Props,
    ) -> Result<Vec<ConfigValue>> {
        if let Some(error) = config::unreadable(props) {
            return Err(error);
        }
        let mut own = config::check(props);
        let faultless = own.iter().all(|value| value.errors.is_empty());
        if faultless && let Some(error) = config::unusable(props) {
            return Err(error);
        }
        if faultless && let Err(text) = context.runtime.block_on(check_database(props)) {
            let hostname = own.iter_mut().find(|value| value.name == HOSTNAME);
            hostname
                .into_iter()
                .for_each(|value| value.errors.push(text.clone()));
        }
        Ok(merged(definition, props, own))
    }

    fn take_over(&self, props: &Props) -> TakeOver {
        let plugin = props.get("plugin.name").map_or("", |name| name.trim());
        let plugin = Some(plugin).filter(|name| !name.eq_ignore_ascii_case(PLUGIN_NAME));
        let unknown = config::refuse_unknown(props).err();
        TakeOver {
            obstacles: plugin
                .map(|name| match name {
                    "" => format!(
                        "plugin.name is not set, which means decoderbufs; only {PLUGIN_NAME} is read, \
                         which takes a slot of its own"
                    ),
                    name => format!(
                        "plugin.name {name}: only {PLUGIN_NAME} is read, which takes a slot of its own"
                    ),
                })
                .into_iter()
                .chain(unknown.map(|error| error.to_string()))
                .collect(),
            differences: config::remarks(props),
        }
    }

    fn start(&mut self, _context: ConnectorContext, props: &Props) -> Result<()> {
        self.props.clone_from(props);
        Ok(())
    }

    fn task_configs(&mut self, _max_tasks: usize) -> Result<Vec<Props>> {
        Ok(vec![self.props.clone()])
    }

    fn exactly_once_support(&self, _props: &Props) -> Option<ExactlyOnceSupport> {
        Some(ExactlyOnceSupport::Supported)
    }

    fn alter_offsets(&self, _props: &Props, _offsets: &[OffsetChange]) -> Result<bool> {
        // Debezium looks at none, and so does not say that it has dealt with them.
        Ok(false)
    }
}

/// The framework's own options by their definition, the connector's by its rules.
fn merged(definition: &ConfigDef, props: &Props, mut own: Vec<ConfigValue>) -> Vec<ConfigValue> {
    let mut values = definition.validate(props);
    for value in &mut values {
        if let Some(place) = own.iter().position(|own| own.name == value.name) {
            *value = own.swap_remove(place);
        }
    }
    values.extend(own);
    values
}

/// Logs in and looks at the role; the text of what is wrong.
async fn check_database(props: &Props) -> Result<(), String> {
    let Ok(config) = PostgresConfig::parse(props) else {
        return Ok(());
    };
    if let Some(text) = unusable_port(props) {
        return Err(format!("Error while validating connector config: {text}"));
    }
    let limit = config.connection_validation_timeout;
    match tokio::time::timeout(limit, look(&config)).await {
        Ok(Ok(())) if is_negative(props, "database.query.timeout.ms") => Err(
            "Error while validating connector config: Query timeout must be a value greater than or equals to 0.".to_owned(),
        ),
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("Error while validating connector config: {error}")),
        Err(_elapsed) => {
            let limit = Duration::as_millis(&limit);
            Err(format!("Connection validation timed out after {limit} ms"))
        }
    }
}

fn is_negative(props: &Props, key: &str) -> bool {
    let number = props.get(key).and_then(|text| text.parse::<i64>().ok());
    number.is_some_and(|number| number < 0)
}

/// The driver's words for a port that no URL can have.
fn unusable_port(props: &Props) -> Option<String> {
    let text = |key: &str| props.get(key).map_or("", String::as_str);
    let port: i32 = text("database.port").parse().ok()?;
    (!(1..=65_535).contains(&port)).then(|| {
        format!(
            "Unable to parse URL jdbc:postgresql://{}:{port}/{}",
            text(HOSTNAME),
            text("database.dbname")
        )
    })
}

async fn look(config: &PostgresConfig) -> Result<(), PgError> {
    let kind = SessionKind::Ordinary;
    let mut session =
        Connection::open(&config.connection, kind, "Debezium Validate Connection").await?;
    let sql = format!(
        "SELECT r.rolcanlogin AND (r.rolreplication OR r.rolsuper OR EXISTS (\
             SELECT 1 FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b \
             ON b.oid = m.roleid WHERE m.member = r.oid AND b.rolname IN \
             ('rds_superuser', 'rdsadmin', 'rdsrepladmin', 'rds_replication'))) \
         FROM pg_catalog.pg_roles r WHERE r.rolname = {}",
        quote_literal(&config.connection.user)
    );
    let row = session.query_first(&sql).await?;
    if !row.is_some_and(|row| row.flag(0)) {
        tracing::error!(
            "Postgres roles LOGIN and REPLICATION are not assigned to user: {}",
            config.connection.user
        );
    }
    session.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_not_found_fails_the_request_as_there() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let context = PluginContext {
            runtime: runtime.handle().clone(),
        };
        let props: Props = [
            (HOSTNAME, "db"),
            ("database.user", "u"),
            ("database.dbname", "d"),
            ("topic.prefix", "p"),
            ("plugin.name", "pgoutput"),
            ("transaction.metadata.factory", "a.B"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
        let validated = PostgresConnector::new().validate(&context, &config::definition(), &props);
        let error = validated.unwrap_err();
        assert_eq!(
            error.trace().trim_end(),
            "java.lang.IllegalArgumentException: Unable to find class a.B"
        );
        let mut props = props;
        props.shift_remove("topic.prefix");
        props.insert("table.include.list".to_owned(), "a,b\\".to_owned());
        let validated = PostgresConnector::new().validate(&context, &config::definition(), &props);
        assert_eq!(
            validated.unwrap_err().trace().trim_end(),
            "io.debezium.text.ParsingException: Unterminated escape sequence at the end of the string"
        );
    }

    #[test]
    fn a_server_that_does_not_answer_is_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port().to_string();
        let props = [
            (HOSTNAME, "127.0.0.1"),
            ("database.port", port.as_str()),
            ("database.user", "u"),
            ("database.dbname", "d"),
            ("topic.prefix", "p"),
            ("plugin.name", "pgoutput"),
            ("connection.validation.timeout.ms", "300"),
        ];
        let props = props.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let checked = runtime.block_on(check_database(&props.into_iter().collect()));
        assert_eq!(
            checked.unwrap_err(),
            "Connection validation timed out after 300 ms"
        );
    }

    #[test]
    fn a_port_that_no_url_can_have_is_told_in_the_drivers_words() {
        let of = |port: &str| {
            let props = [
                (HOSTNAME, "db"),
                ("database.dbname", "d"),
                ("database.port", port),
            ];
            unusable_port(
                &props
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into_iter()
                    .collect(),
            )
        };
        let unparsable = |port| Some(format!("Unable to parse URL jdbc:postgresql://db:{port}/d"));
        assert_eq!(of("0"), unparsable(0));
        assert_eq!(of("-1"), unparsable(-1));
        assert_eq!(of("70000"), unparsable(70_000));
        assert_eq!(of("5432"), None);
        assert_eq!(of(""), None);
    }
}
