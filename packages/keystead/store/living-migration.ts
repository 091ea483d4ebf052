import type { Compilable } from 'kysely';
import type { Dialect } from './dialect.ts';

/**
 * REQ-KEY-REV-04: the certificates of one issuer that have not ended, by their end. A filter is built from them every
 * hour; after fifteen years most that stand in the table have ended.
 */
export function livingCertificates({ builder: { schema } }: Dialect): Compilable<unknown>[] {
  return [schema.createIndex('certificate_living').on('certificate').columns(['issuer', 'not_after', 'serial'])];
}
