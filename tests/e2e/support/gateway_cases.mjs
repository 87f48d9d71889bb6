// What every gateway must do. A case makes its calls and returns the status to show, or throws.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { soon, until } from './program.mjs';
import { valuesOf } from './raw_call.mjs';
import { payload } from './tokens.mjs';

const IDENTITY = ['subject', 'session', 'client', 'scope', 'expires', 'phone'];
const REQUIRED = ['audience', 'scope', 'max-age'];
/** Seconds: a token's life, and what gateways allow for clocks. */
const TO_LIVE = 3;
const LEEWAY = 6;
const PREFLIGHT = [['Origin', 'https://shop.example'], ['Access-Control-Request-Method', 'POST']];

/** Every header that is about identity to some API, however it is spelt, as `[name, value]`. */
const identityIn = (headers) => headers.filter(([name]) => /^x[-_]auth[-_]/.test(name));

/** What an API is to see of a token. */
function identityOf({ kind }, token) {
  const { sub, sid, client_id: client, scope, exp, phone_number: phone } = payload(token);
  const expires = kind.tellsNoEnd ? undefined : new Date(exp * 1000).toISOString();
  const all = { subject: sub, session: sid, client, scope, expires, phone };
  return Object.entries(all)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [`x-auth-${name}`, String(value)]);
}

/** It has reached the API once, with the identity of this token, or with none. */
function passed({ gateway, answer, reached }, token) {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(reached.length, 1, 'calls of the API');
  // Whether an empty one is there is the same to an API.
  const told = identityIn(reached[0].headers).filter(([, value]) => value !== '');
  assert.deepEqual(told.sort(), token ? identityOf(gateway, token).sort() : []);
  return answer.status;
}

/** It has not reached the API. */
function refused({ answer, reached }, ...statuses) {
  assert.deepEqual(reached, [], 'calls of the API');
  assert.ok(statuses.includes(answer.status), `${answer.status}, not ${statuses}: ${answer.text}`);
  if (answer.status === 401) {
    const challenges = valuesOf(answer.headers, 'www-authenticate');
    assert.equal(challenges.length, 1, String(challenges));
    assert.match(challenges[0], /^Bearer\b/);
  }
  assert.deepEqual(identityIn(answer.headers), [], 'identity in the answer');
  return answer.status;
}

/** It has failed, in a way of the gateway's own. */
function failed(asked) {
  assert.ok(asked.answer.status >= 500, String(asked.answer.status));
  return refused(asked, asked.answer.status);
}

/** Runs something while the hook does not do what it should. */
async function whileHook(gateway, mode, body) {
  gateway.hook.mode = mode;
  if (mode === 'away') await gateway.hook.stop();
  try {
    return await body();
  } finally {
    gateway.hook.mode = 'pass';
    if (mode === 'away') await gateway.hook.start();
  }
}

/** Makes a call of which the hook must get no body, by whatever name. */
async function withoutBodyInHook(gateway, ask) {
  const before = gateway.hook.bytes();
  const asked = await ask();
  const calls = gateway.hook.taken();
  assert.deepEqual(calls.map(({ body }) => body), isHook(gateway) ? [''] : []);
  assert.ok(gateway.hook.bytes() - before < 10_000, 'bytes to the hook');
  return asked;
}

const isHook = ({ kind }) => kind.way === 'hook';
const forged = (spell) => [
  ...IDENTITY.map((name) => [spell(`X-Auth-${name}`), 'forged']),
  ...REQUIRED.map((name) => [spell(`X-Auth-Require-${name}`), 'forged']),
];
const SPELLINGS = {
  'in mixed case': (name) => name.replace(/[a-z]/g, (letter, at) => (at % 2 ? letter.toUpperCase() : letter)),
  'with underscores': (name) => name.replaceAll('-', '_'),
  'with one underscore': (name) => name.replace('-', '_'),
  'with another underscore': (name) => name.replace('X-Auth-', 'X-Auth_'),
};

/** A token that has a few seconds to live is good; `hasEnded` is for later. */
async function endsSoon(gateway, { sign }) {
  gateway.dying = await sign({ exp: Math.floor(Date.now() / 1000) + TO_LIVE });
  return passed(await gateway.ask({ token: gateway.dying }), gateway.dying);
}

/** A verdict must not be remembered for longer than the token lives. */
export async function hasEnded(gateway) {
  await until(payload(gateway.dying).exp + LEEWAY);
  return refused(await gateway.ask({ token: gateway.dying }), 401);
}

/** Without keys nobody gets in, and with them everybody does without a restart. */
export async function keysComeLate(gateway, { good }) {
  refused(await gateway.ask({ token: good }), 401);
  gateway.hook.mode = 'pass';
  return passed(await gateway.ask({ token: good }), good);
}

/** Who has cached the keys may not know a new one; HAProxy must be told. */
export async function newKey(gateway, token) {
  if (!gateway.kind.reload) {
    const asked = await gateway.ask({ token });
    return gateway.kind.keepsKeys ? refused(asked, 401) : passed(asked, token);
  }
  refused(await gateway.ask({ token }), 401);
  await gateway.kind.reload(gateway);
  const wait = async () => { while ((await gateway.ask({ token })).answer.status !== 200); };
  await soon(wait(), 'a token signed with the new key to be good');
  return passed(await gateway.ask({ token }), token);
}

/** HAProxy calls a key by the name of its file, which is no secret. */
export async function signedWithFileName(gateway, { signedWith }) {
  const map = await readFile(join(gateway.directory, 'otp-auth', 'keys.map'), 'utf8');
  const names = map.trim().split('\n').map((line) => line.split(' ')[1]);
  assert.notDeepEqual(names, []);
  for (const secret of [...names, '', '0']) refused(await gateway.ask({ token: signedWith(secret) }), 401);
  return 401;
}

/** By name: what it does with `(gateway, tokens)`. */
export const CASES = {
  'good token': async (gateway, { good }) => passed(await gateway.ask({ token: good }), good),
  'good token, signed here': async (gateway, { resigned }) => (
    passed(await gateway.ask({ token: resigned }), resigned)),
  'no phone, no scope': async (gateway, { plain }) => passed(await gateway.ask({ token: plain }), plain),
  'several audiences': async (gateway, { many }) => passed(await gateway.ask({ token: many }), many),
  'ends in 3 s': endsSoon,
  'cookie': async (gateway, { plain }) => {
    const asked = await gateway.ask({ headers: [['Cookie', `a=b; session=${plain}; c=d`]] });
    return isHook(gateway) ? passed(asked, plain) : refused(asked, 401);
  },
  'no token': async (gateway) => refused(await gateway.ask(), 401),
  'another audience': async (gateway, { elsewhere }) => {
    const asked = await gateway.ask({ token: elsewhere });
    const why = valuesOf(asked.answer.headers, 'www-authenticate');
    if (isHook(gateway)) {
      assert.equal(why.length, 1, String(why));
      assert.match(why[0], /^Bearer realm="otp-auth", error="insufficient_scope"/);
    }
    return refused(asked, gateway.kind.otherAudience ?? 403);
  },
  'refresh token': async (gateway, { refresh }) => refused(await gateway.ask({ token: refresh }), 401),
};

for (const what of [
  'expired', 'of another issuer', 'of another type', 'of no type', 'with an unknown kid',
  'signed by another key', 'with its payload bent', 'with its signature bent', 'unsigned',
  'signed with the public key',
]) {
  CASES[what] = async (gateway, tokens) => {
    const status = /type/.test(what) ? gateway.kind.otherType ?? 401 : 401;
    return refused(await gateway.ask({ token: tokens[what] }), status);
  };
}

Object.assign(CASES, {
  'session has ended': async (gateway, { revoked }) => {
    const asked = await gateway.ask({ token: revoked });
    // Who checks by himself cannot know.
    return isHook(gateway) ? refused(asked, 401) : passed(asked, revoked);
  },

  'two tokens': async (gateway, { good, plain }) => {
    const two = (...tokens) => tokens.map((token) => ['Authorization', `Bearer ${token}`]);
    refused(await gateway.ask({ headers: two(good, 'x') }), 400, 401);
    refused(await gateway.ask({ headers: two('x', good) }), 400, 401);
    return refused(await gateway.ask({ headers: two(good, plain) }), 400, 401);
  },

  'forged, no token': async (gateway) => refused(await gateway.ask({ headers: forged(String) }), 401),
  'forged': async (gateway, { plain }) => {
    const headers = forged(String);
    return passed(await gateway.ask({ token: plain, headers }), plain);
  },
  'forged twice': async (gateway, { plain }) => {
    const headers = [...forged(String), ...forged(String)];
    return passed(await gateway.ask({ token: plain, headers }), plain);
  },
});

for (const [how, spell] of Object.entries(SPELLINGS)) {
  CASES[`forged ${how}`] = async (gateway, { plain }) => {
    const asked = await gateway.ask({ token: plain, headers: forged(spell) });
    return asked.answer.status === 400 ? refused(asked, 400) : passed(asked, plain);
  };
}

Object.assign(CASES, {
  // A proxy drops the headers that this names.
  'Connection: X-Auth-Subject': async (gateway, { good }) => {
    let status;
    for (const name of ['X-Auth-Subject', 'x-auth-phone', 'close, X-AUTH-SCOPE']) {
      const asked = await gateway.ask({ token: good, headers: [['Connection', name]] });
      status = asked.answer.status === 400 ? refused(asked, 400) : passed(asked, good);
    }
    return status;
  },
  'Connection: X_Auth_Subject': async (gateway, { plain }) => {
    const headers = [['Connection', 'X_Auth_Subject'], ...forged((name) => name.replaceAll('-', '_'))];
    const asked = await gateway.ask({ token: plain, headers });
    return asked.answer.status === 400 ? refused(asked, 400) : passed(asked, plain);
  },

  // An API's own parameters are not options of the hook.
  'query': async (gateway, { plain }) => {
    const path = '/orders/1?audience=mine&scope=all&max_age=0&x=%2Fa%20b';
    const asked = await gateway.ask({ token: plain, path });
    assert.equal(asked.reached[0]?.path, path);
    return passed(asked, plain);
  },
  'query, another audience': async (gateway, { elsewhere }) => {
    const path = '/orders/1?audience=billing-api';
    return refused(await gateway.ask({ token: elsewhere, path }), gateway.kind.otherAudience ?? 403);
  },
  'token in the query': async (gateway, { good }) => (
    refused(await gateway.ask({ path: `/orders/1?access_token=${good}` }), 401)),
  'other paths': async (gateway) => {
    for (const path of ['/orders/../other', '/orders/%2e%2e/other', '//other', '/other/../orders/1']) {
      refused(await gateway.ask({ path }), 400, 401, 404);
    }
    return refused(await gateway.ask({ path: '/other' }), 401, 404);
  },

  'POST': async (gateway, { good }) => {
    const body = JSON.stringify({ note: 'x'.repeat(100_000) });
    const asked = await withoutBodyInHook(gateway, () => gateway.ask({ token: good, method: 'POST', body }));
    const status = passed(asked, good);
    const [{ method, body: got }] = asked.reached;
    assert.deepEqual([method, got === body], ['POST', true]);
    return status;
  },
  'POST, no token': async (gateway) => {
    const body = 'x'.repeat(100_000);
    return refused(await withoutBodyInHook(gateway, () => gateway.ask({ method: 'POST', body })), 401);
  },
  'other methods': async (gateway, { good }) => {
    for (const method of ['DELETE', 'PATCH', 'PUT']) {
      const asked = await gateway.ask({ token: good, method });
      passed(asked, good);
      assert.equal(asked.reached[0].method, method);
    }
    return refused(await gateway.ask({ method: 'DELETE' }), 401);
  },

  'CORS preflight': async (gateway) => {
    const asked = await gateway.ask({ method: 'OPTIONS', headers: PREFLIGHT });
    assert.equal(asked.reached[0]?.method, 'OPTIONS');
    return passed(asked);
  },
  'CORS preflight, forged': async (gateway) => {
    const headers = [...PREFLIGHT, ...forged(String)];
    return passed(await gateway.ask({ method: 'OPTIONS', headers }));
  },
  'OPTIONS, no preflight': async (gateway) => {
    refused(await gateway.ask({ method: 'OPTIONS', headers: PREFLIGHT.slice(1) }), 401);
    return refused(await gateway.ask({ method: 'OPTIONS' }), 401);
  },
  'preflight by another method': async (gateway) => {
    const said = ['X-Original-Method', 'X-Forwarded-Method', 'X-HTTP-Method-Override'];
    const headers = [...PREFLIGHT, ...said.map((name) => [name, 'OPTIONS'])];
    return refused(await gateway.ask({ headers }), 401);
  },
});

/** With otp-auth away: the hook's gateways let nobody in, the others live on with the keys they have. */
Object.assign(CASES, {
  'otp-auth is away': async (gateway, { good }) => whileHook(gateway, 'away', async () => {
    const asked = await gateway.ask({ token: good });
    return isHook(gateway) ? failed(asked) : passed(asked, good);
  }),
  'otp-auth hangs': async (gateway, { good }) => whileHook(gateway, 'hang', async () => {
    const asked = await gateway.ask({ token: good });
    return isHook(gateway) ? failed(asked) : passed(asked, good);
  }),
  'otp-auth fails': async (gateway, { good }) => {
    let status;
    for (const mode of [302, 404, 429, 500]) {
      status = await whileHook(gateway, mode, async () => {
        const asked = await gateway.ask({ token: good });
        if (!isHook(gateway)) return passed(asked, good);
        return refused(asked, mode, 500, 502, 503);
      });
    }
    return status;
  },
  'otp-auth is back': async (gateway, { good }) => passed(await gateway.ask({ token: good }), good),
});
