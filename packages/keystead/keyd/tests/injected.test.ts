import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { BatchTicketDraft } from '@keystead/core/lifecycle';
import { parseCsr, readCertificate } from '@keystead/core/x509';
import { parse } from 'yaml';
import { wycheproof } from '../../../core/crypto/tests/support.ts';
import type { Params, Result } from '../../keyd-client/index.ts';
import { csrFor, KeydBed, makeKey } from './bed.ts';
import { ChipMaker } from './chip-maker.ts';
import { OpensslUnit } from './unit-with-openssl.ts';

/* keyd with a policy by which it may make the keys of units, and units that are openssl alone. */
let bed: KeydBed;
let maker: ChipMaker;
let root: DerCertificate;
const units: OpensslUnit[] = [];
before(async () => {
  maker = new ChipMaker('Chips AG');
  bed = await KeydBed.make({
    unitKeys: { injected: ['idevid'] },
    attestation: { required: false, anchors: [], secureElements: maker.policy() },
  });
  bed.clock.set(new Date(Date.now() + 3_600_000));
  root = (await bed.client.trust()).certificates.root as DerCertificate;
});
after(async () => {
  await bed?.remove();
  maker.remove();
  for (const unit of units) unit.remove();
});

function newUnit(curve: 'P-256' | 'P-384' = 'P-256'): OpensslUnit {
  const unit = new OpensslUnit(curve);
  units.push(unit);
  return unit;
}

const at = (deviceId: string, ticket: string) => ({
  ticket,
  deviceId,
  station: 'station-1',
  operator: 'lin',
  line: 'line-1',
  requestId: `unit-${deviceId}`,
});
const batch = (id: string, more: Partial<BatchTicketDraft> = {}) =>
  bed.ticket({ id, keyOrigins: ['injected', 'proof-of-possession', 'secure-element'], ...more });
const makeKeyFor = (
  deviceId: string,
  ticket: string,
  recipient: Uint8Array,
  more: Partial<Params<'makeUnitKey'>> = {},
): Promise<Result<'makeUnitKey'>> =>
  bed.client.makeUnitKey({ ...at(deviceId, ticket), algorithm: 'P-256', recipient, ...more });
const certify = (
  deviceId: string,
  ticket: string,
  csr: Uint8Array,
  way: Params<'provision'>['way'] = { kind: 'injected' },
): Promise<Result<'provision'>> => bed.client.provision({ ...at(deviceId, ticket), csr, way });

const journal = (): string => readFileSync(join(bed.dir, 'journal'), 'utf8');

/** Asserts a refusal by its code, field and what was seen, after which nothing is in the journal. */
async function refused(code: string, seen: RegExp, act: Promise<unknown>): Promise<void> {
  const before = journal();
  await assert.rejects(act, (error) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(`${error.field}: ${error.seen}`, seen);
    return true;
  });
  assert.equal(journal(), before);
}

for (const [deviceId, curve, algorithm] of [
  ['KS-0001', 'P-256', 'P-256'],
  ['KS-0002', 'P-384', 'P-384'],
  ['KS-0003', 'P-256', 'Ed25519'],
] as const) {
  test(`TEST-KEY-17 TEST-KEY-03: a unit with a ${curve} ephemeral key gets an ${algorithm} key from keyd: openssl opens the package, verifies who made it, and the certificate is for that key [openssl cms: CMS EnvelopedData]`, async () => {
    const unit = newUnit(curve);
    const ticket = await batch('openssl');
    const { csr, envelope } = await makeKeyFor(deviceId, ticket, unit.recipient, { algorithm });
    const issued = await certify(deviceId, ticket, csr);
    const pkcs8 = unit.privateKey(envelope, root, bed.clock.now());
    assert.deepEqual(unit.publicHalf(pkcs8), Uint8Array.from(readCertificate(issued.certificate).spki));
    const { key } = parse(issued.record) as { key: Record<string, string> };
    assert.deepEqual(
      [key.origin, key.generated_by, key.wrapped_to, key.wrapped_to_spki_sha256],
      ['injected', 'keyd, in memory', 'a key that the unit showed', spkiSha256(unit.recipient)],
    );
    assert.match(journal(), new RegExp(`"spkiSha256":"${issued.spkiSha256}".*"keyOrigin":"keyd"`));
  });
}

test('TEST-KEY-17: the package of one unit opens with no other ephemeral key', async () => {
  const [unit, other] = [newUnit(), newUnit()];
  const { envelope } = await makeKeyFor('KS-0004', await batch('stranger'), unit.recipient);
  assert.throws(() => other.decrypt(envelope), /cms|Error|error/);
  assert.ok(unit.decrypt(envelope).length > 300);
});

test('TEST-KEY-17: where the key it is wrapped to is one that a chip’s maker certified, the record names the chip', async () => {
  const chip = maker.chip('0101', 'keyAgreement');
  const ticket = await batch('chip');
  const { csr } = await makeKeyFor('KS-0005', ticket, chip.spki, { chain: chip.chain });
  const { key } = parse((await certify('KS-0005', ticket, csr)).record) as { key: Record<string, string> };
  assert.deepEqual([key.origin, key.wrapped_to, key.chip_serial], ['injected', 'a key that a chip holds', '0101']);
  const other = maker.chip('0102', 'keyAgreement');
  await refused(
    'element.key-refused',
    /another key than the chip has/,
    makeKeyFor('KS-0006', ticket, newUnit().recipient, { chain: other.chain }),
  );
  const signs = maker.chip('0103', 'digitalSignature');
  await refused(
    'element.chip-refused',
    /digitalSignature/,
    makeKeyFor('KS-0006', ticket, signs.spki, { chain: signs.chain }),
  );
});

test('TEST-KEY-17: the chip that a key was wrapped to is one device, for every way, also after a restart', async () => {
  const chip = maker.chip('0110');
  const again = maker.chip('0110');
  const ticket = await batch('one-chip');
  await makeKeyFor('KS-0091', ticket, chip.spki, { chain: chip.chain });
  for (const restart of [false, true]) {
    if (restart) await bed.restart();
    const used = /the chip of KS-0091/;
    await refused('element.chip-used', used, makeKeyFor('KS-0092', ticket, again.spki, { chain: again.chain }));
    for (const shown of [chip, again]) {
      const way = { kind: 'secure-element', chain: shown.chain } as const;
      await refused('element.chip-used', used, certify('KS-0092', ticket, await csrFor('KS-0092', shown), way));
    }
  }
  // The device's own, as before.
  const { repeated } = await makeKeyFor('KS-0091', ticket, chip.spki, { chain: chip.chain });
  assert.equal(repeated, true);
});

test('TEST-KEY-17: the same unit with the same ephemeral key gets the same package and the same key, also after a restart and over what a crash left behind, and takes one unit of the quota', async () => {
  const unit = newUnit();
  const ticket = await batch('again', { quota: 1 });
  const first = await makeKeyFor('KS-0010', ticket, unit.recipient);
  assert.equal(first.repeated, false);
  const same = async (): Promise<void> => {
    const again = await makeKeyFor('KS-0010', ticket, unit.recipient);
    assert.deepEqual({ ...again }, { ...first, repeated: true });
  };
  await same();
  const { spkiSha256: key } = await certify('KS-0010', ticket, first.csr);
  await same();
  // A package that was being written when the power went, and that no journal names.
  appendFileSync(join(bed.dir, 'injected'), '{"csr":"AAAA","enve');
  await bed.restart();
  await same();
  assert.equal((await certify('KS-0010', ticket, first.csr)).spkiSha256, key);
  const next = await makeKeyFor('KS-0011', await batch('after'), newUnit().recipient);
  await bed.restart();
  assert.deepEqual(parseCsr((await makeKeyFor('KS-0010', ticket, unit.recipient)).csr).der, first.csr);
  assert.notDeepEqual(next.csr, first.csr);
  assert.equal((await bed.client.status()).tickets.find(({ id }) => id === 'again')?.units, 1);
});

test('TEST-KEY-13 TEST-KEY-17: a unit whose identity is on hold or was revoked gets neither its package nor another certificate, unless nobody was given the first', async () => {
  const ticket = await batch('revoked');
  const cases = [
    ['KS-0012', 'keyCompromise'],
    ['KS-0013', 'certificateHold'],
    ['KS-0014', 'cessationOfOperation'],
    ['KS-0015', undefined],
  ] as const;
  const made: (() => Promise<unknown>)[][] = [];
  for (const [deviceId, reason] of cases) {
    const { recipient } = newUnit();
    const { csr } = await makeKeyFor(deviceId, ticket, recipient);
    const { serial } = await certify(deviceId, ticket, csr);
    const entry = { serial, revokedAt: bed.clock.now(), ...(reason === undefined ? {} : { reason }) };
    await bed.client.listRevocations({ issuer: 'manufacturing', entries: [entry] });
    made.push([() => makeKeyFor(deviceId, ticket, recipient), () => certify(deviceId, ticket, csr)]);
  }
  for (const restart of [false, true]) {
    if (restart) await bed.restart();
    for (const [index, [deviceId, reason]] of cases.entries())
      for (const again of made[index] ?? []) {
        if (reason === undefined) await again();
        else await refused('device.blocked', new RegExp(`${deviceId}: ${reason}`), again());
      }
  }
});

test('TEST-KEY-17: a unit that has an identity gets no injected key, whatever its way was, and one ephemeral key is for one unit', async () => {
  const ticket = await batch('identity');
  await bed.provision('KS-0020', ticket);
  await refused(
    'device.already-provisioned',
    /KS-0020 with another key/,
    makeKeyFor('KS-0020', ticket, newUnit().recipient),
  );
  const unit = newUnit();
  const { csr } = await makeKeyFor('KS-0021', ticket, unit.recipient);
  await certify('KS-0021', ticket, csr);
  await refused(
    'device.already-provisioned',
    /KS-0021 with another key/,
    makeKeyFor('KS-0021', ticket, newUnit().recipient),
  );
  await refused('injection.recipient-used', /the key of KS-0021/, makeKeyFor('KS-0022', ticket, unit.recipient));
  const shared = newUnit();
  const both = await Promise.allSettled([
    makeKeyFor('KS-0023', ticket, shared.recipient),
    makeKeyFor('KS-0024', ticket, shared.recipient),
  ]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
});

test('TEST-KEY-17: a key that somebody else can have is no recipient: an identity, one that keyd made, one off the curve, another curve', async () => {
  const ticket = await batch('recipients');
  const identity = makeKey();
  await bed.provision('KS-0030', ticket, identity);
  await refused('injection.recipient-unfit', /KS-0030/, makeKeyFor('KS-0031', ticket, identity.spki));
  const { csr } = await makeKeyFor('KS-0032', ticket, newUnit().recipient);
  await refused('injection.recipient-unfit', /keyd made/, makeKeyFor('KS-0031', ticket, parseCsr(csr).spki));
  const off = Uint8Array.from(newUnit().recipient);
  off[off.length - 1] = (off.at(-1) ?? 0) ^ 1;
  await refused('key.weak', /not on its curve/, makeKeyFor('KS-0031', ticket, off));
  await refused('key.algorithm-forbidden', /Ed25519/, makeKeyFor('KS-0031', ticket, makeKey('Ed25519').spki));
  await refused('key.weak', /./, makeKeyFor('KS-0031', ticket, Uint8Array.of(0x30, 0)));
});

test('TEST-KEY-06 TEST-KEY-17: Wycheproof’s invalid public keys are all refused as recipients, and nothing is made', async () => {
  const ticket = await batch('wycheproof');
  const before = journal();
  let tried = 0;
  for (const [file, other] of [
    ['ecdh_secp256r1_test.json', '3076301006072a8648ce3d020106052b81040022036200'],
    ['ecdh_secp384r1_test.json', '3059301306072a8648ce3d020106082a8648ce3d030107034200'],
  ] as const) {
    const tests = wycheproof(file).flatMap((group) => group.tests);
    for (const { public: publicKey, result } of tests) {
      const recipient = new Uint8Array(Buffer.from(String(publicKey), 'hex'));
      // A good key of the other curve is invalid for that test's private key alone.
      if (result !== 'invalid' || recipient.length > 256 || String(publicKey).startsWith(other)) continue;
      tried += 1;
      await assert.rejects(makeKeyFor('KS-0040', ticket, recipient), (error) => {
        assert.ok(error instanceof KeysteadError, String(error));
        assert.match(error.code, /^(key|agreement|injection)\./);
        return true;
      });
    }
  }
  assert.ok(tried > 50, String(tried));
  assert.equal(journal(), before);
});

test('TEST-KEY-03: the record says that keyd made the key, whatever the front end says of it; it is no chip’s and no other unit’s', async () => {
  const ticket = await batch('lies');
  const { csr } = await makeKeyFor('KS-0050', ticket, newUnit().recipient);
  const chip = maker.chip('0150');
  await refused(
    'element.key-refused',
    /a key that keyd made/,
    certify('KS-0050', ticket, csr, { kind: 'secure-element', chain: chip.chain }),
  );
  await refused('csr.subject-mismatch', /KS-0050/, certify('KS-0051', ticket, csr));
  const unit = await bed.client.provision({ ...at('KS-0050', ticket), csr });
  assert.equal((parse(unit.record) as { key: { origin: string } }).key.origin, 'injected');
  await refused('injection.none', /did not make/, certify('KS-0052', ticket, await csrFor('KS-0052')));
});

test('TEST-KEY-17: keyd makes a key only where policy and ticket both say so, for the algorithms of the profile, and a few for one unit', async () => {
  const recipient = newUnit().recipient;
  const silent = await bed.ticket({ id: 'silent' });
  await refused('injection.forbidden', /names no keyOrigins/, makeKeyFor('KS-0060', silent, recipient));
  const others = await batch('others', { keyOrigins: ['proof-of-possession'] });
  await refused('ticket.key-origin-forbidden', /injected/, makeKeyFor('KS-0060', others, recipient));
  const demanding = await batch('demanding', { attestation: 'required' });
  await refused('attestation.required', /demanding/, makeKeyFor('KS-0060', demanding, recipient));
  const ticket = await batch('few');
  for (let n = 0; n < 4; n += 1) await makeKeyFor('KS-0061', ticket, newUnit().recipient);
  await refused('injection.too-many', /4 keys/, makeKeyFor('KS-0061', ticket, recipient));
  const bare = await KeydBed.make();
  try {
    bare.clock.set(bed.clock.now());
    const named = at('KS-0062', await bare.ticket({ keyOrigins: ['injected'] }));
    await assert.rejects(
      bare.client.makeUnitKey({ ...named, algorithm: 'P-256', recipient }),
      (error) => error instanceof KeysteadError && error.code === 'injection.forbidden',
    );
  } finally {
    await bare.remove();
  }
});

test('TEST-KEY-17: where the package cannot be written the unit may come again, and nothing was made', async () => {
  const ticket = await batch('unwritable');
  const unit = newUnit();
  const file = join(bed.dir, 'injected');
  renameSync(file, `${file}.aside`);
  mkdirSync(file);
  await refused('keyd.journal-failed', /injected: EISDIR/, makeKeyFor('KS-0093', ticket, unit.recipient));
  rmSync(file, { recursive: true });
  renameSync(`${file}.aside`, file);
  assert.equal((await makeKeyFor('KS-0093', ticket, unit.recipient)).repeated, false);
});

test('TEST-KEY-17: a package that was changed on the disk is given to nobody', async () => {
  const unit = newUnit();
  const ticket = await batch('damaged');
  await makeKeyFor('KS-0070', ticket, unit.recipient);
  const path = join(bed.dir, 'injected');
  const whole = readFileSync(path);
  writeFileSync(path, Buffer.concat([whole.subarray(0, -40), Buffer.alloc(40, 65)]));
  await refused('injection.package-lost', /KS-0070/, makeKeyFor('KS-0070', ticket, unit.recipient));
  writeFileSync(path, whole);
  assert.equal((await makeKeyFor('KS-0070', ticket, unit.recipient)).repeated, true);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('TEST-KEY-12 TEST-KEY-03: the private half stands in no answer and in no file of keyd, in no form, and every secret of the operation is wiped', async (t) => {
  const unit = newUnit();
  const ticket = await batch('wiped');
  const made: SecretBytes[] = [];
  const kept = { take: SecretBytes.take, copy: SecretBytes.copy, random: SecretBytes.random };
  t.after(() => Object.assign(SecretBytes, kept));
  Object.assign(SecretBytes, {
    take: (bytes: Uint8Array) => remember(kept.take.call(SecretBytes, bytes)),
    copy: (bytes: Uint8Array) => remember(kept.copy.call(SecretBytes, bytes)),
    random: (length: number) => remember(kept.random.call(SecretBytes, length)),
  });
  const remember = (secret: SecretBytes): SecretBytes => {
    made.push(secret);
    return secret;
  };
  const answer = await makeKeyFor('KS-0080', ticket, unit.recipient);
  const issued = await certify('KS-0080', ticket, answer.csr);
  assert.ok(made.length >= 4, `${made.length} secrets`);
  assert.deepEqual(
    made.filter((secret) => !secret.wiped),
    [],
  );
  const pkcs8 = unit.privateKey(answer.envelope, root, bed.clock.now());
  const scalar = Buffer.from(pkcs8.subarray(36, 68));
  const found = { ...answer, ...issued } as Record<string, unknown>;
  const wire = Object.values(found).map((value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value),
  );
  const files = readdirSync(bed.dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(bed.dir, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'));
  for (const text of [...wire, ...files]) {
    for (const form of [scalar.toString('latin1'), scalar.toString('hex'), ...aligned(scalar)])
      assert.ok(!text.includes(form));
  }
  // The search finds it where it is.
  assert.ok(Buffer.from(pkcs8).includes(scalar));
  const spki = unit.publicHalf(pkcs8) as DerSpki;
  assert.equal(spkiSha256(spki), issued.spkiSha256);
});

/** Base64 of the bytes wherever they stand in a longer text, without the digits that depend on what is around them. */
function aligned(bytes: Buffer): string[] {
  return [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    return text.slice(4, -4);
  });
}
