// The service starts on a new machine from a backup and the master key, and what was true when the backup was
// made is true again. What happened afterwards is not known to it: that must do no harm.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { BASIC, CLIENT_SECRET } from './support/flows.mjs';
import { Database } from './support/database.mjs';
import { call, get, postForm } from './support/http.mjs';
import { logIn, refresh } from './support/login.mjs';
import { OTP_AUTH, Program, environment, file, output, run } from './support/program.mjs';
import { Service, World, secretHash } from './support/service.mjs';

const ADMIN = randomBytes(16).toString('hex');
const CONFIG = `
  [[clients]]
  id = "web"
  audience = "api"
  [[clients]]
  id = "shop"
  secret_hash = "${secretHash(CLIENT_SECRET)}"
  audience = "orders"
`;
const bearer = (token) => ({ headers: { authorization: `Bearer ${token}` } });
const feed = async (service, since = '0', wait = 0) => {
  const url = `${service.url}/v1/revocations?since=${since}&wait=${wait}`;
  return (await get(url, { headers: { authorization: BASIC } })).body;
};
const audit = async (service) => {
  const url = `http://${service.adminAddress}/admin/v1/audit?limit=100`;
  return (await get(url, bearer(ADMIN))).body.events.map(({ id }) => id);
};
const jwks = async (service) => (await get(`${service.url}/.well-known/jwks.json`)).body;
const end = async (service, { access_token: token }) => {
  const { status } = await call('DELETE', `${service.url}/v1/sessions`, bearer(token));
  assert.equal(status, 204);
};
const status = async (service, path, { access_token: token }) => (
  (await get(`${service.url}${path}`, bearer(token))).status
);
const refused = async (service, refresh_token) => {
  const fields = { grant_type: 'refresh_token', refresh_token, client_id: 'web' };
  const { status: told, body } = await postForm(`${service.url}/v1/token`, fields);
  assert.deepEqual([told, body.error], [400, 'invalid_grant']);
};

describe('a service that is restored from a backup', () => {
  let world, cluster, restored, service, env;
  // Logins by what became of them: before the backup, and after it.
  const kept = {}, ended = {}, endedLater = {}, refreshedLater = {}, later = {};
  // A role that every PostgreSQL has.
  const reader = 'pg_monitor';
  let known;

  before(async () => {
    world = await World.start({ config: CONFIG, env: { OTP_AUTH__SECRETS__ADMIN_TOKEN: ADMIN } });
    const one = world.service;
    const logins = [kept, ended, endedLater, refreshedLater];
    for (const [n, login] of logins.entries()) {
      Object.assign(login, await logIn(one, world.sandbox, `+91987654321${n}`));
    }
    await end(one, ended);
    await world.database.ask(`GRANT SELECT ON users TO ${reader}`);
    known = { jwks: await jwks(one), audit: await audit(one) };

    const dump = `${world.directory}/otp-auth.dump`;
    const script = (name, url) => output(file(`docs/examples/${name}.sh`), [dump], {
      env: environment({ DATABASE_URL: url }),
    });
    await script('backup', world.database.url);

    Object.assign(later, await logIn(one, world.sandbox, '+919876543219'));
    await end(one, endedLater);
    refreshedLater.next = await refresh(one, refreshedLater.refresh_token);
    known.feed = await feed(one);
    await one.stop();

    cluster = new Program(OTP_AUTH, [
      'test-database', '--', 'sh', '-c', 'echo "$DATABASE_URL"; exec sleep 600']);
    const [url] = await cluster.line(/^postgres\S+$/);
    restored = await Database.create(url);
    await script('restore', restored.url);
    env = { ...world.env, DATABASE_URL: restored.url };
    service = await Service.start(env, world.args);
  });
  after(async () => {
    await service?.stop();
    await cluster?.stop();
    await world?.stop();
  });

  test('has the same keys', async () => {
    assert.deepEqual(await jwks(service), known.jwks);
  });

  test('has every event of the audit log', async () => {
    const events = await audit(service);
    assert.deepEqual(known.audit.filter((id) => !events.includes(id)), []);
    assert.ok(known.audit.length > 8, `${known.audit.length}`);
  });

  test('has the rights that others had', async () => {
    const may = (table) => restored.ask(`SELECT has_table_privilege('${reader}', '${table}', 'SELECT')`);
    assert.deepEqual([await may('users'), await may('sessions')], ['t', 'f']);
  });

  test('knows who is logged in', async () => {
    assert.equal(await status(service, '/v1/userinfo', kept), 200);
    assert.equal(await status(service, '/v1/authorize', kept), 200);
    const next = await refresh(service, kept.refresh_token);
    const { sid } = JSON.parse(Buffer.from(next.access_token.split('.')[1], 'base64url'));
    assert.equal(sid, kept.session_id);
    Object.assign(kept, next);
  });

  test('knows who was logged out, and of the feed, what was in it', async () => {
    assert.equal(await status(service, '/v1/userinfo', ended), 401);
    assert.equal(await status(service, '/v1/authorize', ended), 401);
    const { revocations } = await feed(service);
    assert.deepEqual(revocations.map(({ sid }) => sid), [ended.session_id]);
  });

  test('finds people by their numbers', async () => {
    const again = await logIn(service, world.sandbox, '+919876543219');
    assert.notEqual(again.subject, later.subject, 'who came after the backup is somebody new');
  });

  test('does not know who logged in after the backup', async () => {
    assert.equal(await status(service, '/v1/userinfo', later), 401);
    await refused(service, later.refresh_token);
  });

  test('ends a session whose refresh token is from after the backup: it may as well be a stolen one', async () => {
    await refused(service, refreshedLater.next.refresh_token);
    await refused(service, refreshedLater.refresh_token);
    assert.equal(await status(service, '/v1/authorize', refreshedLater), 401);
  });

  test('lets in again who logged out after the backup, as docs/backup.md says', async () => {
    assert.equal(await status(service, '/v1/userinfo', endedLater), 200);
  });

  test('tells verifiers that had read further than the backup of what happens now', async () => {
    await end(service, kept);
    const { revocations, cursor } = await feed(service, known.feed.cursor);
    // The first of them would have had the cursor that is known already.
    const told = revocations.map(({ sid }) => sid);
    assert.deepEqual(told, [refreshedLater.session_id, kept.session_id]);
    assert.ok(BigInt(cursor) > BigInt(known.feed.cursor));
  });

  test('can end every session, as docs/backup.md says', async () => {
    const { cursor } = await feed(service);
    await restored.ask("UPDATE sessions SET ended_at = now(), ended_by = 'restored' WHERE ended_at IS NULL");
    const { revocations } = await feed(service, cursor, 20);
    assert.ok(revocations.some(({ sid }) => sid === endedLater.session_id));
    await refused(service, endedLater.refresh_token);
  });

  test('warns of nothing', () => {
    const warned = service.log().filter(({ level }) => ['WARN', 'ERROR'].includes(level));
    assert.deepEqual(warned.filter(({ message }) => !message.startsWith('refresh token used twice')), []);
  });

  test('does not start with another master key', async () => {
    const other = randomBytes(32).toString('base64');
    const wrong = { ...env, OTP_AUTH__SECRETS__MASTER_KEY: other };
    const { code, stderr } = await run(OTP_AUTH, ['serve', ...world.args], { env: wrong });
    assert.equal(code, 1);
    assert.match(stderr, /sealed with another secrets\.master_key/);
  });
});
