import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type BackupManifest,
  type BackupPolicy,
  commitmentOf,
  type OpenedShare,
  type ShareFacts,
  shareText,
} from '@keystead/core/lifecycle';
import { combine, split } from 'shamir-secret-sharing';
import { encryptTo, recipientOf } from './age.ts';

/** One custodian's share as it goes into the manifest. */
export interface SealedShare {
  readonly name: string;
  readonly commitment: string;
  /** An age file for this custodian. */
  readonly share: Uint8Array;
}

/**
 * Splits the identity that opens a backup among the policy's custodians (Shamir over GF(2^8), by
 * shamir-secret-sharing), and encrypts each share to its custodian. Fewer than the threshold say nothing of it, however
 * much they compute: for each secret there is a share that would complete them to it.
 * @param identity stays with the caller.
 */
export async function splitAmong(
  identity: SecretBytes,
  backupId: string,
  { threshold, custodians }: BackupPolicy,
): Promise<SealedShare[]> {
  const parts = await identity.use((bytes) => split(Uint8Array.from(bytes), custodians.length, threshold));
  const sealed: SealedShare[] = [];
  for (const [at, { name, recipient }] of custodians.entries()) {
    using share = SecretBytes.take(parts[at] ?? new Uint8Array());
    const facts: ShareFacts = { backupId, custodian: name, index: at + 1, of: custodians.length, threshold };
    using text = shareText(facts, share);
    sealed.push({ name, commitment: commitmentOf(text), share: await encryptTo(recipient, text) });
  }
  return sealed;
}

/**
 * The identity out of enough shares, each of which was held against the manifest by `openShare`.
 * @param shares stay with the caller.
 * @throws KeysteadError `backup.too-few-shares`, `backup.share-repeated`; `backup.shares-inconsistent` when what comes
 *   out is not the key that the manifest names.
 */
export async function combineShares(shares: readonly OpenedShare[], manifest: BackupManifest): Promise<SecretBytes> {
  const twin = shares.find((one, at) => shares.findIndex(({ custodian }) => custodian === one.custodian) !== at);
  if (twin !== undefined) throw new KeysteadError('backup.share-repeated', { field: 'shares', seen: twin.custodian });
  if (shares.length < manifest.threshold) throw tooFew(shares.length, manifest.threshold);
  const parts = shares.map(({ share }) => share.use((bytes) => Uint8Array.from(bytes)));
  const inconsistent = (cause?: unknown): KeysteadError =>
    new KeysteadError('backup.shares-inconsistent', { field: 'shares', cause });
  let identity: SecretBytes;
  try {
    identity = SecretBytes.take(await combine(parts));
  } catch (cause) {
    throw inconsistent(cause);
  } finally {
    for (const part of parts) part.fill(0);
  }
  const recipient = await recipientOf(identity).catch(() => undefined);
  if (recipient === manifest.payload.recipient) return identity;
  identity.wipe();
  throw inconsistent();
}

export const tooFew = (count: number, threshold: number): KeysteadError =>
  new KeysteadError('backup.too-few-shares', { field: 'shares', seen: `${count} of ${threshold}` });
