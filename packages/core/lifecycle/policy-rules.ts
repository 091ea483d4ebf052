import { fromBase64, toBase64 } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { checkAttestationRules } from './attestation-policy.ts';
import { checkBackupRules } from './backup/custodians.ts';
import type { Policy } from './policy.ts';
import { checkProfilePlace, checkProfileSet } from './profile-rules.ts';
import { EXCLUSIVE_ROLES } from './roles.ts';
import { checkSigners } from './signers/rules.ts';
import { checkStationRules } from './station/check.ts';
import { checkUnitKeys } from './unit-keys-policy.ts';

/**
 * The rules that hold between the parts of a policy. Each throws the code of the rule with the field, so that
 * whoever wrote the policy knows which line to change.
 * @throws KeysteadError `policy.*`.
 */
export function checkPolicyRules(policy: Policy): void {
  checkAlgorithms(policy);
  checkProfileSet(policy);
  for (const [index, profile] of policy.profiles.entries()) checkProfilePlace(policy, profile, `profiles[${index}]`);
  checkRevocation(policy);
  checkTransition(policy);
  checkOperators(policy);
  checkSigners(policy);
  checkBackupRules(policy);
  checkEst(policy);
  checkAttestationRules(policy);
  checkStationRules(policy);
  checkUnitKeys(policy);
}

/** A device learns of a new root at the latest when it renews; the old one must not end before each has done so. */
function checkTransition({ roots, profiles }: Policy): void {
  if (roots === undefined) return;
  for (const id of ['ldevid', 'tls-server']) {
    const seconds = profiles.find((profile) => profile.id === id)?.validity.seconds ?? 0;
    if (seconds !== 'none' && roots.transitionSeconds >= seconds) continue;
    throw new KeysteadError('policy.transition-too-short', {
      field: 'roots.transitionSeconds',
      seen: `${roots.transitionSeconds}, and '${id}' lives for ${seconds}`,
    });
  }
}

function checkAlgorithms(policy: Policy): void {
  policy.algorithms.forEach((algorithm, index) => {
    // SP 800-57 pt 1 r5 table 2: RSA with 2048 bits has a strength of 112 bits.
    if (algorithm === 'RSA-2048') {
      throw new KeysteadError('policy.algorithm-too-weak', { field: `algorithms[${index}]`, seen: algorithm });
    }
  });
  policy.profiles.forEach((profile, index) => {
    const foreign = profile.keyAlgorithms.find((algorithm) => !policy.algorithms.includes(algorithm));
    if (foreign === undefined) return;
    throw new KeysteadError('policy.algorithm-not-listed', {
      field: `profiles[${index}].keyAlgorithms`,
      seen: foreign,
    });
  });
}

function checkRevocation(policy: Policy): void {
  const times = policy.revocation;
  if (times.crlRefreshSeconds >= times.crlSeconds) {
    throw new KeysteadError('policy.crl-refresh-late', {
      field: 'revocation.crlRefreshSeconds',
      seen: `${times.crlRefreshSeconds}, with CRLs that are good for ${times.crlSeconds}`,
    });
  }
  checkDeltaCrls(times);
  const responder = policy.profiles.find((profile) => profile.id === 'ocsp-responder')?.validity.seconds;
  // The answers of a responder key are good until its certificate ends, so it must stop signing before that.
  const needed = times.ocspResponderSeconds + times.ocspSeconds;
  if (typeof responder === 'number' && responder < needed) {
    throw new KeysteadError('policy.ocsp-responder-outlived', {
      field: 'revocation.ocspResponderSeconds',
      seen: `${times.ocspResponderSeconds} + ${times.ocspSeconds} (ocspSeconds), with certificates of ${responder}`,
    });
  }
}

/** A delta CRL that outlives its full CRL is of no use: without the other it says nothing (RFC 5280 section 5.2.4). */
function checkDeltaCrls({ lists, crlSeconds }: Policy['revocation']): void {
  const delta = lists?.delta;
  if (delta === undefined) return;
  const field = 'revocation.lists.delta';
  if (delta.refreshSeconds >= delta.seconds) {
    throw new KeysteadError('policy.crl-refresh-late', {
      field: `${field}.refreshSeconds`,
      seen: `${delta.refreshSeconds}, with delta CRLs that are good for ${delta.seconds}`,
    });
  }
  if (delta.seconds > crlSeconds) {
    throw new KeysteadError('policy.delta-outlives-base', {
      field: `${field}.seconds`,
      seen: `${delta.seconds}, with full CRLs that are good for ${crlSeconds}`,
    });
  }
}

/** EST is for devices and hosts; a key is made for a device alone, whose certificate it can be wrapped to. */
function checkEst({ est = {}, profiles }: Policy): void {
  for (const [part, named] of [
    ['serverKeys', ['device-id']],
    ['channelBinding', ['device-id', 'host']],
  ] as const) {
    for (const [index, id] of (est[part] ?? []).entries()) {
      const profile = profiles.find((candidate) => candidate.id === id);
      const kind = profile?.subject.commonName;
      const ends = profile?.validity.seconds !== 'none';
      if (ends && named.some((one) => one === kind)) continue;
      throw new KeysteadError('policy.est-profile', { field: `est.${part}[${index}]`, seen: id });
    }
  }
}

function checkOperators(policy: Policy): void {
  const names = new Set<string>();
  const keys = new Map<string, string>();
  policy.operators.forEach((operator, index) => {
    const field = `operators[${index}]`;
    if (names.has(operator.name)) {
      throw new KeysteadError('policy.operator-duplicate', { field: `${field}.name`, seen: operator.name });
    }
    names.add(operator.name);
    // As bytes: base64 with a line feed, or with other bits behind its last octet, is the same key.
    const key = toBase64(fromBase64(operator.spki));
    const other = keys.get(key);
    if (other !== undefined) {
      throw new KeysteadError('policy.operator-duplicate', { field: `${field}.spki`, seen: `the key of ${other}` });
    }
    keys.set(key, operator.name);
    const clash = EXCLUSIVE_ROLES.find(([a, b]) => operator.roles.includes(a) && operator.roles.includes(b));
    if (clash !== undefined) {
      throw new KeysteadError('policy.roles-conflict', {
        field: `${field}.roles`,
        seen: `${clash[0]} with ${clash[1]}`,
      });
    }
  });
}
