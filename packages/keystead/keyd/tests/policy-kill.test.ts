import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { toBase64 } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { policyFile } from '@keystead/core/lifecycle';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { KeydClient } from '../../keyd-client/index.ts';
import { KEYD_PASSPHRASE, KeydBed } from './bed.ts';

const RUN = `
const { runKeyd } = await import(process.argv[1]);
await runKeyd({ data: process.argv[2], secretsFd: 3, withParent: true });
`;
const MODULE = new URL('../main.ts', import.meta.url).href;

let bed: KeydBed;
let parties: PolicyParties;
before(async () => {
  parties = new PolicyParties();
  bed = await KeydBed.make({ operators: parties.operators, demonstration: false });
  // The process has the machine's clock.
  bed.clock.set(new Date());
});
after(() => bed.remove());

const inForce = async () => policyFile((await bed.client.trust()).policy);

/** keyd as a process of its own on the directory of the bed, which must be stopped. */
async function startProcess() {
  const channelKey = SecretBytes.random(32);
  const args = ['--input-type=module', '-e', RUN, MODULE, bed.rehearsal.layout.data];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore', 'pipe'] });
  const exited = once(child, 'exit');
  const pipe = child.stdio[3];
  if (pipe !== null && pipe !== undefined && 'end' in pipe) {
    pipe.end(JSON.stringify({ passphrase: KEYD_PASSPHRASE, channelKey: channelKey.use(toBase64) }));
  }
  if (child.stdout === null) throw new Error('no standard output');
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { socket } = JSON.parse(line) as { socket: string };
  return { child, exited, client: await KeydClient.connect(socket, channelKey) };
}

/** Milliseconds from the request to the kill: before, amid and after the writes, on a fast machine and on a slow one. */
const MOMENTS = [0, 4, 20];

test('TEST-KEY-23 keyd killed at any moment of a change has the old policy or the new one, whole, and the new one if it said so', async () => {
  for (const moment of MOMENTS) {
    const old = await inForce();
    const next = successor(old);
    await bed.stop();
    const { child, exited, client } = await startProcess();
    const approvals = await parties.approvals([old, next], new Date());
    let answered = false;
    const change = client.changePolicy({ policy: next.bytes, approvals, requestId: `kill-${moment}` }).then(
      () => {
        answered = true;
      },
      () => {},
    );
    await delay(moment);
    child.kill('SIGKILL');
    await exited;
    await change;
    client.close();
    bed.clock.set(new Date());
    await bed.start();
    const { sha256, bytes } = await inForce();
    assert.ok(sha256 === next.sha256 || (sha256 === old.sha256 && !answered), `after ${moment} ms`);
    assert.equal(readFileSync(bed.rehearsal.layout.policy, 'utf8'), Buffer.from(bytes).toString('utf8'));
    // Whichever it is, the change can be made, or is made, now.
    await bed.client.changePolicy({ policy: next.bytes, approvals, requestId: `again-${moment}` });
    assert.equal((await inForce()).sha256, next.sha256);
  }
});
