//! A child process that never outlives its owner.
//!
//! Each process leads a group of its own, and dropping it kills the group. Should the test binary
//! itself be killed, the kernel takes the processes along (parent-death signal): that signal is tied
//! to the *thread* that spawned, so one thread that lives as long as the program does all spawning.

use crate::{Outcome, fail};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

type Job = (Command, Sender<std::io::Result<Child>>);

static SPAWNER: LazyLock<Mutex<Sender<Job>>> = LazyLock::new(|| {
    let (jobs, inbox) = channel::<Job>();
    std::thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || {
            for (mut command, answer) in inbox {
                // The asker may be gone; then the child is dropped unasked for.
                drop(answer.send(command.spawn()));
            }
        })
        .expect("a thread can be started");
    Mutex::new(jobs)
});

/// Whether a process goes when its owner goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Killed with its owner: tests, benchmark.
    Owned,
    /// Stays after the owner has ended: what the quickstart leaves running.
    Detached,
}

/// The account that a process runs as.
#[derive(Debug, Clone)]
pub struct Account {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric id of the user's own group.
    pub gid: u32,
}

/// What to start.
#[derive(Debug)]
pub struct Program {
    name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    cleared: Vec<String>,
    account: Option<Account>,
    life: Life,
}

impl Program {
    /// A program by path or name, with its arguments.
    pub fn new<S: Into<String>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Self {
        Self {
            name: name.to_owned(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            cleared: Vec::new(),
            account: None,
            life: Life::Owned,
        }
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes an environment variable of our own away from the process.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.cleared.push(name.to_owned());
        self
    }

    /// Runs it as another user.
    #[must_use]
    pub fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// Sets how long it lives.
    #[must_use]
    pub fn life(mut self, life: Life) -> Self {
        self.life = life;
        self
    }

    /// Starts it with both outputs appended to `log`.
    pub fn start(self, log: &Path) -> Outcome<Process> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new("setpriv");
        if let Some(account) = &self.account {
            command.args([
                format!("--reuid={}", account.uid),
                format!("--regid={}", account.gid),
                "--clear-groups".to_owned(),
            ]);
        }
        if self.life == Life::Owned {
            command.args(["--pdeathsig", "KILL"]);
        }
        command.arg("--").arg(&self.name).args(&self.arguments);
        for name in &self.cleared {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let (answer, child) = channel();
        SPAWNER
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send((command, answer))?;
        let child = child
            .recv()?
            .map_err(|error| format!("starting {}: {error}", self.name))?;
        Ok(Process {
            name: self.name,
            child,
            life: self.life,
            log: log.to_owned(),
        })
    }
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    life: Life,
    log: PathBuf,
}

impl Process {
    /// Its process id, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that it has printed.
    pub fn output(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Fails with the end of its output when it has ended.
    pub fn check_alive(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let output = self.output();
                let tail: Vec<&str> = output.lines().rev().take(30).collect();
                let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                fail(format!("{} ended ({status}):\n{tail}", self.name))
            }
        }
    }

    /// Sends a signal (`TERM`, `INT`, `KILL`, …) to the process alone.
    pub fn signal(&self, name: &str) {
        signal(name, &self.id().to_string());
    }

    /// Waits for its end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                return fail(format!(
                    "{} still runs after {} s",
                    self.name,
                    limit.as_secs()
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the whole group at once and waits until it is gone.
    pub fn kill(&mut self) {
        signal("KILL", &format!("-{}", self.id()));
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.life == Life::Owned {
            self.kill();
        }
    }
}

/// Sends a signal to a process id, or to a group when the id is negative.
pub fn signal(name: &str, target: &str) {
    // The shell's builtin: no package needed, no unsafe call. A process already gone is fine.
    drop(
        Command::new("sh")
            .args(["-c", "kill -s \"$0\" -- \"$1\" 2>/dev/null", name, target])
            .status(),
    );
}

/// CPU seconds that a process has used so far.
pub fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("unexpected /proc/pid/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: f64 = [11, 12]
        .iter()
        .map(|i| {
            fields
                .get(*i)
                .and_then(|t| t.parse::<f64>().ok())
                .unwrap_or_default()
        })
        .sum();
    // The kernel's USER_HZ is 100 on every Linux that Rust runs on.
    Ok(ticks / 100.0)
}

/// A field of /proc/pid/status in MiB, such as `VmHWM` (peak) or `VmRSS` (now).
pub fn memory_mib(pid: u32, field: &str) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.ok_or_else(|| format!("no {field} in /proc/{pid}/status"))? / 1024.0)
}
