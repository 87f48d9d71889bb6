// A collector of traces, which keeps the bytes that it is sent. The texts in protobuf stand there as they are.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { soon } from './program.mjs';

export class Collector {
  #bodies = [];
  #waiting = [];

  static async listen() {
    const collector = new Collector();
    collector.server = createServer((request, answer) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        collector.#bodies.push(Buffer.concat(chunks));
        answer.writeHead(request.url === '/otlp/v1/traces' ? 200 : 404).end();
        for (const look of collector.#waiting) look();
      });
    });
    collector.server.listen(0, '127.0.0.1');
    await once(collector.server, 'listening');
    return collector;
  }

  /** The settings of a service whose traces it gets, all of them. */
  get env() {
    return {
      OTP_AUTH__TELEMETRY__OTLP_ENDPOINT: `http://127.0.0.1:${this.server.address().port}/otlp/`,
      OTP_AUTH__TELEMETRY__TRACE_SAMPLE_RATIO: '1',
    };
  }

  /** All bytes so far. */
  text() {
    return Buffer.concat(this.#bodies).toString('latin1');
  }

  /** Waits until it was sent some bytes: a text, or an id in hexadecimal digits. */
  async has(what) {
    const bytes = /^[0-9a-f]{16,32}$/.test(what) ? Buffer.from(what, 'hex').toString('latin1') : what;
    await soon(new Promise((resolve) => {
      const look = () => this.text().includes(bytes) && resolve();
      this.#waiting.push(look);
      look();
    }), `a span with ${what}`);
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}
