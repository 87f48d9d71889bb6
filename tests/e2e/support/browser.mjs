// Chromium without a window, and what is asked of every page.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

import { PATIENCE } from './program.mjs';

/** A phone held upright, and a laptop. */
export const SIZES = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1440, height: 900 },
};

export function openBrowser() {
  return chromium.launch({
    executablePath: process.env.OTP_AUTH_BROWSER,
    timeout: PATIENCE,
    args: [
      // Its sandbox needs rights that root and containers do not have; it sees only our own pages.
      '--no-sandbox',
      '--no-proxy-server',
      '--disable-gpu',
      // No calls home.
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--disable-quic', '--no-first-run',
    ],
  });
}

/** A page of its own, with nothing kept from others; `faults` gathers what went wrong in it. */
export async function openPage(browser, url, { size = SIZES.desktop, permissions = [] } = {}) {
  const context = await browser.newContext({ viewport: size, permissions });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(error.message));
  page.on('console', (line) => line.type() === 'error' && page.faults.push(line.text()));
  await page.goto(url);
  return page;
}

/** Nothing is wider than the window. */
export async function assertFits(page) {
  const [content, window] = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return [scrollWidth, clientWidth];
  });
  assert.ok(content <= window, `${content} px of content in ${window} px`);
}
