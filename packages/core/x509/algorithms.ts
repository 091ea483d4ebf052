import { type KeyAlgorithm, SIGNATURE_OF, type SignatureAlgorithm } from '../crypto/index.ts';
import { DerError, type DerNode, readOid } from './der/strict.ts';
import { nullValue, oid, sequence } from './der/writer.ts';
import { SIGNATURE_OIDS } from './oids.ts';

const isRsa = (algorithm: string): boolean => algorithm.endsWith('RSAEncryption');

/**
 * AlgorithmIdentifiers with exactly the parameters that their sources ask for: NULL for RSA (RFC 4055 section 5),
 * none for ECDSA (RFC 5758 section 3.2) and Ed25519 (RFC 8410 section 3).
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

/** The one algorithm with which a key of `key` signs here. */
export const signatureAlgorithmFor = (key: KeyAlgorithm): SignatureAlgorithm => SIGNATURE_OF[key];

/** Whether a key of `key` can make a signature of `algorithm`. */
export function canSign(key: KeyAlgorithm, algorithm: SignatureAlgorithm): boolean {
  if (key === 'Ed25519') return algorithm === 'Ed25519';
  return key.startsWith('RSA') ? isRsa(algorithm) : algorithm.startsWith('ecdsa');
}
