import { KeysteadError } from '@keystead/core/errors';
import { codeIn, readable } from './refusal-text.ts';

/** A refusal by an EST server, with its own words. */
export class EstRefusal extends KeysteadError {
  /** The HTTP status. */
  readonly status: number;
  /** The server's stable code, such as `device.revoked`; undefined when it sent none. */
  readonly serverCode: string | undefined;
  /** The server's text, at most 500 characters, control characters removed. */
  readonly serverText: string;

  constructor(operation: string, status: number, body: Uint8Array) {
    const text = readable(body);
    const serverCode = codeIn(text);
    super('est.refused', { field: operation, seen: `${status} ${text}` });
    this.status = status;
    this.serverCode = serverCode;
    this.serverText = text;
  }

  /** Whether the server may say otherwise later without anybody's help: it is overloaded or down. */
  get isPassing(): boolean {
    return this.status >= 500 || this.status === 429 || this.status === 408;
  }
}
