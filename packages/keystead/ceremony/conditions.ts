import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type KeyPurposeId, type Policy, REHEARSAL_PREFIX } from '@keystead/core/lifecycle';
import { describeNetwork, isOffline, readNetwork, requireNoNetwork } from './network.ts';
import type { CeremonyOptions } from './options.ts';
import { type RootKeys, SealedRoots, TokenRoots } from './root-keys.ts';

/** A root is kept for decades: more than the ten characters of SP 800-132 appendix A.1. */
export const SHORTEST_PASSPHRASE = 12;

export interface NetworkSeen {
  readonly offline: boolean;
  /** For the transcript and for people; says NOT OFFLINE where that is so. */
  readonly text: string;
}

/** Looks at the network. @throws KeysteadError `ceremony.network-present` unless a network is accepted. */
export function lookAtNetwork(options: CeremonyOptions): NetworkSeen {
  const state = (options.network ?? readNetwork)();
  if (!options.acceptNetwork) requireNoNetwork(state);
  const offline = isOffline(state);
  return { offline, text: offline ? describeNetwork(state) : `NOT OFFLINE, accepted: ${describeNetwork(state)}` };
}

/** The prefix of every file's name. */
export const prefixOf = ({ rehearsal }: CeremonyOptions): string => (rehearsal === true ? REHEARSAL_PREFIX : '');

/**
 * What must hold before the first step is shown: a passphrase worth the name, roots where the policy lets them be, and
 * nothing in the way that another ceremony made.
 * @throws KeysteadError `ceremony.*`
 */
export function requireConditions(options: CeremonyOptions, policy: Policy, passphrase: SecretBytes): void {
  const token = options.rootKeystore;
  if (token === undefined && passphrase.length < SHORTEST_PASSPHRASE) {
    throw new KeysteadError('ceremony.passphrase-short', { field: 'passphrase', seen: 'a shorter one' });
  }
  if (token !== undefined && options.passphrase === 'discard') {
    throw new KeysteadError('ceremony.passphrase-source', {
      field: '--discard-passphrase',
      seen: 'a token with a PIN',
    });
  }
  requireCustody(policy, token === undefined ? 'sealed-file' : 'pkcs11');
  const signature = join(options.out, `${prefixOf(options)}transcript.sig`);
  if (existsSync(signature)) throw new KeysteadError('ceremony.already-held', { field: 'out', seen: signature });
}

function requireCustody(policy: Policy, custody: 'sealed-file' | 'pkcs11'): void {
  for (const purpose of ['root-ca', 'signing-root-ca'] satisfies KeyPurposeId[]) {
    const rule = policy.custody.find((entry) => entry.purpose === purpose);
    if (rule === undefined || rule.allowed.includes(custody)) continue;
    throw new KeysteadError('ceremony.custody-forbidden', {
      field: `custody of ${purpose}`,
      seen: `${custody}, allowed: ${rule.allowed.join(', ')}`,
    });
  }
}

/** The place of the roots' keys. @throws KeysteadError `keystore.*` for a token. */
export async function openRootKeys(options: CeremonyOptions, passphrase: SecretBytes): Promise<RootKeys> {
  const { rootKeystore, offline, clock, rehearsal } = options;
  if (rootKeystore === undefined) return new SealedRoots(offline, passphrase, clock, rehearsal);
  return TokenRoots.open(rootKeystore, offline, passphrase, clock, rehearsal);
}
