import { constants, createHmac, createPrivateKey, diffieHellman, publicEncrypt } from 'node:crypto';
import { generateSoftwareKey, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Channel, EMPTY_AUTH, type Entity, permanent } from '../channel.ts';
import { inSession, type Loaded } from '../objects/object.ts';
import { aesCfb, kdfa, kdfe, kdfHash } from '../session/kdf.ts';
import type { Session } from '../session/session.ts';
import { FIELD_BYTES, HANDLE, hashBytes } from '../wire/constants.ts';
import {
  type EccPublic,
  encodePoint,
  hasAttributes,
  type KeyPublic,
  padded,
  pointOf,
  publicKeyObject,
} from '../wire/public.ts';
import { EMPTY, join, sized, u32 } from '../wire/writer.ts';

/** A secret that only the TPM with an endorsement key can open, and only while it holds the object of a Name. */
export interface Credential {
  /** TPMS_ID_OBJECT (Part 2 section 12.4.2). */
  readonly idObject: Uint8Array;
  /** TPM2B_ENCRYPTED_SECRET's content (section 11.4.3). */
  readonly encryptedSecret: Uint8Array;
}

const NO_IV = new Uint8Array(16);

/**
 * Makes a credential without a TPM (Part 1 section 24; seed as in Annex B.10.4 for RSA and C.6.4 for ECC; protection as
 * in section 24.4).
 * @param ek public area of the endorsement key. @param name Name of the object. @param secret at most as long as the
 *   digest of the EK's hash; stays with the caller.
 * @throws KeysteadError `attestation.key-refused`, `key.weak`, `rng.unhealthy`.
 */
export function makeCredential(ek: KeyPublic, name: Uint8Array, secret: SecretBytes): Credential {
  const storage = hasAttributes(ek, 'restricted', 'decrypt', 'fixedTPM', 'fixedParent', 'sensitiveDataOrigin');
  if (!storage || ek.symmetric === undefined || !['sha256', 'sha384'].includes(ek.nameAlg)) {
    throw new KeysteadError('attestation.key-refused', {
      field: 'endorsement key',
      seen: 'no restricted decryption key',
    });
  }
  const hash = kdfHash(ek.nameAlg);
  const made = ek.type === 'rsa' ? rsaSeed(ek) : eccSeed(ek);
  using seed = made.seed;
  using aesKey = kdfa(hash, seed, 'STORAGE', name, new Uint8Array(0), ek.symmetric / 8);
  using macKey = kdfa(hash, seed, 'INTEGRITY', new Uint8Array(0), new Uint8Array(0), hashBytes(hash));
  const identity = secret.use((bytes) => sized(bytes));
  const encrypted = aesCfb('encrypt', aesKey, NO_IV, identity);
  identity.fill(0);
  const mac = macKey.use((key) => createHmac(hash, key).update(encrypted).update(name).digest());
  return { idObject: join(sized(mac), encrypted), encryptedSecret: made.encrypted };
}

/** RSAES-OAEP with the hash of the EK and the label, its zero included (Annex B.4). */
function rsaSeed(ek: KeyPublic): { seed: SecretBytes; encrypted: Uint8Array } {
  const seed = SecretBytes.random(hashBytes(ek.nameAlg));
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const oaepLabel = Buffer.from('IDENTITY\0', 'latin1');
  const options = { key: publicKeyObject(ek), padding, oaepHash: ek.nameAlg, oaepLabel };
  return { seed, encrypted: new Uint8Array(seed.use((bytes) => publicEncrypt(options, bytes))) };
}

/** One-pass Diffie-Hellman with a key for this once (Annex C.6.1). */
function eccSeed(ek: EccPublic): { seed: SecretBytes; encrypted: Uint8Array } {
  const { pkcs8, spki } = generateSoftwareKey(ek.curve);
  using ephemeral = pkcs8;
  const privateKey = ephemeral.use((der) =>
    createPrivateKey({ key: Buffer.from(der.buffer, der.byteOffset, der.length), format: 'der', type: 'pkcs8' }),
  );
  const point = pointOf(spki, ek.curve);
  using z = SecretBytes.take(diffieHellman({ privateKey, publicKey: publicKeyObject(ek) }));
  return {
    seed: kdfe(kdfHash(ek.nameAlg), z, 'IDENTITY', point.x, padded(ek.x, FIELD_BYTES[ek.curve])),
    encrypted: encodePoint(point),
  };
}

/**
 * Opens a credential in the TPM; on its way out the secret is encrypted. The endorsement key is authorized by its
 * policy, TPM2_PolicySecret(TPM_RH_ENDORSEMENT), or where its template has it (high range) by its empty value.
 * @param srk salts the session. @param ak the object that the credential names.
 * @throws KeysteadError `attestation.challenge-refused` when it is meant for another TPM or object; `tpm2.*`.
 */
export function activateCredential(
  channel: Channel,
  keys: { srk: Loaded<EccPublic>; ek: Loaded<KeyPublic>; ak: Entity },
  credential: Credential,
): Promise<SecretBytes> {
  const byValue = hasAttributes(keys.ek.area, 'userWithAuth');
  return inSession(channel, keys.srk, byValue ? 'hmac' : 'policy', async (session) => {
    if (!byValue) await policySecret(channel, session);
    const { parameters } = await channel.run('ActivateCredential', {
      handles: [keys.ak, keys.ek],
      auth: [EMPTY_AUTH, session],
      parameters: join(sized(credential.idObject), sized(credential.encryptedSecret)),
      encrypt: 'response',
    });
    const secret = SecretBytes.take(parameters.sized(64, 'certInfo'));
    parameters.end('certInfo');
    return secret;
  });
}

/** PolicyA (EK Credential Profile section B.3.1): whoever has the endorsement hierarchy's value. */
async function policySecret(channel: Channel, session: Session): Promise<void> {
  await channel.run('PolicySecret', {
    handles: [permanent(HANDLE.ENDORSEMENT), session],
    auth: [EMPTY_AUTH],
    parameters: join(EMPTY, EMPTY, EMPTY, u32(0)),
  });
}
