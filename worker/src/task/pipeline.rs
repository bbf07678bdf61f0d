//! Transformations with their predicates, and the converters of keys, values and headers.
//!
//! Decides nothing about failures: it says in which stage and class a record failed. Answers for
//! `TransformationChain`, `TransformationStage` and the converting halves of `AbstractWorkerSourceTask`
//! and `WorkerSinkTask`.

use connect_api::config::props_with_prefix;
use connect_api::converter::{Converter, HeaderConverter};
use connect_api::data::json::JsonOptions;
use connect_api::data::{ByteString, Bytes, Header, Headers, SchemaAndValue, Value};
use connect_api::plugin::{Make, Plugin, PluginKind};
use connect_api::record::Record;
use connect_api::transform::{Predicate, Transformation};
use connect_api::{Error, Props, Result};

use super::lifecycle::TaskContext;
use super::tolerance::{Failure, Stage, Tolerance};
use crate::kafka::producer::OutgoingHeaders;

struct Step {
    transformation: Box<dyn Transformation>,
    class: &'static str,
    /// With the text `negate`.
    predicate: Option<(Box<dyn Predicate>, bool)>,
}

/// A converter with its class, for reports.
#[derive(Debug)]
pub struct Named<T: ?Sized> {
    /// The converter.
    pub converter: Box<T>,
    /// Its Java class.
    pub class: &'static str,
}

/// Everything between a task and Kafka's bytes.
pub struct Pipeline {
    steps: Vec<Step>,
    /// Of keys.
    pub key: Named<dyn Converter>,
    /// Of values.
    pub value: Named<dyn Converter>,
    /// Of headers.
    pub header: Named<dyn HeaderConverter>,
    /// `errors.*`.
    pub tolerance: Tolerance,
    stop: connect_api::context::StopSignal,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("steps", &self.steps.len())
            .finish_non_exhaustive()
    }
}

/// A record's bytes, in buffers that are used again.
#[derive(Debug, Default)]
pub struct Converted {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// Whether there is a key.
    pub has_key: bool,
    /// The value's bytes.
    pub value: Vec<u8>,
    /// Whether there is a value.
    pub has_value: bool,
    /// The headers.
    pub headers: Option<OutgoingHeaders>,
    repeated: Repeated,
    scratch: Vec<u8>,
}

/// Headers that record after record shares are converted once, per topic.
#[derive(Debug, Default)]
struct Repeated {
    topic: ByteString,
    given: Headers,
    /// Made when they come for the second time.
    converted: Option<OutgoingHeaders>,
}

impl Repeated {
    /// Whether these are the headers of the record before; remembers them if not.
    fn is(&mut self, topic: &ByteString, given: &Headers) -> bool {
        if given.same(&self.given) && *topic == self.topic {
            return true;
        }
        *self = Self {
            topic: topic.clone(),
            given: given.clone(),
            converted: None,
        };
        false
    }
}

impl Pipeline {
    /// The pipeline of a task, made and configured.
    ///
    /// # Errors
    /// A plugin is not there or refuses its configuration.
    pub fn new(context: &TaskContext) -> Result<Self> {
        let props = &context.connector.props;
        let mut steps = Vec::new();
        for alias in list(props, "transforms") {
            let mut own = props_with_prefix(props, &format!("transforms.{alias}."));
            let predicate = own.shift_remove("predicate");
            let negate = own
                .shift_remove("negate")
                .is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
            let plugin = plugin(
                context,
                PluginKind::Transformation,
                &own,
                alias,
                "transforms",
            )?;
            let Make::Transformation(make) = plugin.make else {
                continue;
            };
            let mut transformation = make();
            transformation
                .configure(&context.plugin(), &own)
                .map_err(wrapped)?;
            let predicate = match predicate {
                None => None,
                Some(name) => {
                    if !list(props, "predicates").any(|known| *known == *name) {
                        let unknown = Error::config(format!(
                            "Unknown configuration 'predicates.{name}.plugin.version'"
                        ));
                        return Err(wrapped(wrapped(unknown)));
                    }
                    let own = props_with_prefix(props, &format!("predicates.{name}."));
                    let plugin =
                        self::plugin(context, PluginKind::Predicate, &own, &name, "predicates")?;
                    let Make::Predicate(make) = plugin.make else {
                        continue;
                    };
                    let mut predicate = make();
                    predicate
                        .configure(&context.plugin(), &own)
                        .map_err(wrapped)?;
                    Some((predicate, negate))
                }
            };
            steps.push(Step {
                transformation,
                class: plugin.class,
                predicate,
            });
        }
        Ok(Self {
            steps,
            key: converter(context, "key.converter", true)?,
            value: converter(context, "value.converter", false)?,
            header: header_converter(context)?,
            tolerance: Tolerance::new(props)?,
            stop: context.control.stop.clone(),
        })
    }

    /// Whether values reach the task as the converter reads them, and it can give JSON objects as
    /// text.
    pub fn has_json_text(&self) -> bool {
        self.steps.is_empty() && self.value.converter.has_json_text()
    }

    /// How the values of a source's records become JSON, where nothing looks at them before.
    pub fn json_options(&self) -> Option<JsonOptions> {
        self.steps
            .is_empty()
            .then(|| self.value.converter.json_options())?
    }

    /// Applies the transformations; `false` where one drops the record, of which nothing is left then.
    ///
    /// # Errors
    /// One of them failed.
    pub fn transform(&mut self, record: &mut Record) -> Result<bool, Failure> {
        for step in &mut self.steps {
            let failed = |class| {
                move |error| Failure {
                    stage: Stage::Transformation,
                    class,
                    error,
                }
            };
            if let Some((predicate, negate)) = &mut step.predicate {
                let applies = self
                    .tolerance
                    .attempt(&self.stop, || predicate.test(record))
                    .map_err(failed(step.class))?;
                if applies == *negate {
                    continue;
                }
            }
            let result = if self.tolerance.retries() {
                self.tolerance
                    .attempt(&self.stop, || step.transformation.apply(record.clone()))
            } else {
                step.transformation.apply(std::mem::take(record))
            };
            match result.map_err(failed(step.class))? {
                Some(next) => *record = next,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Makes the bytes of a record: headers, key, value.
    ///
    /// # Errors
    /// A converter failed.
    pub fn convert(&mut self, record: &mut Record, out: &mut Converted) -> Result<(), Failure> {
        let Self {
            key,
            value,
            header,
            tolerance,
            stop,
            ..
        } = self;
        out.headers = None;
        let given = record.headers.len();
        if given > 0 {
            let repeats = out.repeated.is(&record.topic, &record.headers);
            out.headers = match &out.repeated.converted {
                Some(converted) => Some(converted.clone()),
                None => {
                    let scratch = &mut out.scratch;
                    Some(headers(record, header, tolerance, stop, scratch)?)
                }
            };
            if repeats && out.repeated.converted.is_none() {
                out.repeated.converted.clone_from(&out.headers);
            }
        }
        out.has_key = tolerance
            .attempt(stop, || {
                out.key.clear();
                key.converter.from_connect_data(
                    &record.topic,
                    &mut record.headers,
                    &record.key,
                    &mut out.key,
                )
            })
            .map_err(|error| Failure {
                stage: Stage::KeyConverter,
                class: key.class,
                error,
            })?;
        out.has_value = tolerance
            .attempt(stop, || {
                out.value.clear();
                value.converter.from_connect_data(
                    &record.topic,
                    &mut record.headers,
                    &record.value,
                    &mut out.value,
                )
            })
            .map_err(|error| Failure {
                stage: Stage::ValueConverter,
                class: value.class,
                error,
            })?;
        // What a converter added goes out as it is.
        for added in record.headers.get(given..).unwrap_or_default() {
            let headers = out
                .headers
                .take()
                .unwrap_or_else(|| OutgoingHeaders::with_capacity(1));
            let bytes = match &added.value.value {
                Value::Bytes(bytes) => Some(bytes.as_ref()),
                Value::String(text) => Some(text.as_bytes().as_ref()),
                _ => None,
            };
            out.headers = Some(headers.with(&added.key, bytes));
        }
        Ok(())
    }

    /// Reads a message's bytes: key, value, headers.
    ///
    /// # Errors
    /// A converter failed.
    pub fn read(
        &mut self,
        topic: &ByteString,
        key_bytes: Option<&Bytes>,
        value_bytes: Option<&Bytes>,
        raw_headers: &[(ByteString, Option<Bytes>)],
    ) -> Result<(SchemaAndValue, SchemaAndValue, Headers), Failure> {
        let Self {
            key,
            value,
            header,
            tolerance,
            stop,
            ..
        } = self;
        let raw: Headers = raw_headers
            .iter()
            .map(|(name, bytes)| Header {
                key: name.clone(),
                value: SchemaAndValue::new(None, bytes.clone()),
            })
            .collect();
        let key = tolerance
            .attempt(stop, || {
                key.converter.to_connect_data(topic, &raw, key_bytes)
            })
            .map_err(|error| Failure {
                stage: Stage::KeyConverter,
                class: key.class,
                error,
            })?;
        let value = tolerance
            .attempt(stop, || {
                value.converter.to_connect_data(topic, &raw, value_bytes)
            })
            .map_err(|error| Failure {
                stage: Stage::ValueConverter,
                class: value.class,
                error,
            })?;
        let mut headers = Headers::with_capacity(raw_headers.len());
        for (name, bytes) in raw_headers {
            let value = tolerance
                .attempt(stop, || {
                    header
                        .converter
                        .to_connect_header(topic, name, bytes.as_ref())
                })
                .map_err(|error| Failure {
                    stage: Stage::HeaderConverter,
                    class: header.class,
                    error,
                })?;
            headers.push(Header {
                key: name.clone(),
                value,
            });
        }
        Ok((key, value, headers))
    }
}

/// A record's headers as bytes.
fn headers(
    record: &Record,
    header: &mut Named<dyn HeaderConverter>,
    tolerance: &Tolerance,
    stop: &connect_api::context::StopSignal,
    scratch: &mut Vec<u8>,
) -> Result<OutgoingHeaders, Failure> {
    let mut headers = OutgoingHeaders::with_capacity(record.headers.len());
    for entry in &record.headers {
        let present = tolerance
            .attempt(stop, || {
                scratch.clear();
                header.converter.from_connect_header(
                    &record.topic,
                    &entry.key,
                    &entry.value,
                    scratch,
                )
            })
            .map_err(|error| Failure {
                stage: Stage::HeaderConverter,
                class: header.class,
                error,
            })?;
        headers = headers.with(&entry.key, present.then_some(scratch));
    }
    Ok(headers)
}

/// The error of a plugin of the chain as `ConnectorConfig.transformationStages` passes it on.
fn wrapped(error: Error) -> Error {
    let message = format!("{}: {}", error.java_class(), error.message());
    Error::new(error.kind(), message)
        .with_class("org.apache.kafka.connect.errors.ConnectException")
        .with_source(error)
}

fn list<'a>(props: &'a Props, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    props
        .get(key)
        .map_or("", String::as_str)
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn plugin(
    context: &TaskContext,
    kind: PluginKind,
    own: &Props,
    alias: &str,
    family: &str,
) -> Result<&'static Plugin> {
    let class = own.get("type").ok_or_else(|| {
        Error::config(format!(
            "Missing required configuration \"{family}.{alias}.type\" which has no default value."
        ))
    })?;
    context
        .parts
        .plugins
        .find(kind, class.trim())
        .ok_or_else(|| Error::config(format!("Class {class} could not be found.")))
}

/// The connector's class with the connector's keys, or else the worker's class with the worker's.
fn converter_props<'a>(context: &'a TaskContext, role: &str) -> (&'a str, Props) {
    let prefix = format!("{role}.");
    match context.connector.props.get(role) {
        Some(class) => (
            class.trim(),
            props_with_prefix(&context.connector.props, &prefix),
        ),
        None => (
            context.parts.config.options.string(role),
            context.parts.config.with_prefix(&prefix),
        ),
    }
}

fn converter(context: &TaskContext, role: &str, is_key: bool) -> Result<Named<dyn Converter>> {
    let (class, own) = converter_props(context, role);
    let missing = || Error::config(format!("Class {class} could not be found."));
    let plugin = context
        .parts
        .plugins
        .find(PluginKind::Converter, class)
        .ok_or_else(missing)?;
    let Make::Converter(make) = plugin.make else {
        return Err(missing());
    };
    let mut converter = make();
    converter.configure(&context.plugin(), &own, is_key)?;
    Ok(Named {
        converter,
        class: plugin.class,
    })
}

fn header_converter(context: &TaskContext) -> Result<Named<dyn HeaderConverter>> {
    let (class, own) = converter_props(context, "header.converter");
    let missing = || Error::config(format!("Class {class} could not be found."));
    let plugin = context
        .parts
        .plugins
        .find(PluginKind::HeaderConverter, class)
        .ok_or_else(missing)?;
    let Make::HeaderConverter(make) = plugin.make else {
        return Err(missing());
    };
    let mut converter = make();
    converter.configure(&context.plugin(), &own)?;
    Ok(Named {
        converter,
        class: plugin.class,
    })
}
