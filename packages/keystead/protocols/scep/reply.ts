import { randomBytes } from '@keystead/core/crypto';
import type { KeysteadError } from '@keystead/core/errors';
import {
  type CmsAttribute,
  contentInfo,
  envelopedData,
  octetString,
  printableString,
  signedData,
  utf8String,
} from '@keystead/core/x509';
import type { ScepMessage, ScepRa, ScepReference } from './message.ts';
import {
  FAIL_INFO,
  type FailInfo,
  MESSAGE_TYPES,
  NONCE_OCTETS,
  PKI_STATUS,
  type PkiStatus,
  SCEP_ATTRIBUTES,
} from './oids.ts';

/** CertRep with what was asked for, DER of a ContentInfo, encrypted to who signed the request (RFC 8894 section 3.3.2.1). */
export function success(ra: ScepRa, request: ScepMessage, content: Uint8Array): Promise<Uint8Array> {
  const { keyBytes, scheme } = request.encryption;
  const envelope = envelopedData({ type: 'data', content, recipient: request.signer, keyBytes, scheme });
  return certRep(ra, request, 'SUCCESS', [], contentInfo('envelopedData', envelope));
}

/** CertRep that an operator has yet to decide (section 3.3.2.2); it has no content. */
export const pending = (ra: ScepRa, request: ScepReference): Promise<Uint8Array> => certRep(ra, request, 'PENDING', []);

/** CertRep that refuses (section 3.3.2.2), with the rule for people in failInfoText. */
export const failure = (ra: ScepRa, request: ScepReference, why: FailInfo, error: KeysteadError): Promise<Uint8Array> =>
  certRep(ra, request, 'FAILURE', [
    { oid: SCEP_ATTRIBUTES.failInfo, value: printableString(FAIL_INFO[why]) },
    { oid: SCEP_ATTRIBUTES.failInfoText, value: utf8String(`${error.code}: ${error.message}`.slice(0, 255)) },
  ]);

async function certRep(
  ra: ScepRa,
  { transactionId, senderNonce }: ScepReference,
  status: PkiStatus,
  more: readonly CmsAttribute[],
  content?: Uint8Array,
): Promise<Uint8Array> {
  const attributes: CmsAttribute[] = [
    { oid: SCEP_ATTRIBUTES.transactionId, value: printableString(transactionId) },
    { oid: SCEP_ATTRIBUTES.messageType, value: printableString(MESSAGE_TYPES.CertRep) },
    { oid: SCEP_ATTRIBUTES.pkiStatus, value: printableString(PKI_STATUS[status]) },
    { oid: SCEP_ATTRIBUTES.senderNonce, value: octetString(randomBytes(NONCE_OCTETS)) },
    ...(senderNonce === undefined ? [] : [{ oid: SCEP_ATTRIBUTES.recipientNonce, value: octetString(senderNonce) }]),
    ...more,
  ];
  const signed = await signedData({ type: 'data', content, attributes, signer: ra.certificate }, ra.signer);
  return contentInfo('signedData', signed);
}
