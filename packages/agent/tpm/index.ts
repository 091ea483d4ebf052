export { AGENT_COUNTER_INDEX, TpmCounter } from './tpm-counter.ts';
export { type ShownTpm, TpmDevice, type TpmWipe } from './tpm-device.ts';
