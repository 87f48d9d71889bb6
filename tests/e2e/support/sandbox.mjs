// The local StartMessaging, run as a program of its own.

import { call, get } from './http.mjs';
import { OTP_AUTH, Program, soon } from './program.mjs';

export class Sandbox {
  static async start(mode = 'service') {
    const program = new Program(OTP_AUTH, ['sandbox', '--bind', '127.0.0.1:0', '--mode', mode]);
    const [, url] = await program.line(/^inbox: (http:\S+)$/);
    return new Sandbox(url, program);
  }

  constructor(url, program) {
    this.url = url;
    this.program = program;
  }

  /** The SMS to a number, newest first. */
  async messages(phone) {
    const answer = await get(`${this.url}/sandbox/messages?phone=${encodeURIComponent(phone)}`);
    return answer.body;
  }

  /** The code in the newest SMS to a number. */
  async code(phone) {
    const [newest] = await this.messages(phone);
    return newest.code;
  }

  /** Arms a fault for the next call, unless it says otherwise. */
  async arm(fault) {
    const answer = await call('PUT', `${this.url}/sandbox/faults`, { json: { times: 1, ...fault } });
    if (answer.status >= 300) throw new Error(`not armed: ${JSON.stringify(answer.body)}`);
  }

  /** Starts to watch the feed; the returned function waits for the next SMS to a number. */
  async watch(phone) {
    const feed = await fetch(`${this.url}/sandbox/events`);
    const seen = (async () => {
      let text = '';
      for await (const chunk of feed.body.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        if (text.split('\n\n').some((event) => event.includes('event: message\n') && event.includes(phone))) return;
      }
      throw new Error('the feed ended');
    })();
    return () => soon(seen, `an SMS to ${phone}`);
  }

  stop() {
    return this.program.stop();
  }
}
