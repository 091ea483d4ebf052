import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { durableWrite, removeUnfinished, syncDirectory } from '../../files/durable.ts';

const NAME = /^(\d{10})\.json$/;
const EntrySchema = z.strictObject({
  v: z.literal(1),
  deviceId: z.string().min(1).max(64),
  /** PEM, once the rig has given it: after a power cut it is this request that is sent again. */
  csr: z.string().max(65_536).optional(),
});

/** A unit that was scanned and is not done with. */
export interface QueuedUnit {
  readonly number: number;
  readonly deviceId: string;
  readonly csr?: string;
}

/**
 * The units in hand, a file each, in the order in which they were scanned. What has been put in is there after a power
 * cut; what has been taken out does not come again.
 */
export class UnitQueue {
  readonly #dir: string;
  #next: number;

  /** @throws KeysteadError `station.queue` for a file that this program did not write. */
  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(dir)) {
      const [, unfinished] = /^\.(\d{10}\.json)\.[0-9a-f]{16}\.tmp$/.exec(name) ?? [];
      if (unfinished !== undefined) removeUnfinished(join(dir, unfinished));
    }
    this.#next = Math.max(0, ...this.units().map(({ number }) => number)) + 1;
  }

  /** All of them, the oldest first. @throws KeysteadError `station.queue`. */
  units(): QueuedUnit[] {
    return readdirSync(this.#dir)
      .flatMap((name) => NAME.exec(name)?.[1] ?? [])
      .sort()
      .map((digits) => this.#read(Number(digits)));
  }

  /** Durable when it returns. @throws Error of node:fs. */
  add(deviceId: string, csr?: string): QueuedUnit {
    const unit = { number: this.#next, deviceId, csr };
    this.#next += 1;
    this.#write(unit);
    return unit;
  }

  /** Keeps the request of a unit. @throws Error of node:fs. */
  keep(unit: QueuedUnit, csr: string): QueuedUnit {
    const kept = { ...unit, csr };
    this.#write(kept);
    return kept;
  }

  /** @throws Error of node:fs. */
  done({ number }: QueuedUnit): void {
    rmSync(this.#path(number), { force: true });
    syncDirectory(this.#dir);
  }

  #write({ number, deviceId, csr }: QueuedUnit): void {
    durableWrite(this.#path(number), `${JSON.stringify({ v: 1, deviceId, csr })}\n`, 0o600);
  }

  #read(number: number): QueuedUnit {
    const path = this.#path(number);
    try {
      const { deviceId, csr } = EntrySchema.parse(JSON.parse(readFileSync(path, 'utf8')));
      return { number, deviceId, csr };
    } catch (cause) {
      const seen = existsSync(path) ? 'something else' : 'a file that has gone';
      throw new KeysteadError('station.queue', { field: path, seen, cause });
    }
  }

  #path = (number: number): string => join(this.#dir, `${String(number).padStart(10, '0')}.json`);
}
