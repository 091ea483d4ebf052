import { verify } from 'node:crypto';
import type { DerCsr, DerSpki } from '../bytes/index.ts';
import { DIGEST_OF, type KeyAlgorithm, type SignatureAlgorithm } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { canSign, readSignatureAlgorithm } from './algorithms.ts';
import { DerError, type DerNode, readDer, readInteger, readOctetBits, readOid } from './der/strict.ts';
import {
  type Extension,
  findExtension,
  readAltName,
  readBasicConstraints,
  readExtensions,
  readExtKeyUsage,
  readKeyUsage,
} from './extensions.ts';
import { keepPublicKey, publicKeyOf } from './goodkey/public-key.ts';
import { type DistinguishedName, readName, readText } from './names.ts';
import { EXTENSIONS, nameOf, REQUEST_ATTRIBUTES } from './oids.ts';
import { readPublicKey } from './spki.ts';

/** No request of a key that is allowed comes near it; with 4096-bit RSA and many names it is about 4 KiB. */
export const MAX_CSR_BYTES = 64 * 1024;

/** The extensions that a request asks for (extensionRequest, RFC 2985 section 5.4.2). Nothing of it is trusted. */
export interface RequestedExtensions {
  /** Entries such as `DNS:localhost`. */
  readonly subjectAltName?: readonly string[];
  readonly keyUsage?: readonly string[];
  readonly extKeyUsage?: readonly string[];
  readonly basicConstraints?: { readonly ca: boolean; readonly pathLength?: number };
  /** All of them, by name where it has one, else by dotted OID, with those above. */
  readonly names: readonly string[];
  readonly all: readonly Extension[];
}

/** A certification request (RFC 2986) that is well-formed. Its signature is not yet verified. */
export interface ParsedCsr {
  readonly der: DerCsr;
  /** The octets whose SHA-256 names the request: the same again is the same request. All of it, as it came. */
  readonly identity: Uint8Array;
  readonly subject: DistinguishedName;
  readonly spki: DerSpki;
  readonly keyAlgorithm: KeyAlgorithm;
  readonly requested: RequestedExtensions;
  readonly challengePassword?: string;
  /** Whether the request names a symmetric key to encrypt a key to that the server makes (RFC 7030 section 4.4.1.1). */
  readonly decryptKeyIdentifier?: boolean;
  /** The identifier of the public key to encrypt such a key to (RFC 7030 section 4.4.1.2). */
  readonly asymmetricDecryptKeyIdentifier?: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** The signed part: CertificationRequestInfo. */
  readonly info: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Reads a certification request, DER. It verifies nothing: {@link verifyProofOfPossession} and `checkPublicKey` do.
 * @throws KeysteadError `csr.not-der` for anything but strict DER of RFC 2986 (also BER, trailing bytes, more than
 *   64 KiB, another version than v1, an attribute or extension that stands twice); `key.algorithm-forbidden` for a
 *   key algorithm or size that Keystead does not know; `csr.signature-algorithm` for a signature that it does not use.
 */
export function parseCsr(der: Uint8Array): ParsedCsr {
  if (der.length > MAX_CSR_BYTES)
    throw new KeysteadError('csr.not-der', { field: 'csr', seen: `${der.length} bytes of at most ${MAX_CSR_BYTES}` });
  try {
    // A copy: the caller's buffer may be a slice of a pool that is written again while the request is in flight.
    return readRequest(readDer(Uint8Array.from(der)));
  } catch (cause) {
    if (cause instanceof DerError) throw new KeysteadError('csr.not-der', { field: 'csr', seen: cause.message, cause });
    throw cause;
  }
}

function readRequest(root: DerNode): ParsedCsr {
  root.expect(0x30, 'the request').counted(3, 3, 'the request');
  const info = root.child(0, 0x30, 'certificationRequestInfo').counted(4, 4, 'certificationRequestInfo');
  const version = readInteger(info.child(0, 0x02, 'the version'), 'the version');
  if (version !== 0n) throw new DerError('the version is not v1 (0)');
  const subject = readName(info.child(1, 0x30, 'the subject'), 'the subject');
  const key = readPublicKey(info.child(2, 0x30, 'subjectPublicKeyInfo'));
  if (key.keyAlgorithm === undefined)
    throw new KeysteadError('key.algorithm-forbidden', { field: 'subjectPublicKeyInfo', seen: key.described });
  const attributes = readAttributes(info.child(3, 0xa0, 'the attributes'));

  const signature = readOctetBits(root.child(2, 0x03, 'the signature'), 'the signature');
  const { oid, algorithm } = readSignatureAlgorithm(root.child(1, 0x30, 'signatureAlgorithm'), 'signatureAlgorithm');
  if (algorithm === undefined || !canSign(key.keyAlgorithm, algorithm))
    throw new KeysteadError('csr.signature-algorithm', { field: 'signatureAlgorithm', seen: algorithm ?? oid });
  return {
    der: root.bytes as DerCsr,
    identity: root.bytes,
    subject,
    spki: keepPublicKey(key.spki),
    keyAlgorithm: key.keyAlgorithm,
    ...attributes,
    signatureAlgorithm: algorithm,
    info: info.bytes,
    signature,
  };
}

/**
 * The request with each octet of its challengePassword overwritten: to be kept and looked at. Its signature is then none.
 * @throws KeysteadError as {@link parseCsr}.
 */
export function withoutChallenge(der: Uint8Array): Uint8Array {
  parseCsr(der);
  const copy = Uint8Array.from(der);
  const root = readDer(copy);
  for (const { children } of root.children[0]?.children[3]?.children ?? []) {
    const [type, values] = children;
    if (type === undefined || readOid(type, 'an attribute type') !== REQUEST_ATTRIBUTES.challengePassword) continue;
    values?.children[0]?.value.fill('*'.charCodeAt(0));
  }
  return copy;
}

function readAttributes(
  node: DerNode,
): Pick<ParsedCsr, 'requested' | 'challengePassword' | 'decryptKeyIdentifier' | 'asymmetricDecryptKeyIdentifier'> {
  const values = new Map<string, DerNode>();
  for (const attribute of node.counted(0, 32, 'the attributes').children) {
    attribute.expect(0x30, 'an attribute').counted(2, 2, 'an attribute');
    const id = readOid(attribute.children[0], 'an attribute type');
    if (values.has(id)) throw new DerError(`the attribute ${id} stands twice`);
    values.set(id, attribute.child(1, 0x31, `the values of attribute ${id}`).counted(1, 32, `the values of ${id}`));
  }
  const extensionRequest = values.get(REQUEST_ATTRIBUTES.extensionRequest);
  const password = values.get(REQUEST_ATTRIBUTES.challengePassword);
  const recipient = values.get(REQUEST_ATTRIBUTES.asymmetricDecryptKeyIdentifier);
  return {
    requested:
      extensionRequest === undefined
        ? { names: [], all: [] }
        : readRequested(extensionRequest.counted(1, 1, 'extensionRequest').child(0, 0x30, 'extensionRequest')),
    challengePassword:
      password === undefined ? undefined : onlyText(password.counted(1, 1, 'challengePassword'), 'challengePassword'),
    decryptKeyIdentifier: values.has(REQUEST_ATTRIBUTES.decryptKeyIdentifier),
    asymmetricDecryptKeyIdentifier: recipient
      ?.counted(1, 1, 'asymmetricDecryptKeyIdentifier')
      .child(0, 0x04, 'asymmetricDecryptKeyIdentifier').value,
  };
}

function onlyText(set: DerNode, what: string): string {
  const [value] = set.children;
  if (value === undefined) throw new DerError(`${what} is empty`);
  const text = readText(value, what);
  if (text.length > 255) throw new DerError(`${what} is longer than 255 characters`);
  return text;
}

/** The Extensions that a request asks for. @throws DerError */
export function readRequested(node: DerNode): RequestedExtensions {
  // OpenSSL writes an empty list when its configuration names no extension.
  const all = node.children.length === 0 ? [] : readExtensions(node, 'extensionRequest');
  const value = <T>(id: string, read: (der: Uint8Array) => T): T | undefined => {
    const extension = findExtension(all, id);
    return extension === undefined ? undefined : read(extension.value);
  };
  return {
    subjectAltName: value(EXTENSIONS.subjectAltName, readAltName),
    keyUsage: value(EXTENSIONS.keyUsage, readKeyUsage),
    extKeyUsage: value(EXTENSIONS.extKeyUsage, readExtKeyUsage),
    basicConstraints: value(EXTENSIONS.basicConstraints, readBasicConstraints),
    names: all.map((extension) => nameOf(EXTENSIONS, extension.oid)),
    all,
  };
}

/**
 * Checks that the requester holds the private key: the request is signed by the key that it is for (RFC 2986
 * section 4.2). @throws KeysteadError `csr.signature-invalid`
 */
export function verifyProofOfPossession(csr: ParsedCsr): void {
  if (!isSignedByItself(csr))
    throw new KeysteadError('csr.signature-invalid', { field: 'signature', seen: csr.signatureAlgorithm });
}

/** That the key may make this kind of signature was checked when the request was read. */
function isSignedByItself({ spki, info, signature, signatureAlgorithm }: ParsedCsr): boolean {
  const key = publicKeyOf(spki);
  if (key === undefined) return false;
  try {
    return verify(DIGEST_OF[signatureAlgorithm], info, key, signature);
  } catch {
    return false;
  }
}
