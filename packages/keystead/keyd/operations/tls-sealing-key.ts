import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * The key that seals one TLS key of serve's, which keeps it where this keyd alone opens it. It is all that the front end
 * gets of a secret: with it serve that was taken over has the TLS keys that it had in memory anyway, and no other key.
 * REQ-KEY-STO-02
 * @throws KeysteadError `tls-key.*`, `keystore.*`, `rng.unhealthy`, `keyd.journal-failed`,
 *   `clock.went-back`.
 */
export async function tlsSealingKey(
  keyd: KeydContext,
  { spkiSha256, master: sealed }: Params<'tlsSealingKey'>,
): Promise<Result<'tlsSealingKey'>> {
  const { key: derived, master } = await keyd.tlsSeal.derive(keyd.policy, spkiSha256, sealed, keyd.now());
  using key = derived;
  return { key: key.use((bytes) => Uint8Array.from(bytes)), master };
}
