import { type DerSpki, fromBase64, sameBytes } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  issuerKeyId,
  ONLINE_CAS,
  type OnlineCa,
  operatorOf,
  profileOf,
  requireAuthorisationTime,
  requireAuthorisedNames,
  type SignedAuthorisation,
} from '@keystead/core/lifecycle';
import { checkDeviceId, type Named, type Profile, parseRequest, requestSha256 } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import { requireDeviceMessage } from '../device-message.ts';
import { requireHeadquarters, requireOurHosts } from '../factory/node.ts';
import type { Params, Result } from '../protocol.ts';
import { requireStationOrder } from '../station-order.ts';

/**
 * Issues one certificate on request. Which profiles can be asked for at all is decided by what they make, not by
 * what they are called: a certificate that names its requester (a device, a host, a person), ends, is no CA and
 * signs nothing for others. REQ-KEY-STO-03
 * @throws KeysteadError `factory.not-here`, `factory.host-outside`, `authorisation.*`, `station-order.*`, `profile.unknown`, `profile.not-requestable`, `profile.requester-forbidden`, `requester.*`,
 *   `operator.*`, `csr.*`, `key.*`, `name.malformed`, `clock.went-back`, `keyd.journal-failed`.
 */
export async function issue(keyd: KeydContext, params: Params<'issue'>): Promise<Result<'issue'>> {
  const now = keyd.now();
  const profile = profileOf(keyd.policy, params.profile);
  const issuer = requestableFrom(profile);
  const { requester, requestId } = params;
  requireIssuedHere(keyd, issuer, requester.kind);
  if (requester.message !== undefined && requester.kind !== 'device') {
    throw new KeysteadError('request.malformed', { field: 'requester.message', seen: requester.kind });
  }
  const authorisation = authorisationOf(keyd, params, now);
  if (!profile.requesters.includes(requester.kind)) {
    throw new KeysteadError('profile.requester-forbidden', { field: 'requester.kind', seen: requester.kind });
  }
  const named =
    authorisation === undefined ? nameFor(keyd, profile, params, now) : namedBy(keyd, authorisation, params);
  requireOurHosts(keyd.hierarchy.node, named.hosts ?? []);
  requireStationOrder(keyd, profile, params, now);
  const spki = await keyd.checks.request({ csr: params.csr, format: params.format, profile: profile.id, named });
  if (named.person !== undefined) requireOperatorKey(keyd, named.person, spki);
  const subject = named.deviceId ?? named.person ?? named.hosts?.[0] ?? requester.id;
  if (authorisation === undefined) return keyd.issuing(issuer).issue({ profile, named, spki, now, subject, requestId });
  const { content, sha256: hash } = authorisation;
  // Before a use is taken: one that could not be signed would be lost.
  keyd.ledger.require(issuerKeyId(keyd.issuing(issuer).id), 'protect', now);
  keyd.state.authorisations.take(authorisation, spkiSha256(spki));
  const by = { id: content.id, sha256: hash };
  return keyd.issuing(issuer).issue({ profile, named, spki, now, subject, requestId, authorisation: by });
}

/**
 * A factory node has no CA for devices in the field, nor for people, and nobody has authorised anything there.
 * @throws KeysteadError `factory.not-here`.
 */
export function requireIssuedHere(
  keyd: KeydContext,
  issuer: OnlineCa,
  kind: Params<'issue'>['requester']['kind'],
): void {
  const { node } = keyd.hierarchy;
  if (node === undefined) return;
  if (kind === 'authorised') requireHeadquarters(node, 'requester.kind', 'an enrolment by authorisation');
  if (issuer !== 'server') requireHeadquarters(node, 'profile', `a certificate of the ${issuer} CA`);
}

/**
 * The CA that issues a profile on request.
 * @throws KeysteadError `profile.not-requestable` for CAs, for signers of OCSP, evidence and transcripts (their
 *   subject is fixed), and for what has no end: IDevIDs are given only for a ticket, by `provision`.
 */
export function requestableFrom(profile: Profile): OnlineCa {
  const issuer = ONLINE_CAS.find((role) => role === profile.issuer);
  const refusal =
    (profile.ca !== false && 'a CA') ||
    (typeof profile.subject.commonName !== 'string' && !isRa(profile) && 'a signer of keyd or of a ceremony') ||
    (profile.extKeyUsage.includes('OCSPSigning') && 'an OCSP responder') ||
    (profile.validity.seconds === 'none' && 'a certificate without an end') ||
    (issuer === 'manufacturing' && 'a certificate of the factory: use a ticket');
  if (issuer === undefined || refusal !== false) {
    throw new KeysteadError('profile.not-requestable', {
      field: 'profile',
      seen: `${profile.id}: ${refusal || `issued by ${profile.issuer}`}`,
    });
  }
  return issuer;
}

/**
 * The registration authorities of the front end have a fixed subject as well. What makes their certificates harmless to
 * ask for is what they are good for: to sign answers of CMP, and to open and answer SCEP; and the front end says in those
 * what it likes anyhow.
 */
const isRa = ({ extKeyUsage, keyUsage, requesters }: Profile): boolean =>
  extKeyUsage.join() === 'cmcRA' &&
  keyUsage.every((one) => one === 'digitalSignature' || one === 'keyEncipherment') &&
  requesters.join() === 'system';

/**
 * The authorisation that a request of somebody without a certificate comes under, verified, and good for it now.
 * @throws KeysteadError `authorisation.*`, `request.malformed`.
 */
function authorisationOf(keyd: KeydContext, params: Params<'issue'>, now: Date): SignedAuthorisation | undefined {
  const { kind, id, authorisation: text } = params.requester;
  if ((kind === 'authorised') !== (text !== undefined)) {
    throw new KeysteadError('request.malformed', { field: 'requester.authorisation', seen: kind });
  }
  if (text === undefined) return undefined;
  const signed = keyd.authorisation(text);
  const { content } = signed;
  if (content.id !== id) throw new KeysteadError('request.malformed', { field: 'requester.id', seen: id });
  requireAuthorisationTime(content, now);
  keyd.count.require();
  keyd.state.lapses.requireAfterRestore(content, 'authorisation');
  if (content.profile !== params.profile) {
    throw new KeysteadError('authorisation.profile-forbidden', { field: 'profile', seen: params.profile });
  }
  if (content.approval) throw new KeysteadError('authorisation.needs-approval', { field: 'csr', seen: content.id });
  if (
    content.request !== undefined &&
    content.request.sha256 !== requestSha256(parseRequest(params.csr, params.format))
  ) {
    throw new KeysteadError('authorisation.request-differs', { field: 'csr', seen: content.request.under });
  }
  return signed;
}

/** The names that an authorisation allows for this request. A device must be one that was provisioned here. */
function namedBy(keyd: KeydContext, { content }: SignedAuthorisation, { requester, hosts }: Params<'issue'>): Named {
  if ((requester.deviceId === undefined) === (hosts === undefined)) {
    throw new KeysteadError('request.malformed', { field: 'hosts', seen: 'both or neither of hosts and deviceId' });
  }
  if (requester.deviceId === undefined) {
    requireAuthorisedNames(content, { hosts: hosts ?? [] });
    return { hosts: hosts ?? [] };
  }
  const deviceId = checkDeviceId(requester.deviceId);
  requireAuthorisedNames(content, { deviceId });
  const idevid = keyd.state.units.idevidOf(deviceId);
  if (idevid === undefined) throw new KeysteadError('device.unknown', { field: 'deviceId', seen: deviceId });
  const taken = keyd.state.factories.idevidOf(deviceId);
  if (taken !== undefined) keyd.requesters.factoryUnit({ id: deviceId, ...taken });
  if (keyd.state.isListed(idevid.issuer, idevid.serial)) {
    throw new KeysteadError('requester.revoked', { field: 'deviceId', seen: idevid.serial });
  }
  return { deviceId };
}

/** The identity that the requester has proven, or that the policy knows, in the place that the profile has for it. */
function nameFor(keyd: KeydContext, profile: Profile, params: Params<'issue'>, now: Date): Named {
  const { requester, hosts } = params;
  const kind = profile.subject.commonName;
  if (hosts !== undefined && kind !== 'host')
    throw new KeysteadError('request.malformed', { field: 'hosts', seen: profile.id });
  if (kind === 'device-id') {
    if (requester.kind !== 'device') {
      throw new KeysteadError('profile.requester-forbidden', { field: 'requester.kind', seen: requester.kind });
    }
    keyd.requesters.check('device', requester.id, requester.certificate, now);
    requireDeviceMessage(keyd.policy, params, now);
    return { deviceId: requester.id };
  }
  if (kind === 'person') return { person: requester.id };
  if (typeof kind !== 'string') return {};
  if (requester.kind !== 'system') keyd.requesters.check('operator', requester.id, requester.certificate, now);
  return { hosts: hosts ?? [] };
}

/**
 * A person gets a certificate for the key that the ceremony's policy names, and for no other: a front end cannot
 * make itself an operator.
 */
function requireOperatorKey(keyd: KeydContext, name: string, spki: DerSpki): void {
  const operator = operatorOf(keyd.policy, name);
  if (operator === undefined) throw new KeysteadError('operator.unknown', { field: 'requester.id', seen: name });
  if (!sameBytes(fromBase64(operator.spki), spki))
    throw new KeysteadError('operator.key-differs', { field: 'csr', seen: name });
}
