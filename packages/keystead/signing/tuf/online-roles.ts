import type { Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  envelopeBytes,
  nextSnapshot,
  nextTimestamp,
  requireThreshold,
  type StatusPolicy,
  signedBytes,
  type TufEnvelope,
  type TufRoot,
  type TufSnapshot,
  type TufTimestamp,
  tufKeyId,
  tufKeyOf,
  tufSubject,
  withSignature,
} from '@keystead/core/firmware';

/** What shall be in force. */
export interface StatusAsked {
  /** The root in force, and all there have been, as they are published. */
  readonly root: TufRoot;
  readonly roots: readonly Uint8Array[];
  /** As they are published. */
  readonly targets: Uint8Array;
  /** What is in force now. */
  readonly last:
    | { readonly snapshot: TufEnvelope<TufSnapshot>; readonly timestamp: TufEnvelope<TufTimestamp> }
    | undefined;
  /** The snapshot in force as it is published. */
  readonly lastSnapshot: Uint8Array | undefined;
  readonly now: Date;
}

/** Who signs snapshot and timestamp: keyd, or whoever has the key in a file. */
export interface OnlineRoles {
  /** Both as they are to be published. @throws KeysteadError `firmware.*`, `tuf.*` with what is wrong. */
  status(asked: StatusAsked): Promise<{ readonly snapshot: Uint8Array; readonly timestamp: Uint8Array }>;
}

/** The online roles by a key that is at hand. Run it where nothing else runs: keyd judges by itself, this does not. */
export function ownOnlineKey(online: Signer, policy: StatusPolicy): OnlineRoles {
  return {
    async status({ root, targets, last, lastSnapshot, now }) {
      const until = new Date(now.getTime() + policy.timestampSeconds * 1000);
      const made = nextSnapshot(root, targets, last?.snapshot, policy, now, { until });
      const snapshot = made === undefined ? lastSnapshot : await signStatus(made, root, online);
      if (snapshot === undefined)
        throw new KeysteadError('firmware.tuf-repository', { field: 'snapshot', seen: 'none yet' });
      const timestamp = nextTimestamp(root, snapshot, last?.timestamp.signed, policy, now);
      return { snapshot, timestamp: await signStatus(timestamp, root, online) };
    },
  };
}

/** @throws KeysteadError `firmware.tuf-threshold` where the key is not the role's. */
async function signStatus(signed: TufSnapshot | TufTimestamp, root: TufRoot, online: Signer): Promise<Uint8Array> {
  const subject = tufSubject(signed);
  const signature = await online.sign(signedBytes(subject));
  const envelope = withSignature({ signed, subject, signatures: [] }, tufKeyId(tufKeyOf(online.spki)), signature);
  requireThreshold(envelope, root, signed._type);
  return envelopeBytes(envelope);
}
