import type { ClassicalKeyAlgorithm, SignatureScheme } from '@keystead/core/crypto';
import type { ErrorCode } from '@keystead/core/errors';
import type { CounterReading } from './counter.ts';
import type { Refusal } from './errors.ts';
import type { SeenKey } from './held-keys.ts';
import type { PublicNumbers } from './public-key.ts';
import type { KeyRecord } from './record.ts';

/** What a token says of itself (CK_TOKEN_INFO) and its module of itself (CK_INFO), blanks at the end cut off. */
export interface TokenFacts {
  readonly token: {
    readonly label: string;
    readonly serialNumber: string;
    readonly manufacturerID: string;
    readonly model: string;
    readonly firmwareVersion: string;
    readonly hardwareVersion: string;
  };
  readonly module: {
    readonly libraryDescription: string;
    readonly libraryVersion: string;
    readonly cryptokiVersion: string;
  };
  /** Another session of this process had logged in before: the PIN was not tried. */
  readonly loggedInBefore: boolean;
}

/** What a token shows of a key of its own: CKA_* by name, read back; an attribute that the module lacks is missing. */
export type Attributes = Readonly<Record<string, boolean | number>>;

/** Keys without a public half. */
export type SecretKeyAlgorithm = 'AES-256' | 'HMAC-SHA256';

/** A key for the threads: they find its object by CKA_ID. */
export interface KeyRef {
  readonly objectId: Uint8Array;
  readonly algorithm: ClassicalKeyAlgorithm | SecretKeyAlgorithm;
  /** SubjectPublicKeyInfo, DER; none for a secret key. */
  readonly spki?: Uint8Array;
  /** Tells it from another key of the same CKA_ID that this keystore had before. */
  readonly made?: number;
}

/** A record on the token and what stands there of its key. */
export interface StoredKey {
  readonly label: string;
  readonly record: Uint8Array;
  /** How many private or secret keys and public keys have the CKA_ID of this record. */
  readonly keys: number;
  readonly publicKeys: number;
  /** Of the key, when there is exactly one. */
  readonly attributes?: Attributes;
  readonly numbers?: PublicNumbers;
}

/** A key of a person, by what its maker called it: CKA_LABEL, CKA_ID or both. */
export interface PersonKeyName {
  readonly label?: string;
  readonly objectId?: Uint8Array;
}

/** What a token shows of the key of a person, which Keystead did not make. */
export interface FoundKey {
  readonly objectId: Uint8Array;
  /** Undefined for a kind or size by which nothing is signed here. */
  readonly algorithm?: ClassicalKeyAlgorithm;
  /** Undefined where the token has no public key of the same CKA_ID. */
  readonly numbers?: PublicNumbers;
}

export interface SignItem {
  /** Index into the batch's keys. */
  readonly key: number;
  /** Of the key's family: {@link requireScheme} has said so. */
  readonly scheme: SignatureScheme;
  readonly data: Uint8Array;
}

/** What a thread is asked to do and what it answers. Calls of the token happen nowhere else. */
export interface Orders {
  /**
   * Initialises, finds the token, opens a session, logs in unless this process is. The PIN's bytes are zeroed. `serial`: of
   * the token that was opened before, and no other is logged in to.
   */
  open: {
    order: { readonly pin: SharedArrayBuffer; readonly readWrite: boolean; readonly serial?: string };
    answer: TokenFacts;
  };
  /** C_Finalize: every session of this process on this module ends. */
  finalize: { order: object; answer: undefined };
  /** Closes the session; with `finalize` the module, too. The thread ends. */
  close: { order: { readonly finalize: boolean }; answer: undefined };
  random: { order: { readonly bytes: number }; answer: Uint8Array };
  /** Every record of Keystead on the token, with what stands there of its key. */
  read: { order: object; answer: StoredKey[] };
  /** The same without attributes and values: which objects are there at this moment. */
  see: { order: object; answer: SeenKey[] };
  /** Every private key of that name. */
  findKeys: { order: PersonKeyName; answer: FoundKey[] };
  /** `begun`: records of attempts at this key whose end is not known; what they have left is cleared away. */
  generate: { order: { readonly record: KeyRecord; readonly begun: readonly KeyRecord[] }; answer: StoredKey };
  destroy: { order: { readonly id: string }; answer: undefined };
  sign: {
    order: { readonly keys: readonly KeyRef[]; readonly items: readonly SignItem[] };
    answer: (Uint8Array | Failure)[];
  };
  /** A signature that nobody has verified, by the object that has the key's CKA_ID now. */
  try: {
    order: { readonly key: KeyRef; readonly scheme: SignatureScheme; readonly data: Uint8Array };
    answer: Uint8Array;
  };
  /** Z, in a buffer of its own that its receiver wipes. */
  agree: { order: { readonly key: KeyRef; readonly point: Uint8Array }; answer: Uint8Array };
  /** CKM_SHA256_HMAC over the data, in a buffer of its own that its receiver wipes. */
  mac: { order: { readonly key: KeyRef; readonly data: Uint8Array }; answer: Uint8Array };
  wrap: { order: { readonly key: KeyRef; readonly secret: SharedArrayBuffer }; answer: Uint8Array };
  readCounter: { order: { readonly label: string }; answer: CounterReading };
  makeCounter: { order: { readonly label: string }; answer: undefined };
  raiseCounter: { order: { readonly label: string; readonly from: number; readonly mark: string }; answer: undefined };
  removeCounter: { order: { readonly label: string }; answer: undefined };
  unwrap: { order: { readonly key: KeyRef; readonly wrapped: Uint8Array }; answer: Uint8Array };
}
export type OrderKind = keyof Orders;
export type Order<Kind extends OrderKind = OrderKind> = {
  [K in Kind]: { readonly kind: K } & Orders[K]['order'];
}[Kind];
export type Answer<Kind extends OrderKind> = Orders[Kind]['answer'];

/** Why an order was not carried out. */
export type Failure =
  | { readonly refusal: Refusal; readonly more?: string }
  | { readonly error: { code: ErrorCode; field?: string; seen?: string; remedy?: string } }
  | { readonly fault: string };

export type Reply = { readonly ok: unknown } | Failure;
