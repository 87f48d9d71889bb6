// What the guard, known devices, test numbers and operators do, for `Flows` to note.

import assert from 'node:assert/strict';

import { TEST_CODE, TEST_NUMBER, wrong } from './flows.mjs';

/** Logs in; the answer to the right code. */
async function logIn(flows, phone) {
  const request_id = await flows.send(phone);
  const code = await flows.code(phone);
  const { body } = await flows.post('/v1/otp/verify', 200, { request_id, code });
  return body;
}

/** Tries wrong codes until the phone is locked. */
async function lock(flows, phone) {
  const request_id = await flows.send(phone);
  const code = wrong(await flows.code(phone));
  for (let tries = 0; tries < 5; tries += 1) {
    await flows.post('/v1/otp/verify', 401, { request_id, code });
  }
}

/** A device that logged in before, by field and by cookie. */
export async function knownDevices(flows) {
  const phone = flows.phone();
  const { device_receipt } = await logIn(flows, phone);
  await lock(flows, phone);
  await flows.send(phone, 429);
  const known = { phone_number: phone, client_id: 'web', device_receipt };
  const { body: { request_id } } = await flows.post('/v1/otp/send', 201, known);
  const code = await flows.code(phone);
  await flows.post('/v1/otp/verify', 401, { request_id, code: wrong(code), device_receipt });
  await flows.post('/v1/otp/verify', 200, { request_id, code, device_receipt });
  await flows.post('/v1/otp/send', 429, { ...known, device_receipt: `${device_receipt}A` });

  const other = flows.phone();
  const body = { phone_number: other, client_id: 'web' };
  const cookie = flows.cookie(await flows.post('/auth/send-otp/', 200, body));
  const answer = await flows.post(
    '/auth/verify-otp/', 200, { code: await flows.code(other) }, { cookie });
  const device = answer.headers.getSetCookie().find((text) => text.startsWith('otp_device='));
  const [pair] = device.split(';');
  flows.secrets.push(['the cookie of a device', pair.split('=')[1]]);
  await flows.post('/auth/send-otp/', 200, body, { cookie: pair });
}

/** No SMS, and every use told of. */
export async function testNumbers(flows) {
  const request_id = await flows.send(TEST_NUMBER);
  await flows.post('/v1/otp/verify', 401, { request_id, code: wrong(TEST_CODE) });
  await flows.post('/v1/otp/verify', 200, { request_id, code: TEST_CODE });
}

/** Block and allow lists. */
export async function rules(flows) {
  const blocked = flows.phone();
  const rule = (kind, value, verdict) => ({ kind, value, verdict, reason: 'reported as fraud' });
  const made = [];
  for (const [kind, value, verdict] of [
    ['phone', blocked, 'block'],
    ['prefix', '+9198760', 'allow'],
    ['network', '198.51.100.0/24', 'block'],
  ]) {
    made.push(await flows.admin('POST', '/admin/v1/rules', 201, rule(kind, value, verdict)));
  }
  await flows.send(blocked, 403);
  await flows.admin('GET', '/admin/v1/rules', 200);
  await flows.admin('POST', '/admin/v1/rules', 400, { ...rule('phone', blocked, 'block'), reason: blocked });
  await flows.admin('POST', '/admin/v1/rules', 400, rule('phone', `${blocked}00000`, 'block'));
  for (const { id } of made) {
    await flows.admin('GET', `/admin/v1/rules/${id}`, 200);
    await flows.admin('DELETE', `/admin/v1/rules/${id}`, 204);
  }
}

/** Both switches, and what they turned away. */
export async function switches(flows) {
  const set = (name, on) => flows.admin(
    'PUT', `/admin/v1/switches/${name}`, 200, { on, reason: 'an attack' });
  for (const [name, status] of [['kill', 503], ['emergency', 429]]) {
    await set(name, true);
    const answer = await flows.post(
      '/v1/otp/send', status, { phone_number: flows.phone(), client_id: 'web' });
    await flows.admin('GET', `/admin/v1/decisions/${answer.body.decision_id}`, 200);
    await set(name, false);
  }
  await flows.admin('GET', '/admin/v1/switches', 200);
}

/** Looked up, unlocked, erased. */
export async function people(flows) {
  const phone = flows.phone();
  const { subject } = await logIn(flows, phone);
  const about = { phone_number: phone };
  await flows.admin('POST', '/admin/v1/phones/lookup', 200, about);
  await flows.admin('POST', '/admin/v1/phones/unlock', 200, { ...about, reason: 'seen at the counter' });
  await flows.admin('DELETE', `/admin/v1/users/${subject}`, 204);
  await flows.admin('DELETE', `/admin/v1/users/${subject}`, 404);
}

/** Numbers where none belongs, and a token that is none. */
export async function malformed(flows) {
  const phone = flows.phone();
  await flows.admin('DELETE', `/admin/v1/users/${phone}`, 404);
  await flows.admin('GET', `/admin/v1/decisions/${phone}`, 404);
  await flows.admin('GET', `/admin/v1/audit?phone=${encodeURIComponent(phone)}`, 400);
  await flows.admin('POST', '/admin/v1/phones/lookup', 400, { phone_number: `${phone}x` });
  await flows.admin('GET', '/admin/v1/audit', 401, undefined, phone);
  const receipt = { phone_number: phone, client_id: 'web', device_receipt: [phone] };
  await flows.post('/v1/otp/send', 400, receipt);
}

/** The audit log as it is read and exported. */
export async function records(flows) {
  const { events } = await flows.admin('GET', '/admin/v1/audit?limit=1000', 200);
  const actions = new Set(events.map((event) => event.action));
  const told = ['otp.send', 'otp.verify', 'phone.lock', 'rule.set', 'switch.set', 'admin.denied', 'user.erase'];
  for (const action of told) {
    assert.ok(actions.has(action), action);
  }
  const lines = await flows.admin('GET', '/admin/v1/audit/export', 200);
  assert.ok(lines.trim().split('\n').length >= events.length);
}
