import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readInteger, readOid, readTime } from '../der/strict.ts';
import { context, generalizedTime, integer, octetString, oid, sequence } from '../der/writer.ts';
import { readGeneralName } from '../general-names.ts';
import { type DistinguishedName, readName } from '../names.ts';

/** CMP 2000 (RFC 4210) and CMP 2021 (RFC 9480); a header names one of them. */
export const CMP_VERSIONS = [2, 3] as const;
export type CmpVersion = (typeof CMP_VERSIONS)[number];

/** Octets of identifiers and nonces that are made here: 128 bits (RFC 9483 section 3.1). */
export const CMP_NONCE_OCTETS = 16;
const MOST_IDENTIFIER_OCTETS = 128;

/** InfoTypeAndValue (RFC 9810 section 5.3.19). */
export interface CmpInfo {
  /** Dotted OID. */
  readonly type: string;
  /** DER. */
  readonly value?: Uint8Array;
}

/** PKIHeader (RFC 9810 section 5.1.1). */
export interface CmpHeader {
  readonly version: CmpVersion;
  /** GeneralName, DER. */
  readonly sender: Uint8Array;
  readonly recipient: Uint8Array;
  /** The names in them; undefined for a name that is not of a directory. */
  readonly senderName?: DistinguishedName;
  readonly recipientName?: DistinguishedName;
  readonly messageTime?: Date;
  /** AlgorithmIdentifier, DER. */
  readonly protectionAlg?: Uint8Array;
  readonly senderKid?: Uint8Array;
  readonly recipKid?: Uint8Array;
  readonly transactionId?: Uint8Array;
  readonly senderNonce?: Uint8Array;
  readonly recipNonce?: Uint8Array;
  readonly generalInfo: readonly CmpInfo[];
}

/** A directory name as a GeneralName, DER. @param name DER of the Name; without it the NULL-DN. */
export const directoryName = (name: Uint8Array = sequence()): Uint8Array => context(4, name);

/**
 * Reads a PKIHeader.
 * @throws DerError
 * @throws KeysteadError `cmp.version-unsupported`
 */
export function readHeader(node: DerNode): CmpHeader {
  node.expect(0x30, 'the header').counted(3, 12, 'the header');
  const version = versionOf(node.child(0, 0x02, 'pvno'));
  const [sender, recipient] = [node.children[1], node.children[2]];
  if (sender === undefined || recipient === undefined) throw new DerError('sender or recipient is missing');
  const fields = optionalFields(node);
  const octets = (tag: number, what: string): Uint8Array | undefined => {
    const value = fields.get(tag)?.counted(1, 1, what).child(0, 0x04, what).value;
    if (value !== undefined && value.length > MOST_IDENTIFIER_OCTETS) throw new DerError(`${what} is too long`);
    return value;
  };
  const info = fields.get(8)?.counted(1, 1, 'generalInfo').child(0, 0x30, 'generalInfo');
  return {
    version,
    sender: sender.bytes,
    recipient: recipient.bytes,
    senderName: nameIn(sender, 'the sender'),
    recipientName: nameIn(recipient, 'the recipient'),
    messageTime: timeIn(fields.get(0)),
    protectionAlg: fields.get(1)?.counted(1, 1, 'protectionAlg').child(0, 0x30, 'protectionAlg').bytes,
    senderKid: octets(2, 'senderKID'),
    recipKid: octets(3, 'recipKID'),
    transactionId: octets(4, 'transactionID'),
    senderNonce: octets(5, 'senderNonce'),
    recipNonce: octets(6, 'recipNonce'),
    generalInfo: info === undefined ? [] : info.counted(1, 64, 'generalInfo').children.map(readInfo),
  };
}

function versionOf(node: DerNode): CmpVersion {
  const number = Number(readInteger(node, 'pvno'));
  const version = CMP_VERSIONS.find((known) => known === number);
  if (version === undefined)
    throw new KeysteadError('cmp.version-unsupported', { field: 'pvno', seen: String(number) });
  return version;
}

/** The tagged fields [0] to [8], each at most once and in their order. */
function optionalFields(node: DerNode): Map<number, DerNode> {
  const fields = new Map<number, DerNode>();
  let last = -1;
  for (const field of node.children.slice(3)) {
    const number = field.tag - 0xa0;
    if (number < 0 || number > 8 || number <= last) throw new DerError('the header has a field of no known kind');
    last = number;
    fields.set(number, field);
  }
  return fields;
}

function nameIn(node: DerNode, what: string): DistinguishedName | undefined {
  if (node.tag === 0xa4) return readName(node.counted(1, 1, what).child(0, 0x30, what), what);
  readGeneralName(node, what);
  return undefined;
}

function timeIn(field: DerNode | undefined): Date | undefined {
  if (field === undefined) return undefined;
  const time = field.counted(1, 1, 'messageTime').children[0];
  return readTime(time?.expect(0x18, 'messageTime'), 'messageTime');
}

/** Reads an InfoTypeAndValue. @throws DerError */
export function readInfo(node: DerNode): CmpInfo {
  node.expect(0x30, 'an InfoTypeAndValue').counted(1, 2, 'an InfoTypeAndValue');
  return { type: readOid(node.children[0], 'infoType'), value: node.children[1]?.bytes };
}

/** The DER of an InfoTypeAndValue. */
export const infoDer = ({ type, value }: CmpInfo): Uint8Array =>
  value === undefined ? sequence(oid(type)) : sequence(oid(type), value);

/** The DER of a PKIHeader. */
export function headerDer(header: Omit<CmpHeader, 'senderName' | 'recipientName'>): Uint8Array {
  const fields = [integer(header.version), header.sender, header.recipient];
  const add = (tag: number, value: Uint8Array | undefined): void => {
    if (value !== undefined) fields.push(context(tag, value));
  };
  const octets = (value: Uint8Array | undefined): Uint8Array | undefined =>
    value === undefined ? undefined : octetString(value);
  add(0, header.messageTime === undefined ? undefined : generalizedTime(header.messageTime));
  add(1, header.protectionAlg);
  add(2, octets(header.senderKid));
  add(3, octets(header.recipKid));
  add(4, octets(header.transactionId));
  add(5, octets(header.senderNonce));
  add(6, octets(header.recipNonce));
  if (header.generalInfo.length > 0) add(8, sequence(...header.generalInfo.map(infoDer)));
  return sequence(...fields);
}
