import { createPrivateKey, diffieHellman, hash } from 'node:crypto';
import { constantTimeEqual, generateSoftwareKey, hmacSha256, randomBytes, SecretBytes } from '@keystead/core/crypto';
import { FIELD_BYTES, HANDLE, SESSION_ATTRIBUTE } from '../wire/constants.ts';
import { type EccPublic, encodePoint, padded, pointOf, publicKeyObject } from '../wire/public.ts';
import { malformed, WireReader } from '../wire/reader.ts';
import { join, sized, u8, u16, u32 } from '../wire/writer.ts';
import { aesCfb, kdfa, kdfe, kdfHash } from './kdf.ts';

/** How one handle of a command is authorized (Part 1 section 19): by its value in clear, or in a session. */
export type Authorization = { readonly password: SecretBytes | undefined } | Session;

/** Octets of a nonce: as many as the session's hash has (Part 1 section 19.6.3). */
export const NONCE_BYTES = 32;
const KEY_BYTES = 16;
const BLOCK_BYTES = 16;

/**
 * The salt of a session (Part 1 section 19.6.13, Annex C.6.1): a secret that only the TPM with the private half of
 * `key` can find, and what is sent so that it does. Whoever listens at the wires of the TPM learns nothing from it.
 */
export function makeSalt(key: EccPublic): { salt: SecretBytes; encrypted: Uint8Array } {
  const { pkcs8, spki } = generateSoftwareKey(key.curve);
  using ephemeral = pkcs8;
  const point = pointOf(spki, key.curve);
  const privateKey = ephemeral.use((der) =>
    createPrivateKey({ key: Buffer.from(der.buffer, der.byteOffset, der.length), format: 'der', type: 'pkcs8' }),
  );
  using z = SecretBytes.take(diffieHellman({ privateKey, publicKey: publicKeyObject(key) }));
  return {
    salt: kdfe(kdfHash(key.nameAlg), z, 'SECRET', point.x, padded(key.x, FIELD_BYTES[key.curve])),
    encrypted: encodePoint(point),
  };
}

/**
 * A session with a TPM under a key that was agreed by a salt: its HMACs show that command and response are whole, and
 * the first parameter of each is encrypted (Part 1 sections 19 and 21). SHA-256, AES-128 in CFB mode.
 */
export class Session {
  readonly handle: number;
  readonly #key: SecretBytes;
  #valueKey: SecretBytes | undefined;
  #nonceCaller: Uint8Array = new Uint8Array(0);
  #nonceTpm: Uint8Array;

  /** @param salt is wiped. The key: KDFa(salt, "ATH", nonceTPM, nonceCaller) (Part 1 section 19.6.8). */
  constructor(handle: number, salt: SecretBytes, nonceCaller: Uint8Array, nonceTpm: Uint8Array) {
    this.handle = handle;
    this.#nonceTpm = nonceTpm;
    this.#key = kdfa('sha256', salt, 'ATH', nonceTpm, nonceCaller, 32);
    salt.wipe();
  }

  /**
   * From now on the session authorizes an entity with this value: the key of its HMACs and of its encryption is the
   * session's followed by the value without its trailing zeros (Part 1 sections 19.6.4 and 19.6.5).
   * @param value stays with the caller.
   */
  useValue(value: SecretBytes): void {
    this.#valueKey?.wipe();
    this.#valueKey = this.#key.use((key) =>
      value.use((bytes) => SecretBytes.take(join(key, bytes.subarray(0, bytes.findLastIndex((one) => one !== 0) + 1)))),
    );
  }

  /** sessionValue of Part 1 section 19.6.4. */
  get #sessionValue(): SecretBytes {
    return this.#valueKey ?? this.#key;
  }

  /** The name of a session is its handle (Part 1 section 16). */
  get name(): Uint8Array {
    return u32(this.handle);
  }

  /** A fresh nonce, and the parameters with their first TPM2B encrypted when asked for. */
  seal(parameters: Uint8Array, encryptFirst: boolean): Uint8Array {
    this.#nonceCaller = randomBytes(NONCE_BYTES);
    if (!encryptFirst) return parameters;
    return this.#first('encrypt', parameters, this.#nonceCaller, this.#nonceTpm);
  }

  /** TPMS_AUTH_COMMAND (Part 2 section 10.13.2). */
  authorize(cpHash: Uint8Array, flags: { decrypt: boolean; encrypt: boolean }): Uint8Array {
    const attributes = u8(
      SESSION_ATTRIBUTE.CONTINUE |
        (flags.decrypt ? SESSION_ATTRIBUTE.DECRYPT : 0) |
        (flags.encrypt ? SESSION_ATTRIBUTE.ENCRYPT : 0),
    );
    const hmac = hmacSha256(this.#sessionValue, join(cpHash, this.#nonceCaller, this.#nonceTpm, attributes));
    return join(u32(this.handle), sized(this.#nonceCaller), attributes, sized(hmac));
  }

  /**
   * Checks TPMS_AUTH_RESPONSE (Part 2 section 10.13.3) over the response's parameters.
   * @throws KeysteadError `tpm2.malformed` when the response is not the one that the TPM made.
   */
  verify(reader: WireReader, rpHash: Uint8Array): void {
    const nonceTpm = reader.sized(64, 'nonceTPM');
    const attributes = reader.u8('the session attributes');
    const hmac = reader.sized(64, 'the HMAC of the response');
    const expected = hmacSha256(this.#sessionValue, join(rpHash, nonceTpm, this.#nonceCaller, u8(attributes)));
    if (!constantTimeEqual(hmac, expected))
      throw malformed('the HMAC of the response', 'another than the TPM would make');
    this.#nonceTpm = nonceTpm;
  }

  /** The parameters with their first TPM2B in clear; after {@link verify}. */
  open(parameters: Uint8Array): Uint8Array {
    return this.#first('decrypt', parameters, this.#nonceTpm, this.#nonceCaller);
  }

  wipe(): void {
    this.#key.wipe();
    this.#valueKey?.wipe();
  }

  /** Key and IV: KDFa(sessionKey, "CFB", nonceNewer, nonceOlder) (Part 1 section 21.3). */
  #first(direction: 'encrypt' | 'decrypt', parameters: Uint8Array, newer: Uint8Array, older: Uint8Array): Uint8Array {
    const reader = new WireReader(parameters);
    const first = reader.sized(0xffff, 'the first parameter');
    using derived = kdfa('sha256', this.#sessionValue, 'CFB', newer, older, KEY_BYTES + BLOCK_BYTES);
    using key = derived.use((bytes) => SecretBytes.copy(bytes.subarray(0, KEY_BYTES)));
    const changed = derived.use((bytes) => aesCfb(direction, key, bytes.slice(KEY_BYTES), first));
    const whole = join(u16(changed.length), changed, reader.rest());
    first.fill(0);
    changed.fill(0);
    return whole;
  }
}

/** TPMS_AUTH_COMMAND of a password: TPM_RS_PW, no nonce, the value in clear (Part 1 section 19.4). */
export function passwordArea(password: SecretBytes | undefined): Uint8Array {
  const head = join(u32(HANDLE.PASSWORD), u16(0), u8(SESSION_ATTRIBUTE.CONTINUE));
  return password === undefined ? join(head, u16(0)) : password.use((bytes) => join(head, sized(bytes)));
}

/** H(commandCode ‖ names ‖ parameters) (Part 1 section 18.7); of a response H(responseCode ‖ commandCode ‖ parameters). */
export function parameterHash(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(hash('sha256', join(...parts), 'buffer'));
}
