import { toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { deviceIdAt, type Permission, parseAuthorisation } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import { type AskedBy, subjectOf } from '../authority/index.ts';
import type { AuthorisationDomain, AuthorisationView, EnrolmentRequestView } from '../protocols/rest/authorisations.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { AuthorisationRow, EnrolmentRequestRow } from '../store/index.ts';
import type { Rooms } from './rooms.ts';

/** The most that one answer lists. */
const LISTED = 500;

/** REST's view of enrolment authorisations. */
export function authorisationDomain(
  rooms: Rooms,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): AuthorisationDomain {
  const { authority, access, store, clock } = rooms;
  const { authorisations, authorised } = authority;

  async function asAuthoriser(caller: Caller, what: string): Promise<AskedBy & { client: OperatorClient }> {
    const client = await operator(caller, 'enrolment.authorise', what);
    return { client, actor: actorOf(client), requestId: caller.requestId };
  }

  /** What the domain refuses of an operator is audited here, where it knows that it was asked. */
  async function audited<T>(client: OperatorClient, asked: { requestId: string; what: string }, act: () => Promise<T>) {
    try {
      return await act();
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') await access.refused(error, asked, client);
      throw error;
    }
  }

  const view = (row: AuthorisationRow): AuthorisationView => {
    const { content, signer } = parseAuthorisation(row.document);
    const { id, profile, uses, ways, approval, notBefore, notAfter } = content;
    const now = clock.now().getTime();
    const state =
      (row.withdrawnAt !== null && 'withdrawn') ||
      (now < Date.parse(notBefore) && 'not yet valid') ||
      (now >= row.notAfter && 'expired') ||
      'usable';
    const { deviceIds } = content;
    const names = content.hosts ?? (deviceIds === undefined ? [] : [rangeText(deviceIds)]);
    return { id, signer, profile, names, uses, ways, approval, notBefore, notAfter, state };
  };

  const requestView = (row: EnrolmentRequestRow): EnrolmentRequestView => {
    const authorisation = store.read((records) => records.authorisation(row.authorisationId));
    return {
      id: row.id,
      authorisationId: row.authorisationId,
      subject: subjectOf(row),
      profile: authorisation === undefined ? '' : parseAuthorisation(authorisation.document).content.profile,
      way: row.way,
      csrSha256: row.csrSha256,
      csr: toBase64(row.csr),
      state: row.state,
      requestedAt: new Date(row.requestedAt).toISOString(),
      decidedBy: row.decidedBy,
      reason: row.reason,
    };
  };

  return {
    async authorise(caller, document, secret) {
      const { actor, requestId } = await asAuthoriser(caller, 'authorise enrolments');
      const { id } = await authorisations.register(document, secret, { actor, requestId });
      const row = store.read((records) => records.authorisation(id));
      if (row === undefined) throw new KeysteadError('internal.unexpected', { field: 'authorisation' });
      return view(row);
    },
    async authorisations(caller, after) {
      await operator(caller, 'enrolment.read', 'list authorisations');
      const rows = store.read((records) => records.authorisations(after, LISTED));
      return { authorisations: rows.map(view), next: rows.length === LISTED ? (rows.at(-1)?.id ?? null) : null };
    },
    async withdrawAuthorisation(caller, id) {
      const { actor, requestId } = await asAuthoriser(caller, 'withdraw authorisation');
      await authorisations.withdraw(id, { actor, requestId });
      return { withdrawn: id };
    },
    async enrolmentRequests(caller, state) {
      await operator(caller, 'enrolment.read', 'list enrolment requests');
      return { requests: store.read((records) => records.enrolmentRequests(state, LISTED)).map(requestView) };
    },
    async enrolmentRequest(caller, id) {
      await operator(caller, 'enrolment.read', 'show enrolment request');
      const row = store.read((records) => records.enrolmentRequest(id));
      if (row === undefined) throw new KeysteadError('enrolment-request.unknown', { field: 'id', seen: id });
      return requestView(row);
    },
    async approveEnrolment(caller, id, document) {
      const { client, actor, requestId } = await asAuthoriser(caller, 'approve enrolment');
      const asked = { requestId, what: 'approve enrolment' };
      await audited(client, asked, () => authorised.approve(id, document, { actor, requestId }));
      return { approved: id };
    },
    async refuseEnrolment(caller, id, reason) {
      const { client, actor, requestId } = await asAuthoriser(caller, 'refuse enrolment');
      const asked = { requestId, what: 'refuse enrolment' };
      await audited(client, asked, () => authorised.refuse(id, reason, { actor, requestId }));
      return { refused: id };
    },
  };
}

const rangeText = (ids: Parameters<typeof deviceIdAt>[0] & { from: number; to: number }): string =>
  `${deviceIdAt(ids, ids.from)} to ${deviceIdAt(ids, ids.to)}`;
