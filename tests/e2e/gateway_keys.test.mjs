// deploy/gateways/haproxy/jwks_to_pem.py, as an operator's cron runs it.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { file, run } from './support/program.mjs';
import { pem } from './support/tokens.mjs';

const SCRIPT = file('deploy/gateways/haproxy/jwks_to_pem.py');
/** How it ends: with new files, without, and without keys. */
const [CHANGED, SAME, FAILED] = [0, 3, 1];

const jwk = (kid, type, options) => (
  { ...generateKeyPairSync(type, options).publicKey.export({ format: 'jwk' }), kid });
const ec = jwk('one', 'ec', { namedCurve: 'P-256' });
// It names no file and no command.
const rsa = jwk('../../"\\two', 'rsa', { modulusLength: 3072 });
const ed = jwk('three', 'ed25519');

let server, directory, body;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
  server = createServer((_, answer) => answer.writeHead(body ? 200 : 500).end(body)).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(async () => {
  server?.close();
  if (directory) await rm(directory, { recursive: true });
});

/** Runs it with a JWKS. */
async function make(jwks, into = directory) {
  body = typeof jwks === 'string' ? jwks : JSON.stringify({ keys: jwks });
  const url = `http://127.0.0.1:${server.address().port}/jwks.json`;
  const { code, stdout } = await run('python3', [SCRIPT, url, into]);
  assert.equal(stdout, '');
  return code;
}

/** The map's lines, each `[key, text of its PEM]`. */
async function keys() {
  const lines = (await readFile(join(directory, 'keys.map'), 'utf8')).trim().split('\n');
  return Promise.all(lines.map(async (line) => {
    const [key, path] = line.split(' ');
    return [key, await readFile(path, 'utf8')];
  }));
}

test('makes the PEMs that HAProxy knows', async () => {
  assert.equal(await make([ec, rsa, ed]), CHANGED);
  assert.deepEqual(await keys(), [[`ES256:${ec.kid}`, pem(ec)], [`RS256:${rsa.kid}`, pem(rsa)]]);
});

test('says that nothing has changed', async () => {
  assert.equal(await make([ec, rsa, ed]), SAME);
});

test('keeps what it has when there are no keys', async () => {
  const had = await keys();
  for (const bad of ['', '{', '{}', [], [ed], [{ kty: 'EC' }], [ec, { ...rsa, n: 5 }], [{ ...ec, kid: 'a b' }]]) {
    assert.equal(await make(bad), FAILED, JSON.stringify(bad));
    assert.deepEqual(await keys(), had);
  }
});

test('follows a rotation', async () => {
  const next = jwk('next', 'ec', { namedCurve: 'P-256' });
  assert.equal(await make([next, ec]), CHANGED);
  assert.deepEqual(await keys(), [['ES256:next', pem(next)], ['ES256:one', pem(ec)]]);
  assert.equal(await make([next]), CHANGED);
  const files = await readdir(directory);
  assert.equal(files.filter((name) => name.endsWith('.pem')).length, 1, String(files));
});
