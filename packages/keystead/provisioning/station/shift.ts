import { KeysteadError } from '@keystead/core/errors';
import { parseSignOn, requireSignOnPlace, requireSignOnTime, verifySignOn } from '@keystead/core/lifecycle';
import type { OperatorClient } from '../../access/index.ts';
import type { AuditEvent } from '../../audit/index.ts';
import type { StationSignOnRow, Tx } from '../../store/index.ts';
import { requireStationClock } from './clock.ts';
import type { StationCall, StationDeps } from './deps.ts';

/**
 * An operator signs on at a station. Whoever was signed on there before is relieved. The same statement again, for its
 * answer was lost, changes nothing. keyd verifies the statement anew for each unit. REQ-KEY-PROV-01
 * @param told the station's time.
 * @throws KeysteadError `sign-on.*`, `station.clock-wrong` (audited); `store.*`, `keyd.unreachable`.
 */
export async function signOn(
  deps: StationDeps,
  call: StationCall,
  text: string,
  told: Date,
): Promise<StationSignOnRow> {
  const { client, requestId } = call;
  try {
    const now = deps.clock.now();
    requireStationClock(told, now);
    const { content, signer, sha256 } = verifySignOn(text, deps.policy);
    requireSignOnPlace(content, { factory: deps.site, station: client.id });
    requireSignOnTime(content, now);
    const { known, before } = deps.store.read(({ stations }) => ({
      known: stations.signOn(sha256),
      before: stations.signOnAt(client.id, now.getTime()),
    }));
    if (known !== undefined) {
      if (known.endedAt === null) return known;
      throw new KeysteadError('sign-on.ended', { field: 'signOn', seen: new Date(known.endedAt).toISOString() });
    }
    if (before !== undefined) await end(deps, before, { kind: 'operator', id: signer }, requestId);
    const row: StationSignOnRow = {
      sha256,
      station: client.id,
      operator: signer,
      line: content.line,
      text,
      notBefore: Date.parse(content.notBefore),
      notAfter: Date.parse(content.notAfter),
      signedOnAt: now.getTime(),
      endedAt: null,
      endedBy: null,
    };
    return await deps.store.commit((tx) => begin(tx, deps, row, call));
  } catch (error) {
    await auditStationRefusal(deps, 'sign on', call, error);
    throw error;
  }
}

function begin(tx: Tx, { audit }: StationDeps, row: StationSignOnRow, { client, requestId }: StationCall) {
  // The same statement twice at the same moment.
  const known = tx.stations.signOn(row.sha256);
  if (known !== undefined) return known;
  tx.stations.insertSignOn(row);
  audit(tx, {
    type: 'station.signed-on',
    actor: { kind: 'operator', id: row.operator },
    requestId,
    outcome: 'done',
    subject: { station: row.station, line: row.line },
    // The statement itself: a record names it by its hash, and an auditor verifies who signed it.
    detail: { sha256: row.sha256, signOn: row.text, station: client.serial },
  });
  return row;
}

/**
 * Signs off whoever is signed on at the station, which brings no unit under this sign-on any more. Nobody there is no
 * error: it is what was asked for.
 * @throws KeysteadError of keyd or the store: then the sign-on may hold still.
 */
export async function signOff(
  deps: StationDeps,
  { client, requestId }: StationCall,
): Promise<StationSignOnRow | undefined> {
  const current = currentAt(deps, client.id);
  if (current === undefined) return undefined;
  return end(deps, current, { kind: 'operator', id: current.operator }, requestId);
}

/**
 * The same by somebody else, who may.
 * @throws KeysteadError `sign-on.needed` where nobody is signed on; of keyd or the store.
 */
export async function signOffBy(
  deps: StationDeps,
  client: OperatorClient,
  station: string,
  requestId: string,
): Promise<StationSignOnRow> {
  const current = currentAt(deps, station);
  if (current === undefined) throw new KeysteadError('sign-on.needed', { field: 'station', seen: station });
  return end(deps, current, { kind: 'operator', id: client.id }, requestId);
}

/** keyd first: once anybody hears that it is over, no unit comes under it. */
async function end(
  deps: StationDeps,
  current: StationSignOnRow,
  actor: AuditEvent['actor'],
  requestId: string,
): Promise<StationSignOnRow> {
  const at = await endInKeyd(deps, current, actor.id, requestId);
  const ended = { ...current, endedAt: at.getTime(), endedBy: actor.id };
  await deps.store.commit((tx) => {
    const before = tx.stations.signOn(current.sha256);
    if (before?.endedAt !== null) return;
    tx.stations.endSignOn(current.sha256, at.getTime(), actor.id);
    deps.audit(tx, {
      type: 'station.signed-off',
      actor,
      requestId,
      outcome: 'done',
      subject: { station: current.station, line: current.line },
      detail: { sha256: current.sha256, operator: current.operator },
    });
  });
  return ended;
}

/**
 * When it was over for keyd. One that keyd does not accept any more brings no unit there and is over now: else somebody
 * whom the policy has dismissed would keep their successor from the station.
 */
async function endInKeyd(
  { keyd, clock }: StationDeps,
  { text }: StationSignOnRow,
  by: string,
  requestId: string,
): Promise<Date> {
  try {
    return (await keyd.signOff({ signOn: text, by, requestId })).at;
  } catch (error) {
    if (error instanceof KeysteadError && ACCEPTED_NO_MORE.has(error.code)) return clock.now();
    throw error;
  }
}

/** By another policy than that of the sign-on: dismissed, in another role, with another key, or for a shorter time. */
const ACCEPTED_NO_MORE: ReadonlySet<string> = new Set([
  'sign-on.signer-unknown',
  'sign-on.signer-forbidden',
  'sign-on.signature-invalid',
  'sign-on.too-long',
]);

/** Who is signed on at a station now. */
export function currentAt({ store, clock }: StationDeps, station: string): StationSignOnRow | undefined {
  const now = clock.now();
  const row = store.read(({ stations }) => stations.signOnAt(station, now.getTime()));
  return row === undefined || Date.parse(parseSignOn(row.text).content.notAfter) <= now.getTime() ? undefined : row;
}

/** Puts on record what was refused to a station; what may pass is no refusal. */
export async function auditStationRefusal(
  { refusals }: StationDeps,
  what: string,
  { client, requestId }: StationCall,
  error: unknown,
): Promise<void> {
  if (!(error instanceof KeysteadError) || error.kind === 'unavailable') return;
  await refusals.refused({ what, error, actor: { kind: 'station', id: client.id }, requestId });
}
