const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1');
const HEAD = Buffer.from('-----BEGIN PRIVATE KEY-----\n', 'latin1');
const TAIL = Buffer.from('\n-----END PRIVATE KEY-----\n', 'latin1');

/**
 * Calls `use` with a private key in PEM, the one form that node:tls takes, and wipes it afterwards. The text is
 * built in a buffer: a JavaScript string could not be wiped. OpenSSL keeps its own copy for as long as
 * the context made from it lives; nothing can be done about that here.
 *
 * @param pkcs8 PKCS#8, DER.
 */
export function withPemKey<T>(pkcs8: Uint8Array, use: (pem: Buffer) => T): T {
  const groups = Math.ceil(pkcs8.length / 3);
  const pem = Buffer.alloc(HEAD.length + groups * 4 + TAIL.length);
  try {
    pem.set(HEAD, 0);
    let at = HEAD.length;
    for (let from = 0; from < pkcs8.length; from += 3) {
      const left = pkcs8.length - from;
      const bits = ((pkcs8[from] ?? 0) << 16) | ((pkcs8[from + 1] ?? 0) << 8) | (pkcs8[from + 2] ?? 0);
      for (let place = 0; place < 4; place += 1) {
        pem[at] = place <= left ? (ALPHABET[(bits >> (18 - place * 6)) & 0x3f] ?? 0) : 0x3d;
        at += 1;
      }
    }
    pem.set(TAIL, at);
    return use(pem);
  } finally {
    pem.fill(0);
  }
}
