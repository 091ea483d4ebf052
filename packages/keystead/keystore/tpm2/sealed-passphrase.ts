import { existsSync, readFileSync } from 'node:fs';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  DEFAULT_PCRS,
  formatSealedSecret,
  type PcrSelection,
  parseSealedSecret,
  type SealedSecret,
  sealSecret,
  Tpm,
  unsealSecret,
} from '@keystead/tpm2';
import { durableWrite } from '../../files/durable.ts';

/** A file in which a TPM has sealed a passphrase, and where that TPM is. */
export interface SealedPassphrase {
  readonly path: string;
  /** Address of the TPM; the kernel's resource manager unless told. */
  readonly tpm?: string;
  /** The owner's authorization value, where one was set and no storage root is persistent; stays with the caller. */
  readonly ownerAuth?: SecretBytes;
}

/**
 * Seals a passphrase to the values that the PCRs have now, tries that it opens again, and writes the file (mode 0600,
 * durable). The passphrase goes on being the custodians': the file only saves the machine from asking for it.
 * @param passphrase 1 to 128 bytes; stays with the caller.
 * @throws KeysteadError `tpm2.file-exists` (unless `replace`), `tpm2.secret-too-long`, `tpm2.pcr-selection`, `tpm2.*`.
 */
export async function writeSealedSecret(
  to: SealedPassphrase,
  passphrase: SecretBytes,
  clock: Clock,
  options: { readonly selection?: PcrSelection<SealedSecret['bank']>; readonly replace?: boolean } = {},
): Promise<SealedSecret> {
  if (existsSync(to.path) && options.replace !== true) {
    throw new KeysteadError('tpm2.file-exists', { field: to.path, remedy: 'say --replace to seal it again' });
  }
  await using tpm = await Tpm.open(to.tpm);
  const selection = options.selection ?? DEFAULT_PCRS;
  const owner = { ownerAuth: to.ownerAuth };
  const sealed = await tpm.use((channel) => sealSecret(channel, passphrase, { selection, now: clock.now(), ...owner }));
  // Before the file that still works is replaced.
  (await tpm.use((channel) => unsealSecret(channel, sealed, owner))).wipe();
  durableWrite(to.path, formatSealedSecret(sealed), 0o600);
  return sealed;
}

/** @throws KeysteadError `tpm2.file-missing`, `tpm2.file-damaged`. */
export function readSealedSecret(path: string): SealedSecret {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw new KeysteadError('tpm2.file-missing', { field: path, cause });
    }
    throw cause;
  }
  return parseSealedSecret(bytes);
}

/**
 * The passphrase, when machine and boot are the ones that it was sealed to.
 * @throws KeysteadError `tpm2.pcr-mismatch` naming the PCRs that differ, `tpm2.other-tpm`, `tpm2.file-*`, `tpm2.*`.
 */
export async function unsealPassphrase(from: SealedPassphrase): Promise<SecretBytes> {
  const sealed = readSealedSecret(from.path);
  await using tpm = await Tpm.open(from.tpm);
  return await tpm.use((channel) => unsealSecret(channel, sealed, { ownerAuth: from.ownerAuth }));
}
