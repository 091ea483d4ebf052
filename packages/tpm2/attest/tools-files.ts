import { join, sized, u32 } from '../wire/writer.ts';
import type { Credential } from './credential.ts';

/*
 * The files that tpm2-tools 5 read and write, so that a device without Keystead's agent can be provisioned with them.
 */

/** Before what `tpm2_makecredential` writes (tpm2-tools lib/files.c). */
const MAGIC = 0xbadcc0de;
const VERSION = 1;

/** A credential for `tpm2_activatecredential -i`: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET. */
export const formatCredentialFile = ({ idObject, encryptedSecret }: Credential): Uint8Array =>
  join(u32(MAGIC), u32(VERSION), sized(idObject), sized(encryptedSecret));

/** TPMT_PUBLIC of what `tpm2_readpublic -f tss` wrote: TPM2B_PUBLIC, or the public area alone, which is given back as it is. */
export function publicOfFile(bytes: Uint8Array): Uint8Array {
  const length = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
  return length === bytes.length - 2 ? bytes.subarray(2) : bytes;
}
