import { setTimeout as pause } from 'node:timers/promises';
import { toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { caOf, factoryOfIssuer, type IssuerId, isListedIssuer, type Permission } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import type { ActView, AskedBy, Census, Selector } from '../authority/index.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { RevocationDomain, RevokeBody } from '../protocols/rest/revocations.ts';
import type { Rooms } from './rooms.ts';

/** How long an answer waits for a large act; whoever asked then looks it up until it is done. */
const PATIENCE_MS = 2_000;

/** REST's view of revocation. */
export function revocationDomain(
  rooms: Rooms,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): RevocationDomain {
  const { access, authority, store } = rooms;
  const { revocations, census } = authority;

  async function askedBy(caller: Caller, permission: Permission, what: string): Promise<AskedBy> {
    return { actor: actorOf(await operator(caller, permission, what)), requestId: caller.requestId };
  }

  /** What people look at before they sign: the certificates themselves, so that they need not believe this server. */
  const withCertificates = (found: Census) => ({
    ...found,
    listed: found.listed.map((one) => {
      const der = store.read((records) =>
        isListedIssuer(one.issuer) ? records.certificate(one.issuer, one.serial) : undefined,
      )?.der;
      return { ...one, certificate: der === undefined ? null : toPem('CERTIFICATE', der) };
    }),
    next: nextSteps(found),
  });

  const answer = async ({ view, done }: { view: ActView; done?: Promise<ActView> }) => {
    if (done === undefined) return { ...view, next: nextSteps(view) };
    const late = new AbortController();
    try {
      // A failure that came in time is the answer; one that comes later stands in the log.
      const now = await Promise.race([done, pause(PATIENCE_MS, undefined, { signal: late.signal })]);
      const current = now ?? revocations.show(view.id);
      return { ...current, next: nextSteps(current) };
    } finally {
      late.abort();
    }
  };

  return {
    async revoke(caller, body) {
      const by = await askedBy(caller, body.dryRun ? 'revocation.read' : permissionFor(body), 'revoke');
      const { act, reason, invalidityDate } = body;
      const selector = selectorOf(body);
      const order = { selector, act, reason, invalidityDate, ...by };
      if (body.dryRun) return withCertificates(await census.take(order));
      if (act === 'release') {
        const error = new KeysteadError('revocation.signature-needed', { field: 'act', seen: act });
        await rooms.refusals.refused({ what: 'release', error, ...by });
        throw error;
      }
      if ('ticketId' in selector || 'ca' in selector) {
        return answer(await revocations.begin(order));
      }
      const done = await authority.revoke({ ...order, selector, act });
      const { onCrl, withheld } = done;
      return { revoked: done.certificates.map((one) => one.serial), reason, act, onCrl, withheld };
    },
    async revokeOwn(caller, { serial, reason }) {
      const asked = { requestId: caller.requestId, what: 'revoke own certificate' };
      const client = await access.identify(caller.certificate, asked);
      if (client.kind !== 'device') {
        const error = new KeysteadError('access.forbidden', {
          field: 'client certificate',
          seen: `${client.id}: no device`,
        });
        await access.refused(error, asked, client);
        throw error;
      }
      const selector = serial === undefined ? { serial: client.serial, issuer: client.issuer } : { serial };
      const done = await authority.revoke({ selector, reason, actor: actorOf(client), requestId: caller.requestId });
      return { revoked: done.certificates.map((one) => one.serial), reason, onCrl: done.onCrl };
    },
    async requestRevocation(caller, statement) {
      const by = await askedBy(caller, 'revocation.propose', 'request revocation');
      return answer(await revocations.propose(statement, by));
    },
    async approveRevocation(caller, id, statement) {
      const by = await askedBy(caller, 'revocation.sign', 'approve revocation');
      return answer(await revocations.approve(id, statement, by));
    },
    async withdrawRevocation(caller, id) {
      return revocations.withdraw(id, await askedBy(caller, 'revocation.sign', 'withdraw revocation'));
    },
    async revocationRequests(caller) {
      await operator(caller, 'revocation.read', 'list revocation requests');
      return { requests: revocations.open(), withheld: Object.fromEntries(authority.withheld()) };
    },
    async revocationRequest(caller, id) {
      await operator(caller, 'revocation.read', 'show revocation request');
      const view = revocations.show(id);
      return { ...view, next: nextSteps(view) };
    },
  };
}

function permissionFor({ deviceId, ticketId, ca }: RevokeBody): Permission {
  if (ca !== undefined) return 'revocation.propose';
  return deviceId === undefined && ticketId === undefined ? 'certificate.revoke' : 'device.revoke';
}

function selectorOf(body: RevokeBody): Selector {
  const { deviceId, serial, issuer, certificate, spkiSha256, ticketId, ca } = body;
  if (deviceId !== undefined) return { deviceId };
  if (serial !== undefined) return { serial, issuer };
  if (certificate !== undefined) return { certificate };
  if (spkiSha256 !== undefined) return { spkiSha256 };
  if (ticketId !== undefined) return { ticketId };
  return { ca: ca ?? '' };
}

const NOBODY_LEFT =
  'the certificates of all operators are among them, yours too: whoever must still act asks for it before; afterwards a name gets its next certificate for the next key that a policy gives it';

/** What is left for people to do: the certificate of a CA is its root's, and the root is in a safe. */
function nextSteps({ selector, reason }: Pick<ActView, 'selector' | 'reason'>): string[] {
  if (selector.kind !== 'ca') return [];
  const why = reason ?? 'unspecified';
  const factory = factoryOfIssuer(selector.ca);
  if (factory !== undefined) {
    return [
      `the factory goes on to issue until it is closed: keystead factory order --close --revoke ${factory}`,
      'its devices are given new identities by another factory, or by headquarters',
    ];
  }
  const ca = caOf(selector.ca as IssuerId);
  return [
    ...(ca === 'operator' ? [NOBODY_LEFT] : []),
    `the certificate of the CA itself is revoked by its root, in a ceremony: keystead ceremony crl --revoke ${selector.ca} --reason ${why}`,
    'take its result over with keystead hierarchy import, keyd and serve being stopped: then the CRL of the root tells everybody',
    `give the CA a new key (docs/ceremony.md), and enrol anew what hung from the old one of ${ca}`,
  ];
}
