#!/usr/bin/env node
// Turns GitHub webhook payloads into signals: one JSON object a line, ready for `POST /v1/signals` as NDJSON.
//
//   node webhook_to_signal.mjs --event issues [--delivery GUID] < payload.json
//   node webhook_to_signal.mjs --package node_modules/@octokit/webhooks-examples > signals.ndjson
//
// It only translates. The payload goes into the signal as it came; what is added is the name of the
// fact, what it is about, who caused it, and an id by which a second delivery is recognised.

import {createHash} from 'node:crypto';
import {existsSync, readFileSync, readdirSync, realpathSync} from 'node:fs';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {parseArgs} from 'node:util';

/** What the server accepts; a payload beyond it is named here, before it is sent. */
const PAYLOAD_BYTES_MAX = 1024 * 1024;
const DEPTH_MAX = 64;
const TEXT_BYTES_MAX = 255;

/** A webhook becomes a signal. `delivery` is the header X-GitHub-Delivery, where there is one. */
export function signalOf(event, payload, delivery) {
  return {
    name: nameOf(event, payload.action),
    source: 'github',
    source_event_id: delivery ?? contentId(event, payload),
    subject: subjectOf(event, payload),
    actor: actorOf(payload),
    payload,
  };
}

/**
 * `issues` that were `opened` are `github.issues.opened`. Events without an action, like `push`,
 * end in `received`. An action of somebody's own making (`repository_dispatch`: `on-demand-test`)
 * is written with the letters that names may have.
 */
export function nameOf(event, action) {
  const segment = (text) => text.toLowerCase().replace(/[^a-z0-9_]/g, '_').slice(0, 100);
  return `github.${segment(event)}.${segment(action || 'received')}`;
}

/** Examples have no delivery id, so the same content counts as the same delivery, in any key order. */
export function contentId(event, payload) {
  return 'sha256:' + createHash('sha256').update(`${event}\n${canonical(payload)}`).digest('hex');
}

function canonical(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const entries = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${entries.join(',')}}`;
}

/** How the subject of an event is addressed. The first line that fits the event and gives an id decides. */
const SUBJECTS = [
  [/^issues$|^issue_comment$/, 'issue', (p) => inRepository(p, '#', p.issue?.number)],
  [/^pull_request/, 'pull_request', (p) => inRepository(p, '#', p.pull_request?.number)],
  [/^discussion/, 'discussion', (p) => inRepository(p, '#', p.discussion?.number)],
  [/^release$/, 'release', (p) => inRepository(p, '@', p.release?.tag_name)],
  [/^(push|create|delete)$/, 'ref', (p) => inRepository(p, ':', p.ref)],
  [/^(status|commit_comment)$/, 'commit', (p) => inRepository(p, '@', p.sha ?? p.comment?.commit_id)],
  [/^deployment/, 'deployment', (p) => p.deployment?.id],
  [/^check_run$/, 'check_run', (p) => p.check_run?.id],
  [/^check_suite$/, 'check_suite', (p) => p.check_suite?.id],
  [/^workflow_run$/, 'workflow_run', (p) => p.workflow_run?.id],
  [/^workflow_job$/, 'workflow_job', (p) => p.workflow_job?.id],
  [/^milestone$/, 'milestone', (p) => inRepository(p, ' milestone ', p.milestone?.number)],
  [/^label$/, 'label', (p) => inRepository(p, ' label ', p.label?.name)],
  [/_alert/, 'alert', (p) => inRepository(p, ' alert ', p.alert?.number ?? p.alert?.id)],
  [/^(team|team_add|membership)$/, 'team', (p) => p.team?.id],
  [/^projects_v2_item$/, 'project_item', (p) => p.projects_v2_item?.id],
  [/^installation|^github_app_authorization$/, 'installation', (p) => p.installation?.id],
  [/^security_advisory$/, 'security_advisory', (p) => p.security_advisory?.ghsa_id],
  [/^sponsorship$/, 'sponsorship', (p) => p.sponsorship?.node_id],
  [/^marketplace_purchase$/, 'account', (p) => p.marketplace_purchase?.account?.login],
  [/^user$/, 'github_user', (p) => p.user?.login],
  [/./, 'repository', (p) => p.repository?.full_name],
  [/./, 'organization', (p) => p.organization?.login],
  [/./, 'enterprise', (p) => p.enterprise?.slug],
  [/./, 'github_user', (p) => p.sender?.login],
];

function inRepository(payload, separator, id) {
  return id === undefined || id === null ? undefined : `${payload.repository?.full_name}${separator}${id}`;
}

function subjectOf(event, payload) {
  for (const [events, type, idOf] of SUBJECTS) {
    const id = events.test(event) ? idOf(payload) : undefined;
    if (id !== undefined && id !== null && id !== '') return {type, id: plain(String(id))};
  }
  return {type: 'github_event', id: event};
}

/** Who did it; what GitHub does by itself (advisories, scans) it did as `github`. */
function actorOf(payload) {
  return {type: 'github_user', id: plain(payload.sender?.login ?? 'github')};
}

/** An id as the server takes it: no control characters, and what is too long ends in its digest. */
function plain(text) {
  const clean = text.replace(/\p{Cc}/gu, '_');
  if (Buffer.byteLength(clean) <= TEXT_BYTES_MAX) return clean;
  const digest = createHash('sha256').update(clean).digest('hex').slice(0, 16);
  return `${Array.from(clean).slice(0, 50).join('')}…${digest}`;
}

/** All payloads of `@octokit/webhooks-examples`: github.com and each GitHub Enterprise Server. */
export function* payloadsOf(folder) {
  for (const edition of readdirSync(folder).sort()) {
    const file = join(folder, edition, 'index.json');
    if (!existsSync(file)) continue;
    for (const {name, examples} of JSON.parse(readFileSync(file, 'utf8'))) {
      for (const payload of examples) yield {event: name, payload};
    }
  }
}

/** Why the server would turn this payload down, if it would. */
function objection(payload) {
  if (depthOf(payload) > DEPTH_MAX) return `the payload nests deeper than ${DEPTH_MAX} levels`;
  const bytes = Buffer.byteLength(JSON.stringify(payload));
  if (bytes > PAYLOAD_BYTES_MAX) return `the payload has ${bytes} bytes; at most ${PAYLOAD_BYTES_MAX} are allowed`;
  return undefined;
}

/** Level by level, because a stranger's nesting is no depth to recurse to. */
function depthOf(value) {
  let depth = 0;
  const nested = (inside) => inside !== null && typeof inside === 'object';
  for (let level = [value].filter(nested); level.length > 0; depth += 1) {
    level = level.flatMap((inside) => Object.values(inside).filter(nested));
  }
  return depth;
}

function main() {
  const {values: flags} = parseArgs({
    options: {package: {type: 'string'}, event: {type: 'string'}, delivery: {type: 'string'}},
  });
  if (Boolean(flags.package) === Boolean(flags.event)) {
    fail('give either --package DIR, or --event NAME and a payload on stdin');
  }
  const webhooks = flags.package
    ? payloadsOf(flags.package)
    : [{event: flags.event, payload: parsed(readFileSync(0, 'utf8')), delivery: flags.delivery}];
  const seen = {payloads: 0, signals: new Set(), opened: 0, openedSignals: new Set()};
  for (const {event, payload, delivery} of webhooks) {
    const signal = translate(event, payload, delivery);
    process.stdout.write(JSON.stringify(signal) + '\n');
    count(seen, signal);
  }
  if (flags.package) {
    process.stderr.write(
      `${seen.payloads} payloads, ${seen.signals.size} distinct; ` +
        `github.issues.opened: ${seen.opened}, ${seen.openedSignals.size} distinct\n`,
    );
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    return fail(`the payload is not JSON: ${error.message}`);
  }
}

function translate(event, payload, delivery) {
  const isObject = payload !== null && typeof payload === 'object' && !Array.isArray(payload);
  if (!isObject) fail(`${event}: the payload is not an object`);
  const problem = objection(payload);
  if (problem) fail(`${event}: ${problem}`);
  return signalOf(event, payload, delivery);
}

function count(seen, signal) {
  seen.payloads += 1;
  seen.signals.add(signal.source_event_id);
  if (signal.name === 'github.issues.opened') {
    seen.opened += 1;
    seen.openedSignals.add(signal.source_event_id);
  }
}

function fail(message) {
  process.stderr.write(`webhook_to_signal: ${message}\n`);
  process.exit(1);
}

if (import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) main();
