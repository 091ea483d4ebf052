import { KeysteadError } from '@keystead/core/errors';
import type { StationResultRow, StationSignOnRow, Tx } from '../../store/index.ts';
import type { ChallengeOrder, UnitChallenge } from '../challenge.ts';
import type { ProvisionedUnit, UnitOrder } from '../unit.ts';
import { batchOf } from './batches.ts';
import { requireStationClock } from './clock.ts';
import type { StationCall, StationDeps } from './deps.ts';
import { outcomeNamed, outcomeOfError } from './outcomes.ts';
import { auditStationRefusal, currentAt } from './shift.ts';

/** A unit as a rig brings it. */
export interface StationUnit {
  readonly deviceId: string;
  /** Where it is left out, the batch is found by the device id. */
  readonly ticketId?: string;
  /** The station's time. */
  readonly time: Date;
}

type Brought = StationUnit & Pick<UnitOrder, 'csr' | 'attestation'>;

/**
 * Provisions a unit that a station brings, under the sign-on of who works there. The same unit again gets its own
 * result, whatever lay between. What became of it is on record with it. REQ-KEY-PROV-01
 * @throws KeysteadError as `provisionUnit`; `station.*`, `sign-on.*`.
 */
export async function unitAtStation(deps: StationDeps, call: StationCall, unit: Brought): Promise<ProvisionedUnit> {
  const { time: _, csr, attestation } = unit;
  return counted(deps, call, unit, 'provision unit', (order, pass) =>
    deps.provisioning.provisionUnit({ ...order, csr, attestation, alongside: pass }),
  );
}

/** The challenge to a unit's TPM, as `challengeUnit` makes it. @throws KeysteadError as there; `station.*`, `sign-on.*`. */
export async function challengeAtStation(
  deps: StationDeps,
  call: StationCall,
  unit: StationUnit & Pick<ChallengeOrder, 'shown'>,
): Promise<UnitChallenge> {
  const { shown } = unit;
  return counted(deps, call, unit, 'challenge unit', (order) => deps.provisioning.challengeUnit({ ...order, shown }));
}

type Named = Omit<UnitOrder, 'csr' | 'attestation' | 'alongside'>;

async function counted<T>(
  deps: StationDeps,
  call: StationCall,
  unit: StationUnit,
  what: string,
  act: (order: Named, pass: (tx: Tx) => void) => Promise<T>,
): Promise<T> {
  let order: (Named & { readonly shift: StationSignOnRow }) | undefined;
  try {
    order = orderOf(deps, call, unit);
  } catch (error) {
    await auditStationRefusal(deps, what, call, error);
    await fail(deps, call, unit, undefined, error);
    throw error;
  }
  const { shift, ...named } = order;
  const now = deps.clock.now().getTime();
  try {
    return await act(named, (tx) =>
      tx.stations.insertResult(rowOf(call, unit, shift, { at: now, passed: 1, code: outcomeNamed('done').code })),
    );
  } catch (error) {
    // What was refused is audited by whoever refused it.
    await fail(deps, call, unit, shift, error);
    throw error;
  }
}

function orderOf(deps: StationDeps, { client, requestId }: StationCall, unit: StationUnit) {
  const { deviceId, time } = unit;
  const now = deps.clock.now();
  requireStationClock(time, now);
  const shift = currentAt(deps, client.id);
  if (shift === undefined) throw new KeysteadError('sign-on.needed', { field: 'station', seen: client.id });
  const { station, operator, line, text } = shift;
  const ticketId = unit.ticketId ?? deps.store.read((records) => batchOf(records, { deviceId, line, station, now }));
  const at = { certificate: client.certificate, signOn: text };
  return { ticketId, deviceId, station, operator, line, requestId, at, shift };
}

/** A fail is counted; what may yet pass is none. A count that cannot be written down takes no answer from anybody. */
async function fail(
  { store, clock }: StationDeps,
  call: StationCall,
  unit: StationUnit,
  shift: StationSignOnRow | undefined,
  error: unknown,
): Promise<void> {
  if (!(error instanceof KeysteadError)) return;
  const { code, result, about } = outcomeOfError(error);
  // Who is not signed on, or has a wrong clock, has not brought a unit yet.
  if (result !== 'fail' || about === 'station') return;
  const row = rowOf(call, unit, shift, { at: clock.now().getTime(), passed: 0, code });
  try {
    await store.commit((tx) => tx.stations.insertResult(row));
  } catch (failure) {
    if (!(failure instanceof KeysteadError)) throw failure;
  }
}

const rowOf = (
  { client, requestId }: StationCall,
  { deviceId }: StationUnit,
  shift: StationSignOnRow | undefined,
  more: Pick<StationResultRow, 'at' | 'passed' | 'code'>,
): StationResultRow => ({
  requestId,
  station: client.id,
  deviceId: deviceId.slice(0, 64).toWellFormed(),
  signOnSha256: shift?.sha256 ?? null,
  ...more,
});
