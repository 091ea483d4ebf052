import { sameBytes } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CheckpointKeys,
  levelSize,
  openCheckpoint,
  type SignedCheckpoint,
  TILE_WIDTH,
  type TileBuilder,
  type TileLevel,
  tilePath,
} from '@keystead/core/log';
import type { AuditReader } from './append.ts';
import { archiveRecord } from './archive.ts';
import type { LogFiles } from './log-directory.ts';

/** Whoever signs the log's checkpoints: keyd. */
export interface CheckpointSigner {
  /**
   * Appends `leaves` (hashes, 32 bytes) to a tree that had `size` of them, and returns the signed checkpoint (note
   * text). Leaves that the signer holds already must be the same; the checkpoint then covers all that it holds, which
   * may be more than was sent.
   */
  signCheckpoint(request: { readonly size: number; readonly leaves: Uint8Array[] }): Promise<string>;
}

export interface PublishingParts {
  readonly entries: AuditReader;
  readonly files: LogFiles;
  readonly signer: CheckpointSigner;
  readonly keys: CheckpointKeys;
  readonly clock: Clock;
  /** A log in which nothing happens is signed again after this time, so that a quiet hour cannot be filled later. */
  readonly heartbeatMs: number;
}

/** What is published, and the builder that stands at the same size. */
export interface Published {
  readonly builder: TileBuilder;
  /** Undefined before the first. */
  readonly checkpoint: SignedCheckpoint | undefined;
}

/** Entries read, hashed and sent at a time: some 400 KiB on keyd's socket, 32 full tiles. */
export const PAGE = 8_192;
/**
 * A checkpoint's time says that older entries were all in it. That holds only if it was signed soon after the entries
 * were read; the verifier allows twice this (DEFAULT_TOLERANCE_MS).
 */
const PROMPT_MS = 5_000;
const ATTEMPTS = 5;

/**
 * Publishes what the database has beyond `from`, as one checkpoint. Order of the durable writes: full tiles and
 * bundles, partial ones, signature (keyd makes its leaves durable first), `checkpoint`, archive. A crash between any
 * two leaves a log that verifies at its old size or its new. REQ-KEY-AUD-01
 * @returns the new state, or `from` itself when there is nothing new and the last signature is not old yet. After a throw `from.builder` is spoilt: recover.
 * @throws KeysteadError `log.diverged`, `log.signer-slow`; what the parts throw.
 */
export async function publishOnce(parts: PublishingParts, from: Published): Promise<Published> {
  const { files, keys, clock } = parts;
  const { builder } = from;
  const oldSize = builder.size;
  const outbox = new Outbox(parts.signer, oldSize);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const readAt = await readEntries(parts, builder, outbox);
    if (builder.size === oldSize && !isDue(from.checkpoint, parts)) return from;
    for (const { path, bytes } of builder.takePartial()) await files.write(path, bytes);
    const checkpoint = openCheckpoint(await outbox.sign(), keys);
    // keyd holds more than was read: its signature before a crash was lost. The entries must be there.
    if (checkpoint.size > builder.size && attempt + 1 < ATTEMPTS) continue;
    if (checkpoint.size !== builder.size || !sameBytes(checkpoint.root, builder.root())) {
      throw new KeysteadError('log.diverged', {
        field: 'checkpoint',
        seen: `keyd signed ${checkpoint.size} entries, the database has ${builder.size}, and they are not the same`,
      });
    }
    if (checkpoint.timestamp !== undefined && checkpoint.timestamp * 1000 - readAt > PROMPT_MS) continue;
    // The timer of the promise of order is over: what follows only makes it known.
    await files.write('checkpoint', Buffer.from(checkpoint.note));
    await files.append('checkpoints', archiveRecord(checkpoint.note));
    await removeOutgrown(files, oldSize, builder.size);
    return { builder, checkpoint };
  }
  throw new KeysteadError('log.signer-slow', { field: 'keyd', seen: `${clock.now().toISOString()}` });
}

function isDue(checkpoint: SignedCheckpoint | undefined, { clock, heartbeatMs }: PublishingParts): boolean {
  return checkpoint?.timestamp !== undefined && clock.now().getTime() - checkpoint.timestamp * 1000 >= heartbeatMs;
}

/** Leaves on their way to keyd. */
class Outbox {
  readonly #signer: CheckpointSigner;
  #size: number;
  #leaves: Uint8Array[] = [];

  constructor(signer: CheckpointSigner, size: number) {
    this.#signer = signer;
    this.#size = size;
  }

  /** Sends ahead what is full, so that no request grows beyond a page; its checkpoint is not for publishing. */
  async makeRoom(): Promise<void> {
    if (this.#leaves.length < PAGE) return;
    await this.sign();
    this.#size += this.#leaves.length;
    this.#leaves = [];
  }

  add(leaf: Uint8Array): void {
    this.#leaves.push(leaf);
  }

  sign(): Promise<string> {
    return this.#signer.signCheckpoint({ size: this.#size, leaves: this.#leaves });
  }
}

/** Takes all entries into the builder. Returns when the last of them were asked for, milliseconds since 1970. */
async function readEntries(
  { entries, files, clock }: PublishingParts,
  builder: TileBuilder,
  outbox: Outbox,
): Promise<number> {
  for (;;) {
    const readAt = clock.now().getTime();
    const rows = await entries.auditEntries(builder.size, PAGE);
    for (const row of rows) {
      const index = builder.size;
      await outbox.makeRoom();
      const leaf = builder.append(row.bytes);
      if (row.seq !== index || !sameBytes(leaf, row.leafHash)) {
        throw new KeysteadError('log.diverged', { field: `entry ${index}`, seen: `row ${row.seq} with another hash` });
      }
      outbox.add(leaf);
    }
    for (const { path, bytes } of builder.takeFull()) await files.write(path, bytes);
    if (rows.length < PAGE) return readAt;
  }
}

/** Partial files of tiles that are full now (C2SP tlog-tiles lets them go). */
async function removeOutgrown(files: LogFiles, oldSize: number, newSize: number): Promise<void> {
  const levels: TileLevel[] = ['entries'];
  for (let level = 0; levelSize(level, oldSize) > 0; level++) levels.push(level);
  for (const level of levels) {
    const index = Math.floor(levelSize(level, oldSize) / TILE_WIDTH);
    const wasPartial = levelSize(level, oldSize) % TILE_WIDTH > 0;
    if (wasPartial && levelSize(level, newSize) >= (index + 1) * TILE_WIDTH) {
      await files.remove(`${tilePath(level, index)}.p`);
    }
  }
}
