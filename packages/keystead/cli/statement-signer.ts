import { existsSync, readFileSync } from 'node:fs';
import { fromPem } from '@keystead/core/bytes';
import { encodeAssertion, readAssertionJson, readSshSigBlob, type Signer, verifySshSig } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type SignatureKind, SSH_NAMESPACE, type StatementSigner } from '@keystead/core/lifecycle';
import { type Command, Option } from 'commander';
import { durableWrite } from '../files/durable.ts';
import { BytesWritten } from './bytes-written.ts';
import { SSH_SIGNATURE, signWithSsh } from './ssh-signer.ts';
import { signWithToken } from './token-signer.ts';

/** By which key a statement is signed, where it is not the one in the data directory. */
export interface SignWithOptions {
  signWith?: string;
  pinFd?: string;
  bytesOut?: string;
  signatureIn?: string;
}

const SIGN_WITH_HELP = `
--sign-with ssh:FILE       ssh-keygen signs: a private key, also of a security key, or the .pub file of one in the agent
--sign-with pkcs11:URI     a token (RFC 7512): 'pkcs11:token=Ada;object=approval?module-path=/usr/lib/opensc-pkcs11.so'`;

/** Adds the option that says which of a person's keys signs. */
export const signWithOptions = (command: Command): Command =>
  command
    .option('--sign-with <key>', 'sign with a security key, an SSH key or a token: ssh:FILE or pkcs11:URI')
    .option('--pin-fd <n>', "read the token's PIN from this file descriptor")
    .addHelpText('after', SIGN_WITH_HELP);

/** The same, and the two steps for a machine that has the key and no Keystead. */
export const elsewhereOptions = (command: Command): Command =>
  signWithOptions(command)
    .addOption(
      new Option('--bytes-out <file>', 'write the bytes to be signed elsewhere, and stop').conflicts([
        'signWith',
        'signatureIn',
      ]),
    )
    .addOption(
      new Option(
        '--signature-in <file.sig>',
        'take the signature of the bytes in FILE, which were written before',
      ).conflicts('signWith'),
    )
    .addHelpText(
      'after',
      `
In two steps, the second with the same words as the first:
  $ keystead ... --bytes-out statement
  $ ssh-keygen -Y sign -n ${SSH_NAMESPACE} -f ~/.ssh/id_ed25519_sk statement
  $ keystead ... --signature-in statement.sig`,
    );

/**
 * Who signs, as the options say. What takes a PIN, a touch or a passphrase is asked for when there is something to sign.
 * @param own the operator's key as the command finds it, unless the options name another.
 * @throws KeysteadError `approval.signature-unreadable`; when it signs `approval.signer-failed`, `keystore.*` and as `own`
 *   does. @throws BytesWritten when it signs with `--bytes-out`.
 */
export function statementSigner(options: SignWithOptions, own: () => Signer | Promise<Signer>): StatementSigner {
  const { signWith, bytesOut, signatureIn } = options;
  if (bytesOut !== undefined) return { sign: (data) => Promise.reject(writtenOut(bytesOut, data)) };
  if (signatureIn !== undefined) return signedElsewhere(signatureIn);
  if (signWith === undefined) return { sign: async (data) => (await own()).sign(data) };
  const [, scheme, rest = ''] = /^(ssh|pkcs11):(.+)$/s.exec(signWith) ?? [];
  if (scheme === 'ssh') return { by: 'ssh', sign: (data) => signWithSsh(rest, data) };
  if (scheme === 'pkcs11') return { by: 'pkcs11', sign: (data) => signWithToken(signWith, options.pinFd, data) };
  throw new KeysteadError('approval.signer-failed', { field: '--sign-with', seen: 'neither ssh: nor pkcs11:' });
}

function writtenOut(path: string, data: Uint8Array): BytesWritten {
  if (existsSync(path)) throw new KeysteadError('ticket.file-exists', { field: '--bytes-out', seen: path });
  durableWrite(path, data, 0o644);
  return new BytesWritten(
    path,
    `nobody has signed yet: the ${data.length} bytes are in ${path}\n` +
      `where the key is:  ssh-keygen -Y sign -n ${SSH_NAMESPACE} -f KEY ${path}\n` +
      `then repeat this command with --signature-in ${path}.sig instead of --bytes-out\n`,
  );
}

/** Above any statement, an SSHSIG of RSA-4096 in its armour, and what a browser answers. */
const MOST_BYTES = 32_768;

/** A signature that was made elsewhere, of bytes that were written before: they lie beside it, without `.sig`. */
function signedElsewhere(path: string): StatementSigner {
  if (!path.endsWith('.sig')) throw unreadable(path, "a name that does not end with '.sig'");
  const earlier = read(path.slice(0, -'.sig'.length));
  const { by, signature } = signatureOf(path, read(path));
  if (by === 'ssh') requireSshSignature(path, signature, earlier);
  return {
    by,
    earlier,
    // The document composes what it signs from `earlier`, and asks for the signature of nothing else.
    sign: async (data) => {
      if (Buffer.compare(data, earlier) === 0) return signature;
      throw new KeysteadError('approval.bytes-differ', { field: path, seen: 'a signature of other bytes' });
    },
  };
}

/** What OpenSSH writes, what a browser answers (`PublicKeyCredential.toJSON()`), or a bare signature by a token. */
function signatureOf(path: string, bytes: Uint8Array): { by: SignatureKind; signature: Uint8Array } {
  const text = Buffer.from(bytes).toString('latin1');
  if (text.startsWith('-----BEGIN ')) {
    const blob = sshBlob(text);
    if (blob !== undefined) return { by: 'ssh', signature: blob };
    throw unreadable(path, 'no SSH signature');
  }
  if (text.trimStart().startsWith('{')) return { by: 'webauthn', signature: encodeAssertion(readAssertionJson(text)) };
  return { by: 'pkcs11', signature: bytes };
}

/** Whose it is, the policy says; that it is one of these bytes can be told here, before anything is written. */
function requireSshSignature(path: string, blob: Uint8Array, data: Uint8Array): void {
  const verdict = verifySshSig(readSshSigBlob(blob), SSH_NAMESPACE, data);
  if (verdict.verdict === 'valid') return;
  throw new KeysteadError('approval.ssh-refused', { field: path, seen: verdict.why });
}

function sshBlob(text: string): Uint8Array | undefined {
  try {
    const [blob, second] = fromPem(SSH_SIGNATURE, text);
    return second === undefined ? blob : undefined;
  } catch {
    return undefined;
  }
}

function read(path: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(readFileSync(path));
  } catch (cause) {
    throw unreadable(path, 'no readable file', cause);
  }
  if (bytes.length <= MOST_BYTES) return bytes;
  throw unreadable(path, `${bytes.length} bytes of at most ${MOST_BYTES}`);
}

const unreadable = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('approval.signature-unreadable', { field, seen, cause });
