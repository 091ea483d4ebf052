import { toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Permission } from '@keystead/core/lifecycle';
import type { OperatorClient } from '../access/index.ts';
import type { Issued } from '../authority/index.ts';
import type { Caller, IssuedView, UnitView } from '../protocols/rest/domain.ts';
import type { UnitDomain } from '../protocols/rest/units.ts';
import type { ProvisionedUnit } from '../provisioning/index.ts';
import type { Rooms } from './rooms.ts';

/** REST's view of units: the station is the operator whose certificate it shows. */
export function unitDomain(
  { provisioning }: Pick<Rooms, 'provisioning'>,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
  view: (issued: Issued) => IssuedView,
): UnitDomain {
  const unitView = (issued: ProvisionedUnit, deviceId: string): UnitView => ({
    ...view(issued),
    record: issued.record,
    signature: toBase64(issued.signature),
    birthCertificate: `/api/v1/records/${deviceId}/birth-certificate`,
  });
  return {
    async challengeUnit(caller, unit) {
      const { id } = await operator(caller, 'unit.provision', 'challenge unit');
      const by = { station: id, operator: id, requestId: caller.requestId };
      const { challengeId, idObject, encryptedSecret, expiresAt } = await provisioning.challengeUnit({
        ...unit,
        ...by,
      });
      return {
        challengeId,
        idObject: toBase64(idObject),
        encryptedSecret: toBase64(encryptedSecret),
        expiresAt: expiresAt.toISOString(),
      };
    },
    async provisionUnit(caller, unit) {
      const { id } = await operator(caller, 'unit.provision', 'provision unit');
      const by = { station: id, operator: id, requestId: caller.requestId };
      const { csr, way, attestation, ...named } = unit;
      const at = { ...named, ...by };
      if (way?.kind === 'injected') {
        const { kind: _, ...order } = way;
        const injected = await provisioning.injectUnit({ ...at, ...order });
        return { ...unitView(injected, unit.deviceId), envelope: toBase64(injected.envelope) };
      }
      if (csr === undefined) throw new KeysteadError('request.malformed', { field: 'csr', seen: 'none' });
      const evidence = { ...(way === undefined ? {} : { way }), ...(attestation === undefined ? {} : { attestation }) };
      return unitView(await provisioning.provisionUnit({ ...at, ...evidence, csr }), unit.deviceId);
    },
    async challengeChip(caller, unit) {
      const { id } = await operator(caller, 'unit.provision', 'challenge chip');
      const by = { station: id, operator: id, requestId: caller.requestId };
      const { challengeId, challenge, expiresAt, chip } = await provisioning.challengeChip({ ...unit, ...by });
      const { chipSerial } = chip;
      return { challengeId, challenge: toBase64(challenge), expiresAt: expiresAt.toISOString(), chipSerial };
    },
    async deriveUnitKey(caller, asked) {
      const { id } = await operator(caller, 'unit.provision', 'derive unit key');
      const { requestId } = caller;
      const { version, kcv, envelope } = await provisioning.deriveUnitKey({ ...asked, operator: id, requestId });
      return { version, kcv, envelope: toBase64(envelope) };
    },
  };
}
