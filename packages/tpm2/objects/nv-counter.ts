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

/** TPMA_NV, Part 2 section 13.4. None is TPMA_NV_ORDERLY: what is would jump, or be lost, at a power cut. */
const AUTHWRITE = 1 << 2;
const COUNTER = 1 << 4; // TPM_NT_COUNTER in bits 7:4
const OWNERREAD = 1 << 17;
const AUTHREAD = 1 << 18;
/** Guesses at other objects must not stop a factory; the value is 256 bits that nobody guesses. */
const NO_DA = 1 << 25;
const WRITTEN = 1 << 29;
const USE = AUTHWRITE | OWNERREAD | AUTHREAD | NO_DA;

/** Octets of a mark: whoever took the last step says which one it was. */
export const MARK_BYTES = 16;

/** A counter is two indices, one behind the other: the counter itself, and the mark of its last step. */
const COUNTER_AREA = { offset: 0, attributes: USE | COUNTER, bytes: 8 } as const;
const MARK_AREA = { offset: 1, attributes: USE, bytes: MARK_BYTES } as const;
type Area = typeof COUNTER_AREA | typeof MARK_AREA;

/** Indices that an owner may define as they like (TCG registry of reserved handles, section 2.2.2). */
export const OWNER_NV = { first: 0x01800000, last: 0x01bfffff } as const;

/** A counter in a TPM: where it is, what authorizes its use, and the storage root that proves which TPM answers. */
export interface NvCounter {
  /** The mark is at the index after it. */
  readonly index: number;
  /** 32 bytes; stays with the caller. */
  readonly auth: SecretBytes;
  /** Name of the storage root, hex. */
  readonly storageRoot: string;
}

/** What a counter says. */
export interface NvCount {
  readonly value: number;
  /** {@link MARK_BYTES} octets; zeros before the first step. */
  readonly mark: Uint8Array;
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
      for (const area of [COUNTER_AREA, MARK_AREA]) {
        await inSession(channel, srk, 'hmac', (session) => define(channel, session, counter, area, owner));
      }
      const storageRoot = toHex(srk.name);
      const mark = new Uint8Array(MARK_BYTES);
      return { storageRoot, value: await stepCounter(channel, { ...counter, storageRoot }, mark, owner) };
    },
    owner,
  );
}

async function define(
  channel: Channel,
  session: Session,
  { index, auth }: Omit<NvCounter, 'storageRoot'>,
  area: Area,
  { ownerAuth }: OwnerAuth,
): Promise<void> {
  if (ownerAuth !== undefined) session.useValue(ownerAuth);
  const parameters = join(
    auth.use((bytes) => sized(bytes)),
    sized(publicArea(index, area, area.attributes)),
  );
  const handles = [permanent(HANDLE.OWNER)];
  try {
    await channel.run('NvDefineSpace', { handles, auth: [session], parameters, encrypt: 'command' });
  } catch (cause) {
    if (!(cause instanceof TpmRefusal) || cause.reason !== 'NV_DEFINED') throw cause;
    throw new KeysteadError('tpm2.counter-exists', { field: 'index', seen: indexText(index + area.offset), cause });
  } finally {
    parameters.fill(0);
  }
}

/**
 * Undefines a counter and its mark, and what a power cut has left of the two.
 * @throws KeysteadError `tpm2.counter-missing` where there is neither, `tpm2.*`.
 */
export async function undefineCounter(channel: Channel, index: number, owner: OwnerAuth = {}): Promise<void> {
  const missing: KeysteadError[] = [];
  for (const area of [COUNTER_AREA, MARK_AREA]) {
    try {
      const entity = await entityOf(channel, index, area);
      await channel.run('NvUndefineSpace', {
        handles: [permanent(HANDLE.OWNER), entity],
        auth: [owner.ownerAuth === undefined ? EMPTY_AUTH : { password: owner.ownerAuth }],
      });
    } catch (error) {
      if (!(error instanceof KeysteadError && error.code === 'tpm2.counter-missing')) throw error;
      missing.push(error);
    }
  }
  const [first, second] = missing;
  if (second !== undefined) throw first;
}

/**
 * Writes the mark, takes one step and returns the value after it. A power cut between the two leaves the mark of a step
 * that was not taken. Where another program takes steps on the same counter, the value may be more than one further
 * than before: whoever counts on being alone compares it.
 * @param mark {@link MARK_BYTES} octets.
 * @throws KeysteadError as {@link readCounter} does.
 */
export const stepCounter = (
  channel: Channel,
  counter: NvCounter,
  mark: Uint8Array,
  owner: OwnerAuth = {},
): Promise<number> =>
  authorized(channel, counter, owner, async (session) => {
    const { index } = counter;
    const place = await entityOf(channel, index, MARK_AREA);
    const parameters = join(sized(mark), u16(0));
    await channel.run('NvWrite', { handles: [place, place], auth: [session], parameters });
    const entity = await entityOf(channel, index, COUNTER_AREA);
    await channel.run('NvIncrement', { handles: [entity, entity], auth: [session] });
    // The first step sets TPMA_NV_WRITTEN, and with it another Name.
    return numberIn(await readArea(channel, written(index, COUNTER_AREA), COUNTER_AREA, session));
  });

/**
 * Reads value and mark; commands and responses carry HMACs, so that what answers is this TPM and not something between.
 * @throws KeysteadError `tpm2.counter-missing`, `tpm2.other-tpm`, `tpm2.auth-failed` when the value that authorizes it
 *   is another, `tpm2.unavailable`, `tpm2.*`.
 */
export const readCounter = (channel: Channel, counter: NvCounter, owner: OwnerAuth = {}): Promise<NvCount> =>
  authorized(channel, counter, owner, async (session) => {
    const read = async (area: Area): Promise<Uint8Array> =>
      readArea(channel, await entityOf(channel, counter.index, area), area, session);
    return { value: numberIn(await read(COUNTER_AREA)), mark: await read(MARK_AREA) };
  });

function authorized<T>(
  channel: Channel,
  counter: NvCounter,
  owner: OwnerAuth,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  return withStorageRoot(
    channel,
    (srk) => {
      const seen = toHex(srk.name);
      if (seen !== counter.storageRoot) throw new KeysteadError('tpm2.other-tpm', { field: 'storageRoot', seen });
      return inSession(channel, srk, 'hmac', (session) => {
        session.useValue(counter.auth);
        return work(session);
      });
    },
    owner,
  );
}

async function readArea(channel: Channel, entity: Entity, { bytes }: Area, session: Session): Promise<Uint8Array> {
  const { parameters } = await channel.run('NvRead', {
    handles: [entity, entity],
    auth: [session],
    parameters: join(u16(bytes), u16(0)),
  });
  const data = parameters.sized(bytes, 'data');
  parameters.end('data');
  if (data.length !== bytes) throw malformed('data', `${data.length} octets of ${bytes}`);
  return data;
}

function numberIn(bytes: Uint8Array): number {
  const value = new WireReader(bytes).u64('the counter');
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('the counter', String(value));
  return Number(value);
}

/** The index, which must be as {@link defineCounter} makes it: its Name is worked out here, not believed. */
async function entityOf(channel: Channel, first: number, area: Area): Promise<Entity> {
  const index = first + area.offset;
  try {
    const { parameters } = await channel.run('NvReadPublic', { handles: [permanent(index)] });
    const seen = nameFrom(parameters.sized(256, 'nvPublic'));
    const known = [written(first, area), { handle: index, name: nameFrom(publicArea(first, area, area.attributes)) }];
    const entity = known.find((one) => sameBytes(one.name, seen));
    if (entity !== undefined) return entity;
    throw new KeysteadError('tpm2.counter-missing', { field: 'index', seen: `${indexText(index)} is something else` });
  } catch (cause) {
    if (!(cause instanceof TpmRefusal) || cause.reason !== 'HANDLE') throw cause;
    throw new KeysteadError('tpm2.counter-missing', { field: 'index', seen: indexText(index), cause });
  }
}

const written = (first: number, area: Area): Entity => ({
  handle: first + area.offset,
  name: nameFrom(publicArea(first, area, area.attributes | WRITTEN)),
});

/** Name of an NV index (Part 1 section 16): nameAlg ‖ H(TPMS_NV_PUBLIC). */
const nameFrom = (area: Uint8Array): Uint8Array => join(u16(ALG.SHA256), hash('sha256', area, 'buffer'));

/** TPMS_NV_PUBLIC (Part 2 section 13.5). */
const publicArea = (first: number, { offset, bytes }: Area, attributes: number): Uint8Array =>
  join(u32(first + offset), u16(ALG.SHA256), u32(attributes), EMPTY, u16(bytes));

const indexText = (index: number): string => `0x${index.toString(16).padStart(8, '0')}`;
