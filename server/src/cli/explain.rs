//! `fleetprompt explain FP0103`: what a code means and what to do, of diagnostics, of refusals and of
//! failures.

use std::process::ExitCode;

use clap::Args;
use fleetprompt_core::diagnostic::{self, explain};
use fleetprompt_core::name::nearest;
use fleetprompt_engine::codes::{self, Code, Of, title};

use super::exit::{self, Usage};
use super::screen::{Screen, Tone, pad, plain};

const EXAMPLES: &str = "\
Examples:
  fleetprompt explain FP0103             of a diagnostic
  fleetprompt explain payload_invalid    of a refusal or a failure
  fleetprompt explain                    list all codes";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// The code as it was shown; all of them are listed without one
    code: Option<String>,
}

impl Explain {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let screen = Screen::of_stdout();
        match &self.code {
            Some(code) => screen.print(&explained(&screen, code.trim())?),
            None => screen.print(&listed(&screen)),
        }
        exit::ok()
    }
}

fn explained(screen: &Screen, code: &str) -> anyhow::Result<String> {
    if let Some((title, text)) = explain(code) {
        let heading = format!("{}: {title}", code.to_ascii_uppercase());
        return Ok(format!("{}\n\n{text}\n", screen.paint(Tone::Strong, &heading)));
    }
    if let Some(code) = codes::find(code) {
        return Ok(told(screen, code));
    }
    let near = near(code).map_or(String::new(), |near| format!("did you mean `{near}`?\n"));
    let message = format!("there is no code `{}`\n{near}list them with `fleetprompt explain`", plain(code));
    Err(Usage(message).into())
}

fn told(screen: &Screen, code: &Code) -> String {
    let of: Vec<_> = code.of.iter().map(|of| said(*of)).collect();
    let heading = screen.paint(Tone::Strong, &format!("{}: {}", code.code, title(code.code)));
    let of = screen.paint(Tone::Dim, &of.join("; "));
    format!("{heading}\n{of}\n\n{}\n\n{}\n", code.meaning, code.advice)
}

fn said(of: Of) -> String {
    match of {
        Of::Problem(status) => format!("a request is answered with {status}"),
        Of::Failure => "a step or a directive fails with it".to_owned(),
    }
}

/// Codes of diagnostics are written large, all others small.
fn near(code: &str) -> Option<&'static str> {
    let diagnostic = nearest(&code.to_ascii_uppercase(), diagnostic::CODES.iter().map(|(code, ..)| *code));
    let other = nearest(&code.to_ascii_lowercase(), codes::CODES.iter().map(|code| code.code));
    if code.to_ascii_uppercase().starts_with("FP") { diagnostic.or(other) } else { other.or(diagnostic) }
}

fn listed(screen: &Screen) -> String {
    let line = |code: &str, title: &str| format!("{}  {title}\n", screen.paint(Tone::Strong, &pad(code, WIDTH)));
    let heading = |text: &str| format!("{}\n", screen.paint(Tone::Dim, text));
    let diagnostics = diagnostic::CODES.iter().map(|(code, title, _)| line(code, title));
    let others = codes::CODES.iter().map(|code| line(code.code, &title(code.code)));
    let all = [heading("Definitions with problems")].into_iter().chain(diagnostics);
    all.chain([heading("\nRefusals and failures")]).chain(others).collect()
}

const WIDTH: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_kind_are_explained_in_whatever_case() {
        let screen = Screen::still(80);
        assert!(explained(&screen, "fp0101").expect("known").starts_with("FP0101: a field is not known here\n\n"));
        let told = explained(&screen, "Payload_Invalid").expect("known");
        assert!(told.starts_with("payload_invalid: Payload invalid\na request is answered with 422; "), "{told}");
    }

    #[test]
    fn an_unknown_code_is_answered_with_the_nearest() {
        let refused = |code| explained(&Screen::still(80), code).expect_err("unknown").to_string();
        assert!(refused("payload_invald").contains("did you mean `payload_invalid`?"));
        assert!(refused("FP-0101").contains("did you mean `FP0101`?"));
        assert!(!refused("zzzzzzzzzzzz").contains("did you mean"));
    }

    #[test]
    fn every_code_is_listed_once() {
        let listed = listed(&Screen::still(80));
        for code in diagnostic::CODES.iter().map(|(code, ..)| *code).chain(codes::CODES.iter().map(|code| code.code)) {
            assert!(code.len() < WIDTH, "{code}");
            assert_eq!(listed.lines().filter(|line| line.split(' ').next() == Some(code)).count(), 1, "{code}");
        }
    }
}
