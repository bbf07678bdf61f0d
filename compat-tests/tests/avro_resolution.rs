//! What was written in one Avro schema, read as another: beside Avro's own library, over random
//! schemas and the ones they grow into.

use std::process::Command;

use avro_data::{AvroRef, Options, Parser, Reader, Resolution, compatible};
use compat_tests::{Outcome, fail, parts};
use connect_api::Bytes;
use connect_api::data::SchemaAndValue;

const PAIRS: &str = "2000";

fn unhex(text: &str) -> Outcome<Bytes> {
    let bytes = (0..text.len() / 2).map(|at| {
        let digits = text.get(2 * at..2 * at + 2).unwrap_or_default();
        u8::from_str_radix(digits, 16)
    });
    Ok(bytes.collect::<Result<Vec<u8>, _>>()?.into())
}

/// As the converter does it.
fn read(
    writer: &AvroRef,
    reader: &AvroRef,
    message: &Bytes,
) -> connect_api::Result<SchemaAndValue> {
    let options = Options::default();
    match Resolution::new(writer, reader)? {
        Some(resolution) => {
            Reader::new(reader, &options, None)?.read(&resolution.apply(message)?, true)
        }
        None => Reader::new(writer, &options, None)?.read(message, true),
    }
}

#[test]
fn messages_are_read_as_the_next_schema_as_by_avros_library() -> Outcome<()> {
    let java = Command::new("java")
        .args(parts::java_source("parquet-avro", "AvroResolution.java")?)
        .args(["1", PAIRS])
        .output()?;
    if !java.status.success() {
        return fail(String::from_utf8_lossy(&java.stderr).into_owned());
    }
    let mut differences = Vec::new();
    let (mut fitting, mut refused) = (0, 0);
    for line in String::from_utf8(java.stdout)?.lines() {
        let [writer, reader, message, outcome, can_read] = line.split('\t').collect::<Vec<_>>()[..]
        else {
            return fail(format!("not five parts: {line}"));
        };
        let (first, second) = (Parser::new().parse(writer)?, Parser::new().parse(reader)?);
        if compatible::can_read(&second, &first).to_string() != can_read {
            differences.push(format!("compatible: {can_read} there\n{line}"));
        }
        // A byte string without its length is never resolved.
        if writer == "\"bytes\"" || reader == "\"bytes\"" {
            continue;
        }
        let ours = read(&first, &second, &unhex(message)?);
        match (ours, outcome.strip_prefix('!')) {
            (Err(error), Some(class)) => {
                refused += 1;
                if error.java_class() != class {
                    differences.push(format!("{error}, there {class}\n{line}"));
                }
            }
            (Err(error), None) => differences.push(format!("{error}, read there\n{line}")),
            (Ok(data), Some(class)) => {
                differences.push(format!("{data:?}, there {class}\n{line}"));
            }
            (Ok(data), None) => {
                fitting += 1;
                let theirs = Reader::new(&second, &Options::default(), None)?;
                let theirs = theirs.read(&unhex(outcome)?, true)?;
                if data != theirs {
                    differences.push(format!("{data:?}\nthere {theirs:?}\n{line}"));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    assert!(
        fitting > 1000 && refused > 100,
        "{fitting} fit, {refused} do not"
    );
    Ok(())
}
