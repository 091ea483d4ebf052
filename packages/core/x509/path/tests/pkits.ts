import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { DerCertificate } from '../../../bytes/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import {
  CertificateBag,
  checkPath,
  checkRevocation,
  findPath,
  type PathFailure,
  type RevocationList,
  RevocationLists,
  readCertificate,
  readRevocationList,
  type StatusFailure,
} from '../../index.ts';

/** The NIST suite (vectors/pkits/README.md): all its certificates and CRLs in one bag, and its cases. */
const PKITS = join(import.meta.dirname, '../../../../../vectors/pkits');
/** Within the suite's validity, which ends in 2030. */
export const NOW = new Date('2026-06-01T00:00:00Z');

const Case = z.object({
  test: z.string(),
  leaf: z.string(),
  expected: z.enum(['valid', 'invalid']),
  policies: z.array(z.string()).optional(),
  requireExplicitPolicy: z.boolean().optional(),
  inhibitPolicyMapping: z.boolean().optional(),
  inhibitAnyPolicy: z.boolean().optional(),
  /** The rule by which Keystead refuses; where `expected` is valid, it disagrees with the suite (README.md). */
  rule: z.string().optional(),
});
export type PkitsCase = z.infer<typeof Case>;

export const CASES = z.array(Case).parse(JSON.parse(readFileSync(join(PKITS, 'cases.json'), 'utf8')));
const files = (kind: 'certs' | 'crls'): string[] => readdirSync(join(PKITS, kind)).sort();
export const pkitsBytes = (kind: 'certs' | 'crls', file: string): Uint8Array =>
  new Uint8Array(readFileSync(join(PKITS, kind, file)));

/** Those that Keystead cannot read, by its own strictness or the suite's intent. */
export const UNREADABLE = new Map<string, string>();

function readAll<T>(kind: 'certs' | 'crls', read: (der: Uint8Array) => T): ReadonlyMap<string, T> {
  const all = new Map<string, T>();
  for (const file of files(kind)) {
    try {
      all.set(file, read(pkitsBytes(kind, file)));
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      UNREADABLE.set(file, error.seen ?? error.message);
    }
  }
  return all;
}

export const CERTIFICATES = readAll('certs', readCertificate);
/** Everything, leaves and strangers included: to find the path is part of each case. */
export const BAG = new CertificateBag(CERTIFICATES.values());
export const LISTS: readonly RevocationList[] = [...readAll('crls', readRevocationList).values()];
export const ANCHOR = readCertificate(pkitsBytes('certs', 'TrustAnchorRootCertificate.crt'));
const ANCHORS = new CertificateBag([ANCHOR]);
const EVIDENCE = { lists: new RevocationLists(LISTS) };

/** What Keystead says of one case. */
export function judge(wanted: PkitsCase): { readonly ok: true } | PathFailure | StatusFailure {
  const leaf = CERTIFICATES.get(wanted.leaf);
  if (leaf === undefined) return checkPath(pkitsBytes('certs', wanted.leaf) as DerCertificate, [], [], { now: NOW });
  const path = findPath(leaf, BAG, ANCHORS, { ...wanted, now: NOW });
  return path.ok ? checkRevocation(path.chain, EVIDENCE, { now: NOW, bag: BAG }) : path;
}
