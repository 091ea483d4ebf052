export * from './enrol/index.ts';
export * from './firmware/index.ts';
export * from './renewal/index.ts';
export * from './session/index.ts';
export * from './state/index.ts';
export * from './tls/index.ts';
export * from './tpm/index.ts';
export * from './trust/index.ts';
