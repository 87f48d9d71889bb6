// Finds a secret in a text, however it was written there.

/** How bytes look inside base64, wherever they begin in what was encoded. */
function inBase64(bytes) {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    // A character holds 6 bits; those at the ends may hold bits of what stands beside.
    return text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
  });
}

/** Every spelling of a secret that we look for. */
export function spellings(secret) {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString('hex');
  const base64 = inBase64(bytes);
  const all = [
    bytes.toString('latin1'),
    hex,
    hex.toUpperCase(),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
    // Rust's and JavaScript's lists of bytes.
    [...bytes].join(', '),
    [...bytes].join(','),
    // Rust's b"..." of bytes that are no text.
    [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  ];
  return [...new Set(all)];
}

/**
 * The names of the secrets that a text holds: `secrets` is a list of `[name, value]`. Six digits
 * alone also turn up by chance in times and ids, so as they are they count only when nothing that
 * could belong to a longer number or word is beside them, and the time of day never counts.
 */
export function leaks(text, secrets) {
  const searched = text
    .replaceAll(/\d\d:\d\d:\d\d\.\d+/g, '')
    .replaceAll(/"duration_us":\d+/g, '');
  const has = (spelling) => (/^\d{6}$/.test(spelling)
    ? new RegExp(`(?<![0-9A-Za-z.])${spelling}(?![0-9A-Za-z])`).test(searched)
    : searched.includes(spelling));
  return secrets
    .map(([name, value]) => [name, spellings(value).filter(has)])
    .filter(([, found]) => found.length > 0)
    .map(([name, found]) => `${name} as ${found.join(' and ')}`);
}

/** A phone number, in the three forms people write it; the national one is in the others too. */
export const phoneForms = (phone) => [
  [`${phone} with its plus`, phone],
  [`${phone} without its plus`, phone.slice(1)],
  [`the national part of ${phone}`, phone.slice(-10)],
];

/** A token: as a whole and in its parts, of which the header is no secret. */
export const tokenForms = (name, token) => {
  const [, payload, signature] = token.split('.');
  return [[name, token], [`the payload of ${name}`, payload], [`the signature of ${name}`, signature]];
};
