import { X509Certificate } from 'node:crypto';
import type { DerCertificate } from '@keystead/core/bytes';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Channel, EMPTY_AUTH, permanent } from '../channel.ts';
import { HANDLE } from '../wire/constants.ts';
import type { KeyPublic } from '../wire/public.ts';
import { WireReader } from '../wire/reader.ts';
import { TpmRefusal } from '../wire/response-code.ts';
import { join, u16 } from '../wire/writer.ts';
import { createPrimary, flushing, fromTemplate, type Loaded, readPublic } from './object.ts';
import { ENDORSEMENT_KINDS, type EndorsementKind } from './templates.ts';

/** Octets of an NV index that are read at once: the least that a TPM gives (PC Client PTP, TPM_PT_NV_BUFFER_MAX). */
const NV_PIECE = 512;

/** An endorsement key's certificate as the manufacturer left it in the TPM. */
export interface EndorsementCertificate {
  readonly kind: EndorsementKind;
  readonly certificate: DerCertificate;
}

/** The certificates that are in the TPM, in the order of preference; none in a TPM whose maker offers them elsewhere. */
export async function endorsementCertificates(channel: Channel): Promise<EndorsementCertificate[]> {
  const found: EndorsementCertificate[] = [];
  for (const kind of ENDORSEMENT_KINDS) {
    const bytes = await readNv(channel, kind.certificateIndex);
    if (bytes !== undefined) found.push({ kind, certificate: certificateIn(bytes) });
  }
  return found;
}

/** What stands behind the certificate in its index (some makers fill it up) is not part of it. */
function certificateIn(bytes: Uint8Array): DerCertificate {
  try {
    return new Uint8Array(new X509Certificate(bytes).raw) as DerCertificate;
  } catch (cause) {
    throw new KeysteadError('tpm2.malformed', { field: 'EK certificate', seen: `${bytes.length} bytes`, cause });
  }
}

/** The whole of an NV index that anybody may read; undefined when there is none. @throws KeysteadError `tpm2.*`. */
export async function readNv(channel: Channel, index: number): Promise<Uint8Array | undefined> {
  const area = await nvPublic(channel, index);
  if (area === undefined) return undefined;
  const entity = { handle: index, name: area.name };
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < area.size; at += NV_PIECE) {
    const size = Math.min(NV_PIECE, area.size - at);
    const { parameters } = await channel.run('NvRead', {
      handles: [entity, entity],
      auth: [EMPTY_AUTH],
      parameters: join(u16(size), u16(at)),
    });
    pieces.push(parameters.sized(size, 'data'));
    parameters.end('data');
  }
  return join(...pieces);
}

/** Size and Name of an NV index (TPMS_NV_PUBLIC, Part 2 section 13.5). */
async function nvPublic(channel: Channel, index: number): Promise<{ size: number; name: Uint8Array } | undefined> {
  try {
    const { parameters } = await channel.run('NvReadPublic', { handles: [permanent(index)] });
    const area = new WireReader(parameters.sized(256, 'nvPublic'));
    const name = parameters.sized(66, 'nvName');
    area.u32('nvIndex');
    area.u16('nameAlg');
    area.u32('attributes');
    area.sized(64, 'authPolicy');
    const size = area.u16('dataSize');
    area.end('nvPublic');
    return { size, name };
  } catch (error) {
    if (error instanceof TpmRefusal && error.reason === 'HANDLE') return undefined;
    throw error;
  }
}

/**
 * Lends an endorsement key to `work`: the persistent one when it was made from the template, else a transient one,
 * which is the same key.
 * @throws KeysteadError `tpm2.*`.
 */
export async function withEndorsementKey<T>(
  channel: Channel,
  kind: EndorsementKind,
  work: (key: Loaded<KeyPublic>) => Promise<T>,
  options: { readonly endorsementAuth?: SecretBytes } = {},
): Promise<T> {
  const persistent = await readPublic(channel, kind.persistent);
  if (persistent !== undefined && isOf(persistent, kind)) return work(persistent);
  const made = await createPrimary(channel, HANDLE.ENDORSEMENT, kind.template, options.endorsementAuth);
  return flushing(channel, made, work);
}

function isOf(loaded: Loaded, kind: EndorsementKind): loaded is Loaded<KeyPublic> {
  return fromTemplate(loaded.area, kind.template);
}
