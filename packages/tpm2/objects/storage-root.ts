import type { SecretBytes } from '@keystead/core/crypto';
import type { Channel } from '../channel.ts';
import { HANDLE } from '../wire/constants.ts';
import type { EccPublic } from '../wire/public.ts';
import { createPrimary, flushing, fromTemplate, type Loaded, readPublic } from './object.ts';
import { SRK_TEMPLATE } from './templates.ts';

/** Where provisioning leaves the SRK (TCG Provisioning Guidance 1.0 section 7.8, table 2). */
export const SRK_HANDLE = 0x81000001;

export interface OwnerAuth {
  /** The owner's authorization value, where one was set; it stays with the caller. */
  readonly ownerAuth?: SecretBytes;
}

/**
 * Lends the storage root key to `work`: the persistent one when it was made from our template, else a transient one of
 * the same template, which is the same key only when that is the owner hierarchy's.
 * @throws KeysteadError `tpm2.*`; `tpm2.auth-failed` when the owner has a value that was not given.
 */
export async function withStorageRoot<T>(
  channel: Channel,
  work: (srk: Loaded<EccPublic>) => Promise<T>,
  options: OwnerAuth = {},
): Promise<T> {
  const persistent = await readPublic(channel, SRK_HANDLE);
  if (persistent !== undefined && isStorageRoot(persistent)) return work(persistent);
  const made = await createPrimary(channel, HANDLE.OWNER, SRK_TEMPLATE, options.ownerAuth);
  return flushing(channel, made, work);
}

function isStorageRoot(loaded: Loaded): loaded is Loaded<EccPublic> {
  return fromTemplate(loaded.area, SRK_TEMPLATE);
}
