import { dirname } from 'node:path';
import { randomBytes } from '@keystead/core/crypto';
import type { Disk } from './disk.ts';

/**
 * Writes random bytes over the whole file in place, makes that durable, then removes the file.
 *
 * What this does not promise: on flash (eMMC, SD, SSD) the controller writes the new bytes elsewhere and keeps
 * the old cells until it cleans them; copy-on-write and journalling file systems and snapshots do the like. What
 * may be left there is sealed by the device secret, so the keys are gone for certain only when the TPM or
 * secure element destroys that secret as well (NIST SP 800-88r1: cryptographic erase).
 */
export function eraseFile(disk: Disk, path: string): number {
  const length = disk.read(path)?.length;
  if (length === undefined) return 0;
  const file = disk.openOver(path);
  try {
    disk.write(file, randomBytes(length));
    disk.sync(file);
  } finally {
    disk.close(file);
  }
  disk.unlink(path);
  disk.syncDirectory(dirname(path));
  return length;
}
