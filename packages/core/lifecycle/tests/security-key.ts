import { createHash } from 'node:crypto';
import {
  ecdsaNumbers,
  ecPoint,
  ed25519Octets,
  generateSoftwareKey,
  type SshPublicKey,
  softwareSigner,
  sshMpint,
  sshSigSubject,
  sshString,
} from '../../crypto/index.ts';
import type { StatementSigner } from '../index.ts';

const SHA512 = (bytes: Uint8Array): Uint8Array => createHash('sha512').update(bytes).digest();
const SHA256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const uint32 = (value: number): Uint8Array => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value]);

export const UP = 0x01;
export const UV = 0x04;

/**
 * A security key in software, after OpenSSH's PROTOCOL.u2f and PROTOCOL.sshsig: ssh-keygen makes such signatures with the
 * hardware at hand only, and verifies them without it.
 */
export class SecurityKey {
  readonly #signer;
  readonly #type: 'sk-ssh-ed25519@openssh.com' | 'sk-ecdsa-sha2-nistp256@openssh.com';
  /** As a `.pub` file has it. */
  readonly line: string;
  readonly blob: Uint8Array;

  constructor(kind: 'Ed25519' | 'P-256', application = 'ssh:') {
    const { pkcs8, spki } = generateSoftwareKey(kind);
    this.#signer = softwareSigner(kind, pkcs8);
    pkcs8.wipe();
    this.#type = kind === 'Ed25519' ? 'sk-ssh-ed25519@openssh.com' : 'sk-ecdsa-sha2-nistp256@openssh.com';
    const numbers =
      kind === 'Ed25519'
        ? [sshString(ed25519Octets(spki) ?? '')]
        : [sshString('nistp256'), sshString(ecPoint('P-256', spki))];
    this.blob = Buffer.concat([sshString(this.#type), ...numbers, sshString(application)]);
    this.line = `${this.#type} ${Buffer.from(this.blob).toString('base64')} a key of the test`;
  }

  get spki(): SshPublicKey['spki'] {
    return this.#signer.spki;
  }

  /** Signs with these flags, which hardware would set by itself. */
  signer(flags = UP, namespace = 'keystead-approval', application = 'ssh:'): StatementSigner {
    return {
      by: 'ssh',
      sign: async (data) => {
        const message = sshSigSubject({ namespace, hash: 'sha512', digest: SHA512(data) });
        const facts = Buffer.concat([Uint8Array.of(flags), uint32(9)]);
        const made = await this.#signer.sign(Buffer.concat([SHA256(Buffer.from(application)), facts, SHA256(message)]));
        const value = this.#type.includes('ecdsa') ? mpints(made) : made;
        const signature = Buffer.concat([sshString(this.#type), sshString(value), facts]);
        const terms = [namespace, '', 'sha512'].map(sshString);
        const head = [Buffer.from('SSHSIG'), uint32(1), sshString(this.blob)];
        return Buffer.concat([...head, ...terms, sshString(signature)]);
      },
    };
  }
}

function mpints(der: Uint8Array): Uint8Array {
  const numbers = ecdsaNumbers(der, 32);
  return Buffer.concat([sshMpint(numbers.subarray(0, 32)), sshMpint(numbers.subarray(32))]);
}
