import type { DerSpki } from '@keystead/core/bytes';
import { SecretBytes, sha256, sha384 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Channel, Entity } from '../channel.ts';
import { ALG, FIELD_BYTES, HANDLE, TAG } from '../wire/constants.ts';
import { type EccPublic, encodePoint, hasAttributes, type KeyPublic, padded, pointOf } from '../wire/public.ts';
import { malformed } from '../wire/reader.ts';
import { TpmRefusal } from '../wire/response-code.ts';
import { decodeSignature, type TpmSignature } from '../wire/signature.ts';
import { EMPTY, join, sized, u16, u32 } from '../wire/writer.ts';
import { inSession, type Loaded } from './object.ts';

/**
 * Signs data with a key that signs anything: the hash is made here (FIPS 180-4), the signature in the TPM.
 * @throws KeysteadError `tpm2.*`.
 */
export async function sign(
  channel: Channel,
  key: Loaded<KeyPublic>,
  data: Uint8Array,
  auth?: SecretBytes,
): Promise<TpmSignature> {
  const digest = key.area.scheme?.hash === 'sha384' ? sha384(data) : sha256(data);
  const { parameters } = await channel.run('Sign', {
    handles: [key],
    auth: [{ password: auth }],
    // The key's own scheme; the ticket says that the digest is not one of the TPM's, as an unrestricted key allows.
    parameters: join(sized(digest), u16(ALG.NULL), u16(TAG.HASHCHECK), u32(HANDLE.NULL), EMPTY),
  });
  return decodeSignature(parameters.rest());
}

/**
 * The x-coordinate of the shared point, as long as the field; on its way it is encrypted.
 * @param srk salts the session. @param peer a point on the key's curve, validated in full.
 * @throws KeysteadError `key.weak`, `key.algorithm-mismatch`, `tpm2.*`.
 */
export function agree(
  channel: Channel,
  srk: Loaded<EccPublic>,
  key: Loaded<EccPublic>,
  peer: DerSpki,
): Promise<SecretBytes> {
  const point = pointOf(peer, key.area.curve);
  return inSession(channel, srk, 'hmac', async (session) => {
    const { parameters } = await zGen(channel, key, encodePoint(point), session);
    const whole = parameters.sized(256, 'outPoint');
    const x = whole.subarray(2, 2 + (((whole[0] ?? 0) << 8) | (whole[1] ?? 0)));
    const bytes = FIELD_BYTES[key.area.curve];
    if (x.length === 0 || x.length > bytes) throw malformed('outPoint', `${x.length} bytes`);
    const z = SecretBytes.take(Uint8Array.from(padded(x, bytes)));
    whole.fill(0);
    return z;
  });
}

async function zGen(
  channel: Channel,
  key: Entity,
  point: Uint8Array,
  session: Parameters<Parameters<typeof inSession>[3]>[0],
): ReturnType<Channel['run']> {
  try {
    return await channel.run('EcdhZGen', {
      handles: [key],
      auth: [session],
      parameters: sized(point),
      encrypt: 'response',
    });
  } catch (cause) {
    if (!(cause instanceof TpmRefusal) || cause.reason !== 'ECC_POINT') throw cause;
    throw new KeysteadError('key.weak', { field: 'peer', seen: 'no point on its curve, says the TPM', cause });
  }
}

/** Whether a key was made in a TPM and can never leave it (Part 1 section 25, Part 2 section 8.3). REQ-KEY-GEN-03. */
export function isBoundToTpm(area: KeyPublic): boolean {
  return hasAttributes(area, 'fixedTPM', 'fixedParent', 'sensitiveDataOrigin');
}
