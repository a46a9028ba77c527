//! One record, field by field.

use fleetprompt_core::{Json, Party};

use super::screen::{Screen, Tone, pad, plain, width_of, wrap};

#[derive(Default)]
pub struct Fields {
    entries: Vec<(&'static str, Tone, Value)>,
}

enum Value {
    Line(String),
    Json(Json),
}

impl Fields {
    pub fn line(&mut self, name: &'static str, text: impl ToString) -> &mut Self {
        self.toned(name, Tone::Plain, text)
    }

    pub fn toned(&mut self, name: &'static str, tone: Tone, text: impl ToString) -> &mut Self {
        self.entries.push((name, tone, Value::Line(plain(&text.to_string()))));
        self
    }

    /// What is absent takes no line.
    pub fn maybe(&mut self, name: &'static str, text: Option<impl ToString>) -> &mut Self {
        if let Some(text) = text {
            self.line(name, text);
        }
        self
    }

    pub fn json(&mut self, name: &'static str, json: Option<&Json>) -> &mut Self {
        if let Some(json) = json {
            self.entries.push((name, Tone::Plain, Value::Json(json.clone())));
        }
        self
    }

    pub fn render(&self, screen: &Screen) -> String {
        let name_width = self.entries.iter().map(|(name, ..)| width_of(name)).max().unwrap_or(0);
        let mut text = String::new();
        for (name, tone, value) in &self.entries {
            let name = screen.paint(Tone::Dim, &pad(name, name_width));
            let shown = match value {
                Value::Line(line) => wrap(line, screen.page().saturating_sub(name_width + 4)),
                Value::Json(json) => pretty(json).lines().map(str::to_owned).collect(),
            };
            let margin = format!("\n{}", " ".repeat(name_width + 2));
            let shown: Vec<_> = shown.iter().map(|line| screen.paint(*tone, line)).collect();
            text.push_str(&format!("{name}  {}\n", shown.join(&margin)));
        }
        text
    }
}

/// Indented JSON, harmless to show: the fields in their order and the numbers as they were written.
pub fn pretty(json: &Json) -> String {
    indented(json.text()).lines().map(plain).collect::<Vec<_>>().join("\n")
}

fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let new_line = |out: &mut String, depth: usize| out.push_str(&format!("\n{}", "  ".repeat(depth)));
    for c in text.chars() {
        if in_string {
            out.push(c);
            (in_string, escaped) = (escaped || c != '"', c == '\\' && !escaped);
            continue;
        }
        match c {
            '}' | ']' => {
                depth -= 1;
                if !out.ends_with(['{', '[']) {
                    new_line(&mut out, depth);
                }
                out.push(c);
                continue;
            }
            c if c.is_ascii_whitespace() => continue,
            _ => {}
        }
        if out.ends_with(['{', '[']) {
            new_line(&mut out, depth);
        }
        out.push(c);
        match c {
            '{' | '[' => depth += 1,
            ',' => new_line(&mut out, depth),
            ':' => out.push(' '),
            '"' => in_string = true,
            _ => {}
        }
    }
    out
}

/// Who acted, or what it is about, as short as it is clear: the engine, one of our own ids, or `user:7`.
pub fn who(actor: &Party) -> String {
    match actor.kind.as_str() {
        "engine" => "the engine".to_owned(),
        "key" | "run" | "directive" | "tenant" if actor.id.contains('_') => plain(&actor.id),
        _ => party(actor),
    }
}

/// `thread:42`: the spelling that options take, too.
pub fn party(party: &Party) -> String {
    plain(&format!("{}:{}", party.kind, party.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_without_being_changed() {
        let json = Json::parse(r#"{"z":1.10,"a":[ ],"b":{"s":"a{\",\\" , "n":[1,[2]]}}"#).expect("JSON");
        let pretty = pretty(&json);
        assert_eq!(Json::parse(&pretty), Ok(json));
        let lines: Vec<&str> = pretty.lines().collect();
        assert_eq!(lines[..4], ["{", "  \"z\": 1.10,", "  \"a\": [],", "  \"b\": {"], "{pretty}");
    }
}
