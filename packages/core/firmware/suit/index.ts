export { readSuitEnvelope, type SuitEnvelope } from './envelope.ts';
export { suit, suitSigners } from './format.ts';
export { makeManifest, readManifest, type SuitManifest, type SuitUpdate } from './manifest.ts';
