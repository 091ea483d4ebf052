import { KeysteadError } from '@keystead/core/errors';

/** What a full disk is told as; anything else goes on as it is. */
export function mapDiskError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error;
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'SQLITE_FULL') {
    return new KeysteadError('backup.disk-full', { field: path, seen: error.code, cause: error });
  }
  if (error.code === 'ENOENT' || error.code === 'EACCES' || error.code === 'EISDIR') {
    return new KeysteadError('backup.unreadable', { field: path, seen: error.code, cause: error });
  }
  return error;
}

/** Whether an error says that there is no such file. */
export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';
