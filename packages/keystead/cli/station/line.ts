import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fromBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { durableWrite } from '../../files/durable.ts';
import type { StateView } from '../../protocols/station/index.ts';
import { type NodeLink, outcomeView, type UnitAnswer } from './link.ts';
import type { QueuedUnit, UnitQueue } from './queue.ts';
import { installByRig, type RigCommand, requestByRig } from './rig.ts';
import type { Screen, UnitTold } from './screen.ts';

export interface LineOptions {
  readonly link: NodeLink;
  readonly queue: UnitQueue;
  readonly screen: Screen;
  /** Makes the requests of units that come without one. */
  readonly rig?: RigCommand;
  readonly install?: RigCommand;
  readonly ticketId?: string;
  /** Where certificate, chain, record and signature of each unit go. */
  readonly out: string;
  /** The first wait for a node that is away, and the longest, milliseconds. */
  readonly retryMs: number;
  readonly longestRetryMs: number;
  readonly now: () => number;
  /** Aborted when the program is to stop: the unit in hand stays in the queue. */
  readonly signal: AbortSignal;
}

/** How the program ended. */
export type LineEnd = 'passed' | 'failed' | 'stopped' | 'station refused';

/**
 * Works off the queue: request, certificate, installation, result, for one unit after the other. Nothing but a pass or a
 * fail of the unit itself takes one out of the queue, so that what a power cut, a node that is away or a sign-on that is
 * over has left is finished by the next start. REQ-KEY-PROV-01
 */
export class Line {
  readonly #options: LineOptions;
  #failed = 0;

  constructor(options: LineOptions) {
    this.#options = options;
    mkdirSync(options.out, { recursive: true });
  }

  /** Everything that is in the queue. Returns false when the program is to end, with the rest still in it. */
  async workOff(): Promise<LineEnd> {
    for (const unit of this.#options.queue.units()) {
      const end = await this.#unit(unit);
      if (end === 'stopped' || end === 'station refused') return end;
    }
    return this.#failed === 0 ? 'passed' : 'failed';
  }

  async #unit(queued: QueuedUnit): Promise<LineEnd> {
    const { queue, screen, now, signal } = this.#options;
    const began = now();
    screen.working(queued.deviceId);
    const answer = await this.#answer(queued);
    if (answer === undefined) return 'stopped';
    const told = await this.#deliver(queued.deviceId, answer);
    if (signal.aborted && told.outcome.name === 'install-failed') return 'stopped';
    const stays = told.outcome.about === 'station';
    if (!stays) queue.done(queued);
    if (told.outcome.result !== 'pass') this.#failed += 1;
    screen.result({ ...told, seconds: (now() - began) / 1000 }, await this.#state());
    if (stays) return 'station refused';
    return told.outcome.result === 'pass' ? 'passed' : 'failed';
  }

  /** The node's answer, however long it takes; undefined when the program is to stop before. */
  async #answer(queued: QueuedUnit): Promise<UnitAnswer | undefined> {
    const { link, queue, rig, screen, ticketId, retryMs, longestRetryMs, signal } = this.#options;
    let { csr } = queued;
    if (csr === undefined) {
      try {
        if (rig === undefined) throw new KeysteadError('station.rig-failed', { field: 'rig', seen: 'no --rig is set' });
        csr = await requestByRig(rig, queued.deviceId, signal);
      } catch (error) {
        if (signal.aborted) return undefined;
        if (!(error instanceof KeysteadError)) throw error;
        return { outcome: outcomeView(error), detail: error.seen };
      }
      // Before it is sent: after a power cut the very same request gets the very same answer.
      queue.keep(queued, csr);
    }
    let shown = -1;
    for (let wait = retryMs; ; wait = Math.min(wait * 2, longestRetryMs)) {
      const answer = await link.unit({ deviceId: queued.deviceId, csr, ticketId });
      if (answer.outcome.result !== 'retry') return answer;
      if (answer.outcome.code !== shown) screen.waiting({ deviceId: queued.deviceId, ...answer });
      shown = answer.outcome.code;
      try {
        await pause(wait, undefined, { signal });
      } catch {
        return undefined;
      }
    }
  }

  /** Puts what the unit got where it belongs. */
  async #deliver(deviceId: string, answer: UnitAnswer): Promise<UnitTold> {
    const { outcome, detail, requestId, serial, certificate, chain = '', record, signature } = answer;
    const told = { deviceId, outcome, detail, requestId, serial };
    if (outcome.result !== 'pass' || certificate === undefined) return told;
    const { out, install, signal } = this.#options;
    const path = join(out, `${deviceId}.pem`);
    durableWrite(path, `${certificate}${chain}`, 0o644);
    if (record !== undefined && signature !== undefined) {
      durableWrite(join(out, `${deviceId}.yaml`), record, 0o644);
      durableWrite(join(out, `${deviceId}.yaml.sig`), fromBase64(signature), 0o644);
    }
    if (install === undefined) return { ...told, certificate: path };
    try {
      await installByRig(install, { deviceId, pem: `${certificate}${chain}`, out }, signal);
      return { ...told, certificate: path };
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      return { ...told, outcome: outcomeView(error), detail: error.seen, certificate: path };
    }
  }

  /** The counts for the screen; a node that does not tell them is no reason to stop. */
  async #state(): Promise<StateView | undefined> {
    try {
      return await this.#options.link.state();
    } catch (error) {
      if (error instanceof KeysteadError) return undefined;
      throw error;
    }
  }
}
