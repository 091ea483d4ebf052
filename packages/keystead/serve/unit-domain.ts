import { toBase64 } from '@keystead/core/bytes';
import type { Permission } from '@keystead/core/lifecycle';
import type { OperatorClient } from '../access/index.ts';
import type { Issued } from '../authority/index.ts';
import type { Caller, IssuedView } from '../protocols/rest/domain.ts';
import type { UnitDomain } from '../protocols/rest/units.ts';
import type { Rooms } from './rooms.ts';

/** REST's view of units: the station is the operator whose certificate it shows. */
export function unitDomain(
  { provisioning }: Pick<Rooms, 'provisioning'>,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
  view: (issued: Issued) => IssuedView,
): UnitDomain {
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
      const issued = await provisioning.provisionUnit({ ...unit, ...by });
      return { ...view(issued), record: issued.record, signature: toBase64(issued.signature) };
    },
  };
}
