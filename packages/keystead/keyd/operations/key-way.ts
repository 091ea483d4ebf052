import type { DerSpki, SpkiSha256 } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type BatchTicket, type Policy, requireTicketKeyOrigin, type SignedTicket } from '@keystead/core/lifecycle';
import type { KeyOrigin, UnitAtLine } from '../attestation/index.ts';
import type { KeydContext } from '../context.ts';
import type { MadeKey } from '../injections.ts';
import type { Params } from '../protocol.ts';

/** What the record will say of the key, and by what the chip is known again, where one was shown. */
export interface KeyWay {
  readonly origin: KeyOrigin;
  readonly chips?: readonly string[];
}

/**
 * By which way the unit came to this key, as keyd finds it: what the front end says only names the evidence. A key that
 * keyd made is `injected` whatever was said of it. The first that holds, in the order of preference; each is allowed by
 * ticket and policy, or the unit is refused. REQ-KEY-GEN-03
 * @param spki of the request, whose proof of possession holds.
 * @throws KeysteadError `attestation.*`, `element.*`, `injection.*`, `key.already-used`, `request.malformed`.
 */
export function keyWay(
  keyd: KeydContext,
  { signed, unit }: { readonly signed: SignedTicket; readonly unit: UnitAtLine },
  spki: DerSpki,
  { attestation, way }: Pick<Params<'provision'>, 'attestation' | 'way'>,
  now: Date,
): KeyWay {
  try {
    if (attestation !== undefined && way !== undefined)
      throw new KeysteadError('request.malformed', { field: 'way', seen: 'one beside attestation' });
    const made = keyd.state.injections.madeWith(spkiSha256(spki));
    if (made !== undefined && (attestation !== undefined || way?.kind === 'secure-element'))
      throw new KeysteadError('element.key-refused', { field: 'csr', seen: 'a key that keyd made' });
    const found = wayOf(keyd, unit, spki, made, { attestation, way }, now);
    const { origin } = found.origin;
    requireKeyOrigin(signed.ticket, origin);
    requireProofDemanded(keyd.policy, signed, origin);
    if (origin === 'injected') requireInjectable(keyd.policy, signed);
    return found;
  } finally {
    attestation?.secret.fill(0);
  }
}

function wayOf(
  keyd: KeydContext,
  unit: UnitAtLine,
  spki: DerSpki,
  made: MadeKey | undefined,
  { attestation, way }: Pick<Params<'provision'>, 'attestation' | 'way'>,
  now: Date,
): KeyWay {
  if (attestation !== undefined)
    return { origin: keyd.attestation.verify(attestation.challengeId, unit, spki, attestation.secret, now) };
  if (way?.kind === 'secure-element') {
    const { key, chip } = keyd.elements.verify(unit, spki, way.chain, way.statement, now);
    return { origin: key, chips: chip.ids };
  }
  if (made !== undefined) return injected(made, unit);
  if (way === undefined) return { origin: { origin: 'proof-of-possession' } };
  throw new KeysteadError('injection.none', { field: 'csr', seen: 'a key that keyd did not make' });
}

function injected({ deviceId, recipientSha256, packageSha256, chip }: MadeKey, unit: UnitAtLine): KeyWay {
  if (deviceId !== unit.deviceId)
    throw new KeysteadError('key.already-used', { field: 'csr', seen: `the key of ${deviceId}` });
  return {
    origin: {
      origin: 'injected',
      wrappedTo: recipientSha256,
      packageSha256,
      ...(chip === undefined ? {} : { chip: chip as NonNullable<Extract<KeyOrigin, { origin: 'injected' }>['chip']> }),
    },
  };
}

/**
 * That ticket and policy demand no proof of hardware which this way does not give. REQ-KEY-GEN-03
 * @throws KeysteadError `attestation.required`.
 */
export function requireProofDemanded(policy: Policy, { ticket }: SignedTicket, origin: KeyOrigin['origin']): void {
  if (origin === 'tpm2-attested' || origin === 'secure-element') return;
  if (ticket.attestation === 'required')
    throw new KeysteadError('attestation.required', { field: 'ticket', seen: ticket.id });
  if (policy.attestation?.required === true)
    throw new KeysteadError('attestation.required', { field: 'policy', seen: 'attestation.required: true' });
}

/** That keyd may make keys by the ticket's profile. @throws KeysteadError `injection.forbidden`. */
export function requireInjectable({ unitKeys }: Policy, { ticket: { profile } }: SignedTicket): void {
  if ((unitKeys?.injected ?? []).includes(profile)) return;
  throw new KeysteadError('injection.forbidden', { field: 'policy', seen: `unitKeys.injected without ${profile}` });
}

/** The origin with the check values of the symmetric keys that the device can have, where the policy has purposes. */
export async function withSymmetric(
  keyd: KeydContext,
  origin: KeyOrigin,
  deviceId: string,
  identity: SpkiSha256,
  now: Date,
): Promise<KeyOrigin> {
  const keys = keyd.policy.unitKeys?.diversified ?? [];
  if (keys.length === 0) return origin;
  return { ...origin, symmetric: await keyd.diversification.facts(keys, deviceId, identity, now) };
}

/**
 * That the ticket allows this way. A ticket that names none allows all but `injected`, which must be meant.
 * @throws KeysteadError `ticket.key-origin-forbidden`, `injection.forbidden`.
 */
export function requireKeyOrigin(ticket: BatchTicket, origin: KeyOrigin['origin']): void {
  requireTicketKeyOrigin(ticket, origin);
  if (origin !== 'injected' || ticket.keyOrigins !== undefined) return;
  throw new KeysteadError('injection.forbidden', { field: 'ticket', seen: `${ticket.id}, which names no keyOrigins` });
}
