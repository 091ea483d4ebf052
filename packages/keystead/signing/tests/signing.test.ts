import assert from 'node:assert/strict';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { SigningBed } from './bed.ts';
import { testImage } from './test-format.ts';

let bed: SigningBed;
beforeEach(async () => {
  bed = new SigningBed();
  await bed.start();
});
afterEach(() => bed.remove());

const image = testImage({ product: 'pump', version: '1.2.0', counter: 7 });
const hashOf = (bytes: Uint8Array): string => toHex(sha256(bytes));

test('TEST-KEY-23 an image is submitted, asked for, approved by two others, signed once and fetched', async () => {
  const draft = await bed.submit(image);
  assert.equal(draft.state, 'draft');
  assert.deepEqual(draft.shown, [{ name: 'digest', value: hashOf(image) }]);
  assert.equal(draft.order.securityCounter, 7);
  assert.deepEqual([draft.needed, draft.roles], [2, ['approver']]);
  assert.equal((await bed.add(draft, 'rita')).state, 'waiting');
  assert.equal((await bed.add(draft, 'anna')).state, 'waiting');
  assert.equal((await bed.add(draft, 'axel')).state, 'approved');
  await bed.signing.settled();
  const { state, result, approvers, proposer } = bed.signing.show('order-1');
  assert.deepEqual([state, proposer, approvers], ['signed', 'rita', ['anna', 'axel']]);
  await using kept = await bed.signing.result('order-1');
  const bytes = await kept.read(0, kept.size);
  assert.match(Buffer.from(bytes).toString(), /the code\nsigned [A-Za-z0-9+/=]+\n$/);
  assert.equal(hashOf(bytes), result?.sha256);
  assert.equal(bed.keyd.signed, 1);
  assert.deepEqual(bed.told(), [
    'signing.submitted',
    'signing.requested',
    'signing.approved',
    'signing.quorum',
    'firmware.signed',
  ]);
});

test('the same request again, the same statement again, is the same; another under its id is refused', async () => {
  const draft = await bed.submit(image);
  assert.deepEqual(await bed.submit(image), draft);
  await assert.rejects(bed.submit(image, { reason: 'another' }), { code: 'signing.request-differs' });
  const statement = await bed.statement(draft.order, 'rita');
  const first = await bed.signing.add(draft.id, statement, bed.by('rita'));
  assert.deepEqual(await bed.signing.add(draft.id, statement, bed.by('anna')), first);
});

test('the last approval again, after all was carried out, is answered as what it brought', async () => {
  const draft = await bed.submit(image);
  for (const name of ['rita', 'anna'] as const) await bed.add(draft, name);
  const last = await bed.statement(draft.order, 'axel');
  await bed.signing.add(draft.id, last, bed.by('axel'));
  await bed.signing.settled();
  const told = bed.told();
  assert.equal((await bed.signing.add(draft.id, last, bed.by('axel'))).state, 'signed');
  assert.deepEqual(bed.told(), told);
  await assert.rejects(bed.add(draft, 'axel', { seconds: 60 }), { code: 'signing.request-closed' });
});

test('a page after a request that there is not is refused, and not the first page again', async () => {
  await bed.submit(image);
  assert.deepEqual(bed.signing.list('order-1').requests, []);
  assert.throws(() => bed.signing.list('order-2'), { code: 'signing.request-unknown', field: 'after' });
});

test('a development image takes the quorum of its own environment', async () => {
  const draft = await bed.submit(image, { environment: 'development' });
  await bed.add(draft, 'rita');
  await bed.add(draft, 'anna');
  await bed.signing.settled();
  assert.equal(bed.signing.show(draft.id).state, 'signed');
});

test('nobody approves what they asked for, one person counts once, and who only looks approves nothing', async () => {
  const draft = await bed.submit(image);
  await bed.add(draft, 'rita');
  const self = await bed.statement(draft.order, 'rita', { proposer: 'rolf' });
  await assert.rejects(bed.signing.add(draft.id, self, bed.by('rita')), /order|self|signer/);
  await bed.add(draft, 'anna');
  bed.clock.advance(1);
  await assert.rejects(bed.add(draft, 'anna'), /anna/);
  await assert.rejects(bed.add(draft, 'aud'), /aud/);
  assert.deepEqual(bed.signing.show(draft.id).approvers, ['anna']);
  assert.equal(bed.keyd.signed, 0);
});

const REFUSED: readonly (readonly [what: string, code: string, submit: () => Promise<unknown>])[] = [
  ['an image that is cut', 'firmware.malformed', () => bed.submit(image.subarray(0, -3))],
  [
    'an image that is signed already',
    'firmware.signed-already',
    () => bed.submit(Buffer.from(image.toString().replace('unsigned', 'signed x'))),
  ],
  ['a digest of no image', 'signing.image-unknown', () => bed.submit(image, { image: { sha256: '0'.repeat(64) } })],
  [
    'the image of another product',
    'firmware-order.claims-differ',
    () => bed.submit(testImage({ product: 'lamp', version: '1.2.0' })),
  ],
  ['another version than the image has', 'firmware-order.claims-differ', () => bed.submit(image, { version: '1.2.1' })],
  [
    'another counter than the image has',
    'firmware-order.claims-differ',
    () => bed.submit(image, { securityCounter: 8 }),
  ],
  [
    'a product that the policy does not have',
    'firmware-order.not-in-policy',
    () => bed.submit(image, { product: 'lamp' }),
  ],
  [
    'a format that the policy does not have',
    'firmware-order.not-in-policy',
    () => bed.submit(image, { format: 'cms' }),
  ],
  [
    'a document that was not handed in',
    'signing.image-unknown',
    () => bed.submit(image, { documents: { sbom: '0'.repeat(64) } }),
  ],
];
for (const [what, code, submit] of REFUSED) {
  test(`${what} is refused, audited, and nothing is recorded`, async () => {
    await assert.rejects(submit(), { code });
    assert.deepEqual(bed.signing.list().requests, []);
    assert.deepEqual(bed.told(), [code]);
  });
}

test('a key that the format cannot be signed by is refused before anybody is asked to approve', async () => {
  const { firmware } = bed.policy;
  assert.ok(firmware);
  const keys = firmware.keys.map((key) => (key.id === 'fw-1' ? { ...key, algorithm: 'ML-DSA-65' as const } : key));
  bed.policy = { ...bed.policy, firmware: { ...firmware, keys } };
  const asked = bed.submit(image);
  await assert.rejects(asked, { code: 'firmware.key-unsuitable', message: /fw-1, ML-DSA-65 by ML-DSA-65/ });
  assert.deepEqual(bed.signing.list().requests, []);
});

test('keys that one image cannot have the signatures of are refused before anybody is asked to approve', async () => {
  const { firmware } = bed.policy;
  assert.ok(firmware);
  const first = firmware.keys.find(({ id }) => id === 'fw-1');
  assert.ok(first);
  const second = { ...first, id: 'fw-2', algorithm: 'P-384', signature: 'ecdsa-with-SHA256' } as const;
  bed.policy = { ...bed.policy, firmware: { ...firmware, keys: [...firmware.keys, second] } };
  const asked = bed.submit(image, { keys: ['fw-1', 'fw-2'] });
  const message = /fw-1, P-256 by ecdsa-with-SHA256, and fw-2, P-384 by ecdsa-with-SHA256, for sshsig, where no reader/;
  await assert.rejects(asked, { code: 'firmware.key-unsuitable', message });
  assert.deepEqual(bed.signing.list().requests, []);
});

test('an image that holds a private key in the clear is refused with its place', async () => {
  const { generateKeyPairSync } = await import('node:crypto');
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  assert.match(pem, /^-----BEGIN PRIVATE KEY/);
  const leaking = testImage({ product: 'pump', version: '1.2.0' }, `code\n${pem}`);
  await assert.rejects(bed.submit(leaking), (error: Error) => /ed25519, pem\) at offset \d+/.test(error.message));
  assert.deepEqual(bed.told(), ['signing.private-key']);
});

test('a private key in the clear is found after any number of keys that are encrypted', async () => {
  const { generateKeyPairSync } = await import('node:crypto');
  const { privateKey } = generateKeyPairSync('ed25519');
  const clear = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const locked = privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'a test' });
  const harmless = testImage({ product: 'pump', version: '1.2.0' }, `${locked}`.repeat(150));
  assert.deepEqual((await bed.submit(harmless)).scan, { encrypted: 150, unread: 0 });
  const leaking = testImage({ product: 'pump', version: '1.2.0' }, `${`${locked}`.repeat(150)}${clear}`);
  await assert.rejects(bed.submit(leaking, { id: 'order-2' }), { code: 'signing.private-key' });
});

test('a version or a counter that goes back is refused at once, and not where the order says that it goes back', async () => {
  await bed.signed(image);
  const old = testImage({ product: 'pump', version: '1.1.9', counter: 7 });
  await assert.rejects(bed.submit(old, { id: 'order-2', version: '1.1.9' }), {
    code: 'firmware-order.rollback',
    field: 'version',
  });
  const counter = testImage({ product: 'pump', version: '1.3.0', counter: 6 });
  await assert.rejects(bed.submit(counter, { id: 'order-2', version: '1.3.0' }), { field: 'securityCounter' });
  assert.equal((await bed.submit(old, { id: 'order-2', version: '1.1.9', rollback: true })).state, 'draft');
  const other = await bed.submit(old, { id: 'order-3', version: '1.1.9', target: 'gateway' });
  assert.equal(other.state, 'draft', 'another target has its own count');
});

test('of two requests for one version the second is refused when it is asked for, whoever was the first to submit', async () => {
  const one = await bed.submit(image);
  const two = await bed.submit(testImage({ product: 'pump', version: '1.2.0', counter: 7 }, 'other code'), {
    id: 'order-2',
  });
  await bed.add(two, 'rolf', { proposer: 'rolf' });
  await assert.rejects(bed.add(one, 'rita'), { code: 'firmware-order.version-taken' });
  await assert.rejects(bed.submit(image, { id: 'order-3' }), { code: 'firmware-order.version-taken' });
  await bed.signing.withdraw(two.id, bed.by('rolf'));
  assert.equal((await bed.add(one, 'rita')).state, 'waiting', 'what was withdrawn takes no version');
});

test('a version is one however it is written, in any format: the second image of it is refused before anybody approves it', async () => {
  const versioned = (version: string, content?: string) => testImage({ product: 'pump', version, counter: 7 }, content);
  const one = await bed.submit(versioned('2.0.0+1'), { version: '2.0.0+1' });
  await bed.add(one, 'rita');
  const other = { id: 'order-2', version: '02.0+01' };
  const waits = bed.submit(versioned('02.0+01', 'other code'), other);
  await assert.rejects(waits, {
    code: 'firmware-order.version-taken',
    message: /order-1, which is waiting, of another/,
  });
  for (const name of ['anna', 'axel'] as const) await bed.add(one, name);
  await bed.signing.settled();
  const signed = bed.submit(versioned('02.0+01', 'other code'), other);
  await assert.rejects(signed, {
    code: 'firmware-order.version-taken',
    message: /order-1, which is signed, of another/,
  });
  allowCms();
  const formatted = bed.submit(versioned('2.0.0+1', 'other code'), {
    id: 'order-2',
    version: '2.0.0+1',
    format: 'cms',
  });
  await assert.rejects(formatted, { code: 'firmware-order.version-taken', message: /signed, of another image/ });
  const same = await bed.submit(versioned('2.0.0+1'), { id: 'order-3', version: '2.0.0+1', format: 'cms' });
  assert.equal(same.state, 'draft', 'the same image in another format is no second version');
});

/** Lets the bed's product be signed as `cms` too. */
function allowCms(): void {
  const { firmware } = bed.policy;
  assert.ok(firmware);
  const formats = ['sshsig' as const, 'cms' as const];
  const products = firmware.products.map((product) => {
    const { production, ...others } = product.environments;
    assert.ok(production);
    return { ...product, environments: { ...others, production: { ...production, formats } } };
  });
  const keys = firmware.keys.map((key) => ({ ...key, formats }));
  bed.policy = { ...bed.policy, firmware: { ...firmware, products, keys } };
}

test('of two requests for one version that are asked for at once one goes on, the other is refused by name, and one is signed', async () => {
  const one = await bed.submit(image);
  const two = await bed.submit(testImage({ product: 'pump', version: '1.2.0', counter: 7 }, 'other code'), {
    id: 'order-2',
  });
  const asked = await Promise.allSettled([bed.add(one, 'rita'), bed.add(two, 'rolf', { proposer: 'rolf' })]);
  const codes = asked.map((done) => (done.status === 'rejected' ? (done.reason as { code?: string }).code : 'waiting'));
  assert.deepEqual(codes.sort(), ['firmware-order.version-taken', 'waiting']);
  const [on, other] = bed.signing.show(one.id).state === 'waiting' ? [one, two] : [two, one];
  const proposer = on === one ? 'rita' : 'rolf';
  for (const name of ['anna', 'axel'] as const) await bed.add(on, name, { proposer });
  await bed.signing.settled();
  assert.deepEqual([bed.signing.show(on.id).state, bed.signing.show(other.id).state], ['signed', 'draft']);
  assert.equal(bed.keyd.signed, 1);
});

test('a request whose statement has ended expires, is told, and takes no more approvals', async () => {
  const draft = await bed.submit(image);
  await bed.add(draft, 'rita');
  await bed.add(draft, 'anna', { seconds: 60 });
  bed.clock.advance(61);
  assert.equal(bed.signing.show(draft.id).state, 'expired');
  await assert.rejects(bed.add(draft, 'axel'), { code: 'signing.request-closed' });
  await bed.signing.tick();
  assert.equal(bed.told().at(-1), 'signing.expired');
  assert.equal(bed.keyd.signed, 0);
});

test('a draft that nobody signs for expires after a week', async () => {
  await bed.submit(image);
  bed.clock.advance(7 * 86_400);
  await bed.signing.tick();
  assert.equal(bed.signing.show('order-1').state, 'expired');
});

test('an approver whom the policy lost after they approved refuses the request for good', async () => {
  const draft = await bed.submit(image);
  await bed.add(draft, 'rita');
  await bed.add(draft, 'anna');
  bed.policy = { ...bed.policy, operators: bed.policy.operators.filter(({ name }) => name !== 'anna') };
  await assert.rejects(bed.add(draft, 'axel'), { code: 'signing.request-closed' });
  const view = bed.signing.show(draft.id);
  assert.equal(view.state, 'refused');
  assert.match(view.refusal ?? '', /anna/);
  assert.deepEqual(bed.told().slice(-2), ['signing.refused', 'signing.request-closed']);
  assert.equal(bed.keyd.signed, 0);
});

test('an approver whom the policy lost when all had approved is refused by keyd', async () => {
  bed.keyd.away = true;
  const draft = await bed.submit(image);
  for (const name of ['rita', 'anna', 'axel'] as const) await bed.add(draft, name);
  await bed.signing.settled();
  assert.equal(bed.signing.show(draft.id).state, 'approved', 'it waits for keyd');
  bed.policy = { ...bed.policy, operators: bed.policy.operators.filter(({ name }) => name !== 'anna') };
  bed.keyd.away = false;
  await bed.signing.tick();
  await bed.signing.settled();
  assert.equal(bed.signing.show(draft.id).state, 'refused');
  assert.equal(bed.keyd.signed, 0);
});

test('an image that was swapped on the disk after it was approved is refused, audited, and nothing is signed', async () => {
  bed.keyd.away = true;
  const draft = await bed.submit(image);
  for (const name of ['rita', 'anna', 'axel'] as const) await bed.add(draft, name);
  await bed.signing.settled();
  const path = bed.signing.files.path(draft.order.image.sha256);
  chmodSync(path, 0o600);
  writeFileSync(path, testImage({ product: 'pump', version: '1.2.0', counter: 7 }, 'evil code'));
  bed.keyd.away = false;
  await bed.signing.tick();
  await bed.signing.settled();
  const view = bed.signing.show(draft.id);
  assert.equal(view.state, 'refused');
  assert.match(view.refusal ?? '', /^signing\.image-changed/);
  assert.equal(bed.told().at(-1), 'signing.refused');
  assert.equal(bed.keyd.signed, 0);
});

test('an SBOM that was swapped or lost on the disk after it was approved refuses the request, and nothing is signed', async () => {
  for (const [id, harm] of [
    ['swapped', (path: string) => writeFileSync(path, '{"bomFormat":"CycloneDX","specVersion":"1.6"}')],
    ['lost', (path: string) => rmSync(path)],
  ] as const) {
    bed.keyd.away = true;
    const bom = JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.6', components: [{}], serialNumber: id });
    const sbom = await bed.keep(Buffer.from(bom));
    const draft = await bed.submit(image, { id, documents: { sbom } });
    for (const name of ['rita', 'anna', 'axel'] as const) await bed.add(draft, name);
    await bed.signing.settled();
    const path = bed.signing.files.path(sbom);
    chmodSync(path, 0o600);
    harm(path);
    bed.keyd.away = false;
    await bed.signing.tick();
    await bed.signing.settled();
    const view = bed.signing.show(id);
    assert.equal(view.state, 'refused');
    assert.match(view.refusal ?? '', /^signing\.image-(?:changed|unknown)/);
    assert.equal(bed.told().at(-1), 'signing.refused');
  }
  assert.equal(bed.keyd.signed, 0);
});

test('an image that is swapped while keyd signs leaves no result', async () => {
  const draft = await bed.submit(image);
  const path = bed.signing.files.path(draft.order.image.sha256);
  bed.keyd.between = () => {
    chmodSync(path, 0o600);
    writeFileSync(
      path,
      readFileSync(path).map((byte) => byte ^ 1),
    );
  };
  for (const name of ['rita', 'anna', 'axel'] as const) await bed.add(draft, name);
  await bed.signing.settled();
  assert.equal(bed.signing.show(draft.id).state, 'refused');
  await assert.rejects(bed.signing.result(draft.id), { code: 'signing.not-signed' });
});

test('what was approved when everything stopped is signed at the next start, and only once', async () => {
  const draft = await bed.submit(image);
  // It stops after keyd has signed and before the result is recorded.
  bed.keyd.between = () => void bed.stop();
  for (const name of ['rita', 'anna', 'axel'] as const) await bed.add(draft, name);
  await bed.signing.settled();
  bed.keyd.between = () => {};
  await bed.start();
  await bed.signing.settled();
  assert.equal(bed.signing.show(draft.id).state, 'signed');
  assert.equal(bed.keyd.signed, 1);
  assert.equal(bed.told().filter((type) => type === 'firmware.signed').length, 1);
});

test('only who asked for a request withdraws it, and what is signed stays signed', async () => {
  const draft = await bed.submit(image);
  await bed.add(draft, 'rita');
  await assert.rejects(bed.signing.withdraw(draft.id, bed.by('rolf')), { code: 'signing.not-yours' });
  assert.equal((await bed.signing.withdraw(draft.id, bed.by('rita'))).state, 'withdrawn');
  assert.equal((await bed.signing.withdraw(draft.id, bed.by('rita'))).state, 'withdrawn');
  await assert.rejects(bed.add(draft, 'anna'), { code: 'signing.request-closed' });
  const signed = await bed.signed(image, { id: 'order-2' });
  assert.equal(signed.state, 'signed');
  await assert.rejects(bed.signing.withdraw('order-2', bed.by('rita')), { code: 'signing.request-closed' });
});

test('an SBOM and a provenance are bound to the order by their hashes; a provenance of another image is refused', async () => {
  const sbom = await bed.keep(
    Buffer.from(JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.6', components: [{}] })),
  );
  const provenance = (digest: string) =>
    bed.keep(
      Buffer.from(
        JSON.stringify({
          _type: 'https://in-toto.io/Statement/v1',
          predicateType: 'https://slsa.dev/provenance/v1',
          subject: [{ name: 'pump.bin', digest: { sha256: digest } }],
          predicate: {},
        }),
      ),
    );
  const right = await provenance(hashOf(image));
  const view = await bed.submit(image, { documents: { sbom, provenance: right } });
  assert.deepEqual(view.order.documents, [
    { name: 'sbom', sha256: sbom },
    { name: 'provenance', sha256: right },
  ]);
  assert.deepEqual(
    view.documents.map(({ title }) => title),
    ['CycloneDX 1.6, 1 components', 'SLSA provenance v1'],
  );
  const wrong = await provenance('1'.repeat(64));
  await assert.rejects(bed.submit(image, { id: 'order-2', documents: { provenance: wrong } }), {
    code: 'signing.document',
  });
  await assert.rejects(bed.submit(image, { id: 'order-2', documents: { sbom: right } }), { code: 'signing.document' });
});
