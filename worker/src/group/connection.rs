//! A connection to a broker that speaks Kafka's protocol: TCP, TLS, login, requests one by one.
//!
//! For what librdkafka has no call for. Takes the settings that librdkafka's clients get, so that
//! both reach the same brokers. Every step has a time limit, every error says which broker. Answers
//! for `NetworkClient`, `SslChannelBuilder` and `SaslClientAuthenticator`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use connect_api::{Error, Result};
use kafka_protocol::messages::api_versions_request::ApiVersionsRequest;
use kafka_protocol::messages::api_versions_response::ApiVersionsResponse;
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::metadata_request::MetadataRequest;
use kafka_protocol::messages::metadata_response::MetadataResponse;
use kafka_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use kafka_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use kafka_protocol::messages::{self, ApiKey};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};
use keystore::ChainVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::sasl::Login;
use crate::kafka::ClientConfig;

/// The largest answer that is believed: one of a coordinator holds all members' metadata.
const LARGEST_ANSWER: usize = 100 * 1024 * 1024;

/// How much later than the broker before it the next one is tried.
const NEXT_BROKER: Duration = Duration::from_millis(250);

/// A request and its answer, as a client needs them.
pub trait Request: Encodable + HeaderVersion + Message {
    /// Its key.
    const KEY: ApiKey;
    /// Its answer.
    type Response: Decodable + HeaderVersion;
}

macro_rules! requests {
    ($($key:ident: $request:ident -> $response:ident),* $(,)?) => {
        $(impl Request for messages::$request {
            const KEY: ApiKey = ApiKey::$key;
            type Response = messages::$response;
        })*
    };
}
requests! {
    ApiVersions: ApiVersionsRequest -> ApiVersionsResponse,
    CreateTopics: CreateTopicsRequest -> CreateTopicsResponse,
    DeleteGroups: DeleteGroupsRequest -> DeleteGroupsResponse,
    DescribeConfigs: DescribeConfigsRequest -> DescribeConfigsResponse,
    DescribeGroups: DescribeGroupsRequest -> DescribeGroupsResponse,
    FindCoordinator: FindCoordinatorRequest -> FindCoordinatorResponse,
    Heartbeat: HeartbeatRequest -> HeartbeatResponse,
    InitProducerId: InitProducerIdRequest -> InitProducerIdResponse,
    JoinGroup: JoinGroupRequest -> JoinGroupResponse,
    LeaveGroup: LeaveGroupRequest -> LeaveGroupResponse,
    Metadata: MetadataRequest -> MetadataResponse,
    OffsetDelete: OffsetDeleteRequest -> OffsetDeleteResponse,
    OffsetFetch: OffsetFetchRequest -> OffsetFetchResponse,
    SaslAuthenticate: SaslAuthenticateRequest -> SaslAuthenticateResponse,
    SaslHandshake: SaslHandshakeRequest -> SaslHandshakeResponse,
    SyncGroup: SyncGroupRequest -> SyncGroupResponse,
}

/// How brokers are reached.
#[derive(Clone)]
pub struct Access {
    bootstrap: Vec<(String, u16)>,
    /// The cluster's brokers as one of them told: those of `bootstrap.servers` may be gone.
    known: Arc<Mutex<Vec<(String, u16)>>>,
    client_id: String,
    tls: Option<Arc<rustls::ClientConfig>>,
    login: Option<Login>,
    setup_limit: Duration,
    /// How long an ordinary request may take.
    pub request_limit: Duration,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("bootstrap", &self.bootstrap)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// From the settings of a librdkafka client.
    ///
    /// # Errors
    /// Kind Config: a setting cannot be honoured.
    pub fn of(config: &ClientConfig, client_id: &str) -> Result<Self> {
        let servers = config.get("bootstrap.servers").unwrap_or_default();
        let bootstrap = servers
            .split(',')
            .map(host_and_port)
            .collect::<Result<Vec<_>>>()?;
        let protocol = config.get("security.protocol").unwrap_or("plaintext");
        let protocol = protocol.to_ascii_lowercase();
        let tls = protocol.ends_with("ssl").then(|| tls(config)).transpose()?;
        let login = protocol
            .starts_with("sasl")
            .then(|| Login::of(config))
            .transpose()?;
        let millis = |key: &str, default: u64| {
            let value = config.get(key).and_then(|value| value.parse().ok());
            Duration::from_millis(value.unwrap_or(default))
        };
        Ok(Self {
            bootstrap,
            known: Arc::default(),
            client_id: client_id.to_owned(),
            tls: tls.map(Arc::new),
            login,
            setup_limit: millis("socket.connection.setup.timeout.ms", 10_000),
            request_limit: millis("socket.timeout.ms", 40_000),
        })
    }

    /// As whom brokers know this client.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Connects to whichever broker answers first. They are asked one soon after the other, so that
    /// one that is silent keeps nobody waiting.
    ///
    /// # Errors
    /// None answers: the last one's error.
    pub async fn any_broker(&self) -> Result<Connection> {
        let mut attempts = JoinSet::new();
        for ((host, port), before) in self.places().into_iter().zip(0..) {
            let access = self.clone();
            attempts.spawn(async move {
                tokio::time::sleep(NEXT_BROKER * before).await;
                Connection::open(&access, &host, port).await
            });
        }
        let mut last = Error::config("bootstrap.servers names no broker");
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = error,
                Err(error) => last = Error::fatal("connecting to a broker").with_source(error),
            }
        }
        Err(last)
    }

    /// Where brokers may be: first where the settings say, then where the cluster says.
    fn places(&self) -> Vec<(String, u16)> {
        let mut places = self.bootstrap.clone();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let more = known.iter().filter(|place| !self.bootstrap.contains(place));
        places.extend(more.cloned());
        places
    }

    /// Asks for the cluster's brokers, and remembers them.
    async fn brokers(&self, broker: &mut Connection) -> Result<MetadataResponse> {
        let request = MetadataRequest::default()
            .with_topics(Some(Vec::new()))
            .with_allow_auto_topic_creation(false);
        let answer = broker.ask(|_| request, self.request_limit).await?;
        let places = answer.brokers.iter();
        let places =
            places.filter_map(|one| Some((one.host.to_string(), one.port.try_into().ok()?)));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = places.collect();
        Ok(answer)
    }

    /// Connects to the broker that changes topics.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn controller(&self) -> Result<Connection> {
        let mut broker = self.any_broker().await?;
        let answer = self.brokers(&mut broker).await?;
        let controller = answer
            .brokers
            .iter()
            .find(|broker| broker.node_id == answer.controller_id);
        let place =
            controller.and_then(|found| Some((&*found.host, u16::try_from(found.port).ok()?)));
        match place {
            Some((host, port)) if broker.peer != format!("{host}:{port}") => {
                Connection::open(self, host, port).await
            }
            _ => Ok(broker),
        }
    }

    /// Finds a group's coordinator and connects to it.
    ///
    /// # Errors
    /// No broker answers, or there is no coordinator at present.
    pub async fn coordinator(&self, group: &str) -> Result<Connection> {
        let mut broker = self.any_broker().await?;
        self.brokers(&mut broker).await?;
        let key = StrBytes::from_string(group.to_owned());
        let answer = broker
            .ask(
                |version| {
                    let request = FindCoordinatorRequest::default();
                    if version >= 4 {
                        request.with_coordinator_keys(vec![key])
                    } else {
                        request.with_key(key)
                    }
                },
                self.request_limit,
            )
            .await?;
        let (code, host, port) = match answer.coordinators.first() {
            Some(found) => (found.error_code, found.host.to_string(), found.port),
            None => (answer.error_code, answer.host.to_string(), answer.port),
        };
        if code != 0 {
            return Err(Error::retriable(format!(
                "broker {} knows no coordinator of group {group} (error code {code})",
                broker.peer
            )));
        }
        let port = u16::try_from(port)
            .map_err(|_range| Error::retriable(format!("the coordinator's port is {port}")))?;
        Connection::open(self, &host, port).await
    }
}

fn host_and_port(text: &str) -> Result<(String, u16)> {
    let bare = text.trim();
    let bare = bare.rsplit_once("://").map_or(bare, |(_, rest)| rest);
    let parsed = bare.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), port.parse().ok()?))
    });
    parsed.ok_or_else(|| Error::config(format!("Invalid url in bootstrap.servers: {text}")))
}

fn tls(config: &ClientConfig) -> Result<rustls::ClientConfig> {
    let text = |inline: &str, file: &str| -> Result<Option<Vec<u8>>> {
        match (config.get(inline), config.get(file)) {
            (Some(pem), _) => Ok(Some(pem.as_bytes().to_vec())),
            (None, Some(path)) => std::fs::read(path).map(Some).map_err(|error| {
                Error::config(format!("reading {file}={path}")).with_source(error)
            }),
            (None, None) => Ok(None),
        }
    };
    let bad = |what: &str, why: String| Error::config(format!("{what} cannot be used: {why}"));
    let certificates = |what: &str, pem: &[u8]| {
        CertificateDer::pem_slice_iter(pem)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| bad(what, error.to_string()))
    };
    let trusted = match text("ssl.ca.pem", "ssl.ca.location")? {
        Some(pem) => certificates("the trust store", &pem)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let check_name = config.get("ssl.endpoint.identification.algorithm") != Some("none");
    let verifier = ChainVerifier::new(trusted, check_name, Arc::clone(&provider))
        .map_err(|error| bad("the trust store", error.to_string()))?;
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("TLS", error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    if config.get("ssl.keystore.location").is_some() {
        return Err(Error::config(
            "ssl.keystore.type=PKCS12 cannot be used by the worker's group: set \
             ssl.keystore.type=PEM",
        ));
    }
    match text("ssl.certificate.pem", "ssl.certificate.location")? {
        None => Ok(builder.with_no_client_auth()),
        Some(chain) => {
            let key = text("ssl.key.pem", "ssl.key.location")?.unwrap_or_default();
            let key = keystore::clear_key_pem(&key, config.get("ssl.key.password"))?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|error| bad("the private key", error.to_string()))?;
            builder
                .with_client_auth_cert(certificates("the certificate", &chain)?, key)
                .map_err(|error| bad("the private key", error.to_string()))
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection.
pub struct Connection {
    /// The broker, for messages.
    pub peer: String,
    stream: Box<dyn Stream>,
    client_id: StrBytes,
    correlation: i32,
    versions: HashMap<i16, (i16, i16)>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Connection {
    async fn open(access: &Access, host: &str, port: u16) -> Result<Self> {
        let peer = format!("{host}:{port}");
        let opened = tokio::time::timeout(access.setup_limit, Self::set_up(access, host, port));
        match opened.await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                let kind = error.kind();
                Err(Error::new(kind, format!("connecting to broker {peer}")).with_source(error))
            }
            Err(_elapsed) => {
                let limit = access.setup_limit.as_millis();
                Err(Error::retriable(format!(
                    "connecting to broker {peer} took over {limit} ms"
                )))
            }
        }
    }

    async fn set_up(access: &Access, host: &str, port: u16) -> Result<Self> {
        let io = |error: std::io::Error| Error::retriable("no connection").with_source(error);
        let tcp = TcpStream::connect((host, port)).await.map_err(io)?;
        // Requests are small and waited for.
        tcp.set_nodelay(true).map_err(io)?;
        let stream: Box<dyn Stream> = match &access.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|error| {
                    Error::config(format!("{host} is no name for TLS")).with_source(error)
                })?;
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(tls));
                Box::new(connector.connect(name, tcp).await.map_err(io)?)
            }
        };
        let mut connection = Self {
            peer: format!("{host}:{port}"),
            stream,
            client_id: StrBytes::from_string(access.client_id.clone()),
            correlation: 0,
            versions: HashMap::new(),
        };
        let answer: ApiVersionsResponse = connection
            .exchange(&ApiVersionsRequest::default(), 0)
            .await?;
        let versions = answer.api_keys.iter();
        connection.versions = versions
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        if let Some(login) = &access.login {
            connection.log_in(login).await?;
        }
        Ok(connection)
    }

    async fn log_in(&mut self, login: &Login) -> Result<()> {
        let mechanism = StrBytes::from_static_str(login.mechanism());
        let request = SaslHandshakeRequest::default().with_mechanism(mechanism);
        let answer = self.exchange(&request, 1).await?;
        if answer.error_code != 0 {
            let offered: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
            return Err(Error::config(format!(
                "the broker does not take sasl.mechanism={}, it offers {offered:?}",
                login.mechanism()
            )));
        }
        let begun = login.clone();
        let mut conversation = tokio::task::spawn_blocking(move || begun.begin())
            .await
            .map_err(|error| Error::fatal("logging in").with_source(error))??;
        let mut challenge = Vec::new();
        while let Some(message) = conversation.next(&challenge)? {
            let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(message));
            let answer = self.exchange(&request, 0).await?;
            if answer.error_code != 0 {
                let why = answer
                    .error_message
                    .as_deref()
                    .unwrap_or("refused")
                    .to_owned();
                return Err(Error::fatal(format!("logging in: {why}")));
            }
            challenge = answer.auth_bytes.to_vec();
        }
        Ok(())
    }

    /// Asks in the newest version that both know.
    ///
    /// # Errors
    /// The connection broke, the answer took too long, or there is no common version. The
    /// connection is of no more use then.
    pub async fn ask<R: Request>(
        &mut self,
        request: impl FnOnce(i16) -> R,
        limit: Duration,
    ) -> Result<R::Response> {
        let key = R::KEY as i16;
        let (min, max) = self.versions.get(&key).copied().unwrap_or((0, 0));
        let ours = R::VERSIONS;
        let version = max.min(ours.max);
        if version < min.max(ours.min) {
            return Err(Error::fatal(format!(
                "broker {} has versions {min} to {max} of request {}, this worker {} to {}",
                self.peer, key, ours.min, ours.max
            )));
        }
        let request = request(version);
        let peer = self.peer.clone();
        match tokio::time::timeout(limit, self.exchange(&request, version)).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let limit = limit.as_millis();
                Err(Error::retriable(format!(
                    "broker {peer} did not answer within {limit} ms"
                )))
            }
        }
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        let peer = self.peer.clone();
        let malformed =
            |what: &str, why: String| Error::fatal(format!("{what} of broker {peer}: {why}"));
        let io = |error: std::io::Error| {
            Error::retriable(format!("the connection to broker {peer} broke")).with_source(error)
        };
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| request.encode(&mut frame, version))
            .map_err(|error| malformed("a request", error.to_string()))?;
        let length = i32::try_from(frame.len() - 4).unwrap_or(i32::MAX);
        if let Some(place) = frame.get_mut(..4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        self.stream.write_all(&frame).await.map_err(io)?;
        self.stream.flush().await.map_err(io)?;
        let length = self.stream.read_i32().await.map_err(io)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LARGEST_ANSWER {
            return Err(malformed(
                "an answer",
                format!("it announces {length} bytes"),
            ));
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await.map_err(io)?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))
            .map_err(|error| malformed("an answer", error.to_string()))?;
        if header.correlation_id != self.correlation {
            return Err(malformed(
                "an answer",
                "it belongs to another request".to_owned(),
            ));
        }
        let decoded = R::Response::decode(&mut answer, version)
            .map_err(|error| malformed("an answer", error.to_string()))?;
        if answer.has_remaining() {
            tracing::debug!(
                peer,
                left = answer.remaining(),
                "an answer is longer than known"
            );
        }
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_silent_broker_keeps_nobody_waiting_and_one_that_was_told_of_is_asked_too() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let mut config = ClientConfig::new();
        let servers = format!("127.0.0.1:{}", port(&silent));
        config.set("bootstrap.servers", servers);
        let access = Access::of(&config, "test").expect("plain settings");
        let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let told = ("127.0.0.1".to_owned(), port(&other));
        access.known.lock().expect("unharmed").push(told);
        let answers = tokio::spawn(async move {
            let (mut stream, _) = other.accept().await.expect("a connection");
            let length = stream.read_i32().await.expect("a length");
            let mut request = vec![0; usize::try_from(length).expect("a length")];
            stream.read_exact(&mut request).await.expect("a request");
            // No error, and no request that it knows.
            let answer = [0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            stream.write_all(&answer).await.expect("an answer");
        });
        let limit = access.setup_limit / 2;
        let found = tokio::time::timeout(limit, access.any_broker()).await;
        let found = found.expect("in time").expect("the other");
        assert_eq!(found.peer, format!("127.0.0.1:{}", access.places()[1].1));
        answers.await.expect("it answered");
    }

    #[test]
    fn brokers_are_named_as_in_java() {
        let parsed = |text: &str| host_and_port(text).ok();
        assert_eq!(parsed(" a.b:9092"), Some(("a.b".to_owned(), 9092)));
        assert_eq!(parsed("[::1]:9092"), Some(("::1".to_owned(), 9092)));
        assert_eq!(parsed("PLAINTEXT://h:1"), Some(("h".to_owned(), 1)));
        assert_eq!(parsed("h"), None);
        assert_eq!(parsed("h:99999"), None);
    }
}
