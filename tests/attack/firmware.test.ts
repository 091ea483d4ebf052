import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fromBase64, toBase64 } from '@keystead/core/bytes';
import { verifySignature } from '@keystead/core/crypto';
import { signFirmwareStatement } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import fc from 'fast-check';
import type { HostileFrontEnd, RawAnswer } from 'keystead/keyd/tests/bed.ts';
import { FirmwareBed, registerTestFormat, subjectOf } from 'keystead/keyd/tests/firmware-bed.ts';

let bed: FirmwareBed;
let front: HostileFrontEnd;
let unregister: () => void;
before(async () => {
  unregister = registerTestFormat();
  bed = await FirmwareBed.make();
  front = await bed.keyd.hostile();
});
after(async () => {
  front.end();
  await bed.keyd.remove();
  unregister();
});

const counted = async (): Promise<number> =>
  (await bed.keyd.client.firmwareSignatures({ from: 0, limit: 500 })).orders.length;

async function refused(code: string, params: Record<string, unknown>): Promise<void> {
  const before = await counted();
  const { error } = await front.ask('signFirmware', params);
  assert.equal(error?.code, code);
  assert.equal(await counted(), before);
}
const asked = (of: { statements: unknown; subject: Uint8Array }) => ({
  statements: of.statements,
  subject: toBase64(of.subject),
  requestId: 'attack',
});

test('TEST-KEY-13 TEST-KEY-23 a front end that was taken over has firmware signed by no fewer people, no others and for nothing else than they approved', async () => {
  const { order, subject } = bed.order({ version: '1.0.0' });
  const [proposal, approval] = [await bed.statement('rel', order), await bed.statement('amy', order)];
  await refused('firmware-order.too-few', asked({ statements: [proposal], subject }));
  await refused('firmware-order.malformed', asked({ statements: [approval, proposal], subject }));
  await refused(
    'firmware-order.self',
    asked({ statements: [proposal, await bed.statement('rel', order, { act: 'approve' })], subject }),
  );
  await refused('firmware-order.duplicate', asked({ statements: [proposal, approval, approval], subject }));
  await refused('firmware-order.malformed', asked({ statements: [proposal, proposal], subject }));
  const invented = await bed.statement('ben', order, { key: 'rel' });
  await refused('firmware-order.signature-invalid', asked({ statements: [proposal, invented], subject }));
  const stranger = await signFirmwareStatement(
    { ...JSON.parse(Buffer.from(JSON.parse(approval).payload, 'base64url').toString()) },
    'mallory',
    bed.people.rel.signer,
  );
  await refused('firmware-order.signer-unknown', asked({ statements: [proposal, stranger], subject }));
  // What amy approved is another order than what rel asks for, in any one part of it.
  for (const other of [
    { environment: 'development' as const, keys: ['pump-1-dev'] },
    { version: '1.0.1' },
    { securityCounter: 2 },
    { target: 'radio' },
    { format: 'cms' as const },
    { subjectSha256: '0'.repeat(64) },
    { image: { sha256: '0'.repeat(64), bytes: 1 } },
    { rollback: true },
    { reason: 'another' },
    { id: 'another' },
    { documents: [{ name: 'sbom', sha256: '0'.repeat(64) }] },
  ]) {
    const asks = await bed.statement('rel', { ...order, ...other });
    await refused('firmware-order.other-order', asked({ statements: [asks, approval], subject }));
  }
  await refused(
    'firmware-order.subject-differs',
    asked({ statements: [proposal, approval], subject: Buffer.from('{}') }),
  );
  await refused(
    'firmware-order.subject-differs',
    asked({ statements: [proposal, approval], subject: new Uint8Array(0) }),
  );
  for (const more of [{ key: 'pump-1' }, { time: '2000-01-01T00:00:00Z' }, { algorithm: 'P-256' }, { bytes: '' }])
    await refused('request.malformed', { ...asked({ statements: [proposal, approval], subject }), ...more });
  // An approval of development is none of production, and the other way round.
  const development = bed.order({ version: '1.0.0', environment: 'development' });
  const both = [await bed.statement('rel', order), await bed.statement('amy', development.order)];
  await refused('firmware-order.other-order', asked({ statements: both, subject }));
  const crossed = await bed.approved({ version: '1.0.0', keys: ['pump-1-dev'] });
  await refused('firmware-key.scope', asked(crossed));
});

test('TEST-KEY-13 TEST-KEY-23 whatever is changed in a request that is approved, it has the one signature of that order or none', async () => {
  const seed = await bed.approved({ version: '1.1.0' });
  const other = await bed.approved({ version: '1.2.0' });
  const first = await front.ask('signFirmware', asked(seed));
  const second = await front.ask('signFirmware', asked(other));
  assert.ok(first.ok !== undefined && second.ok !== undefined);
  const made = [JSON.stringify(first.ok), JSON.stringify(second.ok)];
  const before = await counted();
  const mutate = fc.record({
    which: fc.nat(1),
    where: fc.nat(100_000),
    bit: fc.nat(7),
    borrow: fc.boolean(),
  });
  for (const { which, where, bit, borrow } of fc.sample(mutate, { numRuns: 300, seed: 4711 })) {
    const texts = [...seed.statements];
    const text = Buffer.from(texts[which] ?? '');
    const at = where % text.length;
    text[at] = (text[at] ?? 0) ^ (1 << bit);
    texts[which] = borrow ? (other.statements[which] ?? '') : text.toString('latin1');
    const { ok, error } = await front.ask('signFirmware', asked({ statements: texts, subject: seed.subject }));
    assert.notEqual(error?.code, 'internal.unexpected');
    // The hash of an order that was carried out is all that it takes to have its answer again: it says nothing new.
    if (ok !== undefined) assert.ok(made.includes(JSON.stringify(ok)));
  }
  assert.equal(await counted(), before);
});

test('TEST-KEY-13 what is asked at once, out of turn and again is signed once, and each signature is of what was composed', async () => {
  const { statements, subject } = await bed.approved({ version: '1.3.0' });
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => front.ask('signFirmware', asked({ statements, subject }))),
  );
  const distinct = new Set(answers.map(({ ok }: RawAnswer) => JSON.stringify(ok)));
  assert.equal(distinct.size, 1);
  const ok = answers[0]?.ok as { signatures: { signer: string; time: string; signature: string }[] };
  const [one] = ok.signatures;
  assert.ok(one);
  const composed = Buffer.concat([Buffer.from(`suit ${one.time} `), subject]);
  const { spki } = readCertificate(fromBase64(one.signer));
  assert.ok(verifySignature('ecdsa-with-SHA256', spki, composed, fromBase64(one.signature)));
  // Two orders that are each approved, of one version with two images: one of them is signed.
  const race = await Promise.all(
    [1, 2].map(async (more) => {
      const bytes = subjectOf({ version: '1.4.0', securityCounter: 1, more });
      return front.ask('signFirmware', asked(await bed.approved({ version: '1.4.0', subject: bytes })));
    }),
  );
  assert.deepEqual(race.map(({ error }) => error?.code ?? 'signed').sort(), ['firmware-order.version-taken', 'signed']);
  const back = await bed.approved({ version: '1.0.9' });
  await refused('firmware-order.rollback', asked(back));
});

test('TEST-KEY-13 TEST-KEY-23 a front end that was taken over kills no firmware key and brings none back, with statements of other kinds, of other keys or of one person', async () => {
  const ask = async (statements: unknown) =>
    (await front.ask('orderFirmwareKey', { statements, requestId: 'attack' })).error?.code;
  const { order } = bed.order({ version: '1.0.0' });
  const firmware = [await bed.statement('rel', order), await bed.statement('amy', order)];
  assert.equal(await ask(firmware), 'firmware-key-order.malformed');
  const kill = await bed.keyStatements('pump-1', 'kill', ['amy']);
  const [proposal = '', approval = ''] = kill;
  assert.equal(await ask([proposal]), 'firmware-key-order.too-few');
  assert.equal(await ask([proposal, proposal]), 'firmware-key-order.malformed');
  assert.equal(await ask([approval, proposal]), 'firmware-key-order.malformed');
  const resume = await bed.keyStatements('pump-1', 'resume', ['pia']);
  assert.equal(await ask([proposal, resume[1]]), 'firmware-key-order.other-order');
  // A statement about a kill signs no firmware, and the other way round.
  const { error } = await front.ask('signFirmware', {
    statements: kill,
    subject: toBase64(Uint8Array.of(1)),
    requestId: 'a',
  });
  assert.equal(error?.code, 'firmware-order.malformed');
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 0, max: 255 }), async (at, octet) => {
      const bytes = Buffer.from(approval, 'utf8');
      if (bytes[at % bytes.length] === octet) return;
      bytes[at % bytes.length] = octet;
      assert.match((await ask([proposal, bytes.toString('latin1')])) ?? '', /^(firmware-key-order|request)\./);
    }),
    { numRuns: 60 },
  );
  const { keys } = await bed.keyd.client.firmwareKeys();
  assert.deepEqual(
    keys.map(({ state, ordered }) => [state, ordered]),
    [
      ['active', 0],
      ['active', 0],
    ],
  );
});
