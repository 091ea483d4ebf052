import { type DerSpki, fromHex, toHex } from '@keystead/core/bytes';
import { PurposeKeys, SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { CarriedFilter, checkContent, parseBundle, type TrustState, takeBundles } from '@keystead/core/trust';
import { serialOf } from '../../../core/x509/serial.ts';

/** Cases for judge.c, in the order in which they are judged, and what TypeScript says of each. */
export class Cases {
  readonly #parts: Buffer[] = [];
  /** One line for each, as judge.c writes them. */
  readonly expected: string[] = [];
  /** How many ended how. */
  readonly tally = new Map<string, number>();

  get bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  /**
   * A bundle that is read and held against its rules: these where its certificates and keys are those of `pool`. Where
   * bytes of one were changed, two libraries for X.509 may differ, which is not the question here.
   */
  content(file: Uint8Array, pool: readonly Uint8Array[]): void {
    const isKnown = (one: Uint8Array) => pool.some((known) => Buffer.compare(known, one) === 0);
    let ruled = false;
    codeOf(() => {
      const { anchors, signers } = parseBundle(file).content;
      ruled = [...anchors.map((one) => one.certificate), ...signers.map(({ spki }) => spki)].every(isKnown);
    });
    this.#number(ruled ? 1 : 4, 1);
    this.#bytes(file);
    this.#expect(() => {
      const { content, signer, algorithm } = parseBundle(file);
      const { fleet, version, issuedAt, expires, anchors, pins, signers, firmware, filterSha256 } = content;
      const end = (bytes: Uint8Array) => `${bytes.length}.${Buffer.from(bytes.subarray(-4)).toString('hex')}`;
      const window = ({ from, until }: { from: number; until: number }) => ` ${from} ${until};`;
      const dump = [
        `ok ${signer} ${['P-256', 'P-384', 'Ed25519'].indexOf(algorithm)} ${fleet} ${version} ${issuedAt} ${expires};`,
        ...anchors.map(
          (one) => ` a${['server', 'device', 'firmware'].indexOf(one.role)} ${end(one.certificate)}${window(one)}`,
        ),
        ...pins.flatMap(({ role, keys }) => [
          ` n${role}`,
          ...keys.map((key) => ` p${['current', 'next', 'backup'].indexOf(key.use)} ${key.spkiSha256}${window(key)}`),
        ]),
        ...signers.map((one) => ` s${end(one.spki)}${window(one)}`),
        ...firmware.map((one) => ` f${[one.product, ...one.signers, one.minimumSecurityCounter].join(' ')}`),
        ` x${filterSha256 ?? ''}`,
      ];
      return dump.join('') + (ruled ? ` ${codeOf(() => checkContent(content))}` : '');
    });
  }

  /** Bundles that a device which knows `known` is given. */
  take(files: readonly Uint8Array[], known: TrustState, now: number): void {
    this.#number(2, 1);
    this.#number(now, 8);
    this.#bytes(Buffer.from(known.fleet));
    this.#number(known.version, 4);
    this.#parts.push(known.sha256 === '' ? Buffer.alloc(32) : Buffer.from(known.sha256, 'hex'));
    this.#number(known.signers.length, 1);
    for (const { spki, from, until } of known.signers) {
      this.#bytes(spki);
      this.#number(from, 8);
      this.#number(until, 8);
    }
    this.#number(known.firmware.length, 1);
    for (const { product, minimumSecurityCounter } of known.firmware) {
      this.#bytes(Buffer.from(product));
      this.#number(minimumSecurityCounter, 4);
    }
    this.#files(files);
    this.#expect(() => {
      const { state, repeated } = takeBundles(files, known, new Date(now * 1000));
      const counts = `${state.signers.length} ${state.firmware.length}${repeated ? ' again' : ''}`;
      return `ok ${state.version} ${state.sha256} ${counts}`;
    });
  }

  /** A filter with its deltas, and certificates of which it is asked. @param named the hash of the newest file */
  filter(files: readonly Uint8Array[], named: string, questions: readonly Question[]): void {
    this.#number(3, 1);
    this.#files(files);
    this.#bytes(Buffer.from(named, 'hex'));
    this.#number(questions.length, 4);
    for (const { issuer, serial, notBefore, notAfter, now } of questions) {
      this.#bytes(fromHex(spkiSha256(issuer)));
      this.#bytes(Buffer.from(serial, 'hex'));
      this.#number(notBefore, 8);
      this.#number(notAfter, 8);
      this.#number(now, 8);
    }
    this.#expect(() => {
      const carried = CarriedFilter.open(files[0] ?? new Uint8Array(), files.slice(1));
      const answers = questions.map((question) => {
        const said = carried.says(spkiSha256(question.issuer), serialOf(fromHex(question.serial)));
        return `${said === undefined ? '-' : Number(said)}.${peerSaid(carried, question)} `;
      });
      return `ok ${answers.join('')}`;
    });
  }

  /** A key for one purpose; `master` of at least 32 bytes, which sessions have. */
  purposeKey(master: Uint8Array, salt: Uint8Array, context: Uint8Array, purpose: string, length: number): void {
    this.#number(5, 1);
    for (const one of [master, salt, context, Buffer.from(purpose)]) this.#bytes(one);
    this.#number(length, 4);
    this.#expect(() => {
      using secret = SecretBytes.copy(master);
      using keys = new PurposeKeys(secret, salt, context);
      using key = keys.derive(purpose, length);
      return `ok ${key.use((bytes) => toHex(bytes))}`;
    });
  }

  #expect(judge: () => string): void {
    let line = '';
    const code = codeOf(() => {
      line = judge();
    });
    if (code !== 'ok') line = code;
    // Of a bundle that can be read, its rules have the last word.
    const counted = /\b(trust-bundle|cert|key)\.[a-z-]+$/.exec(line)?.[0] ?? code;
    this.tally.set(counted, (this.tally.get(counted) ?? 0) + 1);
    this.expected.push(line.trimEnd());
  }

  #files(files: readonly Uint8Array[]): void {
    this.#number(files.length, 1);
    for (const file of files) this.#bytes(file);
  }

  #bytes(bytes: Uint8Array): void {
    this.#number(bytes.length, 4);
    this.#parts.push(Buffer.from(bytes));
  }

  #number(value: number, width: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(value));
    this.#parts.push(bytes.subarray(8 - width));
  }
}

export interface Question {
  readonly issuer: DerSpki;
  /** Content octets of the INTEGER, hex. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly now: number;
}

/** What `verifyPeer` says where a filter alone tells the status, and the path holds. */
function peerSaid(carried: CarriedFilter, { issuer, serial, notBefore, notAfter, now }: Question): string {
  if (now < notBefore) return 'not-yet-valid';
  if (now > notAfter) return 'expired';
  const at = (seconds: number): Date => new Date(seconds * 1000);
  const certificate = { serial: serialOf(fromHex(serial)), notBefore: at(notBefore), notAfter: at(notAfter) };
  const said = carried.verdict(certificate, { spki: issuer }, new Date(now * 1000));
  return { revoked: 'revoked', good: 'ok', 'not-covered': 'status-unavailable' }[said];
}

/** The code of a refusal as the C side has it: it tells a certificate or a key that it cannot read apart no further. */
export function codeOf(judge: () => void): string {
  try {
    judge();
    return 'ok';
  } catch (error) {
    if (!(error instanceof KeysteadError)) throw error;
    if (error.code.startsWith('cert.')) return 'cert.malformed';
    if (error.code.startsWith('kdf.')) return 'kdf.input';
    return error.code.startsWith('key.') ? 'key.refused' : error.code;
  }
}
