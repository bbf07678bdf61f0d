//! Random schemas and values through our converters and confluent-kafka's serializers, both ways.
//! `INTEROP_SCHEMAS` and `INTEROP_SEED` make it longer or another.

use compat_tests::worker::binary;
use compat_tests::{Outcome, parts};

use crate::registry::{piped, registry};

fn agree(language: &str) -> Outcome<()> {
    let given =
        |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let python = parts::path("venv/bin/python")?.display().to_string();
    let script = parts::repository().join("compat-tests/clients/interop.py");
    let script = script.display().to_string();
    let binary = binary()?.display().to_string();
    let (seed, count) = (given("INTEROP_SEED", "1"), given("INTEROP_SCHEMAS", "20"));
    let arguments = [
        script.as_str(),
        &binary,
        registry().url(),
        language,
        &seed,
        &count,
    ];
    let (out, well) = piped(&python, &arguments, "")?;
    assert!(well, "{out}");
    Ok(())
}

#[test]
fn random_avro_is_the_same_to_another_client() -> Outcome<()> {
    agree("avro")
}

#[test]
fn random_json_is_the_same_to_another_client() -> Outcome<()> {
    agree("json")
}

#[test]
fn random_protobuf_is_the_same_to_another_client() -> Outcome<()> {
    agree("protobuf")
}
