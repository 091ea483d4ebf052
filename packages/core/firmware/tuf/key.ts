import { z } from 'zod';
import { type DerSpki, fromHex, fromPem, toHex, toPem } from '../../bytes/index.ts';
import {
  algorithmOfSpki,
  ecPoint,
  ed25519Octets,
  ed25519Spki,
  type KeyAlgorithm,
  SIGNATURE_OF,
  sha256,
  verifySignature,
} from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { malformed } from '../malformed.ts';
import { signedBytes, tufSubject } from './canonical.ts';

/**
 * A public key (TUF 1.0 section 4.2). Ed25519: 32 octets, hex; ECDSA: SubjectPublicKeyInfo, PEM. RSA is left out: TUF has
 * it with PSS alone, and clients differ in the length of the salt that they take.
 */
export const tufKeySchema = z.discriminatedUnion('scheme', [
  z.strictObject({
    keytype: z.literal('ed25519'),
    scheme: z.literal('ed25519'),
    keyval: z.strictObject({ public: z.string().regex(/^[0-9a-f]{64}$/) }),
  }),
  z.strictObject({
    keytype: z.literal('ecdsa'),
    scheme: z.enum(['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384']),
    keyval: z.strictObject({ public: z.string().max(400) }),
  }),
]);
export type TufKey = z.output<typeof tufKeySchema>;

const EC_SCHEMES = { 'P-256': 'ecdsa-sha2-nistp256', 'P-384': 'ecdsa-sha2-nistp384' } as const;

export const isTufKey = (algorithm: KeyAlgorithm): boolean => algorithm === 'Ed25519' || algorithm in EC_SCHEMES;

/** @throws KeysteadError `firmware.key-unsuitable` for a key that TUF clients have no scheme for, `key.weak`. */
export function tufKeyOf(spki: DerSpki): TufKey {
  const algorithm = algorithmOfSpki(spki);
  const octets = algorithm === 'Ed25519' ? ed25519Octets(spki) : undefined;
  if (octets !== undefined) return { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: toHex(octets) } };
  if (algorithm === 'P-256' || algorithm === 'P-384') {
    // One encoding of the point: another would give the key a second id.
    ecPoint(algorithm, spki);
    return { keytype: 'ecdsa', scheme: EC_SCHEMES[algorithm], keyval: { public: toPem('PUBLIC KEY', spki) } };
  }
  throw new KeysteadError('firmware.key-unsuitable', {
    field: 'key',
    seen: `${algorithm ?? 'another kind'}, where TUF takes Ed25519, P-256 and P-384`,
  });
}

/** The id of a key: SHA-256 of its canonical JSON, hex (TUF 1.0 section 4.2). */
export const tufKeyId = (key: TufKey): string => toHex(sha256(signedBytes(tufSubject(key))));

/**
 * The key itself. Each key has one spelling, and so one id: a key under two ids would count twice.
 * @throws KeysteadError `firmware.malformed`.
 */
export function spkiOfTufKey(key: TufKey, field: string): DerSpki {
  let spki: DerSpki | undefined;
  let again: TufKey;
  try {
    spki =
      key.scheme === 'ed25519'
        ? ed25519Spki(fromHex(key.keyval.public))
        : (fromPem('PUBLIC KEY', key.keyval.public)[0] as DerSpki | undefined);
    again = tufKeyOf(spki ?? (new Uint8Array() as DerSpki));
  } catch {
    throw malformed(field, 'no public key');
  }
  if (spki === undefined || again.scheme !== key.scheme || again.keyval.public !== key.keyval.public) {
    throw malformed(field, 'a key in another spelling than its one');
  }
  return spki;
}

/** Whether `signature` is one of `data` by the key; never an exception for the signature. */
export function verifiesTuf(key: TufKey, data: Uint8Array, signature: Uint8Array): boolean {
  const spki = spkiOfTufKey(key, 'keys');
  const algorithm = algorithmOfSpki(spki) as KeyAlgorithm;
  return verifySignature(SIGNATURE_OF[algorithm], spki, data, signature);
}
