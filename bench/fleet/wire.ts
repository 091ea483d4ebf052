import type { DerCertificate, DerCrl } from '@keystead/core/bytes';
import type { ErrorCode } from '@keystead/core/errors';
import type { FleetPlan } from './plan.ts';
import type { Counts } from './tally.ts';

/** What shards and the server say to each other: structured clones between threads. */

/** What a thread of devices is started with. */
export interface ShardData {
  readonly plan: FleetPlan;
  /** It has the devices of the numbers `shard` + 1, `shard` + 1 + `shards`, and so on. */
  readonly shard: number;
  readonly shards: number;
  readonly start: number;
  readonly world: World;
}

/** What every device can fetch at any time, and whether the server can be reached at all. */
export interface World {
  readonly root: DerCertificate;
  /** The newest list of the root. */
  readonly rootCrl: DerCrl;
  /** The keys of CAs by their ids. */
  readonly issuers: readonly { readonly id: string; readonly certificate: DerCertificate; readonly revoked: boolean }[];
  readonly isAway: boolean;
}

/** What the simulation tells a shard to do; it is done when the shard says so. */
export type Order =
  /** The devices up to this number are made. */
  | { readonly do: 'factory'; readonly upTo: number }
  /** Whatever is due by `until`, milliseconds since 1970, at that time. */
  | { readonly do: 'live'; readonly until: number }
  | { readonly do: 'world'; readonly world: World }
  | { readonly do: 'lose-ca'; readonly revoked: DerCertificate }
  /** The devices up to this number were revoked. */
  | { readonly do: 'revoked'; readonly upTo: number }
  | { readonly do: 'end'; readonly until: number };

/** What a device asks of the server. */
export type Ask =
  | { readonly op: 'provision'; readonly number: number; readonly csr: Uint8Array }
  | { readonly op: 'enrol' | 'reenrol'; readonly certificate: DerCertificate; readonly csr: Uint8Array }
  | { readonly op: 'prove'; readonly certificate: DerCertificate };

/** A certificate and the id of its issuer; of `prove` nothing but that there was no refusal. */
export type Answer =
  | { readonly ok: { readonly certificate: DerCertificate; readonly issuer: string } | undefined }
  | { readonly refused: { readonly code: ErrorCode; readonly message: string; readonly isPassing: boolean } };

export type ToShard =
  | { readonly order: Order }
  | { readonly answers: readonly { readonly to: number; readonly answer: Answer }[] };

export type FromShard =
  | { readonly asks: readonly { readonly ask: Ask; readonly id: number }[] }
  | { readonly made: number }
  /** An order is carried out. `next`: when the next thing is due. */
  | { readonly done: { readonly next: number | undefined; readonly certificates: number; readonly counts?: Counts } };
