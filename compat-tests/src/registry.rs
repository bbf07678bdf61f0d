//! A schema registry: Apicurio with Confluent's API, in memory, and a door in front of it that serves
//! that API at the root of an address, as the documents' configurations expect.

use crate::process::{Process, Program};
use crate::{Outcome, fail, parts, wait};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// A registry that was started here.
#[derive(Debug)]
pub struct Registry {
    process: Process,
    url: String,
}

impl Registry {
    /// Starts one on free ports of the loopback.
    pub fn start(folder: &Path) -> Outcome<Self> {
        let jar = parts::path("apicurio/quarkus-run.jar")?;
        let java = parts::path("java21")?;
        let (port, management) = (parts::free_port(), parts::free_port());
        let process = Program::new(
            &java.display().to_string(),
            [
                "-Xms64m".to_owned(),
                "-Xmx384m".to_owned(),
                "-XX:+UseSerialGC".to_owned(),
                "-XX:TieredStopAtLevel=1".to_owned(),
                "-Dquarkus.http.host=127.0.0.1".to_owned(),
                format!("-Dquarkus.http.port={port}"),
                "-Dquarkus.management.host=127.0.0.1".to_owned(),
                format!("-Dquarkus.management.port={management}"),
                "-Dapicurio.datasource.jdbc.initial-size=2".to_owned(),
                "-Dapicurio.datasource.jdbc.min-size=2".to_owned(),
                "-Dapicurio.datasource.jdbc.max-size=20".to_owned(),
                "-jar".to_owned(),
                jar.display().to_string(),
            ],
        )
        .start(&folder.join("registry.log"))?;
        let mut registry = Self {
            process,
            url: format!("http://127.0.0.1:{port}/apis/ccompat/v7"),
        };
        wait::until("the registry", Duration::from_secs(180), || {
            registry.process.check_alive()?;
            let answer = Client::new()
                .get(format!("{}/subjects", registry.url))
                .send()?;
            Ok(answer.status().is_success().then_some(()))
        })?;
        // What Confluent's has from the start.
        registry.call(
            "PUT",
            "/config",
            Some(&json!({"compatibility": "BACKWARD"})),
        )?;
        Ok(registry)
    }

    /// The address of its Confluent API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// One request; an answer that is no success is a failure with its text.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let client = Client::new();
        let url = format!("{}{path}", self.url);
        let mut request = match method {
            "POST" => client.post(url),
            "PUT" => client.put(url),
            "DELETE" => client.delete(url),
            _ => client.get(url),
        };
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send()?;
        let (status, text) = (answer.status(), answer.text()?);
        if !status.is_success() {
            return fail(format!("{method} {path}: {status} {text}"));
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Registers an Avro schema and gives its id.
    pub fn register(&self, subject: &str, schema: &str) -> Outcome<u32> {
        let path = format!("/subjects/{subject}/versions");
        let answer = self.call("POST", &path, Some(&json!({"schema": schema})))?;
        let id = answer["id"].as_u64().ok_or("an answer without id")?;
        Ok(u32::try_from(id)?)
    }

    /// Serves its Confluent API at the root of another address, until this program ends.
    pub fn at_root(&self, address: &str) -> Outcome<()> {
        let listener = TcpListener::bind(address)?;
        let url = self.url.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let url = url.clone();
                std::thread::spawn(move || drop(forward(stream, &url)));
            }
        });
        Ok(())
    }
}

/// Passes the requests of one connection on.
fn forward(stream: TcpStream, url: &str) -> Outcome<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let client = Client::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut words = line.split_whitespace();
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let target = format!("{url}{path}");
        let request = match method {
            "POST" => client.post(target).body(body),
            _ => client.get(target),
        };
        let answer = request.header("Content-Type", "application/json").send()?;
        let status = answer.status().as_u16();
        let text = answer.bytes()?;
        write!(
            writer,
            "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        )?;
        writer.write_all(&text)?;
    }
}
