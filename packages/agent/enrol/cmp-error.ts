import type { CmpFailure, CmpStatusInfo } from '@keystead/core/cmp';
import { KeysteadError } from '@keystead/core/errors';

/** Failures that may be over later without anybody's help. */
const PASSING: readonly (CmpFailure | undefined)[] = ['systemUnavail', 'systemFailure', 'timeNotAvailable'];

/** A refusal by a CMP server, signed by it, with its own words. */
export class CmpRefusal extends KeysteadError {
  readonly failure: CmpFailure | undefined;
  /** The server's stable code, such as `device.blocked`; undefined when it sent none. */
  readonly serverCode: string | undefined;
  /** The server's text, at most 500 characters, control characters removed. */
  readonly serverText: string;

  constructor(operation: string, { failure, text = '' }: CmpStatusInfo, details?: string) {
    const said = [text, details].filter((part) => part !== undefined && part !== '').join('; ');
    super('cmp.refused', { field: operation, seen: `${failure ?? 'no failure named'} ${said}` });
    this.failure = failure;
    this.serverText = said;
    this.serverCode = /^([a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+)\b/.exec(text)?.[1];
  }

  /** Whether the server may say otherwise later without anybody's help: it is overloaded or down. */
  get isPassing(): boolean {
    return PASSING.includes(this.failure);
  }
}
