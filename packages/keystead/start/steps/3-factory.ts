import { readFileSync } from 'node:fs';
import { provision } from '@keystead/agent';
import { type DerCertificate, fromPem, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { parsePolicy } from '@keystead/core/lifecycle';
import type { UnitView } from '../../protocols/rest/domain.ts';
import { DemoDevice } from '../fleet.ts';
import { openTicket } from '../ticket.ts';
import { deviceIdOf, type World } from '../world.ts';

const LINE = 'line-1';

/** Step 3: a batch ticket, ten devices at a station, and an eleventh that is refused. */
export async function factory(world: World): Promise<void> {
  const { narrator, config, layout } = world;
  const { ticketId, quota } = config.batch;
  narrator.step(
    3,
    'Factory: ten devices from one batch ticket',
    'The PKI operator signs a ticket for ten units. Each device makes its own key and a request; the station sends it; keyd checks the ticket and its quota itself and gives the IDevID with a signed provisioning record.',
  );
  await openTicket(world, {
    id: ticketId,
    model: config.batch.model,
    quota,
    line: LINE,
    // One id more than the quota: what stops the eleventh unit is the quota, not its name.
    deviceIds: { prefix: 'KS-', from: 1, to: quota + 1, width: 4 },
  });
  narrator.done(`batch ${ticketId}: ${quota} units of ${config.batch.model}, signed by pki`);

  const bar = narrator.progress('provisioning', quota);
  for (let number = 1; number <= quota; number += 1) {
    const device = openDevice(world, deviceIdOf(number));
    if (device !== undefined) {
      world.fleet.set(device.id, device);
      await provision(device.state, world.clock, (csr) => submit(world, device.id, csr));
    }
    bar.step();
  }
  bar.stop();
  const { devices } = await world
    .as('auditor')
    .get<{ devices: { deviceId: string; state: string }[] }>('/api/v1/devices');
  for (const { deviceId, state } of devices) if (state === 'stolen') world.blocked.add(deviceId);
  narrator.done(`${quota} devices have an IDevID; their records are in ${layout.records}`);
  await refuseOneMore(world);
}

/** The device's state, or undefined when the device has come to its end in an earlier run. */
function openDevice(world: World, id: string): DemoDevice | undefined {
  const { layout, clock, config } = world;
  try {
    return DemoDevice.open(id, {
      layout,
      clock,
      anchor: world.root,
      secret: world.passphrases.devices,
      estUrl: world.httpsUrl,
      backend: { host: config.host, port: config.ports.backend },
      graceSeconds: parsePolicy(readFileSync(layout.policy)).grace.renewalSeconds,
    });
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'state.wiped') return undefined;
    throw error;
  }
}

async function submit(
  world: World,
  deviceId: string,
  csr: Uint8Array,
): Promise<{ certificate: DerCertificate; chain: DerCertificate[] }> {
  const unit = await world.as('line-1').post<UnitView>('/api/v1/units', {
    ticketId: world.config.batch.ticketId,
    deviceId,
    csr: toPem('CERTIFICATE REQUEST', csr),
    line: LINE,
  });
  const [certificate] = fromPem('CERTIFICATE', unit.certificate);
  if (certificate === undefined) throw new KeysteadError('service.bad-answer', { field: 'certificate' });
  return {
    certificate: certificate as DerCertificate,
    chain: fromPem('CERTIFICATE', unit.chain).map((der) => der as DerCertificate),
  };
}

async function refuseOneMore(world: World): Promise<void> {
  const { quota } = world.config.batch;
  const extra = openDevice(world, deviceIdOf(quota + 1));
  if (extra === undefined) return;
  try {
    await provision(extra.state, world.clock, (csr) => submit(world, extra.id, csr));
    throw new Error('an eleventh unit was provisioned on a ticket for ten');
  } catch (error) {
    if (!(error instanceof KeysteadError)) throw error;
    world.narrator.refused(`unit ${quota + 1} (${extra.id}): ${error.message} [${error.code}]`);
  } finally {
    extra.close();
  }
}
