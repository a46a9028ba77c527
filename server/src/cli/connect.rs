//! Which server, and with which key: what the command line says, else the environment, else what
//! `fleetprompt dev` left in this folder, else the default port of this machine.

use std::path::Path;

use anyhow::Context;
use clap::Args;
use fleetprompt_client::Client;
use serde::Deserialize;

use super::output::Output;

pub const URL_DEFAULT: &str = "http://127.0.0.1:7070";
const DEV_FILE: &str = ".fleetprompt/dev.json";

#[derive(Debug, Clone, Args)]
pub struct Connect {
    /// The server [default: the one of `fleetprompt dev` in this folder, or http://127.0.0.1:7070]
    #[arg(long, global = true, env = "FLEETPROMPT_URL", hide_env_values = true, help_heading = "Server")]
    pub url: Option<String>,

    /// The API key; better in the environment, where nobody else sees it
    #[arg(long, global = true, env = "FLEETPROMPT_KEY", hide_env_values = true, help_heading = "Server")]
    pub key: Option<String>,

    #[command(flatten)]
    pub output: Output,
}

/// What `fleetprompt dev` writes when it begins to serve.
#[derive(Deserialize)]
struct Dev {
    url: String,
    key: String,
}

impl Connect {
    pub fn client(&self) -> anyhow::Result<Client> {
        let dev = dev_of(Path::new(DEV_FILE))?;
        let (url, key) = chosen(self.url.as_deref(), self.key.as_deref(), dev.as_ref());
        Ok(Client::new(url, key)?)
    }
}

/// A key is only ever sent to the server that it was given for.
fn chosen<'a>(url: Option<&'a str>, key: Option<&'a str>, dev: Option<&'a Dev>) -> (&'a str, Option<&'a str>) {
    match (url, dev) {
        (None, Some(dev)) => (&dev.url, key.or(Some(&dev.key))),
        (Some(url), Some(dev)) if url.trim_end_matches('/') == dev.url.trim_end_matches('/') => {
            (url, key.or(Some(&dev.key)))
        }
        (url, _) => (url.unwrap_or(URL_DEFAULT), key),
    }
}

fn dev_of(path: &Path) -> anyhow::Result<Option<Dev>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let dev = serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(dev))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_dev_goes_to_no_other_server() {
        let dev = Dev { url: "http://127.0.0.1:7071".into(), key: "fp_dev".into() };
        assert_eq!(chosen(None, None, Some(&dev)), ("http://127.0.0.1:7071", Some("fp_dev")));
        assert_eq!(chosen(Some("http://127.0.0.1:7071/"), None, Some(&dev)).1, Some("fp_dev"));
        assert_eq!(chosen(Some("https://example.com"), None, Some(&dev)), ("https://example.com", None));
        assert_eq!(chosen(None, Some("fp_own"), Some(&dev)).1, Some("fp_own"));
        assert_eq!(chosen(None, None, None), (URL_DEFAULT, None));
    }
}
