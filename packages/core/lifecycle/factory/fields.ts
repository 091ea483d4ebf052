import { z } from 'zod';
import type { Serial, SpkiSha256 } from '../../bytes/index.ts';

export const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
/** UTC, whole seconds. */
export const wholeSecond = z.iso.datetime({ offset: false, precision: 0 });
export const pemCertificate = z.string().regex(/^-----BEGIN CERTIFICATE-----\n/, 'must be a PEM certificate');
export const pemRequest = z
  .string()
  .regex(/^-----BEGIN CERTIFICATE REQUEST-----\n/, 'must be a PEM certification request');
export const documentId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -');
export const deviceId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/, 'must be a device id');
export const serial = z
  .string()
  .regex(/^(?!00.)(?:[0-9a-f]{2}){1,20}$/, 'must be a serial number in lower-case hex without leading zero octets')
  .transform((hex) => hex as Serial);
export const spkiHash = hash.transform((hex) => hex as SpkiSha256);
/** What every device id of a factory begins with. */
export const deviceIdPrefix = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,47}$/, 'must be 1 to 48 letters, digits, . -');
/** What a server of a factory may be called: a DNS name, or an IP address in its usual text. */
export const serverName = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9:][A-Za-z0-9:.-]*$/, 'must be a DNS name or an IP address');
