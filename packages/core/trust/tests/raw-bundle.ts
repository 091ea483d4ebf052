import type { DerSpki } from '@keystead/core/bytes';
import { type Signer, sign1Structure, spkiSha256, toCoseSignature } from '@keystead/core/crypto';
import type { BundleContent } from '@keystead/core/trust';
import { encode } from 'cborg';

/** A trust bundle's content as CBOR has it, before any rule: members by number, rows by place. */
export type RawContent = Map<unknown, unknown>;

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const ROLES = ['server', 'device', 'firmware'];
const USES = ['current', 'next', 'backup'];

/** By docs/trust-bundle.md, and by nothing that signs or reads bundles. */
export const rawOf = (content: BundleContent): RawContent =>
  new Map<unknown, unknown>([
    [1, content.v],
    [2, content.fleet],
    [3, content.version],
    [4, content.issuedAt],
    [5, content.expires],
    [6, content.anchors.map((one) => [ROLES.indexOf(one.role), one.certificate, one.from, one.until])],
    [
      7,
      content.pins.map((pin) => [
        pin.role,
        pin.keys.map((key) => [bytes(key.spkiSha256), USES.indexOf(key.use), key.from, key.until]),
      ]),
    ],
    [8, content.signers.map((one) => [one.spki, one.from, one.until])],
    [9, content.firmware.map((one) => [one.product, one.signers.map(bytes), one.minimumSecurityCounter])],
    [10, content.filterSha256 === null ? null : bytes(content.filterSha256)],
  ]);

export const CONTENT_TYPE = 'application/vnd.keystead.trust-bundle+cbor';
const ALGORITHMS: Readonly<Record<string, number>> = { 'P-256': -7, 'P-384': -35, Ed25519: -19 };

/** The protected header, as it should be or with members changed. */
export function headerOf(spki: DerSpki, keyAlgorithm: string, changed: readonly [unknown, unknown][] = []): Uint8Array {
  const members = new Map<unknown, unknown>([
    [1, ALGORITHMS[keyAlgorithm]],
    [3, CONTENT_TYPE],
    [4, bytes(spkiSha256(spki))],
  ]);
  for (const [key, value] of changed) members.set(key, value);
  return encode(members);
}

/** Signs whatever is given, also what no bundle is. */
export async function sealed(
  payload: Uint8Array,
  signer: Signer,
  header = headerOf(signer.spki, signer.keyAlgorithm),
): Promise<Uint8Array> {
  const signature = await signer.sign(sign1Structure(header, payload));
  return unsealed(payload, header, toCoseSignature(signer.keyAlgorithm, signature));
}

/** The same with a signature that is given: for reading, which looks at none. */
export const unsealed = (
  payload: Uint8Array,
  header: Uint8Array,
  signature: Uint8Array = new Uint8Array(64),
): Uint8Array => encode([header, new Map(), payload, signature]);
