import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { toBase64url } from '@keystead/core/bytes';
import { encodeAssertion } from '@keystead/core/crypto';
import { signFirmwareStatement, webauthnChallenge } from '@keystead/core/lifecycle';
import { Authenticator } from '../../../core/crypto/tests/authenticator.ts';
import { FirmwareBed, registerTestFormat } from './firmware-bed.ts';

/** Amy approves by a passkey, whose authenticator counts: what a copy of it says does not fit to what it said itself. */
const authenticator = new Authenticator();
let bed: FirmwareBed;
const undo = registerTestFormat();
before(async () => {
  bed = await FirmwareBed.make();
  const { credentialId, publicKey } = authenticator;
  const passkey = { credentialId: toBase64url(credentialId), publicKey: toBase64url(publicKey) };
  const where = { rpId: 'keystead.example', origins: ['https://keystead.example'] };
  await bed.change(({ operators }) => {
    const amy = operators.find(({ name }) => name === 'amy');
    assert.ok(amy);
    amy.signers = [{ kind: 'webauthn', ...passkey, ...where }];
  });
});
after(async () => {
  undo();
  await bed.keyd.remove();
});

const second = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
let version = 0;

/** An order that amy approves when the counter says `count`; `age` seconds ago. */
async function approved(count: number, age = 0) {
  version += 1;
  const { order, subject } = bed.order({ version: `1.0.${version}` });
  const at = bed.keyd.clock.now().getTime() - age * 1000;
  const approval = await signFirmwareStatement(
    {
      ...{ act: 'approve', order, proposer: 'rel', role: 'approver' },
      ...{ signedAt: second(at), expiresAt: second(at + 3_600_000) },
    },
    'amy',
    {
      by: 'webauthn',
      sign: async (data) => encodeAssertion(await authenticator.assert(webauthnChallenge(data), { count })),
    },
  );
  const statements = [await bed.statement('rel', order), approval];
  return { statements, subject, requestId: order.id };
}
const sign = async (asked: Awaited<ReturnType<typeof approved>>) => {
  bed.keyd.clock.advance(1);
  return bed.keyd.client.signFirmware(asked);
};
const refused = async (asked: Awaited<ReturnType<typeof approved>>, seen: RegExp) => {
  const orders = async () => (await bed.keyd.client.firmwareSignatures({ from: 0, limit: 500 })).orders.length;
  const before = await orders();
  await assert.rejects(sign(asked), { code: 'approval.passkey-counter', seen });
  assert.equal(await orders(), before);
};

test('TEST-KEY-23 TEST-KEY-13 an authenticator that counts nothing is taken, and one that counts goes up; the same number twice, a lower one later and none after some are refused by name, over a restart too', async () => {
  await sign(await approved(0));
  await sign(await approved(0));
  const tenth = await approved(10);
  const first = await sign(tenth);
  await sign(await approved(12));
  // The same order again is the same.
  assert.deepEqual((await sign(tenth)).signatures, first.signatures);
  await refused(await approved(12), /^amy: 12 for two statements/);
  await bed.keyd.restart();
  await refused(await approved(12), /^amy: 12 for two statements/);
  await refused(await approved(10), /^amy: 10 for two statements/);
  await refused(await approved(11), /^amy: 11 at .* after 12 at /);
  await refused(await approved(0), /^amy: 0, after 1/);
  await sign(await approved(13));
});

test('what was signed earlier and comes later has the lower number, and is good', async () => {
  bed.keyd.clock.advance(60);
  const early = await approved(20);
  bed.keyd.clock.advance(5);
  const late = await approved(21);
  await sign(late);
  await assert.rejects(sign(early), { code: 'firmware-order.rollback' });
  // Of another target, so that no version goes back.
  const { order, subject } = bed.order({ version: '1.0.1', target: 'other' });
  const at = bed.keyd.clock.now().getTime() - 30_000;
  const draft = { act: 'approve', order, proposer: 'rel', role: 'approver' } as const;
  const approval = await signFirmwareStatement(
    { ...draft, signedAt: second(at), expiresAt: second(at + 3_600_000) },
    'amy',
    {
      by: 'webauthn',
      sign: async (data) => encodeAssertion(await authenticator.assert(webauthnChallenge(data), { count: 19 })),
    },
  );
  await sign({ statements: [await bed.statement('rel', order, { age: 30 }), approval], subject, requestId: 'other' });
});
