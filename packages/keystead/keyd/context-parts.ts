import type { Clock } from '@keystead/core/clock';
import type { CeremonyBundle, PolicyFile } from '@keystead/core/lifecycle';
import type { WeakKeys } from '@keystead/core/x509';
import type { Isolation } from '../host/isolation.ts';
import type { KeyInfo, Keystore, MonotonicCounter } from '../keystore/index.ts';
import type { SignerOf } from './certificate-authority.ts';
import type { Hierarchy } from './hierarchy.ts';
import type { Journal } from './journal.ts';
import type { KeyLedger } from './key-ledger.ts';
import type { LogSigner } from './log-signer.ts';
import type { PolicyChain } from './policy-chain.ts';
import type { Result } from './protocol.ts';
import type { KeydState } from './state.ts';
import type { UnitCount } from './unit-count.ts';

/** What a context is opened from. */
export interface ContextParts {
  /** keyd's own directory: journal, leaves, checkpoint, policies. */
  readonly dir: string;
  /** Where long CRLs are fetched, and whether by the group. */
  readonly crls: { readonly dir: string; readonly shared: boolean };
  /** `trust/policy.json`. */
  readonly publishedPolicy: string;
  readonly hierarchy: Hierarchy;
  /** The policy of the ceremony with the very bytes of its file. */
  readonly founding: PolicyFile;
  /** The last CRL of each key of a root, as the ceremonies left them. */
  readonly rootCrls: Result<'trust'>['rootCrls'];
  /** The bundle of the last ceremony after the founding. */
  readonly lastBundle: CeremonyBundle | undefined;
  readonly signerOf: SignerOf;
  /** For the masters of device keys. */
  readonly keystore: Keystore;
  /** The keys that seal the keystore. */
  readonly masters: Result<'keys'>['masters'];
  /** What the journal is tied to, and the value with which it was made; undefined where the disk is all there is. */
  readonly counter?: { readonly counter: MonotonicCounter; readonly base: number };
  readonly clock: Clock;
  /** Name and version of this program, as documents tell it. */
  readonly software: string;
  /** What stands between keyd and the rest of the machine, as of its start. */
  readonly isolation: Isolation;
  /** Of the lists that the deployment has. */
  readonly weakKeys: WeakKeys;
}

/** What a context is made of once keyd's files are open and its state is made again from them. */
export interface OpenedParts extends ContextParts {
  readonly keys: readonly KeyInfo[];
  readonly state: KeydState;
  readonly journal: Journal;
  readonly count: UnitCount;
  readonly log: LogSigner;
  readonly policies: PolicyChain;
  readonly ledger: KeyLedger;
}
