import { malformed } from '../malformed.ts';

/** What a DSSE signature is over. */
export interface DssePayload {
  /** A media type or a URI; the verifier acts on it, so it is signed. */
  readonly payloadType: string;
  readonly payload: Uint8Array;
}

const PREFIX = 'DSSEv1';
/** The specification takes any text; what is shown to people and compared by devices is printable and short. */
const TYPE = /^[\x21-\x7e]{1,255}$/;
/** The prefix, two decimal lengths and the type. */
const HEAD_BYTES = 320;

/** @throws KeysteadError `firmware.malformed`. */
export function requirePayloadType(payloadType: string): string {
  if (TYPE.test(payloadType)) return payloadType;
  throw malformed('payloadType', 'something other than 1 to 255 printable characters of ASCII');
}

/** The pre-authentication encoding (DSSE v1, protocol section): `DSSEv1 LEN(type) type LEN(body) body`. */
export function pae({ payloadType, payload }: DssePayload): Uint8Array {
  const head = `${PREFIX} ${payloadType.length} ${requirePayloadType(payloadType)} ${payload.length} `;
  return Buffer.concat([Buffer.from(head, 'latin1'), payload]);
}

/**
 * Takes a pre-authentication encoding apart. It is unambiguous and has one spelling, which is checked.
 * @throws KeysteadError `firmware.malformed`.
 */
export function readPae(bytes: Uint8Array): DssePayload {
  const head = Buffer.from(bytes.subarray(0, HEAD_BYTES)).toString('latin1');
  const [, typeLength, rest] = /^DSSEv1 (0|[1-9]\d{0,2}) (.*)$/s.exec(head) ?? [];
  if (typeLength === undefined || rest === undefined) throw malformed('subject', 'no pre-authentication encoding');
  const payloadType = rest.slice(0, Number(typeLength));
  const [found, length] = /^ (0|[1-9]\d{0,8}) /.exec(rest.slice(payloadType.length)) ?? [];
  if (found === undefined) throw malformed('subject', 'no pre-authentication encoding');
  const at = head.length - rest.length + payloadType.length + found.length;
  if (bytes.length - at !== Number(length)) {
    throw malformed('payload', `${bytes.length - at} bytes where ${length} are announced`);
  }
  return { payloadType: requirePayloadType(payloadType), payload: bytes.subarray(at) };
}
