// The tutorial's two calls from pages of other origins, where a browser minds cookies and CORS.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { openBrowser, openPage } from './support/browser.mjs';
import { World } from './support/service.mjs';
import { startSite } from './support/site.mjs';

describe('the calls of the tutorial', () => {
  let known, stranger, world, browser;
  before(async () => {
    [known, stranger] = await Promise.all([startSite(), startSite()]);
    const config = `
      [[clients]]
      id = "web"
      audience = "api"
      allowed_origins = ["${known.origin}"]
    `;
    [world, browser] = await Promise.all([World.start({ config }), openBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
    known.stop();
    stranger.stop();
  });

  /** What a page sees of a call: status, body and the headers it may read; or the error it gets. */
  const fromPage = (page, path, body, options = {}) => page.evaluate(async (asked) => {
    try {
      const answer = await fetch(asked.url, {
        method: 'POST',
        credentials: 'include',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(asked.body),
        ...asked.options,
      });
      if (answer.type === 'opaque') return { opaque: true };
      const headers = Object.fromEntries(answer.headers);
      return { status: answer.status, body: await answer.json(), headers };
    } catch (error) {
      return { error: error.name };
    }
  }, { url: world.service.url + path, body, options });

  test('work from a page of a registered origin, with the cookie', async () => {
    const page = await openPage(browser, known.origin);
    const phone = '+919876500001';

    const sent = await fromPage(page, '/auth/send-otp/', { phone_number: phone });
    assert.equal(sent.status, 200);
    assert.deepEqual(Object.keys(sent.body), ['expires_at']);
    const [cookie, ...more] = await page.context().cookies(`${world.service.url}/auth/`);
    assert.deepEqual(more, []);
    const { name, path, httpOnly, sameSite, secure } = cookie;
    assert.deepEqual(
      { name, path, httpOnly, sameSite, secure },
      { name: 'otp_request', path: '/auth', httpOnly: true, sameSite: 'Lax', secure: false });

    const code = await world.sandbox.code(phone);
    const wrong = `${code.slice(0, 5)}${(Number(code[5]) + 1) % 10}`;
    const refused = await fromPage(page, '/auth/verify-otp/', { code: wrong });
    assert.deepEqual([refused.status, refused.body], [401, { verified: false }]);

    const verified = await fromPage(page, '/auth/verify-otp/', { code });
    assert.deepEqual([verified.status, verified.body.verified], [200, true]);
    assert.equal(verified.body.access_token.split('.').length, 3);

    const left = await page.context().cookies(`${world.service.url}/auth/`);
    assert.deepEqual(left.map((cookie) => [cookie.name, cookie.httpOnly]), [['otp_device', true]]);
    const again = await fromPage(page, '/auth/verify-otp/', { code });
    assert.deepEqual([again.status, again.body], [400, { error: 'session expired' }]);
    await page.context().close();
  });

  test('are refused to a page of another origin, and send it no SMS', async () => {
    const page = await openPage(browser, stranger.origin);
    const phone = '+919876500002';
    const url = '/auth/send-otp/';

    const asked = await fromPage(page, url, { phone_number: phone });
    assert.deepEqual(asked, { error: 'TypeError' });

    // Without asking first: a browser lets that out, and hides the answer from the page.
    const forced = { mode: 'no-cors', headers: { 'content-type': 'text/plain' } };
    assert.deepEqual(await fromPage(page, url, { phone_number: phone }, forced), { opaque: true });

    await world.service.logged({ route: url, method: 'POST', status: 403 });
    assert.deepEqual(await world.sandbox.messages(phone), []);
    assert.deepEqual(await page.context().cookies(world.service.url), []);
    await page.context().close();
  });

  test('are not the only ones: /v1 works from a registered page too', async () => {
    const page = await openPage(browser, known.origin);
    const phone = '+919876500003';

    const sent = await fromPage(page, '/v1/otp/send', { phone_number: phone });
    assert.equal(sent.status, 201);
    assert.equal(sent.headers.location, `/v1/otp/${sent.body.request_id}`);
    const verified = await fromPage(page, '/v1/otp/verify', {
      request_id: sent.body.request_id, code: await world.sandbox.code(phone),
    });
    assert.deepEqual([verified.status, verified.body.verified], [200, true]);
    await page.context().close();
  });
});
