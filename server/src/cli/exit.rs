//! How the program ends: what it says on stderr, and its exit code.

use std::process::ExitCode;

use fleetprompt_client::Error;

use super::screen::{Screen, Tone, plain, plain_lines};

/// The thing itself failed: a watched run, a definition with errors.
pub const FAILED: u8 = 1;
const USAGE: u8 = 2;
const CONNECTION: u8 = 3;
const REFUSED: u8 = 4;
/// A signal has ended it, whose number is added, as shells do.
pub const SIGNALLED: i32 = 128;

/// The command line cannot be carried out as it is written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

pub fn ok() -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}

pub fn failed_if(failed: bool) -> anyhow::Result<ExitCode> {
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Says what went wrong and what to do about it, and gives the exit code.
pub fn told(error: &anyhow::Error) -> ExitCode {
    anstream::eprint!("{}", rendered(&Screen::of_stderr(), error));
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<Usage>().is_some() {
        return USAGE;
    }
    match error.downcast_ref::<Error>() {
        Some(Error::InvalidUrl(_) | Error::InvalidKey) => USAGE,
        Some(Error::Connection { .. }) => CONNECTION,
        Some(Error::Refused(problem)) if problem.status < 500 => REFUSED,
        Some(Error::Refused(_) | Error::Unexpected { .. }) | None => FAILED,
    }
}

fn rendered(screen: &Screen, error: &anyhow::Error) -> String {
    // Our own errors put the advice on lines of its own.
    let said = format!("{error:#}");
    let mut lines = plain_lines(&said);
    let mut text = format!("{} {}\n", screen.paint(Tone::Bad, "error:"), lines.next().unwrap_or_default());
    for line in lines {
        text.push_str(&format!("       {line}\n"));
    }
    if let Some(problem) = error.downcast_ref::<Error>().and_then(Error::problem) {
        text.push_str(&screen.paint(Tone::Dim, &format!("       {} ({})", plain(&problem.code), problem.status)));
        text.push('\n');
        for found in &problem.diagnostics {
            let place = format!("{}:{}", found.line, found.column);
            text.push_str(&format!("       {} {place}: {}\n", plain(&found.code), plain(&found.message)));
        }
        if let Some(hint) = hint(&problem.code) {
            text.push_str(&format!("{}  {hint}\n", screen.paint(Tone::Busy, "hint:")));
        }
    }
    text
}

fn hint(code: &str) -> Option<&'static str> {
    match code {
        "unauthorized" => Some("give an API key with --key or FLEETPROMPT_KEY; make one with `fleetprompt key create`"),
        "forbidden" => Some("`fleetprompt whoami` shows the role of your key"),
        "busy" | "unavailable" => Some("the server asks to try again in a moment"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use fleetprompt_client::wire::Problem;

    use super::*;

    #[test]
    fn a_refusal_shows_its_code_and_what_to_do() {
        let problem = Problem {
            kind: "https://fleetprompt.dev/problems/unauthorized".into(),
            title: "Unauthorized".into(),
            status: 401,
            code: "unauthorized".into(),
            detail: "no key was given".into(),
            diagnostics: Vec::new(),
        };
        let error = anyhow::Error::from(Error::Refused(Box::new(problem)));
        insta::assert_snapshot!(rendered(&Screen::still(80), &error));
        assert_eq!(code(&error), REFUSED);
    }

    #[test]
    fn no_server_has_its_own_exit_code() {
        let error = Error::Connection { url: "http://127.0.0.1:7070".into(), reason: "Connection refused".into() };
        let error = anyhow::Error::from(error);
        insta::assert_snapshot!(rendered(&Screen::still(80), &error));
        assert_eq!(code(&error), CONNECTION);
    }
}
