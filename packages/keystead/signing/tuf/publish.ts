import { dirname, join } from 'node:path';
import { sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  fileOf,
  readRole,
  requireNextRoot,
  requireThreshold,
  requireUnexpired,
  type TufRoot,
  type TufSnapshot,
  type TufTargets,
  type TufTimestamp,
} from '@keystead/core/firmware';
import { durableDirectory, removeUnfinished } from '../../files/durable.ts';
import { StagedFile } from '../../files/staged.ts';
import type { OnlineRoles } from './online-roles.ts';
import type { TufRepository } from './repository.ts';

const MODE = 0o644;

/** What goes out, and by which key. */
export interface Publication {
  /** The next root, signed. */
  readonly root?: Uint8Array;
  /** The next targets, signed. */
  readonly targets?: Uint8Array;
  /** Where the files of new targets lie, by their paths. */
  readonly files?: string;
  /** Who signs snapshot and timestamp. */
  readonly online: OnlineRoles;
  readonly now: Date;
}

/** What is in force after a publication. */
export interface Versions {
  readonly root: number;
  readonly targets: number;
  readonly snapshot: number;
  readonly timestamp: number;
  /** ISO 8601; clients refuse everything after it. */
  readonly until: string;
  /** When the timestamp alone ends, which is renewed. */
  readonly timestampUntil: string;
  /** When the first of those ends that people sign: the root or the targets. */
  readonly peopleUntil: string;
}

/** Begins a repository with its first root. @throws KeysteadError `firmware.*`; nothing is written then. */
export function beginRepository(repository: TufRepository, root: Uint8Array, now: Date): void {
  const first = readRole('root', root);
  requireNextRoot(undefined, first);
  requireUnexpired(first.signed, now);
  repository.prepare();
  repository.write('root', 1, root);
}

/**
 * Publishes: everything is verified and signed before anything is written, files and metadata that nobody looks for yet
 * come first, and the timestamp, which puts them in force, last. After a kill the same publication can be made again. One
 * publisher at a time: another one is refused.
 * @throws KeysteadError `firmware.*`, `tuf.publisher-busy` with what is wrong; what was in force is in force then. Error of
 *   node:fs.
 */
export async function publish(repository: TufRepository, publication: Publication): Promise<Versions> {
  // A directory without a root is no repository, and nothing is left in it.
  repository.root();
  return repository.alone(() => publishAlone(repository, publication));
}

async function publishAlone(repository: TufRepository, publication: Publication): Promise<Versions> {
  const { online, now } = publication;
  const root = nextRootOf(repository, publication);
  const last = repository.inForce();
  const targetBytes = publication.targets ?? last?.targets.bytes;
  if (targetBytes === undefined)
    throw new KeysteadError('firmware.tuf-repository', { field: 'targets', seen: 'none yet' });
  const targets = readRole('targets', targetBytes).signed;
  const roots = [...repository.roots(), ...(publication.root === undefined ? [] : [publication.root])];
  const signed = await online.status({
    ...{ root, roots, now, last, targets: targetBytes },
    lastSnapshot: last?.snapshot.bytes,
  });
  const { snapshot, timestamp } = requireStatus(root, signed, targetBytes, last);

  await putTargets(repository, targets, last?.targets.signed, publication.files);
  repository.write('targets', targets.version, targetBytes);
  repository.write('snapshot', snapshot.version, signed.snapshot);
  if (publication.root !== undefined) repository.write('root', root.version, publication.root);
  repository.write('timestamp', timestamp.version, signed.timestamp);
  return {
    root: root.version,
    targets: targets.version,
    snapshot: snapshot.version,
    timestamp: timestamp.version,
    until: firstEnd(root, targets, snapshot, timestamp),
    timestampUntil: timestamp.expires,
    peopleUntil: firstEnd(root, targets),
  };
}

const firstEnd = (...signed: readonly { readonly expires: string }[]): string =>
  signed.map(({ expires }) => expires).reduce((a, b) => (a < b ? a : b));

/** The root that will be in force. The same root once more is no fault: a kill may have come after it was written. */
function nextRootOf(repository: TufRepository, { root: bytes, now }: Publication): TufRoot {
  const current = repository.root();
  if (bytes === undefined) return current;
  const next = readRole('root', bytes);
  if (next.signed.version === current.version) {
    repository.write('root', current.version, bytes);
    return current;
  }
  requireNextRoot(current, next);
  requireUnexpired(next.signed, now);
  return next.signed;
}

/**
 * What was signed must be of what is published, and no older: a service that errs, or lies, puts nothing in force by which
 * clients stop.
 * @throws KeysteadError `firmware.malformed`, `firmware.tuf-threshold`, `firmware.tuf-version`.
 */
function requireStatus(
  root: TufRoot,
  signed: Awaited<ReturnType<OnlineRoles['status']>>,
  targets: Uint8Array,
  last: ReturnType<TufRepository['inForce']>,
): { snapshot: TufSnapshot; timestamp: TufTimestamp } {
  const [snapshot, timestamp] = [readRole('snapshot', signed.snapshot), readRole('timestamp', signed.timestamp)];
  requireThreshold(snapshot, root, 'snapshot');
  requireThreshold(timestamp, root, 'timestamp');
  const hash = (bytes: Uint8Array): string => fileOf(1, bytes).hashes.sha256;
  if (snapshot.signed.meta['targets.json'].hashes.sha256 !== hash(targets))
    throw new KeysteadError('firmware.tuf-version', { field: 'snapshot', seen: 'signed for other targets' });
  if (timestamp.signed.meta['snapshot.json'].hashes.sha256 !== hash(signed.snapshot))
    throw new KeysteadError('firmware.tuf-version', { field: 'timestamp', seen: 'signed for another snapshot' });
  for (const [role, next] of [
    ['snapshot', snapshot],
    ['timestamp', timestamp],
  ] as const) {
    const before = last?.[role];
    if (before === undefined || next.signed.version > before.signed.version) continue;
    if (next.signed.version === before.signed.version && sameBytes(next.subject, before.subject)) continue;
    const seen = `${next.signed.version}, where ${before.signed.version} is published`;
    throw new KeysteadError('firmware.tuf-version', { field: role, seen });
  }
  return { snapshot: snapshot.signed, timestamp: timestamp.signed };
}

/** Copies the files of targets that are new, each held against its length and hash before it is in place. */
async function putTargets(
  repository: TufRepository,
  { targets }: TufTargets,
  before: TufTargets | undefined,
  files: string | undefined,
): Promise<void> {
  for (const [path, target] of Object.entries(targets)) {
    if (before?.targets[path]?.hashes.sha256 === target.hashes.sha256) continue;
    if (await repository.holds(path, target)) continue;
    if (files === undefined) throw new KeysteadError('firmware.tuf-target', { field: path, seen: 'no file' });
    const to = repository.targetPath(path, target);
    durableDirectory(dirname(to), 0o755);
    removeUnfinished(to);
    let staged: StagedFile;
    try {
      staged = await StagedFile.copy(join(files, path), to, { mode: MODE });
    } catch (cause) {
      throw new KeysteadError('firmware.tuf-target', { field: path, seen: 'no readable file', cause });
    }
    if (staged.sha256 !== target.hashes.sha256 || staged.bytes !== target.length) {
      staged.discard();
      throw new KeysteadError('firmware.tuf-target', {
        field: path,
        seen: `${staged.bytes} octets, SHA-256 ${staged.sha256}`,
      });
    }
    staged.put();
  }
}
