export { signedBytes, tufSubject } from './canonical.ts';
export * from './envelope.ts';
export { shownOf as tufShown, tuf } from './format.ts';
export * from './key.ts';
export * from './metadata.ts';
export * from './root.ts';
export * from './status.ts';
