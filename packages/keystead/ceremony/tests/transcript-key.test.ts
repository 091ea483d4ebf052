import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '@keystead/core/clock';
import { generateSoftwareKey, softwareSigner, verifySignature } from '@keystead/core/crypto';
import { caProfile, certify, demoPolicy } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { TranscriptKey } from '../transcript-key.ts';

test('the one-time key signs until it is wiped, and then never again', async () => {
  const clock = new SimulatedClock(new Date('2026-01-05T08:00:00Z'));
  const policy = demoPolicy({ operators: [], issued: clock.now() });
  const signer = softwareSigner('P-384', generateSoftwareKey('P-384').pkcs8);
  const order = { signer, spki: signer.spki, urls: {}, now: clock.now() };
  const certificate = await certify({ ...order, profile: caProfile(policy, 'root'), issuer: 'self' });
  const info = {
    id: 'root',
    algorithm: 'P-384',
    purpose: 'test',
    spki: signer.spki,
    custody: 'sealed-file',
    fips140: 'none',
    createdAt: '2026-01-05T08:00:00.000Z',
  } as const;
  const key = await TranscriptKey.make(
    { role: 'root', generation: 1, certificate, signer, info },
    { policy, rehearsal: false, custody: 'sealed-file', clock },
  );

  const transcript = new TextEncoder().encode('what was done\n');
  const signature = await key.sign(transcript);
  assert.ok(verifySignature('ecdsa-with-SHA384', readCertificate(key.certificate).spki, transcript, signature));
  key.wipe();
  key.wipe();
  assert.throws(() => key.sign(transcript), /was wiped/);
});
