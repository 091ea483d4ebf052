import { KeysteadError } from '../errors/index.ts';

/** The one refusal of a reader of images: which part is not as its format has it, and what stands there. */
export const malformed = (field: string, seen: string): KeysteadError =>
  new KeysteadError('firmware.malformed', { field, seen });
