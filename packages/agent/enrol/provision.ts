import type { DerCertificate, DerCsr } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { Signer } from '@keystead/core/crypto';
import type { DeviceState } from '../state/index.ts';
import { acceptIssued } from './issued.ts';

/** What the provisioning station answers: the IDevID, and the CA certificates up to the anchor, in any order. */
export interface StationAnswer {
  readonly certificate: DerCertificate;
  readonly chain: readonly DerCertificate[];
}

/**
 * The device's part of provisioning: makes the IDevID key, lets `submit` carry the request to the station
 * (which is authenticated there, not here), checks what comes back and keeps it. Safe to repeat after a
 * power cut at any step: the same key and the same request are used until a certificate is in the state; a
 * device that has its IDevID submits nothing.
 * @param held the IDevID's key where a TPM holds it (`TpmDevice`); without it the state makes one.
 * @throws KeysteadError enrol.certificate-refused; whatever `submit` throws.
 *
 * REQ-KEY-GEN-03: `submit` gets the public half and the proof of possession, nothing else.
 */
export async function provision(
  state: DeviceState,
  clock: Clock,
  submit: (csr: DerCsr) => Promise<StationAnswer>,
  held?: Signer,
): Promise<DerCertificate> {
  const had = state.credential('idevid');
  if (had !== undefined) return had.certificate;
  const { csr } = held === undefined ? await state.beginKey('idevid') : await state.beginHeldKey('idevid', held);
  const answer = await submit(csr);
  acceptIssued(state, [answer.certificate, ...answer.chain], clock);
  return state.identity('idevid').certificate;
}
