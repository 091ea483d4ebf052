import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { toBase64 } from '@keystead/core/bytes';
import { separateOwners } from 'keystead/start/owners.ts';
import { AcknowledgedFile } from './acknowledged.ts';
import { certificateOf } from './https.ts';
import { checkAtRest, checkRecords } from './invariants.ts';
import { newKey, Rig } from './rig.ts';

/**
 * Runs in a mount namespace of its own (argv: a folder, and which directory of the data gets a small disk): fills
 * that disk while devices enrol, makes room again, and reports as JSON how the system took it.
 */
const [folder = '', which = 'store'] = process.argv.slice(2);
const disk = join(folder, 'data', which);
const ballast = join(disk, 'ballast');
const rig = await Rig.make({ folder });
await rig.stop('serve');
await rig.stop('keyd');
// The same files on a small disk in the same place.
renameSync(disk, `${disk}.moved`);
mkdirSync(disk, { mode: 0o700 });
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m,mode=0700', 'tmpfs', disk]);
cpSync(`${disk}.moved`, disk, {
  recursive: true,
  preserveTimestamps: true,
  filter: (path) => !lstatSync(path).isSocket(),
});
rmSync(`${disk}.moved`, { recursive: true });
// A copy by root is root's, until a start gives it away again.
separateOwners(rig.layout);
await rig.start('keyd');
await rig.start('serve');
const device = await rig.device('DEV-0001');
const acknowledged = new AcknowledgedFile(join(folder, 'acknowledged'));
const enrol = async (csr?: Uint8Array): Promise<{ status: number; text: string; retry: string }> => {
  const answer = await rig.est('simpleenroll', device, csr ?? (await newKey('DEV-0001')).csr);
  if (answer.status === 200) {
    acknowledged.note({ device: 'DEV-0001', profile: 'ldevid', certificate: toBase64(certificateOf(answer)) });
  }
  return { status: answer.status, text: answer.text, retry: String(answer.headers['retry-after']) };
};
await enrol();
for (let size = 1024 * 1024; size >= 512; ) {
  try {
    appendFileSync(ballast, Buffer.alloc(size));
  } catch {
    size /= 2;
  }
}
let asked = 0;
let refusal = await enrol();
for (; refusal.status === 200 && asked < 2000; asked += 1) refusal = await enrol();
const { csr } = await newKey('DEV-0001');
const refused = [refusal, ...(await Promise.all([1, 2, 3, 4].map(() => enrol())))];
const same = await enrol(csr);
checkRecords(rig.records(), acknowledged.all());
rmSync(ballast);
const afterRoom = await enrol(csr);
await rig.restart('serve');
const afterRestart = await enrol();
await rig.restart('serve');
await rig.stop('serve');
await rig.stop('keyd');
checkRecords(rig.records(), acknowledged.all());
await checkAtRest(rig, new Map());
console.log(JSON.stringify({ asked, refused: [...refused, same], afterRoom, afterRestart }));
