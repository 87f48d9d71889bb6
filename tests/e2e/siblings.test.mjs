// The example services of examples/ and the walk of docs/siblings.md, against the real service. Prints a
// table of every example and case.

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { SignJWT } from 'jose';

import { call, get, post } from './support/http.mjs';
import { logIn } from './support/login.mjs';
import { environment, file, output } from './support/program.mjs';
import { ISSUER, World, secretHash } from './support/service.mjs';
import { startSiblings } from './support/sibling.mjs';
import { importKey, resigned } from './support/signing_key.mjs';
import { bent, payload, signedWithPublicKey, unsigned } from './support/tokens.mjs';

const SECRET = randomBytes(20).toString('hex');
const CONFIG = `
  ${readFileSync(file('docs/examples/orders.toml'), 'utf8').replace('sha256:...', secretHash(SECRET))}

  [[clients]]
  id = "plain"
  audience = "orders"

  [[clients]]
  id = "billing"
  audience = "billing"
  scopes = ["orders:read"]
`;
const NAMES = ['sibling.rs', 'sibling.py', 'sibling.mjs'];

let world, siblings, key, jwk, settings, phones = 0;
const someone = () => `+9198764${10000 + (phones += 1)}`;
const table = {};

before(async () => {
  world = await World.start({ config: CONFIG });
  ({ privateKey: key, jwk } = await importKey(world, 'ours'));
  settings = {
    OTP_AUTH_URL: world.service.url, ISSUER, AUDIENCE: 'orders', CLIENT_ID: 'orders', CLIENT_SECRET: SECRET,
  };
  siblings = await startSiblings(settings);
});
after(async () => {
  await siblings?.stop();
  await world?.stop();
  console.table(table);
});

const bearer = (token) => ({ headers: { authorization: `Bearer ${token}` } });
const orders = (name, token) => get(`${siblings.urls[name]}/orders`, token ? bearer(token) : {});
const login = (name, phone_number) => post(`${siblings.urls[name]}/login`, { phone_number });
const verify = (name, body) => post(`${siblings.urls[name]}/login/verify`, body);

/** A token as otp-auth makes them, but for the changes. */
const mint = (token, changes, changedHeader) => (
  resigned(token, key, { jti: randomUUID(), ...changes }, changedHeader)
);

/** Refused, and how: the status, and the challenge up to what differs between libraries. */
const refusal = ({ status, headers }) => [status, headers.get('www-authenticate')?.split(',')[0]];
const INVALID = [401, 'Bearer error="invalid_token"'];
const problem = ({ status, headers, body }) => [status, body.code, headers.get('content-type')];
const PROBLEM = 'application/problem+json';

for (const name of NAMES) {
  describe(name, () => {
    let phone, request_id, token;
    /** A cell of the table: what is told, against what must be. */
    const cell = (what, run, expected) => test(what, async () => {
      (table[what] ??= {})[name] = 'WRONG';
      assert.deepEqual(await run(), expected);
      table[what][name] = Array.isArray(expected) ? expected[0] : expected;
    });

    cell('login', async () => {
      phone = someone();
      const answer = await login(name, phone);
      ({ request_id } = answer.body);
      return [answer.status, answer.headers.get('cache-control')];
    }, [201, 'no-store']);
    cell('login again at once', async () => {
      const answer = await login(name, phone);
      assert.ok(Number(answer.headers.get('retry-after')) > 0);
      assert.ok(answer.headers.has('ratelimit'));
      assert.equal(answer.body.limit, 'cooldown');
      return problem(answer);
    }, [429, 'rate_limited', PROBLEM]);
    cell('no phone number', async () => problem(await login(name, '12')), [400, 'invalid_phone_number', PROBLEM]);
    cell('wrong code', async () => {
      const right = await world.sandbox.code(phone);
      const code = right === '000000' ? '000001' : '000000';
      const answer = await verify(name, { request_id, code });
      assert.equal(answer.body.attempts_remaining, 4);
      return problem(answer);
    }, [401, 'otp_incorrect', PROBLEM]);
    cell('right code', async () => {
      const answer = await verify(name, { request_id, code: await world.sandbox.code(phone) });
      token = answer.body.access_token;
      return answer.status;
    }, 200);
    cell('orders', async () => {
      const { status, body } = await orders(name, token);
      return [status, body];
    }, [200, { get orders_of() { return payload(token).sub; } }]);
    cell('no token', async () => refusal(await orders(name)), [401, 'Bearer']);
    for (const [what, forge] of [
      ['payload changed', () => bent(token, 1)],
      ['signature changed', () => bent(token, 2)],
      ['alg none', () => unsigned(token)],
      ['HS256 with the public key', () => signedWithPublicKey(token, jwk)],
      ['unknown kid', () => mint(token, {}, { kid: 'nobody' })],
      ['expired', () => mint(token, { exp: Math.floor(Date.now() / 1000) - 60 })],
      ['another issuer', () => mint(token, { iss: `${ISSUER}/` })],
      ['another type', () => mint(token, {}, { typ: 'JWT' })],
    ]) cell(what, async () => refusal(await orders(name, await forge())), INVALID);
    cell('minted like these, but good', async () => (await orders(name, await mint(token))).status, 200);
    cell('another audience', async () => {
      const { access_token } = await logIn(world.service, world.sandbox, someone(), 'billing');
      return refusal(await orders(name, access_token));
    }, INVALID);
    cell('no scope', async () => {
      const { access_token } = await logIn(world.service, world.sandbox, someone(), 'plain');
      return refusal(await orders(name, access_token));
    }, [403, 'Bearer error="insufficient_scope"']);

    cell('logged out', async () => {
      const { access_token } = await logIn(world.service, world.sandbox, someone(), 'plain');
      const own = await mint(access_token, { scope: 'orders:read' });
      assert.equal((await orders(name, own)).status, 200);
      const ended = await call('DELETE', `${world.service.url}/v1/sessions`, bearer(access_token));
      assert.equal(ended.status, 204);
      const limit = AbortSignal.timeout(5_000);
      let answer;
      while ((answer = await orders(name, own)).status === 200) limit.throwIfAborted();
      return refusal(answer);
    }, INVALID);
  });
}

test('the walk of docs/siblings.md', async () => {
  const phone = someone();
  const env = environment({ ...settings });
  // A person reads the inbox meanwhile.
  const inbox = `${world.sandbox.url}/sandbox/messages?phone=${encodeURIComponent(phone)}`;
  const typed = 'until code=$(curl -sf "$0" | jq -er ".[0].code"); do :; done; echo "$code"';
  const script = `bash -c '${typed}' "$INBOX" | "$WALK" "$PHONE"`;
  const WALK = file('docs/examples/login.sh');
  const told = await output('bash', ['-o', 'pipefail', '-c', script], {
    env: { ...env, INBOX: inbox, WALK, PHONE: phone },
  });
  assert.match(told, /^logged in as [0-9a-f-]{36}\nrefreshed, for 900 s\nlogged out\n$/m);
});

describe('while otp-auth is away', () => {
  let token;
  before(async () => {
    const { access_token } = await logIn(world.service, world.sandbox, someone(), 'plain');
    token = await mint(access_token, { scope: 'orders:read' });
    await world.service.stop();
  });
  for (const name of NAMES) {
    test(name, async () => {
      const row = (what) => (table[what] ??= {});
      row('login while away')[name] = row('orders while away')[name] = 'WRONG';
      const answers = [await login(name, someone()), await verify(name, { request_id: randomUUID(), code: '123456' })];
      assert.deepEqual(answers.map(({ status }) => status), [502, 502]);
      row('login while away')[name] = 502;
      assert.equal((await orders(name, token)).status, 200);
      row('orders while away')[name] = 200;
    });
  }
});

test('what is sent to an otp-auth that never answers, and what is made of that', async (t) => {
  const asked = new Map();
  const silent = createServer((request, response) => {
    if (request.url === '/v1/otp/send') asked.set(request.headers['idempotency-key'], request.headers);
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => [silent.closeAllConnections(), silent.close()]);
  const lost = await startSiblings({ ...settings, OTP_AUTH_URL: `http://127.0.0.1:${silent.address().port}` });
  t.after(lost.stop);
  const token = await new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'ours', typ: 'at+jwt' }).sign(key);
  await Promise.all(NAMES.map(async (name) => {
    const headers = { 'idempotency-key': name, 'x-forwarded-for': '203.0.113.7' };
    const { status } = await post(`${lost.urls[name]}/login`, { phone_number: someone(), scope: 'x' }, headers);
    assert.equal(status, 504, name);
    const told = asked.get(name);
    assert.equal(told['x-forwarded-for'], '203.0.113.7, 127.0.0.1', name);
    assert.equal(told.authorization, `Basic ${Buffer.from(`orders:${SECRET}`).toString('base64')}`, name);
    assert.equal((await get(`${lost.urls[name]}/orders`, bearer(token))).status, 503, `${name} without keys`);
    (table['login while it hangs'] ??= {})[name] = 504;
    (table['orders without keys'] ??= {})[name] = 503;
  }));
});

test('nothing that must stay secret is printed', async () => {
  for (const program of siblings.programs) {
    const said = program.lines.map(({ text }) => text).join('\n');
    for (const secret of [SECRET, /eyJ/, /9198764/, /rt_/]) assert.doesNotMatch(said, new RegExp(secret));
  }
});

test('each example is short: lines that are neither blank nor a comment', () => {
  for (const name of [...NAMES, 'revocations.py', 'revocations.mjs']) {
    const lines = readFileSync(file(`examples/${name}`), 'utf8').split('\n');
    const code = lines.filter((line) => line.trim() && !/^\s*(\/\/|#|""")/.test(line));
    assert.ok(code.length < 60, `${name}: ${code.length}`);
  }
});
