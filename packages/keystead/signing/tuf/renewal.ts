import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { isHalfFresh } from '@keystead/core/firmware';
import type { TufRepositoryRule } from '@keystead/core/lifecycle';
import type { Logger } from 'pino';
import { GrowingWait } from './growing-wait.ts';
import type { OnlineRoles } from './online-roles.ts';
import { publish, type Versions } from './publish.ts';
import { TufRepository } from './repository.ts';

/** What people sign takes people: it is told so long before it ends. */
const PEOPLE_MS = 14 * 86_400_000;

export interface RenewalDeps {
  /** As the policy names it. */
  readonly repository: string;
  readonly directory: string;
  /** What the policy in force says of it. @throws KeysteadError `tuf.not-in-policy`. */
  readonly rule: () => Pick<TufRepositoryRule, 'timestampSeconds'>;
  readonly online: OnlineRoles;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'error' | 'warn' | 'info'>;
  /** Once for each time that a repository is not renewed in time: for the audit log. */
  readonly late: (state: RenewalState) => Promise<unknown>;
}

/** How a repository stands that is renewed. */
export interface RenewalState {
  readonly repository: string;
  /** When clients refuse the timestamp that is published, ISO 8601; null before the first publication. */
  readonly until: string | null;
  /** More than half of the time in which it was to be renewed is over. */
  readonly late: boolean;
  /** What failed last; null where nothing did since it went well. */
  readonly fault: string | null;
}

/**
 * Keeps one repository fresh: as soon as half of the time of its timestamp is over, keyd signs another, and it is put in
 * place like every publication. Nothing is remembered: what is due stands in the repository and in the policy, so that a
 * kill, a publication by somebody else and another policy are all seen at the next look. REQ-KEY-SOD-02
 */
export class Renewal {
  readonly #deps: RenewalDeps;
  readonly #files: TufRepository;
  readonly #again = new GrowingWait();
  #notBefore = 0;
  #state: RenewalState;
  #ticking: Promise<void> | undefined;

  constructor(deps: RenewalDeps) {
    this.#deps = deps;
    this.#files = new TufRepository(deps.directory);
    this.#state = { repository: deps.repository, until: null, late: false, fault: null };
  }

  state(): RenewalState {
    return this.#state;
  }

  /** Looks, and renews what is due. What fails is told, and tried again after a wait that grows. @throws never. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    });
    return this.#ticking;
  }

  /** Resolves when nothing is being published any more. */
  async settled(): Promise<void> {
    await this.#ticking;
  }

  async #tick(): Promise<void> {
    const now = this.#deps.clock.now();
    // A clock that was set back must not make a wait of minutes one of days.
    if (now.getTime() < this.#notBefore && this.#notBefore - now.getTime() <= GrowingWait.MOST_MS) return;
    let asked = false;
    let fault: string | null = null;
    try {
      const due = this.#due(now);
      asked = due !== undefined;
      if (due !== undefined) await this.#renew(due, now);
      this.#again.reset();
      this.#notBefore = 0;
    } catch (error) {
      // Whatever it is, it must not end what keeps clients updating.
      fault = error instanceof Error ? error.message : String(error);
      const told = fault === this.#state.fault;
      // Where nobody was asked for anything, since there is no repository yet, the next look costs nothing.
      if (asked) this.#notBefore = now.getTime() + this.#again.next(this.#good());
      const facts = { err: error, repository: this.#deps.repository, until: this.#until() };
      if (asked || !told) this.#deps.log.error(facts, 'an update repository was not renewed');
    }
    await this.#judge(now, fault);
  }

  /** The version of the timestamp that is to be followed by another; undefined while there is none, or it is fresh. */
  #due(now: Date): number | undefined {
    const { timestampSeconds } = this.#deps.rule();
    const before = this.#timestamp();
    return before === undefined || isHalfFresh(before, timestampSeconds, now) ? undefined : before.version;
  }

  /** @throws KeysteadError as `publish` does, and `tuf.not-renewed`. */
  async #renew(before: number, now: Date): Promise<void> {
    const { online, repository } = this.#deps;
    const versions = await publish(this.#files, { online, now });
    this.#tell(versions, now);
    if (versions.timestamp !== before) return;
    throw new KeysteadError('tuf.not-renewed', { field: repository, seen: `timestamp ${before} again` });
  }

  #tell(versions: Versions, now: Date): void {
    const { log, repository } = this.#deps;
    log.info({ repository, ...versions }, 'an update repository was renewed');
    if (Date.parse(versions.peopleUntil) - now.getTime() < PEOPLE_MS) {
      log.warn(
        { repository, until: versions.peopleUntil },
        'the root or the targets of an update repository end soon: people must sign others',
      );
    }
  }

  async #judge(now: Date, fault: string | null): Promise<void> {
    const until = this.#until();
    const late = until !== null && fault !== null && this.#isLate(until, now);
    const before = this.#state;
    this.#state = { repository: this.#deps.repository, until, late, fault };
    if (!late || before.late) return;
    try {
      await this.#deps.late(this.#state);
    } catch (error) {
      // It is late still at the next look, and told then.
      this.#state = { ...this.#state, late: false };
      this.#deps.log.error({ err: error, repository: this.#deps.repository }, 'that it is late could not be audited');
    }
  }

  /** Whether it ought to have been renewed long ago: less than a quarter of its time is left. */
  #isLate(until: string, now: Date): boolean {
    const left = Date.parse(until) - now.getTime();
    const good = this.#good();
    return good === undefined ? left <= 0 : left * 4 < good;
  }

  /** How long a timestamp is good for, milliseconds; undefined where the policy says nothing of the repository any more. */
  #good(): number | undefined {
    try {
      return this.#deps.rule().timestampSeconds * 1000;
    } catch {
      return undefined;
    }
  }

  #until(): string | null {
    try {
      return this.#timestamp()?.expires ?? null;
    } catch {
      return this.#state.until;
    }
  }

  #timestamp() {
    this.#files.root();
    return this.#files.timestamp()?.signed;
  }
}
