import type { Clock } from '@keystead/core/clock';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { nameWiped, signWipeEvidence } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { identitySigner } from '../enrol/identity-signer.ts';
import { DeviceState, nodeDisk, tombstoneOf, type WipeReport } from '../state/index.ts';
import { openDevice } from './agent.ts';
import type { AgentConfig } from './config.ts';
import { openKeyHolder } from './key-holder.ts';

/** What no software can promise of the storage that it writes to (NIST SP 800-88r1). */
const LIMITS =
  'Files were written over with random bytes in place. Flash controllers, journals and snapshots may keep older cells until they are cleaned; what they keep is sealed by the device secret.';

/** What is gone, with the evidence for whoever collects it. */
export interface Wiped {
  readonly report: WipeReport;
  /** Objects of the TPM or token, by name; what a wipe that was cut short destroyed before is not among them. */
  readonly objects: readonly string[];
}

/**
 * Ends a device: signs the evidence with the IDevID's key, makes it durable with the decision, then destroys the state's
 * keys and the objects of the TPM or token. To be called again after a power cut: it goes on where it was. REQ-KEY-WIPE-01
 * @throws KeysteadError `state.locked` while the daemon runs; `tpm2.*`, `keystore.*`: what is left is destroyed by the next call.
 */
export async function wipeDevice(config: AgentConfig, clock: Clock): Promise<Wiped> {
  const begun = tombstoneOf(nodeDisk, config.state);
  if (begun !== undefined) {
    finishState(config.state);
    return { report: begun, objects: await destroyRest(config, clock) };
  }
  const { holder, state } = await openDevice(config, clock);
  try {
    const at = clock.now();
    const idevid = state.credential('idevid');
    const files = state.filesToWipe().map(({ name, part }) => `${part}: file ${name}`);
    const named = nameWiped([...(await holder.holds()), ...files]);
    const claims = { v: 1 as const, deviceId: state.deviceId, at: at.toISOString(), ...named, limits: LIMITS };
    const evidence =
      idevid === undefined
        ? undefined
        : await signWipeEvidence(
            { ...claims, idevidSerial: readCertificate(idevid.certificate).serial },
            identitySigner(state.identity('idevid'), holder.signer),
          );
    const report = state.wipe(at, evidence);
    return { report, objects: await holder.destroy() };
  } finally {
    state.close();
    await holder.close();
  }
}

/** Erases what a wipe that was cut short has left of the state; nothing is opened for it, so any secret will do. */
function finishState(directory: string): void {
  using none = SecretBytes.random(32);
  try {
    DeviceState.open(directory, { secret: none }).close();
  } catch (error) {
    if (!(error instanceof KeysteadError && error.code === 'state.wiped')) throw error;
  }
}

/** The state is gone: what its key holder still has goes as well. */
async function destroyRest(config: AgentConfig, clock: Clock): Promise<readonly string[]> {
  try {
    const holder = await openKeyHolder(config, clock, false);
    try {
      return await holder.destroy();
    } finally {
      await holder.close();
    }
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'state.missing') return [];
    throw error;
  }
}
