import { KeysteadError } from '../errors/index.ts';
import type { Profile } from '../x509/index.ts';
import { FIRMWARE_PROFILE } from './firmware/profile.ts';
import { CMP_RA_PROFILE, type Policy } from './policy.ts';
import { ROOT_CRL_PROFILE } from './root-crl.ts';
import { STATION_PROFILE } from './station/rules.ts';
import { TSA_PROFILE } from './tsa.ts';

const DAY = 86_400;
const YEAR = 365 * DAY;

/** The profiles that every policy has, because Keystead asks for them by these names. */
export const REQUIRED_PROFILES = [
  'root-ca',
  'signing-root-ca',
  'manufacturing-ca',
  'operational-ca',
  'server-ca',
  'operator-ca',
  'idevid',
  'ldevid',
  'tls-server',
  'operator',
  'ocsp-responder',
  'evidence-signer',
  'transcript-signer',
] as const;

/** The profiles that make CAs. No other may: whoever could add a CA by a profile would not need the ceremony. */
const CA_PROFILES: ReadonlySet<string> = new Set(REQUIRED_PROFILES.filter((id) => id.endsWith('-ca')));

/**
 * The longest validity that a policy may give, in seconds: the originator usage period of SP 800-57 pt 1 r5
 * section 5.3.6 table 1 (private signature keys 1 to 3 years), longer for CAs whose keys are seldom used and
 * well kept, shorter where the key sits on an exposed machine.
 */
export const VALIDITY_CEILINGS: Readonly<Record<string, number>> = {
  'root-ca': 30 * YEAR,
  'signing-root-ca': 30 * YEAR,
  'manufacturing-ca': 20 * YEAR,
  'operational-ca': 15 * YEAR,
  'server-ca': 15 * YEAR,
  'operator-ca': 15 * YEAR,
  ldevid: YEAR,
  'tls-server': 398 * DAY,
  [CMP_RA_PROFILE]: 398 * DAY,
  operator: 3 * YEAR,
  'ocsp-responder': 30 * DAY,
  [ROOT_CRL_PROFILE]: 2 * YEAR,
  [FIRMWARE_PROFILE]: 5 * YEAR,
  'scep-ra': 30 * DAY,
  'evidence-signer': 3 * YEAR,
  [TSA_PROFILE]: 15 * YEAR,
  'transcript-signer': 7 * DAY,
  [STATION_PROFILE]: 2 * YEAR,
};

/** Each profile once, and none missing. @throws KeysteadError `policy.profile-duplicate`, `policy.profile-missing`. */
export function checkProfileSet(policy: Policy): void {
  const seen = new Set<string>();
  policy.profiles.forEach((profile, index) => {
    if (seen.has(profile.id)) {
      throw new KeysteadError('policy.profile-duplicate', { field: `profiles[${index}].id`, seen: profile.id });
    }
    seen.add(profile.id);
  });
  const missing = REQUIRED_PROFILES.find((id) => !seen.has(id));
  if (missing !== undefined)
    throw new KeysteadError('policy.profile-missing', { field: 'profiles', seen: `no '${missing}'` });
}

/** Who issues each profile, and whether it makes a CA: the shape of the hierarchy is not for a policy to change. */
export function checkProfilePlace(policy: Policy, profile: Profile, field: string): void {
  const id = profile.id;
  const root = id === 'root-ca' || id === 'signing-root-ca';
  const isCa = CA_PROFILES.has(id);
  if ((profile.ca !== false) !== isCa) {
    throw new KeysteadError('policy.hierarchy', {
      field: `${field}.ca`,
      seen: `${id} ${isCa ? 'is no CA' : 'is a CA'}`,
    });
  }
  const issuer = profile.issuer;
  if (isCa && issuer !== (root ? 'self' : 'root')) {
    throw new KeysteadError('policy.hierarchy', { field: `${field}.issuer`, seen: `${id} issued by ${issuer}` });
  }
  const ofRoot = id === 'transcript-signer' || id === ROOT_CRL_PROFILE;
  // Firmware hangs from the signing root, and nothing else does (docs/decisions/0038).
  const misplaced = (issuer === 'signing-root') !== (id === FIRMWARE_PROFILE);
  if (!isCa && (issuer === 'self' || misplaced || (issuer === 'root' && !ofRoot))) {
    throw new KeysteadError('policy.hierarchy', { field: `${field}.issuer`, seen: `${id} issued by ${issuer}` });
  }
  // What signs CRLs and is no CA has one name here: keyd composes that list alone (docs/decisions/0028).
  if ((id === ROOT_CRL_PROFILE) !== (!isCa && profile.keyUsage.includes('cRLSign'))) {
    throw new KeysteadError('policy.hierarchy', {
      field: `${field}.keyUsage`,
      seen: `${id} with ${profile.keyUsage.join(', ')}`,
    });
  }
  if (id === FIRMWARE_PROFILE) checkFirmwareSigner(profile, field);
  // And what signs time stamps has one name too: whoever else could have such a certificate could say when.
  const stamps = profile.extKeyUsage.includes('timeStamping');
  if ((id === TSA_PROFILE) !== stamps || (stamps && (issuer !== 'server' || profile.requesters.length > 0))) {
    throw new KeysteadError('policy.hierarchy', {
      field: `${field}.extKeyUsage`,
      seen: `${id} with ${profile.extKeyUsage.join(', ')}, issued by ${issuer} to ${profile.requesters.join(', ')}`,
      remedy: `'${TSA_PROFILE}' alone has timeStamping; keyd certifies it for itself by the server CA`,
    });
  }
  // A certificate of before its own making would let whoever has the key stamp a time when there was none.
  if (id === TSA_PROFILE && profile.validity.backdateSeconds !== 0) {
    throw new KeysteadError('policy.tsa-backdated', {
      field: `${field}.validity.backdateSeconds`,
      seen: String(profile.validity.backdateSeconds),
    });
  }
  checkPathLength(policy, profile, field);
  checkKeydSets(profile, field);
  checkValidity(policy, profile, field);
}

/** The CAs of headquarters that certify the sub-CAs of a factory node. */
const ABOVE_FACTORIES: ReadonlySet<string> = new Set(['manufacturing-ca', 'server-ca']);

/**
 * A CA below the root issues no further CA: pathLen 0 (RFC 5280 section 4.2.1.9). Where there are factories, two of them
 * certify one sub-CA of each, below which there is none: pathLen 1.
 */
function checkPathLength({ factory }: Policy, { id, ca }: Profile, field: string): void {
  if (ca === false || id === 'signing-root-ca') return;
  const { pathLength } = ca;
  const needed = factory === undefined ? undefined : id === 'root-ca' ? 2 : ABOVE_FACTORIES.has(id) ? 1 : undefined;
  if (needed === undefined) {
    if (id === 'root-ca' || pathLength === 0) return;
    // Without factories, a longer path than was certified is one that nobody asked for.
    throw new KeysteadError('policy.hierarchy', { field: `${field}.ca.pathLength`, seen: String(pathLength) });
  }
  if (id === 'root-ca' ? pathLength === null || pathLength >= needed : pathLength === needed) return;
  const seen = `${pathLength}, where a sub-CA of a factory needs ${needed}`;
  throw new KeysteadError('policy.factory-hierarchy', { field: `${field}.ca.pathLength`, seen });
}

/** A key that signs firmware does nothing else, and nobody asks for its certificate but a ceremony. */
function checkFirmwareSigner({ keyUsage, extKeyUsage, requesters, subject }: Profile, field: string): void {
  const wrong =
    (keyUsage.join() !== 'digitalSignature' && 'keyUsage') ||
    (extKeyUsage.join() !== 'codeSigning' && 'extKeyUsage') ||
    (requesters.length > 0 && 'requesters') ||
    (typeof subject.commonName === 'string' && 'subject.commonName');
  if (wrong === false) return;
  throw new KeysteadError('policy.hierarchy', {
    field: `${field}.${wrong}`,
    seen: 'more than a signer of firmware does',
  });
}

/** What keyd puts into a profile is not for a policy to say. */
function checkKeydSets({ subject, ca }: Profile, field: string): void {
  const set =
    (subject.organizationalUnit !== undefined && 'subject.organizationalUnit') ||
    (ca !== false && ca.permitted !== undefined && 'ca.permitted');
  if (set === false) return;
  throw new KeysteadError('policy.hierarchy', { field: `${field}.${set}`, seen: 'a value, which keyd alone sets' });
}

function checkValidity(policy: Policy, profile: Profile, field: string): void {
  const seconds = profile.validity.seconds;
  if (seconds === 'none') {
    // IEEE 802.1AR-2018 section 8.7: an IDevID should last as long as the device, and only an IDevID does.
    if (profile.id === 'idevid') return;
    throw new KeysteadError('policy.validity-too-long', { field: `${field}.validity.seconds`, seen: "'none'" });
  }
  const own = VALIDITY_CEILINGS[profile.id] ?? Number.POSITIVE_INFINITY;
  const issuer = policy.profiles.find((candidate) => candidate.id === `${profile.issuer}-ca`);
  const above = typeof issuer?.validity.seconds === 'number' ? issuer.validity.seconds : Number.POSITIVE_INFINITY;
  const ceiling = Math.min(own, above);
  if (seconds <= ceiling) return;
  throw new KeysteadError('policy.validity-too-long', {
    field: `${field}.validity.seconds`,
    seen: `${seconds} for '${profile.id}', where ${ceiling} is the most`,
  });
}
