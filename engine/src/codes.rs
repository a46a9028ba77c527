//! Every code with which a request is refused, or a step or directive fails: what it means, and what
//! to do. The text of `fleetprompt explain` and of `docs/errors/`. A code is never reused for another
//! meaning. Codes of diagnostics, like `FP0103`, are in `fleetprompt_core::diagnostic::CODES`.
//!
//! Failures may have other codes: a step of type `finish`, a report from outside and a worker give
//! their own.

/// What answers or ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A request is answered with this status.
    Problem(u16),
    /// A step, a directive or a run fails with it.
    Failure,
}

#[derive(Debug)]
pub struct Code {
    pub code: &'static str,
    pub of: &'static [Of],
    /// Markdown, like `advice`.
    pub meaning: &'static str,
    pub advice: &'static str,
}

macro_rules! codes {
    ($($code:literal $of:expr, $meaning:literal $advice:literal)*) => {
        /// By their names.
        pub const CODES: &[Code] = &[$(Code { code: $code, of: &$of, meaning: $meaning, advice: $advice }),*];
    };
}

codes! {
"actor_invalid" [Of::Problem(422)],
r#"The actor that the request names has a type with characters that readers may mistake for others, or an id with
characters that are not shown."#
r#"Write `type` in ASCII letters, digits, `_`, `-`, `.`, `:`, `/` and spaces within, like `user`, and leave invisible
characters out of `id`."#

"actor_reserved" [Of::Problem(422)],
r#"The request names an actor of a type that only the engine may name (`engine`, `key`, `operator`, `run`, `schedule`), or
that looks like one of these, like `Key` or `0perator`."#
r#"Leave `actor` out, so that it is the key; or name somebody of your own, like `{"type": "user", "id": "7"}`."#

"address_refused" [Of::Failure],
r#"The endpoint of a directive stands at an address that is not called: of this machine, a private network or a
cloud's metadata."#
r#"Give the handler a public address. Who operates the server can allow private addresses; see `docs/operating.md`."#

"agent_invalid" [Of::Problem(422)],
r#"The agent's definition has problems; they come along as diagnostics, with their places."#
r#"Solve them, and apply it again. `fleetprompt agent validate FILE` shows them without a server."#

"agent_unknown" [Of::Failure],
r#"The step's agent is not registered any more, or not yet. The attempt is made again as the step's `retry` says."#
r#"Apply the agent's definition: `fleetprompt agent apply FILE`."#

"answer_encoded" [Of::Failure],
r#"The endpoint of a directive answered with a body that is compressed (`Content-Encoding`), which is not decoded. What the
endpoint did has happened; its output is unknown."#
r#"Let the endpoint, and any proxy before it, answer without `Content-Encoding`: deliveries say `Accept-Encoding: identity`.
Then retry the run; an endpoint that honours `Idempotency-Key` answers again without doing it again."#

"answer_too_large" [Of::Failure],
r#"The endpoint of a directive answered with more than 1 MiB."#
r#"Let it answer with what the workflow needs, such as an id, and keep the rest."#

"attempt_id_invalid" [Of::Problem(422)],
r#"A worker keeps or reports an attempt under an id that was never given to anybody."#
r#"Use the `id` with which it was taken, as it is."#

"attempt_not_yours" [Of::Problem(403)],
r#"The key may not take attempts of this tenant, or of this function or directive, so it cannot keep or report them either."#
r#"Use the key with which it was taken; `fleetprompt key list` says what each is for."#

"attempt_reported" [Of::Problem(409)],
r#"An outcome of this attempt is being recorded at this moment."#
r#"Ask again in a moment, with the same outcome."#

"attempt_settled" [Of::Problem(409)],
r#"Nothing waits for this attempt any more: it has an outcome, was called off, took too long, or its run has ended."#
r#"Drop it. What happened is on record: `fleetprompt run timeline RUN`."#

"backfill_range" [Of::Problem(422)],
r#"The range of a backfill is empty, reaches into the future, or is longer than ten years."#
r#"Give a `from` before `to`, and a `to` that has passed."#

"backfill_too_large" [Of::Problem(422)],
r#"A backfill would emit more signals than one request may; the message has the count."#
r#"Split the range in several requests. What was emitted before is not emitted again."#

"body_too_large" [Of::Problem(413)],
r#"The body of the request has more bytes than are read here, or would take more memory once it is parsed than the server
gives to one request. Nothing was accepted."#
r#"Send signals in smaller batches. Keep large data elsewhere, and put a reference into the payload."#

"body_too_slow" [Of::Problem(408)],
r#"The body did not arrive within the time for one request, or nothing more of it arrived for long. Nothing was accepted."#
r#"Send it again. If it happens often, look at the network between, or send less at once."#

"busy" [Of::Problem(429)],
r#"More is waiting than the engine takes at once, or the requests of the tenant that are in flight take its share of memory.
Nothing was accepted."#
r#"Make the same request again after the time in `Retry-After`; with a dedupe key or an idempotency key nothing
happens twice."#

"canceled" [Of::Failure],
r#"The directive was canceled before it succeeded."#
r#"Nothing, if that was meant. `fleetprompt directive show ID` says who did it and why."#

"causation_unknown" [Of::Problem(422)],
r#"The request names a cause that this tenant does not have."#
r#"Name the id of a signal, run or directive of this tenant, or leave `causation_id` out."#

"conflict" [Of::Problem(409), Of::Failure],
r#"It has moved on meanwhile: another attempt is under way, or nothing waits for this any more."#
r#"Look at it again with `fleetprompt run show ID` or `fleetprompt directive show ID`, and decide anew."#

"content_encoding_unsupported" [Of::Problem(415)],
r#"The request has a body that is compressed, or encoded in another way: its header `Content-Encoding` is not `identity`.
Bodies are read as they are."#
r#"Send the body without `Content-Encoding`. Many small signals go into one request, as an array or one a line."#

"dedupe_key_reused" [Of::Problem(422), Of::Failure],
r#"A signal of this name was emitted before under the same dedupe key, or with the same `source` and `source_event_id`, and
with another payload. Payloads are compared by value, to the last digit of each number."#
r#"Take a new key for a new event, for example by adding the version or the time of the change. A retry must send the same
payload again. The same key under another name is another event."#
"descendants_limit" [Of::Failure],
r#"The root of this chain of causes may not lead to another run: too many of its descendants are open, or it led to too
many runs, signals or bytes of payloads within ten minutes. That is nearly always a loop of workflows that start each
other."#
r#"See with `fleetprompt why` what caused what, and with `fleetprompt workflow show` what a workflow refused. End the loop
by a `when` of a trigger, or pause a workflow of it. If so many runs are meant, let them follow from several signals, or
raise the limit: `--descendants-open-max`, `--descendants-runs-max` and the settings beside them."#

"directive_not_manual" [Of::Problem(409)],
r#"An outcome was reported of a directive that the engine carries out itself."#
r#"Only directives whose type has a `manual` handler are reported. To end another one, cancel it."#

"directive_reserved" [Of::Problem(409), Of::Problem(422), Of::Failure],
r#"The engine requests and settles this directive itself, so callers and steps can neither request nor cancel it:
`signal.offer`, which continues the work of a full commit, and the start of a run that a signal has triggered."#
r#"To offer a signal again, request `signal.replay`. To end a run, request `workflow.run.cancel`."#

"directive_settled" [Of::Problem(409)],
r#"The directive has ended already, so it cannot be reported or canceled any more."#
r#"Nothing: what it ended with stays. `fleetprompt directive show ID` shows it."#

"directive_type_invalid" [Of::Problem(422)],
r#"The directive type's definition cannot be taken; the message says where and why."#
r#"Correct it, and apply it again. `fleetprompt schema directive-type` helps an editor."#

"directive_unknown" [Of::Problem(422), Of::Failure],
r#"There is no directive of this name, built in or registered for this tenant."#
r#"Register its type with `fleetprompt directive-type apply FILE`, or correct the name; the message gives what is
near."#

"document_too_large" [Of::Problem(422)],
r#"The definition is larger than what is kept."#
r#"Send data with the signal rather than with the definition, or split the workflow in two."#

"expiry_past" [Of::Problem(422)],
r#"The time at which the key is to expire has passed already."#
r#"Give a later `expires_at`, or none."#

"expression_failed" [Of::Failure],
r#"An expression could not be evaluated: it read what is not there, or compared what cannot be compared. The
message names the place."#
r#"Ask first with `has(…)` for what may be absent, and convert what may have another type."#

"expression_too_expensive" [Of::Failure],
r#"An expression, or all expressions of one step, trigger or wait together, would take more work than they may, for
example because a long list is gone through within another."#
r#"Do it in a function step, or with `for_each`."#

"failed" [Of::Failure],
r#"The directive failed, and whoever carried it out did not say why."#
r#"Let the worker report an error with a `code` and a `message`."#

"forbidden" [Of::Problem(403)],
r#"The key is valid, and may not do this: its role is too low."#
r#"Take a key with the role that the message names. `fleetprompt whoami` shows the role of yours."#

"function_failed" [Of::Failure],
r#"A function that is called in a module failed without saying why as `{"code": …, "message": …}`."#
r#"Let the module say it so: a negative result is where, and `docs/modules.md` has how."#

"function_invalid" [Of::Problem(422)],
r#"The document of a function cannot be used; the message says where it is wrong."#
r#"Correct it, and apply it again. `docs/workers.md` has an example."#

"function_out_of_fuel" [Of::Failure],
r#"A function that is called in a module did more work than one call may."#
r#"Let it do less, or let a worker perform it, which may take its time."#

"function_reserved" [Of::Problem(422)],
r#"The name of a function begins like those of the engine's own, so that it could be taken for one."#
r#"Give it a name whose first part is your own, like `lead.score`."#

"function_trapped" [Of::Failure],
r#"A function that is called in a module broke off: it reached a place that it says is never reached, divided by zero,
left its memory, or asked for more than 16 MiB of it."#
r#"The message says which. Mend the module, add it, and apply the function with its digest."#

"function_unknown" [Of::Failure],
r#"The step names a function that this version of the engine does not have."#
r#"`fleetprompt function list` shows what there is. After going back to an older version, go forward again."#

"handler_changed" [Of::Failure],
r#"The directive was requested for an endpoint, and its type has none any more."#
r#"Request it again: it is then carried out as the type says now."#

"heartbeat_timeout" [Of::Failure],
r#"Whoever works on it was silent for longer than `heartbeat` allows, so it is taken for dead."#
r#"Let the worker report more often, or allow a longer silence."#

"http_status" [Of::Failure],
r#"An endpoint or a model's provider answered with a status that is no success; the message has the status and the
beginning of the answer."#
r#"Read the answer. 429 and 5xx are tried again as `retry` says; the others are for somebody to correct."#

"idempotency_key_invalid" [Of::Problem(422)],
r#"The idempotency key is empty, too long, or has characters that are not allowed."#
r#"Give 1 to 255 printable characters that are the same whenever you ask for the same."#

"idempotency_key_missing" [Of::Problem(400)],
r#"A directive is requested without an idempotency key."#
r#"Send `Idempotency-Key`: the same key for the same intent, so that asking twice does it once."#

"idempotency_key_reserved" [Of::Problem(422)],
r#"The idempotency key looks like one of those that the engine gives to the directives of its steps."#
r#"Choose another form, like `order-42-refund`."#

"idempotency_key_reused" [Of::Problem(422)],
r#"The key was used before, for another directive or another payload."#
r#"Take a new key for a new intent. The same key always means the same request."#

"input_invalid" [Of::Failure],
r#"The input does not fit: a function's fields, or the `input_schema` of the workflow that is started."#
r#"Compare with `fleetprompt function show NAME`, or with the workflow's schema. The message says which field."#

"input_too_large" [Of::Failure],
r#"The input is larger than a function or a script of an agent takes."#
r#"Hand over only what is needed, or a part at a time with `for_each`."#

"internal" [Of::Problem(409), Of::Problem(500), Of::Failure],
r#"A mistake of FleetPrompt's own. Nothing half-done is kept."#
r#"Please report it with what the server's log says. Making the same request again is safe."#

"invalid_request" [Of::Problem(400)],
r#"The request cannot be read: a parameter, a header or a field of the body is not as it should be. The message
names it."#
r#"Correct it. `/docs` of the server shows each endpoint with its parameters."#

"items_failed" [Of::Failure],
r#"More items of a `for_each` failed than `tolerate` allows, or too few are left for `at_least`."#
r#"The step's record lists each item with its error. Correct the cause, or allow more with `tolerate`."#

"items_invalid" [Of::Failure],
r#"The `items` of a `for_each` gave something that is no list."#
r#"See what the expression gives; wrap one value as `[value]`."#

"items_too_many" [Of::Failure],
r#"A `for_each` has more items than one step may have."#
r#"Split the list, and let each part be a run of its own."#

"lease_lost" [Of::Problem(409)],
r#"A worker was silent about an attempt for longer than its lease, so that another has it or will."#
r#"Drop what you have of it: what counts is what the other one reports. Send heartbeats after a third of `lease_ms`; the SDKs do."#

"lock_invalid" [Of::Failure],
r#"The `lock` of a step gave no usable name: empty, too long, or no text."#
r#"Let it name what must not be worked on twice, like `account:${signal.payload.account_id}`."#

"malformed_json" [Of::Problem(400)],
r#"The body is not JSON."#
r#"The message says where reading stopped. A batch of signals may be an array, or NDJSON with
`application/x-ndjson`."#

"method_not_allowed" [Of::Problem(405)],
r#"There is something at this path, but not with this method."#
r#"The header `Allow` lists the methods; `/docs` shows what each does."#

"model_declined" [Of::Failure],
r#"The model's provider declined to answer, for example by its content rules."#
r#"Read the reason in the message, and change the agent's instructions or its input."#

"model_not_configured" [Of::Failure],
r#"The agent's provider has no key on this server, or the provider is not known."#
r#"Set the provider's key, like `OPENAI_API_KEY`, or give the agent a `script` and the provider `auto`."#

"module_in_use" [Of::Problem(409)],
r#"A function is called in the module that was to be removed."#
r#"Apply the function with another module first."#

"module_invalid" [Of::Problem(422)],
r#"The bytes are no module of WebAssembly that can be called here; the message says why."#
r#"It exports `memory`, `alloc` and `call`, imports nothing and has at most 1 MiB. `docs/modules.md` has an example."#

"module_unknown" [Of::Problem(422)],
r#"A function names a module that was never added, or was removed."#
r#"Add it: `fleetprompt module add FILE` prints its digest; or name the file, which `fleetprompt function apply` adds."#

"module_unusable" [Of::Failure],
r#"This version cannot call the module of a function, though the one that took it could."#
r#"The message says why. Build the module anew, add it, and apply the function with its digest."#

"modules_full" [Of::Problem(409)],
r#"The tenant has as many modules as it may: 100, of 16 MiB in all."#
r#"`fleetprompt module remove DIGEST` makes room; those that functions are called in stay."#

"name_reserved" [Of::Problem(422)],
r#"The signal's name begins like those under which the engine records what it does, or will; only the engine may emit
these: `agent.`, `approval.`, `budget.`, `content.`, `directive.`, `directive_type.`, `document.`, `engine.`,
`execution.`, `function.`, `human_task.`, `key.`, `module.`, `policy.`, `schedule.`, `secret.`, `signal.`, `subject.`,
`tenant.`, `webhook.` and `workflow.`."#
r#"Give it a name of your own domain, like `order.placed`."#

"names_waiting_exceeded" [Of::Failure],
r#"The attempt cannot wait for a worker: attempts of this tenant wait under 5,000 names already, counting each set of labels of a name."#
r#"Start workers that perform these names, or use fewer names. The attempt is tried again as `retry` says."#

"nesting_too_deep" [Of::Failure],
r#"Runs wait for the end of other runs, 32 of them one inside the other, and this one would be another."#
r#"Let the innermost workflow return instead of starting the next one, or start it without waiting for it."#

"network" [Of::Failure],
r#"A model's provider could not be reached. It is tried again as `retry` says."#
r#"Look at the server's way to the internet, and at the provider's status page."#

"node_alone" [Of::Problem(409)],
r#"A node was to be drained, and no other could take over what it decides for: it serves a data folder, or is the only
one that is up."#
r#"Start another node over the same database first; or stop this one, which ends its effects and loses nothing."#

"not_found" [Of::Problem(404), Of::Failure],
r#"There is no such thing here. What belongs to another tenant reads the same."#
r#"Check the id, and with `fleetprompt whoami` that the key is of the tenant you mean."#

"not_utf8" [Of::Problem(400)],
r#"The body is not UTF-8."#
r#"Encode it as UTF-8; the message names the first byte that is not."#

"outcome_unknown" [Of::Problem(503)],
r#"Whether the request was accepted is unknown: the disk or the database failed in the middle of a commit, or the process that
was to answer ended."#
r#"Make the same request again, with the same dedupe key or idempotency key: what was accepted is recognized and does not
happen twice. Where the request had no key, look first whether it was accepted."#

"output_cut_short" [Of::Failure],
r#"The model's answer was cut off at the agent's `max_output_tokens`."#
r#"Raise the agent's `limits.max_output_tokens`, or ask for less."#

"output_invalid" [Of::Failure],
r#"What the attempt gave does not fit the step's `output_schema`, or what the model gave does not fit the agent's."#
r#"The message says where. Correct the schema or the instructions; it is tried again as `retry` says."#

"output_too_large" [Of::Failure],
r#"A value would be larger than 1 MiB, or nest deeper than 64 levels. The outputs of all items of a step may be larger,
and may be read."#
r#"For how many items there are write `size(…)`; read lists with `for_each` or a function such as `list.pluck`. Keep large data elsewhere and pass on a reference, or take only the fields that are needed."#

"payload_invalid" [Of::Problem(422), Of::Failure],
r#"The payload does not fit the directive's `payload_schema`; the message says where."#
r#"Compare the step's `payload` with `fleetprompt directive-type show NAME`."#

"payload_too_large" [Of::Problem(422)],
r#"The payload is larger than 1 MiB."#
r#"Keep the data elsewhere, and send a reference."#

"performs_invalid" [Of::Problem(422)],
r#"A key for workers names nothing that it is for, or more than a key can hold."#
r#"Give `performs` 1 to 1,000 names, like `mail.send` or `mail.*`."#

"reason_too_long" [Of::Problem(422)],
r#"The `reason` has more characters than are kept."#
r#"Say it shorter, and link to the rest."#

"reissue_needed" [Of::Failure],
r#"The step was to request a directive again with another payload than before, under the same key, so that nobody
can tell whether the first one took effect."#
r#"Retry the step with `reissue`, if it is to be done as well. Look first at what became of the directive that the
message names."#

"repeat_exhausted" [Of::Failure],
r#"A step was repeated `max` times, and its `while` still holds."#
r#"Raise `max`, or take it up with a transition `on: failed`."#

"response_invalid" [Of::Failure],
r#"A model's provider answered what cannot be read. It is tried again as `retry` says."#
r#"If it stays so, check which address the provider is configured with."#

"response_too_large" [Of::Failure],
r#"A model's provider answered with more than is read."#
r#"Lower the agent's `limits.max_output_tokens`."#

"role_missing" [Of::Failure],
r#"What was asked for takes a higher role than the one who asked has."#
r#"Take a key with the role that the message names. `fleetprompt whoami` shows the role of yours."#

"run_ended" [Of::Failure],
r#"The run has ended already, so nothing can be done to it."#
r#"Nothing: how it ended stays. `fleetprompt run show ID` shows it."#

"run_status" [Of::Failure],
r#"The run is not in a status in which this can be done to it."#
r#"`fleetprompt run show ID` shows its status; the message says what fits."#

"run_too_large" [Of::Failure],
r#"The run holds more data than one run may."#
r#"Pass on references instead of data, or start runs of their own by signals."#

"schedule_archived" [Of::Problem(409)],
r#"The schedule is archived, so nothing can be done to it."#
r#"Apply its definition again, if it is wanted again."#

"schedule_invalid" [Of::Problem(422)],
r#"The schedule's definition has problems; they come along as diagnostics, with their places."#
r#"Solve them, and apply it again. `fleetprompt schema schedule` helps an editor."#

"schedule_not_due" [Of::Problem(409)],
r#"The schedule is not due any more, or nothing of it is queued; it has moved on meanwhile."#
r#"Look at it again with `fleetprompt schedule list`, and decide anew."#

"schedule_overlap" [Of::Problem(409)],
r#"Runs of the schedule's last signal are still open, and its `overlap` lets no other begin."#
r#"Wait until they have ended, cancel them, or set `overlap: allow`."#

"schedule_status" [Of::Problem(409)],
r#"The schedule is in this status already: a paused one cannot be paused, nor an active one resumed."#
r#"Nothing: it is as it was asked for."#

"schedules_too_many" [Of::Problem(409)],
r#"The tenant has as many schedules as it may."#
r#"Archive those that are not needed, or let one signal start several workflows."#

"script_invalid" [Of::Failure],
r#"A rule of an agent's script gives something that cannot be filled in from this input."#
r#"The message names the rule and the place; correct the agent's `script`."#

"script_no_match" [Of::Failure],
r#"No rule of an agent's script matches the input."#
r#"Add a last rule without `when`, which always answers."#

"secret_invalid" [Of::Failure],
r#"The delivery of a directive was not sent, because the secret of its type is not `whsec_` and padded base64, and what is
to be signed is never sent unsigned. Such secrets are refused since they are checked when a type is applied."#
r#"Apply the directive type again with a secret of 24 to 64 bytes, and give it to the endpoint; or leave `secret` out and
change the type's name, so that one is made."#

"source_missing" [Of::Problem(422)],
r#"The signal has a `source_event_id` and no `source` that it would be unique in."#
r#"Name the `source`, like `github`, or leave the id out."#

"source_reserved" [Of::Problem(422)],
r#"The signal names the source `schedule`, which is the engine's own: by it each due time is emitted once."#
r#"Name your own system as the `source`."#

"step_status" [Of::Failure],
r#"The step is not in a status in which this can be done to it."#
r#"`fleetprompt run show ID` shows its steps; a failed step can be retried, one that waits can be answered."#

"tenant_exists" [Of::Problem(409)],
r#"There is a tenant with this slug already."#
r#"Choose another slug; `fleetprompt tenant list` shows what there is."#

"text_invalid" [Of::Problem(422)],
r#"A short text, like a name, a subject or a reason, is empty, too long, or has control characters."#
r#"The message names the field and its limits."#

"throttled" [Of::Failure],
r#"The workflow's flow control lets no run begin: its `concurrency` or `singleton` drops what is too many."#
r#"Wait for the runs under way, or let the workflow queue with `on_limit: queue`."#

"time_invalid" [Of::Problem(422)],
r#"A time is outside of the years 0 to 9999, which are all that RFC 3339 can express."#
r#"Correct the time. Where a system has no time for an event, leave `occurred_at` out."#

"timeout" [Of::Failure],
r#"An attempt, a wait or the whole run did not end within its `timeout`."#
r#"Allow more time, or take it up with a transition `on: failed`. An attempt is made again as `retry` says."#

"too_deep" [Of::Problem(400)],
r#"The body nests deeper than 64 levels."#
r#"Carry what is deeper as text."#

"unauthorized" [Of::Problem(401)],
r#"There is no key with the request, or one that is unknown, expired or revoked."#
r#"Send `Authorization: Bearer KEY`; with the command line give --key or FLEETPROMPT_KEY."#

"unavailable" [Of::Problem(503)],
r#"The server could not keep anything at this moment: its disk is full or slow, the requests in flight take all memory that
is set aside for them, or it is stopping. Nothing was accepted."#
r#"Make the same request again after the time in `Retry-After`. `/readyz` says when the server is well again."#

"unreachable" [Of::Failure],
r#"The endpoint of a directive could not be reached, or broke off. It is tried again as `retry` says."#
r#"See whether it runs and can be reached from the server; the message has the cause."#

"unstorable" [Of::Problem(422)],
r#"The database cannot hold a value that follows from the request, such as one that is too large for it or breaks a
constraint. Nothing was changed, and the same request fails again. The detail says what the database answered."#
r#"Send other values. If the detail names an index or a constraint, it is a bug: report it."#

"unstorable_outcome" [Of::Problem(409), Of::Failure],
r#"The database cannot hold an outcome, or what follows from it. This failure was recorded in its place, so that it is
not tried forever. If what follows from the failure cannot be written either, the run is paused or its schedule is."#
r#"The message says what the database answered. Change what the step, the endpoint or the worker returns, then retry or
resume the run. An outcome that a worker reported is dropped by the worker."#

"unsupported_media_type" [Of::Problem(415)],
r#"The body's `Content-Type` is not one that is read here."#
r#"The message lists them; for nearly everything it is `application/json`."#

"url_invalid" [Of::Failure],
r#"The address of a directive's endpoint cannot be read."#
r#"Correct `handler.url`, and apply the directive type again."#

"version_exists" [Of::Problem(409)],
r#"Another document stands under this version already, and a version never changes once it was active."#
r#"Give the changed document a new `version`."#

"wait_invalid" [Of::Failure],
r#"What a step was to wait for is no duration or no time, once its expression was evaluated."#
r#"See what the expression gives; durations are like `15m`, times like `2027-01-01T00:00:00Z`."#

"worker_lost" [Of::Failure],
r#"Five workers took the attempt, one after the other, and were not heard of again. It may be what they are lost by."#
r#"Look at the logs of the workers. It is tried again as `retry` says; where the input is to blame, cancel the run."#

"workflow_invalid" [Of::Problem(422)],
r#"The workflow's definition has problems; they come along as diagnostics, with their places."#
r#"Solve them, and apply it again. `fleetprompt workflow validate FILE` shows them without a server."#

"workflow_not_active" [Of::Problem(409), Of::Failure],
r#"The workflow is a draft, paused or archived, so it starts no runs and cannot be paused."#
r#"`fleetprompt workflow activate SLUG` lets it start runs again."#

"workflow_status_invalid" [Of::Problem(409)],
r#"A workflow cannot become what was asked for: none becomes a draft again."#
r#"Pause or archive it."#
}

/// With whatever case.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code.eq_ignore_ascii_case(code))
}

/// What the title of its page and of a problem says: `Idempotency key reused`.
pub fn title(code: &str) -> String {
    let mut title = code.replace(['_', '.'], " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}
