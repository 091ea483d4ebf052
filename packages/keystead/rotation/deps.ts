import type { Clock } from '@keystead/core/clock';
import type { IssuerId, Policy } from '@keystead/core/lifecycle';
import type { BundleContent } from '@keystead/core/trust';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Reader, Store } from '../store/index.ts';
import type { DeviceFacts } from './dry-run.ts';
import type { HeldFirmwareKey } from './held-firmware-keys.ts';

/** A key of a CA as the front end serves it. */
export interface ServedIssuer {
  readonly id: IssuerId;
  readonly ca: string;
  /** Whether its CA issues by it. */
  readonly current: boolean;
  readonly revoked: boolean;
}

/** A change of a root's key that keyd has taken over. */
export interface ServedRollover {
  readonly role: string;
  /** SHA-256 of the SubjectPublicKeyInfo of each. */
  readonly old: string;
  readonly next: string;
  /** When the old root ceases to be an anchor. */
  readonly until: Date;
  /** The end of the certificate by which who knows the new root alone believes the old key (old with new). */
  readonly acrossUntil: Date;
}

/** The trust bundles that were published. */
export interface PublishedBundles {
  /** The newest; undefined before the first. */
  latest(): { readonly content: BundleContent; readonly sha256: string } | undefined;
  /** The one of this version, where it was published and is kept. */
  version(version: number): { readonly content: BundleContent; readonly sha256: string } | undefined;
}

/** What campaigns stand on. */
export interface RotationDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly policy: Policy;
  readonly issuers: () => readonly ServedIssuer[];
  readonly rollovers: () => readonly ServedRollover[];
  readonly bundles: PublishedBundles;
  /** The keys for firmware of the policy in force, as keyd holds them. */
  readonly firmwareKeys: () => Promise<readonly HeldFirmwareKey[]>;
  /** What a device reported of itself last. */
  readonly uptakeOf: (records: Reader, deviceId: string) => DeviceFacts['uptake'];
}

/** Who asks, for the audit log. */
export interface AskedBy {
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}

/** What is done without anybody asking. */
export const SYSTEM: AskedBy = { actor: { kind: 'system', id: 'rotation' }, requestId: 'rotation-tick' };
