import { constantTimeEqual, hmacSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { AuditEvent } from '../audit/index.ts';
import type { AcmeAccountRow, AcmeAccountState } from '../store/index.ts';
import { type Account, type AcmeDeps, actorOfAccount, newId } from './deps.ts';
import { AccountKeyTaken } from './errors.ts';
import { ACCOUNT_STATES, stateAfter } from './states.ts';

/** A public key of an account, checked: the JSON of its required members, and its thumbprint (RFC 7638). */
export interface AccountKey {
  readonly jwk: string;
  readonly thumbprint: string;
}

/** An external account binding whose form was checked (RFC 8555 section 7.3.4); its MAC was not. */
export interface Binding {
  readonly kid: string;
  /** What the MAC is over, and the MAC. */
  readonly signed: Uint8Array;
  readonly mac: Uint8Array;
  /** The JWS as it came, JSON. */
  readonly document: string;
}

/** An account as its holder sees it. */
export interface AccountView {
  readonly id: string;
  readonly state: AcmeAccountState;
  readonly jwk: string;
  readonly contact: readonly string[];
  readonly binding: string;
}

const MOST_CONTACTS = 8;

/** Accounts: each belongs to one key, and to the enrolment authorisation that let it in. */
export class Accounts {
  readonly #deps: AcmeDeps;

  constructor(deps: AcmeDeps) {
    this.#deps = deps;
  }

  /** The account of a key, whatever its state. */
  ofKey(thumbprint: string): AccountView | undefined {
    const row = this.#deps.store.read((records) => records.acme.accountOfKey(thumbprint));
    return row === undefined ? undefined : viewOf(row);
  }

  /** The key of an account, for its signature: before that is verified, nothing else of it is told. */
  keyOf(id: string): { readonly jwk: string; readonly thumbprint: string } | undefined {
    const row = this.#deps.store.read((records) => records.acme.account(id));
    return row === undefined ? undefined : { jwk: row.jwk, thumbprint: row.thumbprint };
  }

  /**
   * An account that may act.
   * @throws KeysteadError `acme.account-unknown`, `acme.account-not-valid`.
   */
  require(id: string): Account {
    const row = this.#deps.store.read((records) => records.acme.account(id));
    if (row === undefined) throw new KeysteadError('acme.account-unknown', { field: 'kid', seen: id.slice(0, 40) });
    if (row.state !== 'valid') throw new KeysteadError('acme.account-not-valid', { field: 'account', seen: row.state });
    return accountOf(row);
  }

  view(id: string): AccountView {
    const row = this.#deps.store.read((records) => records.acme.account(id));
    if (row === undefined) throw new KeysteadError('acme.account-unknown', { field: 'kid', seen: id.slice(0, 40) });
    return viewOf(row);
  }

  /**
   * Makes an account for a key that has none, under the authorisation that the binding names.
   * @throws KeysteadError `acme.contact-*`, `acme.binding-refused`, `authorisation.*`, each audited; `store.*`.
   */
  async create(
    key: AccountKey,
    v: { contact: readonly string[]; binding: Binding; requestId: string },
  ): Promise<{ account: AccountView; created: boolean }> {
    const { contact, binding, requestId } = v;
    requireContacts(contact);
    await this.#requireBinding(binding, requestId);
    const now = this.#deps.clock.now().getTime();
    const row: AcmeAccountRow = {
      id: newId(),
      thumbprint: key.thumbprint,
      jwk: key.jwk,
      state: ACCOUNT_STATES.initial,
      contact: JSON.stringify(contact),
      authorisationId: binding.kid,
      binding: binding.document,
      createdAt: now,
      changedAt: now,
    };
    return this.#deps.store.commit((tx) => {
      // Two requests of one new client, side by side: the first one stands.
      const known = tx.acme.accountOfKey(key.thumbprint);
      if (known !== undefined) return { account: viewOf(known), created: false };
      tx.acme.insertAccount(row);
      this.#deps.audit(tx, {
        type: 'acme.account-created',
        actor: actorOfAccount(row),
        requestId,
        outcome: 'done',
        subject: { account: row.id, authorisation: row.authorisationId },
        detail: { thumbprint: row.thumbprint, contacts: contact.length },
      });
      return { account: viewOf(row), created: true };
    });
  }

  /** @throws KeysteadError `acme.contact-*`; `store.*`. */
  async setContact(account: Account, contact: readonly string[], requestId: string): Promise<AccountView> {
    requireContacts(contact);
    return this.#change(account, requestId, 'acme.account-changed', (row) => ({
      ...row,
      contact: JSON.stringify(contact),
    }));
  }

  /** Its holder ends it; its certificates stay as they are (RFC 8555 section 7.3.6). */
  async deactivate(account: Account, requestId: string): Promise<AccountView> {
    return this.#change(account, requestId, 'acme.account-deactivated', (row) => ({
      ...row,
      state: stateAfter(ACCOUNT_STATES, row.state, 'deactivate'),
    }));
  }

  /**
   * Puts another key in the place of the account's (RFC 8555 section 7.3.5). The same again changes nothing.
   * @throws AccountKeyTaken; KeysteadError `store.*`.
   */
  async changeKey(account: Account, key: AccountKey, requestId: string): Promise<AccountView> {
    const taken = this.ofKey(key.thumbprint);
    if (taken !== undefined && taken.id !== account.id) throw new AccountKeyTaken(taken.id);
    return this.#change(
      account,
      requestId,
      'acme.account-key-changed',
      (row, tx) => {
        const other = tx(key.thumbprint);
        if (other !== undefined && other.id !== row.id) throw new AccountKeyTaken(other.id);
        return { ...row, jwk: key.jwk, thumbprint: key.thumbprint };
      },
      { before: account.thumbprint, after: key.thumbprint },
    );
  }

  /** An operator ends an account. @throws KeysteadError `acme.unknown`, `acme.state`; `store.*`. */
  async revoke(id: string, actor: AuditEvent['actor'], requestId: string): Promise<AcmeAccountState> {
    return this.#deps.store.commit((tx) => {
      const row = tx.acme.account(id);
      if (row === undefined) throw new KeysteadError('acme.unknown', { field: 'account', seen: id });
      if (row.state === 'revoked') return row.state;
      const state = stateAfter(ACCOUNT_STATES, row.state, 'revoke');
      tx.acme.setAccount({ ...row, state, changedAt: this.#deps.clock.now().getTime() });
      const subject = { account: id, authorisation: row.authorisationId };
      this.#deps.audit(tx, { type: 'acme.account-revoked', actor, requestId, outcome: 'done', subject });
      return state;
    });
  }

  async #change(
    account: Account,
    requestId: string,
    type: string,
    changed: (row: AcmeAccountRow, ofKey: (thumbprint: string) => AcmeAccountRow | undefined) => AcmeAccountRow,
    detail?: AuditEvent['detail'],
  ): Promise<AccountView> {
    return this.#deps.store.commit((tx) => {
      const row = tx.acme.account(account.id);
      if (row?.state !== 'valid')
        throw new KeysteadError('acme.account-not-valid', { field: 'account', seen: row?.state });
      const next = changed(row, (thumbprint) => tx.acme.accountOfKey(thumbprint));
      tx.acme.setAccount({ ...next, changedAt: this.#deps.clock.now().getTime() });
      this.#deps.audit(tx, {
        type,
        actor: actorOfAccount(account),
        requestId,
        outcome: 'done',
        subject: { account: account.id },
        detail,
      });
      return viewOf(next);
    });
  }

  /** Whoever guesses learns nothing: an id that does not exist, one that is withdrawn and a wrong key get the same answer. */
  async #requireBinding({ kid, signed, mac }: Binding, requestId: string): Promise<void> {
    const { authorisations } = this.#deps.authority;
    {
      using secret = await authorisations.secretOf(kid, 'acme', requestId);
      if (secret !== undefined && constantTimeEqual(hmacSha256(secret, signed), mac)) {
        // Its holder is told what is wrong with it.
        await authorisations.admit(kid, 'acme', requestId);
        return;
      }
    }
    const refused = new KeysteadError('acme.binding-refused', { field: 'externalAccountBinding' });
    const actor = { kind: 'anonymous', id: 'unknown' } as const;
    await this.#deps.refusals.refused({ what: 'enrol by acme', error: refused, actor, requestId });
    throw refused;
  }
}

const accountOf = ({ id, authorisationId, thumbprint }: AcmeAccountRow): Account => ({
  id,
  authorisationId,
  thumbprint,
});

const viewOf = (row: AcmeAccountRow): AccountView => ({
  id: row.id,
  state: row.state,
  jwk: row.jwk,
  contact: JSON.parse(row.contact) as string[],
  binding: row.binding,
});

/** RFC 8555 section 7.3: mailto: with one address, and no header fields. */
function requireContacts(contact: readonly string[]): void {
  if (contact.length > MOST_CONTACTS) {
    throw new KeysteadError('acme.contact-invalid', { field: 'contact', seen: `${contact.length} of them` });
  }
  for (const one of contact) {
    const seen = JSON.stringify(one.slice(0, 80));
    if (!one.startsWith('mailto:')) throw new KeysteadError('acme.contact-unsupported', { field: 'contact', seen });
    if (one.includes('?') || one.includes(',')) {
      throw new KeysteadError('acme.contact-unsupported', { field: 'contact', seen });
    }
    if (!/^mailto:[\x21-\x7e]{1,64}@[A-Za-z0-9.-]{1,253}$/.test(one)) {
      throw new KeysteadError('acme.contact-invalid', { field: 'contact', seen });
    }
  }
}
