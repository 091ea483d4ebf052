import { existsSync, readFileSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import type { StatementSigner } from '@keystead/core/lifecycle';
import { Command } from 'commander';
import { durableWrite } from '../files/durable.ts';
import { type OfflineSignerOptions, offlineSigner } from './offline-signer.ts';
import { elsewhereOptions, type SignWithOptions, statementSigner } from './statement-signer.ts';

/** A kind of file that several people sign, each where their key is. */
export interface QuorumFile {
  /** What people call it, with its article. */
  readonly what: string;
  readonly example: string;
  sign(text: string, signerName: string, signer: StatementSigner): Promise<string>;
  join(texts: readonly string[]): string;
  /** What it says and who has signed, for people who are to sign it. */
  show(text: string): string;
}

interface SignOptions extends OfflineSignerOptions, SignWithOptions {
  out?: string;
}

/** `sign`: adds the signature of one person to a file, offline. */
export const signCommand = ({ what, example, sign, show }: Omit<QuorumFile, 'join'>, name: string): Command =>
  elsewhereOptions(new Command('sign'))
    .description(`sign ${what} with your own key, offline; the file gets the signature, or --out a copy of it`)
    .argument('<file>', 'the file')
    .requiredOption('--as <operator>', 'who signs: a name of the policy in force')
    .option('--data <dir>', 'data directory, where the key is unless --key names it', './keystead-data')
    .option('--key <file>', 'encrypted PKCS#8 PEM; the key in the data directory unless told')
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor")
    .option('--out <file>', 'write the signed copy here and leave the file as it is')
    .addHelpText('after', `\nExample:\n  $ keystead ${name} sign ${example} --as pki`)
    .action(async (path: string, options: SignOptions) => {
      const text = readText(path);
      // What is signed is what was shown: it is read once.
      process.stdout.write(show(text));
      const signer = statementSigner(options, () => offlineSigner(options));
      const signed = await sign(text, options.as, signer);
      durableWrite(options.out ?? path, signed, 0o644);
      process.stdout.write(`${options.as} signed; it is in ${options.out ?? path}\n`);
    });

/** `join`: makes one file of copies that were signed apart. */
export const joinCommand = ({ what, example, join, show }: Omit<QuorumFile, 'sign'>, name: string): Command =>
  new Command('join')
    .description(`join copies of ${what} that were signed apart`)
    .argument('<file...>', 'the copies')
    .requiredOption('--out <file>', 'write the joined file here')
    .addHelpText('after', `\nExample:\n  $ keystead ${name} join from-ada.json from-bob.json --out ${example}`)
    .action((paths: string[], { out }: { out: string }) => {
      const joined = join(paths.map(readText));
      durableWrite(out, joined, 0o644);
      process.stdout.write(`${show(joined)}it is in ${out}\n`);
    });

/** Writes a draft; one that is there already is somebody's. @throws KeysteadError `ticket.file-exists`. */
export function writeDraft(path: string, text: string): void {
  if (existsSync(path)) throw new KeysteadError('ticket.file-exists', { field: '--out', seen: path });
  durableWrite(path, text, 0o644);
}

/** @throws KeysteadError `config.missing`. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysteadError('config.missing', { field: path, seen: 'no readable file', cause });
  }
}
