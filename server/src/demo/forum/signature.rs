//! The receiving side of Standard Webhooks: did the sender know the secret, and is this fresh?

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

/// What `whsec_…` says: the bytes of the key that sender and receiver share.
pub struct Secret(Vec<u8>);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    #[error("the header {0} is missing or unreadable")]
    Header(&'static str),
    #[error("webhook-timestamp is {seconds} s away from now; at most {max} s are believed")]
    Stale { seconds: i64, max: i64 },
    #[error("no signature in webhook-signature matches")]
    Signature,
}

impl Secret {
    const TOLERANCE_SECONDS: i64 = 300;
    /// Senders that rotate a secret send two signatures; nobody sends dozens.
    const SIGNATURES_MAX: usize = 8;

    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let encoded = text.strip_prefix("whsec_").unwrap_or(text);
        match STANDARD.decode(encoded) {
            Ok(bytes) if !bytes.is_empty() => Ok(Self(bytes)),
            _ => anyhow::bail!("a webhook secret is `whsec_` and base64"),
        }
    }

    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Unsigned> {
        let id = header(headers, "webhook-id")?;
        let timestamp = header(headers, "webhook-timestamp")?;
        let seconds: i64 = timestamp.parse().map_err(|_| Unsigned::Header("webhook-timestamp"))?;
        let away = now.as_second().saturating_sub(seconds).saturating_abs();
        if away > Self::TOLERANCE_SECONDS {
            return Err(Unsigned::Stale { seconds: away, max: Self::TOLERANCE_SECONDS });
        }
        let mac = self.mac(id, timestamp, body);
        let matches = |signature: &str| {
            let encoded = signature.strip_prefix("v1,").unwrap_or_default();
            STANDARD.decode(encoded).is_ok_and(|bytes| mac.clone().verify_slice(&bytes).is_ok())
        };
        let given = header(headers, "webhook-signature")?;
        if given.split(' ').take(Self::SIGNATURES_MAX).any(matches) { Ok(()) } else { Err(Unsigned::Signature) }
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Unsigned> {
    headers.get(name).and_then(|value| value.to_str().ok()).ok_or(Unsigned::Header(name))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: i64 = 1_614_265_330;

    /// The example of the Standard Webhooks specification's libraries.
    fn example() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_static("msg_p5jXN8AQM9LWM0D4loKWxJek"));
        headers.insert("webhook-timestamp", HeaderValue::from_static("1614265330"));
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        headers.insert("webhook-signature", HeaderValue::from_static(signature));
        headers
    }

    fn verify(headers: &HeaderMap, body: &[u8], at: i64) -> Result<(), Unsigned> {
        let now = Timestamp::from_second(at).expect("a time");
        Secret::parse(SECRET).expect("a secret").verify(headers, body, now)
    }

    #[test]
    fn what_the_sender_signed_is_believed_for_five_minutes() {
        assert_eq!(verify(&example(), BODY, AT), Ok(()));
        assert_eq!(verify(&example(), BODY, AT + 300), Ok(()));
        assert_eq!(verify(&example(), BODY, AT + 301), Err(Unsigned::Stale { seconds: 301, max: 300 }));
        assert_eq!(verify(&example(), BODY, AT - 301), Err(Unsigned::Stale { seconds: 301, max: 300 }));
    }

    #[test]
    fn one_changed_byte_anywhere_is_not_believed() {
        assert_eq!(verify(&example(), br#"{"test": 2432232315}"#, AT), Err(Unsigned::Signature));
        let mut other_id = example();
        other_id.insert("webhook-id", HeaderValue::from_static("msg_x"));
        assert_eq!(verify(&other_id, BODY, AT), Err(Unsigned::Signature));
        let mut other_time = example();
        other_time.insert("webhook-timestamp", HeaderValue::from_static("1614265331"));
        assert_eq!(verify(&other_time, BODY, AT), Err(Unsigned::Signature));
    }

    #[test]
    fn any_one_of_several_signatures_is_enough() {
        let mut rotated = example();
        let two = "v1,AAAA v2,xyz v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        rotated.insert("webhook-signature", HeaderValue::from_static(two));
        assert_eq!(verify(&rotated, BODY, AT), Ok(()));
    }

    #[test]
    fn a_missing_header_is_named() {
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut headers = example();
            headers.remove(name);
            assert_eq!(verify(&headers, BODY, AT), Err(Unsigned::Header(name)));
        }
    }
}
