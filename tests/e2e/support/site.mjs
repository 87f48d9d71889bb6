// A web server of somebody's front end.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const PAGE = '<!doctype html><link rel="icon" href="data:,"><title>Shop</title>';

/** Serves an empty page everywhere, but for scripts: `{ path: file }`. */
export async function startSite(scripts = {}) {
  const server = createServer(async ({ url }, answer) => {
    const file = scripts[url];
    answer.setHeader('content-type', file ? 'text/javascript' : 'text/html');
    answer.end(file ? await readFile(file) : PAGE);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { origin: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
