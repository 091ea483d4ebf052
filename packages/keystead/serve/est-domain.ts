import type { DerCertificate } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { ONLINE_CAS, type OnlineCa, type Policy, profileOf } from '@keystead/core/lifecycle';
import { type Profile, parseCsr } from '@keystead/core/x509';
import { actorOf, type Client } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import { askedSubject, type Issued, type Pending } from '../authority/index.ts';
import type { BasicCredentials } from '../protocols/est/credentials.ts';
import { csrAttributes } from '../protocols/est/csrattrs.ts';
import type { EstCaller, EstDomain, EstIssued, EstPending, EstRequest } from '../protocols/est/routes.ts';
import { wantedAlgorithm } from '../rotation/index.ts';
import type { Rooms } from './rooms.ts';

type Asked = EstRequest & { readonly basic: BasicCredentials };

/** The same profile with the algorithm that a campaign asks for first, where it is one of the profile's. */
function preferring(profile: Profile, wanted: string | undefined): Profile {
  const [first, ...others] = profile.keyAlgorithms.toSorted((a, b) => Number(b === wanted) - Number(a === wanted));
  return first === undefined ? profile : { ...profile, keyAlgorithms: [first, ...others] };
}

/** EST's view of the rooms. */
export function estDomain(rooms: Rooms): EstDomain {
  const { access, authority, hierarchy } = rooms;
  const { authorisations } = authority;

  /** The profile of the path, or that of devices without one. */
  const labelled = (label: string | undefined): Profile =>
    label === undefined ? profileOf(rooms.policy, 'ldevid') : labelledProfile(rooms.policy, label);

  /** What serve itself refuses of somebody who is known is audited like what the domain refuses. */
  async function audited<T>(
    { requestId }: EstCaller,
    what: string,
    actor: AuditEvent['actor'],
    check: () => T,
  ): Promise<T> {
    try {
      return check();
    } catch (error) {
      if (error instanceof KeysteadError) await access.refused(error, { requestId, what }, actor);
      throw error;
    }
  }

  /** Under an authorisation; a certificate that is shown besides must be good, and of the same device. */
  async function authorised(request: Asked, what: string): Promise<EstIssued | EstPending> {
    const { label, basic, certificate, csr, requestId } = request;
    const { id, profile } = await authorisations.verifySecret(basic.id, basic.secret, 'est', requestId);
    const client = certificate === undefined ? undefined : await access.identify(certificate, { requestId, what });
    const subject = await audited(request, what, { kind: 'authorised', id }, () => {
      if (label !== undefined && label !== profile)
        throw new KeysteadError('authorisation.profile-forbidden', { field: 'label', seen: label });
      requireBinding(rooms.policy, profile, request);
      const named = askedSubject(parseCsr(csr), profileOf(rooms.policy, profile));
      requireSameDevice(client, named);
      return named;
    });
    return outcomeOf(await authority.enrolAuthorised({ way: 'est', authorisationId: id, csr, subject, requestId }));
  }

  /** A device by its certificate, for a profile of devices. */
  async function device(request: EstRequest, what: string): Promise<{ client: Client; profile: string }> {
    const { certificate, requestId } = request;
    const client = await access.identify(certificate, { requestId, what });
    const profile = labelled(request.label);
    await audited(request, what, actorOf(client), () => {
      if (profile.subject.commonName !== 'device-id')
        throw new KeysteadError('profile.requester-forbidden', {
          field: 'label',
          seen: `${client.kind}: ${profile.id}`,
        });
      requireBinding(rooms.policy, profile.id, request);
    });
    return { client, profile: profile.id };
  }

  return {
    caCertificates(label): DerCertificate[] {
      const issuing = label === undefined ? 'operational' : issuerOf(labelled(label));
      // The root in use first; then, after a change of its key, old with old, old with new and new with old.
      return [...hierarchy.anchors, ...hierarchy.chain(...new Set([issuing, 'server'] as const))];
    },
    async csrAttributes({ label, certificate, requestId }) {
      const profile = labelled(label);
      const client =
        certificate === undefined ? undefined : await access.identify(certificate, { requestId, what: 'csrattrs' });
      const known = client?.kind === 'device' && profile.subject.commonName === 'device-id';
      const wanted = known ? rooms.store.read((records) => wantedAlgorithm(records, client.id, profile.id)) : undefined;
      return csrAttributes({
        profile: preferring(profile, wanted),
        deviceId: known ? client.id : undefined,
        channelBinding: rooms.policy.est?.channelBinding?.includes(profile.id) ?? false,
      });
    },
    async enrol(request) {
      labelled(request.label);
      if (isAuthorised(request)) return authorised(request, 'enrol');
      const { client, profile } = await device(request, 'enrol');
      const { csr, requestId } = request;
      return outcomeOf(await authority.enrol({ client, profile, csr, requestId }));
    },
    async reenrol(request) {
      labelled(request.label);
      if (isAuthorised(request)) return authorised(request, 'reenrol');
      const { client, profile } = await device(request, 'reenrol');
      const { csr, requestId } = request;
      // RFC 7030 section 2.3: a client that cannot show what it renews authenticates as for its first enrolment, and
      // is held to the rules of that. strongSwan's client asks for nothing else once it shows a certificate.
      const recovers = client.kind === 'device' && client.profile === 'idevid';
      const order = { client, profile, csr, requestId };
      return outcomeOf(await (recovers ? authority.enrol(order) : authority.reenrol(order)));
    },
    async serverKey(request) {
      labelled(request.label);
      const { basic, certificate, csr, requestId } = request;
      const asked = { requestId, what: 'serverkeygen' };
      if (basic !== undefined) await authorisations.verifySecret(basic.id, basic.secret, 'est', requestId);
      if (basic !== undefined && certificate === undefined) {
        const error = new KeysteadError('server-key.recipient-missing', { field: 'client certificate', seen: 'none' });
        await access.refused(error, asked, { kind: 'authorised', id: basic.id });
        throw error;
      }
      const { client, profile } = await device(request, asked.what);
      return authority.serverKey({ client, profile, csr, requestId });
    },
    refused: (_certificate, error, requestId) => access.refused(error, { requestId, what: 'enrol' }),
  };
}

const isAuthorised = (request: EstRequest): request is Asked => request.basic !== undefined;

const outcomeOf = (outcome: Issued | Pending): EstIssued | EstPending =>
  'certificate' in outcome ? { certificate: outcome.certificate } : outcome;

/** @throws KeysteadError `est.label-unknown` for what is no profile, or none by which EST gives certificates. */
function labelledProfile(policy: Policy, label: string): Profile {
  const labels = policy.profiles.filter(({ subject, validity, issuer }) => {
    const named = subject.commonName === 'device-id' || subject.commonName === 'host';
    return named && validity.seconds !== 'none' && issuer !== 'manufacturing';
  });
  const profile = labels.find(({ id }) => id === label);
  if (profile !== undefined) return profile;
  const remedy = `the labels here are ${labels.map(({ id }) => id).join(', ')}`;
  throw new KeysteadError('est.label-unknown', { field: 'label', seen: label.slice(0, 64), remedy });
}

function issuerOf(profile: Profile): OnlineCa {
  const issuer = ONLINE_CAS.find((role) => role === profile.issuer);
  if (issuer === undefined) throw new KeysteadError('est.label-unknown', { field: 'label', seen: profile.id });
  return issuer;
}

/**
 * A challengePassword is a channel binding here and nothing else, so that one that was meant for another connection, or
 * that is a secret of something else, is never passed over. A request that is not well-formed is left to those after it.
 * @throws KeysteadError `est.channel-binding-missing`, `est.channel-binding-wrong`, `csr.*`.
 */
function requireBinding(policy: Policy, profile: string, { csr, binding }: EstRequest): void {
  const { challengePassword } = parseCsr(csr);
  if (challengePassword === undefined) {
    if (policy.est?.channelBinding?.includes(profile) !== true) return;
    throw new KeysteadError('est.channel-binding-missing', { field: 'challengePassword', seen: 'none' });
  }
  if (challengePassword !== binding())
    throw new KeysteadError('est.channel-binding-wrong', { field: 'challengePassword' });
}

/** @throws KeysteadError `csr.subject-mismatch` when the certificate that is shown is another device's, or a person's. */
function requireSameDevice(client: Client | undefined, subject: ReturnType<typeof askedSubject>): void {
  if (client === undefined || !('deviceId' in subject)) return;
  if (client.kind === 'device' && client.id === subject.deviceId) return;
  throw new KeysteadError('csr.subject-mismatch', { field: 'client certificate', seen: `of ${client.id}` });
}
