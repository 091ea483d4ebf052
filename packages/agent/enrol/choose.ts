import type { DeviceState } from '../state/index.ts';
import type { CmpClient } from './cmp-client.ts';
import type { EstClient } from './est-client.ts';

/** What the renewal loop asks of an enrolment protocol. */
export type EnrolmentClient = Pick<EstClient, 'enrol' | 'reenrol' | 'caCertificates'> &
  // CMP has no such question here: the device then goes by its own list.
  Partial<Pick<EstClient, 'wantedKey'>>;

/**
 * The protocol by which a device enrols: CMP where its IDevID's key is in a TPM or secure element, since node:tls takes no
 * key that it cannot read and EST has no other way than TLS to prove a device; EST where the key is in the state.
 */
export function enrolmentClient(
  state: DeviceState,
  protocols: { readonly est: () => EstClient; readonly cmp: () => CmpClient },
): EnrolmentClient {
  return state.credential('idevid')?.held === true ? protocols.cmp() : protocols.est();
}
