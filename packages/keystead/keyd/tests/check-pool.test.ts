import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import { CheckPool } from '../check-pool.ts';
import { csrFor, KeydBed, makeKey } from './bed.ts';

let bed: KeydBed;
before(async () => {
  bed = await KeydBed.make();
});
after(() => bed.remove());

const factsOf = async () => ({ policy: bed.policy, issuers: (await bed.client.trust()).issuers });

const verdictOf = (checked: Promise<Uint8Array>): Promise<string> =>
  checked.then(
    (spki) => Buffer.from(spki).toString('hex'),
    (error: unknown) => (error instanceof KeysteadError ? `${error.code} ${error.field}` : String(error)),
  );

/** Good requests and bad ones, many at once, with what must come of each. */
async function requests(count: number): Promise<{ csr: Uint8Array; verdict: string }[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const key = makeKey();
      const csr = await csrFor(n % 3 === 1 ? 'KS-0002' : 'KS-0001', key);
      if (n % 3 === 1) return { csr, verdict: 'csr.subject-mismatch subject' };
      if (n % 3 === 0) return { csr, verdict: Buffer.from(key.spki).toString('hex') };
      csr[csr.length - 1] = (csr[csr.length - 1] ?? 0) ^ 1;
      return { csr, verdict: 'csr.signature-invalid signature' };
    }),
  );
}

test('a check comes out the same on this thread and on others, each request with its own verdict', async () => {
  const profile = 'ldevid';
  const facts = await factsOf();
  const asked = await requests(300);
  for (const size of [0, 1, 3]) {
    const pool = new CheckPool(facts, size);
    for (let round = 0; round < 3; round += 1) {
      const verdicts = await Promise.all(
        asked.map(({ csr }) => verdictOf(pool.request({ csr, profile, named: { deviceId: 'KS-0001' } }))),
      );
      assert.deepEqual(
        verdicts,
        asked.map((one) => one.verdict),
      );
    }
    await pool.close();
  }
});

test('what a thread leaves undone when it ends is done here', async () => {
  const profile = 'ldevid';
  const facts = await factsOf();
  const asked = await requests(200);
  const pool = new CheckPool(facts, 2);
  const check = () => asked.map(({ csr }) => verdictOf(pool.request({ csr, profile, named: { deviceId: 'KS-0001' } })));
  await Promise.all(check());
  const under = check();
  await new Promise((resolve) => setImmediate(resolve));
  await pool.close();
  const verdicts = await Promise.all(under);
  assert.deepEqual(
    verdicts,
    asked.map((one) => one.verdict),
  );
  assert.equal(await verdictOf(pool.request({ csr: new Uint8Array(3), profile, named: {} })), 'csr.not-der csr');
});

test('keyd issues many at once, each for its own device and key', async () => {
  const ticket = await bed.ticket({ quota: 60 });
  const units = await Promise.all(
    Array.from({ length: 60 }, async (_, n) => {
      const key = makeKey();
      const unit = await bed.provision(`KS-${String(n + 1).padStart(4, '0')}`, ticket, key);
      const ldevid = makeKey();
      const issued = await bed.enrol(`KS-${String(n + 1).padStart(4, '0')}`, unit.certificate, ldevid);
      return { issued, ldevid };
    }),
  );
  for (const [n, { issued, ldevid }] of units.entries()) {
    const info = readCertificate(issued.certificate);
    assert.deepEqual(info.san, [`URI:urn:keystead:device:KS-${String(n + 1).padStart(4, '0')}`]);
    assert.deepEqual(info.spki, ldevid.spki);
  }
});
