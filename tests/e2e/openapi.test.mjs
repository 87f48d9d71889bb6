// The OpenAPI document as others read it: a linter, and a tester that makes whatever calls it allows and holds
// the answers against it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { environment, run } from './support/program.mjs';
import { World, secretHash } from './support/service.mjs';

const path = (file) => fileURLToPath(new URL(file, import.meta.url));
/** Redocly's own. */
const NODE = [20, 19];

test('the documents are such that a linter has nothing against them', { skip: nodeIsOld() }, async () => {
  const env = environment({ REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' });
  const documents = ['openapi', 'admin-openapi'].map((name) => path(`../../docs/${name}.json`));
  const args = ['lint', '--config', path('openapi/redocly.yaml'), ...documents];

  const { code, stdout, stderr } = await run(path('node_modules/.bin/redocly'), args, { env });

  assert.equal(code, 0, stdout + stderr);
});

function nodeIsOld() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return (major < NODE[0] || (major === NODE[0] && minor < NODE[1])) && `redocly needs Node.js ${NODE.join('.')}`;
}

describe('a service that is called as its document says', () => {
  const CODE = '708213';
  const SECRET = randomBytes(32).toString('hex');
  // They belong to nobody: no Indian number begins with 0.
  const NUMBERS = Array.from({ length: 50 }, (_, index) => `+91000000${1000 + index}`);
  const CONFIG = `
    [[clients]]
    id = "shop"
    audience = "api"
    scopes = ["phone"]
    secret_hash = "${secretHash(SECRET)}"
    may_introspect = true
  ` + NUMBERS.map((number) => `
    [[test_numbers]]
    phone_number = "${number}"
    code = "${CODE}"
  `).join('');
  // What hides the rest: a phone that got its share, or whose owner mistypes, or that must wait.
  const ENV = {
    OTP_AUTH__LIMITS__PHONE__SENDS_PER_5_MINUTES: '0',
    OTP_AUTH__LIMITS__PHONE__SENDS_PER_HOUR: '0',
    OTP_AUTH__LIMITS__PHONE__SENDS_PER_DAY: '0',
    OTP_AUTH__LIMITS__PHONE__FAILURES_PER_DAY: '0',
    OTP_AUTH__OTP__RESEND_COOLDOWNS_SECONDS: '0',
  };
  let world;
  before(async () => {
    world = await World.start({ config: CONFIG, env: ENV });
  });
  after(() => world?.stop());

  for (const [phases, what] of [
    ['examples,coverage,fuzzing', 'answers each call as it is told'],
    ['stateful', 'answers calls that follow links as it is told'],
  ]) {
    test(what, async () => {
      const { url } = world.service;
      const env = environment({
        SCHEMATHESIS_HOOKS: path('openapi/hooks.py'),
        PYTHONDONTWRITEBYTECODE: '1',
        HYPOTHESIS_STORAGE_DIRECTORY: world.directory,
        SERVICE: url,
        CLIENT_ID: 'shop',
        CLIENT_SECRET: SECRET,
        TEST_NUMBERS: NUMBERS.join(),
        TEST_CODE: CODE,
        PHASES: phases,
      });
      const args = [
        '--config-file', path('openapi/schemathesis.toml'), 'run', `${url}/openapi.json`,
        '--url', url, '--phases', phases, '--no-color',
      ];
      const program = join(dirname(process.env.OTP_AUTH_PYTHON), 'schemathesis');

      const { code, stdout, stderr } = await run(program, args, { env, patience: 150_000 });

      assert.equal(code, 0, stdout + stderr);
      const failures = world.service.log().filter(({ status }) => status >= 500);
      assert.deepEqual(failures, []);
    });
  }
});

describe('an admin listener that is called as its document says', () => {
  const TOKEN = randomBytes(32).toString('hex');
  let world;
  before(async () => {
    world = await World.start({ env: { OTP_AUTH__SECRETS__ADMIN_TOKEN: TOKEN } });
  });
  after(() => world?.stop());

  test('answers each call as it is told', async () => {
    const url = `http://${world.service.adminAddress}`;
    const env = environment({ HYPOTHESIS_STORAGE_DIRECTORY: world.directory });
    const args = [
      '--config-file', path('openapi/schemathesis-admin.toml'), 'run', `${url}/openapi.json`,
      '--url', url, '--phases', 'examples,coverage,fuzzing', '--no-color', '--header', `Authorization: Bearer ${TOKEN}`,
    ];
    const program = join(dirname(process.env.OTP_AUTH_PYTHON), 'schemathesis');

    const { code, stdout, stderr } = await run(program, args, { env, patience: 150_000 });

    assert.equal(code, 0, stdout + stderr);
    const failures = world.service.log().filter(({ status }) => status >= 500);
    assert.deepEqual(failures, []);
  });
});
