// Every call that a service takes, good and bad, with a note of each secret that it met.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';

import { call, get, post } from './http.mjs';
import { soon } from './program.mjs';
import { phoneForms, tokenForms } from './search.mjs';
import { API_KEY, MASTER_KEY, secretHash } from './service.mjs';

/** Of somebody's phone, as a backend passes it on (RFC 5737), and of this machine, used below. */
const FORWARDED_ADDRESS = '203.0.113.77';
const CALLER_ADDRESS = '127.0.0.2';

/** One that belongs to nobody: no Indian number begins with 0. */
export const TEST_NUMBER = '+910000004821';
export const TEST_CODE = '708213';
export const CLIENT_SECRET = randomBytes(32).toString('hex');
const HOOK_SECRET = randomBytes(32).toString('base64');
const ADMIN_TOKEN = randomBytes(32).toString('hex');
export const BASIC = `Basic ${Buffer.from(`shop:${CLIENT_SECRET}`).toString('base64')}`;
export const CONFIG = `
  [[clients]]
  id = "web"
  audience = "api"
  scopes = ["phone"]

  [[clients]]
  id = "shop"
  audience = "api"
  secret_hash = "${secretHash(CLIENT_SECRET)}"
  may_introspect = true
  # One SMS is half of it, so that somebody is warned.
  messages_per_day = 2

  [[test_numbers]]
  phone_number = "${TEST_NUMBER}"
  code = "${TEST_CODE}"
`;
export const ENV = {
  OTP_AUTH__TELEMETRY__LOG_LEVEL: 'trace',
  OTP_AUTH__SECRETS__ADMIN_TOKEN: ADMIN_TOKEN,
  OTP_AUTH__ALERTS__WEBHOOK_SECRET: `whsec_${HOOK_SECRET}`,
  OTP_AUTH__GATEWAY__COOKIE: 'session',
  OTP_AUTH__OTP__RESEND_COOLDOWNS_SECONDS: '0',
  // As many as one code has, since StartMessaging sends three in 5 minutes.
  OTP_AUTH__LIMITS__PHONE__FAILURES_PER_DAY: '5',
  // Short, so that a provider that does not answer costs little time; a busy machine needs some.
  OTP_AUTH__STARTMESSAGING__TIMEOUT_MS: '1500',
};

/** The flows: each notes the secrets it met, as `[name, value]`, and makes sure that it happened. */
export class Flows {
  secrets = [
    ['the API key', API_KEY],
    ['the client secret', CLIENT_SECRET],
    ['the Basic header', BASIC],
    ['the admin token', ADMIN_TOKEN],
    ['the key of warnings', HOOK_SECRET],
    ['the key of warnings, decoded', Buffer.from(HOOK_SECRET, 'base64')],
    ...phoneForms(TEST_NUMBER),
    ['the code of the test number', TEST_CODE],
    ['the master key', MASTER_KEY],
    ['the master key, decoded', Buffer.from(MASTER_KEY, 'base64')],
    ['the forwarded address', FORWARDED_ADDRESS],
    ['the caller\'s address', CALLER_ADDRESS],
  ];
  requestIds = [];
  /** What operators were shown and told. */
  shown = [];
  #phones = 0;

  constructor(world) {
    this.world = world;
    this.secrets.push(['the database password', world.database.password]);
  }

  phone() {
    this.#phones += 1;
    const phone = `+9198760${String(10000 + this.#phones)}`;
    this.secrets.push(...phoneForms(phone));
    return phone;
  }

  idempotencyKey() {
    const key = `key-${randomBytes(12).toString('hex')}`;
    this.secrets.push(['an idempotency key', key]);
    return { 'idempotency-key': key };
  }

  async code(phone) {
    const code = await this.world.sandbox.code(phone);
    this.secrets.push([`the code to ${phone}`, code]);
    return code;
  }

  /** A POST that must be answered so. */
  async post(path, status, body, headers = {}) {
    const answer = await post(this.world.service.url + path, body, headers);
    assert.equal(answer.status, status, `${path}: ${JSON.stringify(answer.body)}`);
    this.note(path, answer.body);
    return answer;
  }

  /** Notes the secrets of an answer. */
  note(path, { request_id: id, access_token: token, refresh_token: refresh, device_receipt: receipt }) {
    if (id) this.requestIds.push(id);
    if (receipt) this.secrets.push([`a receipt from ${path}`, receipt]);
    if (refresh) this.secrets.push([`a refresh token from ${path}`, refresh]);
    if (token) this.secrets.push(...tokenForms(`a token from ${path}`, token));
  }

  /** A call of an operator that must be answered so. */
  async admin(method, path, status, json, token = ADMIN_TOKEN) {
    const url = `http://${this.world.service.adminAddress}${path}`;
    const answer = await call(method, url, { json, headers: { authorization: `Bearer ${token}` } });
    const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
    assert.equal(answer.status, status, `${method} ${path}: ${text}`);
    this.shown.push(text);
    return answer.body;
  }

  async send(phone, status = 201, headers = {}) {
    const { body } = await this.post(
      '/v1/otp/send', status, { phone_number: phone, client_id: 'web' }, headers);
    return body.request_id;
  }

  async v1() {
    const phone = this.phone();
    const spaced = phone.replace(/^(...)(.....)/, '$1 $2 ');
    const request_id = await this.send(spaced);
    await this.post('/v1/otp/resend', 200, { request_id });
    const code = await this.code(phone);
    await this.post('/v1/otp/verify', 401, { request_id, code: wrong(code) });
    await this.post('/v1/otp/verify', 400, { request_id, code: `${code}0` });
    const once = this.idempotencyKey();
    await this.post('/v1/otp/verify', 200, { request_id, code }, once);
    await this.post('/v1/otp/verify', 200, { request_id, code }, once);
    await this.post('/v1/otp/verify', 422, { request_id, code: wrong(code) }, once);
    await this.post('/v1/otp/verify', 400, { request_id, code });
    const report = await get(`${this.world.service.url}/v1/otp/${request_id}`);
    assert.equal(report.body.status, 'verified');

    const repeated = this.idempotencyKey();
    const other = this.phone();
    assert.equal(await this.send(other, 201, repeated), await this.send(other, 201, repeated));
    await this.code(other);
  }

  async tutorial() {
    const phone_number = this.phone();
    const sent = await this.post('/auth/send-otp/', 200, { phone_number, client_id: 'web' });
    const cookie = this.cookie(sent);
    const code = await this.code(phone_number);
    await this.post('/auth/verify-otp/', 401, { code: wrong(code) }, { cookie });
    await this.post('/auth/verify-otp/', 200, { code }, { cookie });
    await this.post('/auth/verify-otp/', 400, { code }, { cookie });
    await this.post('/auth/verify-otp/', 400, { code }, { cookie: `${cookie}A` });
    await this.post('/auth/send-otp/', 400, { phone_number: `${phone_number}x` });

    // The SMS is out although the provider did not say so: the cookie is given all the same.
    const other = this.phone();
    await this.world.sandbox.arm({ kind: 'reset_after_send' });
    const lost = await this.post('/auth/send-otp/', 504, { phone_number: other, client_id: 'web' });
    await this.post('/auth/verify-otp/', 200, { code: await this.code(other) }, { cookie: this.cookie(lost) });
  }

  cookie(answer) {
    const [cookie] = answer.headers.get('set-cookie').split(';');
    this.secrets.push(['the cookie', cookie.split('=')[1]]);
    return cookie;
  }

  async confidentialClient() {
    const phone_number = this.phone();
    const headers = { authorization: BASIC, 'x-forwarded-for': FORWARDED_ADDRESS };
    const { body } = await this.post('/v1/otp/send', 201, { phone_number }, headers);
    const code = await this.code(phone_number);
    const guess = { request_id: body.request_id, code };
    await this.post('/v1/otp/verify', 400, guess);
    await this.post('/v1/otp/verify', 401, guess, {
      authorization: `Basic ${Buffer.from(`shop:${CLIENT_SECRET}x`).toString('base64')}`,
    });
    await this.post('/v1/otp/verify', 200, guess, headers);
  }

  async malformed() {
    const phone = this.phone();
    const url = `${this.world.service.url}/v1/otp/send`;
    const json = { 'content-type': 'application/json' };
    for (const [status, body, headers] of [
      [400, `{"phone_number":"${phone}`, json],
      [400, `{"phone_number":${phone.slice(1)}}`, json],
      [400, `["${phone}"]`, json],
      [400, `{"phone_number":"${phone}","phone_number":"${phone}" ${phone}}`, json],
      [413, JSON.stringify({ phone_number: phone.repeat(2000) }), json],
      [415, `phone_number=${encodeURIComponent(phone)}`, { 'content-type': 'text/plain' }],
    ]) {
      assert.equal((await call('POST', url, { body, headers })).status, status, body.slice(0, 80));
    }
    await this.post('/v1/otp/send', 400, { phone_number: `${phone}12345`, client_id: 'web' });
    await this.post('/v1/otp/send', 403, { phone_number: '+918022334455', client_id: 'web' });
    await this.post('/v1/otp/send', 401, { phone_number: phone, client_id: phone.slice(1) });
    await this.post(`/v1/otp/send/${phone}`, 404, { phone_number: phone });
    for (const path of [`/v1/otp/${phone}`, `/${phone}`, `/v1/otp/send?to=${phone}`, `/problems/${phone}`]) {
      assert.ok((await get(this.world.service.url + path)).status >= 400, path);
    }
    await this.notHttp(phone);
  }

  /** What no HTTP client would send, from an address of its own. */
  async notHttp(phone) {
    const { hostname: host, port } = new URL(this.world.service.url);
    for (const text of [
      `POST /v1/otp/send ${phone} HTTP/1.1\r\n\r\n`,
      `POST /v1/otp/send HTTP/1.1\r\nhost: a\r\n${phone}\r\n\r\n`,
      `POST /v1/otp/send HTTP/1.1\r\nhost: a\r\ncontent-length: ${phone}\r\n\r\n`,
      `POST /v1/otp/send HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${phone}\r\n`,
    ]) {
      const socket = connect({ host, port, localAddress: CALLER_ADDRESS });
      socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
      await once(socket, 'connect');
      socket.end(text);
      socket.resume();
      await once(socket, 'close');
    }
  }

  async faults() {
    for (const [kind, status] of Object.entries({
      slow: 504,
      hang: 504,
      reset_before: 504,
      reset_after_send: 504,
      http_500: 502,
      http_502_html: 502,
      throttled: 503,
      number_cooling: 429,
      insufficient_balance: 503,
      unauthorized: 503,
      suspended: 503,
      address_not_allowed: 503,
      kyc_pending: 503,
      validation_error: 502,
      invalid_input: 502,
      send_failed: 502,
      send_failed_after_send: 502,
      garbage: 502,
    })) {
      const phone = this.phone();
      await this.world.service.untilProviderIsCalled();
      await this.world.sandbox.arm({ kind, delay_ms: 10_000 });
      await this.send(phone, status);
      const messages = await this.world.sandbox.messages(phone);
      if (messages.length > 0) await this.code(phone);
    }
    await this.world.sandbox.stop();
    await this.send(this.phone(), 503);
  }
}

export function wrong(code) {
  return `${code.slice(0, 5)}${(Number(code[5]) + 1) % 10}`;
}

/** Who is told of spending. */
export class Alarm {
  static async listen() {
    const alarm = new Alarm();
    alarm.heard = new Promise((resolve) => {
      alarm.server = createServer((request, answer) => {
        const chunks = [];
        request.on('data', (chunk) => chunks.push(chunk));
        request.on('end', () => {
          answer.writeHead(204).end();
          resolve(JSON.stringify(request.headers) + Buffer.concat(chunks));
        });
      });
    });
    alarm.server.listen(0, '127.0.0.1');
    await once(alarm.server, 'listening');
    alarm.url = `http://127.0.0.1:${alarm.server.address().port}/`;
    return alarm;
  }

  /** The first warning, with its headers. */
  rang() {
    return soon(this.heard, 'a spending warning');
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}
