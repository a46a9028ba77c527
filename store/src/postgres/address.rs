//! Where the database is, and how the way there is kept secret: `postgres://user:password@host:5432/name`, with the
//! `sslmode` of libpq. `prefer`, the default, and `require` encrypt without asking who is there; `verify-full` asks,
//! by the certificates of the system or those in `sslrootcert`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::database::CONNECT_MAX;
use crate::{Error, Result};

pub fn read(url: &str) -> Result<(Config, MakeRustlsConnect)> {
    let (url, asked) = without_ours(url)?;
    let mut config: Config = url.parse().map_err(|error| unusable(format!("it cannot be read: {error}")))?;
    config.application_name("fleetprompt");
    config.connect_timeout(CONNECT_MAX);
    config.tcp_user_timeout(Duration::from_secs(15));
    config.keepalives_idle(Duration::from_secs(10));
    config.keepalives_interval(Duration::from_secs(5));
    config.keepalives_retries(3);
    Ok((config, MakeRustlsConnect::new(tls(&asked)?)))
}

/// What is asked of the certificate.
#[derive(Default)]
struct Asked {
    is_verified: bool,
    roots: Option<PathBuf>,
}

/// The address without what its library does not know.
fn without_ours(url: &str) -> Result<(String, Asked)> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(unusable("expected `postgres://user:password@host:5432/name`".to_owned()));
    }
    let Some((address, query)) = url.split_once('?') else { return Ok((url.to_owned(), Asked::default())) };
    let (mut asked, mut kept) = (Asked::default(), Vec::new());
    for part in query.split('&') {
        match part.split_once('=') {
            Some(("sslmode", "verify-full")) => {
                asked.is_verified = true;
                kept.push("sslmode=require");
            }
            Some(("sslmode", "verify-ca" | "allow")) => {
                return Err(unusable("`sslmode` is `disable`, `prefer`, `require` or `verify-full`".to_owned()));
            }
            Some(("sslrootcert", path)) => asked.roots = Some(path.into()),
            _ => kept.push(part),
        }
    }
    if asked.roots.is_some() && !asked.is_verified {
        return Err(unusable("`sslrootcert` is for `sslmode=verify-full`".to_owned()));
    }
    Ok((format!("{address}?{}", kept.join("&")), asked))
}

fn tls(asked: &Asked) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?;
    let config = match (asked.is_verified, &asked.roots) {
        (false, _) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        (true, None) => {
            let verifier = rustls_platform_verifier::Verifier::new(provider)
                .map_err(|error| unusable(format!("the system's certificates cannot be read: {error}")))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        (true, Some(path)) => {
            let unreadable = |why: String| unusable(format!("`sslrootcert` {}: {why}", path.display()));
            let mut roots = RootCertStore::empty();
            for root in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
                let root = root.map_err(|error| unreadable(error.to_string()))?;
                roots.add(root).map_err(|error| unreadable(error.to_string()))?;
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(config.with_no_client_auth())
}

/// The address itself is not told: it may hold a password.
fn unusable(why: String) -> Error {
    Error::Unavailable { doing: "use the address of the database", cause: why }
}

/// Encrypts, and believes whoever is there, as libpq does unless told to verify.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
