// The commands of the program, their exit codes and what they say.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Database } from './support/database.mjs';
import { get, post } from './support/http.mjs';
import { OTP_AUTH, run } from './support/program.mjs';
import { Sandbox } from './support/sandbox.mjs';
import { API_KEY, ISSUER, MASTER_KEY, Service, World, settings } from './support/service.mjs';

/** Settings of a database that nobody asks. */
const NO_DATABASE = { url: 'postgres://nobody:a-password@127.0.0.1:9/none' };

const STOPPING = 'finishing: no new connections';

describe('otp-auth config check', () => {
  const check = (more) => (
    run(OTP_AUTH, ['config', 'check'], { env: settings({ database: NO_DATABASE, ...more }) })
  );

  test('shows the settings in force without their secrets', async () => {
    const { code, stdout, stderr } = await check();
    assert.deepEqual([code, stderr], [0, '']);
    assert.ok(stdout.includes(`server.issuer = "${ISSUER}"`), stdout);
    assert.ok(stdout.includes('otp.ttl_seconds = 300'), stdout);
    for (const secret of [API_KEY, MASTER_KEY, 'a-password']) assert.ok(!stdout.includes(secret));
  });

  test('names all faults at once', async () => {
    const { code, stdout, stderr } = await check({
      OTP_AUTH__OTP__TTL_SECONDS: '601',
      OTP_AUTH__PHONE__COUNTRIES: '',
      OTP_AUTH__SERVER__ISUER: 'http://127.0.0.1:8080',
    });
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /3 faults/);
    assert.match(stderr, /otp\.ttl_seconds .*600/);
    assert.match(stderr, /phone\.countries /);
    assert.match(stderr, /OTP_AUTH__SERVER__ISUER.*OTP_AUTH__SERVER__ISSUER/);
  });

  test('is what serve does first', async () => {
    const env = settings({ database: NO_DATABASE, OTP_AUTH__OTP__TTL_SECONDS: '601' });
    const { code, stderr } = await run(OTP_AUTH, ['serve'], { env });
    assert.equal(code, 1);
    assert.match(stderr, /otp\.ttl_seconds .*600/);
  });
});

describe('otp-auth migrate', () => {
  let database;
  before(async () => {
    database = await Database.create();
  });
  after(() => database?.drop());

  test('makes the tables that serve needs, once', async () => {
    const env = settings({ database, OTP_AUTH__DATABASE__MIGRATE_ON_START: 'false' });
    const tables = () => database.ask(
      "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename = 'otp_requests'");

    const early = await run(OTP_AUTH, ['serve'], { env });
    assert.equal(early.code, 1);
    assert.equal(await tables(), '0');

    for (let time = 0; time < 2; time += 1) {
      const { code, stderr } = await run(OTP_AUTH, ['migrate'], { env });
      assert.deepEqual([code, stderr], [0, '']);
      assert.equal(await tables(), '1');
    }
    const service = await Service.start(env);
    assert.equal((await get(`${service.url}/.well-known/jwks.json`)).status, 200);
    assert.deepEqual(await service.stop(), { code: 0, signal: null });
  });
});

describe('otp-auth sandbox', () => {
  test('makes and checks codes itself in vendor mode', async (t) => {
    const sandbox = await Sandbox.start('vendor');
    t.after(() => sandbox.stop());
    const ask = (path, body) => post(`${sandbox.url}${path}`, body, { 'x-api-key': API_KEY });
    const phoneNumber = '+919876543210';

    const sent = await ask('/otp/send', { phoneNumber, idempotencyKey: 'one' });
    assert.equal(sent.status, 201);
    const otpCode = await sandbox.code(phoneNumber);
    const { requestId } = sent.body.data;
    const verified = await ask('/otp/verify', { requestId, otpCode });
    assert.equal(verified.body.data.verified, true);

    assert.deepEqual(await sandbox.stop(), { code: 0, signal: null });
  });
});

describe('otp-auth serve', () => {
  let world;
  before(async () => {
    world = await World.start();
  });
  after(() => world?.stop());

  const healthcheck = (admin) => run(OTP_AUTH, ['healthcheck'], {
    env: { ...world.env, OTP_AUTH__SERVER__ADMIN_BIND: admin },
  });

  test('is healthy to healthcheck, which fails where there is no service', async () => {
    const healthy = await healthcheck(world.service.adminAddress);
    assert.deepEqual([healthy.code, healthy.stdout, healthy.stderr], [0, '', '']);

    const none = await healthcheck('127.0.0.1:9');
    assert.equal(none.code, 1);
    assert.match(none.stderr, /not ready/);
  });

  test('logs one JSON line for each request, with the route and not the path', async () => {
    const phone_number = '+919876500001';
    const traced = (name) => ({ 'x-request-id': name });
    const { body } = await post(`${world.service.url}/v1/otp/send`, { phone_number }, traced('a.1'));
    const id = body.request_id;
    await get(`${world.service.url}/v1/otp/${id}?x=1`, { headers: traced('a.2') });
    await get(`${world.service.url}/none/${id}`, { headers: traced('a.3') });
    const unnamed = await post(`${world.service.url}/v1/otp/verify`, {});

    const line = async (trace_id) => {
      const found = await world.service.logged({ message: 'request', trace_id });
      assert.ok(Number.isInteger(found.duration_us) && found.duration_us > 0);
      assert.ok(!Number.isNaN(Date.parse(found.timestamp)));
      return [found.level, found.method, found.route, found.status];
    };
    assert.deepEqual(await line('a.1'), ['INFO', 'POST', '/v1/otp/send', 201]);
    assert.deepEqual(await line('a.2'), ['INFO', 'GET', '/v1/otp/{request_id}', 200]);
    assert.deepEqual(await line('a.3'), ['INFO', 'GET', 'none', 404]);
    const trace = unnamed.headers.get('x-request-id');
    assert.deepEqual(await line(trace), ['INFO', 'POST', '/v1/otp/verify', 400]);

    for (const name of ['a.1', 'a.2', 'a.3', trace]) {
      const lines = world.service.log().filter((found) => found.trace_id === name);
      assert.equal(lines.filter(({ message }) => message === 'request').length, 1);
    }
  });

  test('finishes what is in flight when it is told to stop', async (t) => {
    const service = await Service.start(world.env);
    t.after(() => service.stop());
    const phone_number = '+919876500002';
    await world.sandbox.arm({ kind: 'slow', delay_ms: 1500 });
    const smsIsOut = await world.sandbox.watch(phone_number);
    const slow = post(`${service.url}/v1/otp/send`, { phone_number }, { 'x-request-id': 'in-flight' });
    await smsIsOut();

    service.program.signal('SIGTERM');
    await service.logged({ message: STOPPING });
    const { status, body } = await slow;
    assert.equal(status, 201);
    assert.deepEqual(await service.program.ended(), { code: 0, signal: null });

    const told = service.log().filter((line) => (
      [STOPPING, 'stopped'].includes(line.message)
        || (line.message === 'request' && line.trace_id === 'in-flight')));
    assert.deepEqual(told.map((line) => line.status ?? line.message), [STOPPING, 201, 'stopped']);
    await assert.rejects(get(`${service.url}/.well-known/jwks.json`));
    const row = `SELECT delivery FROM otp_requests WHERE id = '${body.request_id}'`;
    assert.equal(await world.database.ask(row), 'sent');
  });
});
