export { TokenCounter } from './token-counter.ts';
export { type DeviceToken, openDeviceToken, TokenDevice } from './token-device.ts';
