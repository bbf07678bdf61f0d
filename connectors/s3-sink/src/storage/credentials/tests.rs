//! Providers against little servers that answer as AWS's services do.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex as StdMutex};

use super::*;

/// What a server was asked: request line, headers, body.
pub(crate) type Asked = Arc<StdMutex<Vec<String>>>;

/// A server that answers each request by its first line, for as long as the test runs.
pub(crate) fn serve(answers: fn(&str) -> (u16, String)) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let log = Arc::clone(&log);
            std::thread::spawn(move || answer(stream, answers, &log));
        }
    });
    (format!("http://{address}"), asked)
}

fn answer(stream: std::net::TcpStream, answers: fn(&str) -> (u16, String), log: &Asked) {
    let Ok(copy) = stream.try_clone() else { return };
    let (mut reader, mut writer) = (BufReader::new(copy), stream);
    loop {
        let (mut text, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            let is_end = line.trim().is_empty();
            text.push_str(&line);
            if is_end {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        text.push_str(&String::from_utf8_lossy(&body));
        let first = text.lines().next().unwrap_or_default().to_owned();
        log.lock().expect("no test panics here").push(text);
        let (status, body) = answers(&first);
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
        if writer.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

fn around(variables: &[(&str, &str)]) -> Surroundings {
    let map: HashMap<String, String> = variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Surroundings {
        variables: Arc::new(move |name| map.get(name).cloned()),
        http: Http::new(Duration::from_secs(20), None).expect("a client"),
    }
}

fn get(source: Source, surroundings: Surroundings) -> Result<Arc<AwsCredential>, String> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let credentials = Credentials::new(source, surroundings);
    runtime
        .block_on(credentials.get())
        .map(|found| found.expect("signed"))
        .map_err(|error| error.text)
}

fn of_class(class: &str) -> Source {
    Source::new(class, &Props::new(), "", "").expect("known")
}

pub(crate) fn asked(log: &Asked) -> Vec<String> {
    log.lock().expect("no test panics here").clone()
}

const SESSION_XML: &str = "<R><Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>SK</SecretAccessKey>\
    <SessionToken>TK</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R>";
const SESSION_JSON: &str = r#"{"Code":"Success","AccessKeyId":"AK","SecretAccessKey":"SK","Token":"TK","Expiration":"2099-01-01T00:00:00Z"}"#;

#[test]
fn an_access_key_goes_before_every_provider_but_assume_role() {
    let class = "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider";
    let fixed = Source::Static("a".to_owned(), "b".to_owned());
    assert_eq!(
        Source::new(class, &Props::new(), "a", "b").expect("known"),
        fixed
    );
    assert_eq!(
        Source::new(class, &Props::new(), "a", "").expect("known"),
        default_chain()
    );
    let props: Props = [
        ("sts.role.arn", "arn"),
        ("sts.role.session.name", "n"),
        ("sts.role.external.id", "x"),
        ("sts.region", "eu-west-1"),
    ]
    .into_iter()
    .map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned()))
    .collect();
    let Source::AssumeRole(role) =
        Source::new(ASSUME_ROLE_CLASS, &props, "a", "b").expect("complete")
    else {
        panic!("a role")
    };
    assert_eq!((role.base, role.region.as_str()), (fixed, "eu-west-1"));
    let Source::AssumeRole(role) =
        Source::new(ASSUME_ROLE_CLASS, &props, "", "").expect("complete")
    else {
        panic!("a role")
    };
    assert_eq!((role.base, role.region.as_str()), (default_chain(), ""));
    let error = Source::new(ASSUME_ROLE_CLASS, &Props::new(), "", "").expect_err("incomplete");
    assert!(
        error
            .message()
            .starts_with("Missing required configuration \"sts.role.arn\""),
        "{error}"
    );
}

#[test]
fn classes_of_both_sdks_are_known_and_others_are_refused() {
    for class in [
        "com.amazonaws.auth.DefaultAWSCredentialsProviderChain",
        "com.amazonaws.auth.InstanceProfileCredentialsProvider",
        "com.amazonaws.auth.EC2ContainerCredentialsProviderWrapper",
        "com.amazonaws.auth.WebIdentityTokenCredentialsProvider",
        "com.amazonaws.auth.profile.ProfileCredentialsProvider",
        "software.amazon.awssdk.auth.credentials.WebIdentityTokenFileCredentialsProvider",
        "software.amazon.awssdk.auth.credentials.AnonymousCredentialsProvider",
        ASSUME_ROLE_CLASS,
    ] {
        assert!(is_known(class), "{class}");
    }
    for class in ["com.acme.Mine", "com.amazonaws.auth.Other"] {
        assert!(!is_known(class), "{class}");
        let error = Source::new(class, &Props::new(), "", "").expect_err("unknown");
        assert!(error.message().contains(class), "{error}");
    }
}

#[test]
fn the_environment_is_read_with_its_token() {
    let around = around(&[
        ("AWS_ACCESS_KEY_ID", "AK"),
        ("AWS_SECRET_ACCESS_KEY", "SK"),
        ("AWS_SESSION_TOKEN", "TK"),
    ]);
    let found = get(
        of_class("com.amazonaws.auth.EnvironmentVariableCredentialsProvider"),
        around,
    )
    .expect("set");
    assert_eq!(
        (found.key_id.as_str(), found.token.as_deref()),
        ("AK", Some("TK"))
    );
}

#[test]
fn a_role_is_assumed_with_the_name_session_and_external_id_of_the_configuration() {
    let (url, log) = serve(|_| (200, SESSION_XML.to_owned()));
    let role = Role {
        arn: "arn:aws:iam::1:role/r".to_owned(),
        session_name: "s".to_owned(),
        external_id: "x y".to_owned(),
        region: "eu-west-1".to_owned(),
        base: Source::Static("BASE".to_owned(), "SECRET".to_owned()),
    };
    let found = get(
        Source::AssumeRole(Box::new(role)),
        around(&[("AWS_ENDPOINT_URL_STS", &url)]),
    )
    .expect("a role");
    assert_eq!(
        (found.key_id.as_str(), found.token.as_deref()),
        ("AK", Some("TK"))
    );
    let request = asked(&log).join("\n");
    for part in [
        "Action=AssumeRole&",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr",
        "RoleSessionName=s",
        "ExternalId=x%20y",
        "Credential=BASE/",
        "/eu-west-1/sts/aws4_request",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[test]
fn a_refused_role_says_why() {
    let (url, _log) = serve(|_| {
        let body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>";
        (403, body.to_owned())
    });
    let role = Role {
        arn: "r".to_owned(),
        session_name: "s".to_owned(),
        external_id: String::new(),
        region: String::new(),
        base: Source::Static("a".to_owned(), "b".to_owned()),
    };
    let error = get(
        Source::AssumeRole(Box::new(role)),
        around(&[("AWS_ENDPOINT_URL_STS", &url)]),
    )
    .expect_err("refused");
    assert!(error.contains("AccessDenied: not you"), "{error}");
    assert!(error.contains(&url), "{error}");
}

#[test]
fn a_web_identity_is_read_from_its_file_and_not_signed() {
    let (url, log) = serve(|_| (200, SESSION_XML.to_owned()));
    let file = std::env::temp_dir().join(format!("web-identity-{}", std::process::id()));
    std::fs::write(&file, "the.token\n").expect("written");
    let source =
        of_class("software.amazon.awssdk.auth.credentials.WebIdentityTokenFileCredentialsProvider");
    let path = file.display().to_string();
    let found = get(
        source,
        around(&[
            ("AWS_ENDPOINT_URL_STS", &url),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &path),
            ("AWS_ROLE_ARN", "arn"),
        ]),
    )
    .expect("a role");
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(found.key_id, "AK");
    let request = asked(&log).join("\n");
    assert!(request.contains("WebIdentityToken=the.token"), "{request}");
    assert!(
        !request.to_lowercase().contains("authorization"),
        "{request}"
    );
}

#[test]
fn an_instance_gives_its_roles_credentials_for_a_token() {
    let (url, log) = serve(|line| match line {
        line if line.starts_with("PUT /latest/api/token") => (200, "imds-token".to_owned()),
        line if line.contains("security-credentials/the-role") => (200, SESSION_JSON.to_owned()),
        _ => (200, "the-role\n".to_owned()),
    });
    let source = of_class("com.amazonaws.auth.InstanceProfileCredentialsProvider");
    let found = get(
        source,
        around(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]),
    )
    .expect("a role");
    assert_eq!(
        (found.secret_key.as_str(), found.token.as_deref()),
        ("SK", Some("TK"))
    );
    assert!(
        asked(&log)[2]
            .to_lowercase()
            .contains("x-aws-ec2-metadata-token: imds-token")
    );
}

#[test]
fn a_container_is_asked_with_its_token() {
    let (url, log) = serve(|_| (200, SESSION_JSON.to_owned()));
    let uri = format!("{url}/creds");
    let source = of_class("com.amazonaws.auth.EC2ContainerCredentialsProviderWrapper");
    let found = get(
        source,
        around(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod"),
        ]),
    )
    .expect("credentials");
    assert_eq!(found.key_id, "AK");
    assert!(asked(&log)[0].to_lowercase().contains("authorization: pod"));
}

#[test]
fn profiles_have_keys_or_roles_of_other_profiles() {
    let (url, log) = serve(|_| (200, SESSION_XML.to_owned()));
    let folder = std::env::temp_dir().join(format!("aws-profile-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("made");
    let (credentials, config) = (folder.join("credentials"), folder.join("config"));
    std::fs::write(
        &credentials,
        "[other]\naws_access_key_id = no\n[base]\n# note\naws_access_key_id=BASE\naws_secret_access_key = s=1\n",
    )
    .expect("written");
    std::fs::write(
        &config,
        "[profile role]\nrole_arn = arn\nsource_profile = base\nregion = eu-north-1\n",
    )
    .expect("written");
    let source = || of_class("software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider");
    let around = |profile: &str| {
        around(&[
            (
                "AWS_SHARED_CREDENTIALS_FILE",
                &credentials.display().to_string(),
            ),
            ("AWS_CONFIG_FILE", &config.display().to_string()),
            ("AWS_ENDPOINT_URL_STS", &url),
            ("AWS_PROFILE", profile),
        ])
    };
    let found = get(source(), around("base")).expect("keys");
    assert_eq!(
        (found.key_id.as_str(), found.secret_key.as_str()),
        ("BASE", "s=1")
    );
    let found = get(source(), around("role")).expect("a role");
    assert_eq!(found.key_id, "AK");
    assert!(asked(&log)[0].contains("/eu-north-1/sts/"));
    let error = get(source(), around("none")).expect_err("no such profile");
    assert!(error.starts_with("Unable to load credentials"), "{error}");
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn profiles_have_programs_and_sign_ins() {
    const ROLE: &str = r#"{"roleCredentials":{"accessKeyId":"AK","secretAccessKey":"SK","sessionToken":"TK","expiration":4070908800000}}"#;
    let (url, log) = serve(|_| (200, ROLE.to_owned()));
    let home = std::env::temp_dir().join(format!("aws-sign-in-{}", std::process::id()));
    let cache = home.join(".aws/sso/cache");
    std::fs::create_dir_all(&cache).expect("made");
    let config = "[profile program]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"PK\",\"SecretAccessKey\":\"PS\",\"SessionToken\":\"PT\",\"Expiration\":\"2099-01-01T00:00:00Z\"}'\n\
        [profile broken]\ncredential_process = exit 3\n\
        [profile silent]\ncredential_process = true\n\
        [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp\n\
        [profile signed]\nsso_session = corp\nsso_account_id = 1234\nsso_role_name = a role\n\
        [profile old]\nsso_start_url = https://corp\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = r\n\
        [profile half]\nsso_session = corp\nsso_account_id = 1234\n";
    std::fs::write(home.join(".aws/config"), config).expect("written");
    // Named after the SHA-1 of "corp" and of "https://corp".
    let token = |end: &str| format!(r#"{{"accessToken":"bearer","expiresAt":"{end}"}}"#);
    for (name, end) in [
        (
            "ee0bfd2552fbd840c02cc48b6e823320543c450f",
            "2099-01-01T00:00:00Z",
        ),
        (
            "17da54e8ec4ee05390f1915bb3ef5fea7ebd238e",
            "2001-01-01T00:00:00Z",
        ),
    ] {
        std::fs::write(cache.join(format!("{name}.json")), token(end)).expect("written");
    }
    let of = |profile: &str| {
        let source = of_class("software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider");
        let home = home.display().to_string();
        let variables = [
            ("HOME", home.as_str()),
            ("AWS_PROFILE", profile),
            ("AWS_ENDPOINT_URL_SSO", &url),
        ];
        get(source, around(&variables))
    };
    let found = of("program").expect("printed");
    assert_eq!(
        (
            found.key_id.as_str(),
            found.secret_key.as_str(),
            found.token.as_deref()
        ),
        ("PK", "PS", Some("PT"))
    );
    for (profile, why) in [
        ("broken", "exit status: 3"),
        ("silent", "printed no credentials"),
        ("half", "lacks sso_role_name"),
        ("old", "has run out; sign in again"),
    ] {
        let error = of(profile).expect_err(profile);
        assert!(error.contains(why), "{profile}: {error}");
    }
    let found = of("signed").expect("a role");
    assert_eq!(
        (found.key_id.as_str(), found.token.as_deref()),
        ("AK", Some("TK"))
    );
    let request = &asked(&log)[0];
    assert!(
        request.starts_with("GET /federation/credentials?role_name=a%20role&account_id=1234 "),
        "{request}"
    );
    assert!(
        request.contains("x-amz-sso_bearer_token: bearer"),
        "{request}"
    );
    std::fs::remove_dir_all(&home).expect("removed");
}

#[test]
fn credentials_are_kept_until_shortly_before_their_end() {
    let now = SystemTime::now();
    let mut session = Session::forever("a".to_owned(), "b".to_owned(), None);
    assert!(session.is_fresh(now));
    session.expires = Some(now + MARGIN * 2);
    assert!(session.is_fresh(now));
    session.expires = Some(now + MARGIN / 2);
    assert!(!session.is_fresh(now));
}
