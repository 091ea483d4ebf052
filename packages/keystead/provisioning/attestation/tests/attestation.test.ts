import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type AttestationAnswer, type AttestationRequest, TpmDevice } from '@keystead/agent';
import type { DerCertificate } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { certSha256, generateSoftwareKey, softwareSigner, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { certificationRequest } from '@keystead/core/x509';
import { decodePublic, encodePublic, spkiOf, Tpm } from '@keystead/tpm2';
import fc from 'fast-check';
import { TestCa, USAGE } from '../../../../agent/tests/test-ca.ts';
import { Swtpm } from '../../../../tpm2/tests/swtpm.ts';
import { Attestation, type AttestationChallenge, type AttestationOrder } from '../index.ts';

/** Two machines with TPMs of one maker, each with a device's keys; the server trusts the maker's root. */
interface Machine {
  readonly swtpm: Swtpm;
  readonly tpm: Tpm;
  readonly device: TpmDevice;
  readonly order: AttestationOrder;
}

const work = mkdtempSync(join(tmpdir(), 'keystead-attestation-'));
// The certificates of swtpm's CA are valid from now on.
const clock = new SimulatedClock(new Date(Date.now() + 3_600_000));
let one: Machine;
let two: Machine;
let trust: { roots: DerCertificate[]; intermediates: DerCertificate[] };

async function machine(name: string): Promise<Machine> {
  const swtpm = await Swtpm.start({ certificates: true });
  const tpm = await Tpm.open(swtpm.address);
  const device = await TpmDevice.create(join(work, name), tpm, { clock });
  const csr = await certificationRequest(name, device.signer());
  return { swtpm, tpm, device, order: { ...(await device.attestationRequest()), csr } };
}

before(async () => {
  one = await machine('one');
  two = await machine('two');
  const authorities = [one, two].map(({ swtpm }) => swtpm.authorities());
  trust = { roots: authorities.map(({ root }) => root), intermediates: authorities.map(({ issuer }) => issuer) };
});
after(async () => {
  for (const { tpm, swtpm } of [one, two]) {
    await tpm.close();
    await swtpm.stop();
  }
  rmSync(work, { recursive: true });
});

const server = (): Attestation => new Attestation(trust, clock);
const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };
const answered = async (
  attestation: Attestation,
  { device, order }: Machine,
): Promise<{ challenge: AttestationChallenge; answer: AttestationAnswer }> => {
  const challenge = attestation.challenge(order);
  return { challenge, answer: await device.answer(challenge) };
};

test('TEST-KEY-03: a key in a TPM of a trusted maker is attested: which TPM, which key, made there and fixed to it', async () => {
  const attestation = server();
  const { challenge, answer } = await answered(attestation, one);
  const attested = attestation.verify(challenge.id, one.order.csr, answer);
  assert.equal(attested.origin, 'tpm2-attested');
  assert.equal(attested.spkiSha256, spkiSha256(one.device.signer().spki));
  assert.equal(attested.ekCertificateSha256, certSha256(one.order.ekCertificate as DerCertificate));
  assert.match(attested.keyName, /^000b[0-9a-f]{64}$/);
  // The directory holds three wrapped files and nothing else.
  assert.deepEqual(readdirSync(join(work, 'one')).sort(), ['attestation.tpm2', 'idevid.tpm2', 'secret.tpm2']);
});

test('a challenge is answered once, in time, and only the secret that the TPM opened answers it', async () => {
  const attestation = server();
  const first = await answered(attestation, one);
  attestation.verify(first.challenge.id, one.order.csr, first.answer);
  assert.throws(
    () => attestation.verify(first.challenge.id, one.order.csr, first.answer),
    fails('attestation.challenge-refused', /answered before/),
  );
  const guess = attestation.challenge(one.order);
  const { statement } = await one.device.answer(guess);
  const secret = randomFillSync(new Uint8Array(32));
  assert.throws(
    () => attestation.verify(guess.id, one.order.csr, { secret, statement }),
    fails('attestation.challenge-refused', /secret/),
  );
  // A wrong answer uses it up: nobody may try again.
  assert.throws(
    () => attestation.verify(guess.id, one.order.csr, { secret, statement }),
    fails('attestation.challenge-refused', /answered before/),
  );
  const late = await answered(attestation, one);
  clock.set(new Date(late.challenge.expiresAt));
  assert.throws(
    () => attestation.verify(late.challenge.id, one.order.csr, late.answer),
    fails('attestation.challenge-refused', /expired/),
  );
});

test('TEST-KEY-03: another TPM cannot answer, and a key of its own cannot be passed off as one of this TPM', async () => {
  const attestation = server();
  const challenge = attestation.challenge(one.order);
  await assert.rejects(two.device.answer(challenge), fails('tpm2.refused', /INTEGRITY|VALUE|SIZE|ECC_POINT/));
  // The honest TPM's endorsement, another's attestation key: the honest TPM does not hold it and opens nothing.
  const mixed = attestation.challenge({ ...one.order, akPublic: two.order.akPublic });
  await assert.rejects(one.device.answer(mixed), fails('tpm2.refused', /INTEGRITY|VALUE/));
  // The honest TPM's endorsement and attestation key, another's device key: its statement is about another key.
  const { keyPublic, csr } = two.order;
  const stolen = attestation.challenge({ ...one.order, keyPublic, csr });
  const answer = await one.device.answer(stolen);
  assert.throws(
    () => attestation.verify(stolen.id, csr, answer),
    fails('attestation.statement-refused', /name: .*another object/),
  );
});

test('a statement for one challenge answers no other', async () => {
  const attestation = server();
  const [a, b] = [await answered(attestation, one), await answered(attestation, one)];
  const { secret } = b.answer;
  assert.throws(
    () => attestation.verify(b.challenge.id, one.order.csr, { secret, statement: a.answer.statement }),
    fails('attestation.statement-refused', /nonce/),
  );
});

test('TEST-KEY-03: a key made in software is refused, whatever its public area says and whatever request comes with it', async () => {
  const attestation = server();
  const { pkcs8 } = generateSoftwareKey('P-256');
  const csr = await certificationRequest('one', softwareSigner('P-256', pkcs8));
  assert.throws(() => attestation.challenge({ ...one.order, csr }), fails('attestation.key-refused', /csr/));
  const { challenge, answer } = await answered(attestation, one);
  assert.throws(() => attestation.verify(challenge.id, csr, answer), fails('attestation.challenge-refused', /csr/));
  // fixedTPM (bit 1), fixedParent (4), sensitiveDataOrigin (5) taken away one by one; decrypt (17) added.
  const area = decodePublic(one.order.keyPublic);
  for (const bit of [1, 4, 5, 17]) {
    const keyPublic = encodePublic({ ...area, attributes: area.attributes ^ (1 << bit) });
    assert.throws(
      () => attestation.challenge({ ...one.order, keyPublic }),
      fails('attestation.key-refused', /attributes 0x/),
      `bit ${bit}`,
    );
  }
  // A key that signs anything cannot attest: it could be made to sign a statement that no TPM made.
  const akPublic = one.order.keyPublic;
  assert.throws(
    () => attestation.challenge({ ...one.order, akPublic }),
    fails('attestation.key-refused', /restricted/),
  );
});

test('an endorsement certificate must lead to a trusted maker, be one, and be of this key', () => {
  const refused = (seen: RegExp) => fails('attestation.ek-refused', seen);
  const untrusting = new Attestation({ roots: [], intermediates: trust.intermediates }, clock);
  assert.throws(() => untrusting.challenge(one.order), refused(/EK certificate/));
  const { ekPublic } = two.order;
  assert.throws(() => server().challenge({ ...one.order, ekPublic }), refused(/another key/));
  // The attestation key is no endorsement key: from no template of the profile.
  const { akPublic } = one.order;
  assert.throws(() => server().challenge({ ...one.order, ekPublic: akPublic }), refused(/template/));
  // A CA that is trusted for something else, or a maker's certificate for another purpose.
  const area = decodePublic(one.order.ekPublic);
  assert.ok(area.type !== 'sealed');
  const now = clock.now();
  const [from, to] = [new Date(now.getTime() - 1000), new Date(now.getTime() + 86_400_000)];
  const root = TestCa.root('a maker', from, to);
  const other = new Attestation({ roots: [root.certificate], intermediates: [] }, clock);
  const wish = { subject: { rdns: [] }, spki: spkiOf(area), notBefore: from, notAfter: to };
  const san = [[6, 'urn:tpm']] as const;
  const ekCertificate = root.issue({ ...wish, san, extKeyUsage: [USAGE.clientAuth] });
  assert.throws(() => other.challenge({ ...one.order, ekCertificate }), refused(/EK certificate/));
});

test('an endorsement certificate outside of its validity is refused', () => {
  // Those of swtpm have no end (RFC 5280 section 4.1.2.5), but a beginning.
  const early = new SimulatedClock(new Date('2020-01-01T00:00:00Z'));
  const refused = fails('attestation.ek-refused', /EK certificate/);
  assert.throws(() => new Attestation(trust, early).challenge(one.order), refused);
});

test('whatever bytes a device sends, the server refuses by name and keeps no challenge of it', () => {
  const attestation = server();
  const fields = ['ekCertificate', 'ekPublic', 'akPublic', 'keyPublic', 'csr'] as const;
  const mangled = fc.tuple(fc.constantFrom(...fields), fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean());
  fc.assert(
    fc.property(mangled, ([field, at, change, cut]) => {
      const whole = one.order[field];
      const bytes = cut ? whole.slice(0, at % whole.length) : whole.slice();
      if (!cut) bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ change;
      try {
        // What is left to be found by the TPM: a changed key of the attestation key's own.
        attestation.challenge({ ...one.order, [field]: bytes });
        assert.ok(field === 'akPublic' || field === 'keyPublic', field);
      } catch (error) {
        assert.ok(error instanceof KeysteadError && error.kind !== 'internal', `${field}: ${String(error)}`);
      }
    }),
    { numRuns: 300 },
  );
});

test('so many challenges and no more wait; when they have expired there is room again', () => {
  const attestation = new Attestation(trust, clock, { mostOpen: 3 });
  for (let made = 0; made < 3; made += 1) attestation.challenge(one.order);
  assert.throws(() => attestation.challenge(one.order), fails('attestation.busy', /saw 3/));
  clock.advance(120);
  attestation.challenge(one.order);
});

test('a TPM without a certificate of its maker attests nothing, and says so', async () => {
  const bare = await Swtpm.start();
  try {
    await using tpm = await Tpm.open(bare.address);
    const device = await TpmDevice.create(join(work, 'bare'), tpm, { clock });
    const asked: Promise<AttestationRequest> = device.attestationRequest();
    await assert.rejects(asked, fails('tpm2.unsupported', /EK certificate/));
  } finally {
    await bare.stop();
  }
});
