import { z } from 'zod';

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

export type DeviceIdRange = z.infer<typeof DeviceIds>;

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
