//! Signatures by Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. What is
//! delivered to endpoints is signed so, and so is what they call back with.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Timestamp;

/// How far the clocks of both sides may be apart.
const TOLERANCE_S: i64 = 300;

/// What a secret stands for may have so many bytes.
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;

/// Returns `true` for `whsec_` and the padded base64, in the standard alphabet, of 24 to 64 bytes.
pub fn is_secret(text: &str) -> bool {
    key(text).is_some_and(|key| SECRET_BYTES.contains(&key.len()))
}

/// Returns `None` if the secret cannot sign.
pub fn sign(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    Some(format!("v1,{}", STANDARD.encode(mac(secret, id, timestamp, body)?.finalize().into_bytes())))
}

/// Whether one of the signatures, which stand apart by spaces, is of this body, under this id, and fresh.
pub fn is_signed(secret: &str, id: &str, timestamp: &str, body: &[u8], signatures: &str, now: Timestamp) -> bool {
    let is_fresh = timestamp.parse().is_ok_and(|at: i64| (now.0 / 1_000_000).abs_diff(at) <= TOLERANCE_S as u64);
    let given = signatures.split(' ').filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok());
    is_fresh
        && given
            .take(10)
            .any(|given| mac(secret, id, timestamp, body).is_some_and(|mac| mac.verify_slice(&given).is_ok()))
}

fn mac(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(mac)
}

/// What tells one signed message from another: its id, its timestamp and its body.
pub fn message_digest(id: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [id.as_bytes(), timestamp.as_bytes(), body] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// An empty key would sign for everybody.
fn key(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix("whsec_")?).ok().filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const NOW: Timestamp = Timestamp(1_614_265_330_000_000);

    #[test]
    fn the_signature_is_the_one_of_the_standard_webhooks_specification() {
        assert_eq!(sign(SECRET, ID, AT, BODY).as_deref(), Some(SIGNATURE));
    }

    #[test]
    fn a_secret_is_the_padded_standard_base64_of_24_to_64_bytes() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![0xfb; bytes]));
        assert!(is_secret(SECRET) && is_secret(&of(24)) && is_secret(&of(32)) && is_secret(&of(64)));
        assert!(of(32).contains('+') && of(32).ends_with('='));
        let unpadded = of(32).trim_end_matches('=').to_owned();
        let url_safe = of(32).replace('+', "-").replace('/', "_");
        let text = format!("whsec_{}", "not base64 at all! ".repeat(2));
        let line = format!("{SECRET}\n");
        for none in ["", "whsec_", &SECRET["whsec_".len()..], &of(23), &of(65), &unpadded, &url_safe, &text, &line] {
            assert!(!is_secret(none), "{none:?}");
        }
        assert_eq!(sign("whsec_", ID, AT, BODY), None, "everybody knows an empty key");
    }

    #[test]
    fn what_is_signed_is_known_again_and_nothing_else_is() {
        let signed = |id, at, body, signatures, now| is_signed(SECRET, id, at, body, signatures, now);
        assert!(signed(ID, AT, BODY, SIGNATURE, NOW));
        let several = format!("v1,AAAA v2,x {SIGNATURE}");
        assert!(signed(ID, AT, BODY, several.as_str(), NOW), "one of several");
        assert!(!signed("msg_other", AT, BODY, SIGNATURE, NOW));
        assert!(!signed(ID, AT, b"{}", SIGNATURE, NOW));
        assert!(!signed(ID, AT, BODY, "v1,AAAA", NOW));
        assert!(!signed(ID, AT, BODY, "", NOW));
        assert!(!signed(ID, AT, BODY, SIGNATURE, Timestamp(NOW.0 + 301_000_000)), "too old");
        assert!(!signed(ID, AT, BODY, SIGNATURE, Timestamp(NOW.0 - 301_000_000)), "of the future");
        assert!(!is_signed("whsec_", ID, AT, BODY, SIGNATURE, NOW));
    }
}
