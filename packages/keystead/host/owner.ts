import { statSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';

/**
 * Makes a process that root started the user and group that own `dir`, for good: a service belongs to whoever its
 * directory belongs to. `shared` is a directory whose group it is in besides, and so it is in `groups`. Nothing is done when root did not start
 * it, or when the directory is root's own.
 *
 * It is done here and not before the program starts, because the kernel takes away, with the credentials, that a
 * process may be traced or dumped (PR_SET_DUMPABLE, prctl(2)), and gives that back when a program starts. REQ-KEY-STO-03
 * @throws KeysteadError `service.user-unsound` for a directory of the group root; when root could be had again.
 */
export function becomeOwnerOf(dir: string, shared: string, groups: readonly number[] = []): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dir);
  if (uid === 0) return;
  const group = statSync(shared).gid;
  if (gid === 0) throw new KeysteadError('service.user-unsound', { field: dir, seen: `user ${uid}, group root` });
  process.setgroups?.([group, ...groups].filter((one) => one !== 0));
  process.setgid?.(gid);
  process.setuid?.(uid);
  if (process.getuid() !== uid || canBecomeRoot()) {
    throw new KeysteadError('service.user-unsound', { field: dir, seen: `a process that did not become user ${uid}` });
  }
}

function canBecomeRoot(): boolean {
  try {
    process.setuid?.(0);
    return true;
  } catch {
    return false;
  }
}
