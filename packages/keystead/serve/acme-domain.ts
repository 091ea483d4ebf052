import { KeysteadError } from '@keystead/core/errors';
import type { Permission } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import { type Identifier, parseProblem } from '../acme/index.ts';
import type { AcmeOperatorDomain } from '../protocols/rest/acme.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { Rooms } from './rooms.ts';

/** The most that one answer lists. */
const LISTED = 500;
const iso = (ms: number): string => new Date(ms).toISOString();

/** REST's view of ACME. */
export function acmeOperatorDomain(
  rooms: Rooms,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): AcmeOperatorDomain {
  const { acme, store, access } = rooms;
  const nextOf = (rows: readonly { id: string }[]): string | null =>
    rows.length === LISTED ? (rows.at(-1)?.id ?? null) : null;

  return {
    async acmeAccounts(caller, after) {
      await operator(caller, 'enrolment.read', 'list ACME accounts');
      const rows = store.read((records) => records.acme.accounts(after, LISTED));
      const accounts = rows.map(({ id, state, authorisationId, thumbprint, contact, createdAt }) => ({
        ...{ id, state, authorisationId, thumbprint },
        contact: JSON.parse(contact) as string[],
        createdAt: iso(createdAt),
      }));
      return { accounts, next: nextOf(rows) };
    },
    async acmeOrders(caller, after) {
      await operator(caller, 'enrolment.read', 'list ACME orders');
      const rows = store.read((records) => records.acme.orders(after, LISTED));
      const orders = rows.map((row) => ({
        ...{ id: row.id, accountId: row.accountId, issuer: row.issuer, serial: row.serial },
        state: acme.orders.viewOf(row.id).state,
        names: (JSON.parse(row.identifiers) as Identifier[]).map(({ value }) => value),
        createdAt: iso(row.createdAt),
        expiresAt: iso(row.expiresAt),
        error: row.error === null ? null : parseProblem(row.error).detail,
      }));
      return { orders, next: nextOf(rows) };
    },
    async revokeAcmeAccount(caller, id) {
      const what = 'revoke ACME account';
      const client = await operator(caller, 'enrolment.authorise', what);
      try {
        return { account: id, state: await acme.accounts.revoke(id, actorOf(client), caller.requestId) };
      } catch (error) {
        if (error instanceof KeysteadError && error.kind !== 'unavailable') {
          await access.refused(error, { requestId: caller.requestId, what }, client);
        }
        throw error;
      }
    },
  };
}
