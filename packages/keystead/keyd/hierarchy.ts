import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem, toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  CEREMONY_KIND_NAMES,
  firstIssue,
  ONLINE_CAS,
  type OnlineCa,
  type Policy,
  type PolicyFile,
  policyFile,
  requestName,
} from '@keystead/core/lifecycle';
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
  /** The ceremonies after the founding, in their order. */
  later: z
    .array(
      z.strictObject({
        number: z.int().min(2),
        ceremony: z.enum(CEREMONY_KIND_NAMES),
        transcriptSha256: hash,
        importedAt: z.string(),
        offline: z.boolean(),
        witnesses: z.array(z.string()),
      }),
    )
    .default([]),
  /** The id of a CA's key in the keystore, where it is not the first one. */
  keys: z.partialRecord(z.enum(ONLINE_CAS), z.string()).default({}),
  /** When the key of a CA came into being, ISO 8601, where its certificate is not the first one for it. */
  activated: z.partialRecord(z.enum(ONLINE_CAS), z.string()).default({}),
  /** The CAs whose certificate the root has revoked: they issue nothing more. */
  revoked: z.array(z.enum(ONLINE_CAS)).default([]),
  /** The number of the CRL of each root that was imported last. */
  rootCrls: z.strictObject({ root: z.int(), 'signing-root': z.int() }).default({ root: 1, 'signing-root': 1 }),
  /** SHA-256 of the certificates that lead over from each old key of a root, by file name in `trust/`. */
  rollovers: z.record(z.string().regex(/^[a-z0-9-]+$/), hash).default({}),
});
export type CeremonyPins = z.infer<typeof PinsSchema>;

/** The transcript of the last ceremony that was imported. */
export const lastTranscript = ({ later, transcriptSha256 }: CeremonyPins): string =>
  later.at(-1)?.transcriptSha256 ?? transcriptSha256;

/** What keyd works with after its ceremony. */
export interface Hierarchy {
  /** The policy of the ceremony; a later one may be in force. */
  readonly policy: Policy;
  readonly certificates: Readonly<Record<CaRole, DerCertificate>>;
  readonly evidenceSigner: DerCertificate;
  /** What leads from the new key of a root to its old one and back, for relying parties that know one of them. */
  readonly rollovers: readonly DerCertificate[];
  readonly pins: CeremonyPins;
}

/** The id of a CA's key in the keystore. */
export const keyIdOf = ({ pins }: Hierarchy, role: OnlineCa): string => pins.keys[role] ?? requestName(role);

export const pinsPath = (layout: Layout): string => join(layout.keyd, 'ceremony.json');
/** The file of a certificate in `trust/`, by its role or by the name that it has after a rollover. */
export const trustFile = (layout: Layout, name: string): string => join(layout.trust, `${name}.pem`);

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
  const pinned = (name: string, sha256: string): DerCertificate => {
    const der = pinnedCertificate(layout, name, sha256);
    if (der !== undefined) return der;
    throw new KeysteadError('bundle.altered', {
      field: trustFile(layout, name),
      remedy: 'if an import was cut short, import the same bundle again; else restore the file',
    });
  };
  const certificate = (role: keyof CeremonyPins['certificates']) => pinned(role, pins.certificates[role]);
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
    rollovers: Object.entries(pins.rollovers)
      .filter(([name]) => name.endsWith('-new-with-old') || name.endsWith('-old-with-new'))
      .map(([name, sha256]) => pinned(name, sha256)),
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

/** The certificate in `trust/` when it is the one with this SHA-256, else undefined. */
export function pinnedCertificate(layout: Layout, name: string, sha256: string): DerCertificate | undefined {
  const text = Buffer.from(readPinned(trustFile(layout, name))).toString('latin1');
  const [der] = fromPem('CERTIFICATE', text);
  return der !== undefined && certSha256(der) === sha256 ? (der as DerCertificate) : undefined;
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
