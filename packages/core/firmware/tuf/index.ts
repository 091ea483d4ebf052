export { signedBytes } from './canonical.ts';
export * from './envelope.ts';
export { tuf } from './format.ts';
export * from './key.ts';
export * from './metadata.ts';
export * from './root.ts';
export * from './status.ts';
