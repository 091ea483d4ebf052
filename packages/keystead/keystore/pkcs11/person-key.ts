import { SecretBytes, SIGNATURE_OF, type Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type PersonKeyName, type Pkcs11Configuration, spkiFromToken, TokenPool } from '@keystead/pkcs11';

/**
 * Opens a person's own token for as long as `work` takes, and lets it sign with the one key of that name: a smart card or
 * security key whose keys another program made. Nothing is written to the token. REQ-KEY-SOD-02
 * @param pin the user PIN; stays with the caller.
 * @throws KeysteadError `keystore.*`; `keystore.key-missing` and `keystore.token-ambiguous` unless there is exactly one
 *   such key, with its public half; `keystore.mechanism-unsupported` for a kind of key by which nothing is signed.
 */
export async function withPersonKey<T>(
  config: Pkcs11Configuration,
  pin: SecretBytes,
  name: PersonKeyName,
  work: (signer: Signer) => Promise<T>,
): Promise<T> {
  const { pool } = await TokenPool.open(
    config,
    pin.use((bytes) => SecretBytes.copy(bytes)),
  );
  try {
    return await work(await signerOf(pool, name));
  } finally {
    await pool.close();
  }
}

async function signerOf(pool: TokenPool, name: PersonKeyName): Promise<Signer> {
  const field = `key ${name.label ?? Buffer.from(name.objectId ?? []).toString('hex')}`;
  const [found, second] = await pool.ask(() => ({ kind: 'findKeys', ...name }));
  if (found === undefined) throw new KeysteadError('keystore.key-missing', { field, seen: 'no private key' });
  if (second !== undefined) throw new KeysteadError('keystore.token-ambiguous', { field, seen: 'several keys' });
  const { objectId, algorithm, numbers } = found;
  if (numbers === undefined)
    throw new KeysteadError('keystore.key-missing', { field, seen: 'no public key beside it' });
  if (algorithm === undefined) {
    throw new KeysteadError('keystore.mechanism-unsupported', { field, seen: 'a key of another kind or size' });
  }
  const spki = spkiFromToken(algorithm, numbers);
  return {
    keyAlgorithm: algorithm,
    signatureAlgorithm: SIGNATURE_OF[algorithm],
    spki,
    sign: (data) => pool.sign({ objectId, algorithm, spki }, SIGNATURE_OF[algorithm], data),
  };
}
