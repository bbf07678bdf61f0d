//! A Connect worker as a process, Ferroconnect's or the JVM's, and a client for its REST API.

use crate::process::{Life, Process, Program};
use crate::{Outcome, fail, parts, wait};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Which worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Ours.
    Ferroconnect,
    /// Apache Kafka Connect with Debezium.
    Java,
}

impl Target {
    /// `TARGET=java` runs the tests against the JVM worker, which also rewrites what is recorded.
    pub fn from_environment() -> Self {
        match std::env::var("TARGET").as_deref() {
            Ok("java") => Self::Java,
            _ => Self::Ferroconnect,
        }
    }
}

/// How a worker is started.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Which worker.
    pub target: Target,
    /// Brokers.
    pub bootstrap: String,
    /// Its group; the three topics are named after it.
    pub group: String,
    /// Port of its REST API.
    pub port: u16,
    /// Replicas of the three topics.
    pub replicas: usize,
    /// Further or other lines of worker.properties.
    pub properties: Vec<(String, String)>,
    /// Its environment, besides ours.
    pub environment: Vec<(String, String)>,
    /// Hosts that it shall find, as in /etc/hosts: name and address.
    pub hosts: Vec<(String, String)>,
    /// Files that it shall find: path below /opt and content.
    pub files: Vec<(String, String)>,
    /// Parts that are on a JVM worker's class path besides its own.
    pub jars: Vec<&'static str>,
    /// Whether it outlives this process.
    pub life: Life,
}

impl WorkerOptions {
    /// A worker alone in its group, on a free port.
    pub fn new(target: Target, bootstrap: &str, group: &str) -> Self {
        Self {
            target,
            bootstrap: bootstrap.to_owned(),
            group: group.to_owned(),
            port: parts::free_port(),
            replicas: 1,
            properties: Vec::new(),
            environment: Vec::new(),
            hosts: Vec::new(),
            files: Vec::new(),
            jars: Vec::new(),
            life: Life::Owned,
        }
    }

    /// Adds a line of worker.properties.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds environment variables.
    #[must_use]
    pub fn environment(mut self, variables: Vec<(String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }
}

/// A worker process and its REST API.
#[derive(Debug)]
pub struct Worker {
    options: WorkerOptions,
    folder: PathBuf,
    process: Process,
    /// Its REST API.
    pub rest: Rest,
}

impl Worker {
    /// Writes worker.properties into `folder`, starts the worker and waits for its REST API.
    pub fn start(folder: &Path, options: WorkerOptions) -> Outcome<Self> {
        let mut worker = Self::launch(folder, options)?;
        worker.ready()?;
        Ok(worker)
    }

    /// Starts the worker without waiting: for one that is expected to refuse.
    pub fn launch(folder: &Path, options: WorkerOptions) -> Outcome<Self> {
        let process = launch(folder, &options)?;
        let rest = Rest::new(&format!("http://127.0.0.1:{}", options.port));
        Ok(Self {
            options,
            folder: folder.to_owned(),
            process,
            rest,
        })
    }

    /// Waits until it tells of itself that it is ready (`/connectors` answers before the connectors
    /// are read, as the JVM's does); gives the time since this call.
    pub fn ready(&mut self) -> Outcome<Duration> {
        let start = Instant::now();
        let url = format!("127.0.0.1:{}", self.options.port);
        let end = start + Duration::from_secs(90);
        loop {
            // A refused connection costs microseconds: short steps measure the start time well.
            if std::net::TcpStream::connect(&url).is_ok()
                && self
                    .rest
                    .get("/health")
                    .is_ok_and(|answer| answer.status == 200)
            {
                return Ok(start.elapsed());
            }
            self.process.check_alive()?;
            if Instant::now() > end {
                return fail(format!(
                    "the worker does not answer:\n{}",
                    self.process.output()
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// All that it has logged, over restarts.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Asks it to stop (SIGTERM) and waits; gives its exit code.
    pub fn terminate(&mut self) -> Outcome<Option<i32>> {
        self.process.signal("TERM");
        Ok(self.process.wait(Duration::from_secs(30))?.code())
    }

    /// Kills it without a word (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with the same properties on the same port.
    pub fn restart(&mut self) -> Outcome<Duration> {
        self.process = launch(&self.folder, &self.options)?;
        self.ready()
    }
}

fn launch(folder: &Path, options: &WorkerOptions) -> Outcome<Process> {
    let file = folder.join("worker.properties");
    std::fs::write(&file, properties(options)?)?;
    let file = file.display().to_string();
    let (program, arguments) = match options.target {
        Target::Ferroconnect => (
            binary()?.display().to_string(),
            vec!["distributed".to_owned(), file],
        ),
        Target::Java => {
            let mut classes = format!("{}/*", parts::path("connect")?.display());
            for part in &options.jars {
                classes.push_str(&format!(":{}/*", parts::path(part)?.display()));
            }
            let mut arguments: Vec<String> = [
                "-Xms256m",
                "-Xmx1g",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
                "-cp",
            ]
            .map(str::to_owned)
            .to_vec();
            arguments.push(classes);
            arguments.push("org.apache.kafka.connect.cli.ConnectDistributed".to_owned());
            arguments.push(file);
            ("java".to_owned(), arguments)
        }
    };
    let (program, arguments) = if options.hosts.is_empty() && options.files.is_empty() {
        (program, arguments)
    } else {
        in_own_namespace(folder, options, &program, arguments)?
    };
    let mut program = Program::new(&program, arguments).life(options.life);
    // What the machine has must not leak into what is tested.
    for name in [
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_PROFILE",
        "TARGET",
    ] {
        program = program.without_env(name);
    }
    for (name, value) in &options.environment {
        program = program.env(name, value);
    }
    program.start(&folder.join("worker.log"))
}

/// Wraps a command so that it sees hosts and files of its own: a mount namespace with another
/// /etc/hosts, and a fresh /opt. Needs root, or user namespaces.
fn in_own_namespace(
    folder: &Path,
    options: &WorkerOptions,
    program: &str,
    arguments: Vec<String>,
) -> Outcome<(String, Vec<String>)> {
    let mut hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    for (name, address) in &options.hosts {
        hosts.push_str(&format!("\n{address} {name}\n"));
    }
    let hosts_file = folder.join("hosts");
    std::fs::write(&hosts_file, hosts)?;
    let opt = folder.join("opt");
    for (path, content) in &options.files {
        let path = opt.join(path.trim_start_matches("/opt/"));
        std::fs::create_dir_all(path.parent().unwrap_or(&opt))?;
        std::fs::write(path, content)?;
    }
    std::fs::create_dir_all(&opt)?;
    let script = r#"mount --bind "$0" /etc/hosts && mount --bind "$1" /opt && shift && exec "$@""#;
    let flags = if parts::is_root() { "-m" } else { "-rm" };
    let mut wrapped = vec![
        flags.to_owned(),
        "sh".to_owned(),
        "-c".to_owned(),
        script.to_owned(),
    ];
    wrapped.extend([hosts_file.display().to_string(), opt.display().to_string()]);
    wrapped.push(program.to_owned());
    wrapped.extend(arguments);
    Ok(("unshare".to_owned(), wrapped))
}

fn properties(options: &WorkerOptions) -> Outcome<String> {
    let group = &options.group;
    let replicas = options.replicas;
    let provider = "org.apache.kafka.common.config.provider";
    let mut lines: Vec<(String, String)> = [
        ("bootstrap.servers", options.bootstrap.clone()),
        ("group.id", group.clone()),
        (
            "key.converter",
            "org.apache.kafka.connect.json.JsonConverter".to_owned(),
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter".to_owned(),
        ),
        ("config.storage.topic", format!("{group}-configs")),
        ("offset.storage.topic", format!("{group}-offsets")),
        ("status.storage.topic", format!("{group}-status")),
        ("config.storage.replication.factor", replicas.to_string()),
        ("offset.storage.replication.factor", replicas.to_string()),
        ("status.storage.replication.factor", replicas.to_string()),
        ("offset.flush.interval.ms", "2000".to_owned()),
        ("listeners", format!("http://127.0.0.1:{}", options.port)),
        ("config.providers", "file,env,directory".to_owned()),
        (
            "config.providers.file.class",
            format!("{provider}.FileConfigProvider"),
        ),
        (
            "config.providers.env.class",
            format!("{provider}.EnvVarConfigProvider"),
        ),
        (
            "config.providers.directory.class",
            format!("{provider}.DirectoryConfigProvider"),
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if options.target == Target::Java {
        lines.push((
            "plugin.path".to_owned(),
            parts::path("plugins")?.display().to_string(),
        ));
        lines.push(("plugin.discovery".to_owned(), "hybrid_warn".to_owned()));
    }
    for (name, value) in &options.properties {
        lines.retain(|(known, _)| known != name);
        lines.push((name.clone(), value.clone()));
    }
    Ok(lines
        .into_iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect())
}

/// The `ferroconnect` binary: `FERROCONNECT_BIN`, else built here in our own profile.
pub fn binary() -> Outcome<PathBuf> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("FERROCONNECT_BIN") {
            return Ok(path.into());
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // The whole workspace, so that features and thus dependencies are those already built.
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--workspace", "--bin", "ferroconnect"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.current_dir(parts::repository()).status();
        match built {
            Ok(status) if status.success() => {}
            other => return Err(format!("building ferroconnect: {other:?}")),
        }
        let here = std::env::current_exe().map_err(|error| error.to_string())?;
        here.ancestors()
            .map(|folder| folder.join("ferroconnect"))
            .find(|path| path.is_file())
            .ok_or_else(|| "ferroconnect was built elsewhere: set FERROCONNECT_BIN".to_owned())
    });
    Ok(found.clone()?)
}

/// An answer of the REST API, raw.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Content type, empty if there is none.
    pub content_type: String,
    /// Location header, empty if there is none.
    pub location: String,
    /// Body as it came.
    pub body: String,
}

impl Answer {
    /// The body as JSON; `null` if it is empty.
    pub fn json(&self) -> Outcome<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        let body = &self.body;
        Ok(serde_json::from_str(body).map_err(|error| format!("{error} in answer {body}"))?)
    }
}

/// A client of the REST API.
#[derive(Debug, Clone)]
pub struct Rest {
    /// Where it is.
    pub url: String,
    client: reqwest::blocking::Client,
}

impl Rest {
    /// A client for a worker at `url`.
    pub fn new(url: &str) -> Self {
        let client = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(100))
            .no_proxy()
            .build()
            .expect("a client without TLS files can be built");
        Self {
            url: url.to_owned(),
            client,
        }
    }

    /// Any request; the body goes out as it is.
    pub fn request(&self, method: &str, path: &str, body: Option<&str>) -> Outcome<Answer> {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/json")
                .body(body.to_owned());
        }
        let answer = request.send()?;
        let header = |name: &str| {
            let value = answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        Ok(Answer {
            status: answer.status().as_u16(),
            content_type: header("content-type"),
            location: header("location"),
            body: answer.text()?,
        })
    }

    /// GET.
    pub fn get(&self, path: &str) -> Outcome<Answer> {
        self.request("GET", path, None)
    }

    /// PUT without a body.
    pub fn put(&self, path: &str) -> Outcome<Answer> {
        self.request("PUT", path, None)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Outcome<Answer> {
        self.request("DELETE", path, None)
    }

    /// Creates a connector from the JSON that people have (`{"name": …, "config": …}`).
    pub fn create(&self, json: &str) -> Outcome<String> {
        let answer = self.request("POST", "/connectors", Some(json))?;
        if answer.status != 201 {
            return fail(format!(
                "POST /connectors answered {}: {}",
                answer.status, answer.body
            ));
        }
        let body = answer.json()?;
        Ok(body["name"].as_str().unwrap_or_default().to_owned())
    }

    /// Creates a connector from a name and its config.
    pub fn create_config(&self, name: &str, config: &[(&str, &str)]) -> Outcome<String> {
        let config: Map<String, Value> = config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect();
        self.create(&serde_json::json!({ "name": name, "config": config }).to_string())
    }

    /// A connector's status.
    pub fn status(&self, connector: &str) -> Outcome<Value> {
        self.get(&format!("/connectors/{connector}/status"))?.json()
    }

    /// Waits until a connector and all of its tasks, at least one, run; fails at once with the
    /// trace when one has failed.
    pub fn wait_running(&self, connector: &str) -> Outcome<()> {
        let mut failed = None;
        wait::until(
            &format!("{connector} to run"),
            Duration::from_secs(90),
            || {
                let status = self.status(connector)?;
                let none = Vec::new();
                let tasks = status["tasks"].as_array().unwrap_or(&none);
                let is = |part: &Value, state: &str| part["state"] == state;
                let all = || std::iter::once(&status["connector"]).chain(tasks);
                if all().any(|part| is(part, "FAILED")) {
                    failed = Some(status.to_string());
                    return Ok(Some(()));
                }
                Ok((!tasks.is_empty() && all().all(|part| is(part, "RUNNING"))).then_some(()))
            },
        )?;
        failed.map_or(Ok(()), |status| {
            fail(format!("{connector} failed: {status}"))
        })
    }

    /// Waits until a task has failed and gives its trace.
    pub fn wait_failed(&self, connector: &str) -> Outcome<String> {
        wait::until(
            &format!("{connector} to fail"),
            Duration::from_secs(120),
            || {
                let status = self.status(connector)?;
                let parts = std::iter::once(&status["connector"])
                    .chain(status["tasks"].as_array().into_iter().flatten());
                let failed = parts.into_iter().find(|part| part["state"] == "FAILED");
                Ok(failed.map(|part| part["trace"].as_str().unwrap_or_default().to_owned()))
            },
        )
    }

    /// Waits until a connector's state is `state`, and every task's too.
    pub fn wait_state(&self, connector: &str, state: &str) -> Outcome<()> {
        wait::until(
            &format!("{connector} to be {state}"),
            Duration::from_secs(60),
            || {
                let status = self.status(connector)?;
                let tasks = status["tasks"].as_array();
                let same = status["connector"]["state"] == state
                    && tasks
                        .into_iter()
                        .flatten()
                        .all(|task| task["state"] == state);
                Ok(same.then_some(()))
            },
        )
    }
}
