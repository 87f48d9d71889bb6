// Who was logged out before the end of a token: follows otp-auth's feed, without libraries.

import { setTimeout as sleep } from 'node:timers/promises';

const WAIT = 30; // seconds for which otp-auth holds a call until there is news
const STALE = 120; // seconds without an answer after which somebody should look

/** One for the whole process. It forgets what ends with the tokens, so its memory is bounded. */
export class Revocations {
  #ends = new Map(); // a session's id, or that of a user who is gone: when its last token ends
  #cursor = '0';
  #heard = Date.now();

  /** Whether a token with these claims must be refused. */
  hold({ sid, sub }) {
    return this.#ends.has(sid) || this.#ends.has(sub);
  }

  /** For the readiness page. Tokens still end by themselves, so go on serving. */
  get isStale() {
    return Date.now() - this.#heard > STALE * 1000;
  }

  /** Runs until the signal aborts; `headers` prove who this service is. */
  async follow({ url, headers, signal }) {
    while (!signal.aborted) {
      try {
        await this.#ask(url, headers, signal);
      } catch (error) {
        if (signal.aborted) return;
        console.warn(`no revocations: ${error.name}`);
        await sleep(2000, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #ask(url, headers, signal) {
    const answer = await fetch(`${url}/v1/revocations?since=${this.#cursor}&wait=${WAIT}`, {
      headers: { ...headers, 'If-None-Match': `"${this.#cursor}"` },
      signal: AbortSignal.any([signal, AbortSignal.timeout((WAIT + 10) * 1000)]),
    });
    const text = await answer.text();
    if (answer.status !== 304) {
      if (!answer.ok) throw new Error(`${answer.status}`);
      const { cursor, revocations } = JSON.parse(text);
      for (const { sid, sub, expires_at } of revocations) this.#ends.set(sid ?? sub, Date.parse(expires_at));
      this.#cursor = cursor;
    }
    this.#heard = Date.now();
    for (const [id, ends] of this.#ends) if (ends <= Date.now()) this.#ends.delete(id);
  }
}
