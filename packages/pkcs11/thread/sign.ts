import { toHex } from '@keystead/core/bytes';
import {
  type ClassicalKeyAlgorithm,
  DIGEST_OF,
  ecdsaSigValue,
  isPss,
  pssSaltOctets,
  type SignatureScheme,
  sha256,
  sha384,
  verifySignature,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Handle } from 'pkcs11js';
import { CKG_MGF1, CKM, CKO_PRIVATE_KEY, CKO_SECRET_KEY } from '../cryptoki.ts';
import type { KeyRef, Order } from '../orders.ts';
import { keySearch } from '../templates.ts';
import { CallRefused, call } from './addon.ts';
import { findOwn } from './objects.ts';
import type { TokenSession } from './session.ts';

/** DigestInfo up to the hash itself (RFC 8017 section 9.2, note 1): CKM_RSA_PKCS adds the padding and nothing else. */
const DIGEST_INFO = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
} as const;
/** CK_RSA_PKCS_PSS_PARAMS in the addon's own count of parameter types. */
const CK_PARAMS_RSA_PSS = 5;
/** Of r, and of s. */
const FIELD_BYTES = { 'P-256': 32, 'P-384': 48 } as const;
/** RSA-4096. */
const LONGEST_SIGNATURE = 512;
const output = Buffer.alloc(LONGEST_SIGNATURE);

/**
 * One signature, in the form that `Signer.sign` gives. The hash is made here: the token sees no more than it needs.
 * RSA and Ed25519 signatures are verified before they leave: one that is faulty gives the private key away (Boneh,
 * DeMillo, Lipton 1997; a deterministic nonce under two different results). Of ECDSA the first of each handle
 * is, since a handle may name another key than it did; the rest is verified in keyd (docs/decisions/0012-pkcs11.md).
 * @throws CallRefused. @throws KeysteadError `keyd.signature-faulty`.
 */
export function signOne(at: TokenSession, key: KeyRef, scheme: SignatureScheme, data: Uint8Array): Uint8Array {
  const algorithm = key.algorithm as ClassicalKeyAlgorithm;
  const isNew = !at.handles.has(nameOf(key));
  const handle = keyHandle(at, key);
  const signature = signed(at, handle, algorithm, scheme, data);
  const isEcdsa = algorithm === 'P-256' || algorithm === 'P-384';
  if (isEcdsa && !isNew) return signature;
  if (verifySignature(scheme, key.spki as Parameters<typeof verifySignature>[1], data, signature)) {
    return signature;
  }
  at.handles.delete(nameOf(key));
  throw faulty();
}

/** That the key which the token has now is the one of this public half: a signature by it, for the caller to verify. */
export const tryKey = (at: TokenSession, { key, scheme, data }: Order<'try'>): Uint8Array =>
  signed(at, foundKey(at, key), key.algorithm as ClassicalKeyAlgorithm, scheme, data);

const faulty = (seen?: string): KeysteadError =>
  new KeysteadError('keyd.signature-faulty', {
    field: 'signature of the token',
    seen,
    remedy: 'take the token out of service: it is faulty, or its key is another one than it was',
  });

function signed(
  at: TokenSession,
  key: Handle,
  algorithm: ClassicalKeyAlgorithm,
  scheme: SignatureScheme,
  data: Uint8Array,
): Uint8Array {
  const digest = DIGEST_OF[scheme];
  const hashed = digest === null ? data : digest === 'sha256' ? sha256(data) : sha384(data);
  switch (algorithm) {
    case 'P-256':
    case 'P-384': {
      const numbers = raw(at, key, CKM.ECDSA, hashed);
      // r and s, each as long as the field (PKCS#11 v2.40 section 2.3.1): of another length they cannot be told apart.
      if (numbers.length !== 2 * FIELD_BYTES[algorithm]) throw faulty(`${numbers.length} bytes of ${algorithm}`);
      return ecdsaSigValue(numbers.subarray(0, numbers.length / 2), numbers.subarray(numbers.length / 2));
    }
    case 'Ed25519':
      return new Uint8Array(raw(at, key, CKM.EDDSA, hashed));
    case 'RSA-3072':
    case 'RSA-4096': {
      const hash = digest === 'sha384' ? 'sha384' : 'sha256';
      const modulus = algorithm === 'RSA-3072' ? 384 : 512;
      if (isPss(scheme)) {
        const parameter = pssParameter(hash, pssSaltOctets(scheme, modulus));
        return new Uint8Array(raw(at, key, CKM.RSA_PKCS_PSS, hashed, parameter));
      }
      const info = DIGEST_INFO[hash];
      return new Uint8Array(raw(at, key, CKM.RSA_PKCS, Buffer.concat([info, hashed])));
    }
  }
}

/** CK_RSA_PKCS_PSS_PARAMS (PKCS#11 v2.40 section 2.1.11). */
const pssParameter = (hash: 'sha256' | 'sha384', saltLen: number) => ({
  type: CK_PARAMS_RSA_PSS,
  hashAlg: hash === 'sha256' ? CKM.SHA256 : CKM.SHA384,
  mgf: CKG_MGF1[hash],
  saltLen,
});

type PssParameter = ReturnType<typeof pssParameter>;

/** What the token returns, in a buffer that the next signature overwrites. */
function raw(at: TokenSession, key: Handle, mechanism: number, data: Uint8Array, parameter?: PssParameter): Buffer {
  const { module, session } = at;
  const how = parameter === undefined ? { mechanism } : { mechanism, parameter };
  call('C_SignInit', () => module.C_SignInit(session, how, key));
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  return call('C_Sign', () => module.C_Sign(session, bytes, output));
}

const MAC_BYTES = 32;

/** CKM_SHA256_HMAC by a master: what is derived from it, in memory of its own, which the caller wipes. @throws CallRefused. */
export function mac(at: TokenSession, { key, data }: Order<'mac'>): Uint8Array {
  const made = raw(at, keyHandle(at, key), CKM.SHA256_HMAC, data);
  if (made.length !== MAC_BYTES) throw new CallRefused({ ckr: 'CKR_DATA_LEN_RANGE', call: 'C_Sign' });
  const own = new Uint8Array(new ArrayBuffer(MAC_BYTES));
  own.set(made);
  // Here lie signatures, which are public; a derived key must not stay among them.
  made.fill(0);
  return own;
}

/**
 * The handle of a key, remembered for this session. @throws CallRefused CKR_KEY_HANDLE_INVALID when the token does not
 * show it. @throws KeysteadError `keystore.token-ambiguous`.
 */
export function keyHandle(at: TokenSession, key: KeyRef): Handle {
  const name = nameOf(key);
  const known = at.handles.get(name);
  if (known !== undefined) return known;
  const handle = foundKey(at, key);
  at.handles.set(name, handle);
  return handle;
}

function foundKey(at: TokenSession, { spki, objectId }: KeyRef): Handle {
  const [handle, second] = findOwn(at, keySearch(spki === undefined ? CKO_SECRET_KEY : CKO_PRIVATE_KEY, objectId));
  if (handle === undefined) throw new CallRefused({ ckr: 'CKR_KEY_HANDLE_INVALID', call: 'C_FindObjects' });
  if (second === undefined) return handle;
  const seen = `two with the CKA_ID ${toHex(objectId)}`;
  throw new KeysteadError('keystore.token-ambiguous', { field: 'key', seen });
}

/** A key that was destroyed and made again has its CKA_ID, and not its object: no thread may have the old one's handle for it. */
const nameOf = ({ objectId, made = 0 }: KeyRef): string => `${toHex(objectId)} ${made}`;
