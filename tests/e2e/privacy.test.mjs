// What every flow leaves behind: the log at its most talkative, all traces, a backup of the database, the metrics
// and what operators are shown and told hold no number, code, token, receipt, key or address (security.md 9
// and 10).

import assert from 'node:assert/strict';
import { createDecipheriv, createPrivateKey, hkdfSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Alarm, CONFIG, ENV, Flows } from './support/flows.mjs';
import * as guard from './support/guard_flows.mjs';
import { Collector } from './support/collector.mjs';
import * as session from './support/session_flows.mjs';
import { leaks, spellings } from './support/search.mjs';
import { MASTER_KEY, World } from './support/service.mjs';

/** The signing key, opened as the service opens it: the one secret that no caller ever sees. */
async function signingKey(database) {
  const row = await database.ask(
    "SELECT kid, encode(private_sealed, 'hex') FROM signing_keys WHERE state = 'active'");
  const [kid, hex] = row.split('|');
  const sealed = Buffer.from(hex, 'hex');
  const key = hkdfSync(
    'sha256', Buffer.from(MASTER_KEY, 'base64'), 'otp-auth', 'seal signing key v1', 32);
  // Version and key id, nonce, ciphertext, tag.
  const opener = createDecipheriv('aes-256-gcm', Buffer.from(key), sealed.subarray(5, 17));
  opener.setAAD(Buffer.from(kid)).setAuthTag(sealed.subarray(-16));
  const der = Buffer.concat([opener.update(sealed.subarray(17, -16)), opener.final()]);
  const { d } = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' });
  return { sealed, der, secret: Buffer.from(d, 'base64url') };
}

describe('after every flow', () => {
  let world, alarm, collector, flows, key, log, dump, events;
  before(async () => {
    alarm = await Alarm.listen();
    collector = await Collector.listen();
    const env = { ...ENV, ...collector.env, OTP_AUTH__ALERTS__WEBHOOK_URL: alarm.url };
    world = await World.start({ config: CONFIG, env });
    flows = new Flows(world);
    await flows.v1();
    await flows.tutorial();
    await flows.confidentialClient();
    await flows.malformed();
    await guard.knownDevices(flows);
    await guard.testNumbers(flows);
    await guard.rules(flows);
    await guard.switches(flows);
    await guard.people(flows);
    await guard.malformed(flows);
    await session.refreshes(flows);
    await session.sessions(flows);
    await session.gateway(flows);
    await session.keys(flows);
    await guard.records(flows);
    flows.shown.push(await alarm.rang());
    // The last, since it stops the provider.
    await flows.faults();
    await flows.admin('GET', '/metrics', 200);
    dump = await world.database.dump();
    key = await signingKey(world.database);
    events = (await world.database.ask('SELECT DISTINCT action FROM audit_events')).split('\n');
    flows.secrets.push(['the signing key', key.secret], ['the signing key in PKCS #8', key.der]);
    await world.service.stop();
    log = world.service.program.text('stdout') + world.service.program.text('stderr');
  });
  after(async () => {
    await world?.stop();
    alarm?.stop();
    collector?.stop();
  });

  test('the log at TRACE holds no secret', () => {
    assert.deepEqual(leaks(log, flows.secrets), []);
  });

  test('the traces hold no secret', () => {
    assert.deepEqual(leaks(collector.text(), flows.secrets), []);
  });

  test('the log has a line of every kind of event in the audit log', () => {
    const told = new Set(world.service.log().map((line) => line.event));
    assert.ok(events.length > 10, 'events were found');
    assert.deepEqual(events.filter((event) => !told.has(event)), []);
  });

  test('a dump of the database holds no secret', () => {
    assert.deepEqual(leaks(dump, flows.secrets), []);
  });

  test('what operators are shown and told holds no secret', () => {
    assert.deepEqual(leaks(flows.shown.join('\n'), flows.secrets), []);
  });

  test('all of it holds what it must, so the search can find things', () => {
    const ids = flows.requestIds.map((id) => ['a request id', id]);
    assert.ok(ids.length > 0);
    assert.ok(leaks(dump, ids).length > 0);
    const routes = ['/v1/otp/send', '/v1/otp/{request_id}', '/auth/verify-otp/'];
    assert.equal(leaks(log, routes.map((route) => ['a route', route])).length, routes.length);
    assert.equal(leaks(collector.text(), routes.map((route) => ['a route', route])).length, routes.length);
    const shown = flows.shown.join('\n');
    const parts = ['kill_switch', 'spend.warning', 'user.erase', 'test_number.use', 'session.end',
      'refresh_token_reuse', 'signing_key.revoke', '# TYPE otp_auth_'];
    for (const part of parts) assert.ok(shown.includes(part), part);
    assert.ok(leaks(shown, ids).length > 0);
    const levels = new Set(world.service.log().map((line) => line.level));
    for (const level of ['TRACE', 'DEBUG', 'INFO']) assert.ok(levels.has(level), level);
    assert.ok(leaks(dump, [['the sealed key', key.sealed]]).length > 0);
  });

  test('every spelling of every secret would have been found', () => {
    for (const [name, secret] of flows.secrets) {
      for (const spelling of spellings(secret)) {
        const planted = `${log} planted "${spelling}" ${dump}`;
        assert.notDeepEqual(leaks(planted, [[name, secret]]), [], `${name} as ${spelling}`);
      }
    }
  });

  test('the signing key at rest is no DER and holds none of the key', () => {
    assert.notEqual(key.sealed[0], 0x30);
    assert.equal(key.der[0], 0x30);
    // The object identifier that every private key of this kind holds (RFC 5480).
    const ecPublicKey = Buffer.from('06072a8648ce3d0201', 'hex');
    assert.ok(key.der.includes(ecPublicKey));
    assert.ok(!key.sealed.includes(ecPublicKey));
    for (const text of [log, dump]) {
      assert.ok(!text.includes('PRIVATE KEY'));
      assert.deepEqual(leaks(text, [['a DER key', ecPublicKey]]), []);
    }
  });
});
