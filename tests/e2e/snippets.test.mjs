// What docs/tokens.md tells others to write, run as they would run it.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { openBrowser, openPage } from './support/browser.mjs';
import { rustExample, withModules } from './support/examples.mjs';
import { call, get } from './support/http.mjs';
import { logIn } from './support/login.mjs';
import { environment, file, run, until } from './support/program.mjs';
import { ISSUER, World } from './support/service.mjs';
import { startSite } from './support/site.mjs';
import { bent, payload, signedWithOwnKey, unsigned } from './support/tokens.mjs';

const REFRESH = file('docs/examples/refresh.mjs');
/** Seconds by which the examples let two clocks differ. */
const LEEWAY = 5;

let world, site, directory, phones = 0;
const someone = (client) => {
  phones += 1;
  return logIn(world.service, world.sandbox, `+9198765${10000 + phones}`, client);
};

before(async () => {
  site = await startSite({ '/refresh.mjs': REFRESH });
  const config = `
    [[clients]]
    id = "web"
    audience = "api"
    allowed_origins = ["${site.origin}"]

    [[clients]]
    id = "shop"
    audience = "shop"
  `;
  world = await World.start({ config });
  directory = await withModules('docs/examples/verify.mjs');
});
after(async () => {
  await world?.stop();
  site?.stop();
  if (directory) await rm(directory, { recursive: true });
});

describe('the examples that check a token', () => {
  const examples = {
    'verify.py': () => [process.env.OTP_AUTH_PYTHON, file('docs/examples/verify.py')],
    'verify.mjs': () => [process.execPath, ...process.execArgv, join(directory, 'verify.mjs')],
    'verify.rs': () => [rustExample('verify')],
  };
  let login, expired;

  before(async () => {
    const hasty = await world.another({ OTP_AUTH__TOKENS__ACCESS_TTL_SECONDS: '1' });
    expired = (await logIn(hasty, world.sandbox, '+919876500001')).access_token;
    login = await someone();
  });

  /** How an example ends: what it printed, its exit code, and what it said. */
  async function verdict(name, token, settings = {}) {
    const [program, ...args] = examples[name]();
    const JWKS = `${world.service.url}/.well-known/jwks.json`;
    const env = environment({ ISSUER, AUDIENCE: 'api', JWKS, ...settings });
    const { code, stdout, stderr } = await run(program, args, { env, input: `${token}\n` });
    return [stdout, code, /no keys|refused/.exec(stderr)?.[0]];
  }

  for (const name of Object.keys(examples)) {
    test(`${name} believes a good token and no other`, async () => {
      const { access_token: good, refresh_token, subject } = login;
      assert.deepEqual(await verdict(name, good), [`${subject}\n`, 0, undefined]);

      const shop = await someone('shop');
      for (const [what, token, settings] of [
        ['a payload with a bit changed', bent(good, 1)],
        ['a signature with a bit changed', bent(good, 2)],
        ['no signature', unsigned(good)],
        ['a key that the token brings along', signedWithOwnKey(good)],
        ['a refresh token', refresh_token],
        ['another audience', shop.access_token],
        ['another audience here', good, { AUDIENCE: 'other' }],
        ['another issuer here', good, { ISSUER: `${ISSUER}/` }],
        ['nothing', ''],
      ]) {
        assert.deepEqual(await verdict(name, token, settings), ['', 1, 'refused'], what);
      }
      // security.md 29.
      await until(payload(expired).exp + LEEWAY);
      assert.deepEqual(await verdict(name, expired), ['', 1, 'refused'], 'expired');
    });

    test(`${name} does not call a token bad because there are no keys`, async () => {
      const { url } = world.service;
      for (const JWKS of ['http://127.0.0.1:9/', `${url}/none`]) {
        assert.deepEqual(await verdict(name, login.access_token, { JWKS }), ['', 1, 'no keys'], JWKS);
      }
      // It finds the keys of an issuer by itself.
      const settings = { ISSUER: url, JWKS: undefined };
      assert.deepEqual(await verdict(name, login.access_token, settings), ['', 1, 'refused']);
    });
  }
});

describe('the example that refreshes', () => {
  const subject = async (token) => {
    const headers = { authorization: `Bearer ${token}` };
    return (await get(`${world.service.url}/v1/userinfo`, { headers })).body.sub;
  };

  describe('in Node.js', () => {
    let page, login, whose, calls;
    before(async () => {
      page = await import(REFRESH);
      login = await someone();
      whose = { issuer: world.service.url, client_id: 'web' };
    });

    /** What many calls at once get when the token has ended, and the requests that it took. */
    async function askMany(t, tokens) {
      calls = t.mock.method(globalThis, 'fetch').mock;
      await page.keep({ ...tokens, expires_in: 0 });
      const all = await Promise.all(Array.from({ length: 20 }, () => page.accessToken(whose)));
      return [new Set(all), calls.callCount()];
    }

    test('asks once for many', async (t) => {
      for (let tokens = login, time = 0; time < 2; time += 1) {
        const [[token, ...others], count] = await askMany(t, tokens);
        assert.deepEqual([others, count], [[], 1]);
        assert.notEqual(token, tokens.access_token);
        assert.equal(await page.accessToken(whose), token);
        assert.equal(calls.callCount(), 1);
        t.mock.restoreAll();
        assert.equal(await subject(token), login.subject);
        tokens = await page.kept();
      }
    });

    test('keeps its tokens when the service is away', async () => {
      const before = { ...await page.kept(), expires_in: 0 };
      await page.keep(before);
      await assert.rejects(page.accessToken({ ...whose, issuer: 'http://127.0.0.1:9' }));
      assert.equal((await page.kept()).refresh_token, before.refresh_token);
      assert.equal(await subject(await page.accessToken(whose)), login.subject);
    });

    test('asks once, and forgets its tokens, when the session is over', async (t) => {
      const headers = { authorization: `Bearer ${(await page.kept()).access_token}` };
      const ended = await call('DELETE', `${world.service.url}/v1/sessions`, { headers });
      assert.equal(ended.status, 204);
      assert.deepEqual(await askMany(t, await page.kept()), [new Set([undefined]), 1]);
      assert.equal(await page.kept(), undefined);
      assert.equal(await page.accessToken(whose), undefined);
      assert.equal(calls.callCount(), 1);
    });
  });

  describe('in two tabs of a browser', () => {
    let browser, first, second;
    before(async () => {
      browser = await openBrowser();
      first = await openPage(browser, site.origin);
      second = await first.context().newPage();
      await second.goto(site.origin);
    });
    after(() => browser?.close());

    const end = (tokens) => first.evaluate(async (given) => {
      const { keep } = await import('/refresh.mjs');
      await keep({ ...given, expires_in: 0 });
    }, tokens);
    /** The different answers of ten calls in each tab at once. */
    async function ask() {
      const all = await Promise.all([first, second].map((tab) => tab.evaluate(async (issuer) => {
        const { accessToken } = await import('/refresh.mjs');
        return Promise.all(Array.from({ length: 10 }, () => accessToken({ issuer, client_id: 'web' })));
      }, world.service.url)));
      return new Set(all.flat());
    }

    test('asks once for all', async () => {
      const login = await someone();
      const asked = [];
      first.context().on('request', (request) => asked.push(new URL(request.url()).pathname));
      await end(login);
      const [token, ...others] = await ask();

      assert.deepEqual(others, []);
      assert.equal(await subject(token), login.subject);
      assert.deepEqual(asked.filter((path) => path === '/v1/token'), ['/v1/token']);
      assert.deepEqual(first.faults, []);
    });

    test('lets nobody in who cannot see yet what another tab got', async () => {
      // Answers that take no time, so that little is between what is kept and the next in line.
      for (const tab of [first, second]) {
        await tab.evaluate(() => {
          const answer = () => ({ access_token: crypto.randomUUID(), refresh_token: 'next', expires_in: 900 });
          globalThis.fetch = async () => Response.json(answer());
        });
      }
      for (let time = 0; time < 30; time += 1) {
        await end({ access_token: 'ended', refresh_token: 'first' });
        assert.equal((await ask()).size, 1);
      }
    });
  });
});
