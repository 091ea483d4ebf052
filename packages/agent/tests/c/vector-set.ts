import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type DerSpki, fromHex, type SpkiSha256, toHex } from '@keystead/core/bytes';
import { SecretBytes, sessionKeys } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  CarriedFilter,
  filterSha256,
  isPinned,
  parseBundle,
  requireCurrent,
  type TrustState,
  takeBundles,
} from '@keystead/core/trust';
import { serialOf } from '../../../core/x509/serial.ts';
import { codeOf } from './differential.ts';

/** All bytes are hex, all times seconds since 1970. */
export interface VectorState {
  readonly fleet: string;
  readonly version: number;
  readonly sha256: string;
  readonly signers: readonly { readonly spki: string; readonly from: number; readonly until: number }[];
  readonly firmware: readonly { readonly product: string; readonly minimumSecurityCounter: number }[];
}

export interface BundleVector {
  readonly name: string;
  readonly files: readonly string[];
  readonly known: VectorState;
  readonly now: number;
  readonly expected: string;
  /** Where it is taken. */
  readonly taken?: { version: number; sha256: string; repeated: boolean; rows: readonly number[] };
}

export interface PinVector {
  readonly name: string;
  readonly file: string;
  readonly role: string;
  readonly key: string;
  readonly now: number;
  readonly expected: string;
}

export interface FilterVector {
  readonly name: string;
  readonly files: readonly string[];
  /** The hash that a bundle names. */
  readonly named: string;
  readonly expected: string;
  /** `0` good, `1` revoked, `-` not covered; the serial number as the content octets of its INTEGER. */
  readonly answers: readonly { readonly issuer: string; readonly serial: string; readonly says: '0' | '1' | '-' }[];
}

export interface PeerVector {
  readonly name: string;
  /** The name of a filter's vector; null for none. */
  readonly filter: string | null;
  /** Leaf first, without the anchor. */
  readonly path: readonly { issuer: string; serial: string; notBefore: number; notAfter: number }[];
  readonly now: number;
  readonly tolerateUnknownSeconds: number;
  readonly coverPath: boolean;
  readonly expected: string;
  readonly depth: number;
}

export interface SessionVector {
  readonly name: string;
  readonly exported: string;
  readonly deviceId: string;
  readonly deviceSalt: string;
  readonly serviceSalt: string;
  readonly expected: string;
  readonly clientWrite: string;
  readonly serverWrite: string;
}

/** What firmware teams try their build with. No private key is in it, or can be told from it. */
export interface VectorSet {
  readonly v: 1;
  /** Good signatures, by the SHA-256 of algorithm (0 ES256, 1 ES384, 2 Ed25519), key, what is signed, and signature. */
  readonly signatures: readonly string[];
  /** Good keys, by the SHA-256 of their SubjectPublicKeyInfo. */
  readonly keys: readonly string[];
  readonly certificates: readonly { sha256: string; ca: boolean; notAfter: number; spkiSha256: string }[];
  readonly bundles: readonly BundleVector[];
  readonly pins: readonly PinVector[];
  readonly filters: readonly FilterVector[];
  readonly peers: readonly PeerVector[];
  readonly sessions: readonly SessionVector[];
}

export const VECTORS = fileURLToPath(new URL('../../c/vectors/vectors.json', import.meta.url));
/** As it stands in the file: a line for each vector. */
export function vectorText(set: VectorSet): string {
  const members = Object.entries(set).map(([name, value]) => {
    const rows = Array.isArray(value) ? `[\n${value.map((row) => JSON.stringify(row)).join(',\n')}\n]` : String(value);
    return `${JSON.stringify(name)}: ${rows}`;
  });
  return `{\n${members.join(',\n')}\n}\n`;
}

export const readVectors = (): VectorSet => JSON.parse(readFileSync(VECTORS, 'utf8')) as VectorSet;

export const stateOf = (known: VectorState): TrustState => ({
  ...known,
  signers: known.signers.map((one) => ({ ...one, spki: fromHex(one.spki) as DerSpki })),
});

/** What `@keystead/core` says of a bundle's vector today. */
export function judgeBundle({ files, known, now }: BundleVector): Pick<BundleVector, 'expected' | 'taken'> {
  let taken: BundleVector['taken'];
  const expected = codeOf(() => {
    const { content, state, repeated } = takeBundles(files.map(fromHex), stateOf(known), new Date(now * 1000));
    const rows = [content.anchors, content.pins, content.signers, content.firmware].map(({ length }) => length);
    taken = { version: state.version, sha256: state.sha256, repeated, rows };
  });
  return taken === undefined ? { expected } : { expected, taken };
}

export function judgePin({ file, role, key, now }: PinVector): string {
  const { content } = parseBundle(fromHex(file));
  const at = new Date(now * 1000);
  const expired = codeOf(() => requireCurrent(content, at));
  if (expired !== 'ok') return expired;
  const pinned = isPinned(content, role, key as SpkiSha256, at);
  if (pinned === undefined) return 'pin.name-unknown';
  return pinned ? 'ok' : 'pin.differs';
}

export function judgeFilter({ files, named, answers }: FilterVector): Pick<FilterVector, 'expected' | 'answers'> {
  const [base = new Uint8Array(), ...deltas] = files.map(fromHex);
  let said: FilterVector['answers'] = [];
  const expected = codeOf(() => {
    const carried = CarriedFilter.open(base, deltas);
    said = answers.map(({ issuer, serial }) => {
      const revoked = carried.says(issuer as SpkiSha256, serialOf(fromHex(serial)));
      return { issuer, serial, says: revoked === undefined ? '-' : revoked ? '1' : '0' };
    });
  });
  // Which filter a bundle names is a hash that whoever fetches it compares.
  const isNamed = filterSha256(deltas.at(-1) ?? base) === named;
  return expected === 'ok' && !isNamed ? { expected: 'filter.not-named', answers: [] } : { expected, answers: said };
}

export function judgeSession(vector: SessionVector): Pick<SessionVector, 'expected' | 'clientWrite' | 'serverWrite'> {
  const nothing = '00'.repeat(32);
  try {
    using master = SecretBytes.copy(fromHex(vector.exported));
    const salt = Buffer.concat([fromHex(vector.deviceSalt), fromHex(vector.serviceSalt)]);
    using keys = sessionKeys(master, salt, `tls session of ${vector.deviceId}`);
    const shown = (key: SecretBytes) => key.use((bytes) => toHex(bytes));
    return { expected: 'ok', clientWrite: shown(keys.clientWrite), serverWrite: shown(keys.serverWrite) };
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof KeysteadError)) throw error;
    return { expected: 'kdf.input', clientWrite: nothing, serverWrite: nothing };
  }
}
