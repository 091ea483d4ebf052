import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { spkiSha256 } from '@keystead/core/crypto';

/** How a key stands in the bytes. */
export const FORMS = {
  der: 'DER (PKCS#8, PKCS#1 or SEC 1)',
  pem: 'PEM',
  base64: 'base64 of DER',
  hex: 'DER as hexadecimal text',
  openssh: 'OpenSSH',
  putty: 'PuTTY',
  jwk: 'JSON Web Key',
  age: 'age identity',
} as const;
export type Form = keyof typeof FORMS;

/** A private key that was found. It tells where and which, and nothing of the secret. */
export interface Find {
  readonly form: Form;
  /** Of its first byte, in the file, or in what was unpacked from it. */
  readonly offset: number;
  /** Whether a passphrase protects it. */
  readonly encrypted: boolean;
  /** `ec prime256v1`, `rsa 3072`; undefined where only the form is known. */
  readonly key?: string;
  /** SHA-256 of its public half (SubjectPublicKeyInfo), hex: by it the key's certificates are found. */
  readonly spkiSha256?: string;
}

/** What is known of a key that OpenSSL has read. */
export function describe(key: KeyObject): Pick<Find, 'key' | 'spkiSha256'> {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const detail = namedCurve ?? modulusLength;
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    key: [key.asymmetricKeyType, ...(detail === undefined ? [] : [detail])].join(' '),
    spkiSha256: spkiSha256(spki),
  };
}

/** The private key of these bytes, as OpenSSL reads it; undefined for what is none. */
export function privateKeyOf(der: Buffer, type: 'pkcs8' | 'pkcs1' | 'sec1'): KeyObject | undefined {
  try {
    return createPrivateKey({ key: der, format: 'der', type });
  } catch {
    return undefined;
  }
}
