import { spawn } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { SSH_NAMESPACE } from '@keystead/core/lifecycle';

/** The label of OpenSSH's armour (PROTOCOL.sshsig). */
export const SSH_SIGNATURE = 'SSH SIGNATURE';

/**
 * Has OpenSSH sign: it finds the key, asks for its passphrase or PIN on the terminal, and for the touch. Nothing of the
 * key comes here.
 * @param keyFile a private key, or the public half of one that the agent holds; `~/` is the home directory, which no shell
 *   puts there behind `ssh:`.
 * @returns the SSHSIG blob, without its armour.
 * @throws KeysteadError `approval.signer-failed`.
 */
export async function signWithSsh(keyFile: string, data: Uint8Array): Promise<Uint8Array> {
  const file = keyFile.startsWith('~/') ? join(homedir(), keyFile.slice(2)) : keyFile;
  const { code, stdout } = await run(['-Y', 'sign', '-n', SSH_NAMESPACE, '-f', file], data);
  const [blob] = code === 0 ? fromPem(SSH_SIGNATURE, stdout) : [];
  if (blob !== undefined) return blob;
  throw new KeysteadError('approval.signer-failed', { field: `ssh:${keyFile}`, seen: `exit status ${code}` });
}

/** Its words to people go to the terminal as they are. */
function run(args: readonly string[], input: Uint8Array): Promise<{ code: number; stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('ssh-keygen', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const pieces: Buffer[] = [];
    child.on('error', (cause) => {
      reject(new KeysteadError('approval.signer-failed', { field: 'ssh-keygen', seen: 'it does not start', cause }));
    });
    child.stdout.on('data', (piece: Buffer) => pieces.push(piece));
    child.on('close', (code) => resolve({ code: code ?? -1, stdout: Buffer.concat(pieces).toString('latin1') }));
    // One that ends before it has read everything says why itself.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
