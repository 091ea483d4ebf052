import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { signWipeEvidence } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { identitySigner } from '../enrol/identity-signer.ts';
import { nodeDisk, tombstoneOf, type WipeReport } from '../state/index.ts';
import { openDevice } from './agent.ts';
import type { AgentConfig } from './config.ts';
import { openKeyHolder } from './key-holder.ts';

/** What no software can promise of the storage that it writes to (NIST SP 800-88r1). */
const LIMITS =
  'Files were written over with random bytes in place. Flash controllers, journals and snapshots may keep older cells until they are cleaned; what they keep is sealed by the device secret.';

/** What is gone, with the evidence for whoever collects it. */
export interface Wiped {
  readonly report: WipeReport;
  /** Objects of the TPM, by name; what a wipe that was cut short destroyed before is not among them. */
  readonly objects: readonly string[];
}

/**
 * Ends a device: signs the evidence with the IDevID's key, makes it durable with the decision, then destroys the state's
 * keys and the objects of the TPM. To be called again after a power cut: it goes on where it was. REQ-KEY-WIPE-01
 * @throws KeysteadError `state.locked` while the daemon runs; `tpm2.*`: what is left is destroyed by the next call.
 */
export async function wipeDevice(config: AgentConfig, clock: Clock): Promise<Wiped> {
  try {
    const { holder, state } = await openDevice(config, clock);
    try {
      const at = clock.now();
      const idevid = state.credential('idevid');
      const wiped = [
        ...state.filesToWipe().map(({ name, part }) => `${part}: file ${name}`.slice(0, 200)),
        ...(config.key.store === 'tpm' ? ['IDevID key and device secret: objects of the TPM'] : []),
      ].slice(0, 60);
      const claims = { v: 1 as const, deviceId: state.deviceId, at: at.toISOString(), wiped, limits: LIMITS };
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
  } catch (error) {
    if (!(error instanceof KeysteadError && (error.code === 'state.wiped' || error.code === 'state.missing')))
      throw error;
    const report = tombstoneOf(nodeDisk, config.state);
    if (report === undefined) throw error;
    return { report, objects: await destroyRest(config, clock) };
  }
}

/** The state is gone: what its key holder still has goes as well. */
async function destroyRest(config: AgentConfig, clock: Clock): Promise<readonly string[]> {
  try {
    const holder = await openKeyHolder(config.key, clock, false);
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
