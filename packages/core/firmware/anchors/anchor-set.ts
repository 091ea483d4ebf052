import type { DerCertificate, DerSpki } from '../../bytes/index.ts';
import { type KeyAlgorithm, type SignatureScheme, spkiSha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readCertificate } from '../../x509/index.ts';
import type { FirmwareFormatName } from '../format-names.ts';
import { signerKey } from '../signer-key.ts';

/** Devices trust a key and it signs; they trust it and nothing is signed by it (yet, or any more); or neither. */
export type KeyUse = 'signs' | 'trusted' | 'retired';

/** A signing key as the policy has it: whose firmware it signs, and as what. */
export interface ScopedKey {
  readonly id: string;
  readonly algorithm: string;
  readonly product: string;
  readonly environment: string;
  readonly formats: readonly FirmwareFormatName[];
  /** What it signs by, where that is not the one signature of its kind. */
  readonly signature?: SignatureScheme | undefined;
  /** What the policy lets it do; it signs unless told. A retired key is in no device's anchors. */
  readonly use?: KeyUse;
}

/** What a device is to trust: which of the policy's keys. */
export interface AnchorScope {
  readonly product: string;
  readonly environment: string;
  /** Which policy says so, for whoever reads the file. */
  readonly source?: AnchorSource;
}

export interface AnchorSource {
  /** Of the file of the policy, hex. */
  readonly policySha256: string;
  /** Whether each key was held against those of the process that signs. */
  readonly held: boolean;
}

/** A key as the process that signs has it. */
export interface HeldKey {
  /** Of the policy. */
  readonly id: string;
  /** SHA-256 of its SubjectPublicKeyInfo, hex. */
  readonly spkiSha256: string;
  readonly compromised: boolean;
}

export interface FirmwareAnchor {
  /** Of the policy. */
  readonly id: string;
  readonly algorithm: KeyAlgorithm;
  readonly scheme: SignatureScheme;
  readonly formats: readonly FirmwareFormatName[];
  readonly use: Exclude<KeyUse, 'retired'>;
  readonly spki: DerSpki;
  readonly certificate: DerCertificate;
}

/** The keys that devices of one product in one environment trust, in the order of the policy. */
export interface AnchorSet extends AnchorScope {
  readonly anchors: readonly FirmwareAnchor[];
}

/**
 * What a device of a product trusts, from the same list of keys by which keyd signs: nothing can be signed by the policy
 * that would not boot. In a transition two keys are trusted, of which one may sign no more; a retired one is left out.
 * @param certificates of every key of the scope, by its id in the policy; those of other keys are checked too.
 * @throws KeysteadError `firmware.anchor-missing` for a scope without keys and a key without certificate,
 *   `firmware.anchor-differs` where a certificate is not of the key that the policy means.
 */
export function anchorSet(
  keys: readonly ScopedKey[],
  certificates: ReadonlyMap<string, DerCertificate>,
  { product, environment, source }: AnchorScope,
): AnchorSet {
  for (const id of certificates.keys()) {
    if (!keys.some((key) => key.id === id))
      throw new KeysteadError('firmware.anchor-differs', { field: id, seen: 'no key of the policy' });
  }
  const owners = new Map<string, ScopedKey>();
  const anchors: FirmwareAnchor[] = [];
  for (const key of keys) {
    const inScope = key.product === product && key.environment === environment;
    const { id, formats, use = 'signs' } = key;
    if (use === 'retired') continue;
    const certificate = certificates.get(key.id);
    if (certificate === undefined) {
      if (!inScope) continue;
      throw new KeysteadError('firmware.anchor-missing', { field: key.id, seen: 'no certificate' });
    }
    const { spki, keyAlgorithm } = readCertificate(certificate);
    if (keyAlgorithm === undefined || keyAlgorithm !== key.algorithm) {
      const seen = `a certificate for ${keyAlgorithm ?? 'another algorithm'}, the policy has ${key.algorithm}`;
      throw new KeysteadError('firmware.anchor-differs', { field: key.id, seen });
    }
    // A development key under another name would boot what nobody approved.
    const owner = owners.get(spkiSha256(spki));
    if (owner !== undefined) {
      throw new KeysteadError('firmware.anchor-differs', { field: key.id, seen: `the key of ${owner.id}` });
    }
    owners.set(spkiSha256(spki), key);
    const { scheme } = signerKey({ signer: certificate, scheme: key.signature });
    if (inScope) anchors.push({ id, algorithm: keyAlgorithm, scheme, formats, use, spki, certificate });
  }
  if (anchors.length === 0) {
    throw new KeysteadError('firmware.anchor-missing', {
      field: `${product} ${environment}`,
      seen: 'no key of the policy',
    });
  }
  return { product, environment, anchors, ...(source === undefined ? {} : { source }) };
}

/**
 * That what boots is what signs: every anchor is the very key that the process that signs holds under that id.
 * @throws KeysteadError `firmware.anchor-drift` with the first that is not.
 */
export function requireHeld({ anchors }: AnchorSet, held: readonly HeldKey[]): void {
  for (const { id, spki } of anchors) {
    const key = held.find((one) => one.id === id);
    const drift = (seen: string): KeysteadError => new KeysteadError('firmware.anchor-drift', { field: id, seen });
    if (key === undefined) throw drift('no key of keyd');
    const seen = spkiSha256(spki);
    if (key.spkiSha256 !== seen) throw drift(`a certificate of ${seen}, where the key of keyd is ${key.spkiSha256}`);
    if (key.compromised) throw drift('a key that was killed: take it out of the policy');
  }
}

/** Those of a set that sign one format. @throws KeysteadError `firmware.anchor-missing` where none does. */
export function anchorsFor(set: AnchorSet, format: FirmwareFormatName): readonly FirmwareAnchor[] {
  const anchors = set.anchors.filter(({ formats }) => formats.includes(format));
  if (anchors.length > 0) return anchors;
  const field = `${set.product} ${set.environment}`;
  throw new KeysteadError('firmware.anchor-missing', { field, seen: `no key of the policy signs ${format}` });
}
