//! How a log line looks: `[time] LEVEL [connector|task-0] message (module)`, or the same as JSON.
//!
//! The connector context comes from the spans that connectors and tasks run in. Writes lines and nothing
//! else. Answers for the layout of the shipped log4j2 configuration and `LoggingContext`.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Plain or JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// For people.
    Plain,
    /// One object a line, for machines.
    Json,
}

impl Lines {
    /// What `FERROCONNECT_LOG_FORMAT` asks for.
    pub fn of(text: Option<&str>) -> Self {
        match text {
            Some(text) if text.eq_ignore_ascii_case("json") => Self::Json,
            _ => Self::Plain,
        }
    }
}

/// Keeps the connector context of each span for the lines that are written in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contexts;

/// `c|worker` or `c|task-0`.
struct ConnectorContext(String);

#[derive(Default)]
struct SpanFields {
    connector: Option<String>,
    task: Option<u64>,
}

impl Visit for SpanFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "connector" {
            self.connector = Some(value.to_owned());
        }
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "task" {
            self.task = Some(value);
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Contexts {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = SpanFields::default();
        attributes.record(&mut fields);
        if let (Some(connector), Some(span)) = (fields.connector, context.span(id)) {
            let text = match fields.task {
                Some(task) => format!("{connector}|task-{task}"),
                None => format!("{connector}|worker"),
            };
            span.extensions_mut().insert(ConnectorContext(text));
        }
    }
}

/// The message and the other fields of an event.
#[derive(Default)]
struct EventFields {
    message: String,
    others: Map<String, Value>,
}

impl EventFields {
    fn set(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => drop(self.others.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into());
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let connector = context.event_scope().and_then(|scope| {
            scope.into_iter().find_map(|span| {
                let extensions = span.extensions();
                extensions
                    .get::<ConnectorContext>()
                    .map(|found| found.0.clone())
            })
        });
        let line = line(
            *self,
            chrono::Local::now(),
            event.metadata(),
            connector.as_deref(),
            fields,
        );
        writeln!(writer, "{line}")
    }
}

fn line(
    lines: Lines,
    time: chrono::DateTime<chrono::Local>,
    metadata: &tracing::Metadata<'_>,
    connector: Option<&str>,
    fields: EventFields,
) -> String {
    let EventFields { message, others } = fields;
    let (level, target) = (metadata.level(), metadata.target());
    match lines {
        Lines::Json => {
            let mut all = Map::new();
            all.insert(
                "timestamp".to_owned(),
                time.to_rfc3339_opts(chrono::SecondsFormat::Millis, false)
                    .into(),
            );
            all.insert("level".to_owned(), level.to_string().into());
            all.insert("logger".to_owned(), target.into());
            if let Some(connector) = connector {
                all.insert("connector.context".to_owned(), connector.into());
            }
            all.insert("message".to_owned(), message.into());
            all.extend(others);
            Value::Object(all).to_string()
        }
        Lines::Plain => {
            let mut text = format!("[{}] {level} ", time.format("%Y-%m-%d %H:%M:%S,%3f"));
            if let Some(connector) = connector {
                text.push_str(&format!("[{connector}] "));
            }
            text.push_str(&message);
            for (name, value) in &others {
                match value {
                    Value::String(value) => text.push_str(&format!(" {name}={value}")),
                    value => text.push_str(&format!(" {name}={value}")),
                }
            }
            text.push_str(&format!(" ({target})"));
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("no test panics with it")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(lines: Lines) -> String {
        let out = Written::default();
        let sink = out.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .event_format(lines)
            .with_writer(move || sink.clone());
        let subscriber = tracing_subscriber::registry().with(Contexts).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(count = 3, "outside");
            let span = tracing::info_span!("task", connector = "c 1", task = 0_u32);
            let _entered = span.enter();
            tracing::warn!(path = "/x", "inside");
        });
        let bytes = out.0.lock().expect("no test panics with it").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_line_shows_the_connector_and_the_task_that_it_is_of() {
        let text = written(Lines::Plain);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].contains("] INFO outside count=3 (worker::logging"),
            "{text}"
        );
        assert!(
            lines[1].contains("] WARN [c 1|task-0] inside path=/x ("),
            "{text}"
        );
    }

    #[test]
    fn json_lines_hold_the_same() {
        let text = written(Lines::Json);
        let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        assert_eq!(last["level"], "WARN");
        assert_eq!(last["connector.context"], "c 1|task-0");
        assert_eq!(
            (last["message"].as_str(), last["path"].as_str()),
            (Some("inside"), Some("/x"))
        );
    }

    #[test]
    fn the_form_is_asked_for_by_name() {
        assert_eq!(Lines::of(Some("JSON")), Lines::Json);
        assert_eq!(Lines::of(None), Lines::Plain);
    }
}
