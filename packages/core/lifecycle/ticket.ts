import { z } from 'zod';
import type { DerSpki } from '../bytes/index.ts';
import { fromBase64, sameBytes, toBase64url, toHex } from '../bytes/index.ts';
import { type Signer, sha256, verifySignature } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { checkPublicKey, signatureAlgorithmFor } from '../x509/index.ts';
import { OPERATOR_NAME, operatorOf, type Policy } from './policy.ts';
import { permits } from './roles.ts';
import { firstIssue } from './schema-field.ts';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -');
const time = z.iso.datetime({ offset: false, precision: 0 });

/**
 * Which device ids a batch may use: a prefix and a number with leading zeros, from `from` to `to`. It is a range and
 * not a regular expression, so that whoever signs it sees at once what it allows and none can be made slow to match.
 */
export const DeviceIds = z
  .strictObject({
    prefix: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,47}$/, 'must be 1 to 48 letters, digits, . -'),
    from: z.int().min(0),
    to: z.int().min(0),
    /** Digits of the number, with leading zeros. */
    width: z.int().min(1).max(12),
  })
  .refine((ids) => ids.from <= ids.to, { path: ['to'], message: 'must not be below from' })
  .refine((ids) => String(ids.to).length <= ids.width, { path: ['width'], message: 'must hold the digits of to' });

const TicketSchema = z
  .strictObject({
    v: z.literal(1),
    id: name,
    model: name,
    /** How many devices may be provisioned with it. */
    quota: z.int().min(1),
    /** From when to when, UTC, whole seconds. */
    notBefore: time,
    notAfter: time,
    lines: z.array(name).min(1).max(64),
    deviceIds: DeviceIds,
    profile: z.literal('idevid'),
    /** Where it is there, each unit must show that its key is in a TPM that the policy believes. */
    attestation: z.literal('required').optional(),
  })
  .refine((ticket) => ticket.notBefore < ticket.notAfter, { path: ['notAfter'], message: 'must be after notBefore' });

/** What `signTicket` takes: times may have fractions of a second, which are cut off. */
export type BatchTicketDraft = Omit<BatchTicket, 'v'>;

/** What an operator at headquarters allows a factory: how many devices of what kind, where, and until when. */
export type BatchTicket = z.infer<typeof TicketSchema>;
export type DeviceIdRange = BatchTicket['deviceIds'];

const EnvelopeSchema = z.strictObject({
  /** The ticket's JSON in its one form (keys in alphabetical order, no blanks), base64url. */
  payload: z.string().max(16_384),
  signer: z.string().regex(OPERATOR_NAME),
  /** As the operator's key signs: ECDSA in DER, base64url. */
  signature: z.string().max(2048),
});

/** A ticket as it was read, whose signature is not yet verified. */
export interface SignedTicket {
  readonly ticket: BatchTicket;
  readonly signer: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** SHA-256 of the payload, hex: two tickets with one id are told apart by it. */
  readonly sha256: string;
}

/** What goes before the payload, so that this signature is never one of something else by the same key. */
const CONTEXT = Buffer.from('keystead batch ticket v1\n', 'latin1');

const signedBytes = (payload: Uint8Array): Uint8Array => Buffer.concat([CONTEXT, payload]);

/**
 * Signs a ticket. Returns its file: one line of JSON, UTF-8. REQ-KEY-PROV-01
 * @param signerName the operator whose key `signer` is, as the policy names them.
 * @throws KeysteadError `ticket.malformed` with the field.
 */
export async function signTicket(draft: BatchTicketDraft, signerName: string, signer: Signer): Promise<string> {
  const { notBefore, notAfter } = draft;
  const whole = { notBefore: wholeSecond(notBefore), notAfter: wholeSecond(notAfter) };
  const payload = encode(check({ v: 1, ...draft, ...whole }));
  const signature = await signer.sign(signedBytes(payload));
  const envelope = { payload: toBase64url(payload), signer: signerName, signature: toBase64url(signature) };
  return `${JSON.stringify(envelope)}\n`;
}

/**
 * Reads a ticket; verifies nothing. A ticket has one encoding only: what two readers could read differently is
 * refused.
 * @throws KeysteadError `ticket.malformed` with the field.
 */
export function parseTicket(text: string): SignedTicket {
  const envelope = EnvelopeSchema.safeParse(jsonOf(text, 'ticket'));
  if (!envelope.success) throw malformed(firstIssue(envelope.error, 'ticket'), envelope.error);
  const payload = fromBase64url(envelope.data.payload, 'payload');
  const ticket = check(jsonOf(utf8Of(payload), 'payload'));
  if (!sameBytes(payload, encode(ticket)))
    throw malformed({ field: 'payload', seen: 'another encoding of the ticket' });
  return {
    ticket,
    signer: envelope.data.signer,
    payload,
    signature: fromBase64url(envelope.data.signature, 'signature'),
    sha256: toHex(sha256(payload)),
  };
}

/**
 * Verifies who signed a ticket, whether the policy lets them, and that it allows no more than the policy does. The
 * time is not looked at: that is {@link requireTicketTime}, which is asked each time that the ticket is used.
 * @throws KeysteadError `ticket.malformed`, `ticket.signer-unknown`, `ticket.signer-forbidden`,
 *   `ticket.signature-invalid`, `ticket.exceeds-policy`.
 */
export function verifyTicket(text: string, policy: Policy): SignedTicket {
  const signed = parseTicket(text);
  const operator = operatorOf(policy, signed.signer);
  if (operator === undefined)
    throw new KeysteadError('ticket.signer-unknown', { field: 'signer', seen: signed.signer });
  if (!permits(operator.roles, 'ticket.sign')) {
    throw new KeysteadError('ticket.signer-forbidden', {
      field: 'signer',
      seen: `${signed.signer}, who is ${operator.roles.join(', ')}`,
    });
  }
  const spki = fromBase64(operator.spki) as DerSpki;
  const algorithm = signatureAlgorithmFor(checkPublicKey(spki, policy.algorithms));
  if (!verifySignature(algorithm, spki, signedBytes(signed.payload), signed.signature)) {
    throw new KeysteadError('ticket.signature-invalid', { field: 'signature', seen: `not one of ${signed.signer}` });
  }
  requireWithinPolicy(signed.ticket, policy);
  return signed;
}

function requireWithinPolicy(ticket: BatchTicket, policy: Policy): void {
  const { maxQuota, maxSeconds } = policy.tickets;
  if (ticket.quota > maxQuota) {
    throw new KeysteadError('ticket.exceeds-policy', {
      field: 'quota',
      seen: `${ticket.quota} of at most ${maxQuota}`,
    });
  }
  const seconds = (Date.parse(ticket.notAfter) - Date.parse(ticket.notBefore)) / 1000;
  if (seconds > maxSeconds) {
    throw new KeysteadError('ticket.exceeds-policy', {
      field: 'notAfter',
      seen: `${seconds} s of at most ${maxSeconds}`,
    });
  }
}

/** @throws KeysteadError `ticket.not-yet-valid`, `ticket.expired`. */
export function requireTicketTime(ticket: BatchTicket, now: Date): void {
  if (now.getTime() < Date.parse(ticket.notBefore)) {
    throw new KeysteadError('ticket.not-yet-valid', { field: 'notBefore', seen: ticket.notBefore });
  }
  if (now.getTime() >= Date.parse(ticket.notAfter)) {
    throw new KeysteadError('ticket.expired', { field: 'notAfter', seen: ticket.notAfter });
  }
}

/** @throws KeysteadError `ticket.line-forbidden`. */
export function requireTicketLine(ticket: BatchTicket, line: string): void {
  if (!ticket.lines.includes(line)) throw new KeysteadError('ticket.line-forbidden', { field: 'line', seen: line });
}

/** @throws KeysteadError `ticket.device-forbidden`. */
export function requireTicketDevice(ticket: BatchTicket, deviceId: string): void {
  if (!isInRange(ticket.deviceIds, deviceId)) {
    throw new KeysteadError('ticket.device-forbidden', { field: 'deviceId', seen: deviceId });
  }
}

/** Whether a device id is one of the range, in its one spelling: with exactly `width` digits. */
export function isInRange({ prefix, from, to, width }: DeviceIdRange, deviceId: string): boolean {
  if (!deviceId.startsWith(prefix)) return false;
  const digits = deviceId.slice(prefix.length);
  if (digits.length !== width || !/^[0-9]+$/.test(digits)) return false;
  const number = Number(digits);
  return number >= from && number <= to;
}

/** The device id with this number. */
export const deviceIdAt = ({ prefix, width }: DeviceIdRange, number: number): string =>
  `${prefix}${String(number).padStart(width, '0')}`;

/** The keys in alphabetical order, as RFC 8785 section 3.2.3 has them; the values are plain strings and integers. */
function encode(ticket: BatchTicket): Uint8Array {
  const { deviceIds: ids } = ticket;
  return Buffer.from(
    JSON.stringify({
      attestation: ticket.attestation,
      deviceIds: { from: ids.from, prefix: ids.prefix, to: ids.to, width: ids.width },
      id: ticket.id,
      lines: ticket.lines,
      model: ticket.model,
      notAfter: ticket.notAfter,
      notBefore: ticket.notBefore,
      profile: ticket.profile,
      quota: ticket.quota,
      v: ticket.v,
    }),
    'utf8',
  );
}

const wholeSecond = (text: string): string => text.replace(/\.\d+Z$/, 'Z');

function check(value: unknown): BatchTicket {
  const parsed = TicketSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw malformed(firstIssue(parsed.error, 'ticket'), parsed.error);
}

const malformed = (facts: { field: string; seen: string }, cause?: unknown): KeysteadError =>
  new KeysteadError('ticket.malformed', { ...facts, cause });

function jsonOf(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed({ field, seen: 'something that is not JSON' });
  }
}

function utf8Of(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed({ field: 'payload', seen: 'bytes that are not UTF-8' });
  }
}

function fromBase64url(text: string, field: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (toBase64url(bytes) !== text) throw malformed({ field, seen: 'something that is not base64url' });
  return bytes;
}
