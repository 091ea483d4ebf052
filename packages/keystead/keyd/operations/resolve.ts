import { KeysteadError } from '@keystead/core/errors';
import { HEADQUARTERS, parseResolution, type Resolution, verifyResolution } from '@keystead/core/lifecycle';
import type { FleetUnit, ResolvedJournalEntry } from '../consigned/index.ts';
import type { KeydContext } from '../context.ts';
import { endedCertificates } from '../ended-certificates.ts';
import type { Params, Result } from '../protocol.ts';
import { listRevocations } from './sign-crl.ts';

/**
 * Carries out what operators decided about a unit in quarantine, or about a second history of a factory. keyd verifies
 * that a quorum signed it, and puts every certificate of what is ended on its list itself; the same resolution again has
 * the answer of the first time and no further effect.
 * REQ-KEY-PROV-03, REQ-KEY-SOD-02
 * @throws KeysteadError `resolution.*`, `clock.went-back`, `keyd.journal-failed`; nothing is resolved then.
 */
export async function resolve(keyd: KeydContext, params: Params<'resolve'>): Promise<Result<'resolve'>> {
  const now = keyd.now();
  const { consigned } = keyd.state.factories;
  const before = consigned.resolutions.get(parseResolution(params.resolution).sha256);
  if (before !== undefined) {
    // keyd may have been stopped before the list was durable.
    await listEnded(keyd, before, now);
    return tell(keyd, before, true);
  }
  const { content, signatures, sha256 } = verifyResolution(params.resolution, keyd.policy, now);
  const entry = {
    time: now.toISOString(),
    kind: 'resolved' as const,
    resolution: content.id,
    sha256,
    by: signatures.map(({ signer }) => signer).join(', '),
    factory: content.factory,
    decision: decide(keyd, content),
    requestId: params.requestId,
  };
  await keyd.journal.append(entry);
  consigned.replay({ n: 1, ...entry });
  await listEnded(keyd, entry, now);
  return tell(keyd, { n: 1, ...entry }, false);
}

/** Puts what was ended on the lists of its issuers, whatever the front end revokes. */
async function listEnded(
  keyd: KeydContext,
  entry: Parameters<typeof endedCertificates>[1],
  revokedAt: Date,
): Promise<void> {
  for (const [issuer, serials] of await endedCertificates(keyd, entry)) {
    const entries = serials
      .filter((serial) => !keyd.state.isRevoked(issuer, serial))
      .map((serial) => ({ serial, revokedAt, reason: 'superseded' as const }));
    if (entries.length > 0) await listRevocations(keyd, { issuer, entries });
  }
}

function decide(keyd: KeydContext, content: Resolution): ResolvedJournalEntry['decision'] {
  const { units, histories } = keyd.state.factories.consigned;
  if (content.act === 'accept') {
    const { act, number, sha256, factory } = content;
    const fork = histories.fork(factory);
    if (fork?.number === number && fork.sha256 === sha256) return { act, number, sha256 };
    throw new KeysteadError('resolution.nothing', { field: 'sha256', seen: `${factory} number ${number}` });
  }
  const { act, deviceId, serial, factory } = content;
  const unit = units.bySerial(factory, serial);
  if (unit === undefined || unit.deviceId !== deviceId || unit.standing !== 'quarantined') {
    const seen = `${factory} ${deviceId} ${serial}: ${unit?.standing ?? 'unknown'}`;
    throw new KeysteadError('resolution.nothing', { field: 'serial', seen });
  }
  return { act, deviceId, serial, ended: act === 'release' ? units.rivalsOf(unit) : [] };
}

function tell(keyd: KeydContext, entry: ResolvedJournalEntry, repeated: boolean): Result<'resolve'> {
  const { resolution, by, factory, decision, time } = entry;
  const told = { id: resolution, act: decision.act, by, at: new Date(time), factory, repeated };
  if (decision.act === 'accept') return { ...told, serials: [], ended: [] };
  const { units } = keyd.state.factories.consigned;
  const { deviceId, serial, ended } = decision;
  return {
    ...told,
    deviceId,
    serial,
    serials: givenOf(units.bySerial(factory, serial)),
    ended: ended.map((one) => ({
      ...one,
      serials: one.where === HEADQUARTERS ? [] : units.unitsOf(one.deviceId, one.where).flatMap(givenOf),
    })),
  };
}

/** The certificates that the device was given. */
const givenOf = (unit: FleetUnit | undefined): string[] =>
  [...(unit?.serials ?? [])].flatMap(([serial, isVoid]) => (isVoid ? [] : [serial]));
