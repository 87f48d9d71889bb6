// Calls whose headers are sent as they stand: twice, in any case, hop by hop, as attackers would.

import { request } from 'node:http';

import { soon } from './program.mjs';

/** One call: `{ status, headers, text }`, the headers as pairs. `headers` are pairs, too. */
export function rawCall(port, { method = 'GET', path = '/', headers = [], body = '' } = {}) {
  const length = body ? [['Content-Length', Buffer.byteLength(body)]] : [];
  const all = [['Host', `127.0.0.1:${port}`], ...headers, ...length];
  const answer = new Promise((resolve, reject) => {
    const call = request({
      host: '127.0.0.1', port, method, path, agent: false, headers: all.flat().map(String),
    });
    call.on('error', reject);
    call.on('response', async (response) => {
      try {
        const chunks = [];
        for await (const chunk of response) chunks.push(chunk);
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode, headers: pairs(response.rawHeaders), text });
      } catch (error) {
        reject(error);
      }
    });
    call.end(body);
  });
  return soon(answer, `an answer to ${method} ${path} from port ${port}`);
}

/** The status of a call; nothing where nobody listens. */
export async function statusOf(port, path) {
  try {
    return (await rawCall(port, { path })).status;
  } catch (error) {
    if (error.code !== 'ECONNREFUSED') throw error;
    return undefined;
  }
}

/** Raw headers, as Node.js has them, as pairs with names in lower case. */
export function pairs(raw) {
  const found = [];
  for (let at = 0; at < raw.length; at += 2) found.push([raw[at].toLowerCase(), raw[at + 1]]);
  return found;
}

/** All values of one header. */
export const valuesOf = (headers, name) => (
  headers.filter(([one]) => one === name).map(([, value]) => value)
);
