import { DerError, type DerNode, readBits, readInteger } from '../der/strict.ts';
import { integer, namedBits, sequence, utf8String } from '../der/writer.ts';
import { readText } from '../names.ts';

/** PKIStatus (RFC 9810 section 5.2.3), by number. */
export const CMP_STATUS = [
  'accepted',
  'grantedWithMods',
  'rejection',
  'waiting',
  'revocationWarning',
  'revocationNotification',
  'keyUpdateWarning',
] as const;
export type CmpStatus = (typeof CMP_STATUS)[number];

/** PKIFailureInfo (RFC 9810 section 5.2.3), by bit. */
export const CMP_FAILURES = [
  'badAlg',
  'badMessageCheck',
  'badRequest',
  'badTime',
  'badCertId',
  'badDataFormat',
  'wrongAuthority',
  'incorrectData',
  'missingTimeStamp',
  'badPOP',
  'certRevoked',
  'certConfirmed',
  'wrongIntegrity',
  'badRecipientNonce',
  'timeNotAvailable',
  'unacceptedPolicy',
  'unacceptedExtension',
  'addInfoNotAvailable',
  'badSenderNonce',
  'badCertTemplate',
  'signerNotTrusted',
  'transactionIdInUse',
  'unsupportedVersion',
  'notAuthorized',
  'systemUnavail',
  'systemFailure',
  'duplicateCertReq',
] as const;
export type CmpFailure = (typeof CMP_FAILURES)[number];

/** PKIStatusInfo: how a request went, in words for people, and why it failed. */
export interface CmpStatusInfo {
  readonly status: CmpStatus;
  readonly text?: string;
  readonly failure?: CmpFailure;
}

/** What a peer writes for people goes to logs and terminals. */
const MOST_TEXT = 500;

/** Reads a PKIStatusInfo. @throws DerError */
export function readStatusInfo(node: DerNode): CmpStatusInfo {
  node.expect(0x30, 'PKIStatusInfo').counted(1, 3, 'PKIStatusInfo');
  const number = Number(readInteger(node.child(0, 0x02, 'status'), 'status'));
  const status = CMP_STATUS[number];
  if (status === undefined) throw new DerError(`a status ${number} of no known kind`);
  const rest = [...node.children.slice(1)];
  const text = rest[0]?.tag === 0x30 ? rest.shift() : undefined;
  const bits = rest.shift();
  if (rest.length > 0) throw new DerError('PKIStatusInfo has an element of no known kind');
  const bit = bits === undefined ? -1 : readBits(bits, 4, 'failInfo').indexOf(1);
  return { status, text: text === undefined ? undefined : readFreeText(text), failure: CMP_FAILURES[bit] };
}

/** Reads a PKIFreeText, made fit for logs. @throws DerError */
export const readFreeText = (node: DerNode): string =>
  node
    .expect(0x30, 'PKIFreeText')
    .counted(1, 16, 'PKIFreeText')
    .children.map((line) => readText(line.expect(0x0c, 'PKIFreeText'), 'PKIFreeText'))
    .join(' ')
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, MOST_TEXT);

/** The DER of a PKIStatusInfo. */
export function statusInfoDer({ status, text, failure }: CmpStatusInfo): Uint8Array {
  const parts = [integer(CMP_STATUS.indexOf(status))];
  if (text !== undefined) parts.push(freeText(text));
  if (failure !== undefined) parts.push(namedBits([CMP_FAILURES.indexOf(failure)]));
  return sequence(...parts);
}

/** PKIFreeText of one line. */
export const freeText = (text: string): Uint8Array => sequence(utf8String(text));
