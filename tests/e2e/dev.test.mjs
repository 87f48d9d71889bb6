// `otp-auth dev`: the first five minutes of a stranger, with a PostgreSQL of its own.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { get, post } from './support/http.mjs';
import { OTP_AUTH, Program, environment, file, output, run } from './support/program.mjs';
import { ISSUER } from './support/service.mjs';
import { bent, jose, pyjwt } from './support/tokens.mjs';

const ENVIRONMENT = environment({
  OTP_AUTH__SERVER__BIND: '127.0.0.1:0',
  OTP_AUTH__SERVER__ADMIN_BIND: '127.0.0.1:0',
});

/** Starts it and waits for the end of its welcome. */
async function startDev(directory) {
  const args = ['dev', '--directory', directory, '--sandbox-bind', '127.0.0.1:0'];
  const program = new Program(OTP_AUTH, args, { env: ENVIRONMENT, group: true });
  await program.line(/^Ctrl-C stops everything/);
  const welcome = program.text('stdout');
  const address = (name) => new RegExp(`^  ${name} +(http:\\S+)`, 'm').exec(welcome)[1];
  const commands = (heading) => welcome.split(`${heading}:\n\n`)[1].split('\n\n')[0];
  return {
    program,
    service: address('service'),
    admin: address('admin'),
    inbox: address('inbox'),
    commands: [commands('Send a code'), commands('Read it in the inbox, and verify it')],
    jwks: /tokens are checked with: (\S+)/.exec(welcome)[1],
  };
}

/** The processes whose command line mentions a directory. */
async function processesOf(directory) {
  const found = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(directory)) found.push(`${pid} ${line.replaceAll('\0', ' ')}`);
  }
  return found;
}

describe('otp-auth dev', () => {
  let parent, directory, dev, printed;
  const facts = (tokens, other = {}) => (
    { jwks: dev.jwks, issuer: ISSUER, audience: 'api', tokens, ...other }
  );

  before(async () => {
    parent = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
    // PostgreSQL's own account must be able to pass through.
    await chmod(parent, 0o755);
    directory = join(parent, 'state');
    dev = await startDev(directory);
    // What a person would paste, into the shell that most people have.
    const shell = await run('bash', [], { input: dev.commands.join('\n') });
    assert.equal(shell.code, 0, shell.stderr);
    const [id, code, answer, ...rest] = shell.stdout.split('\n').filter(Boolean);
    printed = { id, code, answer: JSON.parse(answer), rest, errors: shell.stderr };
  });

  after(async () => {
    await dev?.program.stop();
    // Where that account cannot pass through, the data lies elsewhere behind a link.
    const elsewhere = await readlink(join(directory, 'postgres')).catch(() => null);
    for (const path of [elsewhere, parent]) {
      if (path) await rm(path, { recursive: true, force: true });
    }
  });

  test('prints commands that send a code and turn it into a token', async () => {
    assert.match(printed.id, /^[0-9a-f-]{36}$/);
    assert.match(printed.code, /^\d{6}$/);
    assert.equal(printed.answer.verified, true);
    assert.equal(printed.answer.token_type, 'Bearer');
    assert.deepEqual([printed.rest, printed.errors], [[], '']);
  });

  test('prints addresses that answer', async () => {
    const page = await get(dev.inbox);
    assert.match(page.body, /SMS inbox/);
    assert.equal((await get(`${dev.admin}/readyz`)).status, 200);
    assert.equal((await get(dev.jwks)).body.keys.length, 1);
    assert.equal((await get(`${dev.service}/v1/otp/${printed.id}`)).body.status, 'verified');
  });

  for (const [name, check] of Object.entries({ PyJWT: pyjwt, jose })) {
    test(`gives a token that ${name} believes`, async () => {
      const [{ claims, refused }] = await check(facts([printed.answer.access_token]));
      assert.equal(refused, undefined);
      assert.equal(claims.iss, ISSUER);
      assert.equal(claims.aud, 'api');
      assert.equal(claims.client_id, 'web');
      assert.equal(claims.sub, printed.answer.subject);
      assert.equal(claims.sid, printed.answer.session_id);
      assert.deepEqual(claims.amr, ['otp', 'sms']);
      assert.equal(claims.exp - claims.iat, printed.answer.expires_in);
      assert.ok(!('phone_number' in claims));
    });
  }

  test('gives a token that neither believes when a bit of it is changed', async () => {
    const token = printed.answer.access_token;
    const changed = facts([bent(token, 1), bent(token, 2)]);
    const badSignature = (refused) => [{ refused }, { refused }];
    assert.deepEqual(await pyjwt(changed), badSignature('InvalidSignatureError'));
    assert.deepEqual(await jose(changed), badSignature('ERR_JWS_SIGNATURE_VERIFICATION_FAILED'));
  });

  test('gives a token that neither believes for another audience, issuer or use', async () => {
    const verdicts = async (other) => {
      const asked = facts([printed.answer.access_token], other);
      return [...await pyjwt(asked), ...await jose(asked)].map(({ refused }) => refused);
    };
    const claim = (name) => `ERR_JWT_CLAIM_VALIDATION_FAILED ${name}`;
    assert.deepEqual(
      await verdicts({ audience: 'other' }), ['InvalidAudienceError', claim('aud')]);
    assert.deepEqual(
      await verdicts({ issuer: `${ISSUER}/` }), ['InvalidIssuerError', claim('iss')]);
    const [idToken] = await jose(facts([printed.answer.access_token], { typ: 'JWT' }));
    assert.deepEqual(idToken, { refused: claim('typ') });
  });

  test('does what README shows', async () => {
    const readme = await readFile(file('README.md'), 'utf8');
    const blocks = (language) => (
      [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => text)
    );
    const [send, verify] = blocks('sh').filter((text) => text.startsWith('curl '));
    const phone = /\+91\d{10}/.exec(send)[0];
    // At our address, and to another number: that one waits after the printed commands.
    const shell = (text) => output('bash', ['-c', text.replace(ISSUER, dev.service)]);
    const sent = JSON.parse(await shell(send.replace(phone, '+919876543211')));
    const [{ code }] = (await get(`${dev.inbox}/sandbox/messages`)).body;
    const given = verify
      .replace(/(?<="request_id":")[^"]*/, sent.request_id)
      .replace(/(?<="code":")[^"]*/, code);
    const verified = JSON.parse(await shell(given));

    const shown = blocks('json').map((text) => Object.keys(JSON.parse(text)));
    assert.deepEqual([sent, verified].map(Object.keys), shown);
    const [python] = blocks('python');
    const script = `token = ${JSON.stringify(verified.access_token)}
${python.replace(`${ISSUER}/.well-known/jwks.json`, dev.jwks)}
print(claims["sub"])`;
    const subject = await output(process.env.OTP_AUTH_PYTHON, ['-c', script]);
    assert.equal(subject.trim(), verified.subject);
  });

  test('refuses a second one on its directory, and goes on itself', async () => {
    const args = ['dev', '--directory', directory, '--sandbox-bind', '127.0.0.1:0'];
    const second = await run(OTP_AUTH, args, { env: ENVIRONMENT });
    assert.equal(second.code, 1);
    assert.match(second.stderr, /^otp-auth: .*another/);
    assert.ok(second.stderr.includes(directory), second.stderr);
    assert.equal((await get(`${dev.admin}/readyz`)).status, 200);
  });

  test('stops at Ctrl-C without leaving a process, and knows its tokens when run again', async () => {
    const pidFile = await readFile(join(directory, 'postgres', 'postmaster.pid'), 'utf8');
    const postgres = pidFile.split('\n')[0];
    assert.ok(existsSync(`/proc/${postgres}`));
    assert.notDeepEqual(await processesOf(directory), []);

    dev.program.interrupt();
    assert.deepEqual(await dev.program.ended(), { code: 0, signal: null });
    assert.ok(!existsSync(`/proc/${postgres}`), 'PostgreSQL is still there');
    assert.deepEqual(await processesOf(directory), []);

    dev = await startDev(directory);
    const [{ claims }] = await jose(facts([printed.answer.access_token]));
    assert.equal(claims?.sub, printed.answer.subject);
    const again = await post(`${dev.service}/v1/otp/verify`, {
      request_id: printed.id, code: printed.code,
    });
    assert.equal(again.body.code, 'otp_request_expired');
  });
});

test('otp-auth dev tells which address is taken, and leaves no process', async (t) => {
  const parent = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
  t.after(() => rm(parent, { recursive: true }));
  await chmod(parent, 0o755);
  const directory = join(parent, 'state');
  const taken = new Program(OTP_AUTH, ['sandbox', '--bind', '127.0.0.1:0']);
  t.after(() => taken.stop());
  const [, address] = await taken.line(/^inbox: http:..(\S+)$/);

  const args = ['dev', '--directory', directory, '--sandbox-bind', address];
  const second = await run(OTP_AUTH, args, { env: ENVIRONMENT });

  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`the sandbox cannot listen on ${address}.*in use`));
  assert.deepEqual(await processesOf(directory), []);
});
