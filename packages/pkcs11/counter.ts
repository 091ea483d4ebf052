import { canonicalJson } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';

/** What a counter says: how many steps, and which one was the last. */
export interface CounterReading {
  readonly value: number;
  /** 16 bytes, hex, as whoever took the last step gave it; {@link NO_MARK} before the first. */
  readonly mark: string;
}

/** The mark of a counter that has just been made. */
export const NO_MARK = '00'.repeat(16);

/** CKA_APPLICATION of counters: another than that of the records of keys. */
export const COUNTER_APPLICATION = 'keystead counter';

const CounterSchema = z.strictObject({
  version: z.literal(1),
  value: z.int().min(0),
  /** Which step made it, hex: a step that is asked for again after a lost connection knows its own work by it, too. */
  mark: z.string().regex(/^[0-9a-f]{32}$/),
});

/** One data object of a counter. PKCS#11 has no counter that the tokens of today keep (CKH_MONOTONIC_COUNTER). */
export type CounterObject = z.infer<typeof CounterSchema>;

/** CKA_VALUE: canonical JSON, UTF-8. */
export const formatCounter = (object: CounterObject): Uint8Array => new TextEncoder().encode(canonicalJson(object));

/** @throws KeysteadError `keystore.damaged`. */
export function parseCounter(label: string, bytes: Uint8Array): CounterObject {
  try {
    const parsed = CounterSchema.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
    if (parsed.success) return parsed.data;
  } catch {
    // No JSON: told below.
  }
  throw new KeysteadError('keystore.damaged', {
    field: `counter ${label}`,
    seen: 'a data object of Keystead on the token that is no counter',
  });
}

/**
 * What a counter's objects say together: the highest value, and one more for each further object that has it. So two
 * programs that took the same step at the same moment have taken two, and neither goes on unnoticed. Undefined without
 * an object.
 */
export function counterReading(objects: readonly CounterObject[]): CounterReading | undefined {
  const highest = Math.max(...objects.map(({ value }) => value));
  const last = objects.filter(({ value }) => value === highest);
  const [first] = last;
  return first === undefined ? undefined : { value: highest + last.length - 1, mark: first.mark };
}
