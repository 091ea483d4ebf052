import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { type DerCertificate, toBase64, toPem } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { newSerial } from '@keystead/core/x509';
import { KeydClient } from '../../keyd-client/index.ts';
import { KEYD_PASSPHRASE, KeydBed } from './bed.ts';

const ENTRIES = 300_000;
const PER_LINE = 250;
/** What composing, hashing, signing and writing may add to keyd: a quarter of the CRL itself, which has 16 MB. */
const MOST_GROWTH_KB = 4_000;

const RUN = `
const { runKeyd } = await import(process.argv[1]);
await runKeyd({ data: process.argv[2], secretsFd: 3 });
process.exit(0);
`;
let bed: KeydBed;
let child: ChildProcess;
let client: KeydClient;
const serials = Array.from({ length: ENTRIES }, newSerial);

before(async () => {
  bed = await KeydBed.make();
  bed.clock.set(new Date());
  const trust = await bed.client.trust();
  writeFileSync(
    join(bed.rehearsal.dir, 'op.pem'),
    toPem('CERTIFICATE', trust.certificates.operational as DerCertificate),
  );
  await bed.stop();
  const journal = join(bed.dir, 'journal');
  let n = readFileSync(journal, 'utf8').split('\n').length - 1;
  const now = Date.now() - 1000;
  for (let from = 0; from < ENTRIES; from += PER_LINE) {
    n += 1;
    const revoked = serials.slice(from, from + PER_LINE).map((serial) => [serial, now, 'superseded']);
    const time = new Date(now).toISOString();
    appendFileSync(
      journal,
      `${JSON.stringify({ n, time, kind: 'revocations', issuer: 'operational', since: 1, revoked })}\n`,
    );
  }
  const channelKey = SecretBytes.random(32);
  const args = [
    // V8 makes its young generation 16 MB larger when it sees fit, which is as much as the list and is none of it.
    '--max-semi-space-size=1',
    '--input-type=module',
    '-e',
    RUN,
    new URL('../main.ts', import.meta.url).href,
    bed.rehearsal.layout.data,
  ];
  child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore', 'pipe'] });
  const pipe = child.stdio[3];
  if (pipe === null || pipe === undefined || !('end' in pipe) || child.stdout === null) throw new Error('no pipes');
  pipe.end(JSON.stringify({ passphrase: KEYD_PASSPHRASE, channelKey: channelKey.use(toBase64) }));
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  client = await KeydClient.connect((JSON.parse(line) as { socket: string }).socket, channelKey);
});
after(async () => {
  client.close();
  child.kill('SIGKILL');
  await bed.remove();
});

const memory = (which: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`${which}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))?.[1]);

// How long it takes is for the bench to say: a test shares its cores with others.
test('TEST-KEY-08 keyd signs a CRL of 300,000 entries without holding it in memory, answers meanwhile, and openssl reads all of it [openssl: CRL long]', async () => {
  // proc(5): sets the highest mark back to what is used now.
  writeFileSync(`/proc/${child.pid}/clear_refs`, '5');
  const before = memory('VmRSS');
  const making = client.signCrl({ issuer: 'operational', number: 1, entries: [] });
  let answered = 0;
  let done = false;
  const watch = (async () => {
    while (!done) {
      await client.status();
      answered += 1;
    }
  })();
  const made = await making;
  done = true;
  await watch;
  assert.ok(answered > 3, `${answered} other requests were answered while it was made`);
  const grown = memory('VmHWM') - before;
  assert.ok(grown < MOST_GROWTH_KB, `${grown} kB more, for a CRL of ${made.bytes} bytes`);
  assert.equal(made.crl.length, 0);
  const path = client.crlFile(made.file ?? '');
  const args = ['crl', '-inform', 'DER', '-in', path, '-CAfile', join(bed.rehearsal.dir, 'op.pem'), '-noout', '-text'];
  const text = execFileSync('openssl', args, { encoding: 'latin1', maxBuffer: 256 * 1024 * 1024, stdio: 'pipe' });
  assert.equal(text.split('Serial Number: ').length - 1, ENTRIES);
  for (const serial of [serials[0], serials[ENTRIES / 2], serials[ENTRIES - 1]])
    assert.ok(text.includes(`Serial Number: ${serial?.toUpperCase()}`));
});
