import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

/** A certificate that a client was given. */
export interface Acknowledged {
  readonly device: string;
  readonly profile: 'idevid' | 'ldevid';
  /** DER, base64. */
  readonly certificate: string;
}

/** What clients were given, in a file that is on the disk before a client goes on: the other side of the records. */
export class AcknowledgedFile {
  readonly #path: string;
  readonly #file: number;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'a', 0o600);
  }

  note(one: Acknowledged): void {
    writeSync(this.#file, `${JSON.stringify(one)}\n`);
    fsyncSync(this.#file);
  }

  all(): Acknowledged[] {
    const lines = readFileSync(this.#path, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line): Acknowledged => JSON.parse(line));
  }

  close(): void {
    closeSync(this.#file);
  }
}
