import type { Caller } from '../rest/caller.ts';
import type { ChallengeView, UnitShown } from '../rest/units.ts';
import type { UnitView } from '../rest/views.ts';

/** What became of a unit or a request, in the words of the table (docs/station.md). */
export interface OutcomeView {
  readonly result: 'pass' | 'fail' | 'retry';
  readonly code: number;
  readonly name: string;
  readonly about: 'unit' | 'batch' | 'station' | 'node';
  readonly what: string;
  readonly todo: string;
}

/** How many units, and how they went. */
interface Counts {
  readonly pass: number;
  readonly fail: number;
}

export interface StateView {
  readonly station: string;
  readonly factory: string;
  /** The node's time, ISO 8601, UTC. */
  readonly time: string;
  readonly maxSignOnSeconds: number;
  readonly signedOn: { readonly operator: string; readonly line: string; readonly until: string } | null;
  readonly batches: readonly {
    readonly ticketId: string;
    readonly model: string;
    readonly quota: number;
    readonly left: number;
    readonly notAfter: string;
    readonly from: string;
    readonly to: string;
  }[];
  readonly counts: { readonly hour: Counts; readonly shift: Counts };
}

export interface StationUnitRequest {
  readonly ticketId?: string;
  readonly deviceId: string;
  readonly time: Date;
}

/** What the station API needs of the domain. Each call resolves only when what it did is durable. */
export interface StationDomain {
  state(caller: Caller): Promise<StateView>;
  signOn(caller: Caller, signOn: string, time: Date): Promise<StateView>;
  signOff(caller: Caller): Promise<StateView>;
  openBatch(caller: Caller, ticket: string): Promise<{ ticketId: string; quota: number }>;
  challenge(caller: Caller, unit: StationUnitRequest & { shown: UnitShown }): Promise<ChallengeView>;
  unit(
    caller: Caller,
    unit: StationUnitRequest & {
      csr: Uint8Array;
      attestation?: { challengeId: string; secret: Uint8Array };
      way?: Readonly<Record<string, unknown>>;
    },
  ): Promise<{ readonly outcome: OutcomeView; readonly unit: UnitView }>;
  result(caller: Caller, deviceId: string): Promise<{ readonly outcome: OutcomeView; readonly unit?: UnitView }>;
  /** What an error is to a station. */
  outcomeOf(thrown: unknown): OutcomeView;
  /** A body that never reached the domain: audited. */
  refused(caller: Caller, thrown: unknown): Promise<void>;
}
