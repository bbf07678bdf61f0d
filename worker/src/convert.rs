//! `ferroconnect convert`: one record's bytes a line through two converters, for people who look
//! into a topic and for tests. Connects to nothing itself; converters may.
//!
//! A line is text, or hexadecimal digits where the option says so; `null` is no bytes. An error is a
//! line too, so that lines out stand beside lines in.

use std::io::{self, BufRead, Write};

use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::logical::{Logical, SCALE};
use connect_api::data::{Decimal, Headers, Schema, Value};
use connect_api::plugin::{Make, PluginKind};
use connect_api::{Bytes, Error, Props, Result};

use crate::plugins::Plugins;

/// How the command is called.
pub const USAGE: &str = "\
ferroconnect convert --from CLASS[,key=value...] --to CLASS[,key=value...] [--topic T] [--key]
                            [--from-hex] [--to-hex] < in > out

A line in is one record's bytes, as text or in hex, `null` for none; a line out the same. An error is
a line `error: ...`, and the exit code is 1 at the end. `\\,` is a comma in a value.
";

/// The topic that converters see where none is given.
const TOPIC: &str = "topic";

/// What the command line asks for.
#[derive(Debug)]
pub struct Command {
    from: (String, Props),
    to: (String, Props),
    topic: String,
    is_key: bool,
    from_hex: bool,
    to_hex: bool,
}

impl Command {
    /// Reads the words behind `convert`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let (mut from, mut to, mut topic) = (None, None, TOPIC.to_owned());
        let (mut is_key, mut from_hex, mut to_hex) = (false, false, false);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .copied()
                    .ok_or_else(|| format!("{word} needs a value"))
            };
            match *word {
                "--from" => from = Some(converter(value()?)?),
                "--to" => to = Some(converter(value()?)?),
                "--topic" => topic = value()?.to_owned(),
                "--key" => is_key = true,
                "--from-hex" => from_hex = true,
                "--to-hex" => to_hex = true,
                other => return Err(format!("{other} is not known")),
            }
        }
        Ok(Self {
            from: from.ok_or("--from is missing")?,
            to: to.ok_or("--to is missing")?,
            topic,
            is_key,
            from_hex,
            to_hex,
        })
    }

    /// Converts line after line; answers whether all went well.
    ///
    /// # Errors
    /// A converter cannot be made, or input or output fails.
    pub fn run(
        &self,
        plugins: &Plugins,
        context: &PluginContext,
        input: impl BufRead,
        output: impl Write,
    ) -> Result<bool> {
        let from = self.make(&self.from, plugins, context)?;
        let to = self.make(&self.to, plugins, context)?;
        let failed = |error: io::Error| {
            Error::fatal("reading or writing the lines to convert").with_source(error)
        };
        Lines {
            command: self,
            from,
            to,
            shows_json: self.to.0.ends_with("JsonConverter"),
            scratch: Vec::new(),
        }
        .convert(input, output)
        .map_err(failed)
    }

    fn make(
        &self,
        (class, props): &(String, Props),
        plugins: &Plugins,
        context: &PluginContext,
    ) -> Result<Box<dyn Converter>> {
        let found = plugins.find(PluginKind::Converter, class);
        let Some(Make::Converter(make)) = found.map(|plugin| plugin.make) else {
            return Err(Error::config(format!("Class {class} could not be found.")));
        };
        let mut converter = make();
        converter
            .configure(context, props, self.is_key)
            .map_err(|error| Error::config(format!("configuring {class}")).with_source(error))?;
        Ok(converter)
    }
}

struct Lines<'a> {
    command: &'a Command,
    from: Box<dyn Converter>,
    to: Box<dyn Converter>,
    shows_json: bool,
    scratch: Vec<u8>,
}

impl Lines<'_> {
    fn convert(&mut self, mut input: impl BufRead, mut output: impl Write) -> io::Result<bool> {
        let mut all_well = true;
        let mut line = Vec::new();
        loop {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                output.flush()?;
                return Ok(all_well);
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            match self.line(&line) {
                Ok(Some(())) if self.command.to_hex => {
                    output.write_all(to_hex(&self.scratch).as_bytes())?;
                }
                Ok(Some(())) => output.write_all(&self.scratch)?,
                Ok(None) => output.write_all(b"null")?,
                Err(error) => {
                    all_well = false;
                    output.write_all(told(&error).as_bytes())?;
                }
            }
            output.write_all(b"\n")?;
        }
    }

    /// Converts one line into the scratch buffer; `None` is no bytes.
    fn line(&mut self, line: &[u8]) -> Result<Option<()>> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let bytes = match line {
            b"null" => None,
            digits if self.command.from_hex => Some(Bytes::from(
                from_hex(digits).ok_or_else(|| Error::data("the line is not hexadecimal"))?,
            )),
            text => Some(Bytes::copy_from_slice(text)),
        };
        let topic = &self.command.topic;
        let mut headers = Headers::new();
        let mut data = self.from.to_connect_data(topic, &headers, bytes.as_ref())?;
        self.scratch.clear();
        let start = headers.clone();
        let written = self
            .to
            .from_connect_data(topic, &mut headers, &data, &mut self.scratch);
        let written = match (written, &data.schema) {
            // Whoever looks into a topic is better served by the digits than by a refusal.
            (Err(_), Some(schema)) if self.shows_json && digits_alone(schema, &mut data.value) => {
                drop(writeln!(
                    io::stderr(),
                    "ferroconnect convert: a Decimal has another scale than its schema's; its digits \
                     are shown as the schema has them (decimal.format=NUMERIC shows the number)"
                ));
                headers = start;
                self.scratch.clear();
                self.to
                    .from_connect_data(topic, &mut headers, &data, &mut self.scratch)?
            }
            (written, _) => written?,
        };
        Ok(written.then_some(()))
    }
}

/// Gives Decimals the scale of their schema, their digits unchanged; answers whether any had
/// another.
fn digits_alone(schema: &Schema, value: &mut Value) -> bool {
    match value {
        Value::Decimal(decimal) if schema.logical() == Some(Logical::Decimal) => {
            let scale = schema.parameter(SCALE).and_then(|scale| scale.parse().ok());
            let Some(scale) = scale.filter(|scale| *scale != decimal.scale()) else {
                return false;
            };
            *decimal = Decimal::from_big(decimal.unscaled(), scale);
            true
        }
        Value::Struct(inside) => {
            let mut any = false;
            for (field, value) in inside.schema.fields().iter().zip(&mut inside.values) {
                any |= digits_alone(&field.schema, value);
            }
            any
        }
        Value::Array(items) => {
            let mut any = false;
            for item in items {
                any |= schema
                    .value_schema()
                    .is_some_and(|schema| digits_alone(schema, item));
            }
            any
        }
        _ => false,
    }
}

/// A converter's class and options: `CLASS,key=value,…`.
fn converter(word: &str) -> Result<(String, Props), String> {
    let mut parts = split(word).into_iter();
    let class = parts.next().unwrap_or_default();
    let mut props = Props::new();
    for part in parts {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| format!("{part} is no key=value"))?;
        props.insert(key.trim().to_owned(), value.to_owned());
    }
    if class.is_empty() {
        return Err("a converter's class is missing".to_owned());
    }
    Ok((class, props))
}

/// Splits at commas, but for those behind a backslash.
fn split(word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = word.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&',') => {
                characters.next();
                if let Some(last) = parts.last_mut() {
                    last.push(',');
                }
            }
            ',' => parts.push(String::new()),
            other => {
                if let Some(last) = parts.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    parts
}

/// An error as one line: its class and text, then each cause's.
fn told(error: &Error) -> String {
    let mut line = String::from("error: ");
    for (index, part) in error.trace().trim_end().split("\nCaused by: ").enumerate() {
        if index > 0 {
            line.push_str("; caused by ");
        }
        // Classes go by their last name, as in a log.
        let part = match part.split_once(": ") {
            Some((class, message)) if is_class(class) => {
                let simple = class.rsplit('.').next().unwrap_or(class);
                format!("{simple}: {message}")
            }
            _ => part.to_owned(),
        };
        line.push_str(&part.replace(['\r', '\n'], " "));
    }
    line
}

fn is_class(text: &str) -> bool {
    text.contains('.')
        && text.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '$' | '_')
        })
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

    fn converted(words: &[&str], input: &str) -> (String, bool) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime");
        let context = PluginContext {
            runtime: runtime.handle().clone(),
        };
        let command = Command::parse(words).expect("a command");
        let lists: Vec<_> = connectors::plugins().map(std::slice::from_ref).collect();
        let plugins = Plugins::new(&lists);
        let mut output = Vec::new();
        let well = command
            .run(&plugins, &context, input.as_bytes(), &mut output)
            .expect("runs");
        (String::from_utf8(output).expect("text"), well)
    }

    #[test]
    fn lines_go_through_both_converters() {
        let words = [
            "--from",
            "StringConverter",
            "--to",
            "org.apache.kafka.connect.json.JsonConverter,schemas.enable=false",
        ];
        assert_eq!(
            converted(&words, "a\nnull\nb,c"),
            ("\"a\"\nnull\n\"b,c\"\n".to_owned(), true)
        );
        let to_long = [
            "--from",
            "JsonConverter,schemas.enable=false",
            "--to",
            "LongConverter",
            "--to-hex",
        ];
        assert_eq!(
            converted(&to_long, "258\n"),
            ("0000000000000102\n".to_owned(), true)
        );
    }

    #[test]
    fn an_error_is_a_line_of_its_own() {
        let words = ["--from", JSON, "--to", "StringConverter"];
        let (out, well) = converted(
            &words,
            "{\nnull\n{\"schema\":{\"type\":\"string\",\"optional\":true},\"payload\":\"x\"}\n",
        );
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].starts_with("error: DataException: "), "{out}");
        assert_eq!(lines[1..], ["null", "x"]);
        assert!(!well);
        let hex = [
            "--from",
            "LongConverter",
            "--to",
            "StringConverter",
            "--from-hex",
        ];
        assert!(!converted(&hex, "0g\n").1);
    }

    #[test]
    fn options_are_apart_by_commas_and_a_backslash_keeps_one() {
        let (class, props) = converter(r"A,url=http://a\,http://b,x=y=z,e=").expect("readable");
        assert_eq!(class, "A");
        assert_eq!(props["url"], "http://a,http://b");
        assert_eq!(props["x"], "y=z");
        assert_eq!(props["e"], "");
        converter("A,b").expect_err("no value");
        Command::parse(&["--from", "A"]).expect_err("no --to");
        Command::parse(&["--from", "A", "--to", "B", "--nope"]).expect_err("unknown");
    }
}
