import { toBase64 } from '../bytes/index.ts';
import { POST_QUANTUM_ALGORITHMS } from '../crypto/index.ts';
import { FIRMWARE_FORMATS } from '../firmware/index.ts';
import type { Profile } from '../x509/index.ts';
import { defaultKeying } from './default-keying.ts';
import { DEFAULT_FACTORY_POLICY, type FactoryPolicy } from './factory/policy.ts';
import type { FirmwarePolicy } from './firmware/policy.ts';
import { FIRMWARE_PROFILE } from './firmware/profile.ts';
import type { TufPolicy } from './firmware/tuf.ts';
import type { KeyPurposeId } from './key-purposes.ts';
import type { Cryptoperiod } from './keying.ts';
import { CMP_RA_PROFILE, type OnlineCa, type Policy } from './policy.ts';
import { checkPolicy } from './policy-check.ts';
import type { Role } from './roles.ts';
import { ROOT_CRL_PROFILE } from './root-crl.ts';
import { STATION_PROFILE } from './station/rules.ts';
import type { TrustPolicy } from './trust/policy.ts';
import { TSA_PROFILE } from './tsa.ts';

const HOUR = 3600;
const DAY = 86_400;
const YEAR = 365 * DAY;
/** CAs begin an hour early: the clock of an offline machine is set by hand, and others may be behind it. */
const CA_BACKDATE = HOUR;

/** What a request may name: each value must equal what the profile gives, so that none is ever a surprise. */
const NAMED_EXTENSIONS = ['subjectAltName', 'keyUsage', 'extKeyUsage'];

const root = (id: string, commonName: string, organization: string, description: string): Profile => ({
  id,
  description,
  issuer: 'self',
  subject: { commonName: { fixed: commonName }, organization },
  san: 'none',
  keyUsage: ['keyCertSign', 'cRLSign'],
  extKeyUsage: [],
  ca: { pathLength: id === 'root-ca' ? 1 : 0 },
  ocspNoCheck: false,
  validity: { seconds: 20 * YEAR, backdateSeconds: CA_BACKDATE },
  keyAlgorithms: ['P-384'],
  csrExtensions: [],
  requesters: ['ceremony'],
});

const onlineCa = (role: OnlineCa, organization: string, years: number, description: string): Profile => ({
  id: `${role}-ca`,
  description,
  issuer: 'root',
  subject: { commonName: { fixed: `${organization} ${role} CA` }, organization },
  san: 'none',
  // digitalSignature is left out: OCSP answers are signed by a delegated key, never by the CA's own.
  keyUsage: ['keyCertSign', 'cRLSign'],
  extKeyUsage: [],
  ca: { pathLength: 0 },
  ocspNoCheck: false,
  validity: { seconds: years * YEAR, backdateSeconds: CA_BACKDATE },
  // P-256: P-384 signs 25 times slower in software, and these sign for every device, often.
  keyAlgorithms: ['P-256'],
  csrExtensions: [],
  requesters: ['ceremony'],
});

const endEntity: Pick<Profile, 'ca' | 'ocspNoCheck' | 'keyUsage' | 'csrExtensions'> = {
  ca: false,
  ocspNoCheck: false,
  keyUsage: ['digitalSignature'],
  csrExtensions: NAMED_EXTENSIONS,
};

/** The profiles of a hierarchy whose certificates name `organization`. */
export function defaultProfiles(organization = 'Keystead'): Profile[] {
  return [
    root('root-ca', `${organization} Root CA`, organization, 'Anchor of every certificate; offline'),
    root('signing-root-ca', `${organization} Signing Root`, organization, 'Anchor of firmware signatures; offline'),
    onlineCa('manufacturing', organization, 20, 'Issues IDevIDs at the factory'),
    onlineCa('operational', organization, 10, 'Issues LDevIDs to devices in the field'),
    onlineCa('server', organization, 10, 'Issues certificates of servers and of the evidence signer'),
    onlineCa('operator', organization, 10, 'Issues certificates of the people who work with Keystead'),
    {
      ...endEntity,
      id: 'idevid',
      description: 'Initial device identity (IEEE 802.1AR), made once in the factory, as long-lived as the device',
      issuer: 'manufacturing',
      subject: { commonName: 'device-id', organization, serialNumber: 'device-id' },
      san: 'device-urn',
      extKeyUsage: ['clientAuth'],
      validity: { seconds: 'none', backdateSeconds: 0 },
      keyAlgorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072'],
      requesters: ['station'],
    },
    {
      ...endEntity,
      id: 'ldevid',
      description: 'Local device identity (IEEE 802.1AR), short-lived, renewed by the device itself',
      issuer: 'operational',
      subject: { commonName: 'device-id', organization, serialNumber: 'device-id' },
      san: 'device-urn',
      extKeyUsage: ['clientAuth'],
      validity: { seconds: 7 * DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072'],
      requesters: ['device', 'authorised'],
    },
    {
      ...endEntity,
      id: 'tls-server',
      description: 'TLS server',
      issuer: 'server',
      subject: { commonName: 'host', organization },
      san: 'host',
      wildcards: true,
      extKeyUsage: ['serverAuth'],
      validity: { seconds: 90 * DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256', 'P-384'],
      requesters: ['system', 'authorised'],
    },
    {
      ...endEntity,
      id: 'operator',
      description: 'A person who works with Keystead; the key stands in the policy under the same name',
      issuer: 'operator',
      subject: { commonName: 'person', organization },
      san: 'person-urn',
      extKeyUsage: ['clientAuth'],
      validity: { seconds: YEAR, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096'],
      requesters: ['operator', 'system'],
    },
    {
      ...endEntity,
      id: 'ocsp-responder',
      description: 'Delegated OCSP responder (RFC 6960 section 4.2.2.2); each CA issues its own',
      issuer: 'operational',
      subject: { commonName: { fixed: `${organization} OCSP responder` }, organization },
      san: 'none',
      extKeyUsage: ['OCSPSigning'],
      ocspNoCheck: true,
      csrExtensions: [],
      validity: { seconds: DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256'],
      requesters: ['system'],
    },
    {
      ...endEntity,
      id: 'evidence-signer',
      description: 'Signs provisioning records and evidence of decommissioning',
      issuer: 'server',
      subject: { commonName: { fixed: `${organization} evidence signer` }, organization },
      san: 'none',
      extKeyUsage: [],
      csrExtensions: [],
      validity: { seconds: 3 * YEAR, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256'],
      requesters: ['system'],
    },
    {
      ...endEntity,
      id: TSA_PROFILE,
      description: 'Signs time stamps (RFC 3161); keyd certifies it for itself, and again each year',
      issuer: 'server',
      subject: { commonName: { fixed: `${organization} time-stamping authority` }, organization },
      san: 'none',
      extKeyUsage: ['timeStamping'],
      csrExtensions: [],
      // A time stamp is verified long after it was made; the CA's own end comes before this one.
      validity: { seconds: 10 * YEAR, backdateSeconds: 0 },
      keyAlgorithms: ['P-256'],
      requesters: [],
    },
    {
      ...endEntity,
      id: 'transcript-signer',
      description: 'One-time key that signs the transcript of a ceremony and is wiped',
      issuer: 'root',
      subject: { commonName: { fixed: `${organization} ceremony transcript` }, organization },
      san: 'none',
      extKeyUsage: [],
      csrExtensions: [],
      validity: { seconds: DAY, backdateSeconds: 0 },
      keyAlgorithms: ['P-384'],
      requesters: ['ceremony'],
    },
    {
      ...endEntity,
      id: CMP_RA_PROFILE,
      description: 'Registration authority of serve: signs its answers of CMP (RFC 9483 section 3.2)',
      issuer: 'operational',
      subject: { commonName: { fixed: `${organization} CMP registration authority` }, organization },
      san: 'none',
      extKeyUsage: ['cmcRA'],
      csrExtensions: [],
      validity: { seconds: 30 * DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256'],
      requesters: ['system'],
    },
    {
      ...endEntity,
      id: 'scep-ra',
      description:
        'Opens and answers the messages of SCEP, where that is switched on; its key is made anew at each start',
      issuer: 'operational',
      subject: { commonName: { fixed: `${organization} SCEP RA` }, organization },
      san: 'none',
      // One key for both, as clients of SCEP expect (RFC 8894 section 2.1.2).
      keyUsage: ['digitalSignature', 'keyEncipherment'],
      extKeyUsage: ['cmcRA'],
      csrExtensions: [],
      validity: { seconds: 7 * DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['RSA-3072'],
      requesters: ['system'],
    },
    {
      ...endEntity,
      id: STATION_PROFILE,
      description: 'A station at a factory line, for which an operator with the right to has signed',
      issuer: 'server',
      subject: { commonName: 'host', organization },
      san: 'host',
      extKeyUsage: ['clientAuth'],
      validity: { seconds: YEAR, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256', 'P-384'],
      requesters: ['operator'],
    },
    {
      ...endEntity,
      id: ROOT_CRL_PROFILE,
      description: 'Signs the indirect CRL of the root between ceremonies; each ceremony certifies it again',
      issuer: 'root',
      subject: { commonName: { fixed: `${organization} Root CRL signer` }, organization },
      san: 'none',
      keyUsage: ['cRLSign'],
      extKeyUsage: [],
      csrExtensions: [],
      // Longer than a list of the root lives, so that the ceremony that makes the next list is in time for it too.
      validity: { seconds: 2 * YEAR, backdateSeconds: CA_BACKDATE },
      keyAlgorithms: ['P-256'],
      requesters: [],
    },
    {
      ...endEntity,
      id: FIRMWARE_PROFILE,
      description: 'Signs firmware of one product in one environment; keyd sets both in the subject',
      issuer: 'signing-root',
      subject: { commonName: { fixed: 'firmware' }, organization },
      san: 'none',
      extKeyUsage: ['codeSigning'],
      csrExtensions: [],
      validity: { seconds: 3 * YEAR, backdateSeconds: CA_BACKDATE },
      keyAlgorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096'],
      requesters: [],
    },
  ];
}

/** How many CAs may follow, where two of them certify sub-CAs of factory nodes. */
const FACTORY_PATHS: Readonly<Record<string, number>> = { 'root-ca': 2, 'manufacturing-ca': 1, 'server-ca': 1 };

/** What a policy for a demonstration or a test may set; everything else is as in {@link defaultProfiles}. */
export interface DemoPolicyOptions {
  operators: readonly { name: string; roles: readonly Role[]; spki: Uint8Array | string }[];
  /** When the policy was written. */
  issued: Date;
  name?: string;
  organization?: string;
  /** Validity by profile id, in seconds (or `'none'` for `idevid`), and how far notBefore is set back. */
  lifetimes?: Readonly<Record<string, { seconds?: number | 'none'; backdateSeconds?: number }>>;
  revocation?: Partial<Policy['revocation']>;
  tickets?: Partial<Policy['tickets']>;
  urls?: Policy['urls'];
  /** False for a policy that is meant: sensitive acts then need two approvals. */
  demonstration?: boolean;
  /** Cryptoperiods by purpose, where they shall differ from what the profiles give. */
  cryptoperiods?: Partial<Record<KeyPurposeId, Partial<Omit<Cryptoperiod, 'purpose'>>>>;
  quorums?: Partial<Policy['quorums']>;
  grace?: Partial<Policy['grace']>;
  backup?: Policy['backup'];
  est?: Policy['est'];
  attestation?: Policy['attestation'];
  unitKeys?: Policy['unitKeys'];
  deviceProof?: Policy['deviceProof'];
  roots?: Policy['roots'];
  stations?: Policy['stations'];
  /** What firmware is signed; without it the policy has neither keys nor a profile for it. */
  firmware?: Policy['firmware'];
  /** Update repositories whose online roles keyd signs; without it, none. */
  tuf?: Policy['tuf'];
  /** What trust bundles there are; without it, none. */
  trust?: Policy['trust'];
  /** False for a policy of before the indirect CRL of the root: nobody signs one. */
  rootCrlSigner?: boolean;
  /** False for a policy of before time stamps: nobody signs one. */
  tsaSigner?: boolean;
  /** With it there can be factory nodes: the CAs above their sub-CAs are certified for longer paths. */
  factory?: Partial<FactoryPolicy>;
}

/**
 * A complete policy with lifetimes that are short enough to watch: LDevIDs live for 90 seconds.
 * @throws KeysteadError `policy.*` when an option breaks a rule.
 */
export function demoPolicy(options: DemoPolicyOptions): Policy {
  const lifetimes: DemoPolicyOptions['lifetimes'] = {
    ldevid: { seconds: 90, backdateSeconds: 30 },
    ...options.lifetimes,
  };
  const all = defaultProfiles(options.organization);
  const left = new Set<string>([
    ...(options.rootCrlSigner === false ? [ROOT_CRL_PROFILE] : []),
    ...(options.tsaSigner === false ? [TSA_PROFILE] : []),
  ]);
  const wanted = all.filter(({ id }) => !left.has(id) && (id !== FIRMWARE_PROFILE || options.firmware !== undefined));
  const paths = options.factory === undefined ? {} : FACTORY_PATHS;
  // Those against quantum computers stand in a policy whose keys are such.
  const postQuantum = POST_QUANTUM_ALGORITHMS.filter((one) =>
    options.firmware?.keys.some(({ algorithm }) => algorithm === one),
  );
  const profiles = wanted.map((profile) => ({
    ...profile,
    ...(profile.id === FIRMWARE_PROFILE ? { keyAlgorithms: [...profile.keyAlgorithms, ...postQuantum] } : {}),
    ...(paths[profile.id] === undefined ? {} : { ca: { pathLength: paths[profile.id] ?? 0 } }),
    validity: { ...profile.validity, ...lifetimes[profile.id] },
  }));
  const keying = defaultKeying(profiles, options.demonstration ?? true);
  const named = <T extends { purpose: KeyPurposeId }>(entries: readonly T[]): T[] =>
    entries.filter(({ purpose }) => !left.has(purpose));
  const revocation = {
    crlSeconds: HOUR,
    crlRefreshSeconds: 20 * 60,
    rootCrlSeconds: YEAR,
    ocspSeconds: 60,
    ocspResponderSeconds: 12 * HOUR,
    ...options.revocation,
  };
  return checkPolicy({
    version: 1,
    name: options.name ?? 'Keystead demonstration policy',
    issued: options.issued.toISOString(),
    algorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096', ...postQuantum],
    profiles,
    operators: options.operators.map(({ name, roles, spki }) => ({
      name,
      roles: [...roles],
      spki: typeof spki === 'string' ? spki : toBase64(spki),
    })),
    tickets: { maxQuota: 100_000, maxSeconds: 90 * DAY, ...options.tickets },
    revocation: {
      ...revocation,
      promises: options.revocation?.promises ?? {
        ocspSeconds: 10,
        crlSeconds: 60,
        backendSeconds: 10 + revocation.ocspSeconds,
      },
    },
    ...keying,
    custody: named(keying.custody),
    cryptoperiods: named(keying.cryptoperiods).map((entry) => ({
      ...entry,
      ...options.cryptoperiods?.[entry.purpose],
    })),
    quorums: { ...keying.quorums, ...options.quorums },
    grace: { ...keying.grace, ...options.grace },
    ...(options.deviceProof === undefined ? {} : { deviceProof: options.deviceProof }),
    ...(options.backup === undefined ? {} : { backup: options.backup }),
    ...(options.est === undefined ? {} : { est: options.est }),
    ...(options.attestation === undefined ? {} : { attestation: options.attestation }),
    ...(options.unitKeys === undefined ? {} : { unitKeys: options.unitKeys }),
    ...(options.roots === undefined ? {} : { roots: options.roots }),
    ...(options.factory === undefined ? {} : { factory: { ...DEFAULT_FACTORY_POLICY, ...options.factory } }),
    ...(options.stations === undefined ? {} : { stations: options.stations }),
    ...(options.firmware === undefined ? {} : { firmware: options.firmware }),
    ...(options.tuf === undefined ? {} : { tuf: options.tuf }),
    ...(options.trust === undefined ? {} : { trust: options.trust }),
    ...(options.urls === undefined ? {} : { urls: options.urls }),
  });
}

/** The bytes of a policy's file: JSON for people, UTF-8. Its SHA-256 is what a ceremony approves. */
export const formatPolicy = (policy: Policy): string => `${JSON.stringify(policy, null, 2)}\n`;

/** Trust bundles as a demonstration has them, where one is asked for: short, so that a refresh can be watched. */
export const DEMO_TRUST: TrustPolicy = {
  fleet: 'demo',
  keys: [{ id: 'first', algorithm: 'P-256' }],
  bundle: { seconds: 7 * DAY, refreshPercent: 50, awaySeconds: 30 * DAY, maxBytes: 4096 },
  filter: { issuers: ['operational', 'server'], seconds: 7 * DAY, everySeconds: HOUR, mostDeltas: 24 },
  approvals: 1,
  roles: ['policy-administrator', 'approver'],
  strand: { approvals: 2, roles: ['policy-administrator', 'approver'] },
};

/** One key for all there is; verity bundles want one that signs no files. */
const DEMO_FORMATS = FIRMWARE_FORMATS.filter((name) => name !== 'rauc-verity');

/** The firmware of the demonstration: one product, a key for production and one for development. */
export const DEMO_FIRMWARE: FirmwarePolicy = {
  products: [
    {
      product: 'KS-PUMP-1',
      environments: {
        production: {
          keys: ['pump-1'],
          formats: [...DEMO_FORMATS],
          approvals: 1,
          roles: ['approver'],
          rollback: { approvals: 2, roles: ['approver', 'policy-administrator'] },
        },
        development: { keys: ['pump-1-dev'], formats: [...DEMO_FORMATS], approvals: 1, roles: ['approver'] },
      },
    },
  ],
  keys: [
    {
      id: 'pump-1',
      algorithm: 'P-256',
      product: 'KS-PUMP-1',
      environment: 'production',
      formats: [...DEMO_FORMATS],
      maxSignatures: 10_000,
    },
    {
      id: 'pump-1-dev',
      algorithm: 'P-256',
      product: 'KS-PUMP-1',
      environment: 'development',
      formats: [...DEMO_FORMATS],
    },
  ],
};

/** The update repository of the demonstration. People found it: its first root comes into the policy when there is one. */
export const DEMO_TUF: TufPolicy = {
  repositories: [
    {
      repository: 'ks-pump-1',
      keys: [{ id: 'ks-pump-1-online', algorithm: 'P-256' }],
      snapshotSeconds: 7 * DAY,
      timestampSeconds: DAY,
    },
  ],
};
