import { writeFileSync } from 'node:fs';

/**
 * core(5): with no kind of mapping chosen, a core dump of this process, and of those that it starts, holds none of
 * its memory, and so no secret. Node.js cannot set RLIMIT_CORE or PR_SET_DUMPABLE; a systemd unit sets LimitCORE=0
 * as well. @returns whether the system has it.
 */
export function emptyCoreDumps(): boolean {
  try {
    writeFileSync('/proc/self/coredump_filter', '0');
    return true;
  } catch {
    return false;
  }
}
