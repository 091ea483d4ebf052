import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import type { NetworkReader } from '../host/network.ts';

export interface CeremonyOptions {
  /** The bytes of keyd's request.json. */
  readonly request: Uint8Array;
  /** The bytes of the policy's file. */
  readonly policy: Uint8Array;
  /** A reviewed script (what `--print-script` wrote); the ceremony runs only if it would take the same steps. */
  readonly script?: Uint8Array;
  /** Directory for what leaves the ceremony: certificates, CRLs, bundle, transcript. No secret is written there. */
  readonly out: string;
  /** Directory for what goes into the safe: the two sealed files. */
  readonly offline: string;
  /**
   * The passphrase that seals both roots (it is wiped), or `discard`: a random one that nobody ever learns, so
   * that this hierarchy can never be extended.
   */
  readonly passphrase: SecretBytes | 'discard';
  readonly witnesses: readonly string[];
  /** Goes on where a network is present, and writes NOT OFFLINE into the transcript. */
  readonly acceptNetwork: boolean;
  /** Nobody is there to confirm the steps; the transcript says so. */
  readonly unattended: boolean;
  readonly clock: Clock;
  /** Name and version of this software, for the transcript. */
  readonly software: string;
  /** Reads the network of this process; a test may give another. */
  readonly network?: NetworkReader;
}

export interface CeremonyResult {
  /** SHA-256 of each root's certificate, hex: what a person who was there can vouch for. */
  readonly rootSha256: string;
  readonly signingRootSha256: string;
  readonly transcriptSha256: string;
  /** False when a network was present and accepted. */
  readonly offline: boolean;
}
