import { fromBase64, fromHex, sameBytes, toBase64, toHex } from '@keystead/core/bytes';
import { SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import type { Channel } from '../channel.ts';
import { hashBytes } from '../wire/constants.ts';
import { encodePcrSelection, type PcrSelection, type PcrValues, pcrDigest } from '../wire/pcr.ts';
import { decodePublic, encodePublic, type SealedPublic } from '../wire/public.ts';
import { TpmRefusal } from '../wire/response-code.ts';
import { join, sized } from '../wire/writer.ts';
import { create, flushing, inSession, load, type ObjectBlob } from './object.ts';
import { differingPcrs, pcrPolicy, readPcrs } from './pcrs.ts';
import { type OwnerAuth, withStorageRoot } from './storage-root.ts';
import { sealedTemplate } from './templates.ts';

/** Part 2 section 12.3.3 and MAX_SYM_DATA of the PC Client profile. */
const SECRET_CEILING = 128;

/** A secret that one TPM gives out while certain PCRs have certain values. Nothing in it is secret to anybody else. */
export interface SealedSecret {
  /** Name of the storage root key that wraps it, hex: which TPM it was, and whether its owner was cleared since. */
  readonly storageRoot: string;
  readonly bank: 'sha1' | 'sha256' | 'sha384';
  /** The values that the TPM demands. */
  readonly pcrs: PcrValues;
  readonly blob: ObjectBlob<SealedPublic>;
  /** ISO 8601, UTC. */
  readonly sealedAt: string;
}

/**
 * PCR 7, the Secure Boot policy and the keys that it was decided by (PC Client Platform Firmware Profile section
 * 3.3.4.8): it changes when somebody else's software can boot, and not with every update of firmware or kernel.
 */
export const DEFAULT_PCRS: PcrSelection<'sha256'> = { bank: 'sha256', pcrs: [7] };

/**
 * Seals a secret to the values that the PCRs have now. On its way to the TPM it is encrypted.
 * @param secret 1 to 128 bytes; stays with the caller.
 * @throws KeysteadError `tpm2.secret-too-long`, `tpm2.pcr-selection`, `tpm2.*`.
 */
export function sealSecret(
  channel: Channel,
  secret: SecretBytes,
  options: { selection?: PcrSelection<SealedSecret['bank']>; now: Date } & OwnerAuth,
): Promise<SealedSecret> {
  const { bank, pcrs } = options.selection ?? DEFAULT_PCRS;
  if (secret.length < 1 || secret.length > SECRET_CEILING) {
    throw new KeysteadError('tpm2.secret-too-long', { field: 'secret', seen: `${secret.length} bytes` });
  }
  return withStorageRoot(
    channel,
    async (srk) => {
      const values = await readPcrs(channel, { bank, pcrs });
      const blob = await create(channel, srk, sealedTemplate(pcrPolicy(bank, values)), { data: secret });
      return { storageRoot: toHex(srk.name), bank, pcrs: values, blob, sealedAt: options.now.toISOString() };
    },
    options,
  );
}

/**
 * The secret, when the PCRs have the values it was sealed to; on its way from the TPM it is encrypted.
 * @throws KeysteadError `tpm2.pcr-mismatch` naming the PCRs that differ, `tpm2.other-tpm`, `tpm2.file-damaged` (what the
 *   file says of the PCRs is not what the TPM demands), `tpm2.*`. Nothing is changed by any of them.
 */
export function unsealSecret(channel: Channel, sealed: SealedSecret, options: OwnerAuth = {}): Promise<SecretBytes> {
  return withStorageRoot(
    channel,
    async (srk) => {
      if (toHex(srk.name) !== sealed.storageRoot) {
        throw new KeysteadError('tpm2.other-tpm', { field: 'storageRoot', seen: toHex(srk.name) });
      }
      const selection = { bank: sealed.bank, pcrs: [...sealed.pcrs.keys()] };
      requireSame(sealed, await readPcrs(channel, selection));
      const object = await load(channel, srk, sealed.blob);
      return flushing(channel, object, () =>
        inSession(channel, srk, 'policy', async (session) => {
          try {
            const parameters = join(sized(pcrDigest('sha256', sealed.pcrs)), encodePcrSelection(selection));
            await channel.run('PolicyPcr', { handles: [session], parameters });
            const output = await channel.run('Unseal', { handles: [object], auth: [session], encrypt: 'response' });
            const secret = SecretBytes.take(output.parameters.sized(SECRET_CEILING, 'outData'));
            output.parameters.end('outData');
            return secret;
          } catch (cause) {
            throw await explained(channel, sealed, cause);
          }
        }),
      );
    },
    options,
  );
}

/** What makes the TPM refuse: PCRs that were extended in the meantime, or a file that says something else than the TPM. */
async function explained(channel: Channel, sealed: SealedSecret, cause: unknown): Promise<unknown> {
  if (!(cause instanceof TpmRefusal) || !['POLICY_FAIL', 'PCR_CHANGED', 'VALUE'].includes(cause.reason ?? ''))
    return cause;
  requireSame(sealed, await readPcrs(channel, { bank: sealed.bank, pcrs: [...sealed.pcrs.keys()] }));
  return new KeysteadError('tpm2.file-damaged', { field: 'pcrs', seen: 'other values than the TPM demands', cause });
}

function requireSame({ bank, pcrs }: SealedSecret, seen: PcrValues): void {
  const differing = differingPcrs(pcrs, seen);
  if (differing.length === 0) return;
  const each = differing.map((pcr) => `PCR ${pcr} is ${short(seen.get(pcr))}, sealed to ${short(pcrs.get(pcr))}`);
  throw new KeysteadError('tpm2.pcr-mismatch', { field: `${bank}:${differing.join(',')}`, seen: each.join('; ') });
}

const short = (value: Uint8Array | undefined): string => `${toHex(value ?? Uint8Array.of()).slice(0, 16)}…`;

const FORMAT = 'keystead tpm2 sealed secret';
const SIZE_CEILING = 64 * 1024;
const Hex = z.string().regex(/^(?:[0-9a-f]{2}){1,66}$/);

const FileJson = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(1),
  sealedAt: z.iso.datetime(),
  storageRoot: Hex,
  bank: z.enum(['sha1', 'sha256', 'sha384']),
  pcrs: z.record(z.string().regex(/^(?:1?\d|2[0-3])$/), Hex),
  public: z.base64(),
  wrapped: z.base64(),
  sha256: z.base64(),
});

/** The file of a sealed secret: JSON with one spelling, closed by its SHA-256, which finds accidents. */
export function formatSealedSecret(sealed: SealedSecret): Uint8Array {
  const ordered = [...sealed.pcrs].sort(([a], [b]) => a - b);
  const body = {
    format: FORMAT,
    version: 1,
    sealedAt: sealed.sealedAt,
    storageRoot: sealed.storageRoot,
    bank: sealed.bank,
    pcrs: Object.fromEntries(ordered.map(([pcr, value]) => [String(pcr), toHex(value)])),
    public: toBase64(encodePublic(sealed.blob.area)),
    wrapped: toBase64(sealed.blob.wrapped),
  };
  const checksum = toBase64(sha256(Buffer.from(JSON.stringify(body))));
  return Buffer.from(`${JSON.stringify({ ...body, sha256: checksum }, null, 2)}\n`);
}

/** @throws KeysteadError `tpm2.file-damaged` for anything but exactly what {@link formatSealedSecret} gives. */
export function parseSealedSecret(bytes: Uint8Array): SealedSecret {
  const damaged = (seen: string, cause?: unknown): KeysteadError =>
    new KeysteadError('tpm2.file-damaged', { field: 'sealed secret', seen, cause });
  if (bytes.length > SIZE_CEILING) throw damaged(`${bytes.length} bytes`);
  let sealed: SealedSecret;
  try {
    const json = FileJson.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
    const area = decodePublic(fromBase64(json.public));
    if (area.type !== 'sealed') throw new TypeError('an object that is no sealed secret');
    const pcrs = new Map(Object.entries(json.pcrs).map(([pcr, value]) => [Number(pcr), fromHex(value)]));
    if ([...pcrs.values()].some((value) => value.length !== hashBytes(json.bank))) throw new TypeError('a PCR value');
    const { storageRoot, bank, sealedAt } = json;
    sealed = { storageRoot, bank, sealedAt, pcrs, blob: { area, wrapped: fromBase64(json.wrapped) } };
  } catch (cause) {
    throw damaged('no sealed secret of this version', cause);
  }
  if (!sameBytes(formatSealedSecret(sealed), bytes)) throw damaged('a checksum or spelling that does not fit');
  return sealed;
}
