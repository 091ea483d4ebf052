import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  checkpointNote,
  Frontier,
  HASH_BYTES,
  type NoteSigner,
  openCheckpoint,
  parseVerifierKey,
} from '@keystead/core/log';
import { durableWrite, removeUnfinished, syncDirectory } from '../files/durable.ts';

/** The keys under which the log is signed, and what they are called. */
export interface LogKeys {
  readonly log: NoteSigner;
  readonly cosigner: NoteSigner;
  readonly vkey: string;
  readonly cosignVkey: string;
}

const LEAVES_READ = 32 * 1024;

/**
 * The signer of the audit log. It holds the right edge of the tree itself and takes leaves only at its end, so that
 * whoever sends them can append and nothing else: no signature of ours ever stands under a tree in which an older
 * entry was changed, dropped or moved. Each leaf hash is kept too (`keyd/leaves`, 32 bytes each): with it an auditor
 * finds the very entry that someone changed. REQ-KEY-AUD-01
 */
export class LogSigner {
  readonly #dir: string;
  readonly #keys: LogKeys;
  readonly #leaves: FileHandle;
  #frontier: Frontier;
  #note: string | undefined;
  #timestamp = 0;
  #queue: Promise<unknown> = Promise.resolve();
  #broken = false;

  private constructor(dir: string, keys: LogKeys, leaves: FileHandle, frontier: Frontier) {
    this.#dir = dir;
    this.#keys = keys;
    this.#leaves = leaves;
    this.#frontier = frontier;
  }

  /**
   * Opens the log's files in `dir`. Leaves behind the last checkpoint were never signed and are cut off.
   * @throws KeysteadError `keyd.journal-damaged` when leaves and checkpoint do not agree, `note.*`, `checkpoint.*`.
   */
  static async open(dir: string, keys: LogKeys): Promise<LogSigner> {
    const leavesPath = join(dir, 'leaves');
    const checkpointPath = join(dir, 'checkpoint');
    removeUnfinished(checkpointPath);
    const note = existsSync(checkpointPath) ? readFileSync(checkpointPath, 'utf8') : undefined;
    const head = note === undefined ? undefined : openCheckpoint(note, verifiers(keys));
    const created = !existsSync(leavesPath);
    const frontier = created ? new Frontier() : readLeaves(leavesPath, head?.size ?? 0);
    if (head !== undefined && (frontier.size !== head.size || !sameBytes(frontier.root(), head.root))) {
      throw new KeysteadError('keyd.journal-damaged', {
        field: leavesPath,
        seen: `${frontier.size} leaves that are not those of the checkpoint with ${head.size}`,
      });
    }
    const leaves = await open(leavesPath, created ? 'wx+' : 'r+', 0o600);
    if (created) syncDirectory(dirname(leavesPath));
    const signer = new LogSigner(dir, keys, leaves, frontier);
    signer.#note = note;
    signer.#timestamp = head?.timestamp ?? 0;
    return signer;
  }

  get size(): number {
    return this.#frontier.size;
  }

  /** The last checkpoint that was signed. */
  get checkpoint(): string | undefined {
    return this.#note;
  }

  get origin(): string {
    return this.#keys.log.name;
  }

  /** The latest time that a checkpoint says, milliseconds since 1970. */
  get lastTime(): number {
    return this.#timestamp * 1000;
  }

  /**
   * Appends leaf hashes to the tree of `size` and returns the signed note of the new one. Leaves that are held already
   * (an answer was lost) must be the same; when all are, the last note is the answer, whose tree may be larger.
   * @throws KeysteadError `log.size-mismatch` with this log's size and nothing appended, `keyd.journal-failed`, and what
   *   the keystore throws: nothing is appended then either.
   */
  append(size: number, leaves: readonly Uint8Array[], now: Date): Promise<{ checkpoint: string; size: number }> {
    const done = this.#queue.then(() => this.#append(size, leaves, now));
    this.#queue = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#leaves.close();
  }

  async #append(size: number, leaves: readonly Uint8Array[], now: Date): Promise<{ checkpoint: string; size: number }> {
    if (this.#broken) throw new KeysteadError('keyd.journal-failed', { field: 'leaves', remedy: 'restart keyd' });
    const wrong = leaves.find((leaf) => leaf.length !== HASH_BYTES);
    if (wrong !== undefined)
      throw new KeysteadError('request.malformed', { field: 'leaves', seen: `${wrong.length} bytes` });
    const fresh = leaves.slice(await this.#held(size, leaves));
    if (fresh.length === 0 && leaves.length > 0 && this.#note !== undefined) {
      return { checkpoint: this.#note, size: this.size };
    }
    const next = this.#frontier.clone();
    for (const leaf of fresh) next.append(leaf);
    try {
      await this.#write(this.#frontier.size, fresh);
      const timestamp = Math.max(Math.floor(now.getTime() / 1000), this.#timestamp);
      const { log, cosigner } = this.#keys;
      const head = { origin: log.name, size: next.size, root: next.root() };
      const note = await checkpointNote(head, log, cosigner, timestamp);
      // Kept before it is released: after a crash keyd must know what it has signed, or it could sign a fork.
      durableWrite(join(this.#dir, 'checkpoint'), note, 0o600);
      this.#frontier = next;
      this.#note = note;
      this.#timestamp = timestamp;
      return { checkpoint: note, size: next.size };
    } catch (cause) {
      // A full disk, or a token that was pulled out, left the old checkpoint in place, and the next leaves are written
      // over the ones that did not get there. After any other failure it is unsure what is on the disk; a start reads
      // it again.
      const ofTheKeystore = cause instanceof KeysteadError;
      this.#broken = !((isFullDisk(cause) || ofTheKeystore) && this.#holdsItsCheckpoint());
      if (ofTheKeystore && !this.#broken) throw cause;
      throw new KeysteadError('keyd.journal-failed', {
        field: 'leaves',
        remedy: this.#broken ? 'free the disk and restart keyd' : 'free the disk',
        cause,
      });
    }
  }

  /** Whether the checkpoint on the disk is still the last one that was released. */
  #holdsItsCheckpoint(): boolean {
    const path = join(this.#dir, 'checkpoint');
    return (existsSync(path) ? readFileSync(path, 'utf8') : undefined) === this.#note;
  }

  async #write(size: number, leaves: readonly Uint8Array[]): Promise<void> {
    if (leaves.length === 0) return;
    const bytes = Buffer.concat(leaves);
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#leaves.write(bytes, done, bytes.length - done, size * HASH_BYTES + done);
      done += bytesWritten;
    }
    await this.#leaves.datasync();
  }

  /**
   * How many of `leaves` this log holds already: after a crash the publisher goes on from what it had published,
   * which may be less than what was signed. Any other overlap would change what was signed.
   */
  async #held(size: number, leaves: readonly Uint8Array[]): Promise<number> {
    const mismatch = new KeysteadError('log.size-mismatch', {
      field: 'size',
      seen: `${size}, where the log has ${this.size}`,
      remedy: `go on from size ${this.size}`,
    });
    if (size === this.size) return 0;
    if (size > this.size || leaves.length === 0) throw mismatch;
    const count = Math.min(leaves.length, this.size - size);
    const stored = Buffer.alloc(count * HASH_BYTES);
    const { bytesRead } = await this.#leaves.read(stored, 0, stored.length, size * HASH_BYTES);
    if (bytesRead !== stored.length || !sameBytes(stored, Buffer.concat(leaves.slice(0, count)))) throw mismatch;
    return count;
  }
}

const isFullDisk = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && (cause.code === 'ENOSPC' || cause.code === 'EDQUOT');

function verifiers(keys: LogKeys): Parameters<typeof openCheckpoint>[1] {
  return { log: parseVerifierKey(keys.vkey), cosigner: parseVerifierKey(keys.cosignVkey) };
}

/** The tree of the first `size` leaves of the file; what is behind them is cut off. */
function readLeaves(path: string, size: number): Frontier {
  const frontier = new Frontier();
  const file = openSync(path, 'r+');
  try {
    const chunk = Buffer.alloc(LEAVES_READ * HASH_BYTES);
    while (frontier.size < size) {
      const wanted = Math.min(LEAVES_READ, size - frontier.size) * HASH_BYTES;
      const count = readSync(file, chunk, 0, wanted, frontier.size * HASH_BYTES);
      if (count < HASH_BYTES) break;
      for (let at = 0; at + HASH_BYTES <= count; at += HASH_BYTES) {
        frontier.append(Uint8Array.from(chunk.subarray(at, at + HASH_BYTES)));
      }
    }
    if (fstatSync(file).size > frontier.size * HASH_BYTES) {
      ftruncateSync(file, frontier.size * HASH_BYTES);
      fdatasyncSync(file);
    }
  } finally {
    closeSync(file);
  }
  return frontier;
}
