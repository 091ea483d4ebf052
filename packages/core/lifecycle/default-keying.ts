import type { Profile } from '../x509/index.ts';
import { KEY_PURPOSE_IDS, type KeyPurposeId, keyPurpose, type Period, purposeOfProfile } from './key-purposes.ts';
import type { KeyCustody } from './keying.ts';
import type { Policy } from './policy.ts';
import type { Role } from './roles.ts';

const DAY = 86_400;
const YEAR = 365 * DAY;

/** For keys that no certificate ends. The rest is taken from the profiles, so that a short life is short all through. */
const PERIODS: Partial<Record<KeyPurposeId, readonly [originator: Period, recipient: Period]>> = {
  'evidence-signer': [3 * YEAR, 30 * YEAR],
  // Each ceremony certifies the key again, for at most two years.
  'root-crl-signer': [10 * YEAR, 10 * YEAR],
  'firmware-signer': [3 * YEAR, 30 * YEAR],
  'trust-bundle-signer': [10 * YEAR, 10 * YEAR],
  // The certificate of each token was made in the year before.
  'tsa-signer': [3 * YEAR, 15 * YEAR],
  'tuf-online': [2 * YEAR, 2 * YEAR],
  'transcript-signer': [7 * DAY, 30 * YEAR],
  log: [10 * YEAR, 40 * YEAR],
  'log-cosign': [10 * YEAR, 40 * YEAR],
  // Each certificate is shorter; a key that devices pin goes through several.
  'tls-server': [2 * YEAR, 2 * YEAR],
  operator: [3 * YEAR, 30 * YEAR],
  station: [3 * YEAR, 3 * YEAR],
  'device-storage': ['none', 'none'],
  session: [DAY, DAY],
  'keyd-channel': [2 * YEAR, 2 * YEAR],
  'keystore-master': [2 * YEAR, 5 * YEAR],
  backup: [2 * YEAR, 5 * YEAR],
  wrapping: [2 * YEAR, 5 * YEAR],
};

const ROOTS: readonly KeyCustody[] = ['pkcs11', 'sealed-file'];
const KEYD: readonly KeyCustody[] = ['pkcs11', 'tpm2', 'sealed-file'];
const PEOPLE: readonly KeyCustody[] = ['pkcs11', 'sealed-file'];
const PLACES: Readonly<Record<KeyPurposeId, readonly KeyCustody[]>> = {
  'root-ca': ROOTS,
  'signing-root-ca': ROOTS,
  'manufacturing-ca': KEYD,
  'operational-ca': KEYD,
  'server-ca': KEYD,
  'operator-ca': KEYD,
  'root-crl-signer': KEYD,
  'firmware-signer': KEYD,
  'trust-bundle-signer': KEYD,
  'ocsp-responder': ['memory'],
  'evidence-signer': KEYD,
  'tsa-signer': KEYD,
  'tuf-online': KEYD,
  'transcript-signer': ['memory'],
  log: KEYD,
  'log-cosign': KEYD,
  'tls-server': ['memory', 'pkcs11', 'tpm2', 'sealed-file'],
  operator: PEOPLE,
  station: ['tpm2', 'pkcs11', 'sealed-file'],
  'device-idevid': ['device', 'tpm2'],
  'device-ldevid': ['device', 'tpm2'],
  'device-storage': ['device', 'tpm2'],
  session: ['memory'],
  'keyd-channel': ['memory', 'sealed-file'],
  'keystore-master': ['memory', 'tpm2'],
  backup: ['memory'],
  wrapping: ['memory', 'pkcs11'],
};

/**
 * How keys are kept, unless a policy says otherwise. Cryptoperiods follow the profiles: a key may protect for as long
 * as its certificate is valid.
 */
export function defaultKeying(
  profiles: readonly Profile[],
  demonstration: boolean,
): Pick<
  Policy,
  'demonstration' | 'document' | 'cryptoperiods' | 'custody' | 'strengths' | 'quorums' | 'approvals' | 'grace'
> {
  const approvals = demonstration ? 1 : 2;
  const quorum = (...roles: Role[]) => ({ approvals, roles });
  return {
    demonstration,
    document: { id: 'KMP-001', owner: 'Product security', reviewSeconds: YEAR },
    cryptoperiods: KEY_PURPOSE_IDS.map((purpose) => cryptoperiod(purpose, profiles)),
    custody: KEY_PURPOSE_IDS.map((purpose) => ({
      purpose,
      owner: keyPurpose(purpose).owner,
      allowed: [...PLACES[purpose]],
      fips140: 'none',
    })),
    strengths: {
      acceptedBits: 112,
      issuedBits: 128,
      purposes: [
        { purpose: 'root-ca', bits: 192 },
        { purpose: 'signing-root-ca', bits: 192 },
        { purpose: 'transcript-signer', bits: 192 },
      ],
    },
    quorums: {
      'policy-change': quorum('policy-administrator', 'approver'),
      restore: quorum('custodian'),
      'ca-rotation': quorum('policy-administrator', 'approver'),
      'ca-revocation': quorum('policy-administrator', 'approver'),
      'firmware-signing': quorum('approver'),
      'ceremony-witnesses': quorum(),
    },
    approvals: { maxSeconds: 30 * DAY },
    grace: { renewalSeconds: 30 * DAY, suspendedSeconds: 30 * DAY },
  };
}

function cryptoperiod(purpose: KeyPurposeId, profiles: readonly Profile[]): Policy['cryptoperiods'][number] {
  const lives = profiles
    .filter((profile) => purposeOfProfile(profile) === purpose)
    .map((profile): Period => profile.validity.seconds);
  const life = lives.includes('none') ? 'none' : Math.max(1, ...lives.map(Number));
  const [originator, recipient] = PERIODS[purpose] ?? [life, life];
  return {
    purpose,
    originatorSeconds: originator,
    recipientSeconds: recipient,
    // A tenth of the period, but never more than 90 days: long enough to hold a ceremony.
    warnSeconds: originator === 'none' ? 0 : Math.min(90 * DAY, Math.floor(originator / 10)),
  };
}
