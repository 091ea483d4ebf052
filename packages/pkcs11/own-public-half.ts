import type { DerSpki } from '@keystead/core/bytes';
import {
  type ClassicalKeyAlgorithm,
  constantTimeEqual,
  EphemeralKey,
  ecPoint,
  SecretBytes,
  SIGNATURE_OF,
  verifySignature,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { KeyRef } from './orders.ts';
import type { TokenPool } from './pool.ts';
import type { KeyRecord } from './record.ts';

/** What a key signs when it is tried. */
export const PROBE = Buffer.from('keystead pairwise consistency', 'latin1');

/**
 * That a key which was found on the token has its own public half beside it. That one is public, and whoever may write to
 * the token without the PIN can have put another in its place: what is then encrypted to the key, or goes by it, is theirs.
 * REQ-KEY-STO-01
 * @throws KeysteadError `key.inconsistent`, and what the token throws.
 */
export async function requireOwnPublicHalf(
  pool: TokenPool,
  { record, ref }: { readonly record: KeyRecord; readonly ref: KeyRef },
): Promise<void> {
  if (ref.spki === undefined) return;
  const spki = ref.spki as DerSpki;
  if (await (record.use === 'agree' ? agrees(pool, record, ref, spki) : signs(pool, record, ref, spki))) return;
  throw new KeysteadError('key.inconsistent', {
    field: `key ${record.id}`,
    seen: 'a public key on the token that is not the one of the private key',
    remedy: "find out who else writes to the token; restore the token's objects from its own backup",
  });
}

async function signs(pool: TokenPool, { algorithm }: KeyRecord, key: KeyRef, spki: DerSpki): Promise<boolean> {
  const scheme = SIGNATURE_OF[algorithm as ClassicalKeyAlgorithm];
  const signature = await pool.ask(() => ({ kind: 'try', key, scheme, data: PROBE }));
  return verifySignature(scheme, spki, PROBE, signature);
}

async function agrees(pool: TokenPool, { algorithm }: KeyRecord, key: KeyRef, spki: DerSpki): Promise<boolean> {
  const curve = algorithm as 'P-256' | 'P-384';
  using peer = EphemeralKey.generate(curve);
  const point = ecPoint(curve, peer.spki);
  using wanted = peer.agree(spki);
  using z = SecretBytes.take(await pool.ask(() => ({ kind: 'agree', key, point })));
  return z.use((one) => wanted.use((other) => constantTimeEqual(one, other)));
}
