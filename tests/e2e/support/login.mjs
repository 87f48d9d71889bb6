// A phone that logs in, and stays so.

import assert from 'node:assert/strict';

import { post, postForm } from './http.mjs';

/** Logs a phone in at a service; the answer to the right code. */
export async function logIn(service, sandbox, phone_number, client_id = 'web') {
  const ask = async (path, body) => good(await post(service.url + path, body));
  const { request_id } = await ask('/v1/otp/send', { phone_number, client_id });
  const code = await sandbox.code(phone_number);
  return ask('/v1/otp/verify', { request_id, code, client_id });
}

/** Refreshes tokens, as OAuth has it; the answer. */
export async function refresh(service, refresh_token, client_id = 'web') {
  const fields = { grant_type: 'refresh_token', refresh_token, client_id };
  return good(await postForm(`${service.url}/v1/token`, fields));
}

function good({ status, body }) {
  assert.ok(status === 200 || status === 201, `${status}: ${JSON.stringify(body)}`);
  return body;
}
