import { type DerCertificate, fromHex, type Serial, sameBytes } from '../../bytes/index.ts';
import { sha1Identifier, sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type CertificateInfo, readCertificate } from '../certificate.ts';
import { DerError, type DerNode, readOid } from '../der/strict.ts';
import { integerFromBytes, nullValue, octetString, oid, sequence } from '../der/writer.ts';
import { nameOf } from '../oids.ts';
import { serialOf } from '../serial.ts';
import { CERT_ID_HASHES, type CertIdHash } from './oids.ts';

/** How OCSP names a certificate (RFC 6960 section 4.1.1): by its issuer's name and key, hashed, and its serial. */
export interface OcspCertId {
  readonly hashAlgorithm: CertIdHash;
  readonly issuerNameHash: Uint8Array;
  readonly issuerKeyHash: Uint8Array;
  readonly serial: Serial;
  /**
   * The DER as it came. An answer echoes exactly these bytes: clients compare them, and whether the hash algorithm
   * has NULL parameters or none differs from client to client.
   */
  readonly der: Uint8Array;
}

const HASHES = Object.fromEntries(Object.entries(CERT_ID_HASHES).map(([name, { oid: id }]) => [name, id]));
/** RFC 5280 section 4.1.2.2: 20 octets, and one for the sign. No longer serial was ever issued. */
const MOST_SERIAL_OCTETS = 21;

/**
 * Reads a CertID.
 * @throws DerError
 * @throws KeysteadError `ocsp.hash-unsupported`
 */
export function readCertId(node: DerNode): OcspCertId {
  node.expect(0x30, 'a CertID').counted(4, 4, 'a CertID');
  const algorithm = node.child(0, 0x30, 'the hash algorithm').counted(1, 2, 'the hash algorithm');
  if (algorithm.children[1] !== undefined) algorithm.child(1, 0x05, 'the parameters of the hash algorithm');
  const name = nameOf(HASHES, readOid(algorithm.children[0], 'the hash algorithm'));
  if (name !== 'sha1' && name !== 'sha256')
    throw new KeysteadError('ocsp.hash-unsupported', { field: 'hashAlgorithm', seen: name });
  const issuerNameHash = node.child(1, 0x04, 'issuerNameHash').value;
  const issuerKeyHash = node.child(2, 0x04, 'issuerKeyHash').value;
  const { octets } = CERT_ID_HASHES[name];
  if (issuerNameHash.length !== octets || issuerKeyHash.length !== octets)
    throw new DerError(`a hash of a CertID has not the ${octets} octets of ${name}`);
  const serial = node.child(3, 0x02, 'the serial number').value;
  if (serial.length > MOST_SERIAL_OCTETS) throw new DerError(`a serial number of ${serial.length} octets`);
  return { hashAlgorithm: name, issuerNameHash, issuerKeyHash, serial: serialOf(serial), der: node.bytes };
}

/**
 * The two hashes by which CertIDs name one CA, made once: the name as it stands in the CA's certificate, and the
 * content of the key's BIT STRING (RFC 6960 section 4.1.1).
 */
export class OcspIssuer {
  /** SHA-1 of the key: the KeyHash of a responder that is the CA itself (RFC 6960 section 4.2.1). */
  readonly keyHash: Uint8Array;
  readonly #hashes: Readonly<Record<CertIdHash, { name: Uint8Array; key: Uint8Array }>>;

  /** @throws KeysteadError `cert.not-der` */
  constructor(certificate: DerCertificate | CertificateInfo) {
    const { subjectDer, keyBits } = 'keyBits' in certificate ? certificate : readCertificate(certificate);
    this.#hashes = {
      sha1: { name: sha1Identifier(subjectDer), key: sha1Identifier(keyBits) },
      sha256: { name: sha256(subjectDer), key: sha256(keyBits) },
    };
    this.keyHash = this.#hashes.sha1.key;
  }

  /** Whether the CertID names a certificate of this CA. REQ-KEY-REV-02: nothing is said of any other. */
  issued(certId: OcspCertId): boolean {
    const { name, key } = this.#hashes[certId.hashAlgorithm];
    return sameBytes(certId.issuerNameHash, name) && sameBytes(certId.issuerKeyHash, key);
  }

  /** The CertID, DER, of the certificate with this serial. */
  certId(serial: Serial, algorithm: CertIdHash = 'sha256'): Uint8Array {
    const { name, key } = this.#hashes[algorithm];
    return sequence(
      sequence(oid(CERT_ID_HASHES[algorithm].oid), nullValue()),
      octetString(name),
      octetString(key),
      integerFromBytes(fromHex(serial)),
    );
  }
}

/**
 * The KeyHash by which a responder is named: SHA-1 of the content of its key's BIT STRING (RFC 6960 section 4.2.1).
 * @throws KeysteadError `cert.not-der`
 */
export const responderKeyHash = (responder: DerCertificate): Uint8Array =>
  sha1Identifier(readCertificate(responder).keyBits);
