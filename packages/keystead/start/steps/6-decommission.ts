import { join } from 'node:path';
import { DECOMMISSIONED, type World } from '../world.ts';

/** Step 6: one device ends in good order: keys wiped on it, certificates revoked, evidence signed. */
export async function decommission(world: World): Promise<void> {
  const { narrator, fleet, layout } = world;
  narrator.step(
    6,
    `Decommission: ${DECOMMISSIONED}`,
    'The device wipes its keys and reports what it wiped; headquarters revokes its certificates, refuses it for ever and signs the evidence.',
  );
  const device = fleet.get(DECOMMISSIONED);
  if (device === undefined) {
    narrator.done(`${DECOMMISSIONED} came to its end in an earlier run`);
    return;
  }
  const report = await device.wipe();
  const wiped = report.files.map((file) => file.name);
  fleet.delete(DECOMMISSIONED);
  narrator.done(`the device wiped ${wiped.length} files`);
  const answer = await world
    .as('pki')
    .post<{ revoked: string[] }>(`/api/v1/devices/${DECOMMISSIONED}/decommission`, { wiped });
  const path = join(layout.evidence, `${DECOMMISSIONED}.decommission.yaml`);
  narrator.done(`${answer.revoked.length} certificates revoked; signed evidence in ${path}`);
}
