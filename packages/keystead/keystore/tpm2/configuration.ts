import { DEFAULT_ADDRESS } from '@keystead/tpm2';
import { z } from 'zod';

/** Keys in a TPM 2.0, as `keystore.json` names them. */
export const Tpm2Schema = z.strictObject({
  version: z.literal(1),
  make: z.literal('tpm2'),
  /** The file of wrapped keys. */
  path: z.string().min(1).default('keystore.tpm2'),
  /** `device:/dev/tpmrm0`, `unix:/path` or `tcp:host:port`. */
  tpm: z.string().min(1).default(DEFAULT_ADDRESS),
  /** A sealed file for keys of algorithms that a TPM does not have; without it such a key is refused. */
  sealed: z.string().min(1).optional(),
});

export type Tpm2KeystoreConfig = z.infer<typeof Tpm2Schema>;
