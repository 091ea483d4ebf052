import type { DerCertificate } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { operatorOf, permits, stationRules } from '@keystead/core/lifecycle';
import type { OperatorClient } from '../../access/index.ts';
import { ownIssuer } from '../../authority/index.ts';
import type { StationCounts, StationSignOnRow } from '../../store/index.ts';
import type { OpenedBatch } from '../batch.ts';
import type { UnitChallenge } from '../challenge.ts';
import type { ProvisionedUnit } from '../unit.ts';
import { type OpenBatch, openBatches } from './batches.ts';
import type { StationCall, StationDeps } from './deps.ts';
import { type Outcome, outcomeNamed, outcomeOf } from './outcomes.ts';
import { auditStationRefusal, currentAt, signOff, signOffBy, signOn } from './shift.ts';
import { challengeAtStation, unitAtStation } from './unit.ts';

const HOUR_MS = 3_600_000;
/** More stations than one node has. */
const MOST_STATIONS = 1000;

/** What the person at a station looks at. */
export interface StationState {
  readonly station: string;
  readonly site: string;
  readonly now: Date;
  readonly maxSignOnSeconds: number;
  /** Undefined where nobody is signed on. */
  readonly shift: StationSignOnRow | undefined;
  /** Open at the line of who is signed on, with the units that are left. */
  readonly batches: readonly (OpenBatch & { readonly left: number })[];
  /** Of the last hour, and since the sign-on. */
  readonly counts: { readonly hour: StationCounts; readonly shift: StationCounts };
}

/** What became of a unit. */
export interface UnitResult {
  readonly outcome: Outcome;
  readonly unit: ProvisionedUnit | undefined;
}

/** The stations at the lines, and who works there. */
export class Stations {
  readonly #deps: StationDeps;

  constructor(deps: StationDeps) {
    this.#deps = deps;
  }

  /** The name of this factory node, or `headquarters`. */
  get site(): string {
    return this.#deps.site;
  }

  /** See {@link signOn}. */
  signOn(call: StationCall, text: string, told: Date): Promise<StationSignOnRow> {
    return signOn(this.#deps, call, text, told);
  }

  /** See {@link signOff}. */
  signOff(call: StationCall): Promise<StationSignOnRow | undefined> {
    return signOff(this.#deps, call);
  }

  /** See {@link signOffBy}. */
  signOffBy(client: OperatorClient, station: string, requestId: string): Promise<StationSignOnRow> {
    return signOffBy(this.#deps, client, station, requestId);
  }

  /** See {@link unitAtStation}. */
  unit(call: StationCall, unit: Parameters<typeof unitAtStation>[2]): Promise<ProvisionedUnit> {
    return unitAtStation(this.#deps, call, unit);
  }

  /** See {@link challengeAtStation}. */
  challenge(call: StationCall, unit: Parameters<typeof challengeAtStation>[2]): Promise<UnitChallenge> {
    return challengeAtStation(this.#deps, call, unit);
  }

  /** Puts on record what was refused before it came here. */
  refused(what: string, call: StationCall, error: unknown): Promise<void> {
    return auditStationRefusal(this.#deps, what, call, error);
  }

  /** Every sign-on that holds, by station. */
  open(): StationSignOnRow[] {
    const { store, clock } = this.#deps;
    return store.read(({ stations }) => stations.signOnsOpen(clock.now().getTime(), MOST_STATIONS));
  }

  /**
   * Opens a batch that somebody brought to the station, by who is signed on there.
   * @throws KeysteadError `sign-on.needed`, `access.forbidden`, `ticket.*`, each audited; `store.*`.
   */
  async openBatch(call: StationCall, ticket: string): Promise<OpenedBatch> {
    const shift = currentAt(this.#deps, call.client.id);
    const roles = shift === undefined ? [] : (operatorOf(this.#deps.policy, shift.operator)?.roles ?? []);
    const error =
      (shift === undefined && new KeysteadError('sign-on.needed', { field: 'station', seen: call.client.id })) ||
      (!permits(roles, 'batch.open') && new KeysteadError('access.forbidden', { field: 'batch.open' }));
    if (shift === undefined || error instanceof KeysteadError) {
      await this.refused('open batch', call, error);
      throw error;
    }
    const actor = { kind: 'operator', id: shift.operator } as const;
    return this.#deps.provisioning.openBatch({ ticket, actor, requestId: call.requestId });
  }

  /** @throws KeysteadError `keyd.unreachable`: how many units are left is keyd's to say. */
  async state({ client }: StationCall): Promise<StationState> {
    const { store, clock, policy, keyd, site } = this.#deps;
    const station = client.id;
    const now = clock.now();
    const shift = currentAt(this.#deps, station);
    const used = new Map((await keyd.status()).tickets.map(({ id, units }) => [id, units]));
    return store.read((records) => ({
      station,
      site,
      now,
      maxSignOnSeconds: stationRules(policy).maxSignOnSeconds,
      shift,
      batches:
        shift === undefined
          ? []
          : openBatches(records, { line: shift.line, station, now }).map((batch) => ({
              ...batch,
              left: Math.max(0, batch.quota - (used.get(batch.ticketId) ?? 0)),
            })),
      counts: {
        hour: records.stations.counts(station, now.getTime() - HOUR_MS),
        shift: shift === undefined ? { pass: 0, fail: 0 } : records.stations.counts(station, shift.signedOnAt),
      },
    }));
  }

  /**
   * What became of a unit, at whichever station: its certificate and record, or why it has none.
   * @throws KeysteadError `station.unit-unknown`.
   */
  result(deviceId: string): UnitResult {
    return this.#deps.store.read((records) => {
      const record = records.provisioningRecord(deviceId);
      const idevid = record === undefined ? undefined : records.certificate(record.issuer, record.serial);
      if (record !== undefined && idevid !== undefined) {
        const { serial, notBefore, notAfter } = idevid;
        const unit: ProvisionedUnit = {
          certificate: idevid.der as DerCertificate,
          issuer: ownIssuer(record),
          serial,
          notBefore: new Date(notBefore),
          notAfter: new Date(notAfter),
          record: record.record,
          signature: record.signature,
          auditSeq: record.auditSeq,
          repeated: true,
        };
        return { outcome: outcomeNamed('done-before'), unit };
      }
      const last = records.stations.lastResult(deviceId);
      if (last !== undefined) return { outcome: outcomeOf(last.code), unit: undefined };
      throw new KeysteadError('station.unit-unknown', { field: 'deviceId', seen: deviceId });
    });
  }
}
