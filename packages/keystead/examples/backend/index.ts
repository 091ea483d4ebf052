export { Backend, type BackendParts } from './backend.ts';
export { type BackendConfig, readConfig } from './config.ts';
export { DeviceLink } from './device-link.ts';
