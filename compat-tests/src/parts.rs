//! Where the downloaded parts live, free ports, and a folder for each run.

use crate::process::Account;
use crate::{Outcome, fail};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// The cache folder that `setup.sh` fills.
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("FERROCONNECT_PARTS") {
        return folder.into();
    }
    if is_root() {
        return "/var/cache/ferroconnect/parts".into();
    }
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into());
    Path::new(&home).join(".cache/ferroconnect/parts")
}

/// A part by its path below the cache folder; says what to run when it is not there.
pub fn path(relative: &str) -> Outcome<PathBuf> {
    let path = folder().join(relative);
    if path.exists() {
        return Ok(path);
    }
    fail(format!(
        "{} is missing: run compat-tests/setup.sh",
        path.display()
    ))
}

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
        .into()
}

/// What `java` has to be given to run a source file of `clients` with a part's jars.
pub fn java_source(part: &str, source: &str) -> Outcome<[String; 3]> {
    let jars = format!("{}/*", path(part)?.display());
    let source = repository().join("compat-tests/clients").join(source);
    Ok(["-cp".to_owned(), jars, source.display().to_string()])
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|line| line.split_whitespace().eq(["Uid:", "0", "0", "0", "0"]))
}

/// The account for what refuses to run as root; none when we are not root.
pub fn unprivileged() -> Option<Account> {
    if !is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find_map(|fields| {
                let matches = fields.first() == Some(&name);
                let uid = fields.get(2)?.parse().ok()?;
                let gid = fields.get(3)?.parse().ok()?;
                matches.then_some(Account { uid, gid })
            })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .or(Some(Account {
            uid: 65534,
            gid: 65534,
        }))
}

/// A port that nothing listens on.
///
/// They come from below the range that the kernel hands out to clients, and this process never gives
/// one out twice, so that a port is still free when its part gets to bind it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or_default();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_add(step)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// An address of the loopback net that no other part of this run has. With it, a port that a
/// document writes out (5432) is free for every test.
pub fn loopback_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let pid = std::process::id();
    format!(
        "127.{}.{}.{}",
        64 + (pid >> 8) % 128,
        pid % 256,
        1 + n % 250
    )
}

/// A folder of this process that others may enter. Folders of test runs that ended are removed
/// when the next run starts: statics are never dropped, and a killed run cleans nothing.
pub fn run_folder(name: &str) -> Outcome<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let top = std::env::temp_dir();
    if NEXT.load(Ordering::Relaxed) == 0 {
        for entry in std::fs::read_dir(&top)?.flatten() {
            let owner = entry.file_name().into_string().ok();
            let owner = owner
                .as_deref()
                .and_then(|name| name.strip_prefix("ferroconnect-run-"));
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                drop(std::fs::remove_dir_all(entry.path()));
            }
        }
    }
    let run = top.join(format!("ferroconnect-run-{}", std::process::id()));
    let folder = run.join(format!("{}-{name}", NEXT.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir_all(&folder)?;
    for path in [&run, &folder] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}
