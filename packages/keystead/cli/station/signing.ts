import { toHex } from '@keystead/core/bytes';
import { randomBytes, type SecretBytes, type Signer, softwareSigner } from '@keystead/core/crypto';
import { signSignOn } from '@keystead/core/lifecycle';
import type { Command } from 'commander';
import { type PassphraseSource, readPassphrase, readSealedPkcs8Pem } from '../../keystore/index.ts';
import { duration } from '../duration.ts';

export interface OperatorKeyOptions {
  operator?: string;
  operatorKey?: string;
  passphraseFd?: string;
  passphraseFile?: string;
  line: string;
  for: number;
}

/** Adds the options by which somebody signs on with their own key. */
export const signOnOptions = (command: Command): Command =>
  command
    .requiredOption('--line <line>', 'the line that the station stands at')
    .option('--operator <name>', 'who signs on, as the policy names them')
    .option('--operator-key <file>', "that person's own key, encrypted PKCS#8, PEM")
    .option('--passphrase-fd <n>', 'its passphrase from this file descriptor; without it, it is asked for')
    .option('--passphrase-file <file>', 'the same from a file that only this user may read')
    .option('--for <time>', 'how long to be signed on, for example 8h, 30m; at most what the policy lets', duration);

const sourceOf = ({ passphraseFd, passphraseFile }: OperatorKeyOptions): PassphraseSource => {
  if (passphraseFd !== undefined) return { fd: Number(passphraseFd) };
  return passphraseFile === undefined ? { prompt: true } : { file: passphraseFile };
};

/** The person's own signer; the passphrase and the key are wiped but for what OpenSSL holds. */
async function signerOf(path: string, options: OperatorKeyOptions): Promise<Signer> {
  using passphrase: SecretBytes = await readPassphrase(sourceOf(options));
  const { algorithm, pkcs8 } = readSealedPkcs8Pem(path, passphrase);
  try {
    return softwareSigner(algorithm, pkcs8);
  } finally {
    pkcs8.wipe();
  }
}

/**
 * A sign-on from now on, signed by the operator. @throws KeysteadError `passphrase.*`, `key.not-opened`, `sign-on.*`.
 */
export async function makeSignOn(
  options: OperatorKeyOptions & { operator: string; operatorKey: string },
  place: { readonly station: string; readonly factory: string; readonly maxSignOnSeconds: number },
  now: Date,
): Promise<string> {
  const signer = await signerOf(options.operatorKey, options);
  const begin = Math.floor(now.getTime() / 1000) * 1000;
  const second = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
  return signSignOn(
    {
      id: toHex(randomBytes(16)),
      factory: place.factory,
      station: place.station,
      line: options.line,
      notBefore: second(begin),
      notAfter: second(begin + (options.for ?? place.maxSignOnSeconds) * 1000),
    },
    options.operator,
    signer,
  );
}
