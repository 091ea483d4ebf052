import { toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readRole, requireThreshold, signersOf, type TufEnvelope } from './envelope.ts';
import {
  type TufFile,
  type TufRoot,
  type TufSnapshot,
  type TufTargets,
  type TufTimestamp,
  tufCommon,
} from './metadata.ts';
import { requireUnexpired } from './root.ts';

/** What an online key says of a repository: what is in force, and until when that may be believed. */
export interface StatusPolicy {
  /** Seconds that a snapshot is good for; it is made again when less than half of them is left. */
  readonly snapshotSeconds: number;
  /** Seconds that a timestamp is good for: the longest that somebody between can freeze a client. */
  readonly timestampSeconds: number;
}

/**
 * The snapshot that follows, of targets that are shown: their signatures are verified by `root`, their version never
 * falls, and one version never has two contents. `undefined` where the last one still holds.
 * @param targets the envelope, as it is published.
 * @param least of the next version, for whoever may have forgotten the newest; the last one does not hold then.
 * @param until when the timestamp ends that names it: a client that has a good timestamp refuses a snapshot that has ended.
 * @throws KeysteadError `firmware.malformed`, `firmware.tuf-threshold`, `firmware.tuf-expired`, `firmware.tuf-version`.
 */
export function nextSnapshot(
  root: TufRoot,
  targets: Uint8Array,
  last: TufEnvelope<TufSnapshot> | undefined,
  { snapshotSeconds }: StatusPolicy,
  now: Date,
  { least = 0, until = now }: { readonly least?: number; readonly until?: Date } = {},
): TufSnapshot | undefined {
  requireUnexpired(root, now);
  const envelope: TufEnvelope<TufTargets> = readRole('targets', targets);
  requireThreshold(envelope, root, 'targets');
  requireUnexpired(envelope.signed, now);
  const file = fileOf(envelope.signed.version, targets);
  const before = last?.signed.meta['targets.json'];
  if (before !== undefined) requireForward('targets', before, file);
  if (last !== undefined && before?.version === file.version && least === 0) {
    // A root that changed the online key leaves the last snapshot without its threshold.
    const signed = signersOf(last, root, 'snapshot').length >= root.roles.snapshot.threshold;
    const holds = Date.parse(last.signed.expires) >= until.getTime();
    if (signed && holds && isHalfFresh(last.signed, snapshotSeconds, now)) return undefined;
  }
  return {
    _type: 'snapshot',
    ...tufCommon(Math.max((last?.signed.version ?? 0) + 1, least), new Date(now.getTime() + snapshotSeconds * 1000)),
    meta: { 'targets.json': file },
  };
}

/**
 * The timestamp that follows, of a signed snapshot.
 * @param least as {@link nextSnapshot} takes it.
 * @throws KeysteadError `firmware.malformed`, `firmware.tuf-threshold`, `firmware.tuf-expired`, `firmware.tuf-version`.
 */
export function nextTimestamp(
  root: TufRoot,
  snapshot: Uint8Array,
  last: TufTimestamp | undefined,
  { timestampSeconds }: StatusPolicy,
  now: Date,
  least = 0,
): TufTimestamp {
  const envelope: TufEnvelope<TufSnapshot> = readRole('snapshot', snapshot);
  requireThreshold(envelope, root, 'snapshot');
  requireUnexpired(envelope.signed, now);
  const file = fileOf(envelope.signed.version, snapshot);
  if (last !== undefined) requireForward('snapshot', last.meta['snapshot.json'], file);
  return {
    _type: 'timestamp',
    ...tufCommon(Math.max((last?.version ?? 0) + 1, least), new Date(now.getTime() + timestampSeconds * 1000)),
    meta: { 'snapshot.json': file },
  };
}

/**
 * Whether metadata is good for at least half of the time that it may be, and for no longer than that: where the policy was
 * shortened, what was signed before does not hold.
 * @param seconds that it may be good for.
 */
export function isHalfFresh({ expires }: Pick<TufSnapshot, 'expires'>, seconds: number, now: Date): boolean {
  const left = Date.parse(expires) - now.getTime();
  return left * 2 >= seconds * 1000 && left <= seconds * 1000;
}

/** How metadata names other metadata, by the bytes that are published. */
export const fileOf = (version: number, bytes: Uint8Array): TufFile => ({
  version,
  length: bytes.length,
  hashes: { sha256: toHex(sha256(bytes)) },
});

function requireForward(field: string, before: TufFile, after: TufFile): void {
  const same = before.hashes.sha256 === after.hashes.sha256;
  if (after.version > before.version || (after.version === before.version && same)) return;
  const seen =
    after.version === before.version
      ? `${after.version} with another content`
      : `${after.version} after ${before.version}`;
  throw new KeysteadError('firmware.tuf-version', { field, seen });
}
