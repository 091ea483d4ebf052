import { type DerSpki, sameBytes, toHex } from '@keystead/core/bytes';
import {
  type GeneratedKeyAlgorithm,
  generateSoftwareKey,
  requireAgreementKey,
  SecretBytes,
  sha256,
  softwareSigner,
  spkiSha256,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { profileOf, type SignedTicket } from '@keystead/core/lifecycle';
import { certificationRequest, checkPublicKey, type RecipientKey, sequence } from '@keystead/core/x509';
import type { Chip } from '../attestation/index.ts';
import type { KeydContext } from '../context.ts';
import type { UnitPackage } from '../injections.ts';
import type { Params, Result } from '../protocol.ts';
import { requireUnit } from './challenge-attestation.ts';
import { sealedPackage } from './key-package.ts';
import { requireInjectable, requireKeyOrigin, requireProofDemanded } from './key-way.ts';

/**
 * Makes the key of a unit that has no random source to make a good one, and gives it out wrapped to that unit's own
 * public key. Policy (`unitKeys.injected`) and ticket must allow it. The private half is in memory for this one operation;
 * what is kept is the package and the request that the key signed, and the same unit with the same recipient key gets the
 * same again, whatever died in between. It takes no unit and signs no certificate: `provision` does. A unit that has an
 * identity gets no other key. REQ-KEY-GEN-01, REQ-KEY-GEN-03, REQ-KEY-PROV-01, REQ-KEY-STO-02
 * @throws KeysteadError as `requireUnit` does; `injection.*`, `attestation.required`, `agreement.key-invalid`, `element.*`,
 *   `key.*`, `device.already-provisioned`, `ticket.quota-exhausted`, `rng.unhealthy`, `keyd.journal-failed`.
 */
export async function makeUnitKey(keyd: KeydContext, params: Params<'makeUnitKey'>): Promise<Result<'makeUnitKey'>> {
  const now = keyd.now();
  const { deviceId, algorithm, requestId } = params;
  const { signed } = requireUnit(keyd, params, now);
  requireAllowed(keyd, signed, algorithm);
  const recipient = recipientKey(params.recipient as DerSpki);
  const chip = chipOf(keyd, params, now);
  const recipientSha256 = spkiSha256(recipient.spki);
  return keyd.state.injections.inTurn(async () => {
    const { injections } = keyd.state;
    const known = injections.madeFor(deviceId, recipientSha256);
    if (known !== undefined) {
      keyd.state.units.require(signed, deviceId, known.spkiSha256);
      return { ...injections.read(known), spkiSha256: known.spkiSha256, repeated: true };
    }
    requireNoIdentity(keyd, recipientSha256);
    injections.requireFree(deviceId, recipientSha256);
    const { pkcs8, spki } = generateSoftwareKey(algorithm);
    using key = pkcs8;
    const made = spkiSha256(spki);
    // A unit that has an identity has it with another key than this one.
    keyd.state.units.require(signed, deviceId, made);
    // One chip is one device, and from here on it is this one's.
    const ids = chip?.ids ?? [];
    keyd.state.chips.require(deviceId, ids);
    keyd.state.chips.take(deviceId, ids);
    const wrapped = await packageOf(keyd, deviceId, algorithm, key, recipient);
    const entry = {
      time: now.toISOString(),
      kind: 'unit-key',
      subject: deviceId,
      ticketSha256: signed.sha256,
      spkiSha256: made,
      recipientSha256,
      packageSha256: toHex(sha256(wrapped.envelope)),
      place: injections.write(wrapped),
      ...(chip === undefined ? {} : { chip: chip.facts, chips: [...chip.ids] }),
      requestId,
    } as const;
    await keyd.journal.append(entry);
    injections.replay({ ...entry, n: 0 });
    return { ...wrapped, spkiSha256: made, repeated: false };
  });
}

/** @throws KeysteadError `injection.forbidden`, `attestation.required`, `key.algorithm-forbidden`. */
function requireAllowed(keyd: KeydContext, signed: SignedTicket, algorithm: GeneratedKeyAlgorithm): void {
  const profile = profileOf(keyd.policy, signed.ticket.profile);
  requireInjectable(keyd.policy, signed);
  requireKeyOrigin(signed.ticket, 'injected');
  requireProofDemanded(keyd.policy, signed, 'injected');
  if (profile.keyAlgorithms.includes(algorithm)) return;
  throw new KeysteadError('key.algorithm-forbidden', { field: 'algorithm', seen: algorithm });
}

/**
 * A public key that may be wrapped to: on its curve, in its one encoding, and none whose private half is known.
 * @throws KeysteadError `injection.recipient-unfit`, `agreement.key-invalid`, `key.*`.
 */
export function recipientKey(spki: DerSpki): RecipientKey {
  const keyAlgorithm = checkPublicKey(spki, ['P-256', 'P-384']);
  if (keyAlgorithm !== 'P-256' && keyAlgorithm !== 'P-384')
    throw new KeysteadError('injection.recipient-unfit', { field: 'recipient', seen: keyAlgorithm });
  requireAgreementKey(keyAlgorithm, spki);
  return { spki, keyAlgorithm };
}

/** The chip that holds the recipient's key, where that is shown. @throws KeysteadError `element.*`. */
function chipOf(keyd: KeydContext, params: Params<'makeUnitKey'>, now: Date): Chip | undefined {
  if (params.chain === undefined) return undefined;
  const chip = keyd.elements.chip(params.chain, now);
  const { certificate, ids } = chip;
  if (!sameBytes(certificate.spki, params.recipient))
    throw new KeysteadError('element.key-refused', { field: 'recipient', seen: 'another key than the chip has' });
  const { keyUsage } = certificate;
  if (keyUsage.length > 0 && !keyUsage.includes('keyAgreement'))
    throw new KeysteadError('element.chip-refused', {
      field: 'chip certificate',
      seen: `a key for ${keyUsage.join()}`,
    });
  keyd.state.chips.require(params.deviceId, ids);
  return chip;
}

/** An identity key signs and does nothing else. @throws KeysteadError `injection.recipient-unfit`. */
export function requireNoIdentity({ state }: KeydContext, recipientSha256: string): void {
  const owner = state.units.ownerOf(recipientSha256);
  if (owner === undefined) return;
  throw new KeysteadError('injection.recipient-unfit', { field: 'recipient', seen: `the identity of ${owner}` });
}

async function packageOf(
  keyd: KeydContext,
  deviceId: string,
  algorithm: GeneratedKeyAlgorithm,
  key: SecretBytes,
  recipient: RecipientKey,
): Promise<UnitPackage> {
  const csr = await certificationRequest(deviceId, softwareSigner(algorithm, key));
  using content = SecretBytes.take(key.use((pkcs8) => sequence(pkcs8)));
  const hint = `keystead identity key of ${deviceId}`;
  const order = { type: 'asymmetricKeyPackage', hint, recipient } as const;
  return { csr, envelope: await content.use((bytes) => sealedPackage(keyd, { ...order, content: bytes })) };
}
