import { type PeerSignatureVerdict, verifyPeerSignature } from '../../crypto/index.ts';
import { readPeerAlgorithm } from '../algorithms.ts';
import type { CertificateInfo } from '../certificate.ts';
import { DerError, readDer, readHeader } from '../der/strict.ts';
import { signedByCa } from './known-cas.ts';

/** How many signatures one search may verify; each pair of certificates is verified once. */
const MOST_SIGNATURES = 128;

/** Verifies who signed whom, once for each pair, and no more often than a search may. */
export class Signatures {
  readonly #known = new Map<string, PeerSignatureVerdict>();
  #left = MOST_SIGNATURES;

  /** Whether no more may be verified. */
  get exhausted(): boolean {
    return this.#left <= 0;
  }

  /** Undefined when it is not known yet and no more may be verified. */
  verdict(certificate: CertificateInfo, issuer: CertificateInfo): PeerSignatureVerdict | undefined {
    const pair = `${certificate.sha256} ${issuer.spkiSha256}`;
    const known = this.#known.get(pair);
    if (known !== undefined || this.#left <= 0) return known;
    this.#left -= 1;
    const verdict = signedByCa(certificate, issuer, verifySignedBy);
    this.#known.set(pair, verdict);
    return verdict;
  }
}

/** Whether the key of `issuer` made the signature of `certificate`, by a kind that is accepted. Never throws. */
export function verifySignedBy(certificate: CertificateInfo, issuer: CertificateInfo): PeerSignatureVerdict {
  try {
    const algorithm = readPeerAlgorithm(readDer(algorithmOf(certificate)), 'signature');
    return verifyPeerSignature(algorithm, issuer.spki, certificate.tbs, certificate.signature);
  } catch (error) {
    if (error instanceof DerError) return { verdict: 'weak', why: error.message };
    throw error;
  }
}

/** The outer AlgorithmIdentifier, which `readCertificate` has found to be the inner one: it follows the signed part. */
function algorithmOf({ der, tbs }: CertificateInfo): Uint8Array {
  const at = tbs.byteOffset - der.byteOffset + tbs.length;
  return readHeader(der, at, der.length).bytes;
}
