import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SimulatedClock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { decodePublic, encodePublic, type KeyPublic } from '@keystead/tpm2';
import fc from 'fast-check';
import { Allowance } from '../attestation/allowance.ts';
import { Attestation, type ChallengeLimits, type ShownKeys, type UnitAtLine } from '../attestation/index.ts';
import { TpmMachine } from './tpm-machine.ts';

/** What keyd's attestation bears: few, wrong and hostile keys. The TPM is swtpm. */
const clock = new SimulatedClock(new Date());
let machine: TpmMachine;
let shown: ShownKeys;
before(async () => {
  machine = await TpmMachine.start(clock);
  shown = machine.shown;
  clock.set(new Date());
});
after(() => machine.stop());

const PLENTY: Partial<ChallengeLimits> = {
  each: { burst: 1e6, perSecond: 1 },
  all: { burst: 1e6, perSecond: 1 },
};
const unit = (deviceId: string, operator = 'lin'): UnitAtLine => ({
  ...{ ticketSha256: 'aa'.repeat(32), deviceId, operator, station: 'lin', line: 'line-1' },
});
const attestation = (limits: Partial<ChallengeLimits> = {}): Attestation =>
  new Attestation(machine.maker(), { ...PLENTY, ...limits });
const challenge = (of: Attestation, by: UnitAtLine, what: Partial<ShownKeys> = {}) =>
  of.challenge(by, { ...shown, ...what }, ['P-256'], clock.now(), () => undefined);

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };

test('challenges that nobody answers do not fill the memory: of one operator, of all; and give way when they have expired', () => {
  const own = attestation({ mostOpenEach: 2, mostOpen: 3 });
  challenge(own, unit('a'));
  challenge(own, unit('b'));
  assert.throws(() => challenge(own, unit('c')), fails('attestation.busy', /2 of lin/));
  challenge(own, unit('c', 'lou'));
  assert.throws(() => challenge(own, unit('d', 'lea')), fails('attestation.busy', /saw 3/));
  clock.advance(119);
  assert.throws(() => challenge(own, unit('d', 'lea')), fails('attestation.busy'));
  clock.advance(1);
  challenge(own, unit('d', 'lea'));
  own.wipe();
  for (const device of ['a', 'b']) challenge(own, unit(device));
});

test('a challenge that is refused ends no other one of the same device', async () => {
  const own = attestation();
  const made = challenge(own, unit('a'));
  assert.throws(() => challenge(own, unit('a'), { ekCertificate: undefined }), fails('attestation.ek-refused'));
  const refuse = () => {
    throw new KeysteadError('key.already-used', { field: 'csr' });
  };
  assert.throws(() => own.challenge(unit('a'), shown, ['P-256'], clock.now(), refuse), fails('key.already-used'));
  const answer = await machine.answer(made.credential);
  const key = machine.device.signer().spki;
  assert.equal(own.verify(made.id, unit('a'), key, answer, clock.now()).origin, 'tpm2-attested');
});

test('TEST-KEY-03: a key that could leave its TPM, was imported, decrypts, may be duplicated or has a Name by SHA-1 is refused by its public area, whoever signed what of it', () => {
  const own = attestation();
  const areaOf = (bytes: Uint8Array): KeyPublic => {
    const area = decodePublic(bytes);
    assert.ok(area.type === 'ecc');
    return area;
  };
  const key = areaOf(shown.keyPublic);
  const ak = areaOf(shown.akPublic);
  const refused = (what: Partial<ShownKeys>, seen: RegExp) =>
    assert.throws(() => challenge(own, unit('a'), what), fails('attestation.key-refused', seen));
  for (const bit of [1 << 1, 1 << 4, 1 << 5, 1 << 18]) {
    refused({ keyPublic: encodePublic({ ...key, attributes: key.attributes & ~bit }) }, /key: .*attributes/);
  }
  for (const bit of [1 << 11, 1 << 17]) {
    refused({ keyPublic: encodePublic({ ...key, attributes: key.attributes | bit }) }, /key: .*attributes/);
  }
  for (const bit of [1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 18]) {
    refused({ akPublic: encodePublic({ ...ak, attributes: ak.attributes & ~bit }) }, /attestation key/);
  }
  refused({ keyPublic: encodePublic({ ...key, nameAlg: 'sha1' }) }, /key: .*SHA-1/);
  refused({ akPublic: encodePublic({ ...ak, nameAlg: 'sha1' }) }, /attestation key: .*SHA-1/);
  assert.ok(ak.scheme !== undefined);
  refused({ akPublic: encodePublic({ ...ak, scheme: { ...ak.scheme, hash: 'sha1' } }) }, /SHA-1/);
  assert.throws(
    () => own.challenge(unit('a'), shown, ['P-384'], clock.now(), () => undefined),
    fails('key.algorithm-forbidden'),
  );
});

test('a statement with a changed octet, a torn one, or one of another key is refused', async () => {
  const own = attestation();
  const { statement } = shown;
  const refused = (what: Partial<ShownKeys>, seen = /./) =>
    assert.throws(() => challenge(own, unit('a'), what), fails('attestation.statement-refused', seen));
  for (let octet = 0; octet < statement.attest.length; octet += 11) {
    const attest = Uint8Array.from(statement.attest);
    attest[octet] = (attest[octet] ?? 0) ^ 1;
    refused({ statement: { ...statement, attest } });
  }
  refused({ statement: { ...statement, signature: statement.attest } }, /signature/);
  refused({ statement: { ...statement, attest: statement.attest.subarray(1) } });
  // By another scheme than the key's own: RSASSA, RSAPSS, and ECDSA by another hash.
  for (const scheme of ['0014', '0016', '0018']) {
    for (const hash of ['0004', '000b', '000c']) {
      const made = Buffer.from(`${scheme}${hash}0040${'11'.repeat(64)}`, 'hex');
      refused({ statement: { ...statement, signature: made } }, /signature/);
      refused({ statement: { ...statement, signature: Buffer.concat([made, made.subarray(4)]) } }, /signature/);
    }
  }
  const second = await (await machine.another('second', clock)).shown();
  refused({ keyPublic: second.keyPublic }, /name: .*another object/);
});

test('whatever a device shows, the outcome is a challenge or a refusal that blames the device, within a moment', () => {
  const own = attestation({ mostOpenEach: 1000, mostOpen: 1000 });
  const parts = ['ekCertificate', 'ekPublic', 'akPublic', 'keyPublic', 'attest', 'signature'] as const;
  const flat = { ...shown, ...shown.statement };
  fc.assert(
    fc.property(fc.constantFrom(...parts), fc.uint8Array({ maxLength: 600 }), fc.nat(500), (part, bytes, octet) => {
      const original = flat[part];
      assert.ok(original !== undefined);
      const changed = octet < original.length ? Uint8Array.from(original) : bytes;
      if (octet < original.length) changed[octet] = (changed[octet] ?? 0) ^ (1 + ((bytes[0] ?? 0) % 255));
      const { attest, signature, ...keys } = { ...flat, [part]: changed };
      const began = performance.now();
      try {
        challenge(own, unit('a'), { ...keys, statement: { attest, signature } });
      } catch (error) {
        assert.ok(error instanceof KeysteadError, String(error));
        assert.match(error.code, /^(attestation|key)\./, error.message);
        assert.notEqual(error.kind, 'internal', error.code);
      }
      assert.ok(performance.now() - began < 2000);
    }),
    { numRuns: 500 },
  );
});

test('an allowance never gives a name, or all names together, more turns than its rate', () => {
  const step = fc.record({ name: fc.constantFrom('a', 'b', 'c'), wait: fc.nat(700) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const allowance = new Allowance({ burst: 3, perSecond: 2 }, { burst: 5, perSecond: 4 });
      const had = new Map<string, number>();
      let now = 1_000_000;
      const from = now;
      for (const { name, wait } of steps) {
        now += wait;
        if (allowance.take(name, now)) had.set(name, (had.get(name) ?? 0) + 1);
        const seconds = (now - from) / 1000;
        for (const turns of had.values()) assert.ok(turns <= 3 + seconds * 2 + 1e-6);
        const all = [...had.values()].reduce((sum, turns) => sum + turns, 0);
        assert.ok(all <= 5 + seconds * 4 + 1e-6);
      }
    }),
  );
  const one = new Allowance({ burst: 1, perSecond: 1 }, { burst: 10, perSecond: 10 });
  assert.deepEqual(
    [one.take('a', 0), one.take('a', 500), one.take('b', 500), one.take('a', 1000)],
    [true, false, true, true],
  );
  // A clock that goes back gives nothing, and takes nothing.
  assert.deepEqual([one.take('a', 0), one.take('a', 2000)], [false, true]);
});
