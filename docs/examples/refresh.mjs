// One refresh for all tabs of a browser: whoever needs an access token asks `accessToken()`.

/** `storage` is localStorage, `locks` is navigator.locks, in a browser. */
export class Session {
  constructor({ issuer, clientId, storage, locks, loggedOut, now = Date.now }) {
    Object.assign(this, { issuer, clientId, storage, locks, loggedOut, now });
  }

  /** An access token that lives for another half minute at least. */
  accessToken() {
    // Only one tab at a time comes in; by the time the others do, the new token is there.
    return this.locks.request('otp-auth', async () => {
      const tokens = JSON.parse(this.storage.getItem('tokens'));
      if (tokens && tokens.endsAt - this.now() > 30_000) return tokens.access_token;
      return this.#refresh(tokens?.refresh_token);
    });
  }

  /** Keeps the answer to a login or a refresh. */
  keep({ access_token, refresh_token, expires_in }) {
    const endsAt = this.now() + expires_in * 1000;
    this.storage.setItem('tokens', JSON.stringify({ access_token, refresh_token, endsAt }));
    return access_token;
  }

  async #refresh(refresh_token) {
    if (!refresh_token) return this.loggedOut();
    const body = new URLSearchParams({
      grant_type: 'refresh_token', client_id: this.clientId, refresh_token,
    });
    // Where no answer came, the same token is shown again: for ten seconds it gets the same successor.
    const ask = () => fetch(`${this.issuer}/v1/token`, { method: 'POST', body });
    const answer = await ask().catch(ask);
    if (answer.ok) return this.keep(await answer.json());
    if (answer.status === 400 && (await answer.json()).error === 'invalid_grant') {
      this.storage.removeItem('tokens');
      return this.loggedOut();
    }
    // Anything else says nothing about the session, such as 503: the token is kept for the next try.
    throw new Error(`no access token: ${answer.status}`);
  }
}
