import type { Signer } from '@keystead/core/crypto';
import {
  CMS_ATTRIBUTES,
  type CmsRecipient,
  CONTENT_TYPES,
  contentInfo,
  envelopedData,
  oid,
  readCertificate,
  sequence,
  signedData,
  tlv,
} from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import { signVerified } from '../sign-verified.ts';

/** A key on its way to its owner. */
export interface KeyPackage {
  /** `asymmetricKeyPackage` (RFC 5958 section 2) or `symmetricKeyPackage` (RFC 6031 section 2). */
  readonly type: 'asymmetricKeyPackage' | 'symmetricKeyPackage';
  /** DER; stays with the caller, who wipes it. */
  readonly content: Uint8Array;
  /** What is inside and whose it is, a signed attribute, so that no package is taken for another. */
  readonly hint?: string;
  readonly recipient: CmsRecipient;
}

/**
 * ContentInfo, DER, of EnvelopedData to the recipient over SignedData by the evidence key over the key: encrypted for its
 * owner alone, and signed inside, so that a changed ciphertext never passes (RFC 7030 section 4.4.2). The copies of the key
 * on the way are wiped.
 * @throws KeysteadError `agreement.key-invalid`, `cms.recipient-unfit`, `keyd.signature-faulty`.
 */
export async function sealedPackage(keyd: KeydContext, made: KeyPackage): Promise<Uint8Array> {
  const { type, content, hint, recipient } = made;
  const signer: Signer = { ...keyd.evidence, sign: (data) => signVerified(keyd.evidence, data) };
  // The evidence key may have been certified by a key of the server CA that issues no more.
  const certificates = keyd.hierarchy.issuers.filter(({ ca }) => ca === 'server').map(({ certificate }) => certificate);
  const attributes = hint === undefined ? [] : [{ oid: CMS_ATTRIBUTES.contentHint, value: contentHint(hint, type) }];
  const signed = await signedData(
    { type, content, attributes, signer: readCertificate(keyd.hierarchy.evidenceSigner), certificates },
    signer,
  );
  try {
    const order = { type: 'signedData', content: signed, recipient, keyBytes: 32, scheme: 'oaep-sha256' } as const;
    return contentInfo('envelopedData', envelopedData(order));
  } finally {
    signed.fill(0);
  }
}

const UTF8_STRING = 0x0c;

/** ContentHints (RFC 2634 section 2.9). */
const contentHint = (text: string, type: KeyPackage['type']): Uint8Array =>
  sequence(tlv(UTF8_STRING, Buffer.from(text, 'utf8')), oid(CONTENT_TYPES[type]));
