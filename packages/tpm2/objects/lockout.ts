import type { SecretBytes } from '@keystead/core/crypto';
import { type Channel, permanent, readProperties } from '../channel.ts';
import { HANDLE, PROPERTY } from '../wire/constants.ts';
import { join, u32 } from '../wire/writer.ts';

/** How the protection against guessing stands (Part 1 section 19.8). */
export interface LockoutState {
  readonly locked: boolean;
  readonly failures: number;
  /** From this many failures on the TPM is locked. */
  readonly most: number;
  readonly intervalSeconds: number;
  /** How long a wrong lockout authorization locks itself out. */
  readonly recoverySeconds: number;
}

/** TPMA_PERMANENT.inLockout (Part 2 section 8.6). */
const IN_LOCKOUT = 1 << 9;

export async function lockoutState(channel: Channel): Promise<LockoutState> {
  const properties = await readProperties(channel, PROPERTY.PERMANENT, 32);
  const value = (property: number): number => properties.get(property) ?? 0;
  return {
    locked: (value(PROPERTY.PERMANENT) & IN_LOCKOUT) !== 0,
    failures: value(PROPERTY.LOCKOUT_COUNTER),
    most: value(PROPERTY.MAX_AUTH_FAIL),
    intervalSeconds: value(PROPERTY.LOCKOUT_INTERVAL),
    recoverySeconds: value(PROPERTY.LOCKOUT_RECOVERY),
  };
}

/** Ends a lockout. @throws KeysteadError `tpm2.auth-failed`, `tpm2.lockout` (of the lockout authorization itself). */
export async function resetLockout(channel: Channel, lockoutAuth?: SecretBytes): Promise<void> {
  await channel.run('DictionaryAttackLockReset', {
    handles: [permanent(HANDLE.LOCKOUT)],
    auth: [{ password: lockoutAuth }],
  });
}

/** Sets how many failures lock, how long it takes to forgive one, and how long a wrong lockout authorization locks. */
export async function setLockoutParameters(
  channel: Channel,
  values: Pick<LockoutState, 'most' | 'intervalSeconds' | 'recoverySeconds'>,
  lockoutAuth?: SecretBytes,
): Promise<void> {
  await channel.run('DictionaryAttackParameters', {
    handles: [permanent(HANDLE.LOCKOUT)],
    auth: [{ password: lockoutAuth }],
    parameters: join(u32(values.most), u32(values.intervalSeconds), u32(values.recoverySeconds)),
  });
}

/**
 * Clears the owner: the storage root gets a new seed, and whatever was wrapped or sealed under the old one, on this
 * disk or in any copy of it, opens nowhere for ever (TPM2_Clear, Part 3 section 24.6). REQ-KEY-WIPE-01
 * @throws KeysteadError `tpm2.auth-failed`, `tpm2.refused` (DISABLED: an owner has switched this off).
 */
export async function clearOwner(channel: Channel, lockoutAuth?: SecretBytes): Promise<void> {
  await channel.run('Clear', { handles: [permanent(HANDLE.LOCKOUT)], auth: [{ password: lockoutAuth }] });
}
