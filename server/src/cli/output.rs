//! `--output`: a table for people, or JSON or YAML for programs. One record is one object; a list is
//! an array.

use std::fmt::Write;

use clap::{Args, ValueEnum};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::screen::{Screen, is_hidden};
use super::table::Table;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Clone, Args)]
pub struct Output {
    /// For people (table) or programs (json, yaml)
    #[arg(long, short, global = true, value_enum, default_value = "table", env = "FLEETPROMPT_OUTPUT")]
    #[arg(hide_env_values = true, value_name = "FORMAT", help_heading = "Output")]
    pub output: Format,
}

impl Output {
    pub fn is_table(&self) -> bool {
        self.output == Format::Table
    }

    /// The record for programs, or what `shown` makes of it for people.
    pub fn show<T: Serialize>(&self, record: &T, shown: impl FnOnce(&Screen) -> String) {
        let screen = Screen::of_stdout();
        match self.output {
            Format::Table => screen.print(&shown(&screen)),
            Format::Json => screen.line(&json(record)),
            Format::Yaml => screen.print(&yaml(record)),
        }
    }

    /// A list; `empty` says what to do about there being nothing.
    pub fn list<T: Serialize>(&self, items: &[T], empty: &str, table: impl FnOnce(&Screen) -> Table) {
        self.show(&items, |screen| if items.is_empty() { format!("{empty}\n") } else { table(screen).render(screen) });
    }

    /// One of a stream: a line of JSON, a document of YAML, or what `shown` makes of it.
    pub fn item<T: Serialize>(&self, screen: &Screen, record: &T, shown: impl FnOnce(&Screen) -> String) {
        match self.output {
            Format::Table => screen.print(&shown(screen)),
            Format::Json => screen.line(&json_line(record)),
            Format::Yaml => screen.print(&format!("---\n{}", yaml(record))),
        }
    }
}

fn json(record: &impl Serialize) -> String {
    escaped(serde_json::to_string_pretty(record).expect("our records can be written"))
}

fn json_line(record: &impl Serialize) -> String {
    escaped(serde_json::to_string(record).expect("our records can be written"))
}

/// By way of JSON, whose fields keep their order. What terminals obey is escaped as in JSON, which is YAML as well.
fn yaml(record: &impl Serialize) -> String {
    let text = serde_json::to_string(record).expect("our records can be written");
    if text.contains(is_hidden) {
        return format!("{}\n", json(record));
    }
    let ordered: Ordered = serde_json::from_str(&text).expect("it was just written");
    serde_saphyr::to_string(&ordered).expect("JSON is YAML")
}

/// JSON without what terminals obey or readers are misled by. Besides line ends such characters stand in strings only,
/// where an escape means the same.
fn escaped(json: String) -> String {
    let must_be_escaped = |c: char| c != '\n' && is_hidden(c);
    if !json.contains(must_be_escaped) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if must_be_escaped(c) {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Ordered {
    Null,
    Bool(bool),
    Integer(i64),
    Natural(u64),
    Number(f64),
    Text(String),
    List(Vec<Ordered>),
    Object(IndexMap<String, Ordered>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetprompt_core::Json;

    #[test]
    fn what_terminals_obey_is_escaped_and_means_the_same() {
        // CSI as one character of C1, DEL, an escape, an override of the direction, and what may stay.
        let text = "a\u{9b}31mb\u{7f}c\u{1b}[2Jd\u{202e}e\u{85}f\nü日";
        let record = serde_json::json!({"payload": {"name\u{9d}": text}});
        for written in [json(&record), json_line(&record), yaml(&record)] {
            assert!(!written.contains(|c: char| c != '\n' && is_hidden(c)), "{written:?}");
            assert!(written.contains("\\u009b31m") && written.contains("ü日"), "{written:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&written).expect("JSON"), record);
        }
    }

    #[test]
    fn yaml_keeps_the_order_of_fields_and_what_looks_like_something_else() {
        let json = Json::parse(r#"{"z": 1, "a": ["yes", "1.0", null], "m": {"t": "two\nlines"}}"#).expect("JSON");
        let text = yaml(&json);
        assert!(text.find("z:") < text.find("a:"), "{text}");
        let back = fleetprompt_core::document::parse(&text, fleetprompt_core::document::Format::Yaml).expect("YAML");
        assert_eq!(back.to_value(), *json.value(), "{text}");
    }
}
