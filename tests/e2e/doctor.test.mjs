// otp-auth doctor: what it says of a deployment as a whole, and by which exit code.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Authority } from './support/certificates.mjs';
import { OTP_AUTH, file, run } from './support/program.mjs';
import { leaks } from './support/search.mjs';
import { API_KEY, MASTER_KEY, World } from './support/service.mjs';

const ADMIN_TOKEN = 'an-admin-token-of-the-tests-0123456789';

/** Serves on a free port: its address and how to end it. */
async function serve(server, scheme = 'http') {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = () => {
    server.closeAllConnections?.();
    server.close();
  };
  return { url: `${scheme}://127.0.0.1:${server.address().port}`, stop };
}

describe('otp-auth doctor', () => {
  let world;
  before(async () => {
    world = await World.start({ env: { OTP_AUTH__SECRETS__ADMIN_TOKEN: ADMIN_TOKEN } });
  });
  after(() => world?.stop());

  /** Looks at the world's service, with the settings that it has. */
  async function doctor(args, env = {}) {
    const at = ['--issuer-url', world.service.url, '--timeout', '30'];
    const ended = await run(OTP_AUTH, ['doctor', ...at, ...args], {
      env: { ...world.env, OTP_AUTH__SERVER__ADMIN_BIND: world.service.adminAddress, ...env },
    });
    const secrets = [
      ['the master key', MASTER_KEY],
      ['the admin token', ADMIN_TOKEN],
      ['the key of the account', API_KEY],
      ['the password of the database', world.database.password],
      ['a token', 'eyJ'],
    ].filter(([, secret]) => secret);
    assert.deepEqual(leaks(ended.stdout + ended.stderr, secrets), []);
    return ended;
  }

  test('finds nothing that fails where nothing does', async () => {
    const { code, stdout, stderr } = await doctor([]);

    assert.deepEqual([code, stderr], [0, ''], stdout);
    const lines = stdout.trimEnd().split('\n');
    for (const line of lines) assert.match(line, /^(ok  |warn|skip)  [a-z_.]+ +\S/);
    const names = lines.map((line) => line.split(/ +/)[1]);
    for (const name of ['database.listen', 'vendor.key', 'issuer.jwks', 'keys.next', 'service.ready']) {
      assert.ok(names.includes(name), name);
    }
  });

  test('ends with 1 where something fails, and says what, also in JSON', async () => {
    const wrong = { OTP_AUTH__STARTMESSAGING__CODE_OWNER: 'vendor' };
    const { code, stdout, stderr } = await doctor(['--json'], wrong);

    assert.deepEqual([code, stderr], [1, '']);
    const report = JSON.parse(stdout);
    assert.equal(report.level, 'fail');
    const failed = report.checks.filter(({ level }) => level === 'fail');
    assert.deepEqual(failed.map(({ name }) => name), ['vendor.mode']);
    assert.match(failed[0].advice, /code_owner = "service"/);
    const ofLevel = (level) => report.checks.filter((check) => check.level === level).length;
    for (const level of ['ok', 'warn', 'fail', 'skip']) assert.equal(report[level], ofLevel(level));

    const text = await doctor([], wrong);
    assert.equal(text.code, 1);
    assert.match(text.stdout, /^FAIL {2}vendor\.mode .* {2}-> set startmessaging\.code_owner/m);
  });

  test('names every fault of the settings, and looks at what needs none', async () => {
    const { code, stdout } = await doctor([], {
      OTP_AUTH__OTP__TTL_SECONDS: '601',
      OTP_AUTH__SECRETS__MASTER_KEY: 'c2hvcnQ=',
    });
    assert.equal(code, 1);
    assert.match(stdout, /^FAIL {2}configuration .*otp\.ttl_seconds/m);
    assert.match(stdout, /^FAIL {2}configuration .*secrets\.master_key/m);
    assert.match(stdout, /^skip {2}database\.reach +needs the configuration$/m);
    assert.match(stdout, /^ok {4}issuer\.jwks /m);
  });

  test('ends with 2 where it is not understood', async () => {
    for (const [args, complaint] of [
      [['--gateway', 'nowhere'], /is not an address/],
      [['--gateway', 'http://me:a-word@127.0.0.1/'], /must not hold a user name or password/],
      [['--audience', 'api'], /--gateway/],
      [['--gateway', world.service.url, '--client', 'none'], /no client "none"/],
      [['--gateway', world.service.url, '--audience', 'none'], /the audience "none"/],
      [['--replicas', '0'], /--replicas/],
      [['--unknown'], /--unknown/],
    ]) {
      const { code, stdout, stderr } = await doctor(args);
      assert.deepEqual([code, stdout], [2, ''], args.join(' '));
      assert.match(stderr, complaint);
    }
  });

  test('tells a gateway that is right from one that is open', async (t) => {
    const asks = await serve(createServer(async ({ headers }, answer) => {
      const { authorization } = headers;
      const hook = `${world.service.url}/v1/authorize?audience=api`;
      const { status } = await fetch(hook, { headers: authorization ? { authorization } : {} });
      answer.writeHead(status).end();
    }));
    t.after(asks.stop);
    const open = await serve(createServer((_, answer) => answer.end()));
    t.after(open.stop);
    const cells = ({ stdout }) => JSON.parse(stdout).checks
      .filter(({ name }) => name.startsWith('gateway.') && name !== 'gateway.tokens')
      .map(({ name, level, seen }) => [name.slice('gateway.'.length), level, /: (\d+), /.exec(seen)?.[1]]);

    const right = await doctor(['--json', '--gateway', `${asks.url}/orders`, '--audience', 'api']);
    assert.equal(right.code, 0, right.stdout);
    const [good, ...bad] = cells(right);
    assert.deepEqual(good, ['good', 'ok', '200']);
    assert.equal(bad.length, 11);
    for (const [name, level] of bad) assert.equal(level, 'ok', name);
    assert.match(right.stdout, /refused \d+ ms after/);

    const readme = await readFile(file('README.md'), 'utf8');
    const [, shown] = /\$ otp-auth doctor .*\n([^]*?)```/.exec(readme);
    const names = JSON.parse(right.stdout).checks.map(({ name }) => name);
    assert.deepEqual(shown.trimEnd().split('\n').map((line) => line.split(/ +/)[1]), names);

    const jwks = ['--json', '--gateway', `${open.url}/orders`, '--way', 'jwks'];
    const wrong = await doctor(jwks);
    assert.equal(wrong.code, 1);
    const failed = cells(wrong).filter(([, level]) => level === 'fail');
    assert.deepEqual(failed.map(([name]) => name), [
      'no_token', 'spoofed_subject', 'expired', 'wrong_audience', 'tampered_payload',
      'tampered_signature', 'alg_none', 'public_key_as_secret', 'unknown_key', 'wrong_type',
    ]);
    assert.match(wrong.stdout, /they name nobody/);
    const minted = "SELECT count(*) FROM audit_events WHERE action = 'doctor.mint'";
    assert.equal(await world.database.ask(minted), '2');
  });

  describe('over TLS', () => {
    let directory, authority;
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'otp-auth-doctor-'));
      authority = await Authority.create(directory);
    });
    after(() => rm(directory, { recursive: true, force: true }));

    for (const [what, name, days, isKnown, seen] of [
      ['good', 'IP:127.0.0.1', [-1, 1], true, 'it answers 404'],
      ['unknown', 'IP:127.0.0.1', [-1, 1], false, 'from an authority that this machine does not know'],
      ['misnamed', 'DNS:other.example', [-1, 1], true, 'the certificate is for another name'],
      ['expired', 'IP:127.0.0.1', [-9, -8], true, 'the certificate has expired'],
      ['early', 'IP:127.0.0.1', [8, 9], true, 'the certificate is not valid yet'],
    ]) {
      test(`explains a certificate that is ${what}`, async (t) => {
        const certificate = await authority.issue(what, name, days);
        const answer = (_, response) => response.writeHead(404).end();
        const server = await serve(createTlsServer(certificate, answer), 'https');
        t.after(server.stop);
        const env = isKnown ? { SSL_CERT_FILE: authority.file } : {};
        const at = ['doctor', '--timeout', '30', '--issuer-url', server.url];
        const { code, stdout } = await run(OTP_AUTH, at, { env: { ...world.env, ...env } });
        assert.equal(code, 1);
        assert.match(stdout, new RegExp(`^FAIL {2}issuer\\.metadata .*${seen}.* -> `, 'm'));
      });
    }
  });
});
