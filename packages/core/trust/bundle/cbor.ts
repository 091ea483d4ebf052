import { decode, encode } from 'cborg';
import { fromHex, STRICT_CBOR, sameBytes, toBase64, toHex } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { ANCHOR_ROLES, type BundleContent, contentOfJson, PIN_USES } from './content.ts';

/** The longest content: 16 anchors of 4 KiB and all the rest. */
const MOST_BYTES = 128 * 1024;

/** The members of the maps, by number: docs/trust-bundle.md has the table. */
const TOP = {
  v: 1,
  fleet: 2,
  version: 3,
  issuedAt: 4,
  expires: 5,
  anchors: 6,
  pins: 7,
  signers: 8,
  firmware: 9,
  filter: 10,
};

/** The content in CBOR (RFC 8949), in its one deterministic encoding (section 4.2.1): arrays by place, one map. */
export function cborOfContent(content: BundleContent): Uint8Array {
  const { v, fleet, version, issuedAt, expires, anchors, pins, signers, firmware, filterSha256 } = content;
  return encode(
    new Map<number, unknown>([
      [TOP.v, v],
      [TOP.fleet, fleet],
      [TOP.version, version],
      [TOP.issuedAt, issuedAt],
      [TOP.expires, expires],
      [
        TOP.anchors,
        anchors.map(({ role, certificate, from, until }) => [ANCHOR_ROLES.indexOf(role), certificate, from, until]),
      ],
      [
        TOP.pins,
        pins.map(({ role, keys }) => [
          role,
          keys.map(({ spkiSha256, use, from, until }) => [fromHex(spkiSha256), PIN_USES.indexOf(use), from, until]),
        ]),
      ],
      [TOP.signers, signers.map(({ spki, from, until }) => [spki, from, until])],
      [
        TOP.firmware,
        firmware.map((one) => [one.product, one.signers.map((hex) => fromHex(hex)), one.minimumSecurityCounter]),
      ],
      [TOP.filter, filterSha256 === null ? null : fromHex(filterSha256)],
    ]),
  );
}

/**
 * Reads the content. It has one encoding only: what two readers could read differently is refused.
 * @throws KeysteadError `trust-bundle.malformed`.
 */
export function contentOfCbor(bytes: Uint8Array): BundleContent {
  if (bytes.length > MOST_BYTES) throw malformed(`${bytes.length} bytes`);
  const map = decoded(bytes);
  if (!(map instanceof Map)) throw malformed('no map');
  const content = contentOfJson({
    v: map.get(TOP.v),
    fleet: map.get(TOP.fleet),
    version: map.get(TOP.version),
    issuedAt: map.get(TOP.issuedAt),
    expires: map.get(TOP.expires),
    anchors: rows(map.get(TOP.anchors), ([role, certificate, from, until]) => ({
      role: ANCHOR_ROLES[index(role)],
      certificate: base64(certificate),
      from,
      until,
    })),
    pins: rows(map.get(TOP.pins), ([role, keys]) => ({
      role,
      keys: rows(keys, ([key, use, from, until]) => ({ spkiSha256: hex(key), use: PIN_USES[index(use)], from, until })),
    })),
    signers: rows(map.get(TOP.signers), ([spki, from, until]) => ({ spki: base64(spki), from, until })),
    firmware: rows(map.get(TOP.firmware), ([product, signers, minimumSecurityCounter]) => ({
      product,
      signers: Array.isArray(signers) ? signers.map(hex) : signers,
      minimumSecurityCounter,
    })),
    filterSha256: map.get(TOP.filter) === null ? null : hex(map.get(TOP.filter)),
  });
  if (!sameBytes(cborOfContent(content), bytes)) throw malformed('another encoding of the content');
  return content;
}

/** Well-formed CBOR with definite lengths and no key twice. @throws KeysteadError `trust-bundle.malformed`. */
export function decoded(bytes: Uint8Array): unknown {
  try {
    return decode(bytes, STRICT_CBOR);
  } catch (cause) {
    throw malformed('no CBOR in its deterministic encoding', cause);
  }
}

const rows = (value: unknown, read: (row: readonly unknown[]) => unknown): unknown =>
  Array.isArray(value) ? value.map((row: unknown) => (Array.isArray(row) ? read(row) : row)) : value;
const index = (value: unknown): number => (typeof value === 'number' ? value : -1);
const hex = (value: unknown): unknown => (value instanceof Uint8Array ? toHex(value) : value);
const base64 = (value: unknown): unknown => (value instanceof Uint8Array ? toBase64(value) : value);

export const malformed = (seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('trust-bundle.malformed', { field: 'bundle', seen, cause });
