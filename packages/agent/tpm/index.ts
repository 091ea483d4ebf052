export { type AttestationAnswer, type AttestationRequest, TpmDevice, type TpmWipe } from './tpm-device.ts';
