import type { KeyPurposeId, KeyState } from '@keystead/core/lifecycle';
import type { z } from 'zod';
import type { AcmeOperatorDomain } from './acme.ts';
import type { AuthorisationDomain } from './authorisations.ts';
import type { CaRevocationDomain } from './ca-revocations.ts';
import type { Caller } from './caller.ts';
import type { CampaignDomain } from './campaigns.ts';
import type { FactoryDomain } from './factories.ts';
import type { ReconciliationDomain } from './reconciliation.ts';
import type { RecordDomain } from './records.ts';
import type { RevocationDomain } from './revocations.ts';
import type { RecordDrill, SignBackup } from './schemas.ts';
import type { SigningDomain } from './signing.ts';
import type { StationOperatorDomain } from './stations.ts';
import type { TlsKeyDomain } from './tls-key.ts';
import type { TrustDomain } from './trust.ts';
import type { TufDomain } from './tuf.ts';
import type { UnitDomain } from './units.ts';
import type { IssuedView } from './views.ts';

/** Which keys are asked for, and from where on. */
export interface KeyQuery {
  readonly purpose?: KeyPurposeId;
  readonly state?: KeyState;
  readonly owner?: string;
  readonly custody?: string;
  /** Seconds. */
  readonly endingWithin?: number;
  /** `next` of the answer before. */
  readonly after?: string;
}

export type { Caller } from './caller.ts';

export type { IssuedView, UnitView } from './views.ts';

export type BackupDraft = z.output<typeof SignBackup>;
export type DrillReport = z.output<typeof RecordDrill> & { readonly backupId: string };

/** What the REST interface needs of the domain. Each call resolves only when what it did is durable. */
export interface RestDomain
  extends AuthorisationDomain,
    AcmeOperatorDomain,
    UnitDomain,
    RevocationDomain,
    ReconciliationDomain,
    FactoryDomain,
    StationOperatorDomain,
    CaRevocationDomain,
    SigningDomain,
    TufDomain,
    TrustDomain,
    CampaignDomain,
    TlsKeyDomain,
    RecordDomain {
  whoami(caller: Caller): Promise<{ kind: string; id: string; roles: string[] }>;
  devices(caller: Caller): Promise<unknown>;
  device(caller: Caller, deviceId: string): Promise<unknown>;
  certificate(caller: Caller, serial: string): Promise<unknown>;
  enrolOperator(caller: Caller, name: string, csr: Uint8Array): Promise<IssuedView>;
  enrolServer(caller: Caller, csr: Uint8Array, hosts: string[]): Promise<IssuedView>;
  openBatch(caller: Caller, ticket: string): Promise<{ ticketId: string; quota: number }>;
  decommission(
    caller: Caller,
    deviceId: string,
    end: { wiped: string[]; wipeEvidence?: string; reason: string },
  ): Promise<{ evidence: string; signature: string; revoked: string[] }>;
  /** Lets a device enrol again whose grace period is over. @returns until when. */
  readmit(caller: Caller, deviceId: string, reason: string): Promise<{ deviceId: string; until: string }>;
  /** The policy in force, its file and its history. */
  policy(caller: Caller): Promise<unknown>;
  changePolicy(caller: Caller, change: { policy: string; approvals: string }): Promise<unknown>;
  keys(caller: Caller, query: KeyQuery): Promise<unknown>;
  dueKeys(caller: Caller): Promise<unknown>;
  /** @param name the id of a key, or at least 8 hex digits that its hash begins with. */
  key(caller: Caller, name: string): Promise<unknown>;
  /** How keyd's journal stands to its monotonic counter. */
  count(caller: Caller): Promise<unknown>;
  /** @param order as `keystead recount` wrote it, signed by a quorum. */
  recount(caller: Caller, order: string): Promise<unknown>;
  /** @param order as an operator's key signed it. */
  orderKey(caller: Caller, order: string): Promise<unknown>;
  /** Has keyd sign the manifest of a backup. What is in the backup never comes here. */
  signBackup(caller: Caller, backup: BackupDraft): Promise<{ manifest: string; signature: string }>;
  /** Puts a drill, or one that was refused, on record. */
  recordDrill(caller: Caller, drill: DrillReport): Promise<{ auditSeq: number }>;
  /** A body that never reached the domain: audited where it matters. */
  refused(certificate: Uint8Array | undefined, thrown: unknown, requestId: string): Promise<void>;
}
