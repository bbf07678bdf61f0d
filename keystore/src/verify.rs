//! Checking a server's certificate with or without its name.
//!
//! Answers for what the JVM's trust manager does where `ssl.endpoint.identification.algorithm` is
//! empty, and for `sslmode=verify-ca` of PostgreSQL's drivers: who vouches for a certificate counts,
//! whose it is does not.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Checks the chain of a server's certificate, and its name only where that is asked for. A
/// certificate that is trusted by itself needs no chain.
#[derive(Debug)]
pub struct ChainVerifier {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    check_name: bool,
}

impl ChainVerifier {
    /// Trusts these certificates; those that nobody can read are passed over, as system-wide stores
    /// hold some.
    ///
    /// # Errors
    /// None of them can be trusted.
    pub fn new(
        trusted: Vec<CertificateDer<'static>>,
        check_name: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        Ok(Self {
            inner: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()?,
            trusted,
            check_name,
        })
    }
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.trusted.iter().any(|trusted| trusted == end_entity) {
            if self.check_name {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let verdict = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // The name is looked at last, so everything else has been found in order.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::{PKey, Private};
    use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
    use openssl::x509::{X509, X509Builder, X509NameBuilder};

    fn key() -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a curve");
        PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
    }

    /// A certificate of `name`; by itself without `issuer`.
    fn certificate(
        name: &str,
        key: &PKey<Private>,
        issuer: Option<(&X509, &PKey<Private>)>,
    ) -> X509 {
        let make = || -> Result<X509, openssl::error::ErrorStack> {
            let mut subject = X509NameBuilder::new()?;
            subject.append_entry_by_text("CN", name)?;
            let subject = subject.build();
            let mut builder: X509Builder = X509::builder()?;
            builder.set_version(2)?;
            let serial = BigNum::from_u32(name.len() as u32 + 1)?;
            builder.set_serial_number(&*serial.to_asn1_integer()?)?;
            builder.set_subject_name(&subject)?;
            builder
                .set_issuer_name(issuer.map_or(&subject, |(issuer, _)| issuer.subject_name()))?;
            builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
            builder.set_not_after(&*Asn1Time::days_from_now(1)?)?;
            builder.set_pubkey(key)?;
            match issuer {
                None => {
                    let authority = BasicConstraints::new().critical().ca().build()?;
                    builder.append_extension(authority)?;
                }
                Some(_) => {
                    let names = SubjectAlternativeName::new()
                        .dns(name)
                        .build(&builder.x509v3_context(None, None))?;
                    builder.append_extension(names)?;
                }
            }
            builder.sign(issuer.map_or(key, |(_, key)| key), MessageDigest::sha256())?;
            Ok(builder.build())
        };
        make().expect("a certificate")
    }

    fn der(certificate: &X509) -> CertificateDer<'static> {
        CertificateDer::from(certificate.to_der().expect("DER"))
    }

    #[test]
    fn the_chain_always_counts_and_the_name_where_it_is_asked_for() {
        let (root_key, own_key) = (key(), key());
        let root = certificate("root", &root_key, None);
        let own = certificate("right.example", &own_key, Some((&root, &root_key)));
        let stranger_key = key();
        let stranger = certificate("stranger", &stranger_key, None);
        let verified = |trusted: &X509, check_name, host: &'static str| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let verifier = ChainVerifier::new(vec![der(trusted)], check_name, provider);
            verifier.expect("a root").verify_server_cert(
                &der(&own),
                &[],
                &ServerName::try_from(host).expect("a name"),
                &[],
                UnixTime::now(),
            )
        };
        for (trusted, check_name, host, well) in [
            (&root, true, "right.example", true),
            (&root, true, "wrong.example", false),
            (&root, false, "wrong.example", true),
            (&stranger, false, "right.example", false),
            // Trusted by itself.
            (&own, true, "right.example", true),
            (&own, true, "wrong.example", false),
            (&own, false, "wrong.example", true),
        ] {
            let verdict = verified(trusted, check_name, host);
            assert_eq!(verdict.is_ok(), well, "{check_name} {host}: {verdict:?}");
        }
    }
}
