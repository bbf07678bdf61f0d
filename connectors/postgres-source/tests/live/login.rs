//! Logins and TLS, each kind against a real server.

use postgres_source::config::PostgresConfig;
use postgres_source::error::PgError;
use postgres_source::protocol::connection::{Connection, ConnectionSettings, SessionKind};
use postgres_source::protocol::tls::SslMode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::{Server, tls_file};
use crate::task::props;

const HBA: &str = "\
    host all clear 127.0.0.1/32 password\n\
    host all old 127.0.0.1/32 md5\n\
    host all new 127.0.0.1/32 scram-sha-256\n\
    hostssl all encrypted 127.0.0.1/32 trust\n\
    hostnossl all plain 127.0.0.1/32 trust\n\
    hostssl all certified 127.0.0.1/32 cert\n";

async fn server() -> Server {
    let server = tokio::task::spawn_blocking(|| Server::start(HBA))
        .await
        .expect("starts");
    server
        .sql(
            "SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'secret'; \
             SET password_encryption = 'scram-sha-256'; CREATE ROLE new LOGIN PASSWORD 'secret'; \
             CREATE ROLE clear LOGIN PASSWORD 'secret'; CREATE ROLE encrypted LOGIN; \
             CREATE ROLE plain LOGIN; CREATE ROLE certified LOGIN;",
        )
        .await;
    server
}

/// A port where each caller is answered with these bytes, once it has said something.
async fn answering(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let mut request = [0; 8];
            caller.read_exact(&mut request).await.ok();
            caller.write_all(bytes).await.ok();
        }
    });
    port
}

async fn encrypted(settings: &ConnectionSettings) -> Result<bool, PgError> {
    let mut connection = Connection::open(settings, SessionKind::Ordinary, "test").await?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = connection.query_first(sql).await?;
    connection.close().await;
    Ok(row.is_some_and(|row| row.flag(0)))
}

#[tokio::test]
async fn every_login_and_every_sslmode_does_what_it_says() {
    let server = server().await;
    let as_user = |user: &str, password: Option<&str>, mode| {
        let mut settings = server.settings();
        settings.user = user.to_owned();
        settings.password = password.map(str::to_owned);
        settings.tls.mode = mode;
        settings
    };

    // Passwords: each method, with and without TLS, right and wrong.
    for user in ["clear", "old", "new"] {
        for mode in [SslMode::Disable, SslMode::Require] {
            let right = encrypted(&as_user(user, Some("secret"), mode)).await;
            assert_eq!(right.expect(user), mode == SslMode::Require, "{user}");
        }
        let wrong = encrypted(&as_user(user, Some("wrong"), SslMode::Disable))
            .await
            .unwrap_err();
        assert_eq!(wrong.sqlstate(), Some("28P01"), "{user}: {wrong}");
        assert!(!wrong.is_retriable());
        let text = format!("FATAL: password authentication failed for user \"{user}\"");
        assert_eq!(wrong.to_string(), text);
        let none = encrypted(&as_user(user, None, SslMode::Disable))
            .await
            .unwrap_err();
        assert!(
            none.to_string().contains("no password was provided"),
            "{none}"
        );
    }

    // Modes that choose: TLS where it is offered or demanded, plain where only that is let in.
    assert!(
        encrypted(&as_user("postgres", None, SslMode::Prefer))
            .await
            .expect("prefer")
    );
    assert!(
        !encrypted(&as_user("postgres", None, SslMode::Allow))
            .await
            .expect("allow")
    );
    assert!(
        encrypted(&as_user("encrypted", None, SslMode::Allow))
            .await
            .expect("allow")
    );
    assert!(
        !encrypted(&as_user("plain", None, SslMode::Prefer))
            .await
            .expect("prefer")
    );
    assert!(
        encrypted(&as_user("plain", None, SslMode::Require))
            .await
            .is_err()
    );
    assert!(
        encrypted(&as_user("encrypted", None, SslMode::Disable))
            .await
            .is_err()
    );

    // Verification: the chain, and the name only for verify-full.
    let verified = |mode, root: &str, host: &str| {
        let mut settings = as_user("postgres", None, mode);
        settings.tls.root_certificate = Some(tls_file(root));
        settings.host = host.to_owned();
        settings
    };
    assert!(
        encrypted(&verified(SslMode::VerifyCa, "ca.crt", "127.0.0.1"))
            .await
            .expect("ca")
    );
    assert!(
        encrypted(&verified(SslMode::VerifyFull, "ca.crt", "localhost"))
            .await
            .expect("full")
    );
    assert!(
        encrypted(&verified(SslMode::VerifyFull, "ca.crt", "127.0.0.1"))
            .await
            .is_err()
    );
    assert!(
        encrypted(&verified(SslMode::VerifyCa, "other.crt", "127.0.0.1"))
            .await
            .is_err()
    );

    // A client certificate stands for its user.
    let mut settings = as_user("certified", None, SslMode::Require);
    assert!(encrypted(&settings).await.is_err());
    settings.tls.certificate = Some(tls_file("client.crt"));
    settings.tls.key = Some(tls_file("client.key"));
    assert!(encrypted(&settings).await.expect("cert"));

    // Nobody there, and nobody of that name.
    let mut settings = server.settings();
    settings.port = 1;
    let error = encrypted(&settings).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Connection to 127.0.0.1:1 refused."),
        "{error}"
    );
    for host in ["no-such-host.invalid", "0x7f.1"] {
        settings.host = host.to_owned();
        let error = encrypted(&settings).await.unwrap_err();
        assert_eq!(error.to_string(), "The connection attempt failed.");
    }
    settings.host = "127.1".to_owned();
    let error = encrypted(&settings).await.unwrap_err().to_string();
    assert!(
        error.starts_with("Connection to 127.1:1 refused."),
        "{error}"
    );
    // Somebody else there, as the JDBC driver tells it.
    settings = as_user("postgres", None, SslMode::Prefer);
    for (answer, told) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "An error occurred while setting up the SSL connection.",
        ),
        (b"S", "SSL error: Remote host terminated the handshake"),
        (b"", "The connection attempt failed."),
    ] {
        settings.port = answering(answer).await;
        assert_eq!(encrypted(&settings).await.unwrap_err().to_string(), told);
    }
    settings = server.settings();
    settings.database = "nowhere".to_owned();
    let error = encrypted(&settings).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "FATAL: database \"nowhere\" does not exist"
    );
}

#[tokio::test]
async fn options_of_tls_reach_the_server() {
    let server = server().await;
    let [root, certificate] =
        ["ca.crt", "client.crt"].map(|name| tls_file(name).display().to_string());
    for key in ["client.pk8", "client-encrypted.pem", "client.key"] {
        let key_file = tls_file(key).display().to_string();
        let options = [
            ("database.hostname", "localhost"),
            ("database.user", "certified"),
            ("database.sslmode", "verify-full"),
            ("database.sslrootcert", root.as_str()),
            ("database.sslcert", certificate.as_str()),
            ("database.sslkey", key_file.as_str()),
            ("database.sslpassword", "secret"),
        ];
        let open = |change: &[(&str, &str)]| {
            let options: Vec<_> = options.iter().chain(change).copied().collect();
            PostgresConfig::parse(&props(&server, &options))
                .expect("valid")
                .connection
        };
        assert!(encrypted(&open(&[])).await.expect(key));
        let wrong = encrypted(&open(&[("database.sslpassword", "wrong")])).await;
        assert_eq!(wrong.is_ok(), key == "client.key", "{wrong:?}");
        let plain = [
            ("database.user", "postgres"),
            ("database.sslmode", "disable"),
        ];
        assert!(!encrypted(&open(&plain)).await.expect("plain"));
        let other = tls_file("other.crt").display().to_string();
        let untrusted = [("database.sslrootcert", other.as_str())];
        assert!(encrypted(&open(&untrusted)).await.is_err());
    }
}
