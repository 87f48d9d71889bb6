// What docs/tokens.md shows, run as it stands there: tests/readme.rs holds the text to these files.

import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { after, before, describe, test } from 'node:test';

import { logIn } from './support/login.mjs';
import { environment, run } from './support/program.mjs';
import { ISSUER, World } from './support/service.mjs';
import { bent } from './support/tokens.mjs';

const CONFIG = `
  [[clients]]
  id = "web"
  audience = "api"
`;
const EXAMPLES = fileURLToPath(new URL('../../docs/examples', import.meta.url));
const MODULES = fileURLToPath(new URL('node_modules', import.meta.url));

describe('docs/tokens.md', () => {
  let world, directory, login;

  before(async () => {
    world = await World.start({ config: CONFIG });
    // Where they find jose, as in a project that has installed it.
    directory = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
    await symlink(MODULES, join(directory, 'node_modules'));
    for (const name of ['verify.mjs', 'refresh.mjs']) {
      await copyFile(join(EXAMPLES, name), join(directory, name));
    }
    login = await logIn(world.service, world.sandbox, '+919876511111');
  });
  after(async () => {
    await world?.stop();
    if (directory) await rm(directory, { recursive: true });
  });

  const programs = {
    'verify.py': () => [process.env.OTP_AUTH_PYTHON, join(EXAMPLES, 'verify.py')],
    'verify.mjs': () => [
      process.execPath,
      ...process.execArgv.filter((flag) => flag.includes('webcrypto')),
      join(directory, 'verify.mjs'),
    ],
    'verify.rs': () => [join(dirname(process.env.OTP_AUTH_PROGRAM), 'examples', 'verify')],
  };
  for (const [name, program] of Object.entries(programs)) {
    test(`${name} lets a good token in, and no other (security.md 23, 25, 27 and 28)`, async () => {
      const verdict = async (token, more = {}) => {
        const [command, ...args] = program();
        const env = environment({
          ISSUER, AUDIENCE: 'api', JWKS_URL: `${world.service.url}/.well-known/jwks.json`, ...more,
        });
        const { code, stdout, stderr } = await run(command, [...args, token], { env });
        assert.equal(code === 0, stderr === '', stderr);
        if (code !== 0) assert.match(stderr, /^refused: /);
        return code === 0 && stdout.trim();
      };
      const token = login.access_token;
      const [header, payload, signature] = token.split('.');
      const retyped = (changes) => {
        const json = { ...JSON.parse(Buffer.from(header, 'base64url')), ...changes };
        return Buffer.from(JSON.stringify(json)).toString('base64url');
      };

      assert.equal(await verdict(token), login.subject);
      for (const [why, bad, more] of [
        ['another payload', bent(token, 1)],
        ['another signature', bent(token, 2)],
        ['no signature', `${retyped({ alg: 'none' })}.${payload}.`],
        ['another type', `${retyped({ typ: 'JWT' })}.${payload}.${signature}`],
        ['an unknown key', `${retyped({ kid: 'x' })}.${payload}.${signature}`],
        ['another audience', token, { AUDIENCE: 'other' }],
        ['another issuer', token, { ISSUER: `${ISSUER}/x` }],
        ['a refresh token', login.refresh_token],
      ]) {
        assert.equal(await verdict(bad, more), false, why);
      }
    });
  }

  test('refresh.mjs refreshes once for twenty tabs (security.md 34), and knows when it is over', async () => {
    const { Session } = await import(pathToFileURL(join(directory, 'refresh.mjs')));
    const kept = new Map();
    const storage = {
      getItem: (name) => kept.get(name) ?? null,
      setItem: (name, value) => kept.set(name, value),
      removeItem: (name) => kept.delete(name),
    };
    // What navigator.locks does in a browser.
    let last = Promise.resolve();
    const locks = { request: (_, work) => (last = last.catch(() => {}).then(work)) };
    let now = Date.now();
    const tabs = Array.from({ length: 20 }, () => new Session({
      issuer: world.service.url, clientId: 'web', storage, locks, loggedOut: () => 'logged out', now: () => now,
    }));
    const tokens = () => Promise.all(tabs.map((tab) => tab.accessToken()));
    const user = await logIn(world.service, world.sandbox, '+919876522222');
    tabs[0].keep(user);

    assert.deepEqual(new Set(await tokens()), new Set([user.access_token]));
    now += 880_000;
    const [first, ...others] = new Set(await tokens());
    assert.deepEqual(others, []);
    assert.notEqual(first, user.access_token);
    const spent = `SELECT count(*) FROM spent_refresh_tokens WHERE session_id = '${user.session_id}'`;
    assert.equal(await world.database.ask(spent), '1');
    now += 880_000;
    await world.database.ask(
      `UPDATE sessions SET ended_at = now(), ended_by = 'admin' WHERE id = '${user.session_id}'`);
    assert.deepEqual(new Set(await tokens()), new Set(['logged out']));
  });
});
