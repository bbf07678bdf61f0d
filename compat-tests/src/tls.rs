//! An authority of the tests' own and certificates of it for 127.0.0.1, made by `openssl`.

use crate::Outcome;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs openssl in a folder; the words are those of its command line, without spaces in them.
pub fn openssl(folder: &Path, arguments: &str) -> Outcome<()> {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "openssl {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into()),
    }
}

/// Vouches for certificates.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// The password of its stores.
    pub const PASSWORD: &str = "changeit";

    /// One that is new, with its files in `folder`.
    pub fn create(folder: &Path) -> Outcome<Self> {
        std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\n")?;
        openssl(
            folder,
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca \
             -addext basicConstraints=critical,CA:TRUE",
        )?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Its own certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// It as a PKCS#12 trust store under [`Self::PASSWORD`], as Java's own tool makes it.
    pub fn trusted(&self) -> Outcome<PathBuf> {
        let output = Command::new("keytool")
            .args([
                "-importcert",
                "-noprompt",
                "-alias",
                "ca",
                "-file",
                "ca.pem",
            ])
            .args(["-keystore", "trusted.p12", "-storetype", "PKCS12"])
            .args(["-storepass", Self::PASSWORD])
            .current_dir(&self.folder)
            .output()?;
        match output.status.success() {
            true => Ok(self.folder.join("trusted.p12")),
            false => Err(format!("keytool: {}", String::from_utf8_lossy(&output.stdout)).into()),
        }
    }

    /// A key and its certificate, PEM.
    pub fn pem(&self, name: &str) -> Outcome<(String, String)> {
        openssl(
            &self.folder,
            &format!(
                "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
            ),
        )?;
        openssl(
            &self.folder,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
                 -out {name}.pem -days 2 -extfile san"
            ),
        )?;
        let read = |suffix| std::fs::read_to_string(self.folder.join(format!("{name}.{suffix}")));
        Ok((read("key")?, read("pem")?))
    }

    /// The same as a PKCS#12 store under [`Self::PASSWORD`].
    pub fn pkcs12(&self, name: &str) -> Outcome<PathBuf> {
        self.pem(name)?;
        openssl(
            &self.folder,
            &format!(
                "pkcs12 -export -inkey {name}.key -in {name}.pem -certfile ca.pem \
                 -out {name}.p12 -passout pass:{}",
                Self::PASSWORD
            ),
        )?;
        Ok(self.folder.join(format!("{name}.p12")))
    }
}
