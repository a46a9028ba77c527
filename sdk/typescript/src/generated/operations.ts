// Generated from the API's document by `npm run generate`. Do not edit.
import type { CallOptions, OperationTable, ServerEvent } from "../call.js";
import type { components, operations } from "./openapi.js";

type schemas = components["schemas"];

/** Every operation of the API, by noun and verb. */
export interface Operations {
  /**
   * Check that the process lives
   */
  healthz: (options?: CallOptions) => Promise<schemas["Health"]>;
  /**
   * Read the metrics.
   *
   * In the text format of OpenMetrics, which Prometheus reads.
   */
  metrics: (options?: CallOptions) => Promise<string>;
  /**
   * Check that it takes work.
   *
   * 503 from a commit that the store refused until it accepts one again, while the store is away, and while the server
   * stops.
   */
  readyz: (options?: CallOptions) => Promise<schemas["Health"]>;
  /**
   * Call back.
   *
   * From an endpoint that answered the delivery of a directive by 202, under the `callback` that it was sent:
   * how it ended, as workers report it, or `{"status": "working"}` before its `heartbeat` is over. Signed by
   * Standard Webhooks with the secret of the directive's type; no key is needed. The `webhook-id` is the callback, or
   * begins with it and a colon. A message that is sent again has no effect.
   */
  callback: (callback: string, body: operations["callback"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["CalledBack"]>;
  /**
   * Say who the caller is.
   *
   * The tenant and the key that the request was made with.
   */
  whoami: (options?: CallOptions) => Promise<schemas["Whoami"]>;
  agent: {
    /**
     * List agents.
     *
     * By slug.
     */
    list: (query?: NonNullable<operations["agent_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Agent"]>;
    /**
     * Apply an agent.
     *
     * The same document again changes nothing.
     */
    apply: (body: operations["agent_apply"]["requestBody"]["content"]["application/json"] | string, options?: CallOptions) => Promise<schemas["AppliedAgent"]>;
    /**
     * Get an agent
     */
    get: (slug: string, options?: CallOptions) => Promise<schemas["Agent"]>;
  };
  attempt: {
    /**
     * Keep attempts.
     *
     * Says that the worker is still at them, so that nobody else gets them, and learns which of them are not
     * wanted any more.
     */
    heartbeat: (body: operations["attempt_heartbeat"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["KeptAttempts"]>;
    /**
     * Report attempts.
     *
     * How they ended. The answer comes when they are recorded, and has one result for each, in order: one outcome that is
     * refused keeps no other from being recorded. An outcome that is reported twice is recorded once. Send again those whose
     * `error` has the status 429 or 503 or the code `attempt_reported`, and no others.
     */
    report: (body: operations["attempt_report"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["ReportedAttempts"]>;
    /**
     * Take attempts.
     *
     * Up to `limit` of them as soon as there is one; after `wait` without any, none. Takes a key that was
     * made for workers, or the role `member`.
     */
    take: (body: operations["attempt_take"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["TakenAttempts"]>;
  };
  directiveType: {
    /**
     * List directive types.
     *
     * By name, the built-in ones among them.
     */
    list: (query?: NonNullable<operations["directive_type_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_DirectiveType"]>;
    /**
     * Apply a directive type.
     *
     * An `http` handler gets each directive POSTed to its URL, signed by Standard Webhooks; when no
     * `secret` is given one is made, and shown in this answer alone. With a `manual` handler nothing is
     * sent: an outside system reports how each ended.
     */
    apply: (body: operations["directive_type_apply"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["DirectiveType"]>;
    /**
     * Get a directive type
     */
    get: (name: string, options?: CallOptions) => Promise<schemas["DirectiveType"]>;
  };
  directive: {
    /**
     * List directives.
     *
     * Newest first.
     */
    list: (query?: NonNullable<operations["directive_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Directive"]>;
    /**
     * Request a directive.
     *
     * Records an intent, and lets its handler carry it out. The idempotency key, in the body or the
     * header, makes it one intent however often it is asked for: the same request again answers 200
     * with the same directive, and another request under the same key is refused. A directive that is built in is carried
     * out at once: if it fails, the response is the problem that it failed with, and another attempt needs another key.
     */
    request: (body: operations["directive_request"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Requested"]>;
    /**
     * Get a directive
     */
    get: (id: string, options?: CallOptions) => Promise<schemas["Directive"]>;
    /**
     * Cancel a directive.
     *
     * One that is being carried out at this moment keeps its outcome, whichever it will be.
     */
    cancel: (id: string, body?: NonNullable<operations["directive_cancel"]["requestBody"]>["content"]["application/json"], options?: CallOptions) => Promise<schemas["Directive"]>;
    /**
     * Say that a directive is being worked on.
     *
     * From the system that carries out a directive with the handler `manual`, before its `heartbeat` is
     * over: silence longer than that makes it fail.
     */
    heartbeat: (id: string, options?: CallOptions) => Promise<schemas["Directive"]>;
    /**
     * Report on a directive.
     *
     * How a directive with the handler `manual` ended, from the system that carried it out.
     */
    report: (id: string, body: operations["directive_report"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Directive"]>;
    /**
     * Say why a directive was requested.
     *
     * The chain of causes, from the directive itself up to the root fact.
     */
    why: (id: string, options?: CallOptions) => Promise<schemas["Why"]>;
  };
  function: {
    /**
     * List functions.
     *
     * All of them, by name: those that the tenant registered, and the engine's own, which are pure and the same for
     * everybody.
     */
    list: (query?: NonNullable<operations["function_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Function"]>;
    /**
     * Apply a function.
     *
     * One that workers perform, or that is called in a module of the tenant. Steps of type `function` call it by its
     * name, as they do the engine's own.
     */
    apply: (body: operations["function_apply"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Function"]>;
  };
  input: {
    /**
     * List what waits for an answer.
     *
     * The steps of type `wait` that somebody is to answer, those that wait longest first: what is asked,
     * who may answer now, and until when.
     */
    list: (query?: NonNullable<operations["input_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_InputRequest"]>;
  };
  key: {
    /**
     * List keys.
     *
     * Oldest first, expired and revoked ones among them, never with secrets. Takes the role `admin`.
     */
    list: (query?: NonNullable<operations["key_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Key"]>;
    /**
     * Create a key.
     *
     * Its secret is shown in this answer alone. Takes the role `admin`, and for another tenant `owner`. With
     * `performs` it is for workers, and takes and reports that alone.
     */
    create: (body: operations["key_create"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Key"]>;
    /**
     * Revoke a key.
     *
     * It may not be used from now on, and every request that is open under it ends. Takes the role `admin`, and never less
     * than the key itself has.
     */
    revoke: (id: string, query?: NonNullable<operations["key_revoke"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Key"]>;
  };
  module: {
    /**
     * List modules.
     *
     * All of the tenant's, by digest.
     */
    list: (query?: NonNullable<operations["module_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Module"]>;
    /**
     * Add a module.
     *
     * A module of WebAssembly, of at most 1 MiB. It exports its `memory`, `alloc` and `call`, and imports nothing. A
     * function with the handler `wasm` names it by its digest.
     */
    add: (body: Uint8Array, options?: CallOptions) => Promise<schemas["Module"]>;
    /**
     * Remove a module.
     *
     * One that no function names any more.
     */
    remove: (digest: string, options?: CallOptions) => Promise<schemas["Module"]>;
  };
  node: {
    /**
     * List nodes.
     *
     * Those that share the database, and for an hour those that are gone. Takes the role `owner`.
     */
    list: (query?: NonNullable<operations["node_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Node"]>;
    /**
     * Drain a node.
     *
     * It hands over what it decides for and takes nothing, until it is undrained or started anew. It still
     * answers. Takes the role `owner`.
     */
    drain: (node: string, options?: CallOptions) => Promise<schemas["Node"]>;
    /**
     * Undrain a node.
     *
     * It takes its share again. Takes the role `owner`.
     */
    undrain: (node: string, options?: CallOptions) => Promise<schemas["Node"]>;
  };
  run: {
    /**
     * List runs.
     *
     * Newest first, without their steps.
     */
    list: (query?: NonNullable<operations["run_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Run"]>;
    /**
     * Operate on many runs.
     *
     * Finds runs by a filter, newest first, at most 1,000 in one request. As a preview, which it is unless
     * `preview` is false, nothing is done. Then one directive is requested for each, under the key
     * `bulk:{key}:{run}`; what is refused says why and holds up no other. `retry` and `rerun` take the
     * role `operator`.
     */
    bulk: (body: operations["run_bulk"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["BulkAnswer"]>;
    /**
     * Get a run.
     *
     * With its steps, the first 1,000 at most and as many as fit into 4 MiB, and what it waits for if it has not ended. If
     * there are more steps, `next_cursor` says where `GET /v1/runs/{id}/steps` goes on. With `steps=false` there are none.
     */
    get: (id: string, query?: NonNullable<operations["run_get"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["RunDetail"]>;
    /**
     * Cancel a run.
     *
     * By the directive `workflow.run.cancel`: what is under way is withdrawn, and when that has ended, so
     * has the run. With `compensate` what its steps did is undone first.
     */
    cancel: (id: string, body?: NonNullable<operations["run_cancel"]["requestBody"]>["content"]["application/json"], options?: CallOptions) => Promise<schemas["Operated"]>;
    /**
     * Follow a run.
     *
     * Server-sent events: the signals of the run from its beginning, or behind `Last-Event-ID`, each
     * with its id and `event: signal`. When the run has ended, one `event: end` holds the run, and the
     * stream is over.
     */
    live: (id: string, options?: CallOptions) => AsyncGenerator<ServerEvent<schemas["Signal"] | schemas["Run"]>, void, undefined>;
    /**
     * Pause a run.
     *
     * What is under way ends, and nothing else begins until it is resumed. The time that it stands does
     * not count for its timeout.
     */
    pause: (id: string, body: operations["run_pause"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Operated"]>;
    /**
     * Rerun a run.
     *
     * One that has ended is done again as a new run, with the same input or a corrected one, on the same
     * version or another. What its directives came to is taken over, unless `reissue` says otherwise.
     * Takes the role `operator`.
     */
    rerun: (id: string, body: operations["run_rerun"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Operated"]>;
    /**
     * Resume a run.
     *
     * One that was paused goes on.
     */
    resume: (id: string, body: operations["run_resume"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Operated"]>;
    /**
     * Retry a run.
     *
     * One that is parked or has ended does its failed steps again, or those of `from`, and all behind
     * them. What succeeded is not done twice, unless `reissue` says so. Takes the role `operator`.
     */
    retry: (id: string, body: operations["run_retry"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Operated"]>;
    /**
     * Read a run's timeline.
     *
     * Everything on record about the run: on the first page the signal that triggered it and the directive that started
     * it, and on each page signals of its life, oldest first. The run itself is at `GET /v1/runs/{id}`.
     */
    timeline: (id: string, query?: NonNullable<operations["run_timeline"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Timeline"]>;
    /**
     * Say why a run exists.
     *
     * The chain of causes, from the run itself by the directive that started it up to the root fact.
     */
    why: (id: string, options?: CallOptions) => Promise<schemas["Why"]>;
  };
  step: {
    /**
     * List the steps of a run.
     *
     * In the order of the workflow.
     */
    list: (id: string, query?: NonNullable<operations["step_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Step"]>;
    /**
     * Answer a step.
     *
     * One that waits for somebody's input, if the caller has the role that it asks for.
     */
    answer: (id: string, step: string, body: operations["step_answer"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Operated"]>;
    /**
     * Complete a step.
     *
     * The run goes on with this output. Takes the role `operator`.
     */
    complete: (id: string, step: string, body: operations["step_complete"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Operated"]>;
    /**
     * Skip a step.
     *
     * The run goes on without it. Takes the role `operator`.
     */
    skip: (id: string, step: string, body: operations["step_skip"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Operated"]>;
  };
  item: {
    /**
     * List the items of a step.
     *
     * Of a step that goes over a list, in the order of the list; of any other step there are none.
     */
    list: (id: string, step: string, query?: NonNullable<operations["item_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Step"]>;
  };
  schedule: {
    /**
     * List schedules.
     *
     * By slug.
     */
    list: (query?: NonNullable<operations["schedule_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Schedule"]>;
    /**
     * Apply a schedule.
     *
     * The same document again changes nothing. A new one counts from now on; as long as it is due at the
     * same times, the schedule goes on where it was. One that was archived is active again.
     */
    apply: (body: operations["schedule_apply"]["requestBody"]["content"]["application/json"] | string, options?: CallOptions) => Promise<schemas["AppliedSchedule"]>;
    /**
     * Get a schedule
     */
    get: (slug: string, options?: CallOptions) => Promise<schemas["Schedule"]>;
    /**
     * Archive a schedule.
     *
     * It does nothing any more; its record stays. Applied again, it is active again.
     */
    archive: (slug: string, body?: NonNullable<operations["schedule_archive"]["requestBody"]>["content"]["application/json"], options?: CallOptions) => Promise<schemas["Schedule"]>;
    /**
     * Backfill a schedule.
     *
     * Fires every time that was due in a range of the past, at most 1,000; what has fired does not fire
     * again. All come at once, whatever `overlap` says.
     */
    backfill: (slug: string, body: operations["schedule_backfill"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["FiredSchedule"]>;
    /**
     * Preview a schedule's fires.
     *
     * What comes after a moment as long as nobody changes, pauses or archives it. Whether a fire will
     * overlap with the runs of the one before is not known ahead.
     */
    fires: (slug: string, query?: NonNullable<operations["schedule_fires"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_ScheduleFire"]>;
    /**
     * Pause a schedule.
     *
     * Nothing fires by itself until it is resumed. Runs that have begun go on.
     */
    pause: (slug: string, body?: NonNullable<operations["schedule_pause"]["requestBody"]>["content"]["application/json"], options?: CallOptions) => Promise<schemas["Schedule"]>;
    /**
     * Resume a schedule.
     *
     * What was due meanwhile is caught up with as its `catch_up` says.
     */
    resume: (slug: string, body?: NonNullable<operations["schedule_resume"]["requestBody"]>["content"]["application/json"], options?: CallOptions) => Promise<schemas["Schedule"]>;
    /**
     * Trigger a schedule.
     *
     * It fires now, whatever is due, also when it is paused. Its due times stay what they are. When runs
     * of the last fire are open, `skip` and `queue` refuse it (`schedule_overlap`), and `cancel` cancels
     * them.
     */
    trigger: (slug: string, body?: NonNullable<operations["schedule_trigger"]["requestBody"]>["content"]["application/json"], options?: CallOptions) => Promise<schemas["FiredSchedule"]>;
  };
  signal: {
    /**
     * List signals.
     *
     * Newest first.
     */
    list: (query?: NonNullable<operations["signal_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Signal"]>;
    /**
     * Emit signals.
     *
     * Records facts. A JSON object is one signal: 201 when it is new, 200 when it was known already. A
     * JSON array, or one object a line as `application/x-ndjson`, is up to 1,000 signals in 10 MiB: 200,
     * with one result for each, in order; one that is refused has its `error` and keeps no other out.
     * An answer means that the signals are on disk, and says what became of each; without one, some of them may be, and
     * whoever tells them again gives each its `dedupe_key`. A key that was used for another payload of the same name is
     * answered by 422 `dedupe_key_reused`. With the header `traceparent`
     * and no `correlation_id` or `causation_id`, a signal and all that follows from it belong to the caller's trace.
     */
    emit: (body: operations["signal_emit"]["requestBody"]["content"]["application/json"] | string, options?: CallOptions) => Promise<schemas["EmitAnswer"] | schemas["Emitted"]>;
    /**
     * Tail signals.
     *
     * Server-sent events: `id` is the signal's id, `event` is `signal`, `data` is the signal as JSON.
     * It begins with what is recorded next; with `Last-Event-ID`, or `after`, it goes on behind that
     * signal and leaves nothing out. Comments are heartbeats.
     */
    tail: (query?: NonNullable<operations["signal_tail"]["parameters"]["query"]>, options?: CallOptions) => AsyncGenerator<ServerEvent<schemas["Signal"]>, void, undefined>;
    /**
     * Get a signal.
     *
     * With what became of it for every workflow that listens to it, and every run that waited for it: the first 1,000 of
     * these, by workflow.
     */
    get: (id: string, options?: CallOptions) => Promise<schemas["SignalDetail"]>;
    /**
     * Replay a signal.
     *
     * Offers the signal again to every workflow that listens to its name now, by the directive
     * `signal.replay`. A workflow that it has started a run of before gets no second one.
     */
    replay: (id: string, options?: CallOptions) => Promise<schemas["Replayed"]>;
    /**
     * Say why a signal is on record.
     *
     * The chain of causes, from the signal itself up to the root fact.
     */
    why: (id: string, options?: CallOptions) => Promise<schemas["Why"]>;
  };
  tenant: {
    /**
     * List tenants.
     *
     * By slug. Takes the role `owner`.
     */
    list: (query?: NonNullable<operations["tenant_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Tenant"]>;
    /**
     * Create a tenant.
     *
     * With its first key, of the role `admin`, whose secret is shown in this answer alone. Takes the
     * role `owner`.
     */
    create: (body: operations["tenant_create"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["CreatedTenant"]>;
    /**
     * Change a tenant.
     *
     * Its name, or how much it gets beside others. Takes the role `owner`.
     */
    update: (slug: string, body: operations["tenant_update"]["requestBody"]["content"]["application/json"], options?: CallOptions) => Promise<schemas["Tenant"]>;
  };
  worker: {
    /**
     * List workers.
     *
     * Those that were heard of within a minute and take attempts of this tenant, by name.
     */
    list: (query?: NonNullable<operations["worker_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Worker"]>;
  };
  workflow: {
    /**
     * List workflows.
     *
     * By slug.
     */
    list: (query?: NonNullable<operations["workflow_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_Workflow"]>;
    /**
     * Apply a workflow.
     *
     * Keeps the definition as a version of its workflow. The same document again changes nothing; a
     * version that was ever active cannot become another document: give it a new version.
     */
    apply: (body: operations["workflow_apply"]["requestBody"]["content"]["application/json"] | string, query?: NonNullable<operations["workflow_apply"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["AppliedWorkflow"]>;
    /**
     * Check a workflow.
     *
     * Reads the definition and reports everything that is wrong with it, all at once and each with its
     * place, without keeping anything. It is checked as if it were to be activated now.
     */
    validate: (body: operations["workflow_validate"]["requestBody"]["content"]["application/json"] | string, options?: CallOptions) => Promise<schemas["Validated"]>;
    /**
     * Get a workflow
     */
    get: (slug: string, options?: CallOptions) => Promise<schemas["Workflow"]>;
    /**
     * Activate a workflow.
     *
     * Signals start this version, or else the newest, from now on. Runs that have begun keep theirs.
     */
    activate: (slug: string, body?: NonNullable<operations["workflow_activate"]["requestBody"]>["content"]["application/json"], options?: CallOptions) => Promise<schemas["Workflow"]>;
    /**
     * Archive a workflow.
     *
     * It subscribes to nothing any more; runs that have begun go on. It may be activated again.
     */
    archive: (slug: string, options?: CallOptions) => Promise<schemas["Workflow"]>;
    /**
     * Pause a workflow.
     *
     * Signals for it are refused, by name; runs that have begun go on.
     */
    pause: (slug: string, options?: CallOptions) => Promise<schemas["Workflow"]>;
  };
  workflowVersion: {
    /**
     * List a workflow's versions.
     *
     * Newest first, without their documents; each with its runs that have not ended.
     */
    list: (slug: string, query?: NonNullable<operations["workflow_version_list"]["parameters"]["query"]>, options?: CallOptions) => Promise<schemas["Page_WorkflowVersion"]>;
    /**
     * Get a version of a workflow.
     *
     * With its document.
     */
    get: (slug: string, version: string, options?: CallOptions) => Promise<schemas["WorkflowVersion"]>;
  };
}

/** What each operation is on the wire. */
export const operationTable: OperationTable = {
    healthz: {"method":"GET","path":"/healthz","answerType":"application/json"},
    metrics: {"method":"GET","path":"/metrics","answerType":"application/openmetrics-text"},
    readyz: {"method":"GET","path":"/readyz","answerType":"application/json"},
    callback: {"method":"POST","path":"/v1/callbacks/{callback}","bodyTypes":["application/json"],"answerType":"application/json"},
    whoami: {"method":"GET","path":"/v1/whoami","answerType":"application/json"},
  agent: {
    list: {"method":"GET","path":"/v1/agents","hasQuery":true,"answerType":"application/json"},
    apply: {"method":"POST","path":"/v1/agents","bodyTypes":["application/json","application/yaml"],"answerType":"application/json"},
    get: {"method":"GET","path":"/v1/agents/{slug}","answerType":"application/json"},
  },
  attempt: {
    heartbeat: {"method":"POST","path":"/v1/attempts/heartbeat","bodyTypes":["application/json"],"answerType":"application/json"},
    report: {"method":"POST","path":"/v1/attempts/report","bodyTypes":["application/json"],"answerType":"application/json"},
    take: {"method":"POST","path":"/v1/attempts/take","bodyTypes":["application/json"],"answerType":"application/json"},
  },
  directiveType: {
    list: {"method":"GET","path":"/v1/directive-types","hasQuery":true,"answerType":"application/json"},
    apply: {"method":"POST","path":"/v1/directive-types","bodyTypes":["application/json"],"answerType":"application/json"},
    get: {"method":"GET","path":"/v1/directive-types/{name}","answerType":"application/json"},
  },
  directive: {
    list: {"method":"GET","path":"/v1/directives","hasQuery":true,"answerType":"application/json"},
    request: {"method":"POST","path":"/v1/directives","bodyTypes":["application/json"],"answerType":"application/json"},
    get: {"method":"GET","path":"/v1/directives/{id}","answerType":"application/json"},
    cancel: {"method":"POST","path":"/v1/directives/{id}/cancel","bodyTypes":["application/json"],"answerType":"application/json"},
    heartbeat: {"method":"POST","path":"/v1/directives/{id}/heartbeat","answerType":"application/json"},
    report: {"method":"POST","path":"/v1/directives/{id}/report","bodyTypes":["application/json"],"answerType":"application/json"},
    why: {"method":"GET","path":"/v1/directives/{id}/why","answerType":"application/json"},
  },
  function: {
    list: {"method":"GET","path":"/v1/functions","hasQuery":true,"answerType":"application/json"},
    apply: {"method":"POST","path":"/v1/functions","bodyTypes":["application/json"],"answerType":"application/json"},
  },
  input: {
    list: {"method":"GET","path":"/v1/inputs","hasQuery":true,"answerType":"application/json"},
  },
  key: {
    list: {"method":"GET","path":"/v1/keys","hasQuery":true,"answerType":"application/json"},
    create: {"method":"POST","path":"/v1/keys","bodyTypes":["application/json"],"answerType":"application/json"},
    revoke: {"method":"DELETE","path":"/v1/keys/{id}","hasQuery":true,"answerType":"application/json"},
  },
  module: {
    list: {"method":"GET","path":"/v1/modules","hasQuery":true,"answerType":"application/json"},
    add: {"method":"POST","path":"/v1/modules","bodyTypes":["application/wasm"],"answerType":"application/json"},
    remove: {"method":"DELETE","path":"/v1/modules/{digest}","answerType":"application/json"},
  },
  node: {
    list: {"method":"GET","path":"/v1/nodes","hasQuery":true,"answerType":"application/json"},
    drain: {"method":"POST","path":"/v1/nodes/{node}/drain","answerType":"application/json"},
    undrain: {"method":"POST","path":"/v1/nodes/{node}/undrain","answerType":"application/json"},
  },
  run: {
    list: {"method":"GET","path":"/v1/runs","hasQuery":true,"answerType":"application/json"},
    bulk: {"method":"POST","path":"/v1/runs/bulk","bodyTypes":["application/json"],"answerType":"application/json"},
    get: {"method":"GET","path":"/v1/runs/{id}","hasQuery":true,"answerType":"application/json"},
    cancel: {"method":"POST","path":"/v1/runs/{id}/cancel","bodyTypes":["application/json"],"answerType":"application/json"},
    live: {"method":"GET","path":"/v1/runs/{id}/live","answerType":"text/event-stream"},
    pause: {"method":"POST","path":"/v1/runs/{id}/pause","bodyTypes":["application/json"],"answerType":"application/json"},
    rerun: {"method":"POST","path":"/v1/runs/{id}/rerun","bodyTypes":["application/json"],"answerType":"application/json"},
    resume: {"method":"POST","path":"/v1/runs/{id}/resume","bodyTypes":["application/json"],"answerType":"application/json"},
    retry: {"method":"POST","path":"/v1/runs/{id}/retry","bodyTypes":["application/json"],"answerType":"application/json"},
    timeline: {"method":"GET","path":"/v1/runs/{id}/timeline","hasQuery":true,"answerType":"application/json"},
    why: {"method":"GET","path":"/v1/runs/{id}/why","answerType":"application/json"},
  },
  step: {
    list: {"method":"GET","path":"/v1/runs/{id}/steps","hasQuery":true,"answerType":"application/json"},
    answer: {"method":"POST","path":"/v1/runs/{id}/steps/{step}/answer","bodyTypes":["application/json"],"answerType":"application/json"},
    complete: {"method":"POST","path":"/v1/runs/{id}/steps/{step}/complete","bodyTypes":["application/json"],"answerType":"application/json"},
    skip: {"method":"POST","path":"/v1/runs/{id}/steps/{step}/skip","bodyTypes":["application/json"],"answerType":"application/json"},
  },
  item: {
    list: {"method":"GET","path":"/v1/runs/{id}/steps/{step}/items","hasQuery":true,"answerType":"application/json"},
  },
  schedule: {
    list: {"method":"GET","path":"/v1/schedules","hasQuery":true,"answerType":"application/json"},
    apply: {"method":"POST","path":"/v1/schedules","bodyTypes":["application/json","application/yaml"],"answerType":"application/json"},
    get: {"method":"GET","path":"/v1/schedules/{slug}","answerType":"application/json"},
    archive: {"method":"POST","path":"/v1/schedules/{slug}/archive","bodyTypes":["application/json"],"answerType":"application/json"},
    backfill: {"method":"POST","path":"/v1/schedules/{slug}/backfill","bodyTypes":["application/json"],"answerType":"application/json"},
    fires: {"method":"GET","path":"/v1/schedules/{slug}/fires","hasQuery":true,"answerType":"application/json"},
    pause: {"method":"POST","path":"/v1/schedules/{slug}/pause","bodyTypes":["application/json"],"answerType":"application/json"},
    resume: {"method":"POST","path":"/v1/schedules/{slug}/resume","bodyTypes":["application/json"],"answerType":"application/json"},
    trigger: {"method":"POST","path":"/v1/schedules/{slug}/trigger","bodyTypes":["application/json"],"answerType":"application/json"},
  },
  signal: {
    list: {"method":"GET","path":"/v1/signals","hasQuery":true,"answerType":"application/json"},
    emit: {"method":"POST","path":"/v1/signals","bodyTypes":["application/json","application/x-ndjson"],"answerType":"application/json"},
    tail: {"method":"GET","path":"/v1/signals/tail","hasQuery":true,"answerType":"text/event-stream"},
    get: {"method":"GET","path":"/v1/signals/{id}","answerType":"application/json"},
    replay: {"method":"POST","path":"/v1/signals/{id}/replay","answerType":"application/json"},
    why: {"method":"GET","path":"/v1/signals/{id}/why","answerType":"application/json"},
  },
  tenant: {
    list: {"method":"GET","path":"/v1/tenants","hasQuery":true,"answerType":"application/json"},
    create: {"method":"POST","path":"/v1/tenants","bodyTypes":["application/json"],"answerType":"application/json"},
    update: {"method":"PATCH","path":"/v1/tenants/{slug}","bodyTypes":["application/json"],"answerType":"application/json"},
  },
  worker: {
    list: {"method":"GET","path":"/v1/workers","hasQuery":true,"answerType":"application/json"},
  },
  workflow: {
    list: {"method":"GET","path":"/v1/workflows","hasQuery":true,"answerType":"application/json"},
    apply: {"method":"POST","path":"/v1/workflows","bodyTypes":["application/json","application/yaml"],"hasQuery":true,"answerType":"application/json"},
    validate: {"method":"POST","path":"/v1/workflows/validate","bodyTypes":["application/json","application/yaml"],"answerType":"application/json"},
    get: {"method":"GET","path":"/v1/workflows/{slug}","answerType":"application/json"},
    activate: {"method":"POST","path":"/v1/workflows/{slug}/activate","bodyTypes":["application/json"],"answerType":"application/json"},
    archive: {"method":"POST","path":"/v1/workflows/{slug}/archive","answerType":"application/json"},
    pause: {"method":"POST","path":"/v1/workflows/{slug}/pause","answerType":"application/json"},
  },
  workflowVersion: {
    list: {"method":"GET","path":"/v1/workflows/{slug}/versions","hasQuery":true,"answerType":"application/json"},
    get: {"method":"GET","path":"/v1/workflows/{slug}/versions/{version}","answerType":"application/json"},
  },
};
