// What is on both sides of a gateway: an API that tells what reached it, and the way to otp-auth, which can be
// watched and broken.

import { once } from 'node:events';
import { createServer, request } from 'node:http';

import { pairs } from './raw_call.mjs';

/** An HTTP server on a free port. */
class Listener {
  port = 0;
  seen = [];
  #connections = [];

  async start() {
    this.server = createServer((call, answer) => this.#take(call, answer));
    this.server.on('connection', (connection) => this.#connections.push(connection));
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    return this;
  }

  async stop() {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  /** What has reached it since the last time, each `{ method, path, headers, body }`. */
  taken() {
    return this.seen.splice(0);
  }

  /** All bytes so far, also those that are part of no call. */
  bytes() {
    return this.#connections.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
  }

  async #take(call, answer) {
    const chunks = [];
    try {
      for await (const chunk of call) chunks.push(chunk);
    } catch {
      return; // The gateway has given up.
    }
    const { method, url: path, rawHeaders } = call;
    const one = { method, path, headers: pairs(rawHeaders), body: Buffer.concat(chunks).toString() };
    this.seen.push(one);
    this.answer(one, answer);
  }
}

/** An API that answers everything with what it got. */
export class Upstream extends Listener {
  answer(call, answer) {
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify(call));
  }
}

/** Hands every call to a service, unless it is told to fail. */
export class Relay extends Listener {
  /** `pass`, or else `hang`, or the status to answer with. */
  mode = 'pass';

  constructor(url) {
    super();
    this.url = new URL(url);
  }

  answer({ method, path, headers, body }, answer) {
    if (this.mode === 'hang') return;
    if (this.mode !== 'pass') {
      // Who follows a redirect finds what looks like a yes.
      if (path === '/elsewhere') answer.writeHead(200, { 'x-auth-subject': 'forged' }).end();
      else answer.writeHead(this.mode, { location: '/elsewhere' }).end();
      return;
    }
    const { hostname: host, port } = this.url;
    const call = request({ host, port, method, path, agent: false, headers: headers.flat() });
    call.on('error', () => answer.destroy());
    call.on('response', (response) => {
      answer.writeHead(response.statusCode, response.rawHeaders);
      response.pipe(answer);
    });
    call.end(body);
  }
}
