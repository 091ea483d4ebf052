import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem, toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { firstIssue, type Policy, type PolicyFile, policyFile } from '@keystead/core/lifecycle';
import type { CaRole } from '@keystead/core/x509';
import { z } from 'zod';
import type { Layout } from '../files/layout.ts';
import { foundingPolicyPath } from './policy-chain.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** What keyd remembers of its ceremony, in its own directory: hashes that everything in `trust/` must match. */
export const PinsSchema = z.strictObject({
  version: z.literal(1),
  importedAt: z.string(),
  policySha256: hash,
  transcriptSha256: hash,
  /** False when the ceremony ran where a network was present. */
  offline: z.boolean(),
  witnesses: z.array(z.string()),
  /** SHA-256 of each certificate. */
  certificates: z.strictObject({
    root: hash,
    'signing-root': hash,
    manufacturing: hash,
    operational: hash,
    server: hash,
    operator: hash,
    'evidence-signer': hash,
  }),
  vkey: z.string(),
  cosignVkey: z.string(),
});
export type CeremonyPins = z.infer<typeof PinsSchema>;

/** What keyd works with after its ceremony. */
export interface Hierarchy {
  /** The policy of the ceremony; a later one may be in force. */
  readonly policy: Policy;
  readonly certificates: Readonly<Record<CaRole, DerCertificate>>;
  readonly evidenceSigner: DerCertificate;
  readonly pins: CeremonyPins;
}

export const pinsPath = (layout: Layout): string => join(layout.keyd, 'ceremony.json');
export const trustFile = (layout: Layout, role: CaRole | 'evidence-signer'): string =>
  join(layout.trust, `${role}.pem`);

/**
 * What keyd pinned when it imported the bundle, or undefined before that.
 * @throws KeysteadError `keyd.not-ready` when the file is damaged.
 */
export function readPins(layout: Layout): CeremonyPins | undefined {
  let text: string;
  try {
    text = readFileSync(pinsPath(layout), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new KeysteadError('keyd.not-ready', { field: pinsPath(layout), cause: error });
  }
  const parsed = PinsSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  const { field, seen } = firstIssue(parsed.error, 'the file');
  throw new KeysteadError('keyd.not-ready', {
    field: pinsPath(layout),
    seen: `${field}: ${seen}`,
    cause: parsed.error,
  });
}

/**
 * Loads the policy and the certificates that the ceremony approved. Everything in `trust/` may have been changed by
 * others since; only what matches the pins is taken. REQ-KEY-SOD-01.
 * @throws KeysteadError `keyd.not-ready` before the import; `bundle.policy-differs` or `bundle.altered` when a file
 *   is not the one that was imported.
 */
export function loadHierarchy(layout: Layout): Hierarchy {
  const pins = readPins(layout);
  if (pins === undefined) throw new KeysteadError('keyd.not-ready', { field: pinsPath(layout) });
  const founding = foundingPolicy(layout, pins);
  const certificate = (role: keyof CeremonyPins['certificates']): DerCertificate => {
    const path = trustFile(layout, role);
    const [der] = fromPem('CERTIFICATE', Buffer.from(readPinned(path)).toString('latin1'));
    if (der === undefined || certSha256(der) !== pins.certificates[role]) {
      throw new KeysteadError('bundle.altered', { field: path, seen: der === undefined ? 'none' : certSha256(der) });
    }
    return der as DerCertificate;
  };
  return {
    policy: founding.policy,
    certificates: {
      root: certificate('root'),
      'signing-root': certificate('signing-root'),
      manufacturing: certificate('manufacturing'),
      operational: certificate('operational'),
      server: certificate('server'),
      operator: certificate('operator'),
    },
    evidenceSigner: certificate('evidence-signer'),
    pins,
  };
}

/**
 * The policy of the ceremony. Until another follows it, it is the one in `trust/`.
 * @throws KeysteadError `bundle.policy-differs`, `policy.*`.
 */
export function foundingPolicy(layout: Layout, pins: CeremonyPins): PolicyFile {
  const kept = foundingPolicyPath(layout.keyd);
  const path = existsSync(kept) ? kept : layout.policy;
  const bytes = readPinned(path);
  const seen = toHex(sha256(bytes));
  if (seen !== pins.policySha256) throw new KeysteadError('bundle.policy-differs', { field: path, seen });
  return policyFile(bytes);
}

function readPinned(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('bundle.altered', { field: path, seen: 'no readable file', cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
