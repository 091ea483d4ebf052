import { sameBytes } from '@keystead/core/bytes';
import { type CheckpointKeys, leafHash, TILE_WIDTH, tilePath, tileWidth } from '@keystead/core/log';
import type { AuditReader } from '../append.ts';
import { type ForkProof, forkProof } from '../fork.ts';
import type { FileReader } from '../log-reader.ts';
import type { LeavesFile } from './bounded-files.ts';
import { classify } from './classify.ts';
import { DatabaseCheck } from './database-check.ts';
import { EntryCheck } from './entry-check.ts';
import { EntrySources } from './entry-sources.ts';
import type { Finding, Findings } from './faults.ts';
import { EntryTrack, LeafTrack } from './leaf-track.ts';
import { type Milestone, type Milestones, textOf } from './milestones.ts';
import { UpperTiles } from './upper-tiles.ts';

export interface WalkOptions {
  readonly read: FileReader;
  readonly keys: CheckpointKeys;
  readonly leaves: LeavesFile | undefined;
  readonly milestones: Milestones;
  readonly findings: Findings;
  /** How far the head goes. */
  readonly size: number;
  readonly toleranceMs: number;
  readonly stored?: AuditReader;
  readonly onProgress?: (done: { readonly entries: number; readonly size: number }) => void;
}

/** The first signed checkpoint that the entries do not lead to. */
interface Broken {
  readonly milestone: Milestone;
  /** The root that they do lead to; undefined when an entry is missing. */
  readonly root: Uint8Array | undefined;
  /** The size up to which the entries are those that were signed. */
  readonly from: number;
  /** The first entry that differs from a file whose leaves do lead to the checkpoint. */
  readonly exact: { readonly index: number; readonly by: 'keyd' | 'tiles' } | undefined;
}

/** What entries say against themselves is listed no further than this. */
const SUSPECTS = 10;

/**
 * One pass over the entries from the first to the last. Three sources say what the leaves are: the entries themselves,
 * the tiles, keyd. At each signed checkpoint it shows which of them is right. REQ-KEY-AUD-01
 */
export class Walk {
  readonly #options: WalkOptions;
  readonly #sources: EntrySources;
  readonly #entries = new EntryTrack();
  readonly #tiles = new LeafTrack();
  readonly #keyd = new LeafTrack();
  readonly #check: EntryCheck;
  readonly #upper: UpperTiles;
  /** What entries say against themselves, held back until it is known whether they are what was signed. */
  readonly #suspects: Finding[] = [];
  readonly #badTiles = new Set<string>();
  #good = 0;
  #broken: Broken | undefined;
  #forked: readonly Milestone[] = [];
  #lastMilestone: Milestone | undefined;
  readonly database: DatabaseCheck | undefined;
  checked = 0;
  fork: ForkProof | undefined;
  /** The largest checkpoint that was met, also beyond the head. */
  largest: Milestone | undefined;

  constructor(options: WalkOptions) {
    this.#options = options;
    this.#sources = new EntrySources(options.read, options.size, options.leaves);
    this.#check = new EntryCheck(options.toleranceMs);
    this.#upper = new UpperTiles(options.read, options.findings);
    this.database = options.stored && new DatabaseCheck(options.stored);
  }

  get firstTime(): string | undefined {
    return this.#check.first;
  }

  get lastTime(): string | undefined {
    return this.#check.last;
  }

  async run(): Promise<void> {
    const { size, milestones, onProgress } = this.#options;
    await this.#judge(0);
    for (let tile = 0; tile * TILE_WIDTH < size; tile++) {
      await this.#tile(tile);
      onProgress?.({ entries: Math.min(size, (tile + 1) * TILE_WIDTH), size });
    }
    if (this.#broken === undefined) await this.#upper.end();
    for (let next = await milestones.next(); next !== undefined; next = await milestones.next()) this.#meet(next);
    await this.database?.beyond(size);
    await this.#conclude();
  }

  async #tile(tile: number): Promise<void> {
    const { size, findings, milestones } = this.#options;
    const from = tile * TILE_WIDTH;
    const width = tileWidth(0, tile, size);
    const entries = await this.#sources.entries(tile, findings);
    const hashes = entries.map(leafHash);
    const tiles = await this.#sources.tile(tile);
    const held = await this.#sources.keyd(tile);
    await this.database?.compare(
      from,
      Array.from({ length: width }, (_, i) => hashes[i]),
    );
    for (let i = 0; i < width; i++) {
      const [index, entry, hash] = [from + i, entries[i], hashes[i]];
      const cover = await milestones.peek();
      const suspect = entry === undefined ? undefined : this.#check.check(index, entry, cover);
      if (suspect !== undefined && this.#suspects.length < SUSPECTS) this.#suspects.push(suspect);
      this.#tiles.append(index, tiles?.[i], hash, this.#entries);
      if (held !== undefined) this.#keyd.append(index, held[i], hash, this.#entries);
      this.#entries.append(index, hash);
      if (hash !== undefined) this.checked++;
      if (cover?.size === index + 1) await this.#judge(index + 1);
    }
    if (width === TILE_WIDTH && this.#broken === undefined && hashes.length === width) await this.#upper.push(hashes);
    if (held !== undefined && held.length < width && findings.count('keyd-leaves-altered') === 0) {
      findings.add('keyd-leaves-altered', `it ends at ${from + held.length}, where ${size} were signed`);
    }
  }

  /** Measures every source against the checkpoints of this size. */
  async #judge(size: number): Promise<void> {
    const { milestones } = this.#options;
    for (let next = await milestones.peek(); next?.size === size; next = await milestones.peek()) {
      await milestones.next();
      const last = this.#lastMilestone;
      this.#meet(next);
      if (last?.size === size && !sameBytes(last.root, next.root)) await this.#convict(last, next, last.root);
      const root = this.#entries.root();
      if (root !== undefined && sameBytes(root, next.root)) await this.#agreed(next);
      else this.#broken ??= { milestone: next, root, from: this.#good, exact: this.#exact(next) };
    }
  }

  #meet(milestone: Milestone): void {
    this.#lastMilestone = milestone;
    if (milestone.size > (this.largest?.size ?? -1)) this.largest = milestone;
  }

  async #agreed(milestone: Milestone): Promise<void> {
    const broken = this.#broken;
    if (broken?.root !== undefined) {
      // Both are signed, and the entries lead to the later one only.
      await this.#convict(broken.milestone, milestone, broken.root);
      return;
    }
    const { findings } = this.#options;
    const { differsAt, silent } = this.#tiles;
    const path = tilePath(0, Math.floor((differsAt ?? 0) / TILE_WIDTH));
    if (differsAt !== undefined && !this.#badTiles.has(path)) {
      this.#badTiles.add(path);
      findings.add(silent ? 'tile-missing' : 'tile-altered', `${path}, hash of entry ${differsAt}`);
    }
    if (this.#keyd.differsAt !== undefined && !this.#keyd.silent) {
      findings.add('keyd-leaves-altered', `leaf ${this.#keyd.differsAt}`);
    }
    this.#tiles.agree();
    this.#keyd.agree();
    this.#good = milestone.size;
    this.#check.passed(milestone);
  }

  #exact({ root }: Milestone): Broken['exact'] {
    for (const [by, track] of [
      ['keyd', this.#keyd],
      ['tiles', this.#tiles],
    ] as const) {
      const index = track.differsAt;
      const own = track.root(this.#entries);
      if (index !== undefined && own !== undefined && sameBytes(own, root)) return { index, by };
    }
    return undefined;
  }

  async #convict(older: Milestone, newer: Milestone, prefixRoot: Uint8Array): Promise<void> {
    if (this.#forked.length > 0) return;
    this.#forked = [older, newer];
    const { findings, keys } = this.#options;
    const detail = `${older.source} (${older.size} entries) and ${newer.source} (${newer.size} entries) do not agree`;
    try {
      this.fork = await forkProof(older, newer, prefixRoot, this.#sources.hashes(), keys);
      findings.add('fork', `${detail}, and ${keys.log.name} signed both`);
    } catch (error) {
      findings.add('fork', `${detail}; the proof could not be made: ${textOf(error)}`);
    }
  }

  async #conclude(): Promise<void> {
    const { findings } = this.#options;
    const broken = this.#broken;
    const bad = broken && !this.#forked.includes(broken.milestone) ? await this.#firstBad(broken) : undefined;
    // Entries behind one that was dropped or inserted contradict their places; that says nothing new.
    const until = bad?.index ?? Number.POSITIVE_INFINITY;
    for (const { fault, detail, index = 0 } of this.#suspects) {
      if (index < until) findings.add(fault, detail, { index });
    }
    if (bad !== undefined) findings.add(bad.fault, bad.detail, bad);
    this.database?.conclude(until, findings);
  }

  async #firstBad({ milestone, from, exact }: Broken): Promise<Finding> {
    const to = `${milestone.source} of ${milestone.size} entries`;
    if (exact !== undefined) {
      const by = `${exact.by === 'keyd' ? "keyd's leaves" : 'the tiles'}, which lead to ${to}`;
      const now = this.#sources.leaves('entries');
      const found = await classify(exact.index, now, this.#sources.leaves(exact.by), by);
      const own = this.#suspects.find(({ index }) => index === exact.index);
      return own === undefined ? found : { ...found, detail: `${found.detail}; ${own.detail}` };
    }
    const last = milestone.size - 1;
    const missing = this.#entries.missingAt;
    if (missing !== undefined && missing <= last) {
      return { fault: 'entry-missing', index: missing, detail: 'its bundle is missing, cut or unreadable' };
    }
    const why = `entries ${from} to ${last} do not lead to ${to}`;
    const suspect = this.#suspects.find(({ index = -1 }) => index >= from && index <= last);
    if (suspect !== undefined) return { ...suspect, detail: `${suspect.detail}; ${why}` };
    return { fault: 'log-rewritten', index: from, upTo: from === last ? undefined : last, detail: why };
  }
}
