import type { Profile } from '../x509/index.ts';
import type { Role } from './roles.ts';

const DAY = 86_400;
const YEAR = 365 * DAY;

/** The kinds of key of SP 800-57 pt 1 r5 section 5.1.1 that occur here. */
export type KeyType =
  | 'private signature key'
  | 'private authentication key'
  | 'symmetric authentication key'
  | 'symmetric data-encryption key'
  | 'symmetric key-wrapping key'
  | 'symmetric master key';

/** A time in seconds; `none` for a key that lives as long as the device that made it. */
export type Period = number | 'none';

export interface KeyPurpose {
  /** What people call the key. */
  readonly title: string;
  /** What it protects, as the sentence of a document. */
  readonly use: string;
  readonly keyType: KeyType;
  /** The role that answers for the key unless the policy names another. */
  readonly owner: Role;
  /** Ids of the profiles that certify such keys. */
  readonly profiles: readonly string[];
  /** The longest periods that a policy may give, and why where that is more than table 1 suggests. */
  readonly ceiling: { readonly originator: Period; readonly recipient: Period; readonly why: string };
  /** What happens when the originator usage period is over. */
  readonly atEnd: string;
}

/**
 * SP 800-57 pt 1 r5 section 5.3.6, table 1. Where a ceiling is longer, `why` says so: the table is a suggestion for
 * keys in ordinary surroundings, and a document that hid the difference would be worth little.
 */
const SIGNATURE = 'table 1: private signature key, 1 to 3 years';
const AUTHENTICATION = 'table 1: private authentication key, 1 to 2 years';
const STORAGE = 'table 1: symmetric encryption and wrapping, up to 2 years, and 3 more to read';
const SELDOM =
  'longer than the 1 to 3 years of table 1: offline, seldom used, and pinned in devices that cannot change their anchor often';
const ONLINE =
  'longer than the 1 to 3 years of table 1: signs inside fixed profiles only, each use journalled, and devices that stay long out of reach must still chain to it';
const VERIFIED_LATER =
  'what it signed is evidence for as long as the records of a device must be kept: verification may go on';

const KEYD_REFUSES = 'keyd signs no further certificate with it; CRLs and OCSP go on until its certificate ends';
const CERTIFICATE_ENDS = 'its certificate has ended by then, and every peer refuses it';
const INVENTORY_WARNS = 'the inventory reports it as overdue';

/**
 * Every kind of key that there is. A policy gives each its cryptoperiod, custody and owner: none is left out, since a
 * key without a rule is a key without an end. REQ-KEY-POL-01
 */
export const KEY_PURPOSES = {
  'root-ca': {
    title: 'root CA',
    use: 'signs the certificates of the online CAs, and its own CRL, in ceremonies',
    keyType: 'private signature key',
    owner: 'policy-administrator',
    profiles: ['root-ca'],
    ceiling: { originator: 30 * YEAR, recipient: 30 * YEAR, why: SELDOM },
    atEnd: INVENTORY_WARNS,
  },
  'signing-root-ca': {
    title: 'signing root CA',
    use: 'anchor of firmware signatures, in a tree of its own',
    keyType: 'private signature key',
    owner: 'policy-administrator',
    profiles: ['signing-root-ca'],
    ceiling: { originator: 30 * YEAR, recipient: 30 * YEAR, why: SELDOM },
    atEnd: INVENTORY_WARNS,
  },
  'manufacturing-ca': {
    title: 'manufacturing CA',
    use: 'signs the initial identities of devices at the factory',
    keyType: 'private signature key',
    owner: 'ca-operator',
    profiles: ['manufacturing-ca', 'factory-manufacturing-ca'],
    ceiling: { originator: 20 * YEAR, recipient: 20 * YEAR, why: ONLINE },
    atEnd: KEYD_REFUSES,
  },
  'operational-ca': {
    title: 'operational CA',
    use: 'signs the short-lived identities of devices in the field',
    keyType: 'private signature key',
    owner: 'ca-operator',
    profiles: ['operational-ca'],
    ceiling: { originator: 15 * YEAR, recipient: 15 * YEAR, why: ONLINE },
    atEnd: KEYD_REFUSES,
  },
  'server-ca': {
    title: 'server CA',
    use: 'signs the certificates of TLS servers and of the evidence signer',
    keyType: 'private signature key',
    owner: 'ca-operator',
    profiles: ['server-ca', 'factory-server-ca'],
    ceiling: { originator: 15 * YEAR, recipient: 15 * YEAR, why: ONLINE },
    atEnd: KEYD_REFUSES,
  },
  'operator-ca': {
    title: 'operator CA',
    use: 'signs the certificates of the people who work with Keystead',
    keyType: 'private signature key',
    owner: 'ca-operator',
    profiles: ['operator-ca'],
    ceiling: { originator: 15 * YEAR, recipient: 15 * YEAR, why: ONLINE },
    atEnd: KEYD_REFUSES,
  },
  'root-crl-signer': {
    title: 'signer of the CRL of the root',
    use: 'signs the indirect CRL of the root between ceremonies (RFC 5280 section 5.2.5), and nothing else',
    keyType: 'private signature key',
    owner: 'ca-operator',
    profiles: ['root-crl-signer'],
    ceiling: {
      originator: 15 * YEAR,
      recipient: 15 * YEAR,
      why: 'longer than table 1: it signs one list of a few entries, whose content keyd alone decides, by certificates that each end within two years',
    },
    atEnd: 'keyd signs no further list with it',
  },
  'firmware-signer': {
    title: 'signer of firmware',
    use: 'signs firmware of one product in one environment, by order of a quorum',
    keyType: 'private signature key',
    owner: 'release-engineer',
    profiles: ['firmware-signer'],
    ceiling: {
      originator: 5 * YEAR,
      recipient: 40 * YEAR,
      why: `longer than table 1: each use takes several people, and devices know few keys; ${VERIFIED_LATER}`,
    },
    atEnd: 'keyd signs no further firmware with it; what it signed stays as the devices trust it',
  },
  'trust-bundle-signer': {
    title: 'signer of trust bundles',
    use: 'signs what devices go by: anchors, pins, the next signers, the least firmware, the revocation filter',
    keyType: 'private signature key',
    owner: 'ca-operator',
    profiles: [],
    ceiling: {
      originator: 15 * YEAR,
      recipient: 15 * YEAR,
      why: 'longer than table 1: it signs content that a quorum has ordered, each time journalled, and devices that stay long out of reach must still know it',
    },
    atEnd: 'keyd signs no further bundle with it; devices stop believing it when its window in the bundles ends',
  },
  'ocsp-responder': {
    title: 'OCSP responder',
    use: 'signs answers on the status of certificates, delegated by one CA (RFC 6960 section 4.2.2.2)',
    keyType: 'private signature key',
    owner: 'ca-operator',
    profiles: ['ocsp-responder'],
    ceiling: { originator: 30 * DAY, recipient: 30 * DAY, why: 'its certificate cannot be revoked, so it is short' },
    atEnd: 'keyd makes the next key by itself',
  },
  'evidence-signer': {
    title: 'evidence signer',
    use: 'signs provisioning records and evidence of decommissioning',
    keyType: 'private signature key',
    owner: 'ca-operator',
    profiles: ['evidence-signer'],
    ceiling: { originator: 3 * YEAR, recipient: 40 * YEAR, why: `${SIGNATURE}; ${VERIFIED_LATER}` },
    atEnd: 'keyd signs no further record with it',
  },
  'tsa-signer': {
    title: 'time-stamping authority',
    use: 'signs time stamps (RFC 3161), so that a signature is known to be older than the end of its certificate',
    keyType: 'private signature key',
    owner: 'ca-operator',
    profiles: ['tsa-signer'],
    ceiling: { originator: 3 * YEAR, recipient: 15 * YEAR, why: `${SIGNATURE}; ${VERIFIED_LATER}` },
    atEnd: 'keyd signs no further time stamp with it',
  },
  'tuf-online': {
    title: 'online key of an update repository',
    use: 'signs snapshot and timestamp of an update repository (TUF): what is in force, and until when that may be believed',
    keyType: 'private signature key',
    owner: 'release-engineer',
    profiles: [],
    ceiling: { originator: 3 * YEAR, recipient: 3 * YEAR, why: SIGNATURE },
    atEnd:
      'keyd signs no further timestamp with it, and clients stop updating when the last one ends: let a root name its successor before',
  },
  'transcript-signer': {
    title: 'transcript signer',
    use: 'signs the transcript of one ceremony',
    keyType: 'private signature key',
    owner: 'policy-administrator',
    profiles: ['transcript-signer'],
    ceiling: { originator: 7 * DAY, recipient: 40 * YEAR, why: `for one use; ${VERIFIED_LATER}` },
    atEnd: 'it was wiped at the end of its ceremony',
  },
  log: {
    title: 'audit log',
    use: 'signs the checkpoints of the audit log',
    keyType: 'private signature key',
    owner: 'auditor',
    profiles: [],
    ceiling: {
      originator: 10 * YEAR,
      recipient: 40 * YEAR,
      why: `longer than table 1: a log has one name and one key, and every checkpoint holds all that came before; ${VERIFIED_LATER}`,
    },
    atEnd: INVENTORY_WARNS,
  },
  'log-cosign': {
    title: 'timestamp of the audit log',
    use: 'signs the time at which a checkpoint was seen',
    keyType: 'private signature key',
    owner: 'auditor',
    profiles: [],
    ceiling: {
      originator: 10 * YEAR,
      recipient: 40 * YEAR,
      why: `longer than table 1, as the log's; ${VERIFIED_LATER}`,
    },
    atEnd: INVENTORY_WARNS,
  },
  'tls-server': {
    title: 'TLS server',
    use: 'authenticates a server to devices, stations and people',
    keyType: 'private authentication key',
    owner: 'ca-operator',
    profiles: ['tls-server', 'cmp-ra', 'scep-ra'],
    ceiling: { originator: 2 * YEAR, recipient: 2 * YEAR, why: AUTHENTICATION },
    atEnd: `${CERTIFICATE_ENDS}; a key that serve keeps is shown to nobody any more`,
  },
  operator: {
    title: 'person',
    use: 'authenticates a person who works with Keystead, and signs their tickets, proposals and approvals',
    keyType: 'private signature key',
    owner: 'policy-administrator',
    profiles: ['operator'],
    ceiling: { originator: 3 * YEAR, recipient: 40 * YEAR, why: `${SIGNATURE}; ${VERIFIED_LATER}` },
    atEnd: CERTIFICATE_ENDS,
  },
  station: {
    title: 'factory station',
    use: 'authenticates a station at a line; who works there signs on with their own key',
    keyType: 'private authentication key',
    owner: 'line-operator',
    profiles: ['station'],
    ceiling: {
      originator: 3 * YEAR,
      recipient: 3 * YEAR,
      why: `${AUTHENTICATION}; a year more, since a line is not stopped to change it`,
    },
    atEnd: CERTIFICATE_ENDS,
  },
  'device-idevid': {
    title: 'initial device identity (IDevID)',
    use: 'proves which device it is when it enrols or recovers (IEEE 802.1AR)',
    keyType: 'private authentication key',
    owner: 'ca-operator',
    profiles: ['idevid'],
    ceiling: {
      originator: 'none',
      recipient: 'none',
      why: 'longer than table 1: IEEE 802.1AR-2018 section 8.7 wants it to last as long as the device; it is used only to enrol',
    },
    atEnd: 'the device is decommissioned: its certificate is revoked and its key wiped',
  },
  'device-ldevid': {
    title: 'local device identity (LDevID)',
    use: 'authenticates a device in the field',
    keyType: 'private authentication key',
    owner: 'ca-operator',
    profiles: ['ldevid'],
    ceiling: { originator: YEAR, recipient: YEAR, why: `${AUTHENTICATION}; the device renews it by itself` },
    atEnd: CERTIFICATE_ENDS,
  },
  'device-storage': {
    title: 'device storage',
    use: "seals a device's own state",
    keyType: 'symmetric data-encryption key',
    owner: 'ca-operator',
    profiles: [],
    ceiling: {
      originator: 'none',
      recipient: 'none',
      why: 'longer than table 1: it never leaves the device and ends with it',
    },
    atEnd: 'the device is decommissioned: the key is wiped',
  },
  session: {
    title: 'session between a device and a server',
    use: 'derives the keys that protect one session (HKDF, RFC 5869)',
    keyType: 'symmetric master key',
    owner: 'ca-operator',
    profiles: [],
    ceiling: {
      originator: 7 * DAY,
      recipient: 7 * DAY,
      why: 'table 1: symmetric master key, about 1 year; one session needs far less',
    },
    atEnd: 'both ends wipe it when the session ends',
  },
  'keyd-channel': {
    title: 'channel to keyd',
    use: 'authenticates the front end to the process that holds the keys',
    keyType: 'symmetric authentication key',
    owner: 'ca-operator',
    profiles: [],
    ceiling: { originator: 2 * YEAR, recipient: 2 * YEAR, why: 'table 1: symmetric authentication key, up to 2 years' },
    atEnd: INVENTORY_WARNS,
  },
  'keystore-master': {
    title: 'master of a sealed keystore',
    use: 'encrypts the private keys of a sealed keystore at rest',
    keyType: 'symmetric key-wrapping key',
    owner: 'ca-operator',
    profiles: [],
    ceiling: { originator: 2 * YEAR, recipient: 5 * YEAR, why: STORAGE },
    atEnd: INVENTORY_WARNS,
  },
  backup: {
    title: 'backup',
    use: 'encrypts a backup to its custodians; never a signing key',
    keyType: 'symmetric data-encryption key',
    owner: 'custodian',
    profiles: [],
    ceiling: { originator: 2 * YEAR, recipient: 5 * YEAR, why: STORAGE },
    atEnd: INVENTORY_WARNS,
  },
  wrapping: {
    title: 'wrapping',
    use: 'wraps a secret for one device or one module in transport',
    keyType: 'symmetric key-wrapping key',
    owner: 'ca-operator',
    profiles: [],
    ceiling: { originator: 2 * YEAR, recipient: 5 * YEAR, why: STORAGE },
    atEnd: INVENTORY_WARNS,
  },
} as const satisfies Record<string, KeyPurpose>;

export type KeyPurposeId = keyof typeof KEY_PURPOSES;

/** Purposes of keys that a deployment may be without: a policy that has none of their profiles need not name them. */
export const OPTIONAL_PURPOSES: readonly KeyPurposeId[] = [
  'root-crl-signer',
  'tsa-signer',
  'firmware-signer',
  'tuf-online',
  'trust-bundle-signer',
];
export const KEY_PURPOSE_IDS = Object.keys(KEY_PURPOSES) as [KeyPurposeId, ...KeyPurposeId[]];

/** The purpose with its type made wide, so that its lists can be searched. */
export const keyPurpose = (id: KeyPurposeId): KeyPurpose => KEY_PURPOSES[id];

/** What the key of a certificate by this profile is for. A profile of the user's own is known by what it makes. */
export function purposeOfProfile(profile: Profile): KeyPurposeId {
  const named = KEY_PURPOSE_IDS.find((id) => keyPurpose(id).profiles.includes(profile.id));
  if (named !== undefined) return named;
  switch (profile.subject.commonName) {
    case 'device-id':
      return profile.validity.seconds === 'none' ? 'device-idevid' : 'device-ldevid';
    case 'host':
      return 'tls-server';
    case 'person':
      return 'operator';
    default:
      return 'evidence-signer';
  }
}
