import { existsSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import type { BackupTrust } from '../backup/index.ts';
import { certificateIn } from '../verify/trusted.ts';

/** The root's certificate in a file. @throws KeysteadError `backup.unreadable`. */
export function trustOf(path: string): BackupTrust {
  if (!existsSync(path)) {
    throw new KeysteadError('backup.unreadable', { field: 'root', seen: path, remedy: 'name the root with --root' });
  }
  return { root: certificateIn(path) };
}
