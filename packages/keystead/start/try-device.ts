import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeKeyAndCsr } from '@keystead/agent';
import { toPem } from '@keystead/core/bytes';
import { durableWrite } from '../files/durable.ts';
import { writeSealedPkcs8Pem } from '../keystore/index.ts';
import type { UnitView } from '../protocols/rest/domain.ts';
import { TRY_DEVICE } from './endpoints.ts';
import { openTicket } from './ticket.ts';
import type { World } from './world.ts';

const QUOTA = 100;

/**
 * A second batch with room for a hundred units named `TRY-0001` and up, and the first of them provisioned with its
 * key in files that openssl, curl and strongSwan read: so that a newcomer tries things with foreign tools
 * without touching the ten devices of the story.
 */
export async function makeTryDevice(world: World): Promise<void> {
  const { layout, config, passphrases } = world;
  const directory = join(layout.data, 'try');
  const certificate = join(directory, `${TRY_DEVICE}.pem`);
  if (existsSync(certificate)) return;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await openTicket(world, {
    id: config.tryBatch.ticketId,
    model: 'TRY',
    quota: QUOTA,
    line: 'line-1',
    deviceIds: { prefix: 'TRY-', from: 1, to: QUOTA, width: 4 },
  });
  const { pkcs8, csr } = await makeKeyAndCsr(TRY_DEVICE, 'P-256');
  // The key first: a certificate without its key would be of no use, the other way round a retry mends it.
  await writeSealedPkcs8Pem(join(directory, `${TRY_DEVICE}.key.pem`), pkcs8, passphrases.operators);
  pkcs8.wipe();
  const unit = await world.as('line-1').post<UnitView>('/api/v1/units', {
    ticketId: config.tryBatch.ticketId,
    deviceId: TRY_DEVICE,
    csr: toPem('CERTIFICATE REQUEST', csr),
    line: 'line-1',
  });
  durableWrite(certificate, `${unit.certificate}${unit.chain}`, 0o644);
}
