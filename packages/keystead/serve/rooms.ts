import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import type { Policy } from '@keystead/core/lifecycle';
import type { CaRole } from '@keystead/core/x509';
import type { Logger } from 'pino';
import type { Access, RefusalLog, Workloads } from '../access/index.ts';
import type { Acme } from '../acme/index.ts';
import type { Authority, RootCrlPublisher } from '../authority/index.ts';
import type { BundlePublisher, Uptake } from '../bundles/index.ts';
import type { AcmeSettings } from '../files/acme-settings.ts';
import type { Layout } from '../files/layout.ts';
import type { SigningSettings } from '../files/signing-settings.ts';
import type { RenewedRepository } from '../files/tuf-settings.ts';
import type { WorkloadIssuer } from '../files/workload-settings.ts';
import type { KeydClient } from '../keyd-client/index.ts';
import type { Outbox, Provisioning, Stations } from '../provisioning/index.ts';
import type { Campaigns } from '../rotation/index.ts';
import type { Signing } from '../signing/index.ts';
import type { Store } from '../store/index.ts';
import type { BackupRecords } from './backup-records.ts';
import type { CaRevocations } from './ca-revocations.ts';
import type { FactoryRecords } from './factory-records.ts';
import type { KeyRecords } from './key-records.ts';
import type { PolicyChanges } from './policy-changes.ts';
import type { Recounts } from './recounts.ts';
import type { ServedHierarchy } from './served-hierarchy.ts';
import type { TlsServing } from './tls-serving.ts';
import type { TufRecords } from './tuf-records.ts';

export interface RoomsOptions {
  readonly layout: Layout;
  readonly keyd: KeydClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** The name of the channel key to keyd, for the inventory. */
  readonly channelKeyId?: string;
  /** Seals secrets in the database, 32 bytes; stays with the caller. */
  readonly sealingKey: SecretBytes;
  /** Whose tokens are believed of CI systems; without it nobody's. */
  readonly workloads?: readonly WorkloadIssuer[];
  /** The bounds of firmware signing; without them, as signing-settings.ts says. */
  readonly signing?: SigningSettings;
  /** Update repositories that are renewed here; without it none. */
  readonly tuf?: readonly RenewedRepository[];
  /** How ACME is spoken; without it, as the defaults say. */
  readonly acme?: AcmeSettings;
  /** The least time between two checkpoints, milliseconds. */
  readonly checkpointEveryMs?: number;
}

/** The domain of the front end, put together: records, log, access, authority, provisioning. */
export interface Rooms {
  readonly layout: Layout;
  readonly store: Store;
  readonly access: Access;
  readonly authority: Authority;
  readonly provisioning: Provisioning;
  readonly keyd: KeydClient;
  /** At a factory node: what is on its way to headquarters. */
  readonly outbox: Outbox | undefined;
  readonly stations: Stations;
  readonly acme: Acme;
  readonly keys: KeyRecords;
  readonly factories: FactoryRecords;
  readonly clock: Clock;
  readonly backups: BackupRecords;
  readonly refusals: RefusalLog;
  readonly recounts: Recounts;
  /** The policy in force; another one after a change. */
  readonly policy: Policy;
  readonly policies: PolicyChanges;
  readonly certificates: Readonly<Record<CaRole, DerCertificate>>;
  readonly hierarchy: ServedHierarchy;
  /** The indirect CRL of the root; undefined where no ceremony has certified who signs it. */
  readonly rootCrl: RootCrlPublisher | undefined;
  readonly caRevocations: CaRevocations;
  readonly signing: Signing;
  /** Publishes trust bundles and revocation filters. */
  readonly bundles: BundlePublisher;
  /** What devices report that they go by. */
  readonly uptake: Uptake;
  readonly campaigns: Campaigns;
  /** Who may submit images without a certificate. */
  readonly workloads: Workloads;
  readonly tuf: TufRecords;
  /** The TLS key and certificate of this process. */
  readonly tls: TlsServing;
  /** Repairs what a crash left; before the first request is taken. */
  start(): Promise<void>;
  /** Writes down and publishes what is still on its way, and closes the records. */
  close(): Promise<void>;
}
