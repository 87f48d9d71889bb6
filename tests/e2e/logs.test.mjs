// What the log tells of single requests, and how it leads to their traces.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Collector } from './support/collector.mjs';
import { get, post } from './support/http.mjs';
import { logIn } from './support/login.mjs';
import { World, secretHash } from './support/service.mjs';

const PHONE = '+919876543210';
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
/** More than a second has lines for. */
const FLOOD = 200;

const CONFIG = `
[[clients]]
id = "web"
audience = "api"

[[clients]]
id = "shop"
audience = "api"
secret_hash = "${secretHash('0123456789abcdef0123456789abcdef')}"
`;

describe('the log of a service', () => {
  let world, collector;
  before(async () => {
    collector = await Collector.listen();
    world = await World.start({
      config: CONFIG,
      env: {
        ...collector.env,
        OTP_AUTH__SERVER__TRUSTED_PROXIES: '127.0.0.1',
        OTP_AUTH__LIMITS__IP__SENDS_PER_MINUTE: '1',
      },
    });
  });
  after(async () => {
    await world?.stop();
    collector?.stop();
  });

  test('has one line for a request, from which its trace is found', async () => {
    const headers = { 'x-request-id': 'a-request', traceparent: `00-${TRACE}-${SPAN}-01` };
    await get(`${world.service.url}/v1/sessions`, { headers });

    const line = await world.service.logged({ message: 'request', trace_id: 'a-request' });
    assert.deepEqual(
      [line.method, line.route, line.status, line.sample_ratio, line.otel_trace_id, line.otel_sampled],
      ['GET', '/v1/sessions', 401, 1, TRACE, true]);
    assert.match(line.otel_span_id, /^[0-9a-f]{16}$/);
    assert.notEqual(line.otel_span_id, SPAN);
    await collector.has(line.otel_span_id);
    await collector.has('a-request');
  });

  test('has a line for each event of a login, and for what is refused beside it', async () => {
    const { service, sandbox } = world;
    await logIn(service, sandbox, PHONE);
    const seen = async (event, outcome, more = {}) => (
      service.logged({ message: 'security event', event, outcome, ...more })
    );
    const id = await world.database.ask("SELECT id FROM audit_events WHERE action = 'otp.send'");
    const sent = await seen('otp.send', 'success', { actor: 'client', client: 'web', audit_id: id });
    assert.equal((await service.logged({ message: 'request', trace_id: sent.trace_id })).route, '/v1/otp/send');
    await seen('otp.verify', 'success');

    const refused = await post(`${service.url}/v1/otp/send`, { phone_number: PHONE, client_id: 'web' });
    assert.equal(refused.status, 429);
    await seen('address.refused', 'refused', { reason: 'ip', trace_id: refused.body.request_trace_id });
    const denied = await post(`${service.url}/v1/otp/send`, { phone_number: PHONE, client_id: 'shop' });
    assert.equal(denied.status, 401);
    await seen('client.denied', 'refused', { trace_id: denied.body.request_trace_id });
  });

  test('does not grow with a flood of them, and says what it left out', async () => {
    const { service } = world;
    const url = `http://${service.adminAddress}/admin/v1/switches`;
    const knock = async () => assert.equal((await get(url)).status, 401);
    const lines = () => service.log().filter(({ event }) => event === 'admin.denied');
    const leftOut = () => lines().reduce((sum, line) => sum + (line.left_out ?? 0), 0);

    await Promise.all(Array.from({ length: FLOOD }, knock));
    let knocks = FLOOD;
    // A line of a later second says it.
    while (leftOut() === 0) {
      await knock();
      knocks += 1;
    }

    assert.ok(lines().length < knocks / 2, `${lines().length} lines of ${knocks}`);
    assert.ok(lines().length + leftOut() <= knocks);
  });

  test('leaves out requests where it is told to, never those that failed', async () => {
    const quiet = await world.another({
      OTP_AUTH__TELEMETRY__LOG_SAMPLE_RATIO: '0',
      OTP_AUTH__LIMITS__IP__SENDS_PER_MINUTE: '0',
    });
    await world.sandbox.arm({ kind: 'insufficient_balance' });
    assert.equal((await get(`${quiet.url}/.well-known/jwks.json`)).status, 200);
    const failed = await post(`${quiet.url}/v1/otp/send`, { phone_number: '+919812345678', client_id: 'web' });
    assert.ok(failed.status >= 500, JSON.stringify(failed.body));

    const line = await quiet.logged({ message: 'request' });
    assert.deepEqual([line.status, line.sample_ratio], [failed.status, 1]);
    assert.equal(quiet.log().filter(({ message }) => message === 'request').length, 1);
  });
});
