import { KeysteadError } from '@keystead/core/errors';

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

// What the server says goes to logs and terminals.
const readable = (body: Uint8Array): string =>
  Buffer.from(body)
    .toString('utf8')
    .replace(/[^\P{Cc}\n]+/gu, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 500);

/** The code in `{"error":{"code":…}}`, or in front of a plain text: `device.revoked: …`. */
function codeIn(text: string): string | undefined {
  return (/"code"\s*:\s*"([a-z0-9.-]{1,64})"/.exec(text) ?? /^([a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+)\b/.exec(text))?.[1];
}
