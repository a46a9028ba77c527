//! An agent: prompt, model, limits, and what its answer must look like. Its version is the digest of
//! its document, so an execution can always say which agent it ran.

use serde_json::Value;

use crate::diagnostic::{Diagnostic, codes};
use crate::document::{self, Fields, Format, Known, Node, Outcome, Reader};
use crate::schema::Schema;
use crate::{Json, Slug};

const NAME_CHARS_MAX: usize = 200;
const DESCRIPTION_CHARS_MAX: usize = 10_000;
const INSTRUCTIONS_CHARS_MAX: usize = 200_000;
const OUTPUT_TOKENS_MAX: u32 = 1_000_000;
const RULES_MAX: usize = 1_000;
const WORDS_MAX: usize = 100;
const WORD_CHARS_MAX: usize = 1_000;

#[derive(Debug)]
pub struct Agent {
    pub slug: Slug,
    pub name: String,
    pub description: Option<String>,
    pub model: ModelRef,
    /// The system prompt.
    pub instructions: String,
    pub output_schema: Option<Schema>,
    pub max_output_tokens: Option<u32>,
    pub temperature: Option<f64>,
    /// What the provider `scripted` answers, and `auto` when no key of another is configured.
    pub script: Vec<ScriptRule>,
    /// The document as JSON, whatever it was spelled in.
    pub document: Json,
    /// BLAKE3 of `document`, in hex.
    pub digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRef {
    /// One of `PROVIDERS`.
    pub provider: String,
    /// The provider's name for the model; none where the provider has only one, or chooses.
    pub name: Option<String>,
}

pub const PROVIDERS: [&str; 4] = ["scripted", "openai", "anthropic", "auto"];

/// One answer of the provider `scripted`. The first rule that matches answers.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptRule {
    /// None: always matches. Only the last rule of a script can have none.
    pub when: Option<ScriptMatch>,
    /// Any value. Strings in it may hold `{{path.into.the.input}}`; the provider puts it in.
    pub output: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptMatch {
    /// A path into the agent's input, like `payload.title`.
    pub field: String,
    /// Matches if the field's text contains any of these, whatever the case of either.
    pub contains: Vec<String>,
}

/// The agent and the warnings about it, or all of its problems.
pub fn read(text: &str, format: Format) -> Outcome<Agent> {
    let document = document::parse(text, format)?;
    let mut reader = Reader::new(text);
    let agent = agent(&mut reader, &document);
    reader.finish(agent)
}

const DOCUMENT: Known = Known { what: "the document", path: "", fields: &["agent", "$schema"], later: &[] };

const AGENT: Known = Known {
    what: "the agent",
    path: "",
    fields: &["slug", "name", "description", "model", "instructions", "output_schema", "limits", "script"],
    later: &["tools", "may_request_directives", "memory"],
};

const MODEL: Known =
    Known { what: "`model`", path: "model.", fields: &["provider", "name", "temperature"], later: &["fallback"] };

const LIMITS: Known = Known {
    what: "`limits`",
    path: "limits.",
    fields: &["max_output_tokens"],
    later: &["max_turns", "max_tool_calls", "max_cost", "max_tokens"],
};

const RULE: Known = Known { what: "a rule of the script", path: "script.", fields: &["when", "output"], later: &[] };

const MATCH: Known =
    Known { what: "a rule's `when`", path: "script.when.", fields: &["field", "contains"], later: &[] };

fn agent(reader: &mut Reader<'_>, document: &Node) -> Option<Agent> {
    let node = reader.envelope(document, &DOCUMENT, "agent")?;
    let fields = reader.fields(node, &AGENT)?;

    let slug: Option<Slug> = fields.need("slug", reader).and_then(|node| reader.named(node));
    let name = match fields.get("name") {
        Some(node) => reader.text(node, NAME_CHARS_MAX),
        None => slug.as_ref().map(Slug::to_string),
    };
    let description = fields.get("description").and_then(|node| reader.text(node, DESCRIPTION_CHARS_MAX));
    let model_fields = fields.need("model", reader).and_then(|node| reader.fields(node, &MODEL));
    let model = model_fields.as_ref().and_then(|model_fields| model(reader, model_fields));
    let temperature = model_fields.as_ref().and_then(|fields| fields.get("temperature"));
    let temperature = temperature.and_then(|node| reader.number(node, 0.0..=2.0));
    let instructions = fields.need("instructions", reader).and_then(|node| reader.text(node, INSTRUCTIONS_CHARS_MAX));
    let output_schema = fields.get("output_schema").and_then(|node| reader.schema(node));
    let limits = fields.get("limits").and_then(|node| reader.fields(node, &LIMITS));
    let max_output_tokens = limits.and_then(|limits| limits.get("max_output_tokens"));
    let max_output_tokens = max_output_tokens.and_then(|node| reader.whole(node, 1..=OUTPUT_TOKENS_MAX));
    let script = fields.get("script").map_or(Vec::new(), |node| script(reader, node));
    if let Some(model) = &model {
        check_script_and_provider(reader, &fields, model);
    }

    let document = Json::from(document.to_value());
    Some(Agent {
        slug: slug?,
        name: name?,
        description,
        model: model?,
        instructions: instructions?,
        output_schema,
        max_output_tokens,
        temperature,
        script,
        digest: blake3::hash(document.text().as_bytes()).to_hex().to_string(),
        document,
    })
}

fn model(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<ModelRef> {
    let name = fields.get("name").map(|node| reader.text(node, NAME_CHARS_MAX));
    let node = fields.need("provider", reader)?;
    let provider = reader.choice(node, "provider", &PROVIDERS, &[])?;
    if name.is_none() && matches!(provider, "openai" | "anthropic") {
        reader.error(codes::MODEL_NAME_MISSING, node, format!("the provider `{provider}` needs a model's `name`"));
    }
    Some(ModelRef { provider: provider.to_owned(), name: name.flatten() })
}

fn script(reader: &mut Reader<'_>, node: &Node) -> Vec<ScriptRule> {
    let items = reader.list(node, RULES_MAX).unwrap_or_default();
    let last = items.len().saturating_sub(1);
    let mut rules = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        if index < last && item.get("output").is_some() && item.get("when").is_none() {
            let message = "only the last rule can lack `when`: those after this one are never reached";
            reader.error(codes::RULE_UNREACHABLE, item, message);
        }
        rules.extend(rule(reader, item));
    }
    rules
}

fn rule(reader: &mut Reader<'_>, node: &Node) -> Option<ScriptRule> {
    let fields = reader.fields(node, &RULE)?;
    let when = fields.get("when").map(|node| script_match(reader, node));
    let output = fields.need("output", reader)?.to_value();
    Some(ScriptRule { when: when.flatten(), output })
}

fn script_match(reader: &mut Reader<'_>, node: &Node) -> Option<ScriptMatch> {
    let fields = reader.fields(node, &MATCH)?;
    let field = fields.need("field", reader).and_then(|node| reader.text(node, NAME_CHARS_MAX));
    let words = fields.need("contains", reader).and_then(|node| words(reader, node));
    Some(ScriptMatch { field: field?, contains: words? })
}

fn words(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<String>> {
    let items = reader.list(node, WORDS_MAX)?;
    if items.is_empty() {
        reader.error(codes::WRONG_VALUE, node, "a rule that looks for nothing never matches");
    }
    Some(items.iter().filter_map(|item| reader.text(item, WORD_CHARS_MAX)).collect())
}

fn check_script_and_provider(reader: &mut Reader<'_>, fields: &Fields<'_>, model: &ModelRef) {
    let is_scripted = model.provider == "scripted";
    // Without a key for any other provider, `auto` answers from the script.
    let reads_script = is_scripted || model.provider == "auto";
    match (fields.key("script"), fields.key("model")) {
        (None, Some(key)) if is_scripted => {
            let message = "the provider `scripted` needs a `script` to answer from";
            reader.report(Diagnostic::error(codes::SCRIPT_AND_PROVIDER, message).at(key.span.clone()));
        }
        (Some(key), _) if !reads_script => {
            let message = format!("the provider `{}` never reads the `script`", model.provider);
            reader.report(Diagnostic::warning(codes::SCRIPT_AND_PROVIDER, message).at(key.span.clone()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::diagnostic::render;

    fn document() -> Value {
        json!({"agent": {
            "slug": "forum_summary_agent", "name": "Forum summaries", "description": "Sums up new threads",
            "model": {"provider": "scripted", "name": "v1", "temperature": 0.2},
            "instructions": "Sum the thread up in one sentence.",
            "output_schema": {"type": "object", "required": ["summary"]},
            "limits": {"max_output_tokens": 800},
            "script": [
                {"when": {"field": "payload.title", "contains": ["login", "password"]},
                 "output": {"summary": "Trouble with {{payload.title}}", "urgent": true}},
                {"output": {"summary": "{{payload.title}}", "urgent": false}}
            ]
        }})
    }

    fn read_value(document: &Value) -> Outcome<Agent> {
        read(&document.to_string(), Format::Json)
    }

    #[test]
    fn all_fields_are_read() {
        let (agent, warnings) = read_value(&document()).expect("valid");
        assert_eq!(warnings, []);
        assert_eq!((agent.slug.as_str(), agent.name.as_str()), ("forum_summary_agent", "Forum summaries"));
        assert_eq!(agent.model, ModelRef { provider: "scripted".into(), name: Some("v1".into()) });
        assert_eq!((agent.max_output_tokens, agent.temperature), (Some(800), Some(0.2)));
        assert!(agent.output_schema.is_some() && agent.digest.len() == 64);
        assert_eq!(agent.script.len(), 2);
        assert_eq!(agent.script[0].when.as_ref().map(|when| when.contains.len()), Some(2));
        assert_eq!(
            agent.script[1],
            ScriptRule { when: None, output: json!({"summary": "{{payload.title}}", "urgent": false}) }
        );
    }

    #[rstest]
    #[case::no_script("script", None, "FP0403")]
    #[case::unreachable("script", Some(json!([{"output": 1}, {"output": 2}])), "FP0402")]
    #[case::no_words("script", Some(json!([{"when": {"field": "a", "contains": []}, "output": 1}])), "FP0104")]
    #[case::no_output("script", Some(json!([{"when": {"field": "a", "contains": ["b"]}}])), "FP0102")]
    #[case::no_model_name("model", Some(json!({"provider": "openai"})), "FP0401")]
    #[case::unknown_provider("model", Some(json!({"provider": "openay"})), "FP0104")]
    #[case::hot("model", Some(json!({"provider": "scripted", "temperature": 3})), "FP0104")]
    #[case::no_instructions("instructions", None, "FP0102")]
    #[case::slug("slug", Some(json!("Forum Agent")), "FP0107")]
    #[case::tools("tools", Some(json!([])), "FP0105")]
    #[case::schema("output_schema", Some(json!(7)), "FP0103")]
    fn a_wrong_agent_is_refused(#[case] field: &str, #[case] value: Option<Value>, #[case] expected: &str) {
        let mut document = document();
        let fields = document["agent"].as_object_mut().expect("an object");
        match value {
            Some(value) => _ = fields.insert(field.to_owned(), value),
            None => _ = fields.remove(field),
        }
        let problems = read_value(&document).expect_err("refused");
        let errors = problems.iter().filter(|problem| problem.severity == crate::diagnostic::Severity::Error);
        assert_eq!(errors.map(|problem| problem.code).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn a_script_that_is_never_read_is_a_warning() {
        let mut document = document();
        document["agent"]["model"] = json!({"provider": "openai", "name": "gpt"});
        let (_, warnings) = read_value(&document).expect("valid");
        assert_eq!(warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["FP0403"]);

        document["agent"]["model"] = json!({"provider": "auto"});
        let (_, warnings) = read_value(&document).expect("valid");
        assert_eq!(warnings, [], "`auto` answers from the script when no key is configured");
    }

    #[test]
    fn problems_of_an_agent_in_yaml_are_shown_at_their_places() {
        let text = "\
agent:
  slug: forum_summary_agent
  model: {provider: antropic}
  instructions: |
  script:
    - when: {field: payload.title, contains: login}
      output: {summary: 1}
    - wehn: {}
";
        let problems = read(text, Format::Yaml).expect_err("refused");
        insta::assert_snapshot!(render(&problems, text, "agent.yaml", false));
    }
}
