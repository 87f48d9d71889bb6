// The gateways of deploy/gateways/, each in front of an API and with a real service: who gets through, as whom,
// and what of a client's own words does. It ends with a table of what was seen.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';

import {
  CASES, hasEnded, keysComeLate, newKey, signedWithFileName,
} from './support/gateway_cases.mjs';
import { CLIENTS, makeTokens, revoke } from './support/gateway_tokens.mjs';
import { GATEWAYS, Gateway, version } from './support/gateways.mjs';
import { logIn } from './support/login.mjs';
import { file } from './support/program.mjs';
import { World } from './support/service.mjs';
import { importKey } from './support/signing_key.mjs';

/** As the recipes have it. */
const ISSUER = 'https://auth.example.com';
const HAS_ENDED = 'ended 6 s ago';
const LATE_KEYS = 'keys come late';
const NEW_KEY = 'new key';
const CASE_NAMES = [...Object.keys(CASES), HAS_ENDED, LATE_KEYS, NEW_KEY];

const label = ({ name, way }) => `${name}, ${way}`;
/** By gateway: its version, and the status that each case ended with. */
const seen = new Map(GATEWAYS.map((kind) => [label(kind), {}]));
const running = new Map();
let world, tokens;

before(async () => {
  const env = { OTP_AUTH__SERVER__ISSUER: ISSUER, OTP_AUTH__GATEWAY__COOKIE: 'session' };
  world = await World.start({ config: CLIENTS, env });
  tokens = await makeTokens(world);
  await revoke(world.service, tokens.revoked);
});
after(async () => {
  await Promise.all([...running.values()].map((gateway) => gateway.stop()));
  await world?.stop();
  console.log(table(['version', ...CASE_NAMES]));
});

/** Fills one cell of the table. */
async function fill(kind, name, run) {
  const cells = seen.get(label(kind));
  cells[name] = 'WRONG';
  cells[name] = await run();
}

for (const kind of GATEWAYS) {
  describe(label(kind), () => {
    before(async () => {
      await fill(kind, 'version', () => version(kind));
      running.set(label(kind), await Gateway.start(kind, world.service));
    });
    for (const [name, run] of Object.entries(CASES)) {
      test(name, () => fill(kind, name, () => run(running.get(label(kind)), tokens)));
    }
  });
}

test('HAProxy takes no file name for a secret', () => {
  const kind = GATEWAYS.find(({ name, way }) => name === 'HAProxy' && way === 'keys');
  return signedWithFileName(running.get(label(kind)), tokens);
});

describe('a gateway that starts while otp-auth fails', () => {
  // HAProxy has its keys in files.
  for (const kind of GATEWAYS.filter(({ way, prepare }) => way === 'keys' && !prepare)) {
    test(label(kind), async (t) => {
      const gateway = await Gateway.start(kind, world.service, 500);
      t.after(() => gateway.stop());
      await fill(kind, LATE_KEYS, () => keysComeLate(gateway, tokens));
    });
  }
});

// Last, because it has to wait for what is left of their lives.
describe('a token that has ended since it was let in', () => {
  for (const kind of GATEWAYS) {
    test(label(kind), () => fill(kind, HAS_ENDED, () => hasEnded(running.get(label(kind)))));
  }
});

// After all others: from here on the service signs with another key.
describe('a token signed with a key that is new', () => {
  let token;
  before(async () => {
    await importKey(world, 'next');
    token = (await logIn(world.service, world.sandbox, '+919876500006')).access_token;
  });
  for (const kind of GATEWAYS) {
    test(label(kind), () => fill(kind, NEW_KEY, () => newKey(running.get(label(kind)), token)));
  }
});

test('docs/gateways.md shows what was seen', async () => {
  const page = await readFile(file('docs/gateways.md'), 'utf8');
  const shown = table(CASE_NAMES).replace(/^/gm, '    ');
  assert.ok(page.includes(`\n\n${shown}\n\n`), `it should show\n\n${shown}`);
});

/** A row a case, a column a gateway. */
function table(names) {
  const columns = [...seen.values()];
  const rows = names.map((name) => [name, ...columns.map((cells) => String(cells[name] ?? '-'))]);
  rows.unshift(['', ...GATEWAYS.map(({ name }) => name)], ['', ...GATEWAYS.map(({ way }) => way)]);
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)));
  return rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at])).join('  ').trimEnd()).join('\n');
}
