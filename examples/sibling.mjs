// A service with login by otp-auth: `npm install jose`.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { Revocations } from './revocations.mjs';

const { OTP_AUTH_URL: url, ISSUER: issuer = url, AUDIENCE: audience, CLIENT_ID, CLIENT_SECRET, PORT } = process.env;
const basic = `Basic ${Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString('base64')}`;
const PASSED_ON = ['content-type', 'cache-control', 'retry-after', 'ratelimit', 'ratelimit-policy'];
const keys = createRemoteJWKSet(new URL(`${url}/.well-known/jwks.json`), { cacheMaxAge: Infinity });
const renewing = setInterval(() => keys.reload().catch(() => {}), 300_000); // while it fails, the old ones serve
const [revocations, stop] = [new Revocations(), new AbortController()];
revocations.follow({ url, headers: { authorization: basic }, signal: stop.signal });

async function ask(request, path, pick) {
  if (!(Number(request.headers['content-length']) <= 4096)) return [413];
  const body = await json(request).then((sent) => JSON.stringify(pick(sent))).catch(() => undefined);
  if (!body) return [400];
  const headers = {
    authorization: basic,
    'content-type': 'application/json',
    'x-forwarded-for': [request.headers['x-forwarded-for'], request.socket.remoteAddress].filter(Boolean).join(', '),
    'idempotency-key': request.headers['idempotency-key'] ?? randomUUID(),
  };
  try {
    const answer = await fetch(url + path, { method: 'POST', headers, body, signal: AbortSignal.timeout(10_000) });
    const passed = PASSED_ON.filter((name) => answer.headers.has(name)).map((name) => [name, answer.headers.get(name)]);
    return [answer.status, Object.fromEntries(passed), await answer.text()];
  } catch (error) {
    return [error.name === 'TimeoutError' ? 504 : 502];
  }
}

async function orders(request) {
  const [, token] = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (!token) return [401, { 'www-authenticate': 'Bearer' }];
  try {
    const requiredClaims = ['sub', 'exp', 'iat', 'jti', 'client_id'];
    const rules = { issuer, audience, typ: 'at+jwt', algorithms: ['ES256', 'EdDSA', 'RS256'], clockTolerance: 5 };
    const { payload } = await jwtVerify(token, keys, { ...rules, requiredClaims });
    if (revocations.hold(payload)) return [401, { 'www-authenticate': 'Bearer error="invalid_token"' }];
    if (payload.scope?.split(' ').includes('orders:read')) return [200, {}, JSON.stringify({ orders_of: payload.sub })];
    return [403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="orders:read"' }];
  } catch (error) {
    const noKeys = /^ERR_(JOSE_GENERIC|JWKS_INVALID|JWKS_TIMEOUT)$/.test(error.code);
    if (noKeys || !(error instanceof errors.JOSEError)) return [503, { 'retry-after': '5' }];
    return [401, { 'www-authenticate': 'Bearer error="invalid_token"' }];
  }
}

const routes = {
  'POST /login': (request) => ask(request, '/v1/otp/send', ({ phone_number }) => ({ phone_number })),
  'POST /login/verify': (request) => ask(request, '/v1/otp/verify', ({ request_id, code }) => ({ request_id, code })),
  'GET /orders': orders,
};
const server = createServer(async (request, response) => {
  const [status, headers = {}, body] = await (routes[`${request.method} ${request.url}`]?.(request) ?? [404]);
  response.writeHead(status, body ? { 'content-type': 'application/json', ...headers } : headers).end(body);
}).listen(PORT, '127.0.0.1');
process.once('SIGTERM', () => [stop.abort(), clearInterval(renewing), server.close()]);
