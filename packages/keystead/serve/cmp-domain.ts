import { type DerCertificate, type DerCrl, sameBytes } from '@keystead/core/bytes';
import { type ParsedCrmf, parseCertReqMsg, type WantedCrl } from '@keystead/core/cmp';
import { base64urlOctets, certSha256, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  AUTHORISATION_SECRET_BYTES,
  claimedSubject,
  type IssuerId,
  profileOf,
  statusUrls,
} from '@keystead/core/lifecycle';
import { parseRequest, REVOCATION_REASONS, type RequestFormat, readCertificate } from '@keystead/core/x509';
import { actorOf, type Client } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Ask, FinalReason, Outcome } from '../authority/index.ts';
import type { CmpDomain, CmpOrder, CmpOutcome, CmpReference, CmpRequester } from '../protocols/cmp/index.ts';
import { CmpAuthorities } from './cmp-authority.ts';
import type { Rooms } from './rooms.ts';

/** What every request of CMP is called in the audit log, where its own kind is not known. */
const WHAT = 'cmp';

/** The rooms that CMP works in. */
export type CmpRooms = Pick<Rooms, 'access' | 'authority' | 'clock' | 'hierarchy' | 'policy' | 'store'>;

/** CMP's view of the rooms. */
export function cmpDomain(rooms: CmpRooms): CmpDomain {
  const { access, authority, clock, hierarchy, store } = rooms;
  const authorities = new CmpAuthorities(rooms);
  const issuers = hierarchy.issuers.map(({ id, certificate }) => ({
    id,
    certificate,
    info: readCertificate(certificate),
  }));
  const { subjectDer: rootName } = readCertificate(hierarchy.certificates.root);
  /** The keys of a CA share its name. */
  const issuersNamed = (name: Uint8Array) => issuers.filter(({ info }) => sameBytes(info.subjectDer, name));

  const identify = (certificate: DerCertificate, requestId: string, what = WHAT): Promise<Client> =>
    access.identify(certificate, { requestId, what });

  /** Audits the refusals whose codes begin with `own`: those that no room below has audited. */
  async function audited<T>(
    { actor, requestId }: { actor: AuditEvent['actor']; requestId: string },
    own: RegExp,
    act: () => Promise<T>,
  ): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (error instanceof KeysteadError && own.test(error.code)) {
        await access.refused(error, { requestId, what: WHAT, subject: { for: actor.id } });
      }
      throw error;
    }
  }

  async function actorFor(requester: CmpRequester, requestId: string): Promise<AuditEvent['actor']> {
    if (requester.kind === 'authorisation') return { kind: 'authorised', id: requester.id };
    return actorOf(await identify(requester.certificate, requestId));
  }

  /** Asks for a certificate in the name of a device that signed its request (RFC 9483 section 4.1). */
  async function askSigned(order: CmpOrder, certificate: DerCertificate): Promise<Ask> {
    const { kind, format, request: csr, message, requestId } = order;
    const client = await identify(certificate, requestId, `cmp ${kind}`);
    if (order.profile !== undefined && order.profile !== 'ldevid') {
      throw new KeysteadError('cmp.profile-differs', { field: 'profile', seen: order.profile });
    }
    requireIssuer(order);
    // An IDevID opens the first certificate and recovery; what follows is signed with what it follows.
    const first = kind === 'ir' || (kind === 'p10cr' && client.profile === 'idevid');
    return (alongside) => {
      const asked = { client, csr, format, message, requestId, alongside };
      return first ? authority.enrol(asked) : authority.reenrol(asked);
    };
  }

  /** Asks for a certificate under an authorisation, whose secret protected the request. */
  function askAuthorised(
    order: { format: RequestFormat; request: Uint8Array; requestId: string; profile: string | undefined },
    authorisationId: string,
  ): Ask {
    const { format, request: csr, requestId, profile: asked } = order;
    const { content } = authority.authorisations.usable(authorisationId, 'cmp').signed;
    if (asked !== undefined && asked !== content.profile) {
      throw new KeysteadError('cmp.profile-differs', { field: 'profile', seen: asked });
    }
    const profile = profileOf(rooms.policy, content.profile);
    requireIssuer(order);
    const subject = claimedSubject(profile, parseRequest(csr, format));
    return (alongside) =>
      authority.enrolAuthorised({ way: 'cmp', authorisationId, csr, format, subject, requestId, alongside });
  }

  /**
   * A request may name the CA that it asks. Any of ours: openssl names the one that issued the certificate that it signs
   * with, and which one issues is not for a request to say. @throws KeysteadError `cmp.template-refused`.
   */
  function requireIssuer({ format, request }: { format: RequestFormat; request: Uint8Array }): void {
    const parsed: ParsedCrmf | undefined = format === 'crmf' ? parseCertReqMsg(request) : undefined;
    if (parsed?.issuerDer === undefined || issuersNamed(parsed.issuerDer).length > 0) return;
    throw new KeysteadError('cmp.template-refused', { field: 'issuer', seen: 'a CA that is not one of these' });
  }

  const refOf = ({ requester, transactionId, recipNonce, nonce }: CmpReference) => ({
    id: transactionId,
    requester: nameOf(requester),
    recipNonce,
    nonce,
  });

  function outcomeOf(outcome: Outcome): CmpOutcome {
    if ('retryAfterSeconds' in outcome) return outcome;
    const { issuerDer, aki } = readCertificate(outcome.certificate);
    const issuer = issuersNamed(issuerDer).find(({ info }) => info.ski === aki);
    return { ...outcome, chain: issuer === undefined ? [] : [issuer.certificate, ...hierarchy.newWithOld] };
  }

  return {
    now: () => clock.now(),
    authority: () => authorities.get(),
    names: [rootName, ...issuers.map(({ info }) => info.subjectDer)],
    async secretOf(id, requestId) {
      const known = await authority.authorisations.secretOf(id, 'cmp', requestId);
      using secret = known ?? SecretBytes.random(AUTHORISATION_SECRET_BYTES);
      return base64urlOctets(secret);
    },
    admitAuthorisation: (id, requestId) => authority.authorisations.admit(id, 'cmp', requestId),
    async admit(certificate, requestId) {
      await identify(certificate, requestId);
    },
    async enrol(order) {
      const { requester, requestId, transactionId: id, nonce, kind, certReqId, format, request, confirms } = order;
      const by = { actor: await actorFor(requester, requestId), requestId };
      const ask = await audited(by, ASKING, async () => {
        if (requester.kind !== 'authorisation') return askSigned(order, requester.certificate);
        if (kind === 'kur') throw new KeysteadError('cmp.not-by-mac', { field: kind, seen: requester.id });
        return askAuthorised(order, requester.id);
      });
      const start = { id, requester: nameOf(requester), nonce, kind, certReqId, format, request, confirms };
      return outcomeOf(await audited(by, TRANSACTIONS, () => authority.transactions.begin(start, ask)));
    },
    async poll(reference, confirms) {
      const { requester, requestId } = reference;
      const by = { actor: await actorFor(requester, requestId), requestId };
      return audited(by, TRANSACTIONS, async () => {
        const outcome = await authority.transactions.poll(refOf(reference), confirms, (row) => {
          // Only what is authorised can wait: for everybody else the answer is there at once.
          if (requester.kind !== 'authorisation') {
            throw new KeysteadError('cmp.transaction-unknown', { field: 'transactionID', seen: row.state });
          }
          const { request, format } = row;
          const order = {
            request,
            format: format === 'crmf' ? 'crmf' : 'pkcs10',
            requestId,
            profile: undefined,
          } as const;
          return askAuthorised(order, requester.id);
        });
        return outcomeOf(outcome);
      });
    },
    async confirm(reference, verdict) {
      const actor = await actorFor(reference.requester, reference.requestId);
      const { requestId } = reference;
      await audited({ actor, requestId }, TRANSACTIONS, () =>
        authority.transactions.confirm(refOf(reference), { ...verdict, actor, requestId }),
      );
    },
    async revoke(requester, wanted, requestId) {
      const actor = await actorFor(requester, requestId);
      await audited({ actor, requestId }, /^cmp\./, async () => {
        if (requester.kind === 'authorisation') {
          throw new KeysteadError('cmp.not-by-mac', { field: 'rr', seen: requester.id });
        }
        const client = await identify(requester.certificate, requestId, 'cmp rr');
        const { serial, reason } = wanted;
        const named = issuersNamed(wanted.issuerDer);
        const known = named.find(({ id }) => store.read((records) => records.certificate(id, serial)) !== undefined);
        const issuer = (known ?? named[0])?.id;
        if (issuer === undefined)
          throw new KeysteadError('cmp.revocation-refused', { field: 'issuer', seen: 'another CA' });
        if (!isFinal(reason)) throw new KeysteadError('cmp.revocation-refused', { field: 'reasonCode', seen: reason });
        if (client.kind === 'device') {
          const record = store.read((records) => records.certificate(issuer, serial));
          if (record?.deviceId !== client.id || record.profile !== 'ldevid' || reason === 'cACompromise') {
            throw new KeysteadError('cmp.revocation-refused', { field: 'certDetails', seen: `${issuer} ${serial}` });
          }
        } else {
          await access.authorise(client, 'certificate.revoke', { requestId, what: 'cmp rr' });
        }
        await authority.revoke({ selector: { issuer, serial }, reason, actor, requestId });
      });
    },
    caCertificates: () => [hierarchy.certificates.root, ...hierarchy.chain('operational', 'server')],
    rootUpdate: (root) => hierarchy.successorOf(root),
    crls(wanted: readonly WantedCrl[]): DerCrl[] {
      const newer = new Map<IssuerId, DerCrl>();
      for (const { source, thisUpdate } of wanted) {
        const known =
          'issuerDer' in source
            ? issuersNamed(source.issuerDer)
            : issuers.filter(({ id }) => statusUrls(rooms.policy, id).crl === source.url);
        // Of a CA with several keys the one in use: what the others issued has their addresses in it.
        const issuer =
          known.find(({ id }) => hierarchy.issuers.some((one) => one.id === id && one.current)) ?? known[0];
        if (issuer === undefined || newer.has(issuer.id)) continue;
        const newest = authority.crlOctets(issuer.id);
        if (newest === undefined || (thisUpdate !== undefined && thisUpdate >= newest.thisUpdate)) continue;
        newer.set(issuer.id, newest.der);
      }
      return [...newer.values()];
    },
    organization: () => profileOf(rooms.policy, 'ldevid').subject.organization,
    refused: (error, requestId) => access.refused(error, { requestId, what: WHAT }),
  };
}

/** What is refused before a room is asked, and what transactions refuse. What the rooms refuse, they have audited. */
const ASKING = /^(?:cmp|csr|authorisation)\./;
const TRANSACTIONS = /^cmp\.(?:transaction|nonce|confirmation)/;

/** A requester as its transactions are kept: the very certificate, since each is signed with one. */
const nameOf = (requester: CmpRequester): string =>
  requester.kind === 'authorisation'
    ? `authorisation:${requester.id}`
    : `certificate:${certSha256(requester.certificate)}`;

const isFinal = (reason: string): reason is FinalReason =>
  Object.hasOwn(REVOCATION_REASONS, reason) && reason !== 'certificateHold';
