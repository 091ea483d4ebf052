import type { DerSpki } from '../../bytes/index.ts';
import type { KeyAlgorithm, SignatureAlgorithm } from '../algorithms.ts';
import { ed25519Spki } from '../key.ts';
import { algorithmOfSpki, ecSpki, rsaSpki } from '../public-numbers.ts';
import { malformed, onlyItem, refused } from './cbor.ts';

/** Members of a COSE_Key (RFC 9052 section 7.1, RFC 9053 section 7, RFC 8230 section 4). */
const KTY = 1;
const ALG = 3;
/** Of EC2 and OKP: curve, x, y. Of RSA: modulus, exponent. */
const FIRST = -1;
const SECOND = -2;
const THIRD = -3;

/** A credential's public key, in the forms that the rest of Keystead knows. */
export interface CoseKey {
  readonly spki: DerSpki;
  readonly keyAlgorithm: KeyAlgorithm;
  /** The one by which the credential signs. */
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** COSEAlgorithmIdentifier. */
  readonly alg: number;
}

interface Kind {
  readonly kty: number;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly members: readonly number[];
  readonly spki: (key: ReadonlyMap<unknown, unknown>) => DerSpki;
}

/** WebAuthn level 2 section 5.8.5: ES256 is with P-256 and EdDSA with Ed25519, and neither point is compressed. */
const KINDS: ReadonlyMap<unknown, Kind> = new Map([
  [
    -7,
    {
      kty: 2,
      signatureAlgorithm: 'ecdsa-with-SHA256',
      members: [KTY, ALG, FIRST, SECOND, THIRD],
      spki: (key) => {
        requireCurve(key, 1);
        const point = Buffer.concat([Uint8Array.of(4), octets(key, SECOND, 32), octets(key, THIRD, 32)]);
        return ecSpki('P-256', point);
      },
    },
  ],
  [
    -8,
    {
      kty: 1,
      signatureAlgorithm: 'Ed25519',
      members: [KTY, ALG, FIRST, SECOND],
      spki: (key) => {
        requireCurve(key, 6);
        return ed25519Spki(octets(key, SECOND, 32));
      },
    },
  ],
  [
    -257,
    {
      kty: 3,
      signatureAlgorithm: 'sha256WithRSAEncryption',
      members: [KTY, ALG, FIRST, SECOND],
      spki: (key) => rsaSpki(octets(key, FIRST), octets(key, SECOND)),
    },
  ],
]);

/** The algorithms of credentials, in the order in which a console should ask for them: ES256, EdDSA, RS256. */
export const WEBAUTHN_ALGORITHMS: readonly number[] = [-7, -8, -257];

/**
 * Reads a credential's public key (WebAuthn level 2 section 6.5.1.1): exactly the members of its kind, in the one
 * encoding. That it is no weak key is for x509's check of public keys to say.
 * @param bytes COSE_Key, canonical CBOR.
 * @throws KeysteadError `webauthn.malformed`, `webauthn.algorithm-forbidden`, `key.weak` for a point off its curve.
 */
export function readCoseKey(bytes: Uint8Array, field = 'publicKey'): CoseKey {
  return coseKeyOf(onlyItem(bytes, field), field);
}

/** The same of what was decoded already. */
export function coseKeyOf(value: unknown, field: string): CoseKey {
  if (!(value instanceof Map)) throw malformed(field, 'no COSE_Key');
  const key: ReadonlyMap<unknown, unknown> = value;
  const alg = key.get(ALG);
  const kind = KINDS.get(alg);
  if (kind === undefined || typeof alg !== 'number') {
    throw refused('webauthn.algorithm-forbidden', field, typeof alg === 'number' ? `alg ${alg}` : 'no alg');
  }
  const { kty, members, signatureAlgorithm } = kind;
  if (key.get(KTY) !== kty || key.size !== members.length || members.some((member) => !key.has(member))) {
    throw malformed(field, `a COSE_Key with other members than alg ${alg} has`);
  }
  const spki = kind.spki(key);
  const keyAlgorithm = algorithmOfSpki(spki);
  if (keyAlgorithm === undefined) throw refused('webauthn.algorithm-forbidden', field, 'a key of another size');
  return { spki, keyAlgorithm, signatureAlgorithm, alg };
}

function requireCurve(key: ReadonlyMap<unknown, unknown>, curve: number): void {
  const seen = key.get(FIRST);
  if (seen !== curve) throw refused('webauthn.algorithm-forbidden', 'publicKey', `curve ${String(seen)}`);
}

function octets(key: ReadonlyMap<unknown, unknown>, member: number, length?: number): Uint8Array {
  const value = key.get(member);
  if (value instanceof Uint8Array && value.length > 0 && (length === undefined || value.length === length))
    return value;
  throw malformed('publicKey', `member ${member} that is no byte string of its length`);
}
