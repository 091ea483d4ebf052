export { type ShownTpm, TpmDevice, type TpmWipe } from './tpm-device.ts';
