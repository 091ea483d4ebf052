import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { nameWiped, signWipeEvidence, type WipeClaims } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { identitySigner } from '../enrol/identity-signer.ts';
import { DeviceState, nodeDisk, tombstoneOf, type WipeReport } from '../state/index.ts';
import type { AgentConfig } from './config.ts';
import { type KeyHolder, openKeyHolder } from './key-holder.ts';

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
 * keys and the objects of the TPM or token. To be called again after a power cut: it goes on where it was, by what is left.
 * An older image of the state is wiped like the newest. REQ-KEY-WIPE-01
 * @param options.unsigned destroys a device also where what it would sign with is lost, and there will be no evidence.
 * @throws KeysteadError `state.locked` while the daemon runs; `state.missing`, `state.damaged` and their like where there
 *   can be no evidence; `tpm2.*`, `keystore.*`: what is left is destroyed by the next call.
 */
export async function wipeDevice(
  config: AgentConfig,
  clock: Clock,
  { unsigned = false }: { readonly unsigned?: boolean } = {},
): Promise<Wiped> {
  const begun = wipeBegun(config, clock);
  const holder = await openKeyHolder(config, clock, 'destroy');
  try {
    const report = begun ?? (await wipeState(config, clock, holder, unsigned));
    return { report, objects: await holder.destroy() };
  } finally {
    await holder.close();
  }
}

/** Erases what a wipe that was cut short has left of the state. @returns what that one has reported, if there was one. */
function wipeBegun({ state, deviceId }: AgentConfig, clock: Clock): WipeReport | undefined {
  try {
    DeviceState.requireUnwiped(state);
    return undefined;
  } catch (error) {
    if (!(error instanceof KeysteadError && error.code === 'state.wiped')) throw error;
  }
  const report = tombstoneOf(nodeDisk, state);
  // One that cannot be read any more has taken its evidence along.
  if (report === undefined) return DeviceState.wipeUnopened(state, deviceId, clock.now());
  if (report.deviceId !== deviceId) throw otherDevice(report.deviceId);
  return report;
}

async function wipeState(config: AgentConfig, clock: Clock, holder: KeyHolder, unsigned: boolean): Promise<WipeReport> {
  const at = clock.now();
  let state: DeviceState;
  try {
    using secret = await holder.secret();
    state = DeviceState.open(config.state, { secret });
  } catch (error) {
    if (!isNoEvidence(error)) throw error;
    if (!(await isAnythingThere(config, holder))) throw error;
    if (!unsigned) throw withRemedy(error);
    return DeviceState.wipeUnopened(config.state, config.deviceId, at);
  }
  try {
    if (state.deviceId !== config.deviceId) throw otherDevice(state.deviceId);
    const idevid = state.credential('idevid');
    const files = state.filesToWipe().map(({ name, part }) => `${part}: file ${name}`);
    const named = nameWiped([...(await holder.holds()), ...files]);
    const claims = { v: 1 as const, deviceId: state.deviceId, at: at.toISOString(), ...named, limits: LIMITS };
    const evidence =
      idevid === undefined
        ? undefined
        : await signed(
            { ...claims, idevidSerial: readCertificate(idevid.certificate).serial },
            state,
            holder,
            unsigned,
          );
    return state.wipe(at, evidence);
  } finally {
    state.close();
  }
}

/** @returns undefined where the key that would sign is lost, and the device is to be wiped all the same. */
async function signed(
  claims: WipeClaims,
  state: DeviceState,
  holder: KeyHolder,
  unsigned: boolean,
): Promise<string | undefined> {
  try {
    return await signWipeEvidence(claims, identitySigner(state.identity('idevid'), holder.signer));
  } catch (error) {
    if (!isNoEvidence(error)) throw error;
    if (!unsigned) throw withRemedy(error);
    return undefined;
  }
}

/** What says that the state will not open again, or that the IDevID's key is lost: of the token, that it has not the key. */
const NO_EVIDENCE: readonly string[] = [
  'state.missing',
  'state.damaged',
  'wrap.damaged',
  'tpm2.file-damaged',
  'agent.other-token',
  'agent.secret',
  'keystore.damaged',
  'keystore.token-ambiguous',
];

const isNoEvidence = (error: unknown): error is KeysteadError =>
  error instanceof KeysteadError && NO_EVIDENCE.includes(error.code);

const UNSIGNED =
  'the device cannot sign that it is wiped: put back what is lost, or let `keystead-agent wipe --without-evidence` destroy what there is';

const withRemedy = (error: KeysteadError): KeysteadError =>
  new KeysteadError(error.code, { ...told(error), remedy: UNSIGNED, cause: error });

const told = ({ field, seen }: KeysteadError) => ({
  ...(field === undefined ? {} : { field }),
  ...(seen === undefined ? {} : { seen }),
});

/** A wrong path in the configuration is no device that was wiped. */
async function isAnythingThere({ state }: AgentConfig, holder: KeyHolder): Promise<boolean> {
  if (nodeDisk.mode(state) !== undefined && nodeDisk.list(state).some((name) => !name.startsWith('lock'))) return true;
  return (await holder.holds()).length > 0;
}

const otherDevice = (deviceId: string): KeysteadError =>
  new KeysteadError('agent.config-invalid', { field: 'deviceId', seen: `the state is that of ${deviceId}` });
