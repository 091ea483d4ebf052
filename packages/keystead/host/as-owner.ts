import { statSync } from 'node:fs';

/**
 * Runs `work` with the effective user and group that own `dir`, when root runs this program and the directory is
 * another's; then it is root again. What it makes belongs to the owner from the first moment, and nothing in another
 * user's directory has to be given away by its name afterwards, where that user could have put something else.
 * For commands that do one thing at a time: whatever else the process does meanwhile is done as the owner too.
 * @throws what `work` throws; Error when the user cannot be taken or given back, which ends the command.
 */
export async function asOwnerOf<T>(dir: string, work: () => T | Promise<T>): Promise<T> {
  const { setegid, seteuid, geteuid, getegid } = process;
  if (setegid === undefined || seteuid === undefined || geteuid?.() !== 0) return work();
  const { uid, gid } = statSync(dir);
  if (uid === 0) return work();
  const group = getegid?.() ?? 0;
  setegid.call(process, gid);
  try {
    seteuid.call(process, uid);
    return await work();
  } finally {
    seteuid.call(process, 0);
    setegid.call(process, group);
  }
}
