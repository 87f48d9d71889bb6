// Requests whose end two servers may see at different places (RFC 9112 section 11.2), and others that are none.
// Behind each stands a second request, which must not be answered unless the first one ends right before it.

const INNER = 'GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
/** What only the answer to the second one has in it. */
export const ANSWERED = '"keys":[';

const LENGTH = INNER.length;

const post = (headers, body) => `POST /v1/otp/verify HTTP/1.1\r\nHost: a\r\n${headers}\r\n${body}`;

/** `[name, bytes]`: where the second request begins is in doubt. */
export const SMUGGLED = [
  ['a length and chunks', post(`Content-Length: ${5 + LENGTH}\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${INNER}`)],
  ['chunks and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', `0\r\n\r\n${INNER}`)],
  ['two lengths', post(`Content-Length: 0\r\nContent-Length: ${LENGTH}\r\n`, INNER)],
  ['two lengths, the other way round', post(`Content-Length: ${LENGTH}\r\nContent-Length: 0\r\n`, INNER)],
  ['a list of lengths', post(`Content-Length: 0, ${LENGTH}\r\n`, INNER)],
  ['a length with a sign', post('Content-Length: +0\r\n', INNER)],
  ['a negative length', post('Content-Length: -1\r\n', INNER)],
  ['a length in hex', post('Content-Length: 0x0\r\n', INNER)],
  ['a length beyond 64 bits', post('Content-Length: 18446744073709551616\r\n', INNER)],
  ['a coding that nobody knows', post('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${INNER}`)],
  ['chunked, and not last', post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${INNER}`)],
  ['chunked twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${INNER}`)],
  ['chunked in quotes', post('Transfer-Encoding: "chunked"\r\n', `0\r\n\r\n${INNER}`)],
  ['a blank before the colon', post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${INNER}`)],
  ['a folded header', post('Transfer-Encoding:\r\n chunked\r\n', `0\r\n\r\n${INNER}`)],
  ['a header that ends with a bare CR', post(`X: a\rTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${INNER}`)],
  ['a NUL in a header', post('X: a\0\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${INNER}`)],
  ['chunks in HTTP/1.0', post('Transfer-Encoding: chunked\r\n', `0\r\n\r\n${INNER}`).replace('/1.1', '/1.0')],
  ['a chunk length with a prefix', post('Transfer-Encoding: chunked\r\n', `0x0\r\n\r\n${INNER}`)],
  ['a chunk length that overflows', post('Transfer-Encoding: chunked\r\n', `10000000000000000\r\n\r\n${INNER}`)],
  ['a chunk longer than it says', post('Transfer-Encoding: chunked\r\n', `1\r\nab\r\n0\r\n\r\n${INNER}`)],
  ['a GET with a body', `GET /v1/userinfo HTTP/1.1\r\nHost: a\r\nContent-Length: ${LENGTH}\r\n\r\n${INNER}`],
  ['no method', ` / HTTP/1.1\r\nHost: a\r\n\r\n${INNER}`],
  ['a version of its own', `GET / HTTP/9.9\r\nHost: a\r\n\r\n${INNER}`],
  ['the preface of HTTP/2', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${INNER}`],
];

/** One after the other, as HTTP/1.1 has it: both are to be answered, or the others prove nothing. */
export const PIPELINED = `GET /v1/userinfo HTTP/1.1\r\nHost: a\r\n\r\n${INNER}`;
