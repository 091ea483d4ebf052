import { sameBytes } from '@keystead/core/bytes';
import type { SecretBytes } from '@keystead/core/crypto';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Channel, EMPTY_AUTH, type Entity, permanent } from '../channel.ts';
import { makeSalt, NONCE_BYTES, Session } from '../session/session.ts';
import { ALG, HANDLE, SESSION } from '../wire/constants.ts';
import { decodePublic, type EccPublic, encodePublic, nameOf, type PublicArea } from '../wire/public.ts';
import { malformed } from '../wire/reader.ts';
import { TpmRefusal } from '../wire/response-code.ts';
import { EMPTY, join, sized, u8, u16, u32 } from '../wire/writer.ts';

/** Larger than any TPMT_PUBLIC and TPM2B_PRIVATE of the objects used here. */
export const BLOB_CEILING = 2048;

/** An object that is loaded: its handle, its Name, and what it is. */
export interface Loaded<Area extends PublicArea = PublicArea> extends Entity {
  readonly area: Area;
}

/** An object at rest: its public area, and its private one, which the TPM has wrapped under its parent. */
export interface ObjectBlob<Area extends PublicArea = PublicArea> {
  readonly area: Area;
  /** TPM2B_PRIVATE without its length. */
  readonly wrapped: Uint8Array;
}

/** Forgets a transient object or a session. */
export async function flush(channel: Channel, handle: number): Promise<void> {
  await channel.run('FlushContext', { parameters: u32(handle) });
}

/** Lends an entity to `work` and flushes it afterwards, whatever happens. */
export async function flushing<E extends { readonly handle: number }, T>(
  channel: Channel,
  entity: E,
  work: (entity: E) => Promise<T>,
): Promise<T> {
  try {
    return await work(entity);
  } finally {
    // Persistent objects (0x81) stay. A TPM that has gone away tells of itself by the failure before this one.
    if (entity.handle >>> 24 !== 0x81) await flush(channel, entity.handle).catch(() => undefined);
  }
}

/** Makes a primary key of a hierarchy from a template. @throws KeysteadError `tpm2.*`. */
export async function createPrimary<Area extends PublicArea>(
  channel: Channel,
  hierarchy: number,
  template: Area,
  auth?: SecretBytes,
): Promise<Loaded<Area>> {
  const { handle, parameters } = await channel.run('CreatePrimary', {
    handles: [permanent(hierarchy)],
    auth: [{ password: auth }],
    parameters: join(sized(EMPTY, EMPTY), sized(encodePublic(template)), EMPTY, u32(0)),
  });
  const area = sameKind(decodePublic(parameters.sized(BLOB_CEILING, 'outPublic')), template);
  return { handle, area, name: nameOf(area) };
}

/** Reads the public area of what stands under a handle; undefined when nothing does. */
export async function readPublic(channel: Channel, handle: number): Promise<Loaded | undefined> {
  try {
    const { parameters } = await channel.run('ReadPublic', { handles: [permanent(handle)] });
    const area = decodePublic(parameters.sized(BLOB_CEILING, 'outPublic'));
    const name = parameters.sized(BLOB_CEILING, 'name');
    if (!sameBytes(name, nameOf(area))) throw malformed('name', 'another than that of the public area');
    return { handle, area, name };
  } catch (error) {
    if (error instanceof TpmRefusal && error.reason === 'HANDLE') return undefined;
    // Something else that is no key of ours may stand there.
    if (error instanceof KeysteadError && error.code === 'tpm2.malformed') return undefined;
    throw error;
  }
}

/** What `bound` of a public area is: everything but the part that only the key itself decides. */
export function fromTemplate(area: PublicArea, template: PublicArea): boolean {
  if (area.type === 'ecc' && template.type === 'ecc') {
    return sameBytes(encodePublic({ ...area, x: template.x, y: template.y }), encodePublic(template));
  }
  if (area.type === 'rsa' && template.type === 'rsa') {
    return sameBytes(encodePublic({ ...area, modulus: template.modulus }), encodePublic(template));
  }
  if (area.type === 'sealed' && template.type === 'sealed') {
    return sameBytes(encodePublic({ ...area, unique: template.unique }), encodePublic(template));
  }
  return false;
}

/** The TPM made what it was asked for, and not a key with other attributes. */
function sameKind<Area extends PublicArea>(area: PublicArea, template: Area): Area {
  if (!fromTemplate(area, template)) throw malformed('outPublic', 'another object than was asked for');
  return area as Area;
}

/**
 * A session whose salt only the holder of `key` opens; HMAC or policy, SHA-256, AES-128-CFB for parameters.
 * @throws KeysteadError `tpm2.*`, `rng.unhealthy`.
 */
export async function startSession(
  channel: Channel,
  key: Loaded<EccPublic>,
  kind: 'hmac' | 'policy',
): Promise<Session> {
  const { salt, encrypted } = makeSalt(key.area);
  using secret = salt;
  const nonceCaller = randomBytes(NONCE_BYTES);
  const { handle, parameters } = await channel.run('StartAuthSession', {
    handles: [key, permanent(HANDLE.NULL)],
    parameters: join(
      sized(nonceCaller),
      sized(encrypted),
      u8(kind === 'hmac' ? SESSION.HMAC : SESSION.POLICY),
      join(u16(ALG.AES), u16(128), u16(ALG.CFB)),
      u16(ALG.SHA256),
    ),
  });
  const nonceTpm = parameters.sized(64, 'nonceTPM');
  parameters.end('the session');
  return new Session(handle, secret, nonceCaller, nonceTpm);
}

/** Lends a session to `work`; afterwards its key is wiped and the TPM forgets it. */
export async function inSession<T>(
  channel: Channel,
  key: Loaded<EccPublic>,
  kind: 'hmac' | 'policy',
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await startSession(channel, key, kind);
  try {
    return await flushing(channel, session, work);
  } finally {
    session.wipe();
  }
}

/**
 * Makes an object under a parent. The sensitive part (a value, a secret to be sealed) travels encrypted.
 * @param sensitive what is sealed, and the authorization value; both stay with the caller.
 * @throws KeysteadError `tpm2.*`.
 */
export function create<Area extends PublicArea>(
  channel: Channel,
  parent: Loaded<EccPublic>,
  template: Area,
  sensitive: { auth?: SecretBytes; data?: SecretBytes } = {},
): Promise<ObjectBlob<Area>> {
  return inSession(channel, parent, 'hmac', async (session) => {
    const part = (secret: SecretBytes | undefined): Uint8Array => secret?.use((bytes) => sized(bytes)) ?? EMPTY;
    const inSensitive = sized(part(sensitive.auth), part(sensitive.data));
    const parameters = join(inSensitive, sized(encodePublic(template)), EMPTY, u32(0));
    inSensitive.fill(0);
    try {
      const output = await channel.run('Create', { handles: [parent], auth: [session], parameters, encrypt: 'both' });
      const wrapped = output.parameters.sized(BLOB_CEILING, 'outPrivate');
      const area = sameKind(decodePublic(output.parameters.sized(BLOB_CEILING, 'outPublic')), template);
      return { area, wrapped };
    } finally {
      parameters.fill(0);
    }
  });
}

/**
 * Loads an object under its parent.
 * @throws KeysteadError `tpm2.other-tpm` when this parent did not wrap it, or it was changed since; `tpm2.*`.
 */
export async function load<Area extends PublicArea>(
  channel: Channel,
  parent: Loaded<EccPublic>,
  blob: ObjectBlob<Area>,
): Promise<Loaded<Area>> {
  try {
    const { handle, parameters } = await channel.run('Load', {
      handles: [parent],
      auth: [EMPTY_AUTH],
      parameters: join(sized(blob.wrapped), sized(encodePublic(blob.area))),
    });
    const name = parameters.sized(BLOB_CEILING, 'name');
    if (!sameBytes(name, nameOf(blob.area))) throw malformed('name', 'another than that of the object');
    return { handle, area: blob.area, name };
  } catch (cause) {
    if (!(cause instanceof TpmRefusal) || !WRAPPING.includes(cause.reason ?? '')) throw cause;
    throw new KeysteadError('tpm2.other-tpm', { field: 'object', seen: cause.seen, cause });
  }
}

/** How a TPM says that the wrapping does not open: by its HMAC, or by what comes out (Part 3 section 12.2). */
const WRAPPING: readonly string[] = ['INTEGRITY', 'SENSITIVE', 'SIZE', 'BINDING', 'HASH', 'TYPE'];
