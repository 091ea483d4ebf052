import type { SecretBytes } from '@keystead/core/crypto';
import { type Command, InvalidArgumentError } from 'commander';
import { readPassphrase } from '../keystore/index.ts';

/** Takes the value of the TPM's owner, where one was set and no storage root stands at 0x81000001. */
export const ownerAuthOption = (command: Command): Command =>
  command.option(
    '--owner-auth-fd <n>',
    "file descriptor with the owner's authorization value, where the TPM has one",
    descriptor,
  );

/** The value, which the caller wipes; undefined where none was given. @throws KeysteadError `passphrase.*`. */
export const ownerAuthOf = async (flags: { ownerAuthFd?: number }): Promise<SecretBytes | undefined> =>
  flags.ownerAuthFd === undefined ? undefined : await readPassphrase({ fd: flags.ownerAuthFd });

function descriptor(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('A whole number.');
  return Number(text);
}
