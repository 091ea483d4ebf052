import { KeysteadError } from '../../errors/index.ts';

/** The data types of SSH (RFC 4251 section 5). */

/** @throws KeysteadError `ssh.malformed` always. */
export const malformed = (field: string, seen: string): KeysteadError =>
  new KeysteadError('ssh.malformed', { field, seen });

export const uint32 = (value: number): Uint8Array => {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, value);
  return octets;
};

/** `string`: the length and the octets. Text is ASCII. */
export const sshString = (value: Uint8Array | string): Uint8Array => {
  const octets = typeof value === 'string' ? Buffer.from(value, 'latin1') : value;
  return Buffer.concat([uint32(octets.length), octets]);
};

/** `mpint` of an unsigned big-endian number. */
export function sshMpint(number: Uint8Array): Uint8Array {
  const first = number.findIndex((octet) => octet !== 0);
  const magnitude = first === -1 ? new Uint8Array(0) : number.subarray(first);
  return sshString((magnitude[0] ?? 0) >= 0x80 ? Buffer.concat([Uint8Array.of(0), magnitude]) : magnitude);
}

/** Reads one after another, strictly; `name` is what messages call the whole. */
export class SshReader {
  readonly #bytes: Uint8Array;
  readonly #name: string;
  #at = 0;

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes;
    this.#name = name;
  }

  /** A view, not a copy. @throws KeysteadError `ssh.malformed`, as all here. */
  octets(length: number, what: string): Uint8Array {
    const left = this.#bytes.length - this.#at;
    if (length > left) throw malformed(this.#name, `${what} of ${length} bytes where ${left} are left`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  uint32(what: string): number {
    const octets = this.octets(4, what);
    return new DataView(octets.buffer, octets.byteOffset, 4).getUint32(0);
  }

  string(what: string): Uint8Array {
    return this.octets(this.uint32(what), what);
  }

  /** A string of printable ASCII without blanks. */
  name(what: string): string {
    const text = Buffer.from(this.string(what)).toString('latin1');
    if (!/^[\x21-\x7e]{0,255}$/.test(text)) throw malformed(this.#name, `${what} that is no printable text`);
    return text;
  }

  /** A number that is not negative, in its one encoding: without its sign octet, at most `most` octets. */
  mpint(most: number, what: string): Uint8Array {
    const octets = this.string(what);
    const [first = 0, second = 0] = octets;
    if (first >= 0x80) throw malformed(this.#name, `${what} that is negative`);
    if (octets.length > 0 && first === 0 && second < 0x80) throw malformed(this.#name, `${what} with a leading zero`);
    const magnitude = first === 0 ? octets.subarray(1) : octets;
    if (magnitude.length > most) throw malformed(this.#name, `${what} of ${magnitude.length} bytes`);
    return magnitude;
  }

  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw malformed(this.#name, `${left} bytes after the end`);
  }
}
