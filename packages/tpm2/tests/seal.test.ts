import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { toHex } from '@keystead/core/bytes';
import { SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { formatTpmKey, parseTpmKey } from '../objects/key-file.ts';
import { create } from '../objects/object.ts';
import { extendPcr, pcrPolicy, readPcrs } from '../objects/pcrs.ts';
import {
  formatSealedSecret,
  parseSealedSecret,
  type SealedSecret,
  sealSecret,
  unsealSecret,
} from '../objects/sealed-secret.ts';
import { withStorageRoot } from '../objects/storage-root.ts';
import { signingTemplate } from '../objects/templates.ts';
import { Tpm } from '../tpm.ts';
import { openTransport } from '../transport/open.ts';
import type { Transport } from '../transport/transport.ts';
import { encodePublic } from '../wire/public.ts';
import { sized } from '../wire/writer.ts';
import { Swtpm } from './swtpm.ts';
import { tpmOfFile } from './tpm-of-file.ts';

let swtpm: Swtpm;
let tpm: Tpm;
tpmOfFile({}, (...made) => {
  [tpm, swtpm] = made;
});

const SECRET = 'five random words of custodians';
const now = new Date('2026-03-01T10:00:00Z');
const secretOf = (text: string): SecretBytes => SecretBytes.copy(Buffer.from(text));
const textOf = (secret: SecretBytes): string => secret.use((bytes) => Buffer.from(bytes).toString());

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    assert.ok(!error.message.includes(SECRET));
    return true;
  };

const seal = (pcrs: number[], by = tpm, text = SECRET): Promise<SealedSecret> =>
  by.use((channel) => sealSecret(channel, secretOf(text), { selection: { bank: 'sha256', pcrs }, now }));
const unseal = (sealed: SealedSecret, by = tpm): Promise<SecretBytes> =>
  by.use((channel) => unsealSecret(channel, sealed));
const extend = (pcr: number): Promise<void> =>
  tpm.use((channel) => extendPcr(channel, pcr, 'sha256', sha256(Buffer.from('x'))));

test('the policy of PCRs is the one that tpm2_createpolicy computes', async () => {
  const selection = { bank: 'sha256', pcrs: [0, 2, 7, 23] } as const;
  swtpm.tool('tpm2_createpolicy', '--policy-pcr', '-l', 'sha256:0,2,7,23', '-L', swtpm.path('policy'));
  const values = await tpm.use((channel) => readPcrs(channel, selection));
  assert.equal(toHex(pcrPolicy('sha256', values)), readFileSync(swtpm.path('policy')).toString('hex'));
});

test('all 24 PCRs are read, as tpm2_pcrread reads them', async () => {
  const pcrs = Array.from({ length: 24 }, (_, pcr) => pcr);
  await extend(5);
  const values = await tpm.use((channel) => readPcrs(channel, { bank: 'sha256', pcrs }));
  swtpm.tool('tpm2_pcrread', `sha256:${pcrs.join(',')}`, '-o', swtpm.path('pcrs'));
  const ours = Buffer.concat(pcrs.map((pcr) => values.get(pcr) ?? Buffer.of()));
  assert.equal(ours.toString('hex'), readFileSync(swtpm.path('pcrs')).toString('hex'));
});

test('TEST-KEY-11: a sealed secret opens as long as the PCRs are as they were, also by tpm2_unseal and after a reboot', async () => {
  const sealed = parseSealedSecret(formatSealedSecret(await seal([7, 16])));
  assert.equal(textOf(await unseal(sealed)), SECRET);
  await swtpm.end();
  await swtpm.boot();
  assert.equal(textOf(await unseal(sealed)), SECRET);

  writeFileSync(swtpm.path('s.pub'), sized(encodePublic(sealed.blob.area)));
  writeFileSync(swtpm.path('s.priv'), sized(sealed.blob.wrapped));
  const size = Buffer.from([32, 0]);
  writeFileSync(swtpm.path('unique'), Buffer.concat([size, Buffer.alloc(128), size, Buffer.alloc(128)]));
  const attributes = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt';
  const srk = [
    '-C',
    'o',
    '-G',
    'ecc256:null:aes128cfb',
    '-a',
    attributes,
    '-u',
    swtpm.path('unique'),
    '-c',
    swtpm.path('srk'),
  ];
  swtpm.tool('tpm2_createprimary', ...srk);
  const files = ['-u', swtpm.path('s.pub'), '-r', swtpm.path('s.priv')];
  swtpm.tool('tpm2_load', '-C', swtpm.path('srk'), ...files, '-c', swtpm.path('s.ctx'));
  assert.equal(swtpm.tool('tpm2_unseal', '-c', swtpm.path('s.ctx'), '-p', 'pcr:sha256:7,16'), SECRET);
});

test('after PCRs change the secret stays closed; the error names which, what they were sealed to, and what to do', async () => {
  const sealed = await seal([1, 16, 23]);
  await extend(16);
  await assert.rejects(
    unseal(sealed),
    fails('tpm2.pcr-mismatch', /sha256:16: .*PCR 16 is [0-9a-f]{16}…, sealed to 0{16}…\)$/),
  );
  await extend(23);
  await assert.rejects(unseal(sealed), (error) => {
    fails('tpm2.pcr-mismatch', /sha256:16,23: .*PCR 16 is .*PCR 23 is /)(error);
    assert.match((error as KeysteadError).remedy ?? '', /keystead tpm seal/);
    return true;
  });
  // Nothing is lost: the machine as it was opens it.
  await swtpm.end();
  await swtpm.boot();
  assert.equal(textOf(await unseal(sealed)), SECRET);
});

test('the TPM itself refuses: a file that claims the values of today opens nothing', async () => {
  const sealed = await seal([12]);
  await extend(12);
  const pcrs = await tpm.use((channel) => readPcrs(channel, { bank: 'sha256', pcrs: [12] }));
  await assert.rejects(unseal({ ...sealed, pcrs }), fails('tpm2.file-damaged', /other values than the TPM demands/));
  const others = await tpm.use((channel) => readPcrs(channel, { bank: 'sha256', pcrs: [3] }));
  await assert.rejects(unseal({ ...sealed, pcrs: others }), fails('tpm2.file-damaged'));
});

test('another TPM, or this one with its owner cleared, opens nothing and is told apart from changed PCRs', async () => {
  const other = await Swtpm.start();
  try {
    await using foreign = await Tpm.open(other.address);
    await assert.rejects(unseal(await seal([7]), foreign), fails('tpm2.other-tpm'));
    const sealed = await seal([7], foreign);
    other.tool('tpm2_clear', '-c', 'l');
    await assert.rejects(unseal(sealed, foreign), fails('tpm2.other-tpm'));
  } finally {
    await other.stop();
  }
});

test('who listens at the wires of the TPM does not see the secret, sealed or unsealed', async () => {
  const heard: Uint8Array[] = [];
  const inner = await openTransport(swtpm.address);
  const tapped: Transport = {
    address: inner.address,
    async exchange(command, timeoutMs) {
      heard.push(command.slice());
      const answer = await inner.exchange(command, timeoutMs);
      heard.push(answer.slice());
      return answer;
    },
    close: () => inner.close(),
  };
  await using wire = await Tpm.over(tapped);
  const sealed = await seal([7], wire);
  assert.equal(textOf(await unseal(sealed, wire)), SECRET);
  assert.ok(heard.length > 10);
  assert.ok(!Buffer.concat(heard).includes(SECRET));
});

test('who changes the answer of the TPM on the wire is noticed', async () => {
  const sealed = await seal([7]);
  const inner = await openTransport(swtpm.address);
  const meddling: Transport = {
    address: inner.address,
    async exchange(command, timeoutMs) {
      const answer = await inner.exchange(command, timeoutMs);
      // The encrypted secret of TPM2_Unseal.
      if (command[8] === 0x01 && command[9] === 0x5e) answer[20] = (answer[20] ?? 0) ^ 1;
      return answer;
    },
    close: () => inner.close(),
  };
  await using wire = await Tpm.over(meddling);
  await assert.rejects(unseal(sealed, wire), fails('tpm2.malformed', /HMAC of the response/));
});

test('a secret of no bytes or of more than 128 is refused; 128 fit', async () => {
  for (const length of [0, 129])
    await assert.rejects(seal([7], tpm, 'x'.repeat(length)), fails('tpm2.secret-too-long'));
  assert.equal((await unseal(await seal([7], tpm, 'x'.repeat(128)))).length, 128);
});

test('a bank or PCR that the TPM does not have is refused by name', async () => {
  const sealing = (bank: 'sha1' | 'sha256', pcrs: number[]): Promise<unknown> =>
    tpm.use((channel) => sealSecret(channel, secretOf(SECRET), { selection: { bank, pcrs }, now }));
  await assert.rejects(sealing('sha256', []), fails('tpm2.pcr-selection', /none/));
  await assert.rejects(sealing('sha256', [24]), fails('tpm2.pcr-selection', /24/));
});

test('a file of a sealed secret, or of a key, with any octet changed, cut off or added is damaged', async () => {
  const key = await tpm.use((channel) =>
    withStorageRoot(channel, async (srk) => ({
      storageRoot: toHex(srk.name),
      blob: await create(channel, srk, signingTemplate('P-256')),
    })),
  );
  const files = [
    [formatSealedSecret(await seal([7])), parseSealedSecret],
    [formatTpmKey(key), parseTpmKey],
  ] as const;
  for (const [bytes, parse] of files) {
    parse(bytes);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Uint8Array.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ change;
        assert.throws(() => parse(changed), fails('tpm2.file-damaged'));
        assert.throws(() => parse(bytes.subarray(0, at)), fails('tpm2.file-damaged'));
      }),
      { numRuns: 200 },
    );
    assert.throws(() => parse(Buffer.concat([bytes, Buffer.from(' ')])), fails('tpm2.file-damaged'));
  }
});
