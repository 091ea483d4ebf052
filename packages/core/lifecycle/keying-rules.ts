import { KeysteadError } from '../errors/index.ts';
import {
  KEY_PURPOSE_IDS,
  type KeyPurposeId,
  keyPurpose,
  OPTIONAL_PURPOSES,
  type Period,
  purposeOfProfile,
} from './key-purposes.ts';
import type { KeyCustody } from './keying.ts';
import { SENSITIVE_ACTS, type SensitiveAct, STRENGTH_BITS } from './keying.ts';
import type { Policy } from './policy.ts';
import { permits } from './roles.ts';
import { ableFor } from './signers/rules.ts';

const asNumber = (period: Period): number => (period === 'none' ? Number.POSITIVE_INFINITY : period);

/** Keys that keyd itself stops using: the certificates of these may outlive the originator usage period. */
const STOPPED_BY_KEYD: ReadonlySet<KeyPurposeId> = new Set([
  'root-ca',
  'signing-root-ca',
  'manufacturing-ca',
  'operational-ca',
  'server-ca',
  'operator-ca',
  'root-crl-signer',
  'firmware-signer',
  'ocsp-responder',
  'evidence-signer',
  'tsa-signer',
  'tuf-online',
  'transcript-signer',
]);

/** Modules that no level above 1 is given to: what software holds is as strong as the machine that it runs on. */
const SOFTWARE: readonly KeyCustody[] = ['sealed-file', 'memory'];

/**
 * The rules of cryptoperiods, custody, strengths and quorums. REQ-KEY-POL-01
 * @throws KeysteadError `policy.*` with the field.
 */
export function checkKeyingRules(policy: Policy): void {
  const used = new Set(policy.profiles.map(purposeOfProfile));
  const needed = KEY_PURPOSE_IDS.filter((id) => used.has(id) || !OPTIONAL_PURPOSES.includes(id));
  checkEachPurposeOnce(policy.cryptoperiods, 'cryptoperiods', needed);
  checkEachPurposeOnce(policy.custody, 'custody', needed);
  checkCryptoperiods(policy);
  checkCertificatesFit(policy);
  checkCustody(policy);
  checkStrengths(policy);
  checkQuorums(policy);
  checkTicketQuorum(policy);
  checkRevocationAuthority(policy);
  checkPromises(policy);
}

function checkEachPurposeOnce(
  entries: readonly { purpose: KeyPurposeId }[],
  field: string,
  needed: readonly KeyPurposeId[],
): void {
  const seen = new Set<KeyPurposeId>();
  entries.forEach(({ purpose }, index) => {
    if (seen.has(purpose)) {
      throw new KeysteadError('policy.purpose-duplicate', { field: `${field}[${index}].purpose`, seen: purpose });
    }
    seen.add(purpose);
  });
  const missing = needed.find((id) => !seen.has(id));
  if (missing !== undefined) throw new KeysteadError('policy.purpose-missing', { field, seen: `no '${missing}'` });
}

function checkCryptoperiods(policy: Policy): void {
  policy.cryptoperiods.forEach(({ purpose, originatorSeconds, recipientSeconds, warnSeconds }, index) => {
    const at = `cryptoperiods[${index}]`;
    const { ceiling } = keyPurpose(purpose);
    if (asNumber(originatorSeconds) > asNumber(ceiling.originator)) {
      throw tooLong(`${at}.originatorSeconds`, originatorSeconds, purpose, ceiling.originator);
    }
    if (asNumber(recipientSeconds) > asNumber(ceiling.recipient)) {
      throw tooLong(`${at}.recipientSeconds`, recipientSeconds, purpose, ceiling.recipient);
    }
    if (asNumber(recipientSeconds) < asNumber(originatorSeconds)) {
      throw new KeysteadError('policy.cryptoperiod-order', {
        field: `${at}.recipientSeconds`,
        seen: `${recipientSeconds}, with an originator usage period of ${originatorSeconds}`,
      });
    }
    if (warnSeconds >= asNumber(originatorSeconds)) {
      throw new KeysteadError('policy.cryptoperiod-order', {
        field: `${at}.warnSeconds`,
        seen: `${warnSeconds}, with an originator usage period of ${originatorSeconds}`,
      });
    }
  });
}

const tooLong = (field: string, seen: Period, purpose: KeyPurposeId, most: Period): KeysteadError =>
  new KeysteadError('policy.cryptoperiod-too-long', {
    field,
    seen: `${seen} for '${purpose}', where ${most} is the most`,
  });

/**
 * A certificate says how long its key may be believed, so it may not say more than the key's cryptoperiod. Where
 * keyd stops using the key by itself, that is the recipient usage period; elsewhere nothing but the certificate ends
 * the use, so it is the originator usage period.
 */
function checkCertificatesFit(policy: Policy): void {
  policy.profiles.forEach((profile, index) => {
    const purpose = purposeOfProfile(profile);
    const period = policy.cryptoperiods.find((entry) => entry.purpose === purpose);
    if (period === undefined) return;
    const [name, most] = STOPPED_BY_KEYD.has(purpose)
      ? (['recipientSeconds', period.recipientSeconds] as const)
      : (['originatorSeconds', period.originatorSeconds] as const);
    if (asNumber(profile.validity.seconds) <= asNumber(most)) return;
    throw new KeysteadError('policy.validity-exceeds-cryptoperiod', {
      field: `profiles[${index}].validity.seconds`,
      seen: `${profile.validity.seconds}, where ${name} of '${purpose}' is ${most}`,
    });
  });
  const responder = policy.cryptoperiods.find((entry) => entry.purpose === 'ocsp-responder');
  const { ocspResponderSeconds } = policy.revocation;
  if (responder !== undefined && ocspResponderSeconds > asNumber(responder.originatorSeconds)) {
    throw new KeysteadError('policy.validity-exceeds-cryptoperiod', {
      field: 'revocation.ocspResponderSeconds',
      seen: `${ocspResponderSeconds}, where originatorSeconds of 'ocsp-responder' is ${responder.originatorSeconds}`,
    });
  }
}

function checkCustody(policy: Policy): void {
  policy.custody.forEach(({ purpose, allowed, fips140 }, index) => {
    const field = `custody[${index}].allowed`;
    if (new Set(allowed).size !== allowed.length) {
      throw new KeysteadError('policy.custody-conflict', { field, seen: `a place twice for '${purpose}'` });
    }
    const software = fips140 !== 'none' && fips140 > 1 ? allowed.find((place) => SOFTWARE.includes(place)) : undefined;
    if (software === undefined) return;
    throw new KeysteadError('policy.custody-conflict', { field, seen: `${software} at FIPS 140 level ${fips140}` });
  });
}

function checkStrengths(policy: Policy): void {
  const { acceptedBits, issuedBits, purposes } = policy.strengths;
  // SP 800-131A r2: nothing below 112 bits is accepted (the schema has no lower value); 128 is Keystead's own floor.
  if (issuedBits < 128 || issuedBits < acceptedBits) {
    throw new KeysteadError('policy.algorithm-too-weak', { field: 'strengths.issuedBits', seen: String(issuedBits) });
  }
  policy.algorithms.forEach((algorithm, index) => {
    if (STRENGTH_BITS[algorithm] >= acceptedBits) return;
    throw new KeysteadError('policy.strength-too-low', {
      field: `algorithms[${index}]`,
      seen: `${algorithm} with ${STRENGTH_BITS[algorithm]} bits, where acceptedBits is ${acceptedBits}`,
    });
  });
  policy.profiles.forEach((profile, index) => {
    const own = purposes.find((entry) => entry.purpose === purposeOfProfile(profile))?.bits ?? issuedBits;
    const needed = Math.max(issuedBits, own);
    const weak = profile.keyAlgorithms.find((algorithm) => STRENGTH_BITS[algorithm] < needed);
    if (weak === undefined) return;
    throw new KeysteadError('policy.strength-too-low', {
      field: `profiles[${index}].keyAlgorithms`,
      seen: `${weak} with ${STRENGTH_BITS[weak]} bits, where ${needed} are needed`,
    });
  });
}

/** In earnest a policy is changed by the one who asks and two more; see the comment of `demonstration`. */
const LEAST_APPROVALS = 2;

function checkQuorums(policy: Policy): void {
  for (const act of Object.keys(SENSITIVE_ACTS) as SensitiveAct[]) {
    const { approvals, roles } = policy.quorums[act];
    const field = `quorums.${act}`;
    if (act === 'ceremony-witnesses') continue;
    if (roles.length === 0)
      throw new KeysteadError('policy.quorum-impossible', { field: `${field}.roles`, seen: 'none' });
    if (act !== 'policy-change' || policy.demonstration) continue;
    if (approvals < LEAST_APPROVALS) {
      throw new KeysteadError('policy.quorum-too-small', { field: `${field}.approvals`, seen: String(approvals) });
    }
  }
  checkHardwareQuorums(policy);
  const { approvals, hardware } = policy.quorums['policy-change'];
  if (policy.demonstration && hardware === undefined) return;
  // Without these people no policy could ever follow this one.
  const able = ableFor(policy, policy.quorums['policy-change']);
  const proposers = policy.operators.filter((operator) => operator.roles.includes('policy-administrator'));
  const reachable = proposers.some(({ name }) => able.filter((operator) => operator.name !== name).length >= approvals);
  if (!reachable) {
    throw new KeysteadError('policy.quorum-impossible', {
      field: 'quorums.policy-change.approvals',
      seen: `${approvals} besides a policy administrator, of ${able.length} who may`,
    });
  }
}

/** Who demands hardware of people that have none has locked the door with the key inside. */
function checkHardwareQuorums(policy: Policy): void {
  for (const act of Object.keys(SENSITIVE_ACTS) as SensitiveAct[]) {
    const quorum = policy.quorums[act];
    if (quorum.hardware !== true) continue;
    const able = ableFor(policy, quorum);
    if (able.length >= quorum.approvals) continue;
    throw new KeysteadError('policy.quorum-impossible', {
      field: `quorums.${act}.hardware`,
      seen: `${quorum.approvals} with a hardware-held key, of ${able.length} who have one and may`,
    });
  }
}

/** REQ-KEY-PROV-01, REQ-KEY-SOD-02 */
function checkTicketQuorum(policy: Policy): void {
  const quorum = policy.quorums['batch-ticket'];
  if (quorum === undefined) return;
  const field = 'quorums.batch-ticket';
  const { signatures, roles } = quorum;
  const never = roles.find((role) => !permits([role], 'ticket.sign'));
  if (never !== undefined) {
    throw new KeysteadError('policy.quorum-impossible', {
      field: `${field}.roles`,
      seen: `${never}, who may not sign tickets`,
    });
  }
  if (policy.demonstration && quorum.hardware === undefined) return;
  if (signatures < LEAST_APPROVALS && !policy.demonstration) {
    throw new KeysteadError('policy.quorum-too-small', { field: `${field}.signatures`, seen: String(signatures) });
  }
  const able = ableFor(policy, quorum);
  if (able.length >= signatures) return;
  throw new KeysteadError('policy.quorum-impossible', {
    field: `${field}.signatures`,
    seen: `${signatures} of ${able.length} who may`,
  });
}

/** A revocation that nobody could ever agree to is worse than one that a single person may order. */
function checkRevocationAuthority(policy: Policy): void {
  policy.revocation.authority?.forEach((rule, index) => {
    const { approvals } = rule;
    const able = ableFor(policy, rule);
    const askers = policy.operators.filter((operator) => permits(operator.roles, 'revocation.propose'));
    const reachable = askers.some(({ name }) => able.filter((operator) => operator.name !== name).length >= approvals);
    if (approvals === 0 || reachable) return;
    throw new KeysteadError('policy.quorum-impossible', {
      field: `revocation.authority[${index}].approvals`,
      seen: `${approvals} besides a CA operator, of ${able.length} who may`,
    });
  });
}

function checkPromises(policy: Policy): void {
  const { promises, ocspSeconds } = policy.revocation;
  // A backend that asked just before the report may go by that answer until it ends (RFC 6960 section 4.2.2.1).
  const least = promises.ocspSeconds + ocspSeconds;
  if (promises.backendSeconds >= least) return;
  throw new KeysteadError('policy.promise-too-short', {
    field: 'revocation.promises.backendSeconds',
    seen: `${promises.backendSeconds}, where an answer of before may be believed for ${least}`,
  });
}
