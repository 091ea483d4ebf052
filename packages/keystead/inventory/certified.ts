import type { SpkiSha256 } from '@keystead/core/bytes';
import { type DerSpki, fromBase64 } from '@keystead/core/bytes';
import { spkiSha256 as hashOfSpki } from '@keystead/core/crypto';
import {
  cryptoperiodOf,
  generatedKey,
  KEY_PURPOSE_IDS,
  KEY_TRANSITIONS,
  type KeyPurposeId,
  type KeyRecord,
  type KeyStanding,
  type KeyStep,
  keyPurpose,
  latestDate,
  operatorOf,
  type Policy,
  purposeOfProfile,
  STRENGTH_BITS,
  stepKey,
  usagePeriods,
} from '@keystead/core/lifecycle';
import type { CertifiedKey, Device, JournalCertificate, KeyUse, ServiceKey } from '../store/index.ts';

import { type FactoryKeys, factorySteps } from './factory.ts';

/*
 * The records of keys that have a certificate are not kept, they are read off: from the certificate's row, its
 * successor's, and the device's. So they are never behind, and issuing writes nothing more (docs/decisions/0015).
 */

/** Where the key is, of which only its holder can tell. */
const NOT_ATTESTED = 'not attested';
/**
 * The owner of serve's own TLS keys. Those that it keeps have rows of their own; the others live in its memory and are gone
 * when the next is made.
 */
export const SERVE_TLS = 'system:keystead serve';

/** What the key of a certificate by a profile is for, also when the profile has left the policy. */
export function purposeOf(policy: Policy, profileId: string): KeyPurposeId {
  const profile = policy.profiles.find(({ id }) => id === profileId);
  if (profile !== undefined) return purposeOfProfile(profile);
  return KEY_PURPOSE_IDS.find((id) => keyPurpose(id).profiles.includes(profileId)) ?? 'evidence-signer';
}

/** The records of every key that a device ever had certified, oldest first; the algorithms are left to the caller. */
export function deviceKeys(policy: Policy, device: Device, certified: readonly CertifiedKey[]): KeyRecord[] {
  return certified.map((one, index) => {
    const next = certified.slice(index + 1).find(({ profile }) => profile === one.profile);
    const steps: KeyStep[] = [...revocationSteps(one)];
    if (next !== undefined) steps.push({ event: 'deactivate', at: next.issuedAt });
    if (device.state === 'stolen') steps.push({ event: 'compromise', at: device.changedAt });
    if (device.state === 'decommissioned') steps.push({ event: 'destroy', at: device.changedAt });
    const made = record(policy, one, {
      owner: `device:${device.deviceId}`,
      custody: 'device',
      standing: follow(one.issuedAt, steps),
      successor: next?.spkiSha256 ?? null,
    });
    // Of the key that the device was provisioned with it is known; those of later certificates were made by it alone.
    if (one.serial !== device.idevidSerial) return made;
    return { ...made, evidence: { ...made.evidence, keyOrigin: device.keyOrigin } };
  });
}

/** The record of a key of a person or a server. @param next what took over, where that is known. @param factory of a factory's key. */
export function serviceKey(
  policy: Policy,
  key: ServiceKey,
  next: { readonly spkiSha256: SpkiSha256; readonly issuedAt: number } | undefined,
  factory?: FactoryKeys,
): KeyRecord {
  if (key.operator !== null) return personKey(policy, key, key.operator);
  const own = key.owner === SERVE_TLS;
  const steps: KeyStep[] = [...revocationSteps(key), ...factorySteps(factory)];
  // Of another server nobody knows whether a later certificate for its name replaces this one.
  if (own && next !== undefined) steps.push({ event: 'destroy', at: next.issuedAt });
  return record(policy, key, {
    owner: key.owner,
    custody: own ? 'memory' : (factory?.custody ?? NOT_ATTESTED),
    standing: follow(key.firstSeen, steps),
    successor: own ? (next?.spkiSha256 ?? null) : null,
  });
}

/** A person keeps one key through many certificates; the policy says which key that is, and when it is another one. */
function personKey(policy: Policy, key: ServiceKey, name: string): KeyRecord {
  const named = personKeyIn(policy, name);
  const steps: KeyStep[] = [...revocationSteps(key)];
  if (named !== key.spkiSha256) steps.push({ event: 'deactivate', at: Date.parse(policy.issued) });
  const made = record(policy, key, {
    owner: key.owner,
    custody: NOT_ATTESTED,
    standing: follow(key.firstSeen, steps),
    successor: named === key.spkiSha256 ? null : named,
  });
  return { ...made, ...usagePeriods(cryptoperiodOf(policy, 'operator'), key.firstSeen) };
}

/** The hash of the key that the policy names for a person, or null. */
export function personKeyIn(policy: Policy, name: string): SpkiSha256 | null {
  const operator = operatorOf(policy, name);
  return operator === undefined ? null : hashOfSpki(fromBase64(operator.spki) as DerSpki);
}

/** The record of a person's key that stands in the policy and has no certificate yet. */
export function awaitedPersonKey(policy: Policy, name: string, spkiSha256: SpkiSha256): KeyRecord {
  const { state, dates } = generatedKey(Date.parse(policy.issued));
  return {
    id: spkiSha256,
    spkiSha256,
    purpose: 'operator',
    algorithm: '',
    strengthBits: 0,
    custody: NOT_ATTESTED,
    fips140: NOT_ATTESTED,
    owner: `operator:${name}`,
    state,
    dates,
    originatorEnd: null,
    recipientEnd: null,
    successor: null,
    evidence: { policy: policy.version },
  };
}

/**
 * The record of a key whose certificate stands in keyd's journal only: an OCSP responder's, which lives in keyd's
 * memory until the next is made; or one that was certified and given to nobody, for which its owner may ask again.
 */
export function journalKey(
  policy: Policy,
  made: JournalCertificate,
  use: KeyUse | undefined,
  next: JournalCertificate | undefined,
): KeyRecord {
  const { signedAt, notAfter, subject } = made;
  const certified = { ...made, notAfter, issuedAt: signedAt };
  if (made.fate === 'abandoned') {
    const standing = generatedKey(signedAt);
    const device = use?.owner.startsWith('device:') === true;
    const pending = record(policy, certified, {
      owner: use?.owner ?? subject,
      custody: device ? 'device' : NOT_ATTESTED,
      standing,
      successor: null,
    });
    return {
      ...pending,
      originatorEnd: null,
      recipientEnd: null,
      evidence: { ...pending.evidence, given: 'to nobody' },
    };
  }
  const steps: KeyStep[] = next === undefined ? [] : [{ event: 'destroy', at: next.signedAt }];
  const responder = record(policy, certified, {
    owner: 'system:keyd',
    custody: 'memory',
    standing: follow(signedAt, steps),
    successor: next?.spkiSha256 ?? null,
  });
  return { ...responder, algorithm: 'P-256', strengthBits: STRENGTH_BITS['P-256'] };
}

function record(
  policy: Policy,
  one: Pick<CertifiedKey, 'spkiSha256' | 'profile' | 'issuer' | 'serial' | 'notAfter' | 'subject' | 'requestId'>,
  more: { owner: string; custody: string; standing: KeyStanding; successor: string | null },
): KeyRecord {
  const { standing, ...rest } = more;
  const purpose = purposeOf(policy, one.profile);
  const { generatedAt, activatedAt } = standing.dates;
  return {
    id: one.spkiSha256,
    spkiSha256: one.spkiSha256,
    purpose,
    algorithm: '',
    strengthBits: 0,
    fips140: NOT_ATTESTED,
    ...rest,
    ...standing,
    ...usagePeriods(cryptoperiodOf(policy, purpose), activatedAt ?? generatedAt, one.notAfter),
    evidence: {
      profile: one.profile,
      subject: one.subject,
      issuer: one.issuer,
      serial: one.serial,
      notAfter: new Date(one.notAfter).toISOString(),
      requestId: one.requestId,
    },
  };
}

/** What a revocation says of the key: a compromise is one, a hold suspends, any other reason ends its use. */
function revocationSteps({ status, revokedAt, reason }: CertifiedKey): KeyStep[] {
  if (status === 'good' || revokedAt === null) return [];
  if (status === 'hold') return [{ event: 'suspend', at: revokedAt }];
  const compromised = reason === 'keyCompromise' || reason === 'cACompromise';
  return [{ event: compromised ? 'compromise' : 'deactivate', at: revokedAt }];
}

/**
 * The standing of a key that was generated and came into use at `at`, after what happened to it, in the order of time.
 * What the table does not allow any more has no effect: a key that was reported compromised is not compromised again
 * when its device is.
 */
export function follow(at: number, steps: readonly KeyStep[]): KeyStanding {
  let standing = stepKey(generatedKey(at), { event: 'activate', at });
  for (const step of steps.toSorted((a, b) => a.at - b.at)) {
    const { state } = standing;
    if (!KEY_TRANSITIONS.some(({ from, event }) => from === state && event === step.event)) continue;
    standing = stepKey(standing, { event: step.event, at: Math.max(step.at, latestDate(standing.dates)) });
  }
  return standing;
}
