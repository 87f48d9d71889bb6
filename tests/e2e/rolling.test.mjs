// Two replicas behind HAProxy and over PgBouncer in transaction mode, as deploy/haproxy/ and deploy/pgbouncer/ have
// them: all works, a rolling restart loses no call, and what a killed replica costs. It prints figures.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { call, get, post, postForm } from './support/http.mjs';
import { Load } from './support/load.mjs';
import { logIn, refresh } from './support/login.mjs';
import { Replicas } from './support/replicas.mjs';

/** Seconds: longer than HAProxy's two checks. */
const DRAIN = Number(process.env.OTP_AUTH_TEST_DRAIN_SECONDS ?? 2);
const ROUNDS = 2;
const LOAD = { logins: 4, readers: 1 };
const SESSIONS = 30;
const CONFIG = `
  [[clients]]
  id = "web"
  audience = "api"
`;
const env = {
  OTP_AUTH__SERVER__DRAIN_SECONDS: `${DRAIN}`,
  OTP_AUTH__LIMITS__PHONE__SENDS_PER_5_MINUTES: '0',
  OTP_AUTH__LIMITS__PHONE__SENDS_PER_HOUR: '0',
  OTP_AUTH__LIMITS__PHONE__SENDS_PER_DAY: '0',
  OTP_AUTH__OTP__RESEND_COOLDOWNS_SECONDS: '0',
  OTP_AUTH__TOKENS__REUSE_GRACE_SECONDS: '0',
};

let all;

before(async () => { all = await Replicas.start({ config: CONFIG, env }); });
after(() => all?.stop());

const ms = (value) => `${value.toFixed(1)} ms`;
const bearer = (token) => ({ authorization: `Bearer ${token}` });

describe('over PgBouncer in transaction mode', () => {
  test('the doctor finds notifications and timeouts, and says so where they are missing', async () => {
    const levels = (report) => Object.fromEntries(report.map(({ name, level }) => [name, level]));
    const good = levels((await all.examine()).checks);
    for (const name of ['reach', 'writable', 'migrations', 'rights', 'timeouts', 'listen']) {
      assert.equal(good[`database.${name}`], 'ok', name);
    }
    const pooled = { OTP_AUTH__DATABASE__DIRECT_URL: all.pooler.url };
    const without = levels((await all.examine(pooled)).checks);
    assert.ok(['warn', 'fail'].includes(without['database.listen']), without['database.listen']);
    const other = levels((await all.examine({ OTP_AUTH__DATABASE__STATEMENT_TIMEOUT_MS: '3000' })).checks);
    assert.equal(other['database.timeouts'], 'warn');
  });

  test('one connection of each replica is its own, the others are the pool\'s', async () => {
    const rows = await all.database.ask(`
      SELECT count(*) FILTER (WHERE query LIKE 'LISTEN%' OR query LIKE '%revocation_feed%'), count(*)
      FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'otp-auth'`);
    const [following, connections] = rows.split('|').map(Number);
    assert.ok(following >= 2, rows);
    assert.ok(connections <= 2 + 20, rows);
  });

  test('a login, refreshes, a used token that comes back', async () => {
    const login = await logIn(all, all.sandbox, '+919876500001');
    const next = await refresh(all, login.refresh_token);
    const { status } = await get(`${all.url}/v1/authorize`, { headers: bearer(next.access_token) });
    assert.equal(status, 200);
    const fields = { grant_type: 'refresh_token', client_id: 'web' };
    for (const refresh_token of [login.refresh_token, next.refresh_token]) {
      const { status, body } = await postForm(`${all.url}/v1/token`, { ...fields, refresh_token });
      assert.deepEqual([status, body.error], [400, 'invalid_grant']);
    }
  });

  test('wrong codes are counted, and a resend has the same digits', async () => {
    const phone_number = '+919876500002';
    const { body: { request_id } } = await post(`${all.url}/v1/otp/send`, { phone_number });
    const code = await all.sandbox.code(phone_number);
    const wrong = code === '000000' ? '000001' : '000000';
    const { body } = await post(`${all.url}/v1/otp/verify`, { request_id, code: wrong });
    assert.equal(body.attempts_remaining, 4);
    assert.equal((await post(`${all.url}/v1/otp/resend`, { request_id })).status, 200);
    assert.equal(await all.sandbox.code(phone_number), code);
  });

  test('what operators do', async () => {
    const [one, two] = all.places;
    const rule = {
      kind: 'prefix', value: '+91987659', verdict: 'block', reason: 'a test of rules',
    };
    const made = await one.admin('POST', '/admin/v1/rules', rule);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    assert.equal((await two.admin('GET', `/admin/v1/rules/${made.body.id}`)).status, 200);
    assert.equal((await two.admin('DELETE', `/admin/v1/rules/${made.body.id}`)).status, 204);
    const looked = await two.admin('POST', '/admin/v1/phones/lookup', { phone_number: '+919876500002' });
    assert.equal(looked.status, 200, JSON.stringify(looked.body));
    assert.equal((await one.admin('GET', '/admin/v1/audit')).status, 200);
  });

  test('one replica removes what is over, and fails at nothing', async () => {
    const leads = () => Promise.all(all.places.map((place) => place.metric('otp_auth_retention_leads')));
    await all.proxy.ready(async () => (await leads()).join() === '1,0' || (await leads()).join() === '0,1');
    for (const place of all.places) assert.equal(await place.metric('otp_auth_retention_failures_total'), 0);
    const partitions = await all.database.ask(`
      SELECT count(*) FROM pg_inherits WHERE inhparent = 'otp_requests'::regclass`);
    assert.ok(Number(partitions) > 2, partitions);
  });

  test('a session that ended over one replica is refused by the other', async (t) => {
    const waits = [];
    const passes = async ({ service }, token) => (
      (await get(`${service.url}/v1/authorize`, { headers: bearer(token) })).status === 200);
    for (let n = 0; n < SESSIONS; n += 1) {
      const [one, other] = n % 2 ? all.places : [...all.places].reverse();
      const { access_token: token } = await logIn(one.service, all.sandbox, `+9198765${11000 + n}`);
      assert.ok(await passes(other, token));
      const began = performance.now();
      const ended = await call('DELETE', `${one.service.url}/v1/sessions`, { headers: bearer(token) });
      assert.equal(ended.status, 204);
      const limit = AbortSignal.timeout(30_000);
      while (await passes(other, token)) limit.throwIfAborted();
      waits.push(performance.now() - began);
    }
    waits.sort((a, b) => a - b);
    t.diagnostic(`revocation over PgBouncer, LISTEN on the direct address: median ${ms(waits[SESSIONS / 2])}, ` +
      `worst ${ms(waits.at(-1))} of ${SESSIONS}`);
  });
});

describe('under load', () => {
  test('a rolling restart loses no call', async (t) => {
    const load = new Load(all.url, all.sandbox).start(LOAD);
    await load.more(100);
    const began = performance.now();
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const place of all.places) {
        assert.deepEqual(await place.restart(), { code: 0, signal: null });
        await all.untilAllTakeCalls();
        await load.more(100);
      }
    }
    const seconds = (performance.now() - began) / 1000;
    await load.stop();
    const restarts = all.places.reduce((sum, place) => sum + place.restarts, 0);
    t.diagnostic(`rolling restart, drain ${DRAIN} s: ${load.calls} calls in ${seconds.toFixed(1)} s, ` +
      `${restarts} restarts, ${load.lost.length} lost, slowest ${ms(load.slowest)}`);
    assert.equal(restarts, 2 * ROUNDS);
    const complaints = all.places.flatMap((place) => place.complaints).map(({ message }) => message);
    assert.deepEqual(load.lost, [], complaints.join('\n'));
  });

  test('each phase of a stop is logged, and readiness goes first', async () => {
    const [place] = all.places;
    const { program } = place.service;
    const { service } = place;
    program.signal('SIGTERM');
    await service.logged({ message: 'draining: calls are taken, /readyz fails' });
    const ready = await get(`http://${service.adminAddress}/readyz`);
    assert.deepEqual([ready.status, ready.body.checks.server[0].output], [503, 'stopping']);
    const keys = await get(`${service.url}/.well-known/jwks.json`);
    assert.deepEqual([keys.status, keys.headers.get('connection')], [200, 'close']);
    await program.ended();
    const phases = service.log().map(({ message }) => message.split(':')[0]);
    const told = phases.filter((phase) => ['draining', 'finishing', 'ending', 'stopped'].includes(phase));
    assert.deepEqual(told, ['draining', 'finishing', 'ending', 'stopped']);
    await place.start();
    await all.untilAllTakeCalls();
  });

  test('a second signal ends it at once', async () => {
    const [, place] = all.places;
    const { service } = place;
    await all.sandbox.arm({ kind: 'hang' });
    const smsIsOut = await all.sandbox.watch('+919876500003');
    // Its connection ends, or it is told of its work's end just before: by 504 where the call to the provider was
    // ended first, for its SMS may be out.
    const cut = post(`${service.url}/v1/otp/send`, { phone_number: '+919876500003' })
      .then(({ status }) => status, () => 500);
    await smsIsOut();
    service.program.signal('SIGTERM');
    await service.logged({ message: 'draining: calls are taken, /readyz fails' });
    service.program.signal('SIGTERM');
    assert.deepEqual(await service.program.ended(), { code: 0, signal: null });
    assert.ok([500, 504].includes(await cut), `${await cut}`);
    await place.start();
    await all.untilAllTakeCalls();
  });

  test('a replica that is killed costs the calls it had, and none of those that only read', async (t) => {
    const [place] = all.places;
    // Four calls that last, which are given to the replicas in turn.
    const slow = [0, 1, 2, 3].map((n) => `+919876500${100 + n}`);
    await all.sandbox.arm({ kind: 'slow', delay_ms: 4000, times: 4 });
    const out = await Promise.all(slow.map((phone) => all.sandbox.watch(phone)));
    const sends = slow.map((phone_number, n) => (
      post(`${all.url}/v1/otp/send`, { phone_number }, { 'idempotency-key': `slow-${n}` })
        // HAProxy says 502, or nothing where the connection had carried a call before.
        .catch(() => ({ status: 502 }))));
    await Promise.all(out.map((isOut) => isOut()));

    const load = new Load(all.url, all.sandbox).start(LOAD);
    await load.more(10);
    place.service.program.signal('SIGKILL');

    const answers = await Promise.all(sends);
    const cut = answers.filter(({ status }) => status >= 500);
    assert.ok(cut.length > 0 && cut.length < 4, answers.map(({ status }) => status).join());
    await load.more(300);
    await load.stop();
    const sms = await Promise.all(slow.map(async (phone) => (await all.sandbox.messages(phone)).length));
    t.diagnostic(`a replica killed: ${load.calls} calls, ${load.lost.length} lost, of ${slow.length} sends that were ` +
      `in flight ${cut.length} cut off`);
    assert.deepEqual(sms, [1, 1, 1, 1], 'no SMS twice');
    assert.deepEqual(load.lost.filter(({ method }) => method === 'GET'), []);
    await place.start();
  });
});
