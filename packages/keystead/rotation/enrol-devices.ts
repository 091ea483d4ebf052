import { KeysteadError } from '@keystead/core/errors';
import type { RotationDeps } from './deps.ts';
import { fleetFacts } from './facts.ts';
import type { Plan } from './plan.ts';
import { ringOf } from './rings.ts';

/** The most devices of a campaign, as many as are signed for in one list. */
const MOST_DEVICES = 1_000_000;

/**
 * Writes down which device is in which ring; what stands there from a start that was cut short stays.
 * @throws KeysteadError `rotation.too-many-devices`.
 */
export async function enrolDevices(deps: RotationDeps, plan: Plan): Promise<void> {
  let total = 0;
  for await (const page of fleetFacts(deps, plan)) {
    total += page.length;
    if (total > MOST_DEVICES)
      throw new KeysteadError('rotation.too-many-devices', { field: plan.id, seen: `${total}` });
    await deps.store.commit((tx) => {
      for (const { device } of page) {
        const { deviceId, model, ticketId: batch } = device;
        if (tx.rotation.device(plan.id, deviceId) !== undefined) continue;
        tx.rotation.insertDevice(plan.id, deviceId, ringOf(plan, { deviceId, model, batch }));
      }
    });
  }
}
