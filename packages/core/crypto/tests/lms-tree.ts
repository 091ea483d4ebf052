import { createHash } from 'node:crypto';
import { randomBytes } from '../index.ts';

/** RFC 8554 section 5.3 and 4.5, once more and by the other direction: a tree of 32 leaves of which each signs once. */
export function foreignTree(type: number, oneTimeType: number, hashName: string, n: number, w: number) {
  const identifier = randomBytes(16);
  const hash = (...parts: readonly Uint8Array[]): Buffer => {
    const one = createHash(hashName, hashName === 'shake256' ? { outputLength: n } : undefined);
    for (const part of parts) one.update(part);
    return one.digest().subarray(0, n);
  };
  const u32 = (value: number): Buffer => {
    const octets = Buffer.alloc(4);
    octets.writeUInt32BE(value);
    return octets;
  };
  // RFC 8554 table 1 and RFC 9858 table 1.
  const chainsOf: Record<number, Record<number, number>> = {
    32: { 1: 265, 2: 133, 4: 67, 8: 34 },
    24: { 1: 200, 2: 101, 4: 51, 8: 26 },
  };
  const shiftOf: Record<number, Record<number, number>> = {
    32: { 1: 7, 2: 6, 4: 4, 8: 0 },
    24: { 1: 8, 2: 6, 4: 4, 8: 0 },
  };
  const [chains, shift] = [chainsOf[n]?.[w] ?? 0, shiftOf[n]?.[w] ?? 0];
  const step = (q: number, i: number, from: number, to: number, start: Uint8Array): Uint8Array => {
    let value: Uint8Array = start;
    for (let j = from; j < to; j += 1) value = hash(identifier, u32(q), Buffer.of(i >> 8, i & 255, j), value);
    return value;
  };
  const leaves = Array.from({ length: 32 }, (_, q) => {
    const secrets = Array.from({ length: chains }, () => randomBytes(n));
    const ends = secrets.map((secret, i) => step(q, i, 0, 2 ** w - 1, secret));
    return { secrets, key: hash(identifier, u32(q), Buffer.of(0x80, 0x80), ...ends) };
  });
  const nodes = new Map(
    leaves.map(({ key }, q) => [32 + q, hash(identifier, u32(32 + q), Buffer.of(0x82, 0x82), key)]),
  );
  for (let node = 31; node >= 1; node -= 1) {
    const pair = [nodes.get(2 * node) ?? Buffer.of(), nodes.get(2 * node + 1) ?? Buffer.of()];
    nodes.set(node, hash(identifier, u32(node), Buffer.of(0x83, 0x83), ...pair));
  }
  const bits = (octets: Uint8Array): string => [...octets].map((o) => o.toString(2).padStart(8, '0')).join('');
  return {
    publicKey: Buffer.concat([u32(type), u32(oneTimeType), identifier, nodes.get(1) ?? Buffer.of()]),
    sign(q: number, message: Uint8Array): Buffer {
      const randomizer = randomBytes(n);
      const digits = (text: string) =>
        (text.match(new RegExp(`.{${w}}`, 'g')) ?? []).map((part) => Number.parseInt(part, 2));
      const first = digits(bits(hash(identifier, u32(q), Buffer.of(0x81, 0x81), randomizer, message)));
      const sum = first.reduce((total, digit) => total + 2 ** w - 1 - digit, 0) << shift;
      const all = [...first, ...digits(bits(Buffer.of(sum >> 8, sum & 255)))].slice(0, chains);
      const parts = all.map((digit, i) => step(q, i, 0, digit, leaves[q]?.secrets[i] ?? Buffer.of()));
      const path: Buffer[] = [];
      for (let node = 32 + q; node > 1; node >>= 1) path.push(nodes.get(node ^ 1) ?? Buffer.of());
      return Buffer.concat([u32(q), u32(oneTimeType), randomizer, ...parts, u32(type), ...path]);
    },
  };
}
