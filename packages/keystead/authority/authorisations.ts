import { timingSafeEqual } from 'node:crypto';
import { openBytes, type SecretBytes, sealBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  AUTHORISATION_SECRET_BYTES,
  type Authorisation,
  type EnrolmentWay,
  requireAuthorisationTime,
  requireAuthorisedWay,
  type SignedAuthorisation,
  verifyAuthorisation,
} from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import type { AuthorisationRow, Reader } from '../store/index.ts';
import type { AuthorityDeps } from './deps.ts';
import { requireClock } from './time.ts';

/** Who asks, for the audit log. */
export interface AskedBy {
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}

/**
 * The enrolment authorisations that operators have registered, and their secrets: sealed under a key that serve is
 * given at its start and the database never has. REQ-KEY-STO-02
 */
export class Authorisations {
  readonly #deps: AuthorityDeps;
  readonly #sealing: SecretBytes;

  /** @param sealing 32 bytes; stays with the caller. */
  constructor(deps: AuthorityDeps, sealing: SecretBytes) {
    this.#deps = deps;
    this.#sealing = sealing;
  }

  /**
   * Registers a signed authorisation with the secret that was made for it. The same again, with the same
   * secret, changes nothing.
   * @param secretText 32 octets, base64url.
   * @throws KeysteadError `authorisation.*`, each audited; `store.*`, `clock.went-back`.
   */
  async register(document: string, secretText: string, by: AskedBy): Promise<Authorisation> {
    return this.#audited('register authorisation', by, async () => {
      requireClock(this.#deps);
      const signed = verifyAuthorisation(document, this.#deps.policy);
      const { content, signer } = signed;
      requireOwn(signer, by);
      if (content.request !== undefined) {
        throw new KeysteadError('authorisation.malformed', { field: 'request', seen: 'an approval of one request' });
      }
      const now = this.#deps.clock.now();
      if (now.getTime() >= Date.parse(content.notAfter)) requireAuthorisationTime(content, now);
      const secret = secretOf(secretText);
      const sealedSecret = sealBytes(this.#sealing, secret, aadOf(content.id));
      using before = this.#secret(content.id);
      // Done is said only of the secret that stands: another one would open nothing.
      const sameSecret = before?.use((bytes) => timingSafeEqual(bytes, secret)) === true;
      secret.fill(0);
      await this.#deps.store.commit((tx) => {
        const known = tx.authorisation(content.id);
        if (known?.document === document && sameSecret) return;
        if (known !== undefined) throw new KeysteadError('authorisation.id-reused', { field: 'id', seen: content.id });
        tx.insertAuthorisation({ ...rowOf(signed, document, now), sealedSecret });
        this.#deps.audit(tx, {
          type: 'authorisation.created',
          ...by,
          outcome: 'done',
          subject: { authorisation: content.id, profile: content.profile },
          detail: {
            sha256: signed.sha256,
            names: content.hosts?.join(' ') ?? JSON.stringify(content.deviceIds),
            uses: content.uses,
            ways: content.ways.join(' '),
            notAfter: content.notAfter,
            approval: content.approval,
          },
        });
      });
      return content;
    });
  }

  /** Ends an authorisation: nothing more is given for it. @throws KeysteadError `authorisation.unknown`; `store.*`. */
  withdraw(id: string, by: AskedBy): Promise<void> {
    return this.#audited('withdraw authorisation', by, async () => {
      await this.#deps.store.commit((tx) => {
        const row = tx.authorisation(id);
        if (row === undefined) throw new KeysteadError('authorisation.unknown', { field: 'id', seen: id });
        if (row.withdrawnAt !== null) return;
        tx.withdrawAuthorisation(id, this.#deps.clock.now().getTime());
        this.#deps.audit(tx, {
          type: 'authorisation.withdrawn',
          ...by,
          outcome: 'done',
          subject: { authorisation: id },
        });
      });
    });
  }

  /**
   * The authorisation that `id` and its secret open. An id that does not exist and a secret that is wrong get the same
   * answer: who guesses learns nothing.
   * @param secretText base64url, as it was given out.
   * @throws KeysteadError `authorisation.secret-wrong`, `.not-yet-valid`, `.expired`, `.withdrawn`, `.way-forbidden`,
   *   `.secret-unreadable`, each audited and counted.
   */
  verifySecret(id: string, secretText: string, way: EnrolmentWay, requestId: string): Promise<Authorisation> {
    return this.#audited(`enrol by ${way}`, stranger(requestId), async () => {
      using secret = this.#secret(id);
      let given: Uint8Array | undefined;
      try {
        given = secretOf(secretText);
      } catch {
        // Told below in the same words as another wrong one.
      }
      const same = given !== undefined && secret?.use((bytes) => timingSafeEqual(bytes, given)) === true;
      given?.fill(0);
      if (!same) throw new KeysteadError('authorisation.secret-wrong', { field: 'secret' });
      return this.usable(id, way).signed.content;
    });
  }

  /**
   * The secret in whatever state its authorisation is, for a protocol that tells that to its holder alone and asks
   * {@link admit} then. Undefined for an id that is not there. The caller disposes of it.
   * @throws KeysteadError `authorisation.secret-unreadable`, audited.
   */
  secretOf(id: string, way: EnrolmentWay, requestId: string): Promise<SecretBytes | undefined> {
    return this.#audited(`enrol by ${way}`, stranger(requestId), async () => this.#secret(id));
  }

  /**
   * Whether an authorisation may be used now by somebody who has shown its secret.
   * @throws KeysteadError `authorisation.not-yet-valid`, `.expired`, `.withdrawn`, `.way-forbidden`, each audited.
   */
  admit(id: string, way: EnrolmentWay, requestId: string): Promise<void> {
    return this.#audited(`enrol by ${way}`, { actor: { kind: 'authorised', id }, requestId }, async () => {
      this.usable(id, way);
    });
  }

  /**
   * An authorisation that may be used now. Whether it has uses left is keyd's word.
   * @throws KeysteadError `authorisation.*`, not audited.
   */
  usable(id: string, way: EnrolmentWay): { readonly row: AuthorisationRow; readonly signed: SignedAuthorisation } {
    const row = this.#deps.store.read((records) => unwithdrawn(records, id));
    const signed = verifyAuthorisation(row.document, this.#deps.policy);
    requireAuthorisationTime(signed.content, this.#deps.clock.now());
    requireAuthorisedWay(signed.content, way);
    return { row, signed };
  }

  #secret(id: string): SecretBytes | undefined {
    const sealed = this.#deps.store.read((records) => records.authorisation(id))?.sealedSecret;
    if (sealed === undefined || sealed === null) return undefined;
    try {
      return openBytes(this.#sealing, sealed, aadOf(id));
    } catch (cause) {
      throw new KeysteadError('authorisation.secret-unreadable', { field: 'id', seen: id, cause });
    }
  }

  async #audited<T>(what: string, by: AskedBy, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') {
        await this.#deps.refusals.refused({ what, error, ...by });
      }
      throw error;
    }
  }
}

/** The authorisation, unless it is unknown or withdrawn. @throws KeysteadError `authorisation.unknown`, `.withdrawn`. */
export function unwithdrawn(records: Reader, id: string): AuthorisationRow {
  const row = records.authorisation(id);
  if (row === undefined) throw new KeysteadError('authorisation.unknown', { field: 'id', seen: id });
  if (row.withdrawnAt !== null) throw new KeysteadError('authorisation.withdrawn', { field: 'id', seen: id });
  return row;
}

/** An operator brings only what they signed themselves. @throws KeysteadError `authorisation.signer-forbidden`. */
export function requireOwn(signer: string, { actor }: AskedBy): void {
  if (actor.id === signer) return;
  throw new KeysteadError('authorisation.signer-forbidden', {
    field: 'signer',
    seen: `${signer}, brought by ${actor.id}`,
  });
}

/** The row of a signed document without a secret. */
export const rowOf = ({ content, signer }: SignedAuthorisation, document: string, now: Date): AuthorisationRow => ({
  id: content.id,
  document,
  signer,
  sealedSecret: null,
  notAfter: Date.parse(content.notAfter),
  createdAt: now.getTime(),
  withdrawnAt: null,
});

const aadOf = (id: string): Uint8Array => Buffer.from(`keystead enrolment authorisation ${id}`, 'utf8');

const stranger = (requestId: string): AskedBy => ({ actor: { kind: 'anonymous', id: 'unknown' }, requestId });

function secretOf(text: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (bytes.length === AUTHORISATION_SECRET_BYTES && Buffer.from(bytes).toString('base64url') === text) return bytes;
  bytes.fill(0);
  throw new KeysteadError('authorisation.secret-malformed', { field: 'secret' });
}
