import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem, toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  CEREMONY_KIND_NAMES,
  type CeremonyBundle,
  caOf,
  firmwareKeystoreId,
  firstIssue,
  generationOfIssuer,
  type IssuerId,
  issuerId,
  OFFLINE_CAS,
  ONLINE_CAS,
  type OnlineCa,
  type Policy,
  type PolicyFile,
  policyFile,
  ROOT_CRL_PROFILE,
  type RootId,
  rootId,
} from '@keystead/core/lifecycle';
import type { CaRole } from '@keystead/core/x509';
import { z } from 'zod';
import type { Layout } from '../files/layout.ts';
import type { FactoryNode } from './factory/node.ts';
import { foundingPolicyPath } from './policy-chain.ts';
import { issuerId as issuerName } from './wire-types.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** What keyd remembers of its ceremonies, in its own directory: hashes that everything in `trust/` must match. */
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
  /** The ceremonies after the founding that were taken over, in their order: the first of them is number 2. */
  later: z
    .array(
      z.strictObject({
        ceremony: z.enum(CEREMONY_KIND_NAMES),
        transcriptSha256: hash,
        importedAt: z.string(),
        offline: z.boolean().default(true),
        witnesses: z.array(z.string()).default([]),
        /** The issuers that their root had revoked when this was imported. */
        revoked: z.array(issuerName).default([]),
      }),
    )
    .default([]),
  /** Which key of its CA each certificate above is for, where it is not the first. */
  generations: z.partialRecord(z.enum(ONLINE_CAS), z.int().min(2)).default({}),
  /** Keys of CAs that have a successor: the newest certificate of each, and when it took over. */
  former: z.array(z.strictObject({ issuer: issuerName, sha256: hash, succeededAt: z.string() })).default([]),
  /** The certificates that the evidence key had by former keys of the server CA, by the number of that key. */
  formerEvidence: z.array(z.strictObject({ generation: z.int().min(1), sha256: hash })).default([]),
  /** The changes of the roots' keys, the oldest first. */
  rollovers: z
    .array(
      z.strictObject({
        role: z.enum(OFFLINE_CAS),
        old: hash,
        newWithOld: hash,
        oldWithNew: hash,
        importedAt: z.string(),
      }),
    )
    .default([]),
  /** Issuers whose certificate their root has revoked: they issue nothing more. */
  revoked: z.array(issuerName).default([]),
  /** The certificate of who signs the indirect CRL of the root, where a ceremony has certified one. */
  crlSigner: hash.optional(),
  /** The certificate of each key that signs firmware of production, by its id in the policy. */
  firmware: z.record(z.string(), hash).default({}),
  /** While `trust/` may still be as it was before the last import. */
  publishing: z.boolean().default(false),
});
export type CeremonyPins = z.infer<typeof PinsSchema>;

/** One key of a CA: the one that it issues by, or one that answers for what it issued. */
export interface Issuer {
  readonly id: IssuerId;
  readonly ca: OnlineCa;
  /** The newest for this key. */
  readonly certificate: DerCertificate;
  readonly current: boolean;
  /** When the next key took over. */
  readonly succeededAt: Date | undefined;
}

/** A change of a root's key. */
export interface PinnedRollover {
  readonly role: (typeof OFFLINE_CAS)[number];
  readonly old: RootId;
  readonly next: RootId;
  readonly certificates: Readonly<Record<'old' | 'newWithOld' | 'oldWithNew', DerCertificate>>;
  readonly importedAt: Date;
}

/** What keyd works with after its ceremonies. */
export interface Hierarchy {
  /** The policy of the ceremony; a later one may be in force. */
  readonly policy: Policy;
  /** Those in use. */
  readonly certificates: Readonly<Record<CaRole, DerCertificate>>;
  readonly evidenceSigner: DerCertificate;
  /** What certified the evidence key before, with the issuer of each. */
  readonly formerEvidence: readonly { readonly issuer: IssuerId; readonly certificate: DerCertificate }[];
  /** Every key of the CAs, the oldest of each CA first. */
  readonly issuers: readonly Issuer[];
  readonly rollovers: readonly PinnedRollover[];
  /** Of who signs the indirect CRL of the root; undefined where no ceremony has certified one. */
  readonly crlSigner: DerCertificate | undefined;
  /** Of the keys that sign firmware, by the id of each in the policy: production by the signing root, development by itself. */
  readonly firmware: ReadonlyMap<string, DerCertificate>;
  readonly pins: CeremonyPins;
  /** At a factory node the commission that it works by; undefined at headquarters. */
  readonly node?: FactoryNode;
}

export const pinsPath = (layout: Layout): string => join(layout.keyd, 'ceremony.json');
/** keyd's copy of what a later ceremony has left. */
export const ceremonyCopy = (layout: Layout, number: number): string => join(layout.keyd, 'ceremonies', String(number));
/** The transcript of the last ceremony that was taken over. */
export const lastTranscript = ({ later, transcriptSha256 }: CeremonyPins): string =>
  later.at(-1)?.transcriptSha256 ?? transcriptSha256;

/** The certificate in use of a CA, a root or the evidence signer, in `trust/`. */
export const trustFile = (layout: Layout, role: CaRole | 'evidence-signer'): string =>
  join(layout.trust, `${role}.pem`);
/** The certificate of who signs the indirect CRL of the root, in `trust/`. */
export const crlSignerFile = (layout: Layout): string => join(layout.trust, `${ROOT_CRL_PROFILE}.pem`);
/** The certificate of a key that signs firmware of production, in `trust/`. */
export const firmwareFile = (layout: Layout, key: string): string =>
  join(layout.trust, `${firmwareKeystoreId(key)}.pem`);
/** What is pinned of the keys for firmware. */
export const firmwarePins = ({ firmware = [] }: CeremonyBundle): CeremonyPins['firmware'] =>
  Object.fromEntries(firmware.map(({ key, certificate }) => [key, certSha256(certificate)]));
/** The certificate of an earlier key, in `trust/`: `operational-1.pem`, as a ceremony names earlier roots. */
export const formerFile = (layout: Layout, issuer: IssuerId): string =>
  join(layout.trust, `${caOf(issuer)}-${generationOfIssuer(issuer)}.pem`);
/** The certificate of the evidence key by the `generation`th key of the server CA, when there is a later one. */
export const formerEvidenceFile = (layout: Layout, generation: number): string =>
  join(layout.trust, `evidence-signer-${generation}.pem`);
/** The certificates of the `generation`th key of a root, which another has followed. */
export const rolloverFiles = (layout: Layout, role: CaRole, generation: number) => ({
  old: join(layout.trust, `${role}-${generation}.pem`),
  newWithOld: join(layout.trust, `${role}-${generation}-new-with-old.pem`),
  oldWithNew: join(layout.trust, `${role}-${generation}-old-with-new.pem`),
});

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
 * Loads the policy and the certificates that the ceremonies approved. Everything in `trust/` may have been changed by
 * others since; only what matches the pins is taken. REQ-KEY-SOD-01.
 * @throws KeysteadError `keyd.not-ready` before the import; `bundle.policy-differs` or `bundle.altered` when a file
 *   is not the one that was imported.
 */
export function loadHierarchy(layout: Layout): Hierarchy {
  const pins = readPins(layout);
  if (pins === undefined) throw new KeysteadError('keyd.not-ready', { field: pinsPath(layout) });
  const founding = foundingPolicy(layout, pins);
  const certificate = (role: keyof CeremonyPins['certificates']): DerCertificate =>
    pinnedCertificate(trustFile(layout, role), pins.certificates[role]);
  const certificates = {
    root: certificate('root'),
    'signing-root': certificate('signing-root'),
    manufacturing: certificate('manufacturing'),
    operational: certificate('operational'),
    server: certificate('server'),
    operator: certificate('operator'),
  };
  return {
    policy: founding.policy,
    certificates,
    evidenceSigner: certificate('evidence-signer'),
    formerEvidence: pins.formerEvidence.map(({ generation, sha256: pinned }) => ({
      issuer: issuerId('server', generation),
      certificate: pinnedCertificate(formerEvidenceFile(layout, generation), pinned),
    })),
    issuers: ONLINE_CAS.flatMap((ca) => issuersOf(layout, pins, ca, certificates[ca])),
    rollovers: rolloversOf(layout, pins),
    crlSigner: pins.crlSigner === undefined ? undefined : pinnedCertificate(crlSignerFile(layout), pins.crlSigner),
    firmware: new Map(
      Object.entries(pins.firmware).map(([key, pinned]) => [key, pinnedCertificate(firmwareFile(layout, key), pinned)]),
    ),
    pins,
  };
}

/** The keys of a CA, the oldest first. */
function issuersOf(layout: Layout, pins: CeremonyPins, ca: OnlineCa, inUse: DerCertificate): Issuer[] {
  const former = pins.former
    .filter(({ issuer }) => caOf(issuer) === ca)
    .map(({ issuer, sha256: pinned, succeededAt }) => ({
      id: issuer,
      ca,
      certificate: pinnedCertificate(formerFile(layout, issuer), pinned),
      current: false,
      succeededAt: new Date(succeededAt),
    }));
  const id = issuerId(ca, pins.generations[ca] ?? 1);
  return [...former, { id, ca, certificate: inUse, current: true, succeededAt: undefined }];
}

function rolloversOf(layout: Layout, pins: CeremonyPins): PinnedRollover[] {
  const seen = new Map<string, number>();
  return pins.rollovers.map(({ role, importedAt, ...hashes }) => {
    const generation = (seen.get(role) ?? 0) + 1;
    seen.set(role, generation);
    const files = rolloverFiles(layout, role, generation);
    return {
      role,
      old: rootId(role, generation),
      next: rootId(role, generation + 1),
      certificates: {
        old: pinnedCertificate(files.old, hashes.old),
        newWithOld: pinnedCertificate(files.newWithOld, hashes.newWithOld),
        oldWithNew: pinnedCertificate(files.oldWithNew, hashes.oldWithNew),
      },
      importedAt: new Date(importedAt),
    };
  });
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

function pinnedCertificate(path: string, pinned: string): DerCertificate {
  const [der] = fromPem('CERTIFICATE', Buffer.from(readPinned(path)).toString('latin1'));
  if (der === undefined || certSha256(der) !== pinned) {
    throw new KeysteadError('bundle.altered', { field: path, seen: der === undefined ? 'none' : certSha256(der) });
  }
  return der as DerCertificate;
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
