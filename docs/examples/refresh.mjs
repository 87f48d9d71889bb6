// Access tokens for a page, without libraries: refreshed when they end, once for all tabs.

const NAME = 'otp-auth';
// Pages of a browser share these. Whatever script runs in the page can read the storage: let in no other.
const storage = globalThis.localStorage ?? memory();
const oneAtATime = globalThis.navigator?.locks
  ? (job) => navigator.locks.request(NAME, job)
  : queue(); // of this tab alone; two tabs get the same token from the service, which has 10 s of grace

export const kept = () => JSON.parse(storage.getItem(NAME));

/** Keeps what the service answers to a right code, and to a refresh. */
export function keep({ access_token, refresh_token, expires_in }) {
  const ends = Date.now() + expires_in * 1000;
  storage.setItem(NAME, JSON.stringify({ access_token, refresh_token, ends }));
  return access_token;
}

/** A token that is good for 10 seconds at least; nothing if the user has to log in. */
export async function accessToken({ issuer, client_id }) {
  const fresh = () => (kept()?.ends > Date.now() + 10_000 ? kept().access_token : undefined);
  return fresh() ?? oneAtATime(async () => {
    // Whoever had to wait finds what the first one got.
    if (fresh() || !kept()) return fresh();
    const { refresh_token } = kept();
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token, client_id });
    const answer = await fetch(`${issuer}/v1/token`, { method: 'POST', body });
    const told = await answer.json();
    if (answer.ok) return keep(told);
    // The session is over: ended, unused for too long, or its token was used by two. Asking again helps
    // nobody; and a login in another tab meanwhile must not be lost.
    if (told.error !== 'invalid_grant') throw new Error(told.error); // the token stays good: try later
    if (kept()?.refresh_token === refresh_token) storage.removeItem(NAME);
    return fresh();
  });
}

function queue() {
  let last = Promise.resolve();
  return (job) => (last = last.then(job, job));
}

function memory() {
  const items = new Map();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, text) => items.set(name, text),
    removeItem: (name) => items.delete(name),
  };
}
