import { KeysteadError } from '@keystead/core/errors';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { ocspStatus } from '../ocsp-status.ts';
import { STOLEN, type World } from '../world.ts';

/** Step 5: one device is stolen, revoked in one step, and refused everywhere within a second. */
export async function stolen(world: World): Promise<void> {
  const { narrator, fleet } = world;
  narrator.step(
    5,
    `Stolen: ${STOLEN}`,
    'One call revokes all that the device has and blocks its return. CRL and OCSP say so at once, the backend hangs up on it, and the other devices do not notice.',
  );
  const device = fleet.get(STOLEN);
  const certificate = device?.state.credential('current')?.certificate;
  if (device === undefined || certificate === undefined || world.blocked.has(STOLEN)) {
    narrator.done(`${STOLEN} was revoked in an earlier run`);
    return;
  }
  await device.talk('still mine').catch(() => undefined);
  const { serial } = readCertificate(certificate);
  const answer = await world
    .as('pki')
    .post<{ revoked: string[] }>('/api/v1/revocations', { deviceId: STOLEN, reason: 'keyCompromise' });
  const revokedAt = performance.now();
  world.blocked.add(STOLEN);
  narrator.done(`revoked ${answer.revoked.length} certificates of ${STOLEN}: ${answer.revoked.join(', ')}`);

  const status = await ocspStatus(world, 'operational', serial);
  narrator.done(`OCSP says ${status} for ${serial}`);
  const crl = readCrl(new Uint8Array(await (await fetch(`${world.httpUrl}/crl/operational.crl`)).arrayBuffer()));
  if (!crl.entries.has(serial)) throw new Error(`the CRL does not list ${serial}`);
  narrator.done(`CRL number ${crl.number} lists it`);

  for (;;) {
    const refusal = await device.talk('and now?').then(
      () => undefined,
      (error: unknown) => error,
    );
    const after = Math.round(performance.now() - revokedAt);
    if (refusal instanceof KeysteadError && refusal.code === 'peer.refused') {
      narrator.refused(`the backend refuses ${STOLEN} ${after} ms after the answer: ${refusal.message}`);
      break;
    }
    if (after > 5_000) throw new Error(`the backend still takes ${STOLEN} after ${after} ms`, { cause: refusal });
  }
  await device.stop();
  const others = world.inService;
  for (const other of others) await other.reach('all well');
  narrator.done(`the other ${others.length} devices go on`);
}
