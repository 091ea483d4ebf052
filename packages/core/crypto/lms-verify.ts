import { createHash } from 'node:crypto';

/**
 * Verification of LMS and HSS (RFC 8554, RFC 9858, SP 800-208). Verification only: each leaf of a private key signs once,
 * and what counts them belongs into hardware. Every hash is OpenSSL's; what stands here is the walk over them
 * (docs/decisions/0043-attestations-and-post-quantum.md).
 */

/** The hash of a parameter set and the octets that are kept of it. */
interface HashKind {
  readonly name: 'sha256' | 'shake256';
  readonly octets: 32 | 24;
}

interface TreeKind extends HashKind {
  readonly height: number;
}

interface OneTimeKind extends HashKind {
  /** Bits that a chain signs (RFC 8554 section 4.1). */
  readonly width: 1 | 2 | 4 | 8;
}

const HASHES: readonly HashKind[] = [
  { name: 'sha256', octets: 32 },
  { name: 'sha256', octets: 24 },
  { name: 'shake256', octets: 32 },
  { name: 'shake256', octets: 24 },
];
const HEIGHTS = [5, 10, 15, 20, 25] as const;
const WIDTHS = [1, 2, 4, 8] as const;

/** IANA: LMS types 5 to 24 and LM-OTS types 1 to 16, four hashes each in one order (RFC 8554, RFC 9858 section 8). */
const TREES = new Map<number, TreeKind>(
  HASHES.flatMap((hash, at) => HEIGHTS.map((height, i) => [5 + 5 * at + i, { ...hash, height }] as const)),
);
const ONE_TIME = new Map<number, OneTimeKind>(
  HASHES.flatMap((hash, at) => WIDTHS.map((width, i) => [1 + 4 * at + i, { ...hash, width }] as const)),
);

/** RFC 8554 section 3.3: what keeps the hashes of one purpose apart from those of another. */
const D_PBLC = Uint8Array.of(0x80, 0x80);
const D_MESG = Uint8Array.of(0x81, 0x81);
const D_LEAF = Uint8Array.of(0x82, 0x82);
const D_INTR = Uint8Array.of(0x83, 0x83);
const IDENTIFIER_OCTETS = 16;
/** RFC 8554 section 6. */
const MOST_LEVELS = 8;

/**
 * Whether `signature` is one of `message` by an HSS public key (RFC 8554 section 6.3), whose tree has one level or more.
 * False, never an exception, for whatever else comes.
 * @param publicKey the number of levels and the LMS key of the first.
 */
export function verifyHss(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = new Octets(publicKey);
  const levels = key.uint32();
  if (levels === undefined || levels < 1 || levels > MOST_LEVELS) return false;
  const parts = new Octets(signature);
  if (parts.uint32() !== levels - 1) return false;
  let signer = key.rest();
  for (let level = 1; level < levels; level += 1) {
    const signed = lmsSignature(parts);
    const below = lmsPublicKey(parts);
    if (signed === undefined || below === undefined || !verifyLms(signer, below, signed)) return false;
    signer = below;
  }
  return verifyLms(signer, message, parts.rest());
}

/** As {@link verifyHss}, by one LMS public key (RFC 8554 section 5.4.2). */
export function verifyLms(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = new Octets(publicKey);
  const type = key.uint32();
  const oneTimeType = key.uint32();
  const tree = TREES.get(type ?? 0);
  const oneTime = ONE_TIME.get(oneTimeType ?? 0);
  if (tree === undefined || oneTime === undefined) return false;
  // SP 800-208 section 4: tree and one-time signature have one hash, of one length.
  if (tree.name !== oneTime.name || tree.octets !== oneTime.octets) return false;
  const identifier = key.take(IDENTIFIER_OCTETS);
  const root = key.take(tree.octets);
  if (identifier === undefined || root === undefined || key.left > 0) return false;

  const parts = new Octets(signature);
  const leaf = parts.uint32();
  if (leaf === undefined || leaf >= 2 ** tree.height || parts.uint32() !== oneTimeType) return false;
  const randomizer = parts.take(oneTime.octets);
  const chains = parts.take(oneTime.octets * chainsOf(oneTime));
  if (randomizer === undefined || chains === undefined || parts.uint32() !== type) return false;
  const path = parts.take(tree.octets * tree.height);
  if (path === undefined || parts.left > 0) return false;

  const q = uint32(leaf);
  const digest = hashed(oneTime, identifier, q, D_MESG, randomizer, message);
  let node = 2 ** tree.height + leaf;
  let value = hashed(tree, identifier, uint32(node), D_LEAF, oneTimeKey(oneTime, identifier, q, digest, chains));
  for (let at = 0; node > 1; at += tree.octets) {
    const sibling = path.subarray(at, at + tree.octets);
    const pair = node % 2 === 1 ? [sibling, value] : [value, sibling];
    node = Math.floor(node / 2);
    value = hashed(tree, identifier, uint32(node), D_INTR, ...pair);
  }
  return Buffer.compare(value, root) === 0;
}

/** The one-time public key that a signature leads to (RFC 8554 section 4.6, algorithm 4b). */
function oneTimeKey(
  kind: OneTimeKind,
  identifier: Uint8Array,
  q: Uint8Array,
  digest: Uint8Array,
  chains: Uint8Array,
): Uint8Array {
  const { octets, width } = kind;
  const last = 2 ** width - 1;
  const coefficients = coefficientsOf(digest, width);
  const sum = coefficients.reduce((total, one) => total + last - one, 0);
  // RFC 8554 section 4.4: the sum stands at the left end of 16 bits.
  const checksum = (sum << (16 - width * checksumChains(kind))) & 0xffff;
  coefficients.push(...coefficientsOf(Uint8Array.of(checksum >> 8, checksum & 0xff), width));
  const ends: Uint8Array[] = [];
  for (let i = 0; i < chainsOf(kind); i += 1) {
    let value = chains.subarray(i * octets, (i + 1) * octets);
    for (let step = coefficients[i] ?? 0; step < last; step += 1) {
      value = hashed(kind, identifier, q, Uint8Array.of(i >> 8, i & 0xff, step), value);
    }
    ends.push(value);
  }
  return hashed(kind, identifier, q, D_PBLC, ...ends);
}

/** The bits of `octets`, `width` at a time from the left (RFC 8554 section 3.1.3). */
function coefficientsOf(octets: Uint8Array, width: number): number[] {
  const found: number[] = [];
  for (const octet of octets) {
    for (let shift = 8 - width; shift >= 0; shift -= width) found.push((octet >> shift) & (2 ** width - 1));
  }
  return found;
}

/** Chains over the checksum, which is at most 8n/w times 2^w − 1 (RFC 8554 appendix B). */
function checksumChains({ octets, width }: OneTimeKind): number {
  const most = ((8 * octets) / width) * (2 ** width - 1);
  return Math.ceil((Math.floor(Math.log2(most)) + 1) / width);
}

const chainsOf = (kind: OneTimeKind): number => (8 * kind.octets) / kind.width + checksumChains(kind);

function hashed({ name, octets }: HashKind, ...parts: readonly Uint8Array[]): Uint8Array {
  const hash = name === 'shake256' ? createHash(name, { outputLength: octets }) : createHash(name);
  for (const part of parts) hash.update(part);
  return hash.digest().subarray(0, octets);
}

/** The octets of an LMS signature that begins here, by its own types; undefined where it is cut off. */
function lmsSignature(parts: Octets): Uint8Array | undefined {
  const oneTime = ONE_TIME.get(parts.peek(4) ?? 0);
  if (oneTime === undefined) return undefined;
  const head = 8 + oneTime.octets * (1 + chainsOf(oneTime));
  const tree = TREES.get(parts.peek(head) ?? 0);
  return tree === undefined ? undefined : parts.take(head + 4 + tree.octets * tree.height);
}

function lmsPublicKey(parts: Octets): Uint8Array | undefined {
  const tree = TREES.get(parts.peek(0) ?? 0);
  return tree === undefined ? undefined : parts.take(8 + IDENTIFIER_OCTETS + tree.octets);
}

function uint32(value: number): Uint8Array {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, value);
  return octets;
}

/** Octets that are taken one after another; undefined where there are not as many. */
class Octets {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(length: number): Uint8Array | undefined {
    if (length > this.left) return undefined;
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  uint32(): number | undefined {
    const value = this.peek(0);
    if (value !== undefined) this.#at += 4;
    return value;
  }

  /** The number at `offset` from here, which stays here. */
  peek(offset: number): number | undefined {
    if (offset + 4 > this.left) return undefined;
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#at + offset, 4).getUint32(0);
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }
}
