import type { DerSpki } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { requireThreshold, type TufEnvelope } from './envelope.ts';
import { type TufKey, tufKeyId, tufKeyOf } from './key.ts';
import { readSigned, TUF_ROLES, type TufRole, type TufRoot, tufCommon } from './metadata.ts';

/** Whose keys a role has, and how many of them must sign. */
export interface RoleKeys {
  readonly keys: readonly DerSpki[];
  readonly threshold: number;
}

/**
 * Composes the root that follows `previous`, or the first one.
 * @throws KeysteadError `firmware.malformed`, `firmware.key-unsuitable`, `firmware.tuf-expired`.
 */
export function proposeRoot(
  previous: TufRoot | undefined,
  roles: Readonly<Record<TufRole, RoleKeys>>,
  { expires, now }: { readonly expires: Date; readonly now: Date },
): TufRoot {
  const keys: Record<string, TufKey> = {};
  const roleOf = ({ keys: spkis, threshold }: RoleKeys): { keyids: string[]; threshold: number } => {
    const keyids = spkis.map((spki) => {
      const key = tufKeyOf(spki);
      const id = tufKeyId(key);
      keys[id] = key;
      return id;
    });
    return { keyids, threshold };
  };
  const [root, targets, snapshot, timestamp] = TUF_ROLES.map((role) => roleOf(roles[role]));
  const next = readSigned({
    _type: 'root',
    ...tufCommon((previous?.version ?? 0) + 1, expires),
    consistent_snapshot: true,
    keys,
    roles: { root, targets, snapshot, timestamp },
  }) as TufRoot;
  requireUnexpired(next, now);
  return next;
}

/**
 * Whether `next` may follow `previous`: the very next version, signed by the thresholds of both (TUF 1.0 sections 5.3.4
 * and 5.3.5). Without `previous` it is the first one, signed by its own. It may have expired: only the last of a chain
 * may not ({@link requireUnexpired}).
 * @throws KeysteadError `firmware.tuf-version`, `firmware.tuf-threshold`.
 */
export function requireNextRoot(previous: TufRoot | undefined, next: TufEnvelope<TufRoot>): void {
  const wanted = (previous?.version ?? 0) + 1;
  if (next.signed.version !== wanted) {
    throw new KeysteadError('firmware.tuf-version', { field: 'root', seen: `${next.signed.version}, not ${wanted}` });
  }
  requireThreshold(next, next.signed, 'root');
  if (previous !== undefined) requireThreshold(next, previous, 'root');
}

/** @throws KeysteadError `firmware.tuf-expired`. */
export function requireUnexpired({ _type, expires }: { _type: TufRole; expires: string }, now: Date): void {
  if (Date.parse(expires) > now.getTime()) return;
  throw new KeysteadError('firmware.tuf-expired', { field: _type, seen: `${expires}, and it is ${now.toISOString()}` });
}
