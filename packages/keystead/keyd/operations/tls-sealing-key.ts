import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * The key that seals one TLS key of serve's, which keeps it where this keyd alone opens it. It is all that the front end
 * gets of a secret: with it serve that was taken over has the TLS keys that it had in memory anyway, and no other key.
 * REQ-KEY-STO-02
 * @throws KeysteadError `tls-key.*`, `diversify.master-lost`, `keystore.*`, `rng.unhealthy`, `keyd.journal-failed`,
 *   `clock.went-back`.
 */
export async function tlsSealingKey(
  keyd: KeydContext,
  { spkiSha256, forNew }: Params<'tlsSealingKey'>,
): Promise<Result<'tlsSealingKey'>> {
  using key = await keyd.tlsSeal.derive(keyd.policy, spkiSha256, forNew, keyd.now());
  return { key: key.use((bytes) => Uint8Array.from(bytes)) };
}
