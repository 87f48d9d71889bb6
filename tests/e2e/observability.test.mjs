// What operators watch: the metrics that a service tells, and the alerts and the dashboard that are made of them.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { get, post } from './support/http.mjs';
import { logIn, refresh } from './support/login.mjs';
import { file, run } from './support/program.mjs';
import { World } from './support/service.mjs';

const PROMTOOL = process.env.OTP_AUTH_PROMTOOL;
/** Each alert's test evaluates all rules for hours, minute by minute. */
const LONG = 600_000;
/** What Prometheus itself adds to every series, and what it keeps of a scrape. */
const ADDED_LABELS = ['instance', 'job'];
const ADDED_NAMES = ['up'];
const PHONES = ['+919876543210', '+919812345678', '+919812345679', '+919812345670'];

const observability = (name) => file(`deploy/observability/${name}`);

const CONFIG = `
[[clients]]
id = "web"
audience = "api"
`;

/** Runs promtool, which must find nothing. */
async function promtool(args, options) {
  const { code, stdout, stderr } = await run(PROMTOOL, args, options);
  assert.equal(code, 0, stdout + stderr);
  return stdout + stderr;
}

/** `{ name: { label: Set of values } }` of a page in Prometheus' text format. */
function told(page) {
  const metrics = {};
  for (const line of page.split('\n').filter((each) => each && !each.startsWith('#'))) {
    const [, name, labels = ''] = /^([a-z_]+)(?:\{(.*)\})? \S+$/.exec(line);
    const metric = metrics[name] ??= {};
    for (const [, label, value] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
      (metric[label] ??= new Set()).add(value);
    }
  }
  return metrics;
}

/** What is wrong with a query, seen from what a service tells. */
function* unknown(query, metrics) {
  const names = [...query.matchAll(/\b(?:otp_auth|process)_\w+|\bup\b/g)].map(([name]) => name);
  const labels = new Set([...ADDED_LABELS, ...names.flatMap((name) => Object.keys(metrics[name] ?? {}))]);
  for (const name of names) {
    if (!(name in metrics) && !ADDED_NAMES.includes(name)) yield `no metric ${name}`;
  }
  for (const [, list] of query.matchAll(/\b(?:by|on|without|ignoring)\s*\(([^)]*)\)/g)) {
    for (const label of list.split(',').map((each) => each.trim())) {
      // Of what recording rules made, the labels are those of their own queries.
      if (names.length > 0 && !labels.has(label)) yield `no label ${label}`;
    }
  }
  for (const [, name, selector] of query.matchAll(/\b((?:otp_auth|process)_\w+)\{([^}]*)\}/g)) {
    for (const [, label, operator, value] of selector.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)) {
      if (!(name in metrics) || ADDED_LABELS.includes(label)) continue;
      const values = [...metrics[name]?.[label] ?? []];
      const wanted = operator.includes('~') ? value.split('|') : [value];
      for (const each of wanted) {
        const isThere = operator.includes('~')
          ? values.some((one) => new RegExp(`^(?:${each})$`).test(one))
          : values.includes(each);
        if (!isThere) yield `${name} is never told with ${label} ${each}`;
      }
    }
  }
}

/** The queries of alerts.yml, which is written so that each begins on its own line. */
function queriesOf(rules) {
  const expressions = rules.split('\n        expr: ').slice(1);
  return expressions.map((text) => {
    if (!text.startsWith('|\n')) return text.split('\n')[0];
    const lines = text.split('\n').slice(1);
    const end = lines.findIndex((line) => line && !line.startsWith('          '));
    return lines.slice(0, end).filter((line) => !line.trim().startsWith('#')).join('\n');
  });
}

describe('a service that is watched', () => {
  let world;
  let page;
  let rules;
  let panels;

  before(async () => {
    world = await World.start({
      config: CONFIG,
      env: {
        // How long a loaded machine takes is not what is tested.
        OTP_AUTH__DATABASE__ACQUIRE_TIMEOUT_MS: '30000',
        OTP_AUTH__DATABASE__STATEMENT_TIMEOUT_MS: '30000',
        OTP_AUTH__TOKENS__VERIFIERS: 'gateway',
        OTP_AUTH__LIMITS__SPEND__MESSAGES_PER_HOUR: '6',
        OTP_AUTH__LIMITS__SPEND__AMOUNT_PER_DAY: '100',
      },
    });
    const { service, sandbox } = world;
    const admin = `http://${service.adminAddress}`;
    const send = (phone_number) => post(`${service.url}/v1/otp/send`, { phone_number });
    // What goes well.
    const tokens = await logIn(service, sandbox, PHONES[0]);
    await refresh(service, tokens.refresh_token);
    const bearer = { headers: { authorization: `Bearer ${tokens.access_token}` } };
    assert.equal((await get(`${service.url}/v1/authorize`, bearer)).status, 200);
    await get(`${service.url}/.well-known/jwks.json?verifier=gateway`);
    // What does not: a cooldown, a wrong code, a provider that fails, then refuses the account; a ceiling.
    assert.equal((await send(PHONES[0])).status, 429);
    const { body: { request_id } } = await send(PHONES[1]);
    const code = await sandbox.code(PHONES[1]) === '000000' ? '000001' : '000000';
    assert.equal((await post(`${service.url}/v1/otp/verify`, { request_id, code })).status, 401);
    for (const [kind, phone] of [['http_500', PHONES[2]], ['insufficient_balance', PHONES[3]]]) {
      await sandbox.arm({ kind });
      const { status } = await send(phone);
      assert.ok(status >= 500, `${kind}: ${status}`);
    }
    await get(`${service.url}/nothing`);
    // What is looked at in the background.
    await service.program.ready(async () => (
      (await get(`${admin}/metrics`)).body.includes('otp_auth_spend_used_ratio{')
    ));
    await get(`${admin}/livez`);
    await get(`${admin}/readyz`);
    page = (await get(`${admin}/metrics`)).body;
    rules = await readFile(observability('alerts.yml'), 'utf8');
    panels = JSON.parse(await readFile(observability('grafana/otp-auth.json'), 'utf8')).panels;
  });
  after(() => world?.stop());

  test('tells metrics that promtool finds nothing wrong with', async () => {
    await promtool(['check', 'metrics'], { input: page });
  });

  test('tells every metric, label and value that the alerts ask for', () => {
    const queries = queriesOf(rules);
    assert.ok(queries.length > 30, 'alerts were found');
    const wrong = queries.flatMap((query) => [...unknown(query, told(page))].map((what) => [what, query]));
    assert.deepEqual(wrong, []);
  });

  test('tells every metric, label and value that the dashboard asks for', () => {
    const queries = panels.flatMap((panel) => panel.targets ?? []).map(({ expr }) => expr);
    assert.ok(queries.length > 40, 'queries were found');
    const wrong = queries.flatMap((query) => [...unknown(query, told(page))].map((what) => [what, query]));
    assert.deepEqual(wrong, []);
  });

  test('tells nothing that neither the alerts nor the dashboard show', () => {
    const queries = [...queriesOf(rules), ...panels.flatMap((panel) => panel.targets ?? []).map(({ expr }) => expr)];
    const asked = new Set(queries.flatMap((query) => query.match(/\b(?:otp_auth|process)_\w+/g) ?? []));
    const names = page.match(/(?<=^# TYPE )\w+/gm);
    const hidden = names.filter((name) => !asked.has(name) && !asked.has(`${name}_bucket`));
    // For whoever looks for a leak; and how often retention got round, which its tests wait for.
    assert.deepEqual(hidden.filter((name) => name !== 'otp_auth_retention_walks_total'),
      ['process_virtual_memory_bytes']);
  });

  test('would be found out if an alert asked for what is not there', () => {
    const metrics = told(page);
    for (const query of [
      'otp_auth_provider_breaker_states{state="open"}',
      'otp_auth_provider_breaker_state{state="opened"}',
      'otp_auth_provider_breaker_state{status="open"}',
      'sum by (statuses) (otp_auth_http_requests_total)',
      'otp_auth_provider_calls_total{outcome=~"account_fault|no_such"}',
    ]) assert.equal([...unknown(query, metrics)].length, 1, query);
  });
});

describe('promtool', () => {
  let directory;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'otp-auth-promtool-'));
  });
  after(() => rm(directory, { recursive: true }));

  test('takes the example configuration and the rules', async () => {
    await promtool(['check', 'config', observability('prometheus.yml')]);
    await promtool(['check', 'rules', '--lint-fatal', observability('alerts.yml')]);
  });

  test('takes the queries of the dashboard', async () => {
    const { panels, templating } = JSON.parse(await readFile(observability('grafana/otp-auth.json'), 'utf8'));
    const variables = new Set(templating.list.map(({ name }) => name));
    const queries = panels.flatMap((panel) => panel.targets ?? []).map(({ expr }) => expr);
    const plain = queries.map((query) => query.replaceAll(/\$(\w+)/g, (_, name) => {
      if (name === '__rate_interval') return '5m';
      assert.ok(variables.has(name), `$${name} is a variable of the dashboard`);
      return 'otp-auth';
    }));
    const rules = plain.map((expr, n) => ({ record: `panel:${n}`, expr }));
    const written = join(directory, 'dashboard.yml');
    // JSON is YAML.
    await writeFile(written, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    const said = await promtool(['check', 'rules', written]);
    assert.match(said, new RegExp(`${rules.length} rules found`));
  });

  test('sees every alert fire where it must, and nowhere else', async () => {
    await promtool(['test', 'rules', observability('alerts_test.yml')], { patience: LONG });
  });
});
