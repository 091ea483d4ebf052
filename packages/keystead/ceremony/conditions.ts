import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { OFFLINE_CAS } from '@keystead/core/lifecycle';
import { describeNetwork, isOffline, type NetworkState, readNetwork } from '../host/network.ts';
import { sealedName } from './hierarchy.ts';
import type { CeremonyOptions } from './options.ts';

/** A root is kept for decades: more than the ten characters of SP 800-132 appendix A.1. */
export const SHORTEST_PASSPHRASE = 12;

export interface NetworkSeen {
  readonly offline: boolean;
  /** For the transcript and for people; says NOT OFFLINE where that is so. */
  readonly text: string;
}

/**
 * Refuses a machine with a network (REQ-KEY-GEN-02).
 * @throws KeysteadError `ceremony.network-present` with the interfaces and routes seen.
 */
export function requireNoNetwork(state: NetworkState): void {
  if (isOffline(state)) return;
  throw new KeysteadError('ceremony.network-present', { field: 'network', seen: describeNetwork(state) });
}

/** Looks at the network. @throws KeysteadError `ceremony.network-present` unless a network is accepted. */
export function lookAtNetwork(options: CeremonyOptions): NetworkSeen {
  const state = (options.network ?? readNetwork)();
  if (!options.acceptNetwork) requireNoNetwork(state);
  const offline = isOffline(state);
  return { offline, text: offline ? describeNetwork(state) : `NOT OFFLINE, accepted: ${describeNetwork(state)}` };
}

/**
 * What must hold before the first step is shown: no network, a witness, a passphrase worth the name, and nothing
 * in the way that another ceremony made.
 * @throws KeysteadError `ceremony.*`
 */
export function requireConditions(options: CeremonyOptions, passphrase: SecretBytes): NetworkSeen {
  const network = lookAtNetwork(options);
  if (!options.unattended && options.witnesses.length === 0) {
    throw new KeysteadError('ceremony.no-witness', { field: 'witness' });
  }
  if (passphrase.length < SHORTEST_PASSPHRASE) {
    throw new KeysteadError('ceremony.passphrase-short', { field: 'passphrase', seen: 'a shorter one' });
  }
  for (const role of OFFLINE_CAS) {
    const path = join(options.offline, sealedName(role));
    if (existsSync(path)) throw new KeysteadError('ceremony.already-held', { field: 'offline', seen: path });
  }
  const signature = join(options.out, 'transcript.sig');
  if (existsSync(signature)) throw new KeysteadError('ceremony.already-held', { field: 'out', seen: signature });
  return network;
}
