import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { durableDirectory } from '../../files/durable.ts';
import { asOwnerOf } from '../../host/as-owner.ts';
import { becomeSole } from '../../keyd/single.ts';

/** Beside `metadata` and `targets`. It holds sockets and nothing to read. */
const LOCK = '.publisher';

/**
 * Does something as the one publisher of a repository on this machine. Whoever is killed leaves the place free. Two that
 * publish over a shared file system from two machines do not see each other.
 * @throws KeysteadError `tuf.publisher-busy`; what `act` throws.
 */
export async function asSolePublisher<T>(dir: string, act: () => Promise<T>): Promise<T> {
  const lock = join(dir, LOCK);
  // Whose the repository is must be able to use it, also where root was the first to publish.
  await asOwnerOf(dir, () => durableDirectory(lock, 0o755));
  const right = await becomeSole(lock).catch((cause: unknown) => {
    if (!(cause instanceof KeysteadError)) throw cause;
    throw new KeysteadError('tuf.publisher-busy', { field: dir, cause });
  });
  try {
    return await act();
  } finally {
    right.release();
  }
}
