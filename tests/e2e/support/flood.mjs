// Connections as attackers make them: many, slow, silent, or of bytes that no client would write.

import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { soon } from './program.mjs';

/** Connections that are made at once. */
const AT_ONCE = 500;
/** Milliseconds: so long a server may stand by its last word before it closes. */
const LONG = 60_000;

/** When a connection is closed, in whatever way. */
const end = (socket) => new Promise((resolve) => { socket.once('close', resolve); });

/** A connection that is open, and swallows what comes. */
async function open(port) {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  return socket;
}

/** So many connections. */
export async function openMany(port, count) {
  const sockets = [];
  while (sockets.length < count) {
    const next = Math.min(AT_ONCE, count - sockets.length);
    sockets.push(...await Promise.all(Array.from({ length: next }, () => open(port))));
  }
  return sockets;
}

/** Waits until the server has closed each of them. */
export function allClosed(sockets) {
  const closed = sockets.map((socket) => (socket.closed ? undefined : end(socket)));
  return soon(Promise.all(closed), `the end of ${sockets.length} connections`, () => (
    `${sockets.filter((socket) => !socket.closed).length} are open`), LONG);
}

export const closeAll = (sockets) => sockets.forEach((socket) => socket.destroy());

/** Begins with `head`, and goes on with one byte more now and then, until the server closes. */
export async function drip(socket, head, between) {
  socket.write(head);
  while (!socket.destroyed && socket.writable) {
    await sleep(between);
    socket.write('a');
  }
}

/** Writes bytes, and all that is answered until the server closes. */
export async function exchange(port, bytes) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const chunks = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('end', () => socket.destroy());
  // A server that has heard enough may reset.
  socket.on('error', () => {});
  // Who hears no more is told so, and the server need not wait for the next request.
  socket.end(bytes);
  await soon(end(socket), `the end of a connection after ${JSON.stringify(bytes.slice(0, 200))}`,
    () => Buffer.concat(chunks).toString(), LONG);
  return Buffer.concat(chunks).toString();
}

/** Writes `head` and then `size` bytes of zeros, however fast they are taken; all that is answered. */
export async function pour(port, head, size) {
  const socket = connect({ port, host: '127.0.0.1' });
  const chunks = [];
  let taken = 0;
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => {});
  const closed = end(socket);
  const zeros = Buffer.alloc(64 * 1024, '0');
  socket.write(head);
  while (taken < size && socket.writable) {
    taken += zeros.length;
    const drained = new Promise((resolve) => { socket.once('drain', resolve); });
    if (!socket.write(zeros)) await Promise.race([drained, closed]);
  }
  await soon(closed, 'the end of a connection that was poured into', () => Buffer.concat(chunks).toString(), LONG);
  return { text: Buffer.concat(chunks).toString(), taken };
}

/** The statuses of all answers in what a connection said. */
export const statuses = (text) => [...text.matchAll(/^HTTP\/1\.[01] (\d{3})/gm)].map(([, status]) => Number(status));
