//! Every code that a diagnostic may carry, with its explanation: the text of `fleetprompt explain`
//! and of `docs/errors/`. A code is never reused for another meaning.
//!
//! `FP00` the text itself, `FP01` the shape of a document, `FP02` what a workflow means,
//! `FP03` expressions and schemas, `FP04` agents, `FP05` schedules.

macro_rules! codes {
    ($($name:ident $code:literal $title:literal $explanation:literal)*) => {
        $(pub const $name: &str = $code;)*

        /// `(code, title, explanation)`; explanations are Markdown.
        pub const CODES: &[(&str, &str, &str)] = &[$(($code, $title, $explanation)),*];
    };
}

codes! {
NOT_JSON "FP0001" "the document is not valid JSON"
r#"The text cannot be read as JSON, and reading stopped at the place shown. Definitions are plain JSON plus comments
(`// …` and `/* … */`), because people write them by hand; other extensions such as trailing commas, single quotes or
names without quotes are refused. A document that does not begin with `{` is taken for YAML unless its file name says
otherwise.

Wrong: `{"name": "Triage",}`

Right: `{"name": "Triage"}`"#

NOT_YAML "FP0002" "the document is not valid YAML"
r#"The text cannot be read as YAML 1.2, and reading stopped at the place shown. Common causes are a tab in the
indentation, lines of one block that are indented differently, and text with `: ` or ` #` in it that is not quoted.

Wrong: `name: Triage: new threads`

Right: `name: "Triage: new threads"`"#

TOO_LARGE "FP0003" "the document is too large"
r#"A definition may have up to 4 MiB (4,194,304 bytes) of text. What comes near that is usually data that was pasted
into a definition; send it with the signal, or let a step fetch it. A large workflow can also be split in several that
start each other by signals.

Wrong: a step whose `input` holds a table of 50,000 customers

Right: a step whose `input` is `{"customers": "${signal.payload.customers}"}`"#

TOO_DEEP "FP0004" "the document nests too deep"
r#"Lists and objects may nest up to 64 levels. Deeper nesting is refused before it is read, since it is what an attack
on a reader looks like. If real data needs it, carry it as text.

Wrong: `{"a": {"a": {"a": … 65 times …}}}`

Right: `{"a": {"b": {"c": 1}}}`"#

DUPLICATE_KEY "FP0005" "a key is given twice"
r#"One object has the same key twice. Readers disagree about which of the two counts, so neither is taken. Both places
are shown; remove or rename one.

Wrong: `{"id": "fetch", "type": "agent", "id": "load"}`

Right: `{"id": "fetch", "type": "agent"}`"#

YAML_FEATURE "FP0006" "this feature of YAML is not supported"
r#"YAML is accepted as another spelling of the same JSON document, so what JSON cannot say is refused: anchors (`&x`),
aliases (`*x`), merge keys (`<<`), tags (`!x`), several documents in one text, keys that are lists or objects, and the
numbers `.inf` and `.nan`. Write the value out where it is used. Text that begins with one of those characters wants
quotes.

Wrong: `retry: *default_retry`

Right: `retry: {max_attempts: 3}`"#

NOT_UTF8 "FP0007" "the document is not UTF-8"
r#"Documents are text in UTF-8, with or without a byte order mark. The place is the first byte that is not. Usually the
file was saved in an older encoding, or is not a text file at all.

Wrong: a file saved as `Windows-1252` or `UTF-16`

Right: the same file saved as `UTF-8`"#

NUMBER_RANGE "FP0008" "a number cannot be represented"
r#"The number is too large for any value that JSON readers agree on. Identifiers that look like numbers are safer as
text, because readers may round them.

Wrong: `{"limit": 1e999}`

Right: `{"limit": 1e9}` or `{"account": "12345678901234567890123"}`"#

MORE_PROBLEMS "FP0009" "there are more problems than are shown"
r#"A document has more problems than anybody wants to read at once, so the rest is only counted. They often have one
cause: solve the first ones and check again.

Wrong: a workflow of 300 steps that all say `"kind": "agent"`

Right: the same steps with `"type": "agent"`"#

UNKNOWN_FIELD "FP0101" "a field is not known here"
r#"Nothing unknown is ignored: a misspelled `timeout` that is silently dropped is a step without a timeout. The message
lists what is known at this place and, when one is near, which was probably meant. To keep notes in a definition use
`description`, or comments.

Wrong: `{"id": "fetch", "type": "agent", "time_out": "60s"}`

Right: `{"id": "fetch", "type": "agent", "timeout": "60s"}`"#

MISSING_FIELD "FP0102" "a field is missing"
r#"The place shown is the object that lacks the field. A workflow needs `name`, `version` and `steps`, a step needs `id`
and `type`, and each type of step needs the field that says what it performs: `agent_ref`, `function`, `directive`,
`workflow_ref`, or what a `wait` waits for.

Wrong: `{"id": "post", "type": "directive"}`

Right: `{"id": "post", "type": "directive", "directive": "forum.post.create"}`"#

WRONG_TYPE "FP0103" "a value has the wrong type"
r#"The field is known, but its value is of another type than it takes. No type is turned into another silently. In YAML,
text that looks like a number, a boolean or null wants quotes.

Wrong: `version: 1.0`

Right: `version: "1.0.0"`"#

WRONG_VALUE "FP0104" "a value is not allowed"
r#"The value has the right type but is outside of what the field takes. The message gives the range or the choices.

Wrong: `{"retry": {"max_attempts": 0}}`

Right: `{"retry": {"max_attempts": 1}}`, which means one attempt and no other"#

NOT_SUPPORTED_YET "FP0105" "not supported yet"
r#"The field or value is part of the definition language but this version of the engine does not perform it yet. It is
refused rather than ignored, because a limit that is never kept is worse than none. Remove it, or use a version
that has it.

Wrong: `{"agent": {"memory": {…}}}` with a version whose agents have no memory

Right: the same agent without `memory`"#

NOT_A_DURATION "FP0106" "a duration is not written with its unit"
r#"Durations are text: a whole number with one of the units `ms`, `s`, `m`, `h`, `d`, or a sum of them, more than zero
and at most ten years. A bare number is refused because nobody can tell seconds from milliseconds.

Wrong: `{"timeout": 60}`

Right: `{"timeout": "60s"}` or `{"timeout": "1h30m"}`"#

NOT_A_NAME "FP0107" "a name or slug is not well-formed"
r#"Names of signals and directives have at least two segments of `a-z`, `0-9` and `_` joined by dots, and no version in
them. Slugs of workflows and agents have 1 to 100 characters of `a-z`, `0-9`, `-` and `_`. Step ids begin with a letter
and go on with `a-z`, `0-9` and `_`, at most 64 characters, so that expressions can say `steps.<id>`.

Wrong: `{"signal": "ThreadCreated"}` or `{"id": "post-summary"}`

Right: `{"signal": "forum.thread.created"}` or `{"id": "post_summary"}`"#

NOT_A_VERSION "FP0108" "a version is not a semantic version"
r#"Versions have three numbers, optionally a pre-release and build data: `1.4.0`, `2.0.0-rc.1`, `1.0.0+build.7`. The
content under one version never changes once it is active; a change takes a new version.

Wrong: `{"version": "v1.2"}`

Right: `{"version": "1.2.0"}`"#

TOO_MANY "FP0109" "too many, or too long"
r#"The list or text is longer than its limit, which the message gives: 10,000 steps, 64 trigger signals, 200 characters
of a name. Limits keep one definition from slowing down everybody else's.

Wrong: a `name` that holds the whole description

Right: a short `name`, and the rest in `description`"#

FIELD_OF_OTHER_TYPE "FP0110" "the field belongs to another type of step"
r#"Each type of step has its own fields: `agent` has `agent_ref` and `input`, `directive` has `directive` and `payload`, and
so on; some that change how a step is done belong to several types, like `retry` to `agent` and `directive`. A field of
another type would never be read. So it is with what only some waits have: `lookback` and `consume` go with signals,
`heartbeat` with a `callback`. The message says which types have it.

Wrong: `{"steps": [{"id": "sum", "type": "function", "function": "json.merge", "payload": {}}]}`

Right: `{"steps": [{"id": "sum", "type": "function", "function": "json.merge", "input": {}}]}`"#

GIVEN_TWICE "FP0111" "the same thing is given in two ways"
r#"Two fields say the same and only one may be there, because nobody could tell which one counts. A trigger has either
`signal`, for one, or `signals`, for several; a `wait` has one thing to wait for; a workflow has `concurrency` or
`singleton`. A wait for whichever of two things comes first is two steps and a third with `"join": "any"`.

Wrong: `{"steps": [{"id": "pause", "type": "wait", "for": "1h", "signal": "payment.received"}]}`

Right: `{"steps": [{"id": "pause", "type": "wait", "signal": "payment.received", "timeout": "1h"}]}`"#

LISTED_TWICE "FP0112" "an entry is listed twice"
r#"The same entry stands in a list more than once. That changes nothing, so it is only a warning; often another entry
was meant.

Wrong: `{"needs": ["fetch", "fetch"]}`

Right: `{"needs": ["fetch", "score"]}`"#

DUPLICATE_STEP "FP0201" "two steps have the same id"
r#"Step ids are unique within a workflow: expressions (`steps.<id>.output`), `needs`, the timeline and the idempotency
keys of directives all name a step by it. Both places are shown.

Wrong: `{"steps": [{"id": "post"}, {"id": "post"}]}`

Right: `{"steps": [{"id": "post"}, {"id": "post_again"}]}`"#

UNKNOWN_STEP "FP0202" "there is no such step"
r#"Something names a step that the workflow does not have: a `needs`, a transition, or a reference like
`${steps.x.output}`. The message gives the nearest id. Steps of other workflows cannot be read; a signal or the input of
a sub-run carries what they found.

Wrong: `{"steps": [{"id": "summarize"}, {"id": "post", "input": "${steps.sumarize.output.summary}"}]}`

Right: `{"steps": [{"id": "summarize"}, {"id": "post", "input": "${steps.summarize.output.summary}"}]}`"#

CYCLE "FP0203" "steps wait for each other"
r#"The steps form a circle, so none of them could ever start. The message shows the circle. Edges come from `needs`, from
`transitions`, and from references such as `${steps.x.output}`. What is to be done again and again is one step with
`repeat`, or a workflow that starts itself.

Wrong: `{"steps": [{"id": "a", "needs": ["b"]}, {"id": "b"}], "transitions": [{"from": "a", "to": "b"}]}`

Right: `{"steps": [{"id": "a"}, {"id": "b"}], "transitions": [{"from": "a", "to": "b"}]}`"#

SELF_REFERENCE "FP0204" "a step refers to itself"
r#"A step cannot need itself, lead to itself, or read its own output in its input or condition: that output does not
exist before the step has run. In a `repeat` the last iteration's output is `repeat.output`; a `compensate` may read the
output of the step that it undoes.

Wrong: `{"steps": [{"id": "score", "when": "${steps.score.output > 3}"}]}`

Right: `{"steps": [{"id": "score"}, {"id": "notify", "when": "${steps.score.output > 3}"}]}`"#

UNKNOWN_FUNCTION "FP0205" "there is no such function"
r#"A step of type `function` names one of the engine's deterministic functions. The message gives the nearest one.
Work that the engine has no function for is done by an agent, or by a directive with a worker as its handler.

Wrong: `{"type": "function", "function": "jsonmerge"}`

Right: `{"type": "function", "function": "json.merge"}`"#

UNKNOWN_DIRECTIVE "FP0206" "there is no such directive"
r#"Every side effect is a directive whose type is built in or registered for the tenant, because its payload's schema,
approval and handler come from there. Register the type first, or correct the name.

Wrong: `{"directive": "forum.posts.create"}`

Right: `{"directive": "forum.post.create"}`"#

DIRECTIVE_NOT_ALLOWED "FP0207" "the workflow does not allow itself this directive"
r#"When a workflow has `may_request_directives`, its steps may request only what is listed there. The list is what a
reviewer reads to know what the workflow can do to the world, so it has to be complete. Add the name, or remove the
step.

Wrong: `"may_request_directives": []` and a step that requests `forum.post.create`

Right: `"may_request_directives": ["forum.post.create"]`"#

UNKNOWN_AGENT "FP0208" "there is no such agent"
r#"A step names an agent by its slug, and the tenant has none with that slug. Apply the agent's definition before the
workflow that uses it, or correct the slug.

Wrong: `{"agent_ref": {"slug": "forum_sumary_agent"}}`

Right: `{"agent_ref": {"slug": "forum_summary_agent"}}`"#

ROOT_NOT_AVAILABLE "FP0209" "the expression reads what is not there"
r#"What an expression sees depends on where it stands. A trigger's `when` decides whether there is to be a run, so it sees
`signal` and `tenant`; the keys of flow control see `run.input` as well. In a run everything sees `run` and
`steps.<id>`. `item` and `index` are there in a step with `for_each`, but not in its `when`, which is asked before; `repeat`
in a step with `repeat`; `event` in the `when` of a wait's signal. The message says what is there.

Wrong: `{"steps": [{"id": "send", "when": "${item.wanted}", "for_each": "${signal.payload.people}"}]}`

Right: `{"steps": [{"id": "send", "for_each": "${signal.payload.people.filter(p, p.wanted)}"}]}`"#

LATER_STEP "FP0210" "a step reads one that runs later"
r#"A workflow without any `needs` or `transitions` runs its steps in the order of the list, so a step can read only those
before it. Put the steps in another order, or say with `needs` what really has to wait for what; then the order of the
list means nothing.

Wrong: `{"steps": [{"id": "post", "input": {"text": "${steps.write.output}"}}, {"id": "write"}]}`

Right: `{"steps": [{"id": "write"}, {"id": "post", "input": {"text": "${steps.write.output}"}}]}`"#

UNKNOWN_WORKFLOW "FP0211" "there is no such workflow"
r#"A step of type `workflow` names the workflow that it starts by its slug, and the tenant has none with that slug. Apply
that one first, or correct the slug. A workflow may start itself.

Wrong: `{"steps": [{"id": "bill", "type": "workflow", "workflow_ref": {"slug": "biling"}}]}`

Right: `{"steps": [{"id": "bill", "type": "workflow", "workflow_ref": {"slug": "billing"}}]}`"#

OUTPUT_NOT_CERTAIN "FP0212" "an output is read that may not be there"
r#"There is a way to this expression on which the step that it reads does not complete, and reading its output would fail
the run. It happens where several ways meet, by `transitions` or by a `join` other than `all`; the message names a way.
Elsewhere a read implies `needs`, and there is no question. Ask first with `has(…)`, or let every way need the step.

Wrong: `{"steps": [{"id": "a"}, {"id": "b"}, {"id": "c", "input": "${steps.a.output}"}], "transitions": [{"from": "a",
"to": "c"}, {"from": "b", "to": "c"}]}`

Right: `{"steps": [{"id": "a"}, {"id": "b"}, {"id": "c", "input": "${has(steps.a.output) ? steps.a.output : null}"}],
"transitions": [{"from": "a", "to": "c"}, {"from": "b", "to": "c"}]}`"#

ERROR_NOT_CERTAIN "FP0213" "an error is read that may not be there"
r#"Only a step that failed has an `error`, and there is a way to this expression on which the step need not have failed.
Come there by a transition `"on": "failed"`, or ask first: with `has(steps.<id>.error)`, or in the `when` of the step.

Wrong: `{"steps": [{"id": "a", "on_error": "continue"}, {"id": "tell", "input": "${steps.a.error.message}"}]}`

Right: `{"steps": [{"id": "a"}, {"id": "tell", "input": "${steps.a.error.message}"}], "transitions": [{"from": "a", "to":
"tell", "on": "failed"}]}`"#

MAY_BE_MISSING "FP0214" "what is read may be missing"
r#"Reading it fails when it is not there, which can happen here: the step has `on_error: continue` and may have failed, or
it is read in the workflow's `output` and may have been skipped by then. The definition is accepted, since you may know
better. Ask first with `has(…)` to be sure.

Wrong: `{"steps": [{"id": "a", "on_error": "continue"}, {"id": "b", "input": "${steps.a.output}"}]}`

Right: `{"steps": [{"id": "a", "on_error": "continue"}, {"id": "b", "input": "${has(steps.a.output) ? steps.a.output :
null}"}]}`"#

AFTER_FINISH "FP0215" "nothing comes after a finish"
r#"A step of type `finish` ends the run as soon as it begins. What needs it, or follows from it by a transition, could
never run, nor could what follows in the list when the `finish` has no `when`. To end early in some cases, give it a
`when`, or a transition to it.

Wrong: `{"steps": [{"id": "stop", "type": "finish"}, {"id": "mail"}]}`

Right: `{"steps": [{"id": "stop", "type": "finish", "when": "${signal.payload.empty}"}, {"id": "mail"}]}`"#

NEVER_RUNS "FP0216" "a step can never run"
r#"What the step needs and what leads to it exclude each other: it needs a step to complete, by itself or by what it
needs, and every transition to it is taken only when that step failed.

Wrong: `{"steps": [{"id": "a"}, {"id": "b", "needs": ["a"]}], "transitions": [{"from": "a", "to": "b", "on": "failed"}]}`

Right: `{"steps": [{"id": "a"}, {"id": "b"}], "transitions": [{"from": "a", "to": "b", "on": "failed"}]}`"#

JOIN_DOES_NOT_FIT "FP0217" "a join does not fit what leads to the step"
r#"`join` counts `needs` and transitions, and there are fewer than it waits for; or `cancel_rest` is to withdraw what is
unfinished, and the step waits for everything, so nothing is. Steps that are only read, or come before in the list,
are not counted.

Wrong: `{"steps": [{"id": "a"}, {"id": "b", "needs": ["a"], "join": {"at_least": 2}}]}`

Right: `{"steps": [{"id": "a"}, {"id": "c"}, {"id": "b", "needs": ["a", "c"], "join": {"at_least": 1}}]}`"#

FAILURE_TWICE "FP0218" "two things are said of one failure"
r#"`on_error: fail` says that the run fails with the step, and a transition `on: failed` or `settled` takes that failure up
so that it goes on. And with `on_error: continue` nothing is left for a transition `on: failed`. Keep one of the two;
without `on_error`, a failure that no transition takes up fails the run.

Wrong: `{"steps": [{"id": "a", "on_error": "fail"}, {"id": "b"}], "transitions": [{"from": "a", "to": "b", "on":
"failed"}]}`

Right: `{"steps": [{"id": "a"}, {"id": "b"}], "transitions": [{"from": "a", "to": "b", "on": "failed"}]}`"#

NOT_SETTLED_YET "FP0219" "a transition reads what has not settled yet"
r#"A transition's `when` is asked as soon as its `from` has ended. It can read that step, and the steps that are sure to
have settled before it. What it reads elsewhere might come later, and the answer would depend on who is faster. Read it
in the `when` of the step instead, which waits for what it reads.

Wrong: `{"steps": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "transitions": [{"from": "a", "to": "c", "when":
"${steps.b.status == 'completed'}"}]}`

Right: `{"steps": [{"id": "a"}, {"id": "b"}, {"id": "c", "when": "${steps.b.status == 'completed'}"}], "transitions":
[{"from": "a", "to": "c"}]}`"#

COMPENSATE_UNUSED "FP0220" "a compensate is never requested"
r#"A step says how it is undone, and the workflow's `on_error` is not `compensate`, so nobody asks for it when a run fails.

Wrong: `{"steps": [{"id": "pay", "type": "directive", "directive": "forum.post.create", "compensate": {"directive":
"mail.send"}}]}`

Right: `{"on_error": "compensate", "steps": [{"id": "pay", "type": "directive", "directive": "forum.post.create",
"compensate": {"directive": "mail.send"}}]}`"#

LIST_NOT_CERTAIN "FP0221" "the list of a for_each may change"
r#"A step with `join: any` begins while others are under way. A list that reads one of these would depend on who is faster,
and would be another one when it is looked up again after a restart. Make the list in a step of its own, which waits for
what it reads.

Wrong: `{"steps": [{"id": "a", "needs": []}, {"id": "b", "needs": []}, {"id": "c", "needs": ["a", "b"], "join": "any",
"for_each": "${has(steps.a.output) ? steps.a.output : []}"}]}`

Right: `{"steps": [{"id": "a", "needs": []}, {"id": "b", "needs": []}, {"id": "c", "needs": ["a", "b"], "join": "any"},
{"id": "d", "for_each": "${has(steps.a.output) ? steps.a.output : []}"}]}`"#

BUILT_IN_FUNCTION "FP0222" "a function of the engine is not performed outside"
r#"`retry`, `timeout`, `heartbeat` and `lock` are for functions that workers perform. The engine's own functions are pure: they
are called in the moment in which their step is decided, and the same input gives the same output or the same failure.

Wrong: `{"steps": [{"id": "a", "type": "function", "function": "text.join", "input": {"parts": ["x"]}, "timeout":
"1s"}]}`

Right: `{"steps": [{"id": "a", "type": "function", "function": "text.join", "input": {"parts": ["x"]}}]}`"#

INVALID_EXPRESSION "FP0301" "an expression cannot be read"
r#"Text inside of `${…}` is an expression in CEL. It can read `signal`, `steps.<id>.output`, `steps.<id>.status`,
`steps.<id>.error`, `run` and `tenant`, in some places `item`, `index`, `repeat` and `event`, and is limited in length, nesting and work. A `when` is one expression; in
inputs and payloads a text that is one expression keeps its type, and mixed text is joined. To write `${` itself as
text, see the documentation of expressions.

Wrong: `"${signal.payload.title ==}"`

Right: `"${signal.payload.title == 'hello'}"`"#

INVALID_SCHEMA "FP0302" "a schema is not a JSON Schema"
r#"`input_schema` and `output_schema` are JSON Schemas. They are compiled when the definition is applied, and may refer
only to themselves: nothing is fetched from elsewhere.

Wrong: `{"output_schema": {"type": "strnig"}}`

Right: `{"output_schema": {"type": "object", "required": ["summary"]}}`"#

MODEL_NAME_MISSING "FP0401" "the model has no name"
r#"The providers `openai` and `anthropic` have many models, and an agent says which one it was written for. Only
`scripted`, which has no model, and `auto`, which takes what the server is configured with, can do without.

Wrong: `{"model": {"provider": "anthropic"}}`

Right: `{"model": {"provider": "anthropic", "name": "claude-sonnet-4-5"}}`"#

RULE_UNREACHABLE "FP0402" "a rule of the script is never reached"
r#"The rules of a script are tried in order and the first that matches answers. A rule without `when` always matches,
so it can only be the last.

Wrong: `"script": [{"output": {"ok": true}}, {"when": {…}, "output": {"ok": false}}]`

Right: `"script": [{"when": {…}, "output": {"ok": false}}, {"output": {"ok": true}}]`"#

SCRIPT_AND_PROVIDER "FP0403" "the script and the provider do not fit"
r#"The provider `scripted` answers from the agent's `script` and so needs one; `auto` does when no key for
another provider is configured. The others never read it; a script kept there for tests is allowed, with this warning.

Wrong: `{"model": {"provider": "scripted"}}` without `script`

Right: `{"model": {"provider": "scripted"}, "script": [{"output": {"summary": "…"}}]}`"#

NOT_A_CRON "FP0501" "a cron expression cannot be read"
r#"A cron expression has five fields: minute, hour, day of month, month, day of week. Each takes `*`, numbers, ranges
(`9-17`), lists (`1,15`) and steps (`*/10`, `0-30/10`); months and days also names (`JAN`, `MON-FRI`). The day of month
knows `L`, the last one, and `15W`, the weekday nearest to it; the day of week knows `MON#2`, the second Monday, and
`FRI#L`, the last Friday. When both days are given, either may match; `+` before the day of week asks for both. In place
of the five, `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` may stand. There are no seconds: what is to come
more often than each minute is written with `every`.

Wrong: `{"cron": "0 0 7 * * MON-FRI"}`

Right: `{"cron": "0 7 * * MON-FRI"}`"#

UNKNOWN_TIME_ZONE "FP0502" "there is no such time zone"
r#"A time zone is a name of the IANA database, such as `Europe/Berlin` or `UTC`; a fixed offset does not know when clocks
change. The names come with the program, so they are the same on every machine.

Wrong: `{"time_zone": "CET+1"}`

Right: `{"time_zone": "Europe/Berlin"}`"#

NEVER_DUE "FP0503" "the schedule is never due"
r#"No time fits the expression, or none between `starts_at` and `ends_at`, so nothing would ever be emitted.

Wrong: `{"cron": "0 9 30 2 *"}`, because there is no 30 February

Right: `{"cron": "0 9 L 2 *"}`, the last day of February"#

NOT_A_TIME "FP0504" "a time is not written as RFC 3339"
r#"A moment is a date, a time and its distance from UTC in one text, so that it means the same everywhere.

Wrong: `{"starts_at": "2026-12-01 09:00"}`

Right: `{"starts_at": "2026-12-01T09:00:00+01:00"}`"#
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_code_is_in_the_table_once_in_order_and_explained_with_an_example() {
        for pair in CODES.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
        for (code, title, explanation) in CODES {
            assert!(code.len() == 6 && code.starts_with("FP") && !title.is_empty(), "{code}");
            assert!(explanation.contains("\n\nWrong: ") && explanation.contains("\n\nRight: "), "{code}");
        }
    }

    #[test]
    fn every_code_of_the_crate_is_in_the_table_and_every_one_in_the_table_is_used() {
        let mut source = String::new();
        read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
        let known: BTreeSet<_> = CODES.iter().map(|(code, ..)| *code).collect();
        for (at, _) in source.match_indices("\"FP") {
            let code = &source[at + 1..source.floor_char_boundary(at + 7)];
            if code.len() == 6 && code[2..].bytes().all(|b| b.is_ascii_digit()) {
                assert!(known.contains(code), "{code} is not in the table");
            }
        }
        let table = include_str!("codes.rs");
        for code in known {
            let end = table.find(&format!(" \"{code}\"")).expect("each stands in the table");
            let name = &table[table[..end].rfind('\n').map_or(0, |at| at + 1)..end];
            assert!(source.contains(&format!("codes::{name}")), "{code} {name} is not used");
        }
    }

    fn read_all(folder: &Path, into: &mut String) {
        for entry in std::fs::read_dir(folder).expect("the source is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                read_all(&path, into);
            } else if !path.ends_with("codes.rs") {
                into.push_str(&std::fs::read_to_string(path).expect("source is text"));
            }
        }
    }
}
