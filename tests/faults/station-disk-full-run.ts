import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { toPem } from '@keystead/core/bytes';
import { separateOwners } from 'keystead/start/owners.ts';
import { TestStation, verdict } from '../system/station-rig.ts';
import { newKey, Rig } from './rig.ts';

/**
 * Runs in a mount namespace of its own (argv: a folder): units come from a station while the disk of the records is
 * full, and then that of keyd's journal; tells as JSON what the rig heard.
 */
const [folder = ''] = process.argv.slice(2);
const rig = await Rig.make({ folder });
const station = await TestStation.enrol(rig);
await rig.batch('batch-a', 900, 'PA-');
await station.signOn();
await rig.stop('serve');
await rig.stop('keyd');
const DISKS = ['store', 'keyd'] as const;
for (const which of DISKS) {
  const disk = join(folder, 'data', which);
  renameSync(disk, `${disk}.moved`);
  mkdirSync(disk, { mode: 0o700 });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m,mode=0700', 'tmpfs', disk]);
  cpSync(`${disk}.moved`, disk, {
    recursive: true,
    preserveTimestamps: true,
    filter: (path) => !lstatSync(path).isSocket(),
  });
  rmSync(`${disk}.moved`, { recursive: true });
}
separateOwners(rig.layout);
await rig.start('keyd');
await rig.start('serve');

let units = 0;
const full: Record<string, object> = {};
const afterRoom: Record<string, string> = {};
const waited: string[] = [];
for (const which of DISKS) {
  const ballast = join(folder, 'data', which, 'ballast');
  for (let size = 1024 * 1024; size >= 512; ) {
    try {
      appendFileSync(ballast, Buffer.alloc(size));
    } catch {
      size /= 2;
    }
  }
  for (;;) {
    units += 1;
    const deviceId = `PA-${String(units).padStart(4, '0')}`;
    const csr = toPem('CERTIFICATE REQUEST', (await newKey(deviceId)).csr);
    const answer = await station.unit(deviceId, { csr });
    if (answer.status === 200) continue;
    full[which] = { verdict: verdict(answer), status: answer.status, text: answer.text };
    rmSync(ballast);
    afterRoom[which] = verdict(await station.unit(deviceId, { csr }));
    waited.push(deviceId);
    break;
  }
}
const { certificates, orphans, units: provisioned } = rig.records();
// What keyd signed and the full disk kept from the records is abandoned at the next look: it is given to nobody.
const idevids = Object.fromEntries(waited.map((id) => [id, provisioned.filter(({ device }) => device === id).length]));
await rig.stop('serve');
await rig.stop('keyd');
console.log(
  JSON.stringify({ full, afterRoom, idevids, units, certificates: certificates.length, orphans: orphans.length }),
);
