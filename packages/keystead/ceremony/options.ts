import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import type { KeystoreConfig } from '../keystore/index.ts';
import type { NetworkReader } from './network.ts';

/** What every kind of ceremony is given. */
export interface CeremonyOptions {
  /** A reviewed script (what `--print-script` wrote); the ceremony runs only if it would take the same steps. */
  readonly script?: Uint8Array;
  /** Directory for what leaves the ceremony: certificates, CRLs, bundle, transcript. No secret is written there. */
  readonly out: string;
  /** Directory of the safe: the roots' sealed files. With a token, only what must outlive a crash. */
  readonly offline: string;
  /** The token that holds the roots; sealed files in `offline` unless given. */
  readonly rootKeystore?: KeystoreConfig;
  /**
   * The passphrase of the roots' sealed files or the user PIN of their token (it is wiped); `discard` for a random
   * passphrase that nobody ever learns, so that this hierarchy can never be extended.
   */
  readonly passphrase: SecretBytes | 'discard';
  /** Who leads the ceremony and confirms every step; without one the witnesses confirm every step. */
  readonly administrator?: string;
  readonly witnesses: readonly string[];
  /** Who keeps passphrase, token or medium afterwards. They are named and sign on paper; nobody asks them. */
  readonly custodians?: readonly string[];
  /** Goes on where a network is present, and writes NOT OFFLINE into the transcript. */
  readonly acceptNetwork: boolean;
  /** Nobody is there to confirm the steps; the transcript says so. */
  readonly unattended: boolean;
  /** All as in earnest, but with keys that are destroyed at the end and certificates that nobody takes. */
  readonly rehearsal?: boolean;
  readonly clock: Clock;
  /** Name and version of this software, for the transcript. */
  readonly software: string;
  /** Reads the network of this process; a test may give another. */
  readonly network?: NetworkReader;
}

/** The ceremony that makes a hierarchy. */
export interface FoundingOptions extends CeremonyOptions {
  /** The bytes of keyd's request.json. */
  readonly request: Uint8Array;
  /** The bytes of the policy's file. */
  readonly policy: Uint8Array;
}

/** A ceremony after the founding. */
export interface LaterOptions extends CeremonyOptions {
  /** Directory with the outputs of the ceremony before. */
  readonly previous: string;
  /** The bytes of the policy in force, where it is another than that of the ceremony before. */
  readonly policy?: Uint8Array;
}

export interface CeremonyResult {
  /** SHA-256 of each root's certificate, hex: what a person who was there can vouch for. */
  readonly rootSha256: string;
  readonly signingRootSha256: string;
  readonly transcriptSha256: string;
  /** False when a network was present and accepted. */
  readonly offline: boolean;
  readonly rehearsal: boolean;
}
