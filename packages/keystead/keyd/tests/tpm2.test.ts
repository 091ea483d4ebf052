import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toBase64 } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { Swtpm } from '../../../tpm2/tests/swtpm.ts';
import { passphrase } from '../../ceremony/tests/rehearsal.ts';
import { KeydClient } from '../../keyd-client/index.ts';
import { openKeystore, readKeystoreConfig, writeKeystoreConfig, writeSealedSecret } from '../../keystore/index.ts';
import { csrFor, KEYD_PASSPHRASE, KeydBed, makeKey } from './bed.ts';

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const PCR = 14;

let swtpm: Swtpm;
let bed: KeydBed;
let sealed: string;
const running = new Set<ChildProcess>();
before(async () => {
  swtpm = await Swtpm.start();
  bed = await KeydBed.make({}, (layout) => {
    mkdirSync(layout.keyd, { recursive: true, mode: 0o700 });
    const [path, others] = [join(layout.keyd, 'keystore.tpm2'), join(layout.keyd, 'keystore.sealed')];
    writeKeystoreConfig(layout.keyd, { version: 1, make: 'tpm2', path, tpm: swtpm.address, sealed: others });
  });
  // The process has the machine's clock.
  bed.clock.set(new Date());
  sealed = join(bed.dir, 'passphrase.tpm2');
  using secret = passphrase(KEYD_PASSPHRASE);
  const selection = { bank: 'sha256', pcrs: [7, PCR] } as const;
  await writeSealedSecret({ path: sealed, tpm: swtpm.address }, secret, bed.clock, { selection });
});
after(async () => {
  for (const child of running) child.kill('SIGKILL');
  await bed.remove();
  await swtpm.stop();
});

/** `keystead keyd`, whose passphrase the TPM has. */
function launch(document: unknown): { child: ChildProcess; said: { err: string } } {
  const where = ['--data', bed.rehearsal.layout.data, '--tpm-sealed', sealed, '--tpm', swtpm.address];
  const child = spawn(process.execPath, [MAIN, 'keyd', ...where], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const said = { err: '' };
  child.stderr?.on('data', (chunk) => (said.err += String(chunk)));
  const pipe = child.stdio[3];
  if (pipe !== null && pipe !== undefined && 'end' in pipe) {
    pipe.on('error', () => undefined);
    pipe.end(JSON.stringify(document));
  }
  return { child, said };
}

test('TEST-KEY-11: keyd has its CAs in a TPM and the log beside it, and what it issues is signed in the TPM', async () => {
  const ticket = await bed.ticket({ quota: 2 });
  const unit = { ticket, deviceId: 'KS-0001', station: 's', operator: 'lin', line: 'line-1', requestId: 'r1' };
  await bed.client.provision({ ...unit, csr: await csrFor('KS-0001', makeKey()) });
  await bed.stop();
  using secret = passphrase(KEYD_PASSPHRASE);
  const keystore = await openKeystore(readKeystoreConfig(bed.dir), secret, bed.clock);
  const custody = Object.fromEntries(keystore.list().map(({ id, algorithm, custody }) => [id, [algorithm, custody]]));
  keystore.close();
  assert.deepEqual(custody.log, ['Ed25519', 'sealed-file']);
  assert.deepEqual(custody['log-cosign'], ['Ed25519', 'sealed-file']);
  for (const [id, [algorithm, where]] of Object.entries(custody)) {
    if (algorithm !== 'Ed25519') assert.equal(where, 'tpm2', id);
  }
});

test('TEST-KEY-11: keyd starts by itself with the passphrase that the TPM sealed, and not on another boot', async () => {
  const channelKey = SecretBytes.random(32);
  const { child, said } = launch({ channelKey: channelKey.use(toBase64) });
  if (child.stdout === null) throw new Error('no standard output');
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([first]) => String(first)),
    once(child, 'exit').then(() => ''),
  ]);
  assert.notEqual(line, '', said.err);
  const client = await KeydClient.connect((JSON.parse(line) as { socket: string }).socket, channelKey);
  await client.status();
  client.close();
  const stopped = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepEqual(await stopped, [0, null]);

  swtpm.tool('tpm2_pcrextend', `${PCR}:sha256=${'ef'.repeat(32)}`);
  const refused = launch({ channelKey: SecretBytes.random(32).use(toBase64) });
  const [status] = await once(refused.child, 'close');
  assert.equal(status, 3);
  assert.match(refused.said.err, new RegExp(`sha256:${PCR}: .*tpm2\\.pcr-mismatch`));
  assert.ok(!refused.said.err.includes(KEYD_PASSPHRASE));
});

test('two passphrases, or none, are a mistake and not a choice', async () => {
  const channelKey = SecretBytes.random(32).use(toBase64);
  const { child, said } = launch({ passphrase: KEYD_PASSPHRASE, channelKey });
  await once(child, 'close');
  assert.match(said.err, /keyd\.secrets-malformed/);
});
