import { toBase64 } from '../bytes/index.ts';
import { POST_QUANTUM_ALGORITHMS } from '../crypto/index.ts';
import { defaultKeying } from './default-keying.ts';
import { defaultProfiles } from './default-profiles.ts';
import { DEFAULT_FACTORY_POLICY, type FactoryPolicy } from './factory/policy.ts';
import { FIRMWARE_PROFILE } from './firmware/profile.ts';
import type { KeyPurposeId } from './key-purposes.ts';
import type { Cryptoperiod } from './keying.ts';
import type { Policy } from './policy.ts';
import { checkPolicy } from './policy-check.ts';
import type { Role } from './roles.ts';
import { ROOT_CRL_PROFILE } from './root-crl.ts';
import { TSA_PROFILE } from './tsa.ts';

const HOUR = 3600;
const DAY = 86_400;
const YEAR = 365 * DAY;

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
