import type { DerSpki } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import {
  type ClassicalKeyAlgorithm,
  ecPoint,
  type GeneratedKeyAlgorithm,
  isPostQuantum,
  kbkdfInput,
  requireScheme,
  SecretBytes,
  SIGNATURE_OF,
  type SignatureScheme,
  type Signer,
  verifySignature,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Pkcs11Configuration } from './configuration.ts';
import { evidenceOf, requireKept } from './evidence.ts';
import type {
  SeenKey,
  TokenAgreement,
  TokenCounter,
  TokenDeriver,
  TokenDerivingKeyInfo,
  TokenKeyInfo,
  TokenWrapper,
  TokenWrappingKeyInfo,
} from './held-keys.ts';
import type { Answer, KeyRef, Order, OrderKind, StoredKey, TokenFacts } from './orders.ts';
import { PROBE, requireOwnPublicHalf } from './own-public-half.ts';
import { TokenPool } from './pool.ts';
import { spkiFromToken } from './public-key.ts';
import { TokenRandom } from './random.ts';
import { isKeyId, type KeyRecord, objectIdOf, parseRecord } from './record.ts';
import { sharedCopyOf } from './token-thread.ts';

/** A sample of the token's random source is tested along with every so many signatures. */
const SIGNATURES_PER_SAMPLE = 256;
/** The output of HMAC-SHA-256. */
const MAC_BYTES = 32;
/** A transport key, bytes: AES-128 up to HMAC-SHA-512. */
const TRANSPORT_KEY = { shortest: 16, longest: 64 };

interface Held {
  readonly record: KeyRecord;
  readonly ref: KeyRef;
  readonly info: TokenWrappingKeyInfo | TokenDerivingKeyInfo | TokenKeyInfo;
}

/**
 * Private keys on a PKCS#11 token. Metadata lies on the token, as a record beside each key; nothing is kept in files.
 * There is no call that exports a key, and the keys' own attributes forbid it to everybody else.
 * REQ-KEY-STO-01, REQ-KEY-GEN-01, REQ-KEY-BAK-01
 */
export class Pkcs11Keystore {
  readonly #pool: TokenPool;
  readonly #facts: TokenFacts;
  readonly #fips140: string;
  readonly #clock: Clock;
  readonly #random: TokenRandom;
  readonly #keys = new Map<string, Held>();
  /** Records of keys that the token was asked to make and that are not known to be there, nor not to be. */
  readonly #begun = new Map<string, KeyRecord[]>();
  #made = 0;
  #sequence = 0;
  #signatures = 0;
  #closed = false;
  #making: Promise<unknown> = Promise.resolve();

  private constructor(pool: TokenPool, facts: TokenFacts, fips140: string, clock: Clock) {
    this.#pool = pool;
    this.#facts = facts;
    this.#fips140 = fips140;
    this.#clock = clock;
    this.#random = new TokenRandom((bytes) => pool.ask(() => ({ kind: 'random', bytes })));
  }

  /**
   * Opens a token: logs in once, tests its random source, reads every key of Keystead with its attributes, and tries each
   * that has a public half. What else lies on the token is left alone and not seen. Afterwards the token may go away and come back: what is asked for meanwhile
   * is refused with `keystore.token-absent`, and no restart is needed. REQ-KEY-STO-01, REQ-KEY-GEN-01
   * @param pin the user PIN; stays with the caller. A copy is kept for connecting again, and wiped at `close`.
   * @throws KeysteadError `keystore.pkcs11-unavailable`, `keystore.module-*`, `keystore.token-*`, `keystore.pin-*`,
   *   `keystore.key-exposed`, `keystore.damaged`, `key.inconsistent`, `rng.unhealthy`.
   */
  static async open(config: Pkcs11Configuration, pin: SecretBytes, clock: Clock): Promise<Pkcs11Keystore> {
    if (pin.length === 0) throw new KeysteadError('kdf.passphrase-empty', { field: 'PIN' });
    const { pool, facts } = await TokenPool.open(
      config,
      pin.use((bytes) => SecretBytes.copy(bytes)),
    );
    try {
      const keystore = new Pkcs11Keystore(pool, facts, config.fips140, clock);
      await keystore.#random.start();
      for (const stored of await pool.ask(() => ({ kind: 'read' }))) {
        const held = keystore.#admit(stored);
        if (held !== undefined) await requireOwnPublicHalf(pool, held);
      }
      return keystore;
    } catch (error) {
      await pool.close();
      throw error;
    }
  }

  list(): TokenKeyInfo[] {
    return this.#inOrder().flatMap(({ info }) => ('spki' in info ? [info] : []));
  }

  wrappingKeys(): TokenWrappingKeyInfo[] {
    return this.#inOrder().flatMap(({ info }) => (info.algorithm === 'AES-256' ? [info] : []));
  }

  derivingKeys(): TokenDerivingKeyInfo[] {
    return this.#inOrder().flatMap(({ info }) => (info.algorithm === 'HMAC-SHA256' ? [info] : []));
  }

  async generateDeriving(id: string, purpose: string): Promise<TokenDerivingKeyInfo> {
    return (await this.#make(id, 'derive', 'HMAC-SHA256', purpose)).info as TokenDerivingKeyInfo;
  }

  deriver(id: string): TokenDeriver {
    const { ref } = this.#key(id, 'derive');
    return {
      derive: async (label, context, length) => {
        this.#requireSame(id, ref);
        if (!Number.isInteger(length) || length < 1 || length > MAC_BYTES)
          throw new KeysteadError('kdf.length', { field: 'length', seen: String(length) });
        // [i] is 1: one block of 32 bytes is enough.
        const data = Buffer.concat([Uint8Array.of(0, 0, 0, 1), kbkdfInput(label, context, length)]);
        using block = SecretBytes.take(await this.#pool.ask(() => ({ kind: 'mac', key: ref, data })));
        return block.use((bytes) => SecretBytes.copy(bytes.subarray(0, length)));
      },
    };
  }

  makes(algorithm: GeneratedKeyAlgorithm): boolean {
    return !isPostQuantum(algorithm);
  }

  async generate(id: string, algorithm: GeneratedKeyAlgorithm, purpose: string): Promise<TokenKeyInfo> {
    if (isPostQuantum(algorithm)) {
      throw new KeysteadError('keystore.mechanism-unsupported', { field: 'algorithm', seen: algorithm });
    }
    return (await this.#make(id, 'sign', algorithm, purpose)).info as TokenKeyInfo;
  }

  async generateAgreement(id: string, algorithm: 'P-256' | 'P-384', purpose: string): Promise<TokenKeyInfo> {
    return (await this.#make(id, 'agree', algorithm, purpose)).info as TokenKeyInfo;
  }

  async generateWrapping(id: string, purpose: string): Promise<TokenWrappingKeyInfo> {
    return (await this.#make(id, 'wrap', 'AES-256', purpose)).info as TokenWrappingKeyInfo;
  }

  signer(id: string): Signer {
    const { ref, record } = this.#key(id, 'sign');
    const keyAlgorithm = record.algorithm as ClassicalKeyAlgorithm;
    const signatureAlgorithm = SIGNATURE_OF[keyAlgorithm];
    const signBy = async (scheme: SignatureScheme, data: Uint8Array) => {
      this.#requireSame(id, ref);
      requireScheme(keyAlgorithm, scheme);
      this.#random.requireHealthy();
      this.#signatures += 1;
      // The signature does not wait for it: a failure stops the ones that come after.
      if (this.#signatures % SIGNATURES_PER_SAMPLE === 0) this.#random.sample().catch(() => {});
      return this.#pool.sign(ref, scheme, data);
    };
    const sign = (data: Uint8Array) => signBy(signatureAlgorithm, data);
    return { keyAlgorithm, signatureAlgorithm, spki: ref.spki as DerSpki, sign, signBy };
  }

  agreement(id: string): TokenAgreement {
    const { ref, record } = this.#key(id, 'agree');
    const keyAlgorithm = record.algorithm as 'P-256' | 'P-384';
    return {
      keyAlgorithm,
      spki: ref.spki as DerSpki,
      agree: async (peer) => {
        this.#requireSame(id, ref);
        const point = ecPoint(keyAlgorithm, peer);
        return SecretBytes.take(await this.#pool.ask(() => ({ kind: 'agree', key: ref, point })));
      },
    };
  }

  wrapper(id: string): TokenWrapper {
    const { ref } = this.#key(id, 'wrap');
    return {
      algorithm: 'AES-256',
      wrap: async (key) => {
        this.#requireSame(id, ref);
        if (key.length % 8 !== 0 || key.length < TRANSPORT_KEY.shortest || key.length > TRANSPORT_KEY.longest) {
          throw new KeysteadError('wrap.length', { field: 'transport key', seen: `${key.length} bytes` });
        }
        return this.#pool.ask(() => ({ kind: 'wrap', key: ref, secret: sharedCopyOf(key) }));
      },
      unwrap: async (wrapped) => {
        this.#requireSame(id, ref);
        // AES key wrap gives blocks of eight bytes, one more than the key has.
        const { shortest, longest } = TRANSPORT_KEY;
        if (wrapped.length % 8 !== 0 || wrapped.length < shortest + 8 || wrapped.length > longest + 8) {
          throw new KeysteadError('wrap.damaged', { field: 'wrapped key', seen: `${wrapped.length} bytes` });
        }
        return SecretBytes.take(await this.#pool.ask(() => ({ kind: 'unwrap', key: ref, wrapped })));
      },
    };
  }

  async destroy(id: string): Promise<void> {
    this.#key(id);
    await this.#pool.ask(() => ({ kind: 'destroy', id }));
    this.#keys.delete(id);
  }

  /** What the token says of itself. */
  get facts(): TokenFacts {
    return this.#facts;
  }

  /** Asks the token afresh which keys of Keystead lie there, also records that a kill left without a key. */
  async seen(): Promise<SeenKey[]> {
    this.#requireOpen();
    return this.#pool.ask(() => ({ kind: 'see' }));
  }

  /**
   * As {@link destroy}, also for a record without a key, and for a key that is not there any more: a wipe may be repeated.
   */
  async erase(id: string): Promise<void> {
    this.#requireOpen();
    await this.#pool.ask(() => ({ kind: 'destroy', id }));
    this.#keys.delete(id);
  }

  close(): void {
    this.#closed = true;
    void this.#pool.close();
  }

  /** As {@link close}, for whoever must know when the token has been left. */
  async end(): Promise<void> {
    this.#closed = true;
    await this.#pool.close();
  }

  /** A counter on this token; it ends with the keystore. */
  counter(label: string): TokenCounter {
    const ask = <Kind extends OrderKind>(order: Order<Kind>): Promise<Answer<Kind>> => {
      this.#requireOpen();
      return this.#pool.ask(() => order);
    };
    return {
      make: 'pkcs11',
      name: `token ${this.#facts.token.label} (${this.#facts.token.serialNumber}) data object ${label}`,
      read: async () => ask({ kind: 'readCounter', label }),
      raise: async (from, mark) => ask({ kind: 'raiseCounter', label, from, mark }),
      create: async () => ask({ kind: 'makeCounter', label }),
      remove: async () => ask({ kind: 'removeCounter', label }),
      close: async () => {},
    };
  }

  #inOrder(): Held[] {
    return [...this.#keys.values()].sort((a, b) => a.record.sequence - b.record.sequence);
  }

  /** One key at a time: two of one id, or of one place in the list, would get past the check. */
  #make(id: string, use: KeyRecord['use'], algorithm: KeyRecord['algorithm'], purpose: string): Promise<Held> {
    const made = this.#making.then(() => this.#makeNow(id, use, algorithm, purpose));
    this.#making = made.catch(() => {});
    return made;
  }

  async #makeNow(id: string, use: KeyRecord['use'], algorithm: KeyRecord['algorithm'], purpose: string): Promise<Held> {
    this.#requireOpen();
    if (!isKeyId(id)) throw new KeysteadError('keystore.key-malformed', { field: 'id', seen: id });
    if (purpose.length > 200) throw new KeysteadError('keystore.key-malformed', { field: 'purpose', seen: purpose });
    if (this.#keys.has(id)) throw new KeysteadError('keystore.key-exists', { field: 'id', seen: id });
    await this.#random.sample();
    const createdAt = this.#clock.now().toISOString();
    const record: KeyRecord = { version: 1, id, use, algorithm, purpose, createdAt, sequence: this.#sequence };
    const stored = await this.#pool.ask(() => {
      const begun = this.#begun.get(id) ?? [];
      this.#begun.set(id, [...begun, record]);
      return { kind: 'generate', record, begun };
    });
    try {
      const held = this.#heldOf(record, stored);
      if (use === 'sign') await this.#requireConsistent(held);
      this.#keys.set(id, held);
      this.#begun.delete(id);
      this.#sequence += 1;
      return held;
    } catch (error) {
      // Where this fails, too, the next attempt clears the key away; what was wrong with it is what is told.
      await this.#pool.ask(() => ({ kind: 'destroy', id })).catch(() => {});
      throw error;
    }
  }

  /** Pairwise consistency (FIPS 140-3 IG 10.3.A): a signature on the token, verified outside of it. */
  async #requireConsistent({ ref, record }: Held): Promise<void> {
    const algorithm = record.algorithm as ClassicalKeyAlgorithm;
    const signature = await this.#pool.sign(ref, SIGNATURE_OF[algorithm], PROBE);
    if (!verifySignature(SIGNATURE_OF[algorithm], ref.spki as DerSpki, PROBE, signature)) {
      throw new KeysteadError('key.inconsistent', { field: `key ${record.id}`, seen: algorithm });
    }
  }

  /** Takes up a key that was found on the token. A record without a key is what a kill left: it is no key. */
  #admit(stored: StoredKey): Held | undefined {
    const record = parseRecord(stored.label, stored.record);
    this.#sequence = Math.max(this.#sequence, record.sequence + 1);
    if (this.#keys.has(record.id) || stored.keys > 1 || stored.publicKeys > 1) {
      throw new KeysteadError('keystore.token-ambiguous', {
        field: `key ${record.id}`,
        seen: `${stored.keys} keys and ${stored.publicKeys} public keys with its CKA_ID, or two records`,
      });
    }
    if (stored.keys === 0) return undefined;
    const held = this.#heldOf(record, stored);
    this.#keys.set(record.id, held);
    return held;
  }

  /** @throws KeysteadError `keystore.key-exposed`, `keystore.damaged`, `key.weak`, `key.algorithm-mismatch`. */
  #heldOf(record: KeyRecord, { attributes, numbers }: StoredKey): Held {
    const { id, algorithm, purpose, createdAt } = record;
    if (attributes === undefined) throw new KeysteadError('keystore.token-ambiguous', { field: `key ${id}` });
    requireKept(id, attributes);
    this.#made += 1;
    const one = { objectId: objectIdOf(id), made: this.#made };
    const evidence = evidenceOf(attributes, this.#facts);
    const shared = { id, purpose, createdAt, custody: 'pkcs11', fips140: this.#fips140, evidence } as const;
    if (algorithm === 'AES-256') return { record, ref: { ...one, algorithm }, info: { ...shared, algorithm } };
    if (algorithm === 'HMAC-SHA256') return { record, ref: { ...one, algorithm }, info: { ...shared, algorithm } };
    if (numbers === undefined) {
      throw new KeysteadError('keystore.damaged', {
        field: `key ${id}`,
        seen: 'no public key on the token',
        remedy: "restore the token's objects from its own backup",
      });
    }
    const spki = spkiFromToken(algorithm, numbers);
    return { record, ref: { ...one, algorithm, spki }, info: { ...shared, algorithm, spki } };
  }

  #requireOpen(): void {
    if (this.#closed) throw new KeysteadError('keystore.closed', { field: 'keystore', seen: 'token' });
  }

  #key(id: string, use?: KeyRecord['use']): Held {
    this.#requireOpen();
    const held = this.#keys.get(id);
    if (held !== undefined && (use === undefined || held.record.use === use)) return held;
    const seen = held === undefined ? id : `${id}, which is for another use: ${held.record.use}`;
    throw new KeysteadError('keystore.key-missing', { field: 'id', seen });
  }

  /** What was given out dies with its key, also when another of the same name comes. */
  #requireSame(id: string, ref: KeyRef): void {
    this.#requireOpen();
    if (this.#keys.get(id)?.ref !== ref) throw new KeysteadError('keystore.key-missing', { field: 'id', seen: id });
  }
}
