//! The `ferroconnect` command: reads arguments, properties and environment, and runs a worker.
//!
//! The only file that names the list of connectors. Answers for `connect-distributed.sh` and
//! `connect-standalone.sh`.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use connect_api::Props;
use connect_api::context::PluginContext;
use connect_api::error::Chain;
use connect_api::java::parse_properties;
use tokio::signal::unix::{SignalKind, signal};
use worker::logging::Loggers;
use worker::logging::log4j::Levels;
use worker::run::{Command, Failure};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
Ferroconnect, a Kafka Connect worker

usage: ferroconnect distributed [worker.properties]
       ferroconnect standalone worker.properties [connector.json|connector.properties ...]
       ferroconnect plan --from http://worker:8083 [--worker worker.properties] (--help: more)
       ferroconnect convert --from CLASS[,key=value...] --to CLASS[,key=value...] (--help: more)
       ferroconnect --version | --help

Without a file a distributed worker takes everything from the environment: CONNECT_BOOTSTRAP_SERVERS
is bootstrap.servers, and so on; `__` stands for `_`, `___` for `-`.
Logging: CONNECT_LOG4J_ROOT_LOGLEVEL, CONNECT_LOG4J_LOGGERS, or FERROCONNECT_LOG=info,worker=debug;
FERROCONNECT_LOG_FORMAT=json for a JSON object a line.
";

/// Threads for REST and the herder: they wait more than they work.
const REST_THREADS: usize = 2;
/// Threads for the I/O of plugins, whose records have threads of their own.
const PLUGIN_THREADS: usize = 2;

/// The stack of a thread; what is not used of it costs nothing.
const STACK_BYTES: usize = 16 * 1024 * 1024;

fn main() -> ExitCode {
    with_a_sparing_allocator();
    let environment: Vec<(String, String)> = std::env::vars().collect();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (standalone, file, connectors) = match words.as_slice() {
        ["--version" | "-V" | "version"] => {
            say(&format!(
                "ferroconnect {} (Kafka Connect {})\n",
                env!("CARGO_PKG_VERSION"),
                worker::KAFKA_VERSION
            ));
            return ExitCode::SUCCESS;
        }
        ["--help" | "-h" | "help"] => {
            say(&usage());
            return ExitCode::SUCCESS;
        }
        ["convert", words @ ..] => return convert(words),
        ["plan", words @ ..] => return plan(words),
        ["distributed" | "start"] => (false, None, Vec::new()),
        ["distributed", file] => (false, Some(*file), Vec::new()),
        ["standalone", file, connectors @ ..] => (
            true,
            Some(*file),
            connectors.iter().map(PathBuf::from).collect(),
        ),
        [name, ..]
            if connectors::SUBCOMMANDS
                .iter()
                .any(|known| known.name == *name) =>
        {
            return subcommand(name, arguments.get(1..).unwrap_or_default());
        }
        _ => {
            complain(&usage());
            return ExitCode::from(1);
        }
    };
    let log4j = worker::environment::log4j_file(&environment);
    let levels = log4j.map(std::fs::read_to_string).transpose();
    let (levels, unread) = match levels {
        Ok(text) => (Levels::read(&text.unwrap_or_default()), None),
        Err(error) => (Levels::default(), Some(error)),
    };
    let filter = worker::environment::log_filter(&environment, &levels);
    let loggers = Arc::new(Loggers::install(
        &filter,
        worker::environment::log_lines(&environment),
    ));
    if let Some(error) = unread {
        tracing::warn!(file = log4j, %error, "log4j's configuration cannot be read");
    }
    let props = match file.map_or_else(|| Ok(Props::new()), |file| read_properties(Path::new(file)))
    {
        Ok(props) => worker::environment::complete(props, file.is_some(), &environment),
        Err(error) => return fail(&Failure::Setup(error)),
    };
    match run(
        Command {
            props,
            standalone,
            connectors,
        },
        loggers,
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

/// `ferroconnect convert`: lines of standard input through two converters.
fn convert(words: &[&str]) -> ExitCode {
    if words == ["--help"] {
        say(worker::convert::USAGE);
        return ExitCode::SUCCESS;
    }
    let command = match worker::convert::Command::parse(words) {
        Ok(command) => command,
        Err(why) => {
            complain(&format!(
                "ferroconnect convert: {why}\n{}",
                worker::convert::USAGE
            ));
            return ExitCode::from(1);
        }
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| connect_api::Error::fatal("starting the async runtime").with_source(error))
        .and_then(|runtime| {
            command.run(
                &worker::plugins::Plugins::new(connectors::PLUGINS),
                &PluginContext {
                    runtime: runtime.handle().clone(),
                },
                std::io::stdin().lock(),
                std::io::BufWriter::new(std::io::stdout().lock()),
            )
        });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            complain(&format!("ferroconnect convert: {}\n", Chain(&error)));
            ExitCode::from(1)
        }
    }
}

/// `ferroconnect plan`: what becomes of a running cluster's connectors.
fn plan(words: &[&str]) -> ExitCode {
    if words == ["--help"] {
        say(worker::plan::USAGE);
        return ExitCode::SUCCESS;
    }
    let command = match worker::plan::Command::parse(words, |name| std::env::var(name).ok()) {
        Ok(command) => command,
        Err(why) => {
            complain(&format!(
                "ferroconnect plan: {why}\n{}",
                worker::plan::USAGE
            ));
            return ExitCode::from(1);
        }
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(PLUGIN_THREADS)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| connect_api::Error::fatal("starting the async runtime").with_source(error))
        .and_then(|runtime| {
            let context = PluginContext {
                runtime: runtime.handle().clone(),
            };
            runtime.block_on(command.run(connectors::PLUGINS, &context))
        });
    match outcome {
        Ok((report, code)) => {
            say(&report);
            ExitCode::from(code)
        }
        Err(error) => {
            complain(&format!("ferroconnect plan: {}\n", Chain(&error)));
            ExitCode::from(1)
        }
    }
}

/// How the program is called, with its subcommands.
fn usage() -> String {
    let mut forms = String::new();
    for line in connectors::SUBCOMMANDS
        .iter()
        .flat_map(|known| known.usage.lines())
    {
        forms.push_str(&format!("       ferroconnect {line}\n"));
    }
    USAGE.replace(
        "       ferroconnect --version",
        &format!("{forms}       ferroconnect --version"),
    )
}

/// Runs one of the plugins' subcommands: what it finds goes to standard output, errors to standard
/// error.
fn subcommand(name: &str, words: &[String]) -> ExitCode {
    let Some(command) = connectors::SUBCOMMANDS
        .iter()
        .find(|known| known.name == name)
    else {
        return ExitCode::from(1);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(PLUGIN_THREADS)
        .enable_all()
        .build();
    let answer = runtime
        .map_err(|error| connect_api::Error::fatal("starting the async runtime").with_source(error))
        .and_then(|runtime| {
            let context = PluginContext {
                runtime: runtime.handle().clone(),
            };
            (command.run)(&context, words)
        });
    match answer {
        Ok(answer) => {
            say(&answer.text);
            ExitCode::from(answer.code)
        }
        Err(error) => {
            complain(&format!("ferroconnect {name}: {}\n", Chain(&error)));
            ExitCode::from(1)
        }
    }
}

/// What the allocator reads of its environment, before `main`: huge pages more than double what an idle
/// worker takes; memory that is free goes back after a tenth of a second instead of a whole one, which
/// takes a fifth off a busy sink's peak for a twentieth of its CPU time.
const ALLOCATOR_SETTINGS: [(&str, &str); 2] =
    [("MIMALLOC_ALLOW_THP", "0"), ("MIMALLOC_PURGE_DELAY", "100")];

/// Where the environment says nothing of the allocator, the command runs itself once more, in the same
/// process, with these words said. Where that fails it goes on as it is.
fn with_a_sparing_allocator() {
    let unsaid = ALLOCATOR_SETTINGS
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none());
    let unsaid: Vec<(&str, &str)> = unsaid.collect();
    if unsaid.is_empty() {
        return;
    }
    if let Ok(path) = std::env::current_exe() {
        let error = std::process::Command::new(path)
            .args(std::env::args_os().skip(1))
            .envs(unsaid)
            .exec();
        complain(&format!(
            "ferroconnect: continuing with the allocator's own settings: {error}\n"
        ));
    }
}

fn run(command: Command, loggers: Arc<Loggers>) -> Result<(), Failure> {
    let runtime = |name: &str, threads| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            // Room for JSON that is nested as deeply as it may be, also without optimization.
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| {
                Failure::Setup(
                    connect_api::Error::fatal("starting the async runtime").with_source(error),
                )
            })
    };
    let plugins = runtime("plugin-io", PLUGIN_THREADS)?;
    let rest = runtime("rest", REST_THREADS)?;
    let outcome = rest.block_on(worker::run::run(
        command,
        connectors::PLUGINS,
        plugins.handle().clone(),
        loggers,
        told_to_stop(),
    ));
    // Whatever still blocks has had its time while the herder stopped.
    plugins.shutdown_background();
    rest.shutdown_background();
    outcome
}

/// Completes on SIGTERM or SIGINT.
async fn told_to_stop() {
    let (Ok(mut term), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::warn!("signals cannot be heard: the worker stops only by being killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn read_properties(path: &Path) -> connect_api::Result<Props> {
    let failed = || format!("reading the worker's properties from {}", path.display());
    let text = std::fs::read_to_string(path)
        .map_err(|error| connect_api::Error::config(failed()).with_source(error))?;
    parse_properties(&text).map_err(|error| connect_api::Error::config(failed()).with_source(error))
}

fn fail(failure: &Failure) -> ExitCode {
    tracing::error!(error = %Chain(failure), "Stopping due to error");
    ExitCode::from(failure.exit_code())
}

#[expect(clippy::print_stdout, reason = "the command line's own answers")]
fn say(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "the command line's own answers")]
fn complain(text: &str) {
    eprint!("{text}");
}
