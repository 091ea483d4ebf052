import type { DerCertificate, DerCrl, Serial, SpkiSha256 } from '@keystead/core/bytes';
import { fromBase64 } from '@keystead/core/bytes';
import { type IssuerId, isIssuerId, isListedIssuer, type ListedIssuer, type RootId } from '@keystead/core/lifecycle';
import { CA_ROLES, REVOCATION_REASONS, type RevocationReason } from '@keystead/core/x509';
import { z } from 'zod';

/** The largest certificate, request or ticket that a message may carry, in bytes. */
const MAX_DOCUMENT = 64 * 1024;

/** Bytes as base64 with padding (RFC 4648 section 4), at most `max` of them. */
export const bytes = (max = MAX_DOCUMENT) =>
  z
    .string()
    .max(Math.ceil(max / 3) * 4)
    .transform((text, context) => {
      try {
        return fromBase64(text);
      } catch {
        context.addIssue({ code: 'custom', message: 'must be base64' });
        return z.NEVER;
      }
    });

/** A time: ISO 8601, UTC. */
export const time = z.iso.datetime({ offset: false }).transform((text) => new Date(text));

/** A name that stands in journals, records and logs: never a control character, never a path. */
export const label = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ : -');

/** The id under which one request is found in every log. */
export const requestId = z.string().regex(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 printable characters');

export const caRole = z.enum(CA_ROLES);
/** One key of an online CA: `operational`, and after it `operational.2`. */
export const issuerId = z.custom<IssuerId>((value) => typeof value === 'string' && isIssuerId(value), {
  message: 'must be a CA of keyd, or one of its later keys, such as operational.2',
});
/** An issuer whose revocations keyd lists: one of its own, or the manufacturing sub-CA of a factory node. */
export const listedIssuer = z.custom<ListedIssuer>((value) => typeof value === 'string' && isListedIssuer(value), {
  message: 'must be a CA of keyd, one of its later keys, or the CA of a factory, such as factory.berlin-1',
});
/** One key of a root: `root`, and after it `root.2`. */
export const rootName = z
  .string()
  .regex(/^(?:root|signing-root)(?:\.(?:[2-9]|[1-9][0-9]))?$/)
  .transform((name) => name as RootId);
/** A number for each issuer. Issuers that have none are not there. */
export const perIssuer = <T extends z.ZodType>(value: T) =>
  z
    .record(z.string(), value)
    .refine((record) => Object.keys(record).every(isListedIssuer), 'must be by issuer')
    .transform((record) => record as Partial<Record<ListedIssuer, z.output<T>>>);
export const reason = z.enum(Object.keys(REVOCATION_REASONS) as [RevocationReason, ...RevocationReason[]]);

export const serial = z
  .string()
  .regex(/^(?!00.)(?:[0-9a-f]{2}){1,20}$/, 'must be a serial number in lower-case hex without leading zero octets')
  .transform((hex) => hex as Serial);
export const spkiSha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((hex) => hex as SpkiSha256);
export const certificate = bytes().transform((der) => der as DerCertificate);
export const crl = bytes(8 * 1024 * 1024).transform((der) => der as DerCrl);
