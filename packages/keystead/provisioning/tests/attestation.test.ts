import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type AttestationAnswer, type AttestationRequest, deviceCsr, makeKeyAndCsr, TpmDevice } from '@keystead/agent';
import type { DerCertificate, DerCsr } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { certSha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  create,
  decodePublic,
  encodePublic,
  endorsementCertificates,
  flushing,
  load,
  sign,
  signingTemplate,
  spkiOf,
  Tpm,
  withEndorsementKey,
  withStorageRoot,
} from '@keystead/tpm2';
import fc from 'fast-check';
import { Swtpm } from '../../../tpm2/tests/swtpm.ts';
import { Attestation, type AttestationOrder, type EndorsementTrust, verifyEndorsement } from '../attestation/index.ts';

/** One TPM with its device, and the authorities of its maker. */
interface Machine {
  readonly swtpm: Swtpm;
  readonly tpm: Tpm;
  readonly device: TpmDevice;
  readonly request: AttestationRequest;
  readonly csr: DerCsr;
  readonly trust: EndorsementTrust;
}

const clock = new SimulatedClock(new Date());
let work: string;
let one: Machine;
let two: Machine;

async function machine(name: string): Promise<Machine> {
  const swtpm = await Swtpm.start({ certificates: true });
  const tpm = await Tpm.open(swtpm.address);
  const device = await TpmDevice.create(join(work, name), tpm, { clock });
  const { issuer, root } = swtpm.authorities();
  const trust = { roots: [root], intermediates: [issuer] };
  const csr = await deviceCsr('pump-1', device.signer());
  return { swtpm, tpm, device, request: await device.attestationRequest(), csr, trust };
}

before(async () => {
  work = mkdtempSync(join(tmpdir(), 'keystead-attestation-'));
  one = await machine('one');
  two = await machine('two');
  // The maker's certificates begin when they were made, a moment ago.
  clock.set(new Date());
});
after(async () => {
  for (const { tpm, swtpm } of [one, two]) {
    await tpm.close();
    await swtpm.stop();
  }
  rmSync(work, { recursive: true });
});

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };

const orderOf = ({ request, csr }: Machine): AttestationOrder => ({ ...request, csr });
const attestationOf = ({ trust }: Machine): Attestation => new Attestation(trust, clock);

test("TEST-KEY-03: the server knows that the device's key is in the TPM of the certificate, and never leaves it", async () => {
  const attestation = attestationOf(one);
  const challenge = attestation.challenge(orderOf(one));
  const attested = attestation.verify(challenge.id, one.csr, await one.device.answer(challenge));
  assert.equal(attested.origin, 'tpm2-attested');
  assert.equal(attested.spkiSha256, spkiSha256(one.device.signer().spki));
  assert.equal(attested.ekCertificateSha256, certSha256(one.request.ekCertificate));
  assert.match(attested.keyName, /^000b[0-9a-f]{64}$/);
});

test('TEST-KEY-03: an endorsement key in RSA is challenged as well', async () => {
  const [rsa] = (await one.tpm.use(endorsementCertificates)).filter(({ kind }) => kind.label === 'L-1 RSA 2048');
  assert.ok(rsa !== undefined);
  const ekPublic = await one.tpm.use((c) => withEndorsementKey(c, rsa.kind, async (ek) => encodePublic(ek.area)));
  const ek = verifyEndorsement(rsa.certificate, ekPublic, one.trust, clock.now());
  assert.equal(ek.area.type, 'rsa');
});

test('a challenge is answered once, in time, by the TPM it was made for, with the request it was made for', async () => {
  const attestation = attestationOf(one);
  const refused = (seen: RegExp) => fails('attestation.challenge-refused', seen);
  const first = attestation.challenge(orderOf(one));
  const answer = await one.device.answer(first);
  attestation.verify(first.id, one.csr, answer);
  assert.throws(() => attestation.verify(first.id, one.csr, answer), refused(/answered before/));
  assert.throws(() => attestation.verify('00'.repeat(16), one.csr, answer), refused(/unknown/));

  const second = attestation.challenge(orderOf(one));
  assert.throws(() => attestation.verify(second.id, one.csr, answer), refused(/secret/));
  const third = attestation.challenge(orderOf(one));
  const other = await makeKeyAndCsr('pump-1', 'P-256');
  const late = await one.device.answer(third);
  assert.throws(() => attestation.verify(third.id, other.csr, late), refused(/csr/));
  assert.throws(() => attestation.verify(third.id, one.csr, late), refused(/answered before/));

  const fourth = attestation.challenge(orderOf(one));
  const slow = await one.device.answer(fourth);
  clock.advance(121);
  assert.throws(() => attestation.verify(fourth.id, one.csr, slow), refused(/expired/));

  await assert.rejects(
    two.device.answer(attestation.challenge(orderOf(one))),
    fails('tpm2.refused', /ActivateCredential/),
  );
});

test('a statement of another moment, of another key or with a changed octet is refused', async () => {
  const attestation = attestationOf(one);
  const answering = async (change: (answer: AttestationAnswer) => AttestationAnswer): Promise<() => unknown> => {
    const challenge = attestation.challenge(orderOf(one));
    const answer = change(await one.device.answer(challenge));
    return () => attestation.verify(challenge.id, one.csr, answer);
  };
  const stale = await one.device.answer(attestation.challenge(orderOf(one)));
  const refused = (seen: RegExp) => fails('attestation.statement-refused', seen);
  assert.throws(await answering((answer) => ({ ...answer, statement: stale.statement })), refused(/nonce/));
  const changed = await answering(({ secret, statement }) => {
    const attest = statement.attest.slice();
    attest[attest.length - 1] = (attest.at(-1) ?? 0) ^ 1;
    return { secret, statement: { ...statement, attest } };
  });
  assert.throws(changed, refused(/signature/));
  const torn = await answering(({ secret, statement: { attest } }) => ({
    secret,
    statement: { attest, signature: attest },
  }));
  assert.throws(torn, refused(/signature/));
});

test('an endorsement key without a certificate of a trusted maker is refused, and so is another key under a good one', () => {
  const refused = (seen: RegExp) => fails('attestation.ek-refused', seen);
  const challenging =
    (order: Partial<AttestationOrder>, attestation = attestationOf(one)) =>
    () =>
      attestation.challenge({ ...orderOf(one), ...order });
  assert.throws(challenging({}, attestationOf(two)), refused(/no-anchor|signature/));
  assert.throws(challenging({ ekPublic: two.request.ekPublic }), refused(/another key/));
  assert.throws(challenging({ ekPublic: one.request.akPublic }), refused(/template/));
  assert.throws(challenging({ ekCertificate: one.swtpm.authorities().issuer }), refused(/endorsement key/));
  assert.throws(challenging({ ekCertificate: new Uint8Array(10) as DerCertificate }), refused(/malformed/));
  const later = new SimulatedClock(new Date('2020-01-01T00:00:00Z'));
  assert.throws(() => new Attestation(one.trust, later).challenge(orderOf(one)), refused(/not-yet-valid/));
});

test('TEST-KEY-03: a key that could leave the TPM, was imported, or that decrypts is not attested; nor one whose request another key signed', async () => {
  const attestation = attestationOf(one);
  const refused = (seen: RegExp) => fails('attestation.key-refused', seen);
  const challenging = (order: Partial<AttestationOrder>) => () => attestation.challenge({ ...orderOf(one), ...order });
  const area = decodePublic(one.request.keyPublic);
  const ak = decodePublic(one.request.akPublic);
  assert.ok(area.type === 'ecc' && ak.type === 'ecc');
  for (const bit of [1 << 1, 1 << 4, 1 << 5, 1 << 18]) {
    const loose = encodePublic({ ...area, attributes: area.attributes & ~bit });
    assert.throws(challenging({ keyPublic: loose }), refused(/key: .*attributes/), bit.toString(16));
  }
  assert.throws(
    challenging({ keyPublic: encodePublic({ ...area, attributes: area.attributes | (1 << 17) }) }),
    refused(/attributes/),
  );
  for (const bit of [1 << 1, 1 << 16, 1 << 18]) {
    assert.throws(
      challenging({ akPublic: encodePublic({ ...ak, attributes: ak.attributes & ~bit }) }),
      refused(/attestation key/),
    );
  }
  const software = await makeKeyAndCsr('pump-1', 'P-256');
  assert.throws(challenging({ csr: software.csr }), refused(/csr/));
  const forged = one.csr.slice();
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
  assert.throws(challenging({ csr: forged }), fails('csr.signature-invalid'));
});

test('a second key of the same TPM, with a request of its own, does not pass for the key that was certified', async () => {
  const attestation = attestationOf(one);
  const signer = await one.tpm.use((channel) =>
    withStorageRoot(channel, async (srk) => {
      const blob = await create(channel, srk, signingTemplate('P-256'));
      const inTpm = (data: Uint8Array): Promise<Uint8Array> =>
        one.tpm.use((c) =>
          withStorageRoot(c, async (root) =>
            flushing(c, await load(c, root, blob), async (key) => (await sign(c, key, data)).bytes),
          ),
        );
      const spki = spkiOf(blob.area);
      return {
        area: blob.area,
        keyAlgorithm: 'P-256',
        signatureAlgorithm: 'ecdsa-with-SHA256',
        spki,
        sign: inTpm,
      } as const;
    }),
  );
  const csr = await deviceCsr('pump-1', signer);
  const challenge = attestation.challenge({ ...one.request, keyPublic: encodePublic(signer.area), csr });
  const answer = await one.device.answer(challenge);
  assert.throws(() => attestation.verify(challenge.id, csr, answer), fails('attestation.statement-refused', /name/));
});

test("TEST-KEY-03: another TPM's attestation key under a good endorsement opens no challenge in either TPM", async () => {
  const attestation = attestationOf(one);
  const challenge = attestation.challenge({ ...orderOf(one), akPublic: two.request.akPublic });
  // The one has the endorsement key and not the object that the credential names; the other has it the other way round.
  for (const { device } of [one, two]) {
    await assert.rejects(device.answer(challenge), fails('tpm2.refused', /ActivateCredential/));
  }
});

test('whatever a device sends, the outcome is a challenge or a refusal that blames the device', () => {
  const attestation = attestationOf(one);
  const parts = ['ekCertificate', 'ekPublic', 'akPublic', 'keyPublic', 'csr'] as const;
  fc.assert(
    fc.property(fc.constantFrom(...parts), fc.uint8Array({ maxLength: 400 }), fc.nat(400), (part, bytes, at) => {
      const original = orderOf(one)[part];
      const changed = at < original.length ? Uint8Array.from(original) : bytes;
      if (at < original.length) changed[at] = (changed[at] ?? 0) ^ (1 + ((bytes[0] ?? 0) % 255));
      try {
        attestation.challenge({ ...orderOf(one), [part]: changed });
      } catch (error) {
        assert.ok(error instanceof KeysteadError, String(error));
        assert.match(error.code, /^(attestation|csr|key|name|device)\./, error.message);
        assert.notEqual(error.kind, 'internal', error.code);
      }
    }),
    { numRuns: 300 },
  );
});

test('challenges that nobody answers do not fill the memory, and give way when they have expired', () => {
  const attestation = new Attestation(one.trust, clock, 3);
  for (let n = 0; n < 3; n += 1) attestation.challenge(orderOf(one));
  assert.throws(() => attestation.challenge(orderOf(one)), fails('attestation.busy'));
  clock.advance(119);
  assert.throws(() => attestation.challenge(orderOf(one)), fails('attestation.busy'));
  clock.advance(1);
  attestation.challenge(orderOf(one));
});
