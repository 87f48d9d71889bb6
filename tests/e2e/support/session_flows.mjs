// What sessions, their tokens and the signing keys do, for `Flows` to note.

import assert from 'node:assert/strict';

import { BASIC, CLIENT_SECRET } from './flows.mjs';
import { call, get, postForm } from './http.mjs';

/** Of a phone that logs in, which only its owner is shown. */
const USER_AGENT = 'Pocket-Telephone/7.3';

async function logIn(flows) {
  const phone = flows.phone();
  const request_id = await flows.send(phone);
  const code = await flows.code(phone);
  const headers = { 'user-agent': USER_AGENT };
  const { body } = await flows.post('/v1/otp/verify', 200, { request_id, code }, headers);
  return { ...body, phone };
}

/** A form call that must be answered so. */
async function form(flows, path, status, fields, headers = {}) {
  const answer = await postForm(flows.world.service.url + path, fields, headers);
  assert.equal(answer.status, status, `${path}: ${JSON.stringify(answer.body)}`);
  flows.note(path, answer.body);
  return answer.body;
}

const refresh = (flows, status, refresh_token) => form(
  flows, '/v1/token', status, { grant_type: 'refresh_token', client_id: 'web', refresh_token });

/** A call with an access token. */
async function bearer(flows, method, path, status, token) {
  const url = flows.world.service.url + path;
  const answer = await call(method, url, { headers: { authorization: `Bearer ${token}` } });
  assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** Refreshed, replayed, and used once too often. */
export async function refreshes(flows) {
  const login = await logIn(flows);
  const next = await refresh(flows, 200, login.refresh_token);
  const same = await refresh(flows, 200, login.refresh_token);
  assert.equal(same.refresh_token, next.refresh_token);
  const json = { refresh_token: next.refresh_token, client_id: 'web' };
  const { body: last } = await flows.post('/v1/token/refresh', 200, json);
  await refresh(flows, 400, `${last.refresh_token}A`);
  await refresh(flows, 400, login.access_token);
  await flows.post('/v1/token/refresh', 401, { ...json, refresh_token: `x${last.refresh_token}` });
  // As if the grace were over.
  await flows.world.database.ask('UPDATE spent_refresh_tokens SET spent_at = spent_at - interval \'1 minute\'');
  await refresh(flows, 400, login.refresh_token);
  await refresh(flows, 400, last.refresh_token);
}

/** Looked at, asked about, revoked and ended, by the user, by a client and by an operator. */
export async function sessions(flows) {
  const login = await logIn(flows);
  const token = login.access_token;
  const listed = await bearer(flows, 'GET', '/v1/sessions', 200, token);
  assert.equal(listed.sessions[0].user_agent, USER_AGENT);
  flows.secrets.push(['the user agent', USER_AGENT], ['the address prefix', listed.sessions[0].address_prefix]);
  const { phone_number } = await bearer(flows, 'GET', '/v1/userinfo', 200, token);
  assert.equal(phone_number, login.phone);
  await bearer(flows, 'GET', '/v1/userinfo', 401, `${token}x`);
  await bearer(flows, 'GET', '/v1/userinfo', 401, login.refresh_token);

  const basic = { authorization: BASIC };
  const ask = { token };
  const told = await form(flows, '/v1/token/introspect', 200, ask, basic);
  assert.equal(told.active, true);
  const proof = { client_id: 'shop', client_secret: CLIENT_SECRET };
  await form(flows, '/v1/token/introspect', 200, { ...ask, ...proof });
  await form(flows, '/v1/token/introspect', 401, { ...ask, ...proof, client_secret: `${CLIENT_SECRET}x` });
  await form(flows, '/v1/token/revoke', 200, { token: login.refresh_token, client_id: 'web' });
  await bearer(flows, 'GET', '/v1/sessions', 401, token);

  const other = await logIn(flows);
  const sub = other.subject;
  await flows.admin('GET', `/admin/v1/users/${sub}/sessions`, 200).then(() => flows.shown.pop());
  await flows.admin('DELETE', `/admin/v1/users/${sub}/sessions`, 200);
  const third = await logIn(flows);
  await bearer(flows, 'DELETE', `/v1/sessions/${third.session_id}`, 204, third.access_token);
}

/** Asked about by a gateway, which sends on what its clients wrote, and followed by a verifier. */
export async function gateway(flows) {
  const { access_token: token, phone } = await logIn(flows);
  const hook = async (status, path, headers) => {
    const answer = await call('POST', `${flows.world.service.url}/v1/authorize${path}`, { headers });
    assert.equal(answer.status, status, `${path}: ${JSON.stringify(answer.body)}`);
    return answer.headers;
  };
  const authorization = `Bearer ${token}`;
  const told = await hook(200, '', { authorization });
  assert.equal(told.get('x-auth-phone'), phone);
  await hook(200, '', { cookie: `session=${token}` });
  // What a client wrote, which must not be read, let alone written down.
  await hook(200, `/${phone}/${token}?phone=${phone}&access_token=${token}`, { authorization });
  await hook(401, `/?access_token=${token}`, {});
  await hook(401, '', { authorization: `${authorization}x` });
  await hook(401, '', { authorization: `${authorization}, ${authorization}` });
  await hook(403, '?scope=admin', { authorization });
  await form(flows, '/v1/token/revoke', 200, { token, client_id: 'web' });
  await hook(401, '', { authorization });
  const feed = await get(`${flows.world.service.url}/v1/revocations`, { headers: { authorization: BASIC } });
  assert.notEqual(feed.body.revocations.length, 0);
}

/** Rotated, and one revoked whose tokens live. */
export async function keys(flows) {
  const login = await logIn(flows);
  const { kid } = JSON.parse(Buffer.from(login.access_token.split('.')[0], 'base64url'));
  await flows.admin('GET', '/admin/v1/keys', 200);
  await flows.admin('POST', '/admin/v1/keys/rotate', 200, { reason: 'a drill', now: true });
  await flows.admin('POST', `/admin/v1/keys/${kid}/revoke`, 200, { reason: 'a drill' });
  await flows.admin('GET', `/admin/v1/keys/${kid}/sessions`, 200);
  const again = await refresh(flows, 200, login.refresh_token);
  assert.notEqual(again.access_token.split('.')[0], login.access_token.split('.')[0]);
}
