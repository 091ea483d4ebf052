import type { DerCertificate } from '../../bytes/index.ts';
import type { KeyAlgorithm, Signer } from '../../crypto/index.ts';
import { CertificateTemplate } from '../../x509/index.ts';
import { issue, NOW, newHierarchy, newSigner, profileOf, valuesOf } from '../../x509/tests/profiles.ts';
import type { FirmwareFormat, MadeSignature, SigningTerms } from '../format.ts';

/** A firmware signer as a ceremony makes one: a key, and a certificate of it under a root. */
export interface TestSigner {
  readonly key: Signer;
  readonly terms: SigningTerms;
  /** Signs as keyd does: what the format composes of the subject. */
  made(format: FirmwareFormat, subject: Uint8Array): Promise<MadeSignature>;
}

const { root } = await newHierarchy();

/** One signer for each algorithm. */
export async function newTestSigner(algorithm: Exclude<KeyAlgorithm, 'RSA-2048'>): Promise<TestSigner> {
  const key = newSigner(algorithm);
  const profile = profileOf({
    id: 'firmware-signer',
    issuer: 'root',
    subject: { commonName: { fixed: `Firmware ${algorithm}` }, organization: 'Acme' },
    san: 'none',
    extKeyUsage: [],
    keyAlgorithms: [algorithm],
    csrExtensions: [],
  });
  const template = new CertificateTemplate(profile, { certificate: root.certificate }, {});
  const signer: DerCertificate = await issue(template, valuesOf(profile, {}, root.signer, key.spki), root.signer);
  const terms: SigningTerms = { signer, chain: [], time: NOW };
  return {
    key,
    terms,
    async made(format, subject) {
      return { ...terms, signature: await key.sign(format.compose(subject, terms)) };
    },
  };
}

/** What a format assembles, as one piece. */
export async function together(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return new Uint8Array(Buffer.concat(all));
}
