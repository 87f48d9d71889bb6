// The sandbox's inbox in a real browser, while a backend uses /v1.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { SIZES, assertFits, openBrowser, openPage } from './support/browser.mjs';
import { call, post } from './support/http.mjs';
import { World } from './support/service.mjs';

describe('the inbox', () => {
  let world, browser;
  before(async () => {
    [world, browser] = await Promise.all([World.start(), openBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
  });
  // Tests share the sandbox: each begins with an empty inbox and no fault, and has numbers
  // of its own, since a number must wait between two messages.
  const send = (phone) => post(`${world.service.url}/v1/otp/send`, { phone_number: phone });
  const open = async (size, permissions) => {
    await world.service.untilProviderIsCalled();
    for (const kept of ['messages', 'faults']) {
      await call('DELETE', `${world.sandbox.url}/sandbox/${kept}`);
    }
    const page = await openPage(browser, world.sandbox.url, { size, permissions });
    await page.locator('[data-testid=connection][data-state=live]').waitFor();
    await page.evaluate(() => { window.loadedOnce = true; });
    return page;
  };
  const message = (page, phone) => page.locator(`[data-testid=message][data-phone="${phone}"]`);

  Object.entries(SIZES).forEach(([name, size], index) => {
    const phone = (last) => `+9198765${index}000${last}`;

    test(`shows an SMS as it comes, on a ${name}, with a code that can be verified`, async () => {
      const page = await open(size, ['clipboard-read', 'clipboard-write']);
      await page.getByTestId('empty').waitFor();
      await assertFits(page);

      const sent = await send(phone(1));
      assert.equal(sent.status, 201);
      const code = await message(page, phone(1)).getByTestId('code').textContent();
      await assertFits(page);
      assert.ok(await page.getByTestId('empty').isHidden());
      assert.ok(await page.evaluate(() => window.loadedOnce), 'the page was loaded again');

      await message(page, phone(1)).getByTestId('copy').click();
      await message(page, phone(1)).getByText('Copied').waitFor();
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      assert.equal(copied, code);

      const verified = await post(`${world.service.url}/v1/otp/verify`, {
        request_id: sent.body.request_id, code: copied,
      });
      assert.deepEqual([verified.status, verified.body.verified], [200, true]);
      assert.deepEqual(page.faults, []);
      await page.context().close();
    });

    test(`finds numbers and can be emptied, on a ${name}`, async () => {
      const page = await open(size);
      await send(phone(2));
      await send(phone(3));
      await message(page, phone(2)).waitFor();
      await message(page, phone(3)).waitFor();

      await page.getByTestId('search').fill(phone(3).slice(-4));
      await message(page, phone(2)).waitFor({ state: 'detached' });
      assert.ok(await message(page, phone(3)).isVisible());
      await page.getByTestId('search').fill('000000');
      await page.getByTestId('no-match').waitFor();
      await assertFits(page);
      await page.getByTestId('search').fill('');
      await message(page, phone(2)).waitFor();

      await page.getByTestId('clear').click();
      await page.getByTestId('empty').waitFor();
      assert.equal(await page.getByTestId('message').count(), 0);
      assert.deepEqual(await world.sandbox.messages(phone(2)), []);
      assert.deepEqual(page.faults, []);
      await page.context().close();
    });

    test(`arms faults that the service meets, on a ${name}`, async () => {
      const page = await open(size);
      if (!await page.getByTestId('arm').isVisible()) await page.getByText('Faults').first().click();
      const meet = async (kind, number) => {
        await page.getByTestId('fault-kind').selectOption(kind);
        await page.getByTestId('fault-times').fill('1');
        await page.getByTestId('arm').click();
        const armed = page.getByTestId('armed-fault');
        await armed.waitFor();
        assert.match(await armed.textContent(), new RegExp(kind));
        await assertFits(page);
        const { status, body } = await send(number);
        await armed.waitFor({ state: 'detached' });
        return [status, body.code];
      };

      assert.deepEqual(await meet('http_500', phone(4)), [502, 'provider_error']);
      assert.deepEqual(await meet('unauthorized', phone(5)), [503, 'provider_unavailable']);
      assert.equal(await page.getByTestId('message').count(), 0);
      assert.deepEqual(page.faults, []);
      await page.context().close();
    });
  });
});
