import { setTimeout as pause } from 'node:timers/promises';
import { KeysteadError } from '@keystead/core/errors';
import type { TokenDevice } from '../index.ts';

/** Resolves when a token that was put back works again: the pool rests a moment after a connection that failed. */
export async function worksAgain(device: TokenDevice): Promise<void> {
  for (let left = 40; ; left -= 1) {
    try {
      (await device.secret()).wipe();
      return;
    } catch (error) {
      if (left === 0 || !(error instanceof KeysteadError && error.code === 'keystore.token-absent')) throw error;
      await pause(100);
    }
  }
}
