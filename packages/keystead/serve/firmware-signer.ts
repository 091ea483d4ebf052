import { KeysteadError } from '@keystead/core/errors';
import type { KeydClient } from '../keyd-client/index.ts';
import type { FirmwareSigner } from '../signing/index.ts';

/** keyd as firmware signing asks it. */
export const firmwareSigner = (_keyd: KeydClient): FirmwareSigner => ({
  signFirmware: async () => {
    throw new KeysteadError('keyd.unreachable', { field: 'signFirmware', seen: 'a keyd that signs no firmware yet' });
  },
});
