import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toPem } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { authenticode, cms, imageOf, rauc, uefiCertificateLists } from '@keystead/core/firmware';
import { timestampResponse } from '@keystead/core/x509';
import Fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { collected, SigningPki } from '../../../../core/firmware/tests/cms-signing.ts';
import { KeydBed } from '../../../keyd/tests/bed.ts';
import { registerTsp, type TspDomain, TspResponder } from '../index.ts';

/** A TSA of keyd's behind its endpoint, a signing PKI of openssl's, and what docs/signing-cms.md shows. */
const DAY = 24 * 3600;
const PAGE = fileURLToPath(new URL('../../../../../docs/signing-cms.md', import.meta.url));
const log = pino({ level: 'silent' });
const pki = new SigningPki({ signer: 'P-256', 'signer-uefi': 'RSA-3072' });
const uboot = readFileSync('/usr/lib/u-boot/qemu_arm64/u-boot.bin');
let bed: KeydBed;
let app: FastifyInstance;
let url: string;

before(async () => {
  bed = await KeydBed.make();
  bed.clock.set(new Date());
  app = Fastify({ logger: false });
  const stamp: TspDomain['stamp'] = (request, requestId) => bed.client.signTimestamp({ ...request, requestId });
  registerTsp(app, new TspResponder({ clock: bed.clock, stamp }), log);
  await app.listen({ port: 0, host: '127.0.0.1' });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/tsa`;
  const { certificates } = await bed.client.trust();
  pki.write('fleet-root.pem', toPem('CERTIFICATE', certificates.root ?? new Uint8Array()));
  pki.write('u-boot.bin', uboot);
});
after(async () => {
  await app.close();
  await bed.remove();
  pki.remove();
});

const sh = (block: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const script = block.replaceAll('http://localhost:8080/tsa', url);
    execFile(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', script],
      { cwd: pki.dir, timeout: 30_000 },
      (error, stdout, stderr) =>
        error === null
          ? resolve(stdout + stderr)
          : reject(new Error(`${script}\n${error.message}\n${stdout}${stderr}`)),
    );
  });

async function stampOf(signature: Uint8Array): Promise<Uint8Array> {
  pki.write('signature.bin', signature);
  execFileSync('openssl', ['ts', '-query', '-data', 'signature.bin', '-sha256', '-cert', '-out', 's.tsq'], {
    cwd: pki.dir,
    stdio: 'pipe',
  });
  await post('s.tsq', 's.tsr');
  pki.run('openssl', 'ts', '-reply', '-in', 's.tsr', '-token_out', '-out', 's.tst');
  return pki.read('s.tst');
}

/** curl, which does not hold up this process: the server is in it. @returns the status of HTTP. */
const post = (from: string, to: string, type = 'application/timestamp-query') =>
  sh(
    `curl --silent --header 'Content-Type: ${type}' --data-binary @${from} '${url}' --output ${to} --write-out '%{http_code}'`,
  );

test('openssl ts -query is answered over HTTP to curl, and openssl ts -verify takes the answer [openssl ts: TSP query, TSP verify] [curl: TSP over HTTP]', async () => {
  pki.run('openssl', 'ts', '-query', '-data', 'u-boot.bin', '-sha512', '-cert', '-out', 'q.tsq');
  assert.equal(await post('q.tsq', 'q.tsr'), '200');
  const { code, output } = pki.try(
    'openssl',
    ...['ts', '-verify', '-in', 'q.tsr', '-queryfile', 'q.tsq', '-CAfile', 'fleet-root.pem'],
  );
  assert.equal(code, 0, output);
});

test('what gets no time stamp gets a rejection that openssl reads, or an error of HTTP [openssl ts: TSP rejection]', async () => {
  const rejected: readonly (readonly [string[], RegExp])[] = [
    [['-sha1'], /unrecognized or unsupported algorithm/],
    [['-sha256', '-tspolicy', '1.2.3.4'], /the requested TSA policy is not supported/],
  ];
  for (const [options, why] of rejected) {
    pki.run('openssl', 'ts', '-query', '-data', 'u-boot.bin', ...options, '-out', 'q.tsq');
    assert.equal(await post('q.tsq', 'q.tsr'), '200');
    const told = pki.run('openssl', 'ts', '-reply', '-in', 'q.tsr', '-text');
    assert.match(told, /Status: Rejected\./);
    assert.match(told, why);
  }
  pki.write('junk', 'no request');
  assert.equal(await post('junk', 'q.tsr'), '200');
  assert.match(pki.run('openssl', 'ts', '-reply', '-in', 'q.tsr', '-text'), /data submitted has the wrong format/);
  assert.equal(await post('q.tsq', 'q.tsr', 'text/plain'), '415');
  pki.write('junk', Buffer.alloc(5000));
  assert.equal(await post('junk', 'q.tsr'), '413');
  assert.equal((await fetch(url)).status, 404);
});

test('while the clock is behind what was stamped, nobody gets a time stamp, and is told so', async () => {
  const now = bed.clock.now();
  bed.clock.set(new Date(now.getTime() - 3_600_000));
  pki.run('openssl', 'ts', '-query', '-data', 'u-boot.bin', '-sha256', '-out', 'q.tsq');
  await post('q.tsq', 'q.tsr');
  assert.match(
    pki.run('openssl', 'ts', '-reply', '-in', 'q.tsr', '-text'),
    /Failure info: the TSA's time source is not available/i,
  );
  bed.clock.set(now);
});

test('beyond its rate the TSA is busy, and ready again a second later', async () => {
  const clock = new SimulatedClock(new Date('2026-01-01T00:00:00Z'));
  pki.run('openssl', 'ts', '-query', '-data', 'u-boot.bin', '-sha256', '-out', 'q.tsq');
  const request = pki.read('q.tsq');
  const stamp: TspDomain['stamp'] = async () => ({ token: new Uint8Array(), serial: '01' as never, time: clock.now() });
  const responder = new TspResponder({ clock, stamp }, { burst: 3, perSecond: 2 });
  const granted = async () => {
    let count = 0;
    for (let i = 0; i < 10; i += 1)
      await responder.answer(request, 'r').then(
        ({ der }) => {
          assert.deepEqual(Buffer.from(der), Buffer.from(timestampResponse(new Uint8Array())));
          count += 1;
        },
        (error: unknown) => assert.equal(error instanceof KeysteadError && error.code, 'tsp.busy'),
      );
    return count;
  };
  assert.equal(await granted(), 3);
  clock.advance(1);
  assert.equal(await granted(), 2);
  clock.set(new Date('2025-12-31T23:00:00Z'));
  assert.equal(await granted(), 0);
});

test('a stamped CMS signature is taken by openssl after its certificate has ended, at the time of its stamp [openssl cms: CMS timestamp attribute] [openssl ts: TSP verify]', async () => {
  const image = imageOf(uboot);
  const { subject } = await cms.read(image);
  const made = await pki.made(cms, subject, 'signer');
  const timestamp = await stampOf(made.signature);
  pki.write('stamped.p7s', await collected(cms.assemble(image, subject, [{ ...made, timestamp }])));
  const printed = pki.run('openssl', 'cms', '-cmsout', '-print', '-inform', 'DER', '-in', 'stamped.p7s');
  assert.match(printed, /unsignedAttrs:\s+object: id-smime-aa-timeStampToken/);
  const verify = (at: number) =>
    pki.try(
      'openssl',
      ...['cms', '-verify', '-binary', '-inform', 'DER', '-in', 'stamped.p7s', '-content', 'u-boot.bin'],
      ...['-CAfile', 'root.pem', '-purpose', 'any', '-out', 'verified', '-attime', String(at)],
    ).code;
  const now = Math.floor(Date.now() / 1000);
  // The certificates of this PKI end after 30 days; that of the TSA later.
  assert.notEqual(verify(now + 60 * DAY), 0);
  const stamp = ['-in', 's.tst', '-token_in', '-data', 'signature.bin', '-CAfile', 'fleet-root.pem'];
  assert.equal(pki.try('openssl', 'ts', '-verify', ...stamp, '-attime', String(now + 60 * DAY)).code, 0);
  assert.equal(verify(now + 5), 0);
});

test('a stamped UEFI program and a stamped RAUC bundle are taken as before [sbverify: Authenticode timestamp attribute] [rauc: RAUC timestamp attribute]', async () => {
  const program = imageOf(readFileSync('/usr/lib/efitools/x86_64-linux-gnu/HelloWorld.efi'));
  const pe = await authenticode.read(program);
  const uefi = { ...(await pki.made(authenticode, pe.subject, 'signer-uefi')), chain: [] };
  const stamped = { ...uefi, timestamp: await stampOf(uefi.signature) };
  pki.write('program.efi', await collected(authenticode.assemble(program, pe.subject, [stamped])));
  assert.equal(spawnSync('sbverify', ['--cert', 'signer-uefi.pem', 'program.efi'], { cwd: pki.dir }).status, 0);

  mkdirSync(pki.path('content'));
  pki.write('content/manifest.raucm', '[update]\ncompatible=keystead-pump\nversion=1\n');
  pki.run('mksquashfs', 'content', 'update.squashfs', '-all-root', '-noappend', '-quiet', '-no-progress');
  const squashfs = imageOf(pki.read('update.squashfs'));
  const bundle = await rauc.read(squashfs);
  const made = await pki.made(rauc, bundle.subject, 'signer');
  const timestamp = await stampOf(made.signature);
  pki.write('update.raucb', await collected(rauc.assemble(squashfs, bundle.subject, [{ ...made, timestamp }])));
  const info = ['--keyring=root.pem', 'update.raucb'];
  pki.write('s.conf', '[system]\ncompatible=p\nbootloader=noop\n[keyring]\npath=root.pem\ncheck-purpose=codesign\n');
  assert.equal(pki.try('rauc', '-c', 's.conf', 'info', ...info).code, 0);
});

const blocks = [...readFileSync(PAGE, 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
for (const [index, block] of blocks.entries()) {
  test(`docs/signing-cms.md: block ${index + 1} of ${blocks.length} runs as it stands`, async () => {
    pki.write('u-boot.bin.p7s', await pki.sign(cms, imageOf(uboot), 'signer'));
    pki.write('root.esl', uefiCertificateLists([pki.certificate('root')], '77fa9abd-0359-4d32-bd60-28f4e78f784b'));
    if (block.includes('stamped.p7s')) await restamp();
    const printed = await sh(block);
    if (block.includes('openssl cms')) assert.match(printed, /CMS Verification successful/);
    if (block.includes('extendedKeyUsage')) assert.match(printed, /Code Signing/);
    if (block.includes('rauc')) assert.match(printed, /Compatible:\s+'keystead-pump'/);
    if (block.includes('sbverify')) assert.match(printed, /Signature verification OK/);
    if (block.includes('openssl ts')) assert.match(printed, /Verification: OK/);
  });
}

/** The stamped signature once more, with the value that its stamp is of. */
async function restamp(): Promise<void> {
  const { subject } = await cms.read(imageOf(uboot));
  const made = await pki.made(cms, subject, 'signer');
  const timestamp = await stampOf(made.signature);
  pki.write('stamped.p7s', await collected(cms.assemble(imageOf(uboot), subject, [{ ...made, timestamp }])));
}
