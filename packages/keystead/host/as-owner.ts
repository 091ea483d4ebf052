import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Runs `work` with the effective user and group that own `dir`, when root runs this program and the directory is
 * another's; then it is root again. What it makes belongs to the owner from the first moment, and nothing in another
 * user's directory has to be given away by its name afterwards, where that user could have put something else. The
 * group of the directory above is the one by which the owner passes through it (docs/keyd.md), so it has that too.
 * For commands that do one thing at a time: whatever else the process does meanwhile is done as the owner too.
 * @throws what `work` throws; Error when the user cannot be taken or given back, which ends the command.
 */
export async function asOwnerOf<T>(dir: string, work: () => T | Promise<T>): Promise<T> {
  const { setegid, seteuid, geteuid, getegid, setgroups, getgroups } = process;
  if (setegid === undefined || seteuid === undefined || setgroups === undefined || geteuid?.() !== 0) return work();
  const { uid, gid } = statSync(dir);
  if (uid === 0) return work();
  const above = statSync(dirname(resolve(dir))).gid;
  const before = { group: getegid?.() ?? 0, groups: getgroups?.() ?? [] };
  setgroups.call(process, above === 0 ? [] : [above]);
  try {
    setegid.call(process, gid);
    seteuid.call(process, uid);
    return await work();
  } finally {
    seteuid.call(process, 0);
    setegid.call(process, before.group);
    setgroups.call(process, before.groups);
  }
}
