// Access tokens for a page, without libraries: refreshed when they end, once for all tabs.

const NAME = 'otp-auth';
// Pages of a browser share these. Whatever script runs in the page can read them: let in no other.
const storage = globalThis.indexedDB ? database() : memory();
const oneAtATime = globalThis.navigator?.locks
  ? (job) => navigator.locks.request(NAME, job)
  : queue(); // of this tab alone; two tabs get the same token from the service, which has 10 s of grace

export const kept = () => storage.get();

/** Keeps what the service answers to a right code, and to a refresh. */
export async function keep({ access_token, refresh_token, expires_in }) {
  await storage.put({ access_token, refresh_token, ends: Date.now() + expires_in * 1000 });
  return access_token;
}

/** A token that is good for 10 seconds at least; nothing if the user has to log in. */
export async function accessToken({ issuer, client_id }) {
  const fresh = (tokens) => (tokens?.ends > Date.now() + 10_000 ? tokens.access_token : undefined);
  return fresh(await kept()) ?? oneAtATime(async () => {
    const tokens = await kept();
    // Whoever had to wait finds what the first one got.
    if (fresh(tokens) || !tokens) return fresh(tokens);
    const { refresh_token } = tokens;
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token, client_id });
    const answer = await fetch(`${issuer}/v1/token`, { method: 'POST', body });
    const told = await answer.json();
    if (answer.ok) return keep(told);
    // The session is over: ended, unused for too long, or its token was used by two. Asking again helps
    // nobody; and a login in another tab meanwhile must not be lost.
    if (told.error !== 'invalid_grant') throw new Error(told.error); // the token stays good: try later
    const now = await kept();
    if (now?.refresh_token === refresh_token) await storage.put(undefined);
    return fresh(now);
  });
}

function queue() {
  let last = Promise.resolve();
  return (job) => (last = last.then(job, job));
}

/** Not `localStorage`: what is written there reaches another tab later than the lock may. */
function database() {
  let opened;
  const open = () => new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME);
    request.onupgradeneeded = () => request.result.createObjectStore(NAME);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const ask = async (mode, question) => {
    const transaction = (await (opened ??= open())).transaction(NAME, mode);
    const request = question(transaction.objectStore(NAME));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  };
  return {
    get: () => ask('readonly', (store) => store.get(NAME)),
    put: (tokens) => ask('readwrite', (store) => store.put(tokens, NAME)),
  };
}

function memory() {
  let tokens;
  return { get: async () => tokens, put: async (given) => { tokens = given; } };
}
