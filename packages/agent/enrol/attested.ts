import type { DerCertificate, DerCsr } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import type { Credential } from '@keystead/tpm2';
import type { DeviceState } from '../state/index.ts';
import type { ShownTpm, TpmDevice } from '../tpm/index.ts';
import { provision, type StationAnswer } from './provision.ts';

/** A challenge as the station brings it from keyd. */
export interface StationChallenge {
  readonly challengeId: string;
  readonly credential: Credential;
}

/** The factory station, as a device whose key is in its TPM needs it. */
export interface AttestingStation {
  challenge(shown: ShownTpm): Promise<StationChallenge>;
  /** @param answer its secret stays with the caller, who wipes it. */
  provision(
    csr: DerCsr,
    answer: { readonly challengeId: string; readonly secret: SecretBytes },
  ): Promise<StationAnswer>;
}

/**
 * The device's part of provisioning where its key is in its TPM and shall be known to be there: shows the TPM, opens
 * keyd's challenge in it, and sends the answer with the request. The key never leaves the TPM. Safe to repeat after a
 * power cut at any step, as `provision` is; each try asks for a challenge of its own.
 * @throws KeysteadError `tpm2.*`, enrol.certificate-refused; whatever the station throws.
 *
 * REQ-KEY-GEN-03
 */
export function provisionAttested(
  state: DeviceState,
  clock: Clock,
  station: AttestingStation,
  device: TpmDevice,
): Promise<DerCertificate> {
  const submit = async (csr: DerCsr): Promise<StationAnswer> => {
    const { challengeId, credential } = await station.challenge(await device.shown());
    using secret = await device.activate(credential);
    return station.provision(csr, { challengeId, secret });
  };
  return provision(state, clock, submit, device.signer());
}
