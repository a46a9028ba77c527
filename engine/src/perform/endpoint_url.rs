//! The URL of an endpoint. Requests use all of it. Logs, errors and everything else that is recorded or shown have its
//! origin and path only: records stay, every role reads them, and a user, a password or a token in the query is a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleetprompt_core::Failure;
use url::Url;

/// A part of a URL that is shorter is not searched for in texts: it would be found by chance.
const SECRET_CHARS_MIN: usize = 4;

pub(super) struct EndpointUrl {
    pub url: Url,
    /// Origin and path.
    pub shown: String,
    /// What an endpoint may quote in its answer, the longest first.
    secrets: Vec<String>,
}

impl EndpointUrl {
    pub fn read(text: &str) -> Result<Self, Failure> {
        let invalid =
            |why: &str| Failure::fatal("url_invalid", format!("the URL of the endpoint cannot be used: {why}"));
        let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
        if !url.has_host() {
            return Err(invalid("it names no host"));
        }
        Ok(Self { shown: shown(&url), secrets: secrets(&url), url })
    }

    /// A text from elsewhere, without what is secret in the URL.
    pub fn hide_secrets(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// The origin and the path of an endpoint's URL.
pub fn shown_url(text: &str) -> String {
    Url::parse(text).map_or_else(|_| "a URL that cannot be read".to_owned(), |url| shown(&url))
}

fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn secrets(url: &Url) -> Vec<String> {
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let basic = STANDARD.encode(format!("{}:{}", plain(user), plain(password)));
    let mut secrets = vec![user.to_owned(), password.to_owned(), plain(user), plain(password), basic];
    secrets.extend(url.query().into_iter().chain(url.fragment()).map(str::to_owned));
    let values = url.query().into_iter().flat_map(|query| query.split('&'));
    secrets.extend(values.filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
    secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    secrets.retain(|secret| secret.chars().count() >= SECRET_CHARS_MIN);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://hookuser:pass%2Fword@example.com:8080/hook/a?token=tok-123&x=a%20secret#frag";

    #[test]
    fn what_is_shown_of_a_url_is_its_origin_and_its_path() {
        assert_eq!(shown_url(URL), "http://example.com:8080/hook/a");
        assert_eq!(shown_url("https://token@example.com"), "https://example.com/");
        assert_eq!(shown_url("https://a:b@"), "a URL that cannot be read");
        let refused = EndpointUrl::read("https://user:password@[::1/hook?token=t").err().expect("refused");
        assert!(!refused.message.contains("password") && !refused.message.contains("token"), "{refused}");
    }

    #[test]
    fn what_an_endpoint_quotes_of_its_url_is_hidden() {
        let url = EndpointUrl::read(URL).expect("a URL");
        let basic = STANDARD.encode("hookuser:pass/word");
        let quoted = format!("no POST {URL}, pass/word, tok-123, a secret, a%20secret, {basic}, /hook/a");
        let hidden = url.hide_secrets(&quoted);
        for secret in
            ["hookuser", "pass/word", "pass%2Fword", "tok-123", "a secret", "a%20secret", "frag", basic.as_str()]
        {
            assert!(!hidden.contains(secret), "{secret} in {hidden}");
        }
        assert!(hidden.contains("/hook/a") && hidden.contains("example.com:8080"), "{hidden}");
    }
}
