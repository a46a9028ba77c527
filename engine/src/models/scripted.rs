//! The provider `scripted`: the agent's own rules answer, and no model is called. For tests, examples
//! and trying things out. Deterministic: the same input always gives the same answer.

use fleetprompt_core::Failure;
use fleetprompt_core::agent::{ScriptMatch, ScriptRule};
use serde_json::Value;

use super::{Completion, Prompt};
use crate::functions::pattern::occurs;
use crate::functions::template;
use crate::functions::value::{BYTES_MAX, as_text, look_up, measure};

/// Letters times words that one answer may look at: rules, words and texts multiply.
const WORK_MAX: usize = 128 << 20;

pub fn complete(prompt: &Prompt<'_>) -> Result<Completion, Failure> {
    let (script, input) = (&prompt.agent.script, prompt.input.value());
    if measure(input, BYTES_MAX).is_none() {
        let message = "the input is larger than 1 MiB, or nests deeper than 64 levels";
        return Err(Failure::fatal("input_too_large", message));
    }
    let Some((index, rule, reason)) = first_match(script, input)? else {
        return Err(no_match(script, prompt.agent.slug.as_str()));
    };
    let number = index + 1;
    let output = template::fill(&rule.output, input).map_err(|failure| {
        Failure::fatal("script_invalid", format!("the output of rule {number}: {}", failure.message))
    })?;
    let line = format!("scripted: rule {number} of {} answers, {reason}; no model was called", script.len());
    Ok(Completion {
        output,
        model: "scripted".to_owned(),
        provider: "scripted",
        input_tokens: None,
        output_tokens: None,
        logs: vec![line],
    })
}

/// The first rule that answers, its place, and why it does.
fn first_match<'a>(
    script: &'a [ScriptRule],
    input: &Value,
) -> Result<Option<(usize, &'a ScriptRule, String)>, Failure> {
    let mut work_left = WORK_MAX;
    for (index, rule) in script.iter().enumerate() {
        let Some(ScriptMatch { field, contains }) = &rule.when else {
            return Ok(Some((index, rule, "as it always does".to_owned())));
        };
        let Some(found) = look_up(input, field) else { continue };
        let text = as_text(found).to_lowercase();
        work_left = work_left.checked_sub(text.len() * (contains.len() + 1)).ok_or_else(|| {
            Failure::fatal("input_too_large", format!("`{field}` is too long for a script of {} rules", script.len()))
        })?;
        if let Some(word) = contains.iter().find(|word| occurs(&text, word)) {
            return Ok(Some((index, rule, format!("for `{field}` contains `{word}`"))));
        }
    }
    Ok(None)
}

fn no_match(script: &[ScriptRule], slug: &str) -> Failure {
    let mut fields: Vec<_> =
        script.iter().flat_map(|rule| &rule.when).map(|when| format!("`{}`", when.field)).collect();
    fields.dedup();
    fields.truncate(10);
    let looked_at =
        if fields.is_empty() { "it has none".to_owned() } else { format!("they look at {}", fields.join(", ")) };
    Failure::fatal(
        "script_no_match",
        format!("no rule of agent `{slug}` matches the input ({looked_at}); a last rule without `when` would answer"),
    )
}
