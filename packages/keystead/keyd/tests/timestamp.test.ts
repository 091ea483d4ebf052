import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Serial, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { signKeyOrder } from '@keystead/core/lifecycle';
import { parseTimestampRequest, readCertificate, timestampResponse } from '@keystead/core/x509';
import type { JournalDraft } from '../journal-entry.ts';
import { readJournal } from '../read-journal.ts';
import { TsaFloor } from '../tsa-floor.ts';
import { TsaSigner } from '../tsa-signer.ts';
import { KeydBed } from './bed.ts';

let bed: KeydBed;
let folder: string;

before(async () => {
  bed = await KeydBed.make();
  // What openssl verifies is valid now.
  bed.clock.set(new Date());
  folder = mkdtempSync(join(tmpdir(), 'keystead-tsa-'));
  writeFileSync(join(folder, 'data'), 'a signature that shall outlive its certificate');
  const { certificates } = await bed.client.trust();
  writeFileSync(join(folder, 'root.pem'), toPem('CERTIFICATE', certificates.root ?? new Uint8Array()));
  writeFileSync(join(folder, 'server.pem'), toPem('CERTIFICATE', certificates.server ?? new Uint8Array()));
});
after(async () => {
  await bed.remove();
  rmSync(folder, { recursive: true, force: true });
});

const openssl = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' });
  return { code: status ?? -1, output: `${stdout}${stderr}` };
};

function query(...more: string[]) {
  execFileSync('openssl', ['ts', '-query', '-data', 'data', '-out', 'q.tsq', ...more], { cwd: folder, stdio: 'pipe' });
  return parseTimestampRequest(readFileSync(join(folder, 'q.tsq')));
}

async function stamp(...more: string[]) {
  const made = await bed.client.signTimestamp({ ...query(...more), requestId: 't' });
  writeFileSync(join(folder, 'a.tsr'), timestampResponse(made.token));
  return made;
}

const verify = (...more: string[]) =>
  openssl('ts', '-verify', '-in', 'a.tsr', '-queryfile', 'q.tsq', '-CAfile', 'root.pem', ...more);

const code =
  (expected: string) =>
  (error: unknown): boolean =>
    error instanceof KeysteadError && error.code === expected;

const made = () =>
  readJournal(join(bed.dir, 'journal')).entries.filter(
    (entry) => entry.kind === 'certificate' && entry.profile === 'tsa-signer',
  );

test('openssl ts verifies what keyd stamped, by the root and with the certificates in the token, and the TSA may do nothing else [openssl ts: TSP query, TSP verify]', async () => {
  for (const hash of ['-sha256', '-sha384', '-sha512']) {
    const { serial, time } = await stamp(hash, '-cert');
    const { code: exit, output } = verify();
    assert.equal(exit, 0, output);
    const told = openssl('ts', '-reply', '-in', 'a.tsr', '-text').output;
    assert.match(told, /Policy OID: 1\.3\.6\.1\.4\.1\.32473\.2/);
    assert.match(told, new RegExp(`Serial number: 0x${serial}`, 'i'));
    assert.match(told, /Accuracy: 0x03 seconds/);
    assert.ok(Math.abs(time.getTime() - bed.clock.now().getTime()) <= 1000);
  }
  const certificate = readFileSync(join(bed.dir, 'tsa-signer.pem'), 'latin1');
  writeFileSync(join(folder, 'tsa.pem'), certificate);
  const text = openssl('x509', '-in', 'tsa.pem', '-noout', '-text').output;
  assert.match(text, /Extended Key Usage: critical\s+Time Stamping\n/);
  assert.match(text, /Key Usage: critical\s+Digital Signature\n/);
});

test('without -cert the token holds no certificate, and whoever has it verifies by it', async () => {
  await stamp('-sha256');
  assert.notEqual(verify().code, 0);
  writeFileSync(join(folder, 'both.pem'), ['tsa.pem', 'server.pem'].map((f) => readFileSync(join(folder, f))).join(''));
  assert.equal(verify('-untrusted', 'both.pem').code, 0);
});

test('each token has its own serial number; a restart keeps the certificate, and the journal tells that tokens were made', async () => {
  const first = await stamp('-sha256', '-cert');
  await bed.restart();
  const second = await stamp('-sha256', '-cert');
  assert.notEqual(first.serial, second.serial);
  assert.equal(verify().code, 0);
  assert.equal(made().length, 1);
  const marks = () => readJournal(join(bed.dir, 'journal')).entries.filter(({ kind }) => kind === 'timestamps');
  // At most one entry an hour, however many are asked for and however often keyd is started.
  assert.equal(marks().length, 1);
  bed.clock.advance(3599);
  await stamp('-sha256', '-cert');
  assert.equal(marks().length, 1);
  bed.clock.advance(2);
  await stamp('-sha256', '-cert');
  assert.equal(marks().length, 2);
});

test('no token is given out before the journal tells of it, also to those who come while it is written, and none where it cannot be', async () => {
  const written: { draft: JournalDraft; done: () => void; failed: (error: Error) => void }[] = [];
  const journal = {
    append: (draft: JournalDraft) => new Promise<void>((done, failed) => void written.push({ draft, done, failed })),
  };
  const tsa = new TsaSigner(folder);
  const now = bed.clock.now();
  let marked = 0;
  const mark = async (at: Date) => {
    await tsa.mark({ journal }, at);
    marked += 1;
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const refused = [mark(now), mark(now)].map((one) => assert.rejects(one, /a full disk/));
  await turn();
  assert.deepEqual([written.length, marked], [1, 0]);
  written[0]?.failed(new Error('a full disk'));
  await Promise.all(refused);
  const late = new Date(now.getTime() + 2 * 3_600_000);
  const all = [mark(now), mark(now), mark(late)];
  await turn();
  assert.deepEqual([written.length, marked], [2, 0]);
  written[1]?.done();
  await turn();
  // The third has a time that the entry does not reach: it waits for one of its own.
  assert.deepEqual([written.length, marked], [3, 2]);
  written[2]?.done();
  await Promise.all(all);
  await mark(late);
  const told = written.map(({ draft }) => draft.kind === 'timestamps' && [draft.time, draft.tokens]);
  assert.deepEqual(told, [
    [now.toISOString(), 1],
    [now.toISOString(), 1],
    [late.toISOString(), 2],
  ]);
});

test('many at once are certified once and each stamped', async () => {
  const request = query('-sha256');
  const tokens = await Promise.all(
    Array.from({ length: 20 }, (_, index) => bed.client.signTimestamp({ ...request, requestId: `many-${index}` })),
  );
  assert.equal(new Set(tokens.map(({ serial }) => serial)).size, 20);
  assert.equal(made().length, 1);
});

test('a policy, a digest or a nonce that is not of the form is refused, and nothing is signed', async () => {
  const request = { ...query('-sha256'), requestId: 'bad' };
  const stamping = (more: object) => bed.client.signTimestamp({ ...request, ...more });
  await assert.rejects(stamping({ policy: '1.2.3' }), code('tsp.policy-unknown'));
  await assert.rejects(stamping({ imprint: new Uint8Array(31) }), code('tsp.malformed'));
  await assert.rejects(stamping({ hash: 'sha512' }), code('tsp.malformed'));
  await assert.rejects(stamping({ nonce: new Uint8Array(0) }), code('tsp.malformed'));
  await assert.rejects(stamping({ nonce: Uint8Array.of(0, 1) }), code('tsp.malformed'));
  await assert.rejects(stamping({ nonce: Uint8Array.of(0xff, 0x80) }), code('tsp.malformed'));
  await assert.rejects(stamping({ nonce: new Uint8Array(40).fill(1) }), code('request.malformed'));
  await assert.rejects(bed.client.signTimestamp({ ...request, hash: 'sha1' as never }), code('request.malformed'));
  await assert.rejects(stamping({ time: new Date() }), code('request.malformed'));
  assert.equal((await stamping({ policy: '1.3.6.1.4.1.32473.2' })).token.length > 0, true);
});

test('the front end cannot have a certificate for time stamps by asking for one', async () => {
  const profile = bed.policy.profiles.find(({ id }) => id === 'tsa-signer');
  assert.deepEqual(profile?.requesters, []);
});

test('a clock that went back stamps nothing, also after a restart', async () => {
  const now = bed.clock.now();
  await stamp('-sha256');
  bed.clock.set(new Date(now.getTime() - 60_000));
  await assert.rejects(stamp('-sha256'), code('clock.went-back'));
  await bed.restart();
  await assert.rejects(stamp('-sha256'), code('clock.went-back'));
  bed.clock.set(now);
  await stamp('-sha256');
});

test('between two kills no time goes back, by however little, and the time that the floor is ahead is no later than the accuracy says', async () => {
  const { clock } = bed;
  const stamps: Date[] = [];
  for (const step of [0, 1, 1, 5]) {
    clock.advance(step);
    stamps.push((await stamp('-sha256')).time);
  }
  const began = clock.now();
  const written = readFileSync(join(bed.dir, 'tsa-floor'), 'latin1');
  assert.ok(Date.parse(written) >= Math.max(...stamps.map(Number)));
  // A keyd that was killed, and a clock that was set back by less than it may: the time stands still.
  const others = new TsaSigner(bed.dir);
  assert.ok(others.floor.timeAt(began).getTime() >= began.getTime());
  await bed.restart();
  const { time } = await stamp('-sha256');
  assert.ok(time.getTime() - began.getTime() <= 3000);
  assert.ok(stamps.every((one) => one <= time));
  // By a second more than that it is noticed, where the journal, of up to an hour before, would not.
  clock.set(new Date(Date.parse(written) - 2500));
  await bed.restart();
  await assert.rejects(stamp('-sha256'), code('clock.went-back'));
  clock.set(new Date(began.getTime() + 5000));
  await stamp('-sha256');
  // Where the journal is as new as the floor, what they let the clock go back does not add up.
  clock.advance(2 * 3600);
  const last = (await stamp('-sha256')).time;
  clock.advance(-1.5);
  await bed.restart();
  await assert.rejects(stamp('-sha256'), code('clock.went-back'));
  clock.advance(1.5);
  const ahead = (await stamp('-sha256')).time;
  assert.ok(ahead >= last && ahead.getTime() - clock.now().getTime() <= 2000);
});

test('a floor that cannot be written, or says no time, stamps nothing', async () => {
  const path = join(bed.dir, 'tsa-floor');
  const whole = readFileSync(path);
  writeFileSync(path, 'yesterday');
  assert.throws(() => new TsaFloor(bed.dir), code('keyd.not-ready'));
  writeFileSync(path, whole);
  const gone = mkdtempSync(join(tmpdir(), 'keystead-floor-'));
  const floor = new TsaFloor(gone);
  rmSync(gone, { recursive: true });
  assert.throws(() => floor.pass(new Date()), code('keyd.journal-failed'));
  assert.equal(floor.timeAt(new Date(1)).getTime(), 1);
});

test('a year later the key has a new certificate, so that the newest token can be verified for years', async () => {
  const before = made().length;
  bed.clock.advance(370 * 24 * 3600);
  await stamp('-sha256');
  assert.equal(made().length, before + 1);
  const { notAfter } = readCertificate(certificateOf());
  assert.ok(notAfter.getTime() - bed.clock.now().getTime() > 8 * 365 * 24 * 3600 * 1000);
});

const certificateOf = () => {
  const [, body = ''] = readFileSync(join(bed.dir, 'tsa-signer.pem'), 'latin1').split(/-----[A-Z ]+-----/);
  return new Uint8Array(Buffer.from(body, 'base64')) as never;
};

test('where its certificate was revoked the TSA stamps no more, also a year later', async () => {
  const { serial } = readCertificate(certificateOf());
  await bed.client.listRevocations({
    issuer: 'server',
    entries: [{ serial, revokedAt: bed.clock.now(), reason: 'keyCompromise' }],
  });
  await assert.rejects(stamp('-sha256'), code('tsp.off'));
  bed.clock.advance(400 * 24 * 3600);
  await assert.rejects(stamp('-sha256'), code('tsp.off'));
  await bed.restart();
  await assert.rejects(stamp('-sha256'), code('tsp.off'));
});

test('a restore, which has no file of the certificate, certifies no key that was revoked, and each that it had counts', async () => {
  const before = made().length;
  rmSync(join(bed.dir, 'tsa-signer.pem'));
  await bed.restart();
  await assert.rejects(stamp('-sha256'), code('tsp.off'));
  assert.equal(made().length, before);
  const other = await KeydBed.make();
  try {
    const stamping = () => other.client.signTimestamp({ ...query('-sha256'), requestId: 'o' });
    await stamping();
    const [first] = readJournal(join(other.dir, 'journal')).entries.flatMap((entry) =>
      entry.kind === 'certificate' && entry.profile === 'tsa-signer' ? [entry.serial as Serial] : [],
    );
    assert.ok(first !== undefined);
    other.clock.advance(370 * 24 * 3600);
    await stamping();
    // That of the year before: the key is the same.
    const entries = [{ serial: first, revokedAt: other.clock.now(), reason: 'keyCompromise' } as const];
    await other.client.listRevocations({ issuer: 'server', entries });
    await assert.rejects(stamping(), code('tsp.off'));
  } finally {
    await other.remove();
  }
});

test('a key that operators stopped stamps nothing, and a policy without the profile has no TSA', async () => {
  const { keys } = await bed.client.keys();
  const key = keys.find(({ id }) => id === 'tsa');
  assert.equal(key?.purpose, 'tsa-signer');
  const without = await KeydBed.make({ tsaSigner: false });
  try {
    const request = { ...query('-sha256'), requestId: 'off' };
    await assert.rejects(without.client.signTimestamp(request), code('tsp.off'));
  } finally {
    await without.remove();
  }
  const other = await KeydBed.make();
  try {
    const held = (await other.client.keys()).keys.find(({ id }) => id === 'tsa');
    assert.ok(held !== undefined);
    const at = other.clock.now();
    const draft = { spkiSha256: held.spkiSha256, change: 'suspend', after: 0, reason: 'a drill', at } as const;
    const order = await signKeyOrder(draft, 'ada', other.people.ada.signer);
    await other.client.changeKey({ order, requestId: 'stop' });
    await assert.rejects(
      other.client.signTimestamp({ ...query('-sha256'), requestId: 'stopped' }),
      code('key.use-forbidden'),
    );
  } finally {
    await other.remove();
  }
});
