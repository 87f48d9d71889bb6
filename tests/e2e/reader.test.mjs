// The reader of the OpenAPI document in a real browser, which lets it fetch nothing from elsewhere.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { SIZES, assertFits, openBrowser, openPage } from './support/browser.mjs';
import { get } from './support/http.mjs';
import { World } from './support/service.mjs';

describe('the reader', () => {
  let world, browser;
  before(async () => {
    [world, browser] = await Promise.all([World.start(), openBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
  });
  const open = async (path, size) => {
    const page = await openPage(browser, 'about:blank', { size });
    page.asked = [];
    page.on('request', (request) => page.asked.push(request.url()));
    await page.goto(world.service.url + path);
    await page.locator('#operations-Codes-sendCode').waitFor();
    return page;
  };
  const assertOnlyOwn = (page) => {
    const foreign = page.asked.filter((url) => !/^data:/.test(url) && new URL(url).origin !== world.service.url);
    assert.deepEqual(foreign, []);
    assert.deepEqual(page.faults, []);
  };
  /** Opens a call and makes it, with the example as its body; the status that the page then shows. */
  const tryOut = async (page, id) => {
    const call = page.locator(`#operations-${id}`);
    await call.locator('.opblock-summary-control').click();
    await call.getByRole('button', { name: 'Try it out' }).click();
    await call.getByRole('button', { name: 'Execute' }).click();
    return call.locator('.live-responses-table .response-col_status').last().innerText();
  };

  for (const [name, size] of Object.entries(SIZES)) {
    test(`shows every call on a ${name}`, async () => {
      const page = await open('/docs', size);
      const { body } = await get(`${world.service.url}/openapi.json`);
      const told = Object.values(body.paths).flatMap((path) => Object.values(path));

      const shown = await page.locator('.opblock').evaluateAll((calls) => calls.map((call) => call.id));

      const expected = told.map(({ tags: [tag], operationId }) => `operations-${tag}-${operationId}`);
      assert.deepEqual(shown.sort(), expected.sort());
      assert.equal(page.url(), `${world.service.url}/docs`);
      await assertFits(page);
      assertOnlyOwn(page);
      await page.context().close();
    });
  }

  test('makes calls to where it came from, although the document names another place', async () => {
    const page = await open('/docs/');

    assert.match(await tryOut(page, 'Discovery-readKeys'), /^200/);
    assert.match(await tryOut(page, 'Codes-sendCode'), /^201/);

    assert.match(await world.sandbox.code('+919876543210'), /^\d{6}$/);
    assertOnlyOwn(page);
    await page.context().close();
  });

  test('forgets what was typed', async () => {
    const page = await open('/docs');
    await page.getByRole('button', { name: 'Authorize', exact: true }).click();
    const token = 'a-token-that-nobody-must-find';
    const user = page.locator('.auth-container', { hasText: 'user (http, Bearer)' });
    await user.locator('input').fill(token);
    await user.getByRole('button', { name: 'Apply credentials' }).click();
    await user.getByRole('button', { name: 'Close' }).click();
    await tryOut(page, 'Sessions-readUser');
    const sent = await page.locator('#operations-Sessions-readUser .curl-command').innerText();
    assert.match(sent, new RegExp(token));

    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    assert.doesNotMatch(kept, new RegExp(token));
    await page.goto('about:blank');
    await page.goto(`${world.service.url}/docs`);
    await tryOut(page, 'Sessions-readUser');
    const again = await page.locator('#operations-Sessions-readUser .curl-command').innerText();
    assert.doesNotMatch(again, new RegExp(token));
    await page.context().close();
  });
});
