export { FrameReader, FrameWriter } from './frames.ts';
export { SALT_LENGTH, type SessionPurpose, tlsSessionKeys } from './keys.ts';
