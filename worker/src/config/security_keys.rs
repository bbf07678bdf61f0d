//! Settings of Kafka's clients for TLS and SASL: name, type, default, importance.
//!
//! One table for the worker's own options and for what a connector may override; what they do is
//! `kafka::security`'s business. Facts of `SslConfigs` and `SaslConfigs` of Kafka 4.3.1, in their order.

use connect_api::config::Importance::{self, High, Low, Medium};
use connect_api::config::Type::{
    self, Boolean, Class, Double, Int, List, Long, Password, Short, String,
};

/// The default of a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fallback {
    /// There is none.
    Required,
    /// Java's null.
    Null,
    /// This text.
    Is(&'static str),
}
use Fallback::{Is, Null};

/// Name, type, default, importance.
pub(crate) type Setting = (&'static str, Type, Fallback, Importance);

/// `ssl.*`.
pub(crate) const SSL: &[Setting] = &[
    ("ssl.protocol", String, Is("TLSv1.3"), Medium),
    ("ssl.provider", String, Null, Medium),
    ("ssl.cipher.suites", List, Is(""), Low),
    ("ssl.enabled.protocols", List, Is("TLSv1.2,TLSv1.3"), Medium),
    ("ssl.keystore.type", String, Is("JKS"), Medium),
    ("ssl.keystore.location", String, Null, High),
    ("ssl.keystore.password", Password, Null, High),
    ("ssl.key.password", Password, Null, High),
    ("ssl.keystore.key", Password, Null, High),
    ("ssl.keystore.certificate.chain", Password, Null, High),
    ("ssl.truststore.certificates", Password, Null, High),
    ("ssl.truststore.type", String, Is("JKS"), Medium),
    ("ssl.truststore.location", String, Null, High),
    ("ssl.truststore.password", Password, Null, High),
    ("ssl.keymanager.algorithm", String, Is("SunX509"), Low),
    ("ssl.trustmanager.algorithm", String, Is("PKIX"), Low),
    (
        "ssl.endpoint.identification.algorithm",
        String,
        Is("https"),
        Low,
    ),
    ("ssl.secure.random.implementation", String, Null, Low),
    ("ssl.engine.factory.class", Class, Null, Low),
];

/// `sasl.*`.
pub(crate) const SASL: &[Setting] = &[
    ("sasl.kerberos.service.name", String, Null, Medium),
    ("sasl.kerberos.kinit.cmd", String, Is("/usr/bin/kinit"), Low),
    (
        "sasl.kerberos.ticket.renew.window.factor",
        Double,
        Is("0.8"),
        Low,
    ),
    ("sasl.kerberos.ticket.renew.jitter", Double, Is("0.05"), Low),
    (
        "sasl.kerberos.min.time.before.relogin",
        Long,
        Is("60000"),
        Low,
    ),
    ("sasl.login.refresh.window.factor", Double, Is("0.8"), Low),
    ("sasl.login.refresh.window.jitter", Double, Is("0.05"), Low),
    (
        "sasl.login.refresh.min.period.seconds",
        Short,
        Is("60"),
        Low,
    ),
    ("sasl.login.refresh.buffer.seconds", Short, Is("300"), Low),
    ("sasl.mechanism", String, Is("GSSAPI"), Medium),
    ("sasl.jaas.config", Password, Null, Medium),
    ("sasl.client.callback.handler.class", Class, Null, Medium),
    ("sasl.login.callback.handler.class", Class, Null, Medium),
    ("sasl.login.class", Class, Null, Medium),
    ("sasl.login.connect.timeout.ms", Int, Null, Low),
    ("sasl.login.read.timeout.ms", Int, Null, Low),
    ("sasl.login.retry.backoff.max.ms", Long, Is("10000"), Low),
    ("sasl.login.retry.backoff.ms", Long, Is("100"), Low),
    (
        "sasl.oauthbearer.jwt.retriever.class",
        Class,
        Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"),
        Medium,
    ),
    (
        "sasl.oauthbearer.jwt.validator.class",
        Class,
        Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"),
        Medium,
    ),
    ("sasl.oauthbearer.scope", String, Null, Medium),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        String,
        Null,
        Medium,
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        Password,
        Null,
        Medium,
    ),
    (
        "sasl.oauthbearer.assertion.algorithm",
        String,
        Is("RS256"),
        Medium,
    ),
    ("sasl.oauthbearer.assertion.claim.aud", String, Null, Medium),
    (
        "sasl.oauthbearer.assertion.claim.exp.seconds",
        Int,
        Is("300"),
        Low,
    ),
    ("sasl.oauthbearer.assertion.claim.iss", String, Null, Medium),
    (
        "sasl.oauthbearer.assertion.claim.jti.include",
        Boolean,
        Is("false"),
        Medium,
    ),
    (
        "sasl.oauthbearer.assertion.claim.nbf.seconds",
        Int,
        Is("60"),
        Low,
    ),
    ("sasl.oauthbearer.assertion.claim.sub", String, Null, Medium),
    ("sasl.oauthbearer.assertion.file", String, Null, Medium),
    (
        "sasl.oauthbearer.assertion.private.key.file",
        String,
        Null,
        Medium,
    ),
    (
        "sasl.oauthbearer.assertion.private.key.passphrase",
        Password,
        Null,
        Medium,
    ),
    (
        "sasl.oauthbearer.assertion.template.file",
        String,
        Null,
        Medium,
    ),
    (
        "sasl.oauthbearer.scope.claim.name",
        String,
        Is("scope"),
        Low,
    ),
    ("sasl.oauthbearer.sub.claim.name", String, Is("sub"), Low),
    ("sasl.oauthbearer.token.endpoint.url", String, Null, Medium),
    ("sasl.oauthbearer.jwks.endpoint.url", String, Null, Medium),
    (
        "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        Long,
        Is("3600000"),
        Low,
    ),
    (
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        Long,
        Is("10000"),
        Low,
    ),
    (
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
        Long,
        Is("100"),
        Low,
    ),
    ("sasl.oauthbearer.clock.skew.seconds", Int, Is("30"), Low),
    ("sasl.oauthbearer.expected.audience", List, Is(""), High),
    ("sasl.oauthbearer.expected.issuer", String, Null, High),
    (
        "sasl.oauthbearer.header.urlencode",
        Boolean,
        Is("false"),
        Low,
    ),
];
