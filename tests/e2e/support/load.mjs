// Callers who never pause: logins that are refreshed, shown to the hook and ended, and who fetch the keys. Each
// answer is noted.

import { PATIENCE, soon } from './program.mjs';

/** A login: so many that the SMS stay below what the sandbox, as StartMessaging, takes from one address. */
const REFRESHES = 20;
const JSON_BODY = { 'content-type': 'application/json' };
const FORM_BODY = { 'content-type': 'application/x-www-form-urlencoded' };

/** A call that got no answer, or one that is not the service's fault to give. */
class Lost extends Error {}

export class Load {
  calls = 0;
  slowest = 0;
  /** Each `{ method, path, why }`. */
  lost = [];
  #running = true;
  #phones = 0;
  #loops = [];
  #waiting;

  constructor(url, sandbox) {
    this.url = url;
    this.sandbox = sandbox;
  }

  start({ logins, readers }) {
    for (let n = 0; n < logins; n += 1) this.#loops.push(this.#forever(() => this.#logIn()));
    for (let n = 0; n < readers; n += 1) {
      this.#loops.push(this.#forever(() => this.#ask('GET', '/.well-known/jwks.json')));
    }
    return this;
  }

  /** Waits until every caller has what he last asked for. */
  async stop() {
    this.#running = false;
    await Promise.all(this.#loops);
  }

  /** Waits for so many further calls. */
  more(calls) {
    const enough = this.calls + calls;
    return soon(new Promise((resolve) => { this.#waiting = { enough, resolve }; }), `${calls} calls`);
  }

  async #forever(once) {
    while (this.#running) {
      try {
        await once();
      } catch (error) {
        if (!(error instanceof Lost)) {
          this.#running = false;
          throw error;
        }
      }
    }
  }

  async #logIn() {
    this.#phones += 1;
    const phone_number = `+9198${String(70_000_000 + this.#phones)}`;
    const post = (path, body) => this.#ask('POST', path, JSON_BODY, JSON.stringify(body));
    const { request_id } = await post('/v1/otp/send', { phone_number, client_id: 'web' });
    const code = await this.sandbox.code(phone_number);
    let tokens = await post('/v1/otp/verify', { request_id, code, client_id: 'web' });
    for (let n = 0; n < REFRESHES; n += 1) {
      await this.#ask('GET', '/v1/authorize', bearer(tokens));
      const { refresh_token } = tokens;
      const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token, client_id: 'web' });
      tokens = await this.#ask('POST', '/v1/token', FORM_BODY, form.toString());
    }
    await this.#ask('DELETE', '/v1/sessions', bearer(tokens));
  }

  async #ask(method, path, headers = {}, body = undefined) {
    this.calls += 1;
    if (this.calls >= this.#waiting?.enough) this.#waiting.resolve();
    const began = performance.now();
    let status, text;
    try {
      const answer = await fetch(this.url + path, {
        method, headers, body, signal: AbortSignal.timeout(PATIENCE),
      });
      ({ status } = answer);
      text = await answer.text();
    } catch (error) {
      status = error.cause?.code ?? error.message;
    }
    this.slowest = Math.max(this.slowest, performance.now() - began);
    if (status >= 200 && status < 300) return text ? JSON.parse(text) : {};
    const why = `${status} ${text ?? ''}`.trim();
    this.lost.push({ method, path, why });
    throw new Lost(why);
  }
}

const bearer = ({ access_token: token }) => ({ authorization: `Bearer ${token}` });
