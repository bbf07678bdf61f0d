//! A Postgres of the test's own: started for it, gone with it.
//!
//! Postgres refuses to run as root, so that then it runs as `nobody`. A machine without Postgres
//! fails these tests; they never pass over it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use postgres_source::protocol::connection::{Connection, ConnectionSettings, SessionKind};
use postgres_source::protocol::tls::{SslMode, TlsSettings};

/// How long a cluster may take to come up on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server.
pub(crate) struct Server {
    process: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Server {
    /// Starts a server with TLS whose superuser `postgres` needs no password on `127.0.0.1`;
    /// `hba` goes before that rule.
    pub(crate) fn start(hba: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let data = directory.path().join("data");
        std::fs::create_dir(&data).expect("the data directory");
        open_to_all(directory.path());
        let owner = Owner::of_this_process();
        owner.give(&data);
        let bin = binaries();
        let mut initdb = owner.command(&bin.join("initdb"));
        initdb.args([
            "-U",
            "postgres",
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]);
        let output = initdb.arg("-D").arg(&data).output().expect("initdb runs");
        assert!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        for file in ["server.crt", "server.key", "ca.crt"] {
            let to = data.join(file);
            std::fs::copy(tls_file(file), &to).expect("a TLS file is copied");
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).expect("mode");
            owner.give(&to);
        }
        let rules = format!(
            "{hba}\nhost all postgres 127.0.0.1/32 trust\n\
             host replication postgres 127.0.0.1/32 trust\n"
        );
        std::fs::write(data.join("pg_hba.conf"), rules).expect("pg_hba.conf");
        let port = free_port();
        let mut postgres = owner.command(&bin.join("postgres"));
        postgres
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-k", ""]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "wal_level=logical",
            "fsync=off",
            "ssl=on",
            "ssl_ca_file=ca.crt",
            "shared_buffers=16MB",
            "max_wal_senders=10",
            "max_replication_slots=10",
        ] {
            postgres.args(["-c", setting]);
        }
        let process = postgres.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Self {
            process: process.expect("postgres starts"),
            port,
            _directory: directory,
        };
        server.wait();
        server
    }

    fn wait(&self) {
        let end = Instant::now() + START_TIMEOUT;
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        loop {
            match runtime.block_on(self.connect()) {
                Ok(connection) => return runtime.block_on(connection.close()),
                Err(error) => assert!(Instant::now() < end, "postgres does not come up: {error}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Settings of the superuser.
    pub(crate) fn settings(&self) -> ConnectionSettings {
        ConnectionSettings {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: "postgres".to_owned(),
            password: None,
            database: "postgres".to_owned(),
            tls: TlsSettings {
                mode: SslMode::Disable,
                ..TlsSettings::default()
            },
            keep_alive: true,
        }
    }

    async fn connect(&self) -> Result<Connection, postgres_source::error::PgError> {
        Connection::open(&self.settings(), SessionKind::Ordinary, "test").await
    }

    /// Runs `sql` as the superuser.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<postgres_source::protocol::connection::Row> {
        let mut connection = self.connect().await.expect("connects");
        let rows = connection
            .query(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        connection.close().await;
        rows
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Started as another user through a helper that became it, so the id is the server's own.
        let stop = Command::new("kill")
            .args(["-INT", &self.process.id().to_string()])
            .status();
        if !stop.is_ok_and(|status| status.success()) {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}

/// A file of the test's own certificates.
pub(crate) fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/live/tls")
        .join(name)
}

/// As whom the server runs.
enum Owner {
    Myself,
    Nobody,
}

impl Owner {
    fn of_this_process() -> Self {
        let id = Command::new("id").arg("-u").output().expect("id runs");
        if id.stdout.trim_ascii() == b"0" {
            Self::Nobody
        } else {
            Self::Myself
        }
    }

    fn give(&self, path: &Path) {
        if let Self::Nobody = self {
            let status = Command::new("chown").arg("nobody").arg(path).status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "chown {}",
                path.display()
            );
        }
    }

    fn command(&self, program: &Path) -> Command {
        match self {
            Self::Myself => Command::new(program),
            Self::Nobody => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid=nobody", "--clear-groups", "--"])
                    .arg(program);
                command.current_dir("/");
                command
            }
        }
    }
}

fn open_to_all(path: &Path) {
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("the directory's mode");
}

/// Where the server's programs are: `POSTGRES_BIN`, the newest packaged version, or the `PATH`.
fn binaries() -> PathBuf {
    if let Some(path) = std::env::var_os("POSTGRES_BIN") {
        return PathBuf::from(path);
    }
    let packaged = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<PathBuf> = packaged.map(|entry| entry.path().join("bin")).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.retain(|bin| bin.join("initdb").is_file());
    found.sort_by_key(|bin| {
        let version = bin
            .parent()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    found
        .pop()
        .or_else(|| std::env::split_paths(&path).find(|bin| bin.join("initdb").is_file()))
        .expect("PostgreSQL is installed (initdb in POSTGRES_BIN, /usr/lib/postgresql or PATH)")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
