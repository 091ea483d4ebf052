import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromHex, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type FirmwareFormatName, firmwareFormat } from '@keystead/core/firmware';
import { type FirmwareTimestamp, signKeyOrder, TSA_KEY } from '@keystead/core/lifecycle';
import { RefusalLog } from 'keystead/access/index.ts';
import { appendAudit } from 'keystead/audit/index.ts';
import { readJournal } from 'keystead/keyd/read-journal.ts';
import { FirmwareBed } from 'keystead/keyd/tests/firmware-bed.ts';
import type { FirmwareSigner } from 'keystead/signing/index.ts';
import { Signing } from 'keystead/signing/index.ts';
import { openStore, type Store } from 'keystead/store/index.ts';

/**
 * Firmware signing over a keyd that stamps, whose clock stands in March 2026. The certificate of the signing key lives for
 * 30 days: by the clock of this machine, which openssl goes by, it has ended.
 */
const DAY = 86_400;
const folder = mkdtempSync(join(tmpdir(), 'keystead-stamped-'));
const file = (name: string): string => join(folder, name);
let bed: FirmwareBed;
let store: Store | undefined;
let signing: Signing;
/** How often operators have changed the state of the key of the TSA. */
let changes = 0;
/** keyd does not answer. */
let away = false;

const openssl = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: folder });
  return { code: status ?? -1, output: stderr.toString() + stdout.toString('latin1') };
};

/** Puts another word into the line of the policy, by its quorum. */
function policySays(wish: FirmwareTimestamp | undefined): Promise<void> {
  return bed.change(({ firmware }) => {
    const production = firmware?.products[0]?.environments.production;
    assert.ok(production);
    if (wish === undefined) delete production.timestamp;
    else production.timestamp = wish;
  });
}

/** Operators stop the key of the TSA, or let it go on. */
async function tsa(change: 'suspend' | 'resume'): Promise<void> {
  const { client, clock, people } = bed.keyd;
  const { keys } = await client.keys();
  const held = keys.find(({ id }) => id === TSA_KEY);
  assert.ok(held);
  const draft = { spkiSha256: held.spkiSha256, change, after: changes, reason: 'a drill', at: clock.now() } as const;
  changes += 1;
  // Who stopped it does not let it go on.
  const who = change === 'suspend' ? 'ada' : 'pol';
  await client.changeKey({
    order: await signKeyOrder(draft, who, people[who].signer),
    requestId: `${change}-${changes}`,
  });
}

/** The room, over the keyd that runs now: as `serve` is after a start. */
async function startRoom(): Promise<void> {
  await store?.close();
  const { clock } = bed.keyd;
  const opened = openStore({ path: file('records.db'), clock });
  store = opened;
  const audit = (tx: Parameters<typeof appendAudit>[0], event: Parameters<typeof appendAudit>[1]) =>
    appendAudit(tx, event, clock);
  const keyd: FirmwareSigner = {
    signFirmware: async (asked) => {
      if (away) throw new KeysteadError('keyd.unreachable', { field: 'keyd' });
      return bed.keyd.client.signFirmware(asked);
    },
  };
  signing = new Signing({
    ...{ store: opened, keyd, clock, audit, log: { error: () => {} }, formatOf: firmwareFormat },
    refusals: new RefusalLog({ store: opened, audit, clock }),
    get policy() {
      return bed.keyd.policy;
    },
    directory: file('signing'),
  });
  await signing.start();
  await signing.settled();
}

before(async () => {
  bed = await FirmwareBed.make({ lifetimes: { 'firmware-signer': { seconds: 30 * DAY, backdateSeconds: 0 } } });
  const { certificates } = await bed.keyd.client.trust();
  writeFileSync(file('fleet-root.pem'), toPem('CERTIFICATE', certificates.root ?? new Uint8Array()));
  const signingRoot = bed.keyd.rehearsal.output('signing-root.pem');
  writeFileSync(file('root.pem'), signingRoot);
  const { keys } = await bed.keyd.client.firmwareKeys();
  const [key] = keys.filter(({ id }) => id === 'pump-1');
  writeFileSync(file('signer.pem'), toPem('CERTIFICATE', key?.certificate ?? new Uint8Array()));
  await startRoom();
});
after(async () => {
  await signing.settled();
  await store?.close();
  await bed.keyd.remove();
  rmSync(folder, { recursive: true, force: true });
});

let asked = 0;
/** Asks for a signature of a file and approves it; what became of it when nothing is under way any more. */
async function order(format: FirmwareFormatName, image: Uint8Array, version: string) {
  const by = { actor: { kind: 'operator' as const, id: 'rel' }, requestId: 'r-1' };
  const { sha256 } = await signing.files.take([image], { most: 1 << 24 });
  asked += 1;
  const { id, order } = await signing.submit(
    {
      ...{ id: `r${asked}`, product: 'KS-PUMP-1', environment: 'production', target: format, version, format },
      ...{ image: { sha256 }, documents: {}, reason: 'a test', rollback: false, securityCounter: asked },
    },
    by,
  );
  await signing.add(id, await bed.statement('rel', order), by);
  await signing.add(id, await bed.statement('amy', order), { ...by, actor: { kind: 'operator', id: 'amy' } });
  await signing.settled();
  return signing.show(id);
}

async function subjectOf(format: FirmwareFormatName, sha256: string): Promise<Uint8Array> {
  await using image = await signing.files.read(sha256);
  return (await firmwareFormat(format).read(image)).subject;
}

async function resultOf(id: string): Promise<Buffer> {
  await using result = await signing.result(id);
  return Buffer.from(await result.read(0, result.size));
}

/** The token in an unsigned attribute of the one signer, and the value that it stamps. */
function stampIn(cms: Uint8Array): { token: Buffer; signature: Uint8Array } {
  writeFileSync(file('message.der'), cms);
  const printed = openssl('asn1parse', '-inform', 'DER', '-in', 'message.der').output.split('\n');
  const at = printed.findIndex((line) => /id-smime-aa-timeStampToken|1\.3\.6\.1\.4\.1\.311\.3\.3\.1/.test(line));
  assert.ok(at > 0, 'the message has no token');
  const [, offset = ''] = /^ *(\d+):/.exec(printed[at + 2] ?? '') ?? [];
  // The value of the signature stands before the attributes that are not signed: their OBJECT is the third line of them.
  const [, value = ''] = /\[HEX DUMP\]:([0-9A-F]+)/.exec(printed[at - 3] ?? '') ?? [];
  openssl('asn1parse', '-inform', 'DER', '-in', 'message.der', '-strparse', offset, '-noout', '-out', 'token.der');
  return { token: readFileSync(file('token.der')), signature: fromHex(value.toLowerCase()) };
}

/** As openssl verifies a token of what is in a file. */
function verifyToken(token: Uint8Array, signature: Uint8Array): Date {
  writeFileSync(file('token.der'), token);
  writeFileSync(file('signature.bin'), signature);
  const { code, output } = openssl(
    ...['ts', '-verify', '-in', 'token.der', '-token_in', '-data', 'signature.bin', '-CAfile', 'fleet-root.pem'],
  );
  assert.equal(code, 0, output);
  const told = openssl('ts', '-reply', '-in', 'token.der', '-token_in', '-token_out', '-text').output;
  return new Date(/Time stamp: (.*)/.exec(told)?.[1] ?? '');
}

const verifyCms = (...more: string[]) =>
  openssl(
    ...['cms', '-verify', '-binary', '-inform', 'DER', '-in', 'image.p7s', '-content', 'image', '-CAfile', 'root.pem'],
    ...['-purpose', 'any', '-out', 'verified', ...more],
  );

test('TEST-KEY-23 a CMS signature carries the time stamp of the TSA, and outlives its certificate: openssl verifies it at the time of the token, and not by now [openssl cms: CMS detached signature with time stamp] [openssl ts: TSP verify]', async () => {
  await policySays('required');
  const image = readFileSync('/usr/lib/u-boot/qemu_arm64/u-boot.bin');
  writeFileSync(file('image'), image);
  const { id, state, late } = await order('cms', image, '1.0.0');
  assert.equal(state, 'signed', String(late));
  const signature = await resultOf(id);
  writeFileSync(file('image.p7s'), signature);
  const stamp = stampIn(signature);
  const time = verifyToken(stamp.token, stamp.signature);
  assert.ok(Math.abs(time.getTime() - bed.keyd.clock.now().getTime()) <= 3000);
  const now = verifyCms();
  assert.notEqual(now.code, 0);
  assert.match(now.output, /certificate has expired/);
  const then = verifyCms('-attime', String(time.getTime() / 1000));
  assert.equal(then.code, 0, then.output);
  // It stands in the message: there is no file beside it.
  assert.deepEqual(signing.timestamps(id), []);
});

test('sbverify takes a UEFI program with the time stamp that Authenticode has a place for, also after the certificate has ended [sbverify: Authenticode signature with time stamp]', async () => {
  await policySays(undefined);
  const image = readFileSync('/usr/lib/efitools/x86_64-linux-gnu/HelloWorld.efi');
  const { id, state, refusal } = await order('authenticode', image, '1.0.0');
  assert.equal(state, 'signed', String(refusal));
  writeFileSync(file('signed.efi'), await resultOf(id));
  const { status, stdout } = spawnSync('sbverify', ['--cert', 'signer.pem', 'signed.efi'], { cwd: folder });
  assert.equal(status, 0, String(stdout));
  assert.match(String(stdout), /Signature verification OK/);
  assert.equal(spawnSync('sbattach', ['--detach', 'efi.p7', 'signed.efi'], { cwd: folder }).status, 0);
  const stamp = stampIn(readFileSync(file('efi.p7')));
  verifyToken(stamp.token, stamp.signature);
});

test('a format without a place for it has the time stamp beside what was signed, over the value of the signature', async () => {
  const { id, state } = await order('sshsig', Buffer.from('a file'), '1.0.0');
  assert.equal(state, 'signed');
  const [one, ...others] = signing.timestamps(id);
  assert.ok(one !== undefined && others.length === 0 && one.key === 'pump-1');
  verifyToken(one.token, one.signature);
});

const journalPath = (): string => join(bed.keyd.dir, 'journal');
const entries = (kind: string): number =>
  readJournal(journalPath()).entries.filter((entry) => entry.kind === kind).length;

test('TEST-KEY-23 where one is required and the TSA is stopped nothing is signed and nothing counts, the request waits and says why', async () => {
  await policySays('required');
  await tsa('suspend');
  const before = entries('firmware-order');
  const waiting = await order('cms', Buffer.from('an image'), '1.1.0');
  assert.equal(waiting.state, 'approved');
  assert.match(String(waiting.late), /signing\.timestamp-waits: tsa: key\.use-forbidden/);
  await assert.rejects(signing.result(waiting.id), { code: 'signing.not-signed' });
  assert.equal(entries('firmware-order'), before);
  await tsa('resume');
  await signing.tick();
  await signing.settled();
  assert.equal(signing.show(waiting.id).state, 'signed');
});

test('TEST-KEY-13 keyd itself gives no signature without the time stamp that is required: one of before a kill, and one of before the policy said so, are stamped first', async () => {
  const image = Buffer.from('another image');
  const { id, statements, order: ordered } = await order('cms', image, '1.1.1');
  const subject = await subjectOf('cms', ordered.image.sha256);
  const ask = () => bed.keyd.client.signFirmware({ statements: [...statements], subject, requestId: 'again' });
  const [first] = (await ask()).signatures;
  const inside = stampIn(await resultOf(id));
  assert.deepEqual(Buffer.from(first?.signature ?? []), Buffer.from(inside.signature));
  assert.deepEqual(Buffer.from(first?.timestamp ?? []), inside.token, 'the same order again has the same token');
  // keyd was killed between the signature and its time stamp.
  await bed.keyd.stop();
  const lines = readFileSync(journalPath(), 'utf8').trimEnd().split('\n');
  assert.match(lines.pop() ?? '', /"firmware-stamp"/);
  assert.match(lines.at(-1) ?? '', /"firmware-signature"/);
  writeFileSync(journalPath(), `${lines.join('\n')}\n`);
  await bed.keyd.start();
  await tsa('suspend');
  await assert.rejects(ask(), { code: 'signing.timestamp-waits' });
  await policySays('wanted');
  assert.equal((await ask()).signatures[0]?.timestamp, undefined);
  await policySays('required');
  await assert.rejects(ask(), { code: 'signing.timestamp-waits' });
  await tsa('resume');
  const [again] = (await ask()).signatures;
  assert.deepEqual(again?.signature, first?.signature);
  verifyToken(again?.timestamp ?? new Uint8Array(), again?.signature ?? new Uint8Array());
  await bed.keyd.restart();
  assert.deepEqual((await ask()).signatures[0], again);
  assert.equal(lines.filter((line) => line.includes('"firmware-signature"')).length, entries('firmware-signature'));
});

test('where one is wanted and the TSA is stopped the signature is made without, and waits for a keyd that is away', async () => {
  await policySays('wanted');
  await tsa('suspend');
  const without = await order('cms', Buffer.from('a second'), '1.2.0');
  assert.equal(without.state, 'signed');
  writeFileSync(file('message.der'), await resultOf(without.id));
  assert.doesNotMatch(openssl('asn1parse', '-inform', 'DER', '-in', 'message.der').output, /timeStampToken/);
  await tsa('resume');
  away = true;
  const waits = await order('cms', Buffer.from('a third'), '1.3.0');
  assert.equal(waits.state, 'approved');
  away = false;
  // serve is killed meanwhile.
  await startRoom();
  assert.equal(signing.show(waits.id).state, 'signed');
});

test('a policy that wants none has none, and a stamp of after the end of the certificate is none: what requires it is refused', async () => {
  await policySays('none');
  const none = await order('sshsig', Buffer.from('without'), '2.0.0');
  assert.deepEqual([none.state, signing.timestamps(none.id)], ['signed', []]);
  // Before the policy required it this one was signed, and nobody has it.
  const { statements, order: late } = await order('sshsig', Buffer.from('late'), '2.1.0');
  const subject = await subjectOf('sshsig', late.image.sha256);
  await policySays('required');
  bed.keyd.clock.advance(31 * DAY);
  const ask = bed.keyd.client.signFirmware({ statements: [...statements], subject, requestId: 'late' });
  await assert.rejects(ask, { code: 'signing.timestamp-late' });
});
