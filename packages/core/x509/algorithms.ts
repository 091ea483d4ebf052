import {
  isPostQuantum,
  type KeyAlgorithm,
  type PeerSignatureAlgorithm,
  SIGNATURE_OF,
  type SignatureAlgorithm,
} from '../crypto/index.ts';
import { DerError, type DerNode, readInteger, readOid } from './der/strict.ts';
import { nullValue, oid, sequence } from './der/writer.ts';
import { nameOf, SIGNATURE_OIDS } from './oids.ts';

const isRsa = (algorithm: string): boolean => algorithm.endsWith('RSAEncryption');

/**
 * AlgorithmIdentifiers with exactly the parameters that their sources ask for: NULL for RSA (RFC 4055 section 5),
 * none for ECDSA (RFC 5758 section 3.2), Ed25519 (RFC 8410 section 3), ML-DSA (RFC 9881 section
 * 2) and SLH-DSA (RFC 9909 section 3).
 */
const IDENTIFIERS = new Map<SignatureAlgorithm, Uint8Array>(
  (Object.entries(SIGNATURE_OIDS) as [SignatureAlgorithm, string][]).map(([name, dotted]) => [
    name,
    isRsa(name) ? sequence(oid(dotted), nullValue()) : sequence(oid(dotted)),
  ]),
);
const NAMES = new Map<string, SignatureAlgorithm>(
  (Object.entries(SIGNATURE_OIDS) as [SignatureAlgorithm, string][]).map(([name, dotted]) => [dotted, name]),
);

/** The DER AlgorithmIdentifier of a signature algorithm. */
export function signatureAlgorithmDer(algorithm: SignatureAlgorithm): Uint8Array {
  const identifier = IDENTIFIERS.get(algorithm);
  if (identifier === undefined) throw new RangeError(`no such signature algorithm: ${algorithm}`);
  return identifier;
}

/**
 * Reads an AlgorithmIdentifier of a signature. An algorithm that Keystead does not use gives its OID alone.
 * @throws DerError also when the parameters are not exactly those of the algorithm.
 */
export function readSignatureAlgorithm(
  node: DerNode,
  what: string,
): { oid: string; algorithm: SignatureAlgorithm | undefined } {
  const [id, parameters] = node.expect(0x30, what).counted(1, 2, what).children;
  const dotted = readOid(id, what);
  const algorithm = NAMES.get(dotted);
  if (algorithm === undefined) return { oid: dotted, algorithm };
  if (isRsa(algorithm) ? parameters?.tag !== 0x05 : parameters !== undefined)
    throw new DerError(`${what} (${algorithm}) has the wrong parameters`);
  return { oid: dotted, algorithm };
}

const RSASSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';
/** The hashes of RFC 4055 section 2.1 that are strong enough, by OpenSSL's names. */
const PSS_HASHES = {
  sha224: '2.16.840.1.101.3.4.2.4',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
} as const;

/**
 * Reads an AlgorithmIdentifier of a signature of any kind, for `verifyPeerSignature`. Parameters of RSASSA-PSS that
 * are not accepted (SHA-1, which is their default; another hash for MGF1) are left out.
 * @throws DerError
 */
export function readPeerAlgorithm(node: DerNode, what: string): PeerSignatureAlgorithm {
  const [id, parameters] = node.expect(0x30, what).counted(1, 2, what).children;
  const dotted = readOid(id, what);
  const pss = dotted === RSASSA_PSS && parameters !== undefined ? readPss(parameters, what) : undefined;
  return pss === undefined ? { oid: dotted } : { oid: dotted, pss };
}

/** RSASSA-PSS-params (RFC 4055 section 3.1). */
function readPss(node: DerNode, what: string): PeerSignatureAlgorithm['pss'] {
  const fields = new Map(
    node
      .expect(0x30, what)
      .counted(0, 4, what)
      .children.map((child) => [child.tag, child]),
  );
  const hash = fields.get(0xa0)?.child(0, 0x30, what).children[0];
  const mask = fields.get(0xa1)?.child(0, 0x30, what).counted(2, 2, what);
  const salt = fields.get(0xa2)?.child(0, 0x02, what);
  if (hash === undefined || mask === undefined || fields.has(0xa3)) return undefined;
  const name = nameOf(PSS_HASHES, readOid(hash, what));
  const masked = nameOf(PSS_HASHES, readOid(mask.child(1, 0x30, what).children[0], what));
  const saltLength = salt === undefined ? 20 : Number(readInteger(salt, what));
  if (!(name in PSS_HASHES) || masked !== name || readOid(mask.children[0], what) !== MGF1) return undefined;
  return saltLength >= 0 && saltLength <= 64 ? { hash: name, saltLength } : undefined;
}

/** The one algorithm with which a key of `key` signs here. */
export const signatureAlgorithmFor = (key: KeyAlgorithm): SignatureAlgorithm => SIGNATURE_OF[key];

/** Whether a key of `key` can make a signature of `algorithm`. */
export function canSign(key: KeyAlgorithm, algorithm: SignatureAlgorithm): boolean {
  if (key === 'Ed25519' || isPostQuantum(key)) return algorithm === key;
  return key.startsWith('RSA') ? isRsa(algorithm) : algorithm.startsWith('ecdsa');
}
