import { hash } from 'node:crypto';
import { sameBytes, toHex } from '@keystead/core/bytes';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Channel, EMPTY_AUTH, type Entity, permanent } from '../channel.ts';
import type { Session } from '../session/session.ts';
import { ALG, HANDLE } from '../wire/constants.ts';
import { malformed, WireReader } from '../wire/reader.ts';
import { TpmRefusal } from '../wire/response-code.ts';
import { EMPTY, join, sized, u16, u32 } from '../wire/writer.ts';
import { inSession } from './object.ts';
import { type OwnerAuth, withStorageRoot } from './storage-root.ts';

/** TPMA_NV, Part 2 section 13.4: what a counter of Keystead is. It is not TPMA_NV_ORDERLY: that one jumps at a power cut. */
const AUTHWRITE = 1 << 2;
const COUNTER = 1 << 4; // TPM_NT_COUNTER in bits 7:4
const OWNERREAD = 1 << 17;
const AUTHREAD = 1 << 18;
/** Guesses at other objects must not stop a factory; the value is 256 bits that nobody guesses. */
const NO_DA = 1 << 25;
const WRITTEN = 1 << 29;
const ATTRIBUTES = AUTHWRITE | COUNTER | OWNERREAD | AUTHREAD | NO_DA;

const COUNTER_BYTES = 8;

/** Indices that an owner may define as they like (TCG registry of reserved handles, section 2.2.2). */
export const OWNER_NV = { first: 0x01800000, last: 0x01bfffff } as const;

/** A counter in a TPM: where it is, what authorizes its use, and the storage root that proves which TPM answers. */
export interface NvCounter {
  readonly index: number;
  /** 32 bytes; stays with the caller. */
  readonly auth: SecretBytes;
  /** Name of the storage root, hex. */
  readonly storageRoot: string;
}

/**
 * Defines a counter and takes its first step, which gives it its first value: one more than any counter of this TPM
 * ever had (Part 1 section 37.2.4.4), so that undefining it and defining it again never takes it back.
 * @throws KeysteadError `tpm2.counter-exists`, `tpm2.auth-failed` when the owner has a value that was not given,
 *   `tpm2.full`, `tpm2.*`.
 */
export function defineCounter(
  channel: Channel,
  counter: Omit<NvCounter, 'storageRoot'>,
  owner: OwnerAuth = {},
): Promise<{ storageRoot: string; value: number }> {
  return withStorageRoot(
    channel,
    async (srk) => {
      await inSession(channel, srk, 'hmac', async (session) => {
        if (owner.ownerAuth !== undefined) session.useValue(owner.ownerAuth);
        const parameters = join(
          counter.auth.use((bytes) => sized(bytes)),
          sized(publicArea(counter.index, ATTRIBUTES)),
        );
        try {
          await channel.run('NvDefineSpace', {
            handles: [permanent(HANDLE.OWNER)],
            auth: [session],
            parameters,
            encrypt: 'command',
          });
        } catch (cause) {
          if (!(cause instanceof TpmRefusal) || cause.reason !== 'NV_DEFINED') throw cause;
          throw new KeysteadError('tpm2.counter-exists', { field: 'index', seen: indexText(counter.index), cause });
        } finally {
          parameters.fill(0);
        }
      });
      const storageRoot = toHex(srk.name);
      return { storageRoot, value: await incrementCounter(channel, { ...counter, storageRoot }, owner) };
    },
    owner,
  );
}

/** Undefines a counter. @throws KeysteadError `tpm2.counter-missing`, `tpm2.*`. */
export async function undefineCounter(channel: Channel, index: number, owner: OwnerAuth = {}): Promise<void> {
  const entity = await counterEntity(channel, index);
  await channel.run('NvUndefineSpace', {
    handles: [permanent(HANDLE.OWNER), entity],
    auth: [owner.ownerAuth === undefined ? EMPTY_AUTH : { password: owner.ownerAuth }],
  });
}

/**
 * Takes one step and returns the value after it. Where another program takes steps on the same counter, it may be more
 * than one further than before: whoever counts on being alone compares it.
 * @throws KeysteadError as {@link readCounter} does.
 */
export const incrementCounter = (channel: Channel, counter: NvCounter, owner: OwnerAuth = {}): Promise<number> =>
  authorized(channel, counter, owner, async (entity, session) => {
    await channel.run('NvIncrement', { handles: [entity, entity], auth: [session] });
    // The first step sets TPMA_NV_WRITTEN, and with it another Name.
    return readValue(channel, written(counter.index), session);
  });

/**
 * Reads the value; command and response carry HMACs, so that what answers is this TPM and not something between.
 * @throws KeysteadError `tpm2.counter-missing`, `tpm2.other-tpm`, `tpm2.auth-failed` when the value that authorizes it
 *   is another, `tpm2.unavailable`, `tpm2.*`.
 */
export const readCounter = (channel: Channel, counter: NvCounter, owner: OwnerAuth = {}): Promise<number> =>
  authorized(channel, counter, owner, (entity, session) => readValue(channel, entity, session));

function authorized<T>(
  channel: Channel,
  counter: NvCounter,
  owner: OwnerAuth,
  work: (entity: Entity, session: Session) => Promise<T>,
): Promise<T> {
  return withStorageRoot(
    channel,
    async (srk) => {
      const seen = toHex(srk.name);
      if (seen !== counter.storageRoot) throw new KeysteadError('tpm2.other-tpm', { field: 'storageRoot', seen });
      const entity = await counterEntity(channel, counter.index);
      return inSession(channel, srk, 'hmac', (session) => {
        session.useValue(counter.auth);
        return work(entity, session);
      });
    },
    owner,
  );
}

async function readValue(channel: Channel, entity: Entity, session: Session): Promise<number> {
  const { parameters } = await channel.run('NvRead', {
    handles: [entity, entity],
    auth: [session],
    parameters: join(u16(COUNTER_BYTES), u16(0)),
  });
  const data = new WireReader(parameters.sized(COUNTER_BYTES, 'data'));
  parameters.end('data');
  const value = data.u64('the counter');
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('the counter', String(value));
  return Number(value);
}

/** The index, which must be a counter as {@link defineCounter} makes it: its Name is worked out here, not believed. */
async function counterEntity(channel: Channel, index: number): Promise<Entity> {
  try {
    const { parameters } = await channel.run('NvReadPublic', { handles: [permanent(index)] });
    const area = parameters.sized(256, 'nvPublic');
    const known = [written(index), { handle: index, name: nameOf(index, ATTRIBUTES) }];
    const entity = known.find((one) => sameBytes(one.name, nameFrom(area)));
    if (entity !== undefined) return entity;
    throw new KeysteadError('tpm2.counter-missing', { field: 'index', seen: `${indexText(index)} is something else` });
  } catch (cause) {
    if (!(cause instanceof TpmRefusal) || cause.reason !== 'HANDLE') throw cause;
    throw new KeysteadError('tpm2.counter-missing', { field: 'index', seen: indexText(index), cause });
  }
}

const written = (index: number): Entity => ({ handle: index, name: nameOf(index, ATTRIBUTES | WRITTEN) });

const nameOf = (index: number, attributes: number): Uint8Array => nameFrom(publicArea(index, attributes));

/** Name of an NV index (Part 1 section 16): nameAlg ‖ H(TPMS_NV_PUBLIC). */
const nameFrom = (area: Uint8Array): Uint8Array => join(u16(ALG.SHA256), hash('sha256', area, 'buffer'));

/** TPMS_NV_PUBLIC (Part 2 section 13.5). */
const publicArea = (index: number, attributes: number): Uint8Array =>
  join(u32(index), u16(ALG.SHA256), u32(attributes), EMPTY, u16(COUNTER_BYTES));

const indexText = (index: number): string => `0x${index.toString(16).padStart(8, '0')}`;
