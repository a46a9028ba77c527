// Generated from the API's document by `npm run generate`. Do not edit.
export interface paths {
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Check that the process lives */
        get: operations["healthz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the metrics
         * @description In the text format of OpenMetrics, which Prometheus reads.
         */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Check that it takes work
         * @description 503 from a commit that the store refused until it accepts one again, while the store is away, and while the server
         *     stops.
         */
        get: operations["readyz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/agents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List agents
         * @description By slug.
         */
        get: operations["agent_list"];
        put?: never;
        /**
         * Apply an agent
         * @description The same document again changes nothing.
         */
        post: operations["agent_apply"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/agents/{slug}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Get an agent */
        get: operations["agent_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/attempts/heartbeat": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Keep attempts
         * @description Says that the worker is still at them, so that nobody else gets them, and learns which of them are not
         *     wanted any more.
         */
        post: operations["attempt_heartbeat"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/attempts/report": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Report attempts
         * @description How they ended. The answer comes when they are recorded, and has one result for each, in order: one outcome that is
         *     refused keeps no other from being recorded. An outcome that is reported twice is recorded once. Send again those whose
         *     `error` has the status 429 or 503 or the code `attempt_reported`, and no others.
         */
        post: operations["attempt_report"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/attempts/take": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Take attempts
         * @description Up to `limit` of them as soon as there is one; after `wait` without any, none. Takes a key that was
         *     made for workers, or the role `member`.
         */
        post: operations["attempt_take"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/callbacks/{callback}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Call back
         * @description From an endpoint that answered the delivery of a directive by 202, under the `callback` that it was sent:
         *     how it ended, as workers report it, or `{"status": "working"}` before its `heartbeat` is over. Signed by
         *     Standard Webhooks with the secret of the directive's type; no key is needed. The `webhook-id` is the callback, or
         *     begins with it and a colon. A message that is sent again has no effect.
         */
        post: operations["callback"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/directive-types": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List directive types
         * @description By name, the built-in ones among them.
         */
        get: operations["directive_type_list"];
        put?: never;
        /**
         * Apply a directive type
         * @description An `http` handler gets each directive POSTed to its URL, signed by Standard Webhooks; when no
         *     `secret` is given one is made, and shown in this answer alone. With a `manual` handler nothing is
         *     sent: an outside system reports how each ended.
         */
        post: operations["directive_type_apply"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/directive-types/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Get a directive type */
        get: operations["directive_type_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/directives": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List directives
         * @description Newest first.
         */
        get: operations["directive_list"];
        put?: never;
        /**
         * Request a directive
         * @description Records an intent, and lets its handler carry it out. The idempotency key, in the body or the
         *     header, makes it one intent however often it is asked for: the same request again answers 200
         *     with the same directive, and another request under the same key is refused. A directive that is built in is carried
         *     out at once: if it fails, the response is the problem that it failed with, and another attempt needs another key.
         */
        post: operations["directive_request"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/directives/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Get a directive */
        get: operations["directive_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/directives/{id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel a directive
         * @description One that is being carried out at this moment keeps its outcome, whichever it will be.
         */
        post: operations["directive_cancel"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/directives/{id}/heartbeat": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Say that a directive is being worked on
         * @description From the system that carries out a directive with the handler `manual`, before its `heartbeat` is
         *     over: silence longer than that makes it fail.
         */
        post: operations["directive_heartbeat"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/directives/{id}/report": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Report on a directive
         * @description How a directive with the handler `manual` ended, from the system that carried it out.
         */
        post: operations["directive_report"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/directives/{id}/why": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Say why a directive was requested
         * @description The chain of causes, from the directive itself up to the root fact.
         */
        get: operations["directive_why"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/functions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List functions
         * @description All of them, by name: those that the tenant registered, and the engine's own, which are pure and the same for
         *     everybody.
         */
        get: operations["function_list"];
        put?: never;
        /**
         * Apply a function
         * @description One that workers perform, or that is called in a module of the tenant. Steps of type `function` call it by its
         *     name, as they do the engine's own.
         */
        post: operations["function_apply"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/inputs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List what waits for an answer
         * @description The steps of type `wait` that somebody is to answer, those that wait longest first: what is asked,
         *     who may answer now, and until when.
         */
        get: operations["input_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List keys
         * @description Oldest first, expired and revoked ones among them, never with secrets. Takes the role `admin`.
         */
        get: operations["key_list"];
        put?: never;
        /**
         * Create a key
         * @description Its secret is shown in this answer alone. Takes the role `admin`, and for another tenant `owner`. With
         *     `performs` it is for workers, and takes and reports that alone.
         */
        post: operations["key_create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/keys/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Revoke a key
         * @description It may not be used from now on, and every request that is open under it ends. Takes the role `admin`, and never less
         *     than the key itself has.
         */
        delete: operations["key_revoke"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/modules": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List modules
         * @description All of the tenant's, by digest.
         */
        get: operations["module_list"];
        put?: never;
        /**
         * Add a module
         * @description A module of WebAssembly, of at most 1 MiB. It exports its `memory`, `alloc` and `call`, and imports nothing. A
         *     function with the handler `wasm` names it by its digest.
         */
        post: operations["module_add"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/modules/{digest}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Remove a module
         * @description One that no function names any more.
         */
        delete: operations["module_remove"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/nodes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List nodes
         * @description Those that share the database, and for an hour those that are gone. Takes the role `owner`.
         */
        get: operations["node_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/nodes/{node}/drain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Drain a node
         * @description It hands over what it decides for and takes nothing, until it is undrained or started anew. It still
         *     answers. Takes the role `owner`.
         */
        post: operations["node_drain"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/nodes/{node}/undrain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Undrain a node
         * @description It takes its share again. Takes the role `owner`.
         */
        post: operations["node_undrain"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List runs
         * @description Newest first, without their steps.
         */
        get: operations["run_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/bulk": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Operate on many runs
         * @description Finds runs by a filter, newest first, at most 1,000 in one request. As a preview, which it is unless
         *     `preview` is false, nothing is done. Then one directive is requested for each, under the key
         *     `bulk:{key}:{run}`; what is refused says why and holds up no other. `retry` and `rerun` take the
         *     role `operator`.
         */
        post: operations["run_bulk"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get a run
         * @description With its steps, the first 1,000 at most and as many as fit into 4 MiB, and what it waits for if it has not ended. If
         *     there are more steps, `next_cursor` says where `GET /v1/runs/{id}/steps` goes on. With `steps=false` there are none.
         */
        get: operations["run_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel a run
         * @description By the directive `workflow.run.cancel`: what is under way is withdrawn, and when that has ended, so
         *     has the run. With `compensate` what its steps did is undone first.
         */
        post: operations["run_cancel"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow a run
         * @description Server-sent events: the signals of the run from its beginning, or behind `Last-Event-ID`, each
         *     with its id and `event: signal`. When the run has ended, one `event: end` holds the run, and the
         *     stream is over.
         */
        get: operations["run_live"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pause a run
         * @description What is under way ends, and nothing else begins until it is resumed. The time that it stands does
         *     not count for its timeout.
         */
        post: operations["run_pause"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/rerun": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Rerun a run
         * @description One that has ended is done again as a new run, with the same input or a corrected one, on the same
         *     version or another. What its directives came to is taken over, unless `reissue` says otherwise.
         *     Takes the role `operator`.
         */
        post: operations["run_rerun"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Resume a run
         * @description One that was paused goes on.
         */
        post: operations["run_resume"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/retry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Retry a run
         * @description One that is parked or has ended does its failed steps again, or those of `from`, and all behind
         *     them. What succeeded is not done twice, unless `reissue` says so. Takes the role `operator`.
         */
        post: operations["run_retry"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/steps": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the steps of a run
         * @description In the order of the workflow.
         */
        get: operations["step_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/steps/{step}/answer": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Answer a step
         * @description One that waits for somebody's input, if the caller has the role that it asks for.
         */
        post: operations["step_answer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/steps/{step}/complete": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Complete a step
         * @description The run goes on with this output. Takes the role `operator`.
         */
        post: operations["step_complete"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/steps/{step}/items": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the items of a step
         * @description Of a step that goes over a list, in the order of the list; of any other step there are none.
         */
        get: operations["item_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/steps/{step}/skip": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Skip a step
         * @description The run goes on without it. Takes the role `operator`.
         */
        post: operations["step_skip"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/timeline": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a run's timeline
         * @description Everything on record about the run: on the first page the signal that triggered it and the directive that started
         *     it, and on each page signals of its life, oldest first. The run itself is at `GET /v1/runs/{id}`.
         */
        get: operations["run_timeline"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/runs/{id}/why": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Say why a run exists
         * @description The chain of causes, from the run itself by the directive that started it up to the root fact.
         */
        get: operations["run_why"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/schedules": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List schedules
         * @description By slug.
         */
        get: operations["schedule_list"];
        put?: never;
        /**
         * Apply a schedule
         * @description The same document again changes nothing. A new one counts from now on; as long as it is due at the
         *     same times, the schedule goes on where it was. One that was archived is active again.
         */
        post: operations["schedule_apply"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/schedules/{slug}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Get a schedule */
        get: operations["schedule_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/schedules/{slug}/archive": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Archive a schedule
         * @description It does nothing any more; its record stays. Applied again, it is active again.
         */
        post: operations["schedule_archive"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/schedules/{slug}/backfill": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Backfill a schedule
         * @description Fires every time that was due in a range of the past, at most 1,000; what has fired does not fire
         *     again. All come at once, whatever `overlap` says.
         */
        post: operations["schedule_backfill"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/schedules/{slug}/fires": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Preview a schedule's fires
         * @description What comes after a moment as long as nobody changes, pauses or archives it. Whether a fire will
         *     overlap with the runs of the one before is not known ahead.
         */
        get: operations["schedule_fires"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/schedules/{slug}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pause a schedule
         * @description Nothing fires by itself until it is resumed. Runs that have begun go on.
         */
        post: operations["schedule_pause"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/schedules/{slug}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Resume a schedule
         * @description What was due meanwhile is caught up with as its `catch_up` says.
         */
        post: operations["schedule_resume"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/schedules/{slug}/trigger": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Trigger a schedule
         * @description It fires now, whatever is due, also when it is paused. Its due times stay what they are. When runs
         *     of the last fire are open, `skip` and `queue` refuse it (`schedule_overlap`), and `cancel` cancels
         *     them.
         */
        post: operations["schedule_trigger"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/signals": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List signals
         * @description Newest first.
         */
        get: operations["signal_list"];
        put?: never;
        /**
         * Emit signals
         * @description Records facts. A JSON object is one signal: 201 when it is new, 200 when it was known already. A
         *     JSON array, or one object a line as `application/x-ndjson`, is up to 1,000 signals in 10 MiB: 200,
         *     with one result for each, in order; one that is refused has its `error` and keeps no other out.
         *     An answer means that the signals are on disk, and says what became of each; without one, some of them may be, and
         *     whoever tells them again gives each its `dedupe_key`. A key that was used for another payload of the same name is
         *     answered by 422 `dedupe_key_reused`. With the header `traceparent`
         *     and no `correlation_id` or `causation_id`, a signal and all that follows from it belong to the caller's trace.
         */
        post: operations["signal_emit"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/signals/tail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Tail signals
         * @description Server-sent events: `id` is the signal's id, `event` is `signal`, `data` is the signal as JSON.
         *     It begins with what is recorded next; with `Last-Event-ID`, or `after`, it goes on behind that
         *     signal and leaves nothing out. Comments are heartbeats.
         */
        get: operations["signal_tail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/signals/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get a signal
         * @description With what became of it for every workflow that listens to it, and every run that waited for it: the first 1,000 of
         *     these, by workflow.
         */
        get: operations["signal_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/signals/{id}/replay": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Replay a signal
         * @description Offers the signal again to every workflow that listens to its name now, by the directive
         *     `signal.replay`. A workflow that it has started a run of before gets no second one.
         */
        post: operations["signal_replay"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/signals/{id}/why": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Say why a signal is on record
         * @description The chain of causes, from the signal itself up to the root fact.
         */
        get: operations["signal_why"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/tenants": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List tenants
         * @description By slug. Takes the role `owner`.
         */
        get: operations["tenant_list"];
        put?: never;
        /**
         * Create a tenant
         * @description With its first key, of the role `admin`, whose secret is shown in this answer alone. Takes the
         *     role `owner`.
         */
        post: operations["tenant_create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/tenants/{slug}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change a tenant
         * @description Its name, or how much it gets beside others. Takes the role `owner`.
         */
        patch: operations["tenant_update"];
        trace?: never;
    };
    "/v1/whoami": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Say who the caller is
         * @description The tenant and the key that the request was made with.
         */
        get: operations["whoami"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List workers
         * @description Those that were heard of within a minute and take attempts of this tenant, by name.
         */
        get: operations["worker_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workflows": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List workflows
         * @description By slug.
         */
        get: operations["workflow_list"];
        put?: never;
        /**
         * Apply a workflow
         * @description Keeps the definition as a version of its workflow. The same document again changes nothing; a
         *     version that was ever active cannot become another document: give it a new version.
         */
        post: operations["workflow_apply"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workflows/validate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Check a workflow
         * @description Reads the definition and reports everything that is wrong with it, all at once and each with its
         *     place, without keeping anything. It is checked as if it were to be activated now.
         */
        post: operations["workflow_validate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workflows/{slug}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Get a workflow */
        get: operations["workflow_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workflows/{slug}/activate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Activate a workflow
         * @description Signals start this version, or else the newest, from now on. Runs that have begun keep theirs.
         */
        post: operations["workflow_activate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workflows/{slug}/archive": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Archive a workflow
         * @description It subscribes to nothing any more; runs that have begun go on. It may be activated again.
         */
        post: operations["workflow_archive"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workflows/{slug}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pause a workflow
         * @description Signals for it are refused, by name; runs that have begun go on.
         */
        post: operations["workflow_pause"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workflows/{slug}/versions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List a workflow's versions
         * @description Newest first, without their documents; each with its runs that have not ended.
         */
        get: operations["workflow_version_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workflows/{slug}/versions/{version}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get a version of a workflow
         * @description With its document.
         */
        get: operations["workflow_version_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Activate: {
            /** @description The newest version unless given. */
            version?: string | null;
        };
        Agent: {
            digest: string;
            document: components["schemas"]["Json"];
            /** @description Provider and model as they would be called now. */
            model: string;
            name: string;
            slug: components["schemas"]["Slug"];
            updated_at: components["schemas"]["Timestamp"];
        };
        AnswerStep: {
            /**
             * Format: int32
             * @description One item of a step that goes over a list.
             */
            item?: number | null;
            value: components["schemas"]["Json"];
        };
        AppliedAgent: {
            changed: boolean;
            diagnostics: components["schemas"]["Located"][];
            digest: string;
            slug: components["schemas"]["Slug"];
        };
        AppliedSchedule: {
            /** @description False: this very document was in force already. */
            changed: boolean;
            /** @description Warnings. */
            diagnostics: components["schemas"]["Located"][];
            digest: string;
            next_at?: components["schemas"]["Timestamp"] | null;
            slug: components["schemas"]["Slug"];
            status: components["schemas"]["ScheduleStatus"];
        };
        AppliedWorkflow: {
            /** @description False: this very document was there already. */
            changed: boolean;
            /** @description Warnings. */
            diagnostics: components["schemas"]["Located"][];
            digest: string;
            slug: components["schemas"]["Slug"];
            status: components["schemas"]["WorkflowStatus"];
            version: string;
        };
        /** @description What a worker is to do. */
        Attempt: {
            /**
             * Format: int32
             * @description One more after each that failed.
             */
            attempt: number;
            causation_id?: components["schemas"]["RecordId"] | null;
            correlation_id: string;
            /**
             * Format: int32
             * @description How often this attempt was handed out.
             */
            delivery: number;
            /** @description The name of this delivery, for heartbeats and the report. */
            id: string;
            /** @description The same for every attempt and every delivery. */
            idempotency_key: string;
            input: components["schemas"]["Json"];
            /**
             * Format: int32
             * @description Of a step that goes over a list, from 0.
             */
            item?: number | null;
            kind: components["schemas"]["AttemptKind"];
            /**
             * Format: int64
             * @description How soon there must be a heartbeat or the report.
             */
            lease_ms: number;
            /** @description Of the function or the directive. */
            name: components["schemas"]["Name"];
            run_id?: components["schemas"]["RunId"] | null;
            step?: string | null;
            tenant: components["schemas"]["Slug"];
            /**
             * Format: int64
             * @description How long it may take in all.
             */
            timeout_ms?: number | null;
            /** @description Of W3C Trace Context. */
            traceparent: string;
            workflow?: components["schemas"]["Slug"] | null;
        };
        /** @enum {string} */
        AttemptKind: "function" | "directive";
        /** @description How an attempt ended. */
        AttemptOutcome: {
            /** @description Not before that is it tried again. */
            delay?: string | null;
            error?: components["schemas"]["ReportedFailure"] | null;
            id: string;
            /** @description Lines that belong to it; up to 100. */
            logs?: string[];
            /** @description Of one that succeeded; `null` unless given. */
            output?: components["schemas"]["Json"];
            status: components["schemas"]["AttemptStatus"];
        };
        /** @enum {string} */
        AttemptPlace: "no_worker" | "waiting" | "taken";
        /** @description Where an attempt stands that workers are to make. */
        AttemptStanding: {
            /**
             * Format: int32
             * @description How often it was handed out.
             */
            delivery: number;
            /** @description Of the function or the directive. */
            name: string;
            progress?: components["schemas"]["Json"];
            since: components["schemas"]["Timestamp"];
            status: components["schemas"]["AttemptPlace"];
            worker?: string | null;
        };
        /** @enum {string} */
        AttemptStatus: "succeeded" | "retry" | "failed" | "canceled";
        /** @enum {string} */
        Awaited: "time" | "signal" | "input" | "callback" | "run" | "lock";
        AwaitedSignal: {
            /** @description Pairs of a path in the signal and the value that must stand there. */
            match?: components["schemas"]["Json"][] | null;
            name: components["schemas"]["Name"];
        };
        BackfillSchedule: {
            /** @description What was due then is included. */
            from: components["schemas"]["Timestamp"];
            /** @description At most 1,000 characters; it is put on record. */
            reason?: string | null;
            /** @description What was due then is included. It must have come. */
            to: components["schemas"]["Timestamp"];
        };
        /**
         * @description The same for many runs, newest first, at most 1,000 in one request. Unless `preview` is false,
         *     nothing is done.
         */
        Bulk: {
            action: components["schemas"]["BulkAction"];
            /** @description `cancel`: whether what they did is undone before. */
            compensate?: boolean;
            /** @description The `next_cursor` of the request before. */
            cursor?: string | null;
            filter: components["schemas"]["BulkFilter"];
            /** @description `retry`: from these steps on; `rerun`: from one. */
            from?: string[];
            /** @description 1 to 1,000 runs; 1,000 unless given. */
            limit?: number | null;
            /** @default true */
            preview?: boolean;
            /** @description Kept on record with each; needed unless it is a preview. */
            reason?: string | null;
            /** @description `retry`, `rerun`: whether what has succeeded is done a second time. */
            reissue?: boolean;
            /** @description `rerun`: another version of the same workflow. */
            version?: string | null;
        };
        /**
         * @description What is done to many runs.
         * @enum {string}
         */
        BulkAction: "cancel" | "pause" | "resume" | "retry" | "rerun";
        /** @description What was found, and what became of it. */
        BulkAnswer: {
            counts: components["schemas"]["BulkCounts"];
            /** @description There are more; the next request goes on here. */
            next_cursor?: string | null;
            preview: boolean;
            /** @description The runs of this request that the filter found, newest first. */
            runs: components["schemas"]["BulkRun"][];
        };
        BulkCounts: {
            /** @description Before anything was done. */
            by_status: {
                [key: string]: number;
            };
            /** @description Done; in a preview, what could be as it is now. */
            fit: number;
            found: number;
            refused: number;
        };
        /** @description Which runs are meant: all that fit every field. */
        BulkFilter: {
            correlation_id?: string | null;
            parent?: components["schemas"]["RunId"] | null;
            since?: components["schemas"]["Timestamp"] | null;
            source?: components["schemas"]["RunId"] | null;
            /** @description Any of these. */
            status?: components["schemas"]["RunStatus"][];
            until?: components["schemas"]["Timestamp"] | null;
            version?: string | null;
            workflow?: components["schemas"]["Slug"] | null;
        };
        BulkRun: {
            directive_id?: components["schemas"]["DirectiveId"] | null;
            error?: components["schemas"]["Problem"] | null;
            /** @description Whether it was done; in a preview, whether it could be. */
            fits: boolean;
            run_id: components["schemas"]["RunId"];
            started?: components["schemas"]["RunId"] | null;
            /** @description Before anything was done. */
            status: components["schemas"]["RunStatus"];
            version: string;
            workflow: components["schemas"]["Slug"];
        };
        /** Format: binary */
        Bytes: string;
        /** @description What an endpoint calls back with. */
        Callback: {
            delay?: string | null;
            error?: components["schemas"]["ReportedFailure"] | null;
            logs?: string[];
            output?: components["schemas"]["Json"];
            /** @description While it is working, how far it is. */
            progress?: components["schemas"]["Json"];
            status: components["schemas"]["CallbackStatus"];
        };
        /** @enum {string} */
        CallbackStatus: "working" | "succeeded" | "retry" | "failed" | "canceled";
        CalledBack: {
            /** @description Nobody wants it any more. */
            cancel_requested: boolean;
        };
        Cancel: {
            reason?: string | null;
        };
        CancelRun: {
            /** @description Whether what it did is undone before it ends. */
            compensate?: boolean;
            reason?: string | null;
        };
        Cause: {
            actor: components["schemas"]["Party"];
            at: components["schemas"]["Timestamp"];
            id: components["schemas"]["RecordId"];
            /** @description The name of the signal or directive; of a run, its workflow and version. */
            name: string;
            subject?: components["schemas"]["Party"] | null;
            /** @description In words: what it says. */
            summary: string;
        };
        Compensation: {
            directive_id?: components["schemas"]["DirectiveId"] | null;
            ended_at?: components["schemas"]["Timestamp"] | null;
            error?: components["schemas"]["Failure"] | null;
            output?: components["schemas"]["Json"];
            started_at?: components["schemas"]["Timestamp"] | null;
            status: components["schemas"]["StepStatus"];
        };
        CompleteStep: {
            /**
             * Format: int32
             * @description One item of a step that goes over a list.
             */
            item?: number | null;
            output: components["schemas"]["Json"];
            reason: string;
        };
        CreateKey: {
            expires_at?: components["schemas"]["Timestamp"] | null;
            name: string;
            performs?: components["schemas"]["Performs"] | null;
            role?: components["schemas"]["Role"] | null;
            tenant?: components["schemas"]["Slug"] | null;
        };
        CreateTenant: {
            name?: string | null;
            slug: components["schemas"]["Slug"];
        };
        /** @description A new tenant and its first key. */
        CreatedTenant: {
            key: components["schemas"]["Key"];
            tenant: components["schemas"]["Tenant"];
        };
        Directive: {
            actor: components["schemas"]["Party"];
            /** Format: int32 */
            attempt: number;
            cancel_requested?: boolean;
            causation_id?: components["schemas"]["RecordId"] | null;
            /** @description It undoes what the step did. */
            compensates?: boolean;
            correlation_id: string;
            due_at?: components["schemas"]["Timestamp"] | null;
            error?: components["schemas"]["Failure"] | null;
            handler: components["schemas"]["HandlerKind"];
            id: components["schemas"]["DirectiveId"];
            idempotency_key: string;
            /**
             * Format: int32
             * @description Of a step that goes over a list, from 0.
             */
            item?: number | null;
            name: components["schemas"]["Name"];
            output?: components["schemas"]["Json"];
            payload: components["schemas"]["Json"];
            requested_at: components["schemas"]["Timestamp"];
            run_id?: components["schemas"]["RunId"] | null;
            settled_at?: components["schemas"]["Timestamp"] | null;
            status: components["schemas"]["DirectiveStatus"];
            step?: string | null;
        };
        /**
         * @description A directive's id.
         * @example dir_01h455vb4pex5vsknk084sn02q
         */
        DirectiveId: string;
        /**
         * @description `requested → running → succeeded | failed | canceled`.
         * @enum {string}
         */
        DirectiveStatus: "requested" | "running" | "succeeded" | "failed" | "canceled";
        DirectiveType: {
            description: string;
            handler: components["schemas"]["HandlerKind"];
            name: components["schemas"]["Name"];
            payload_schema?: components["schemas"]["Json"];
            /** @description The signing secret, only in the answer to the request that made it. */
            secret?: string | null;
            updated_at?: components["schemas"]["Timestamp"] | null;
            /** @description Origin and path of the endpoint: its user, password and query are used and not shown. */
            url?: string | null;
        };
        Disposition: {
            disposition: components["schemas"]["DispositionKind"];
            reason?: string | null;
            run_id?: components["schemas"]["RunId"] | null;
            workflow: components["schemas"]["Slug"];
        };
        /**
         * @description What became of a signal for one workflow.
         * @enum {string}
         */
        DispositionKind: "started" | "advanced" | "filtered" | "deduplicated" | "refused" | "throttled";
        /** @description What `POST /v1/signals` answers with 200. */
        EmitAnswer: components["schemas"]["Emitted"] | components["schemas"]["EmittedMany"];
        /** @description What `POST /v1/signals` takes as JSON. */
        EmitBody: components["schemas"]["EmitSignal"] | components["schemas"]["EmitSignal"][];
        EmitResult: components["schemas"]["Emitted"] | {
            error: components["schemas"]["Problem"];
        };
        /**
         * @description A fact to record. `name` is required; what has no `dedupe_key` and no `source_event_id` is always new. Under a used key
         *     of the same name, the same payload is the same signal, and another payload is refused.
         */
        EmitSignal: {
            actor?: components["schemas"]["Party"] | null;
            causation_id?: components["schemas"]["RecordId"] | null;
            correlation_id?: string | null;
            /** @description Unique for each name of a signal. */
            dedupe_key?: string | null;
            name: components["schemas"]["Name"];
            occurred_at?: components["schemas"]["Timestamp"] | null;
            /** @description Any JSON up to 1 MiB and 64 levels; `{}` unless given. `null` is a payload as well. */
            payload?: components["schemas"]["Json"];
            source?: string | null;
            /** @description Unique for each `source` and name of a signal. */
            source_event_id?: string | null;
            subject?: components["schemas"]["Party"] | null;
        };
        /** @description The answer to one emitted signal: it is durable, and this is what became of it. */
        Emitted: {
            /** @description The fact was known already: `signal` is the one that was recorded first. */
            deduplicated: boolean;
            dispositions: components["schemas"]["Disposition"][];
            signal: components["schemas"]["SignalReceipt"];
        };
        /** @description The answer to many: one result for each signal, in the order they were given. */
        EmittedMany: {
            results: components["schemas"]["EmitResult"][];
        };
        /** @description How a run that is to end will have ended. */
        Ending: {
            by?: components["schemas"]["Party"] | null;
            /** @description Whether what it did is undone before. */
            compensate: boolean;
            error?: components["schemas"]["Failure"] | null;
            reason?: string | null;
            status: components["schemas"]["RunStatus"];
        };
        /**
         * @description Why an effect failed.
         * @example {
         *       "code": "http_status",
         *       "message": "the endpoint answered 503",
         *       "retryable": true
         *     }
         */
        Failure: {
            /** @description Stable and lower case, like `timeout` or `http_status`. */
            code: string;
            message: string;
            /**
             * Format: int64
             * @description The least delay before the next attempt, when the other side named one.
             */
            retry_after_ms?: number | null;
            /** @description Whether doing the same again may end better. */
            retryable: boolean;
        };
        /** @description A schedule as it is now, and what an order made it emit. */
        FiredSchedule: {
            /** @description In the order of their due times. */
            fires: components["schemas"]["ScheduleFired"][];
            schedule: components["schemas"]["Schedule"];
        };
        /** @description Each is the rendered key of one rule of the workflow's flow control, where it has that rule. */
        FlowKeys: {
            concurrency?: string | null;
            debounce?: string | null;
            throttle?: string | null;
        };
        Function: {
            example_input?: components["schemas"]["Json"];
            example_output?: components["schemas"]["Json"];
            /** @description `engine`, which calls it in the moment in which it is decided, as it does `wasm`, or `worker`. */
            handler: string;
            /** @description Field, type and meaning of each input, of the engine's own. */
            input: components["schemas"]["FunctionField"][];
            input_schema?: components["schemas"]["Json"];
            module?: components["schemas"]["ModuleDigest"] | null;
            name: string;
            summary: string;
            updated_at?: components["schemas"]["Timestamp"] | null;
        };
        FunctionField: {
            name: string;
            summary: string;
            type: string;
        };
        /**
         * @description Who carries it out: FleetPrompt itself, an HTTP endpoint, or an outside system that reports.
         * @enum {string}
         */
        HandlerKind: "built_in" | "http" | "manual" | "worker";
        /** @description What the health endpoints answer. */
        Health: {
            /** @example ok */
            status: string;
        };
        /** @description Runs of one version that have not ended. */
        InFlight: {
            by_status: {
                [key: string]: number;
            };
            version: string;
        };
        /** @description A step that waits for somebody's answer. */
        InputRequest: {
            escalate_at?: components["schemas"]["Timestamp"] | null;
            /**
             * Format: int32
             * @description How often that has happened.
             */
            escalated: number;
            /**
             * Format: int32
             * @description Of a step that goes over a list, from 0.
             */
            item?: number | null;
            /** @description Whether the caller's role may. */
            may_answer: boolean;
            prompt?: string | null;
            /** @description Who may answer now: this role and those above it. */
            role: components["schemas"]["Role"];
            run_id: components["schemas"]["RunId"];
            /** @description What the answer must look like. */
            schema?: components["schemas"]["Json"];
            since: components["schemas"]["Timestamp"];
            step: string;
            timeout_at?: components["schemas"]["Timestamp"] | null;
            version: string;
            workflow: components["schemas"]["Slug"];
        };
        Items: {
            /** @description How many stand where. */
            by_status: {
                [key: string]: number;
            };
            /** Format: int32 */
            total: number;
        };
        /** @description Any JSON, at most 64 levels deep, in which no object has a key twice. It is kept as it was written. */
        Json: unknown;
        KeepAttempt: {
            id: string;
            /** @description How far it is, for people; up to 4 KiB. */
            progress?: components["schemas"]["Json"];
        };
        KeepAttempts: {
            attempts: components["schemas"]["KeepAttempt"][];
            worker: components["schemas"]["WorkerAbout"];
        };
        KeptAttempt: {
            /** @description Nobody wants it any more. */
            cancel_requested: boolean;
            id: string;
            /** Format: int64 */
            lease_ms: number;
            /** @enum {string} */
            status: "kept";
        } | {
            error: components["schemas"]["Problem"];
            id: string;
            /** @enum {string} */
            status: "refused";
        };
        KeptAttempts: {
            /** @description In the order of the request. */
            results: components["schemas"]["KeptAttempt"][];
            shutdown: boolean;
        };
        Key: {
            created_at: components["schemas"]["Timestamp"];
            expires_at?: components["schemas"]["Timestamp"] | null;
            id: components["schemas"]["KeyId"];
            name: string;
            performs?: components["schemas"]["Performs"] | null;
            revoked_at?: components["schemas"]["Timestamp"] | null;
            role: components["schemas"]["Role"];
            /** @description Only in the answer to the request that made it. */
            secret?: string | null;
            tenant: components["schemas"]["Slug"];
        };
        /**
         * @description An API key's id; never its secret.
         * @example key_01h455vb4pex5vsknk084sn02q
         */
        KeyId: string;
        /** @description One problem of a document and its place; lines and columns count from 1. */
        Located: {
            /**
             * @description Stable; `fleetprompt explain CODE` says more.
             * @example FP0104
             */
            code: string;
            /** Format: int32 */
            column: number;
            /** Format: int32 */
            end_column: number;
            /** Format: int32 */
            end_line: number;
            /** @description What would be right. */
            help?: string | null;
            /** Format: int32 */
            line: number;
            message: string;
            severity: components["schemas"]["Severity"];
        };
        /** @description A module of WebAssembly that functions may be called in. */
        Module: {
            created_at: components["schemas"]["Timestamp"];
            digest: components["schemas"]["ModuleDigest"];
            /**
             * Format: int64
             * @description In bytes.
             */
            size: number;
        };
        /**
         * @description The digest of a module's bytes, by which functions name it.
         * @example sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
         */
        ModuleDigest: string;
        /**
         * @description The name of a signal or directive: segments of `a-z`, `0-9` and `_` joined by dots, two at least.
         * @example forum.thread.created
         */
        Name: string;
        Node: {
            id: string;
            /**
             * Format: int64
             * @description How long the oldest of them has waited.
             */
            lag_ms: number;
            last_seen: components["schemas"]["Timestamp"];
            /** @description What people know it by. */
            name: string;
            /** @description The parts of the tenants that it decides for. */
            partitions: number[];
            /**
             * Format: int64
             * @description Requests that other nodes took in for these, and that it has not taken up yet.
             */
            requests_waiting: number;
            started_at: components["schemas"]["Timestamp"];
            status: components["schemas"]["NodeStatus"];
            version: string;
        };
        /** @enum {string} */
        NodeStatus: "up" | "draining" | "gone";
        /** @description What was done, and the run as it is now: of `rerun`, the new one. */
        Operated: {
            directive: components["schemas"]["Directive"];
            /** @description The same intent was known already, and nothing was done again. */
            replayed: boolean;
            run: components["schemas"]["Run"];
        };
        /** @description To pause, resume, trigger or archive a schedule. */
        OrderSchedule: {
            /** @description At most 1,000 characters; it is put on record. */
            reason?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Agent: {
            items: {
                digest: string;
                document: components["schemas"]["Json"];
                /** @description Provider and model as they would be called now. */
                model: string;
                name: string;
                slug: components["schemas"]["Slug"];
                updated_at: components["schemas"]["Timestamp"];
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Directive: {
            items: {
                actor: components["schemas"]["Party"];
                /** Format: int32 */
                attempt: number;
                cancel_requested?: boolean;
                causation_id?: components["schemas"]["RecordId"] | null;
                /** @description It undoes what the step did. */
                compensates?: boolean;
                correlation_id: string;
                due_at?: components["schemas"]["Timestamp"] | null;
                error?: components["schemas"]["Failure"] | null;
                handler: components["schemas"]["HandlerKind"];
                id: components["schemas"]["DirectiveId"];
                idempotency_key: string;
                /**
                 * Format: int32
                 * @description Of a step that goes over a list, from 0.
                 */
                item?: number | null;
                name: components["schemas"]["Name"];
                output?: components["schemas"]["Json"];
                payload: components["schemas"]["Json"];
                requested_at: components["schemas"]["Timestamp"];
                run_id?: components["schemas"]["RunId"] | null;
                settled_at?: components["schemas"]["Timestamp"] | null;
                status: components["schemas"]["DirectiveStatus"];
                step?: string | null;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_DirectiveType: {
            items: {
                description: string;
                handler: components["schemas"]["HandlerKind"];
                name: components["schemas"]["Name"];
                payload_schema?: components["schemas"]["Json"];
                /** @description The signing secret, only in the answer to the request that made it. */
                secret?: string | null;
                updated_at?: components["schemas"]["Timestamp"] | null;
                /** @description Origin and path of the endpoint: its user, password and query are used and not shown. */
                url?: string | null;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Function: {
            items: {
                example_input?: components["schemas"]["Json"];
                example_output?: components["schemas"]["Json"];
                /** @description `engine`, which calls it in the moment in which it is decided, as it does `wasm`, or `worker`. */
                handler: string;
                /** @description Field, type and meaning of each input, of the engine's own. */
                input: components["schemas"]["FunctionField"][];
                input_schema?: components["schemas"]["Json"];
                module?: components["schemas"]["ModuleDigest"] | null;
                name: string;
                summary: string;
                updated_at?: components["schemas"]["Timestamp"] | null;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_InputRequest: {
            items: {
                escalate_at?: components["schemas"]["Timestamp"] | null;
                /**
                 * Format: int32
                 * @description How often that has happened.
                 */
                escalated: number;
                /**
                 * Format: int32
                 * @description Of a step that goes over a list, from 0.
                 */
                item?: number | null;
                /** @description Whether the caller's role may. */
                may_answer: boolean;
                prompt?: string | null;
                /** @description Who may answer now: this role and those above it. */
                role: components["schemas"]["Role"];
                run_id: components["schemas"]["RunId"];
                /** @description What the answer must look like. */
                schema?: components["schemas"]["Json"];
                since: components["schemas"]["Timestamp"];
                step: string;
                timeout_at?: components["schemas"]["Timestamp"] | null;
                version: string;
                workflow: components["schemas"]["Slug"];
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Key: {
            items: {
                created_at: components["schemas"]["Timestamp"];
                expires_at?: components["schemas"]["Timestamp"] | null;
                id: components["schemas"]["KeyId"];
                name: string;
                performs?: components["schemas"]["Performs"] | null;
                revoked_at?: components["schemas"]["Timestamp"] | null;
                role: components["schemas"]["Role"];
                /** @description Only in the answer to the request that made it. */
                secret?: string | null;
                tenant: components["schemas"]["Slug"];
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Module: {
            items: {
                created_at: components["schemas"]["Timestamp"];
                digest: components["schemas"]["ModuleDigest"];
                /**
                 * Format: int64
                 * @description In bytes.
                 */
                size: number;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Node: {
            items: {
                id: string;
                /**
                 * Format: int64
                 * @description How long the oldest of them has waited.
                 */
                lag_ms: number;
                last_seen: components["schemas"]["Timestamp"];
                /** @description What people know it by. */
                name: string;
                /** @description The parts of the tenants that it decides for. */
                partitions: number[];
                /**
                 * Format: int64
                 * @description Requests that other nodes took in for these, and that it has not taken up yet.
                 */
                requests_waiting: number;
                started_at: components["schemas"]["Timestamp"];
                status: components["schemas"]["NodeStatus"];
                version: string;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Run: {
            items: {
                begun_at?: components["schemas"]["Timestamp"] | null;
                causation_id?: components["schemas"]["RecordId"] | null;
                correlation_id: string;
                deadline?: components["schemas"]["Timestamp"] | null;
                directive_id: components["schemas"]["DirectiveId"];
                ended_at?: components["schemas"]["Timestamp"] | null;
                error?: components["schemas"]["Failure"] | null;
                id: components["schemas"]["RunId"];
                input?: components["schemas"]["Json"];
                /** @description What flow control counts it under. */
                keys?: components["schemas"]["FlowKeys"];
                output?: components["schemas"]["Json"];
                parent?: components["schemas"]["Parent"] | null;
                /**
                 * @description Workflows that its end, or a signal that it emitted, did not start although they subscribe to it; absent in
                 *     lists.
                 */
                refusals?: components["schemas"]["Refusal"][];
                signal_id?: components["schemas"]["SignalId"] | null;
                source?: components["schemas"]["RunId"] | null;
                standing?: components["schemas"]["Standing"] | null;
                /** @description When it was asked for. */
                started_at: components["schemas"]["Timestamp"];
                status: components["schemas"]["RunStatus"];
                /** @description Absent in lists. */
                steps?: components["schemas"]["Step"][];
                version: string;
                /** @description Why it has not ended yet. */
                waiting_for?: string | null;
                workflow: components["schemas"]["Slug"];
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Schedule: {
            items: {
                digest: string;
                document: components["schemas"]["Json"];
                last_at?: components["schemas"]["Timestamp"] | null;
                last_signal_id?: components["schemas"]["SignalId"] | null;
                name: string;
                next_at?: components["schemas"]["Timestamp"] | null;
                queued_at?: components["schemas"]["Timestamp"] | null;
                /** @description Why it is paused or archived, if somebody said so. */
                reason?: string | null;
                /** @description The signal that it emits. */
                signal: components["schemas"]["Name"];
                slug: components["schemas"]["Slug"];
                status: components["schemas"]["ScheduleStatus"];
                /** @description The cron expression with its time zone, or `every` and the length of time. */
                timing: string;
                updated_at: components["schemas"]["Timestamp"];
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_ScheduleFire: {
            items: {
                due_at: components["schemas"]["Timestamp"];
                fires_at?: components["schemas"]["Timestamp"] | null;
                /** @description `due_at` on the clocks of the schedule's time zone. */
                local: string;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Signal: {
            items: {
                actor: components["schemas"]["Party"];
                causation_id?: components["schemas"]["RecordId"] | null;
                correlation_id: string;
                dedupe_key?: string | null;
                directive_id?: components["schemas"]["DirectiveId"] | null;
                id: components["schemas"]["SignalId"];
                name: components["schemas"]["Name"];
                occurred_at: components["schemas"]["Timestamp"];
                payload: components["schemas"]["Json"];
                recorded_at: components["schemas"]["Timestamp"];
                run_id?: components["schemas"]["RunId"] | null;
                source?: string | null;
                source_event_id?: string | null;
                subject?: components["schemas"]["Party"] | null;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Step: {
            items: {
                /** Format: int32 */
                attempt: number;
                compensation?: components["schemas"]["Compensation"] | null;
                directive_id?: components["schemas"]["DirectiveId"] | null;
                due_at?: components["schemas"]["Timestamp"] | null;
                ended_at?: components["schemas"]["Timestamp"] | null;
                error?: components["schemas"]["Failure"] | null;
                id: string;
                /**
                 * Format: int32
                 * @description How often an operator had its effect asked for anew.
                 */
                issue?: number;
                /**
                 * Format: int32
                 * @description It is one item of a step that goes over a list: which, from 0.
                 */
                item?: number | null;
                items?: components["schemas"]["Items"] | null;
                /**
                 * Format: int32
                 * @description How many iterations of `repeat` have completed.
                 */
                iteration?: number;
                /** @description The lock that it holds, or waits for. */
                lock?: string | null;
                /** @description Of a step that goes over a list only up to 1 MiB: its items have the rest. */
                output?: components["schemas"]["Json"];
                started_at?: components["schemas"]["Timestamp"] | null;
                status: components["schemas"]["StepStatus"];
                type: string;
                waiting?: components["schemas"]["Waiting"] | null;
                with_worker?: components["schemas"]["AttemptStanding"] | null;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Tenant: {
            items: {
                created_at: components["schemas"]["Timestamp"];
                id: components["schemas"]["TenantId"];
                name: string;
                slug: components["schemas"]["Slug"];
                /**
                 * Format: int32
                 * @description How much it gets beside others, when all of them want more than there is: with 200 twice as much as with 100,
                 *     which is usual.
                 */
                weight: number;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Worker: {
            items: {
                /** @description It takes the work of every tenant. */
                all_tenants: boolean;
                first_seen: components["schemas"]["Timestamp"];
                /** @description It asks for work at this moment. */
                is_waiting: boolean;
                key_id: components["schemas"]["KeyId"];
                labels?: {
                    [key: string]: string;
                };
                last_seen: components["schemas"]["Timestamp"];
                name: string;
                performs: string[];
                /** Format: int32 */
                slots: number;
                /**
                 * Format: int32
                 * @description How many attempts of this tenant it has.
                 */
                taken: number;
                version?: string | null;
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_Workflow: {
            items: {
                active_version?: string | null;
                /** @description The runs that have not ended, of each version that has some; absent in lists. */
                in_flight?: components["schemas"]["InFlight"][];
                name: string;
                /** @description The last ten signals that it refused, newest first; absent in lists. */
                refusals?: components["schemas"]["Refusal"][];
                /** @description The signals that start it. */
                signals: components["schemas"]["Name"][];
                slug: components["schemas"]["Slug"];
                status: components["schemas"]["WorkflowStatus"];
                updated_at: components["schemas"]["Timestamp"];
            }[];
            next_cursor?: string | null;
        };
        /** @description One page of a list; `next_cursor` is absent on the last. */
        Page_WorkflowVersion: {
            items: {
                active: boolean;
                created_at: components["schemas"]["Timestamp"];
                digest: string;
                document?: components["schemas"]["Json"];
                /** @description Its runs that have not ended, by status; only in the list of versions. */
                in_flight?: {
                    [key: string]: number;
                };
                slug: components["schemas"]["Slug"];
                version: string;
            }[];
            next_cursor?: string | null;
        };
        Parent: {
            /** Format: int32 */
            item?: number | null;
            run_id: components["schemas"]["RunId"];
            /** @description Absent in lists. */
            step?: string | null;
            /** @description Whether that step ends when this run does. */
            waits: boolean;
        };
        /**
         * @description What a record is about, or who caused it.
         * @example {
         *       "id": "42",
         *       "type": "thread"
         *     }
         */
        Party: {
            id: string;
            type: string;
        };
        /**
         * @description What a key that is made for workers takes and reports.
         * @example {
         *       "names": [
         *         "mail.*",
         *         "lead.score"
         *       ]
         *     }
         */
        Performs: {
            /** @description The work of every tenant, and not only of the key's own. */
            all_tenants?: boolean;
            /** @description Names of functions and directives: `mail.send`, `mail.*` or `*`. */
            names: string[];
        };
        /** @description RFC 9457 `application/problem+json`, with a stable code. */
        Problem: {
            /** @description Stable, lower case: what programs compare. */
            code: string;
            detail: string;
            /** @description What is wrong in a document, all at once. */
            diagnostics?: components["schemas"]["Located"][];
            /** Format: int32 */
            status: number;
            title: string;
            type: string;
        };
        /**
         * @description Which rule of the workflow's flow control does not let it begin yet.
         * @enum {string}
         */
        QueueReason: "concurrency" | "throttle" | "debounce";
        Queued: {
            /** @description What it is counted under. */
            key?: string | null;
            reason: components["schemas"]["QueueReason"];
            since?: components["schemas"]["Timestamp"] | null;
            until?: components["schemas"]["Timestamp"] | null;
        };
        /** @description Why, which is kept on record. */
        Reason: {
            reason: string;
        };
        /**
         * @description The id of a signal, directive or run.
         * @example sig_01h455vb4pex5vsknk084sn02q
         */
        RecordId: string;
        /** @description A workflow that a signal did not start although the workflow subscribes to it. */
        Refusal: {
            at: components["schemas"]["Timestamp"];
            reason: string;
            signal_id: components["schemas"]["SignalId"];
            workflow: components["schemas"]["Slug"];
        };
        /** @description What became of a signal that was offered again. */
        Replayed: {
            dispositions: components["schemas"]["Disposition"][];
        };
        /**
         * @description How a `manual` directive ended: `{"status": "succeeded", "output": …}` or
         *     `{"status": "failed", "error": {"code", "message"}}`.
         */
        Report: {
            output?: components["schemas"]["Json"];
            /** @enum {string} */
            status: "succeeded";
        } | {
            error: components["schemas"]["ReportedFailure"];
            /** @enum {string} */
            status: "failed";
        };
        ReportAttempts: {
            outcomes: components["schemas"]["AttemptOutcome"][];
            worker: components["schemas"]["WorkerAbout"];
        };
        ReportedAttempt: {
            id: string;
            /** @enum {string} */
            status: "recorded";
        } | {
            error: components["schemas"]["Problem"];
            id: string;
            /** @enum {string} */
            status: "refused";
        };
        ReportedAttempts: {
            /** @description In the order of the request. */
            results: components["schemas"]["ReportedAttempt"][];
        };
        ReportedFailure: {
            code: string;
            message: string;
        };
        /** @description An intent. The key may stand here or in the header `Idempotency-Key`; without one it is refused. */
        RequestDirective: {
            causation_id?: components["schemas"]["RecordId"] | null;
            correlation_id?: string | null;
            idempotency_key?: string | null;
            name: components["schemas"]["Name"];
            /** @description Any JSON up to 1 MiB and 64 levels; `{}` unless given. `null` is a payload as well. */
            payload?: components["schemas"]["Json"];
        };
        /** @description The answer to a request; `replayed` when the same intent was known already. */
        Requested: {
            directive: components["schemas"]["Directive"];
            replayed: boolean;
        };
        RerunRun: {
            /** @description The step to begin with: what does not lie behind it keeps its output. */
            from?: string | null;
            /** @description A corrected input, which may be `null`; the same one unless given. */
            input?: components["schemas"]["Json"];
            reason: string;
            /** @description Whether what has succeeded is done a second time. */
            reissue?: boolean;
            /** @description Another version of the same workflow. */
            version?: string | null;
        };
        RetryRun: {
            /** @description The steps to begin with; those that failed, where none is named. */
            from?: string[];
            reason: string;
            /** @description Whether what has succeeded is done a second time. */
            reissue?: boolean;
        };
        /**
         * @description What a key may do; each role may do what those before it may.
         * @enum {string}
         */
        Role: "viewer" | "member" | "operator" | "admin" | "owner";
        Run: {
            begun_at?: components["schemas"]["Timestamp"] | null;
            causation_id?: components["schemas"]["RecordId"] | null;
            correlation_id: string;
            deadline?: components["schemas"]["Timestamp"] | null;
            directive_id: components["schemas"]["DirectiveId"];
            ended_at?: components["schemas"]["Timestamp"] | null;
            error?: components["schemas"]["Failure"] | null;
            id: components["schemas"]["RunId"];
            input?: components["schemas"]["Json"];
            /** @description What flow control counts it under. */
            keys?: components["schemas"]["FlowKeys"];
            output?: components["schemas"]["Json"];
            parent?: components["schemas"]["Parent"] | null;
            /**
             * @description Workflows that its end, or a signal that it emitted, did not start although they subscribe to it; absent in
             *     lists.
             */
            refusals?: components["schemas"]["Refusal"][];
            signal_id?: components["schemas"]["SignalId"] | null;
            source?: components["schemas"]["RunId"] | null;
            standing?: components["schemas"]["Standing"] | null;
            /** @description When it was asked for. */
            started_at: components["schemas"]["Timestamp"];
            status: components["schemas"]["RunStatus"];
            /** @description Absent in lists. */
            steps?: components["schemas"]["Step"][];
            version: string;
            /** @description Why it has not ended yet. */
            waiting_for?: string | null;
            workflow: components["schemas"]["Slug"];
        };
        /** @description `{"run": …}`: one run with its steps, as many of them as fit into one response. */
        RunDetail: {
            /** @description Where `GET /v1/runs/{id}/steps` goes on with the steps; absent if they are all here. */
            next_cursor?: string | null;
            run: components["schemas"]["Run"];
        };
        /**
         * @description A run's id.
         * @example run_01h455vb4pex5vsknk084sn02q
         */
        RunId: string;
        /**
         * @description A run goes on until it is `completed`, `failed` or `canceled`; `paused` and `parked` runs wait for somebody.
         * @enum {string}
         */
        RunStatus: "queued" | "running" | "paused" | "parked" | "stopping" | "compensating" | "completed" | "failed" | "canceled";
        Schedule: {
            digest: string;
            document: components["schemas"]["Json"];
            last_at?: components["schemas"]["Timestamp"] | null;
            last_signal_id?: components["schemas"]["SignalId"] | null;
            name: string;
            next_at?: components["schemas"]["Timestamp"] | null;
            queued_at?: components["schemas"]["Timestamp"] | null;
            /** @description Why it is paused or archived, if somebody said so. */
            reason?: string | null;
            /** @description The signal that it emits. */
            signal: components["schemas"]["Name"];
            slug: components["schemas"]["Slug"];
            status: components["schemas"]["ScheduleStatus"];
            /** @description The cron expression with its time zone, or `every` and the length of time. */
            timing: string;
            updated_at: components["schemas"]["Timestamp"];
        };
        /** @description A fire that is to come. */
        ScheduleFire: {
            due_at: components["schemas"]["Timestamp"];
            fires_at?: components["schemas"]["Timestamp"] | null;
            /** @description `due_at` on the clocks of the schedule's time zone. */
            local: string;
        };
        ScheduleFired: {
            /** @description It had fired before; the signal is that one. */
            deduplicated: boolean;
            due_at: components["schemas"]["Timestamp"];
            signal_id: components["schemas"]["SignalId"];
        };
        /**
         * @description `active ⇄ paused → archived`.
         * @enum {string}
         */
        ScheduleStatus: "active" | "paused" | "archived";
        /** @enum {string} */
        Severity: "error" | "warning";
        Signal: {
            actor: components["schemas"]["Party"];
            causation_id?: components["schemas"]["RecordId"] | null;
            correlation_id: string;
            dedupe_key?: string | null;
            directive_id?: components["schemas"]["DirectiveId"] | null;
            id: components["schemas"]["SignalId"];
            name: components["schemas"]["Name"];
            occurred_at: components["schemas"]["Timestamp"];
            payload: components["schemas"]["Json"];
            recorded_at: components["schemas"]["Timestamp"];
            run_id?: components["schemas"]["RunId"] | null;
            source?: string | null;
            source_event_id?: string | null;
            subject?: components["schemas"]["Party"] | null;
        };
        /** @description One signal and what became of it. */
        SignalDetail: {
            /** @description The first 1,000, by workflow. */
            dispositions: components["schemas"]["Disposition"][];
            /** @description Whether there are more than these. */
            has_more_dispositions?: boolean;
            signal: components["schemas"]["Signal"];
        };
        /**
         * @description A signal's id.
         * @example sig_01h455vb4pex5vsknk084sn02q
         */
        SignalId: string;
        /** @description Enough of a recorded signal to find it again. */
        SignalReceipt: {
            correlation_id: string;
            id: components["schemas"]["SignalId"];
            name: components["schemas"]["Name"];
            recorded_at: components["schemas"]["Timestamp"];
        };
        SkipStep: {
            /**
             * Format: int32
             * @description One item of a step that goes over a list.
             */
            item?: number | null;
            reason: string;
        };
        /**
         * @description How one thing of a tenant is addressed.
         * @example forum-new-thread-triage
         */
        Slug: string;
        /** @description Why a run stands: what it waits for in a queue, who stopped it, how it is to end. */
        Standing: {
            by?: components["schemas"]["Party"] | null;
            ending?: components["schemas"]["Ending"] | null;
            error?: components["schemas"]["Failure"] | null;
            queue?: components["schemas"]["Queued"] | null;
            reason?: string | null;
            since: components["schemas"]["Timestamp"];
        };
        /** @description Where a step stands, or one item of it. */
        Step: {
            /** Format: int32 */
            attempt: number;
            compensation?: components["schemas"]["Compensation"] | null;
            directive_id?: components["schemas"]["DirectiveId"] | null;
            due_at?: components["schemas"]["Timestamp"] | null;
            ended_at?: components["schemas"]["Timestamp"] | null;
            error?: components["schemas"]["Failure"] | null;
            id: string;
            /**
             * Format: int32
             * @description How often an operator had its effect asked for anew.
             */
            issue?: number;
            /**
             * Format: int32
             * @description It is one item of a step that goes over a list: which, from 0.
             */
            item?: number | null;
            items?: components["schemas"]["Items"] | null;
            /**
             * Format: int32
             * @description How many iterations of `repeat` have completed.
             */
            iteration?: number;
            /** @description The lock that it holds, or waits for. */
            lock?: string | null;
            /** @description Of a step that goes over a list only up to 1 MiB: its items have the rest. */
            output?: components["schemas"]["Json"];
            started_at?: components["schemas"]["Timestamp"] | null;
            status: components["schemas"]["StepStatus"];
            type: string;
            waiting?: components["schemas"]["Waiting"] | null;
            with_worker?: components["schemas"]["AttemptStanding"] | null;
        };
        /**
         * @description Where a step of a run stands.
         * @enum {string}
         */
        StepStatus: "pending" | "running" | "waiting" | "retrying" | "repeating" | "canceling" | "completed" | "failed" | "skipped" | "canceled";
        TakeAttempts: {
            /** @description The ids of the attempts that it is at. */
            holding?: string[];
            /**
             * Format: int32
             * @description How many it takes at most; 1 unless given.
             */
            limit?: number | null;
            /** @description Names of functions and directives: `mail.send`, `mail.*` or `*`. */
            performs: string[];
            /** @description How long it waits for something to do, up to `60s`; not at all unless given. */
            wait?: string | null;
            worker: components["schemas"]["WorkerAbout"];
        };
        TakenAttempts: {
            attempts: components["schemas"]["Attempt"][];
            /** @description Of those that the worker is holding: what nobody wants any more. */
            canceled: string[];
            /** @description The server is about to stop: ask again in a second. */
            shutdown: boolean;
        };
        Tenant: {
            created_at: components["schemas"]["Timestamp"];
            id: components["schemas"]["TenantId"];
            name: string;
            slug: components["schemas"]["Slug"];
            /**
             * Format: int32
             * @description How much it gets beside others, when all of them want more than there is: with 200 twice as much as with 100,
             *     which is usual.
             */
            weight: number;
        };
        /**
         * @description A tenant's id.
         * @example tnt_01h455vb4pex5vsknk084sn02q
         */
        TenantId: string;
        /**
         * @description A page of everything on record about one run, in order: what triggered it and the directive that started it, which
         *     only the first page has, and the signals of its life.
         */
        Timeline: {
            directive?: components["schemas"]["Directive"] | null;
            next_cursor?: string | null;
            signals: components["schemas"]["Signal"][];
            trigger?: components["schemas"]["Signal"] | null;
        };
        /**
         * Format: date-time
         * @description RFC 3339, in the years 0 to 9999. Responses are in UTC with microseconds: further digits are cut off, and the second 60 of a leap second is read as the second 59 before it.
         * @example 2026-11-22T09:30:00.000000Z
         */
        Timestamp: string;
        /** @description What is to become of a tenant; what is not named stays as it is. */
        UpdateTenant: {
            name?: string | null;
            /** Format: int32 */
            weight?: number | null;
        };
        Validated: {
            diagnostics: components["schemas"]["Located"][];
            slug?: components["schemas"]["Slug"] | null;
            valid: boolean;
            version?: string | null;
        };
        /**
         * @description What a step waits for.
         * @example {
         *       "for": "input",
         *       "prompt": "Is this refund right?",
         *       "role": "operator"
         *     }
         */
        Waiting: {
            escalate_at?: components["schemas"]["Timestamp"] | null;
            /**
             * Format: int32
             * @description How often that has happened.
             */
            escalated?: number | null;
            /** @description `signal`: any of these ends it. */
            events?: components["schemas"]["AwaitedSignal"][] | null;
            for: components["schemas"]["Awaited"];
            heartbeat_at?: components["schemas"]["Timestamp"] | null;
            /** @description `callback`: the key to report under, by the directive `workflow.step.report`. */
            key?: string | null;
            /** @description `lock`: its name. */
            name?: string | null;
            /** @description `input`: what is asked. */
            prompt?: string | null;
            role?: components["schemas"]["Role"] | null;
            run_id?: components["schemas"]["RunId"] | null;
            since?: components["schemas"]["Timestamp"] | null;
            timeout_at?: components["schemas"]["Timestamp"] | null;
            until?: components["schemas"]["Timestamp"] | null;
        };
        /** @description On whose behalf a key speaks. */
        Whoami: {
            key: components["schemas"]["Key"];
            tenant: components["schemas"]["Tenant"];
        };
        /** @description The chain of causes of a record, from itself up to the root fact. */
        Why: {
            chain: components["schemas"]["Cause"][];
        };
        /** @description A worker that was heard of within a minute. */
        Worker: {
            /** @description It takes the work of every tenant. */
            all_tenants: boolean;
            first_seen: components["schemas"]["Timestamp"];
            /** @description It asks for work at this moment. */
            is_waiting: boolean;
            key_id: components["schemas"]["KeyId"];
            labels?: {
                [key: string]: string;
            };
            last_seen: components["schemas"]["Timestamp"];
            name: string;
            performs: string[];
            /** Format: int32 */
            slots: number;
            /**
             * Format: int32
             * @description How many attempts of this tenant it has.
             */
            taken: number;
            version?: string | null;
        };
        /** @description Who asks. */
        WorkerAbout: {
            labels?: {
                [key: string]: string;
            };
            /** @description Tells it from other workers with the same key. */
            name: string;
            /**
             * Format: int32
             * @description How many attempts it makes at once.
             */
            slots?: number | null;
            version?: string | null;
        };
        Workflow: {
            active_version?: string | null;
            /** @description The runs that have not ended, of each version that has some; absent in lists. */
            in_flight?: components["schemas"]["InFlight"][];
            name: string;
            /** @description The last ten signals that it refused, newest first; absent in lists. */
            refusals?: components["schemas"]["Refusal"][];
            /** @description The signals that start it. */
            signals: components["schemas"]["Name"][];
            slug: components["schemas"]["Slug"];
            status: components["schemas"]["WorkflowStatus"];
            updated_at: components["schemas"]["Timestamp"];
        };
        /**
         * @description `draft → active ⇄ paused → archived`.
         * @enum {string}
         */
        WorkflowStatus: "draft" | "active" | "paused" | "archived";
        WorkflowVersion: {
            active: boolean;
            created_at: components["schemas"]["Timestamp"];
            digest: string;
            document?: components["schemas"]["Json"];
            /** @description Its runs that have not ended, by status; only in the list of versions. */
            in_flight?: {
                [key: string]: number;
            };
            slug: components["schemas"]["Slug"];
            version: string;
        };
    };
    responses: {
        /** @description The request cannot be read: `malformed_json`, `invalid_request`, `not_utf8`, `too_deep`. */
        BadRequest: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `busy`: too much is waiting already. Nothing was accepted; see `Retry-After`. */
        Busy: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description It does not fit what is there now; the code says how. */
        Conflict: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `body_too_large`. */
        ContentTooLarge: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `forbidden`, `role_missing`: the key does not allow it. */
        Forbidden: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `internal`: a fault of the server, which its log explains. */
        Internal: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `not_found`: this tenant has no such thing. */
        NotFound: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `body_too_slow`: the body did not arrive in time. */
        RequestTimeout: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `unauthorized`: there is no key, or it is unknown, expired or revoked. */
        Unauthorized: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `unavailable`: nothing was accepted; see `Retry-After`. `outcome_unknown`: it may have been accepted; make the same request again with the same key. */
        Unavailable: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description It can be read and cannot be meant; the code says why, `diagnostics` where. */
        Unprocessable: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `unsupported_media_type`. */
        UnsupportedMediaType: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    healthz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It lives. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            500: components["responses"]["Internal"];
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All metrics. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/openmetrics-text": string;
                };
            };
            500: components["responses"]["Internal"];
        };
    };
    readyz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It takes work. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    agent_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of agents. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Agent"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    agent_apply: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description The agent's definition. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "agent": {
                 *         "instructions": "Summarize the thread in one sentence.",
                 *         "model": {
                 *           "provider": "auto"
                 *         },
                 *         "name": "Forum summary",
                 *         "output_schema": {
                 *           "properties": {
                 *             "summary": {
                 *               "type": "string"
                 *             }
                 *           },
                 *           "required": [
                 *             "summary"
                 *           ],
                 *           "type": "object"
                 *         },
                 *         "slug": "forum_summary_agent"
                 *       }
                 *     }
                 */
                "application/json": unknown;
                "application/yaml": string;
            };
        };
        responses: {
            /** @description It was there already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AppliedAgent"];
                };
            };
            /** @description It is kept. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AppliedAgent"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    agent_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The agent's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The agent and its document. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Agent"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    attempt_heartbeat: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "attempts": [
                 *         {
                 *           "id": "dir_01h455vb4pex5vsknk084sn02q.1.9f86d081884c7d65",
                 *           "progress": {
                 *             "done": 12
                 *           }
                 *         }
                 *       ],
                 *       "worker": {
                 *         "name": "mailer-1"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["KeepAttempts"];
            };
        };
        responses: {
            /** @description What became of each. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeptAttempts"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    attempt_report: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "outcomes": [
                 *         {
                 *           "id": "dir_01h455vb4pex5vsknk084sn02q.1.9f86d081884c7d65",
                 *           "output": {
                 *             "message_id": "m_9"
                 *           },
                 *           "status": "succeeded"
                 *         }
                 *       ],
                 *       "worker": {
                 *         "name": "mailer-1"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ReportAttempts"];
            };
        };
        responses: {
            /** @description What became of each. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReportedAttempts"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    attempt_take: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "limit": 10,
                 *       "performs": [
                 *         "mail.*",
                 *         "lead.score"
                 *       ],
                 *       "wait": "30s",
                 *       "worker": {
                 *         "name": "mailer-1",
                 *         "slots": 10,
                 *         "version": "1.4.0"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["TakeAttempts"];
            };
        };
        responses: {
            /** @description What there is to do. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TakenAttempts"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    callback: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The `callback` of the delivery. */
                callback: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "output": {
                 *         "post_id": "p_9"
                 *       },
                 *       "status": "succeeded"
                 *     }
                 */
                "application/json": components["schemas"]["Callback"];
            };
        };
        responses: {
            /** @description It is on record. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CalledBack"];
                };
            };
            400: components["responses"]["BadRequest"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
        };
    };
    directive_type_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of directive types. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_DirectiveType"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    directive_type_apply: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description The definition, as JSON. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "directive_type": {
                 *         "description": "Posts a reply in a thread",
                 *         "handler": {
                 *           "type": "http",
                 *           "url": "https://forum.example.com/hooks/fleetprompt"
                 *         },
                 *         "name": "forum.post.create",
                 *         "payload_schema": {
                 *           "properties": {
                 *             "content": {
                 *               "type": "string"
                 *             },
                 *             "thread_id": {
                 *               "type": "string"
                 *             }
                 *           },
                 *           "required": [
                 *             "thread_id",
                 *             "content"
                 *           ],
                 *           "type": "object"
                 *         },
                 *         "retry": {
                 *           "max_attempts": 5
                 *         },
                 *         "timeout": "20s"
                 *       }
                 *     }
                 */
                "application/json": unknown;
            };
        };
        responses: {
            /** @description It was there already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DirectiveType"];
                };
            };
            /** @description It is kept. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DirectiveType"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    directive_type_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The directive's name. */
                name: components["schemas"]["Name"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The directive type. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DirectiveType"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    directive_list: {
        parameters: {
            query?: {
                /** @description Only directives of this name. */
                name?: components["schemas"]["Name"];
                status?: components["schemas"]["DirectiveStatus"];
                /** @description Only what the steps of this run asked for. */
                run_id?: components["schemas"]["RunId"];
                /** @description 1 to 1,000; 50 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of directives. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Directive"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    directive_request: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "idempotency_key": "thread-42-welcome",
                 *       "name": "forum.post.create",
                 *       "payload": {
                 *         "content": "Welcome!",
                 *         "thread_id": "42"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["RequestDirective"];
            };
        };
        responses: {
            /** @description It was asked for before. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Requested"];
                };
            };
            /** @description It is on record. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Requested"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    directive_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The directive's id. */
                id: components["schemas"]["DirectiveId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The directive. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Directive"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    directive_cancel: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The directive's id. */
                id: components["schemas"]["DirectiveId"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "reason": "asked for by mistake"
                 *     }
                 */
                "application/json": components["schemas"]["Cancel"] | null;
            };
        };
        responses: {
            /** @description The directive as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Directive"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    directive_heartbeat: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The directive's id. */
                id: components["schemas"]["DirectiveId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The directive as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Directive"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    directive_report: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The directive's id. */
                id: components["schemas"]["DirectiveId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "output": {
                 *         "post_id": "p_9"
                 *       },
                 *       "status": "succeeded"
                 *     }
                 */
                "application/json": components["schemas"]["Report"];
            };
        };
        responses: {
            /** @description The directive as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Directive"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    directive_why: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The directive's id. */
                id: components["schemas"]["DirectiveId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The causes, nearest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Why"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    function_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of functions. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Function"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    function_apply: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description The definition, as JSON. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "function": {
                 *         "description": "How well a lead fits, from 0 to 100",
                 *         "handler": {
                 *           "type": "worker"
                 *         },
                 *         "input_schema": {
                 *           "required": [
                 *             "company"
                 *           ],
                 *           "type": "object"
                 *         },
                 *         "name": "lead.score",
                 *         "retry": {
                 *           "max_attempts": 3
                 *         },
                 *         "timeout": "30s"
                 *       }
                 *     }
                 */
                "application/json": unknown;
            };
        };
        responses: {
            /** @description It was there already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Function"];
                };
            };
            /** @description It is kept. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Function"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    input_list: {
        parameters: {
            query?: {
                /** @description Only what waits in this run. */
                run_id?: components["schemas"]["RunId"];
                /** @description 1 to 1,000; 50 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of them. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_InputRequest"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    key_list: {
        parameters: {
            query?: {
                /** @description Another tenant's keys, for owners. */
                tenant?: components["schemas"]["Slug"];
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of keys. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Key"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    key_create: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "forum webhook",
                 *       "role": "member"
                 *     }
                 */
                "application/json": components["schemas"]["CreateKey"];
            };
        };
        responses: {
            /** @description The key with its secret. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Key"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    key_revoke: {
        parameters: {
            query?: {
                /** @description The key's tenant, for owners; the caller's own unless given. */
                tenant?: components["schemas"]["Slug"];
            };
            header?: never;
            path: {
                /** @description The key's id. */
                id: components["schemas"]["KeyId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Key"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    module_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of modules. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Module"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    module_add: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description The module's bytes. */
        requestBody: {
            content: {
                "application/wasm": components["schemas"]["Bytes"];
            };
        };
        responses: {
            /** @description It was there already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Module"];
                };
            };
            /** @description It is kept. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Module"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    module_remove: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The module's digest. */
                digest: components["schemas"]["ModuleDigest"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The module as it was. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Module"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    node_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of nodes. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Node"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    node_drain: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The node's name or id. */
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The node as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Node"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    node_undrain: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The node's name or id. */
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The node as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Node"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_list: {
        parameters: {
            query?: {
                /** @description Only runs of this workflow. */
                workflow?: components["schemas"]["Slug"];
                /** @description Only runs of this version. */
                version?: string;
                /** @description Any of these, separated by commas. */
                status?: components["schemas"]["RunStatus"][];
                /** @description Only runs that have not ended. */
                open?: boolean;
                /** @description Only what this signal started. */
                signal_id?: components["schemas"]["SignalId"];
                /** @description Only runs of this group. */
                correlation_id?: string;
                /** @description Only what steps of this run started. */
                parent?: components["schemas"]["RunId"];
                /** @description Only runs that do this one again. */
                source?: components["schemas"]["RunId"];
                /** @description Asked for at that time or later. */
                since?: components["schemas"]["Timestamp"];
                /** @description Asked for before that time. */
                until?: components["schemas"]["Timestamp"];
                /** @description 1 to 1,000; 50 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of runs. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Run"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_bulk: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "action": "retry",
                 *       "filter": {
                 *         "status": [
                 *           "failed"
                 *         ],
                 *         "version": "1.0.0",
                 *         "workflow": "order-fulfilment"
                 *       },
                 *       "preview": false,
                 *       "reason": "the warehouse is back"
                 *     }
                 */
                "application/json": components["schemas"]["Bulk"];
            };
        };
        responses: {
            /** @description What was found, and what became of it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BulkAnswer"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_get: {
        parameters: {
            query?: {
                /** @description Whether the run comes with its steps. */
                steps?: boolean;
            };
            header?: never;
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The run. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RunDetail"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_cancel: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "reason": "the thread was deleted"
                 *     }
                 */
                "application/json": components["schemas"]["CancelRun"] | null;
            };
        };
        responses: {
            /** @description The run as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_live: {
        parameters: {
            query?: never;
            header?: {
                /** @description Where the last stream ended; it goes on behind that signal. */
                "Last-Event-ID"?: components["schemas"]["SignalId"] | null;
            };
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A stream of signals. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_pause: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "reason": "the shop is being moved"
                 *     }
                 */
                "application/json": components["schemas"]["Reason"];
            };
        };
        responses: {
            /** @description The run as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_rerun: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "reason": "fixed in 1.0.1",
                 *       "version": "1.0.1"
                 *     }
                 */
                "application/json": components["schemas"]["RerunRun"];
            };
        };
        responses: {
            /** @description The new run. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_resume: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "reason": "the shop has moved"
                 *     }
                 */
                "application/json": components["schemas"]["Reason"];
            };
        };
        responses: {
            /** @description The run as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_retry: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "from": [
                 *         "charge"
                 *       ],
                 *       "reason": "the card works again"
                 *     }
                 */
                "application/json": components["schemas"]["RetryRun"];
            };
        };
        responses: {
            /** @description The run as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    step_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 50 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before, or of the run. */
                cursor?: string;
            };
            header?: never;
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of steps. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Step"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    step_answer: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
                /** @description The step's id. */
                step: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "value": {
                 *         "approved": true
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["AnswerStep"];
            };
        };
        responses: {
            /** @description The run as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    step_complete: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
                /** @description The step's id. */
                step: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "output": {
                 *         "invoice": "R-7"
                 *       },
                 *       "reason": "made by hand"
                 *     }
                 */
                "application/json": components["schemas"]["CompleteStep"];
            };
        };
        responses: {
            /** @description The run as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    item_list: {
        parameters: {
            query?: {
                /** @description Only items that stand there. */
                status?: components["schemas"]["StepStatus"];
                /** @description 1 to 1,000; 50 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
                /** @description The step's id. */
                step: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of items. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Step"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    step_skip: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
                /** @description The step's id. */
                step: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "reason": "the customer was told by phone"
                 *     }
                 */
                "application/json": components["schemas"]["SkipStep"];
            };
        };
        responses: {
            /** @description The run as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_timeline: {
        parameters: {
            query?: {
                /** @description 1 to 1,000 signals; 50 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of what is on record. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Timeline"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    run_why: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The run's id. */
                id: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The causes, nearest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Why"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    schedule_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of schedules. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Schedule"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    schedule_apply: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description The schedule's definition. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "schedule": {
                 *         "catch_up": "last",
                 *         "cron": "0 7 * * MON-FRI",
                 *         "overlap": "skip",
                 *         "payload": {
                 *           "list": "all"
                 *         },
                 *         "signal": "digest.due",
                 *         "slug": "nightly-digest",
                 *         "time_zone": "Europe/Berlin"
                 *       }
                 *     }
                 */
                "application/json": unknown;
                "application/yaml": string;
            };
        };
        responses: {
            /** @description It was in force already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AppliedSchedule"];
                };
            };
            /** @description It is in force. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AppliedSchedule"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    schedule_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The schedule's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The schedule and its document. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Schedule"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    schedule_archive: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The schedule's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "reason": "nobody read it"
                 *     }
                 */
                "application/json": components["schemas"]["OrderSchedule"] | null;
            };
        };
        responses: {
            /** @description The schedule as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Schedule"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    schedule_backfill: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The schedule's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "from": "2026-11-01T00:00:00Z",
                 *       "reason": "the outage",
                 *       "to": "2026-11-08T00:00:00Z"
                 *     }
                 */
                "application/json": components["schemas"]["BackfillSchedule"];
            };
        };
        responses: {
            /** @description The schedule, and its fires. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FiredSchedule"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    schedule_fires: {
        parameters: {
            query?: {
                /** @description Now unless given. */
                after?: components["schemas"]["Timestamp"];
                /** @description 1 to 1,000; 50 unless given. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description The schedule's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The next fires. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_ScheduleFire"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    schedule_pause: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The schedule's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "reason": "holidays"
                 *     }
                 */
                "application/json": components["schemas"]["OrderSchedule"] | null;
            };
        };
        responses: {
            /** @description The schedule as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Schedule"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    schedule_resume: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The schedule's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "reason": "back to work"
                 *     }
                 */
                "application/json": components["schemas"]["OrderSchedule"] | null;
            };
        };
        responses: {
            /** @description The schedule as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Schedule"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    schedule_trigger: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The schedule's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "reason": "a demo"
                 *     }
                 */
                "application/json": components["schemas"]["OrderSchedule"] | null;
            };
        };
        responses: {
            /** @description The schedule, and its fire. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FiredSchedule"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    signal_list: {
        parameters: {
            query?: {
                /** @description Only signals of this name. */
                name?: components["schemas"]["Name"];
                /** @description Everything of the group: facts, and the records of its runs and directives. */
                correlation_id?: string;
                /** @description The record of one run. */
                run_id?: components["schemas"]["RunId"];
                /** @description 1 to 1,000; 50 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of signals. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Signal"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    signal_emit: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description One signal, an array of them, or one a line. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "dedupe_key": "thread-42",
                 *       "name": "forum.thread.created",
                 *       "payload": {
                 *         "category": "help",
                 *         "title": "How do I rotate a key?"
                 *       },
                 *       "subject": {
                 *         "id": "42",
                 *         "type": "thread"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["EmitBody"];
                "application/x-ndjson": string;
            };
        };
        responses: {
            /** @description It was known already (one signal), or the results of many. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EmitAnswer"];
                };
            };
            /** @description It is on record. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Emitted"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    signal_tail: {
        parameters: {
            query?: {
                /** @description Only signals of this name. */
                name?: components["schemas"]["Name"];
                /** @description Begin after this signal; with what comes next unless given. */
                after?: components["schemas"]["SignalId"];
            };
            header?: {
                /** @description Where the last stream ended; it goes on behind that signal. */
                "Last-Event-ID"?: components["schemas"]["SignalId"] | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A stream of signals. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    signal_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The signal's id. */
                id: components["schemas"]["SignalId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The signal and its dispositions. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SignalDetail"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    signal_replay: {
        parameters: {
            query?: never;
            header?: {
                /** @description The directive's key. The same request under the same key is the same intent. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The signal's id. */
                id: components["schemas"]["SignalId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What became of it this time. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Replayed"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    signal_why: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The signal's id. */
                id: components["schemas"]["SignalId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The causes, nearest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Why"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    tenant_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of tenants. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Tenant"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    tenant_create: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "Acme Inc.",
                 *       "slug": "acme"
                 *     }
                 */
                "application/json": components["schemas"]["CreateTenant"];
            };
        };
        responses: {
            /** @description The tenant and its first key. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedTenant"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    tenant_update: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The tenant's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "weight": 200
                 *     }
                 */
                "application/json": components["schemas"]["UpdateTenant"];
            };
        };
        responses: {
            /** @description The tenant as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Tenant"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    whoami: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The caller's tenant and key. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Whoami"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    worker_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of workers. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Worker"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    workflow_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of workflows. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Workflow"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    workflow_apply: {
        parameters: {
            query?: {
                /** @description Whether signals start this version from now on; a draft unless given. */
                activate?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description The definition. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "workflow": {
                 *         "name": "Forum new-thread triage",
                 *         "steps": [
                 *           {
                 *             "agent_ref": {
                 *               "slug": "forum_summary_agent"
                 *             },
                 *             "id": "summarize",
                 *             "input": {
                 *               "from_signal": true
                 *             },
                 *             "type": "agent"
                 *           },
                 *           {
                 *             "directive": "forum.post.create",
                 *             "id": "post_summary",
                 *             "payload": {
                 *               "content": "${steps.summarize.output.summary}",
                 *               "thread_id": "${signal.subject.id}"
                 *             },
                 *             "type": "directive"
                 *           }
                 *         ],
                 *         "trigger": {
                 *           "signal": "forum.thread.created"
                 *         },
                 *         "version": "1.0.0"
                 *       }
                 *     }
                 */
                "application/json": unknown;
                "application/yaml": string;
            };
        };
        responses: {
            /** @description It was there already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AppliedWorkflow"];
                };
            };
            /** @description It is kept. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AppliedWorkflow"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    workflow_validate: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description The definition, as it would be applied. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "workflow": {
                 *         "name": "Forum new-thread triage",
                 *         "steps": [
                 *           {
                 *             "agent_ref": {
                 *               "slug": "forum_summary_agent"
                 *             },
                 *             "id": "summarize",
                 *             "input": {
                 *               "from_signal": true
                 *             },
                 *             "type": "agent"
                 *           },
                 *           {
                 *             "directive": "forum.post.create",
                 *             "id": "post_summary",
                 *             "payload": {
                 *               "content": "${steps.summarize.output.summary}",
                 *               "thread_id": "${signal.subject.id}"
                 *             },
                 *             "type": "directive"
                 *           }
                 *         ],
                 *         "trigger": {
                 *           "signal": "forum.thread.created"
                 *         },
                 *         "version": "1.0.0"
                 *       }
                 *     }
                 */
                "application/json": unknown;
                "application/yaml": string;
            };
        };
        responses: {
            /** @description Whether it is valid, and its diagnostics. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Validated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    workflow_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The workflow's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The workflow. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Workflow"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    workflow_activate: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The workflow's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "version": "1.0.0"
                 *     }
                 */
                "application/json": components["schemas"]["Activate"] | null;
            };
        };
        responses: {
            /** @description The workflow as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Workflow"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    workflow_archive: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The workflow's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The workflow as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Workflow"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    workflow_pause: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The workflow's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The workflow as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Workflow"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    workflow_version_list: {
        parameters: {
            query?: {
                /** @description 1 to 1,000; 1,000 unless given. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path: {
                /** @description The workflow's slug. */
                slug: components["schemas"]["Slug"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of versions. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_WorkflowVersion"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    workflow_version_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The workflow's slug. */
                slug: components["schemas"]["Slug"];
                /** @description Its version, like `1.0.0`. */
                version: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The version. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkflowVersion"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Busy"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
}
