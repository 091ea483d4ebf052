import { type RotationDeps, SYSTEM } from './deps.ts';
import { type CampaignSteps, knownRow } from './steps.ts';
import { reasonToPause, watchUptake } from './uptake-watch.ts';

/** Looks at the campaigns that are under way, and pauses what fails. */
export class CampaignWatch {
  readonly #deps: RotationDeps;
  readonly #steps: CampaignSteps;
  readonly #inTurn: (act: () => Promise<void>) => Promise<void>;
  /** The look at the uptake that is under way: over a large fleet it takes longer than from one tick to the next. */
  #ticking: Promise<void> | undefined;

  /** @param inTurn runs what reads the whole fleet, one after another. */
  constructor(deps: RotationDeps, steps: CampaignSteps, inTurn: (act: () => Promise<void>) => Promise<void>) {
    this.#deps = deps;
    this.#steps = steps;
    this.#inTurn = inTurn;
  }

  /** Counts the uptake of what is open, and pauses what fails. While it is at that, another call waits for the same. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    });
    return this.#ticking;
  }

  async #tick(): Promise<void> {
    const open = this.#deps.store.read((records) => records.rotation.open());
    const failed: unknown[] = [];
    for (const { id } of open) {
      // Of one that cannot be looked at the others must not go on unwatched.
      await this.#inTurn(() => this.look(id)).catch((error: unknown) => failed.push(error));
    }
    if (failed.length > 0) throw failed[0];
  }

  /** Looks at the campaign as it is when its turn has come: somebody may have paused or ended it while this waited. */
  async look(id: string): Promise<void> {
    const row = this.#deps.store.read((records) => knownRow(records, id));
    if (row.endedAt !== null || row.state === 'planned' || row.state === 'paused') return;
    await watchUptake(this.#deps, row);
    await this.pauseOnFailures(row.id);
  }

  /** Pauses a campaign in which too many devices have failed. */
  async pauseOnFailures(id: string): Promise<void> {
    await this.#deps.store.commit((tx) => {
      const row = knownRow(tx, id);
      if (row.state !== 'switched') return;
      const reason = reasonToPause(tx, row);
      if (reason !== undefined) this.#steps.step(tx, row, 'pause', SYSTEM, { reason }, { pauseReason: reason });
    });
  }
}
