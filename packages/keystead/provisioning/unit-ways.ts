import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { checkDeviceId } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import { requireClock } from '../authority/index.ts';
import type { Params, Result } from '../keyd-client/index.ts';
import { ticketFor } from './challenge.ts';
import type { ProvisioningDeps } from './deps.ts';
import { auditRefusal, type ProvisionedUnit, provisionUnit, type UnitOrder } from './unit.ts';

type UnitAt = Omit<UnitOrder, 'csr' | 'attestation' | 'way'>;

/** A unit whose chip is to be challenged. */
export interface ChipOrder extends UnitAt {
  /** The chip's certificate first. */
  readonly chain: readonly DerCertificate[];
}

/** A unit whose key keyd is to make. */
export interface InjectionOrder extends UnitAt {
  /** SubjectPublicKeyInfo, DER: the unit's own ephemeral key. */
  readonly recipient: Uint8Array;
  readonly algorithm: Params<'makeUnitKey'>['algorithm'];
  /** Where a chip holds the recipient's key: its certificate, and CAs of its maker. */
  readonly chain?: readonly DerCertificate[];
}

/** A unit with the key that keyd made for it. */
export interface InjectedUnit extends ProvisionedUnit {
  /** CMS, DER: only the unit opens it. */
  readonly envelope: Uint8Array;
}

/** A device that asks for its key for one purpose. */
export interface DerivationOrder extends Omit<Params<'deriveUnitKey'>, 'requestId'> {
  /** The operator at the line who brings it. */
  readonly operator: string;
  readonly requestId: string;
}

/**
 * A challenge to the chip of a unit, which is audited. REQ-KEY-GEN-03
 * @throws KeysteadError `ticket.*`, `device.*`, `element.*` and what keyd refuses, each audited; `store.*`, `keyd.unreachable`.
 */
export async function challengeChip(deps: ProvisioningDeps, order: ChipOrder): Promise<Result<'challengeElement'>> {
  return audited(deps, 'challenge chip', order, async () => {
    const { ticketId, chain, ...unit } = order;
    const ticket = ticketFor(deps, order, 'secure-element');
    const made = await deps.keyd.challengeElement({ ...unit, chain: [...chain], ticket: ticket.text });
    const { chipSerial, chipIssuer, chipSpkiSha256 } = made.chip;
    await record(deps, order, 'chip.challenged', { chipSerial, chipIssuer, chipSpkiSha256 });
    return made;
  });
}

/**
 * Has keyd make the key of a unit, and provisions the unit with it. What keyd gives out is the package, which only the unit
 * opens; it passes through here and is kept by keyd alone. A unit, a station or a server that lost power asks again with
 * the same ephemeral key and gets the same package and the same certificate. REQ-KEY-PROV-01
 * @throws KeysteadError as `provisionUnit` does; `injection.*`.
 */
export async function injectUnit(deps: ProvisioningDeps, order: InjectionOrder): Promise<InjectedUnit> {
  const { recipient, algorithm, chain, ...unit } = order;
  const { csr, envelope } = await audited(deps, 'make unit key', unit, async () => {
    const { ticketId: _, ...at } = unit;
    const ticket = ticketFor(deps, unit, 'injected');
    const chip = chain === undefined ? {} : { chain: [...chain] };
    const made = await deps.keyd.makeUnitKey({ ...at, ...chip, recipient, algorithm, ticket: ticket.text });
    if (!made.repeated) {
      const wrappedTo = spkiSha256(recipient as DerSpki);
      await record(deps, unit, 'unit.key-made', { spkiSha256: made.spkiSha256, wrappedTo, algorithm });
    }
    return made;
  });
  const provisioned = await provisionUnit(deps, { ...unit, csr, way: { kind: 'injected' } });
  return { ...provisioned, envelope };
}

/**
 * The symmetric key that a device has for one purpose, wrapped to it. The device proves to keyd that it asks.
 * @throws KeysteadError `device.unknown`, `device.blocked`, `diversify.*` and what keyd refuses, each audited.
 */
export async function deriveUnitKey(
  deps: ProvisioningDeps,
  { operator, ...asked }: DerivationOrder,
): Promise<Result<'deriveUnitKey'>> {
  const { deviceId, purpose, requestId } = asked;
  const actor: AuditEvent['actor'] = { kind: 'operator', id: operator };
  try {
    requireClock(deps);
    checkDeviceId(deviceId);
    const state = deps.store.read((records) => records.device(deviceId)?.state);
    if (state === undefined) throw new KeysteadError('device.unknown', { field: 'deviceId', seen: deviceId });
    if (state === 'stolen' || state === 'decommissioned')
      throw new KeysteadError('device.blocked', { field: deviceId, seen: state });
    const derived = await deps.keyd.deriveUnitKey(asked);
    const { version, kcv } = derived;
    await deps.store.commit((tx) =>
      deps.audit(tx, {
        type: 'device.key-derived',
        actor,
        requestId,
        outcome: 'done',
        subject: { device: deviceId },
        detail: { purpose, version, kcv, wrappedTo: spkiSha256(asked.recipient as DerSpki) },
      }),
    );
    return derived;
  } catch (error) {
    if (error instanceof KeysteadError && error.kind !== 'unavailable') {
      const subject = { device: deviceId.slice(0, 64).toWellFormed() };
      await deps.refusals.refused({ what: 'derive unit key', error, actor, requestId, subject, detail: { purpose } });
    }
    throw error;
  }
}

async function audited<T>(deps: ProvisioningDeps, what: string, order: UnitAt, work: () => Promise<T>): Promise<T> {
  try {
    requireClock(deps);
    checkDeviceId(order.deviceId);
    return await work();
  } catch (error) {
    if (error instanceof KeysteadError && error.kind !== 'unavailable') await auditRefusal(deps, what, order, error);
    throw error;
  }
}

async function record(
  deps: ProvisioningDeps,
  { deviceId, ticketId, operator, line, station, requestId }: UnitAt,
  type: string,
  detail: Record<string, string>,
): Promise<void> {
  await deps.store.commit((tx) =>
    deps.audit(tx, {
      type,
      actor: { kind: 'operator', id: operator },
      requestId,
      outcome: 'done',
      subject: { device: deviceId, ticket: ticketId },
      detail: { line, station, ...detail },
    }),
  );
}
