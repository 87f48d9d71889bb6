// Calls as a backend makes them.

import { PATIENCE } from './program.mjs';

/** One call: `{ status, headers, body }`, the body parsed where it is JSON. */
export async function call(method, url, { json, body, headers = {} } = {}) {
  const answer = await fetch(url, {
    method,
    headers: json === undefined ? headers : { 'content-type': 'application/json', ...headers },
    body: json === undefined ? body : JSON.stringify(json),
    redirect: 'manual',
    signal: AbortSignal.timeout(PATIENCE),
  });
  const text = await answer.text();
  const isJson = /[/+]json\b/.test(answer.headers.get('content-type') ?? '');
  return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(text) : text };
}

export const get = (url, options) => call('GET', url, options);
export const post = (url, json, headers) => call('POST', url, { json, headers });

/** A form, as OAuth has it. */
export const postForm = (url, fields, headers) => (
  call('POST', url, { body: new URLSearchParams(fields), headers })
);
