import { type DerCertificate, type DerCrl, fromBase64, sameBytes } from '@keystead/core/bytes';
import { verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { operatorOf, type Policy } from '@keystead/core/lifecycle';
import { type CertificateInfo, type CrlInfo, personNameOf, readCertificate, readCrl } from '@keystead/core/x509';
import type { OperatorClient } from './client.ts';

/**
 * Operators whose certificates another house has issued: at a factory node, headquarters. No record of theirs is here,
 * so a certificate is judged by itself: by the operator CA, in force, on no list that was heard of, and for the very key
 * that the policy has for that name. REQ-KEY-REV-03
 */
export class OutsideOperators {
  readonly #ca: CertificateInfo;
  readonly #policy: () => Policy;
  #crl: CrlInfo | undefined;

  /** @param ca the certificate of the operator CA. */
  constructor(ca: DerCertificate, crl: DerCrl, policy: () => Policy) {
    this.#ca = readCertificate(ca);
    this.#policy = policy;
    this.heard(crl);
  }

  /** Goes by a newer list, which keyd has verified. @throws KeysteadError `crl.*`. */
  heard(crl: DerCrl): void {
    this.#crl = readCrl(crl);
  }

  /**
   * Who shows this certificate, DER, that was proven in the TLS handshake; undefined when it is of another issuer.
   * @throws KeysteadError `client.certificate-malformed`, `-expired`, `-revoked`, `-unsuitable`.
   */
  client(der: Uint8Array, now: Date): OperatorClient | undefined {
    const info = read(der);
    const { signatureAlgorithm: algorithm, serial, spkiSha256 } = info;
    const ours =
      sameBytes(info.issuerDer, this.#ca.subjectDer) &&
      algorithm !== undefined &&
      verifySignature(algorithm, this.#ca.spki, info.tbs, info.signature);
    if (!ours) return undefined;
    const refused = (why: 'expired' | 'revoked' | 'unsuitable', seen: string) =>
      new KeysteadError(`client.certificate-${why}`, {
        field: 'client certificate',
        seen: `serial ${serial}: ${seen}`,
      });
    if (now < info.notBefore || now > info.notAfter) throw refused('expired', `until ${info.notAfter.toISOString()}`);
    if (this.#crl?.entries.has(serial) !== false) throw refused('revoked', 'headquarters lists it');
    const name = personNameOf(info.san);
    if (name === undefined || info.ca || !info.extKeyUsage.includes('clientAuth')) {
      throw refused('unsuitable', 'it names no person');
    }
    const operator = operatorOf(this.#policy(), name);
    if (operator !== undefined && !sameBytes(fromBase64(operator.spki), info.spki)) {
      throw refused('unsuitable', `another key than the policy has for ${name}`);
    }
    const certificate = info.der;
    const roles = operator?.roles ?? [];
    return {
      kind: 'operator',
      issuer: 'operator',
      serial,
      spkiSha256,
      profile: 'operator',
      certificate,
      id: name,
      roles,
    };
  }
}

function read(der: Uint8Array): CertificateInfo {
  try {
    return readCertificate(der);
  } catch (cause) {
    throw new KeysteadError('client.certificate-malformed', { field: 'client certificate', cause });
  }
}
