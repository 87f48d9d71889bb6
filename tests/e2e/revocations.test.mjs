// How long a session that ended at one replica still passes the hook of another: measured and printed, over
// two programs and one database.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { logIn } from './support/login.mjs';
import { World } from './support/service.mjs';

const SESSIONS = 60;
const CONFIG = `
  [[clients]]
  id = "web"
  audience = "api"
`;
const env = {
  OTP_AUTH__LIMITS__PHONE__SENDS_PER_5_MINUTES: '0',
  OTP_AUTH__LIMITS__PHONE__SENDS_PER_HOUR: '0',
  OTP_AUTH__LIMITS__PHONE__SENDS_PER_DAY: '0',
  OTP_AUTH__OTP__RESEND_COOLDOWNS_SECONDS: '0',
  OTP_AUTH__TOKENS__SESSIONS_PER_USER: '1000',
};

let world, replicas;

before(async () => {
  world = await World.start({ config: CONFIG, env });
  replicas = [world.service, await world.another({})];
});
after(() => world.stop());

const bearer = (token) => ({ authorization: `Bearer ${token}` });

/** The hook's answer. Its connections are kept, as a gateway's are. */
async function passes(service, token) {
  const { status } = await fetch(`${service.url}/v1/authorize`, { headers: bearer(token) });
  assert.ok(status === 200 || status === 401, `${status}`);
  return status === 200;
}

test('a session that ended is refused by the other replica, too', async (t) => {
  const waits = [];
  for (let n = 0; n < SESSIONS; n += 1) {
    const [one, other] = n % 2 ? replicas : [...replicas].reverse();
    const { access_token: token } = await logIn(one, world.sandbox, `+9198765${43210 + n}`);
    assert.ok(await passes(other, token), 'it passes first');
    const sent = performance.now();
    const ended = await fetch(`${one.url}/v1/sessions`, { method: 'DELETE', headers: bearer(token) });
    assert.equal(ended.status, 204);
    assert.ok(!(await passes(one, token)), 'whoever answered refuses at once');
    const limit = AbortSignal.timeout(30_000);
    while (await passes(other, token)) limit.throwIfAborted();
    waits.push(performance.now() - sent);
  }
  waits.sort((a, b) => a - b);
  const ms = (value) => `${value.toFixed(1)} ms`;
  t.diagnostic(
    `revocation latency over two replicas, from the call that ends the session to the other's refusal: ` +
      `median ${ms(waits[SESSIONS / 2])}, worst ${ms(waits[SESSIONS - 1])} of ${SESSIONS}`,
  );
});
