import { toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CeremonyBundle,
  generationsOf,
  type IssuerId,
  rootCrlsOf,
  transcriptRoot,
} from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import type { CeremonyOutputs } from '../files/ceremony-outputs.ts';
import { type CeremonyPins, lastTranscript } from './hierarchy.ts';
import type { LaterChanges } from './later-changes.ts';
import type { StoppedState } from './stopped-state.ts';

/** The bundle follows the last one that was taken, and no other. */
export function requireNext({ bundle }: CeremonyOutputs, pins: CeremonyPins): void {
  const number = 1 + pins.later.length;
  const seen = `ceremony ${bundle.number}, after ceremony ${number}`;
  if (bundle.number <= number) throw new KeysteadError('bundle.older', { field: 'number', seen });
  if (bundle.number > number + 1) throw new KeysteadError('bundle.gap', { field: 'number', seen });
  if (bundle.previousTranscriptSha256 === lastTranscript(pins)) return;
  throw new KeysteadError('bundle.foreign', {
    field: 'previousTranscriptSha256',
    seen: bundle.previousTranscriptSha256 ?? 'none',
  });
}

/** The root that vouches for the transcript is the pinned one. */
export function requirePinnedRoot(bundle: CeremonyBundle, pins: CeremonyPins): void {
  const vouching = certSha256(transcriptRoot(bundle));
  if (vouching === pins.certificates.root) return;
  throw new KeysteadError('bundle.foreign', { field: 'certificates.root', seen: vouching });
}

/**
 * Certificates of firmware keys are by the policy that is in force here, whatever policy lay on the table of the ceremony;
 * none is of a key that was killed, and none is revoked already. REQ-KEY-SOD-01
 * @throws KeysteadError `bundle.policy-differs`, `bundle.revoked`.
 */
export function requireFirmwareInForce(
  { bundle, policyBytes }: CeremonyOutputs,
  { firmware }: LaterChanges,
  { policy, dead }: StoppedState,
): void {
  const seen = toHex(sha256(policyBytes));
  if (seen !== policy.sha256)
    throw new KeysteadError('bundle.policy-differs', {
      field: 'policy.json',
      seen: `sha256 ${seen}, where version ${policy.policy.version} is in force`,
      remedy: 'hold the ceremony with the policy that keystead hierarchy request-firmware was run under',
    });
  const revoked = rootCrlsOf(bundle).flatMap(({ role, crl }) =>
    role === 'signing-root' ? [...readCrl(crl).entries.keys()] : [],
  );
  for (const { key, certificate } of bundle.firmware ?? []) {
    if (!firmware.includes(key)) continue;
    const { spkiSha256: spki, serial } = readCertificate(certificate);
    if (dead.has(spki) || revoked.includes(serial))
      throw new KeysteadError('bundle.revoked', { field: `firmware ${key}`, seen: spki });
  }
}

/** What is new is not revoked already, and what was revoked is not brought back by a new certificate for its key. */
export function requireRevocations(
  bundle: CeremonyBundle,
  changes: LaterChanges,
  pins: CeremonyPins,
  revoked: IssuerId[],
): void {
  for (const ca of changes.successor === undefined ? changes.renewed : [...changes.renewed, changes.successor.ca]) {
    const current = generationsOf(bundle, ca).find((one) => one.current);
    if (current !== undefined && revoked.includes(current.issuer)) {
      throw new KeysteadError('bundle.revoked', { field: `certificates.${ca}` });
    }
  }
  const back = pins.revoked.find((issuer) => !revoked.includes(issuer));
  if (back === undefined) return;
  throw new KeysteadError('bundle.change-unexpected', { field: 'crls.root', seen: `${back} is not revoked any more` });
}
