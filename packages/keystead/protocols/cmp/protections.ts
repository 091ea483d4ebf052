import { type CmpMessage, isMacOf, readProtection, verifySigned } from '@keystead/core/cmp';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate, sameName } from '@keystead/core/x509';
import type { AnswerProtection } from './answer.ts';
import type { CmpDomain, CmpRequester } from './domain.ts';
import { MacWork } from './mac-work.ts';

/** A message whose protection is verified. */
export interface Verified {
  readonly requester: CmpRequester;
  readonly protection: AnswerProtection;
}

/** The reference of a shared secret is the id of an authorisation: at most 64 characters. */
const REFERENCE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** Who sent a message, by what protects it: the key of a certificate of ours, or the secret of an enrolment authorisation. */
export class Protections {
  readonly #domain: CmpDomain;
  readonly #asked: <T>(answer: Promise<T>) => Promise<T>;
  readonly #macs = new MacWork();

  /** @param asked waits for the domain, and takes note of what it refuses. */
  constructor(domain: CmpDomain, asked: <T>(answer: Promise<T>) => Promise<T>) {
    this.#domain = domain;
    this.#asked = asked;
  }

  /**
   * @param held is given the secret of a MAC, for the caller to wipe.
   * @throws KeysteadError `cmp.protection-*`, `cmp.algorithm-unsupported`, `authorisation.*`, `client.certificate-*`.
   */
  async verify(message: CmpMessage, requestId: string, held: { secret?: SecretBytes }): Promise<Verified> {
    const { header } = message;
    if (header.protectionAlg === undefined || message.protection === undefined) {
      throw new KeysteadError('cmp.protection-missing', { field: 'protection' });
    }
    const protection = readProtection(header.protectionAlg);
    if (protection.kind === 'mac') {
      const id = Buffer.from(header.senderKid ?? []).toString('latin1');
      if (!REFERENCE.test(id))
        throw new KeysteadError('cmp.header-incomplete', { field: 'senderKID', seen: 'no reference' });
      // An id that does not exist gets the answer of a wrong secret, and the state of one is for its holder.
      const secret = await this.#asked(this.#domain.secretOf(id, requestId));
      held.secret = secret;
      if (!(await this.#macs.run(id, () => isMacOf(message, protection.mac, secret)))) {
        throw new KeysteadError('cmp.protection-invalid', { field: 'protection', seen: id });
      }
      await this.#asked(this.#domain.admitAuthorisation(id, requestId));
      const requester: CmpRequester = { kind: 'authorisation', id };
      return { requester, protection: { kind: 'mac', mac: protection.mac, secret: held.secret } };
    }
    const [certificate] = message.extraCerts;
    if (certificate === undefined)
      throw new KeysteadError('cmp.protection-invalid', { field: 'extraCerts', seen: 'none' });
    const signer = readCertificate(certificate);
    // First, for it is cheap: a key that nobody has checked can cost a hundred times as much as one of ours.
    await this.#asked(this.#domain.admit(certificate, requestId));
    verifySigned(message, protection.algorithm, signer.spki);
    if (header.senderName === undefined || !sameName(header.senderName, signer.subject)) {
      throw new KeysteadError('cmp.header-incomplete', { field: 'sender', seen: 'not the subject of the signer' });
    }
    return { requester: { kind: 'certificate', certificate }, protection: { kind: 'signature' } };
  }
}
