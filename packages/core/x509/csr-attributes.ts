import type { KeyAlgorithm } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { DerError, type DerNode, readDer, readInteger, readOid } from './der/strict.ts';
import { KEY_OIDS } from './oids.ts';

/** What a server sends has a few hundred octets. */
export const MAX_CSR_ATTRIBUTES_BYTES = 16 * 1024;

const CURVES: Readonly<Record<string, KeyAlgorithm>> = {
  [KEY_OIDS.prime256v1]: 'P-256',
  [KEY_OIDS.secp384r1]: 'P-384',
};
/** Those that are named by their identifier alone. */
const NAMED = new Map<string, KeyAlgorithm>(
  Object.entries(KEY_OIDS).flatMap(([name, id]) =>
    name === 'Ed25519' || name.includes('-DSA-') ? [[id, name as KeyAlgorithm]] : [],
  ),
);

/**
 * The kind of key that a server would have in a request, by the attributes that it sends (RFC 7030 section 4.5.2, as RFC
 * 9908 section 3.3 reads it): the first that is named. Undefined where none is, or none that Keystead knows.
 * @param der CsrAttrs, DER.
 * @throws KeysteadError `csr.attributes-malformed`.
 */
export function wantedKeyAlgorithm(der: Uint8Array): KeyAlgorithm | undefined {
  const malformed = (seen: string, cause?: unknown): KeysteadError =>
    new KeysteadError('csr.attributes-malformed', { field: 'csrattrs', seen, cause });
  if (der.length > MAX_CSR_ATTRIBUTES_BYTES)
    throw malformed(`${der.length} bytes of at most ${MAX_CSR_ATTRIBUTES_BYTES}`);
  try {
    const attributes = readDer(der).expect(0x30, 'the attributes').children;
    return attributes.map(keyOf).find((found) => found !== undefined);
  } catch (cause) {
    if (cause instanceof DerError) throw malformed(cause.message, cause);
    throw cause;
  }
}

/** An attribute, or an object identifier by itself. */
function keyOf(node: DerNode): KeyAlgorithm | undefined {
  if (node.tag === 0x06) return NAMED.get(readOid(node, 'an attribute'));
  const [type, values] = node.expect(0x30, 'an attribute').counted(2, 2, 'an attribute').children;
  const [value] = values?.expect(0x31, 'the values').children ?? [];
  if (type === undefined || value === undefined) return undefined;
  const id = readOid(type, 'the type of an attribute');
  if (id === KEY_OIDS.ecPublicKey) return CURVES[readOid(value.expect(0x06, 'a curve'), 'a curve')];
  if (id !== KEY_OIDS.rsaEncryption) return undefined;
  const bits = readInteger(value.expect(0x02, 'a size'), 'a size');
  return bits === 3072n ? 'RSA-3072' : bits === 4096n ? 'RSA-4096' : undefined;
}
