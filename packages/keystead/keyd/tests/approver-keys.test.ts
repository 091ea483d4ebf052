import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { toBase64url } from '@keystead/core/bytes';
import { encodeAssertion } from '@keystead/core/crypto';
import {
  formatStatements,
  type OperatorSigner,
  type Policy,
  type PolicyFile,
  policyFile,
  type SignedStatement,
  type StatementSigner,
  webauthnChallenge,
} from '@keystead/core/lifecycle';
import { Authenticator } from '../../../core/crypto/tests/authenticator.ts';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { SecurityKey, UP } from '../../../core/lifecycle/tests/security-key.ts';
import { KeydBed } from './bed.ts';

/** keyd counts approvals by security keys and passkeys itself, whatever the front end brings. */

let bed: KeydBed;
const parties = new PolicyParties();
const annas = new SecurityKey('Ed25519');
const axels = new Authenticator();
const ssh: OperatorSigner = { kind: 'ssh', key: annas.line };
const passkey: OperatorSigner = {
  kind: 'webauthn',
  credentialId: toBase64url(axels.credentialId),
  publicKey: toBase64url(axels.publicKey),
  rpId: 'keystead.example',
  origins: ['https://keystead.example'],
};
const byPasskey = (change: Parameters<Authenticator['assert']>[1] = {}): StatementSigner => ({
  by: 'webauthn',
  sign: async (data) => encodeAssertion(await axels.assert(webauthnChallenge(data), change)),
});
let requests = 0;

before(async () => {
  bed = await KeydBed.make({ operators: parties.operators, demonstration: false });
  const current = await inForce();
  const next = successor(current, (policy) => {
    signs(policy, 'anna', [ssh]);
    signs(policy, 'axel', [passkey]);
    policy.quorums['policy-change'].hardware = true;
  });
  await apply(next, await parties.approvals([current, next], bed.clock.now()));
});
after(() => bed.remove());
beforeEach(() => bed.clock.advance(1));

const signs = (policy: Policy, name: string, signers: OperatorSigner[] | undefined): void => {
  for (const operator of policy.operators) if (operator.name === name) operator.signers = signers;
};
const raise =
  (by: number) =>
  (policy: Policy): void => {
    policy.tickets.maxQuota += by;
  };
const inForce = async (): Promise<PolicyFile> => policyFile((await bed.client.trust()).policy);
const apply = (next: PolicyFile, approvals: string) => {
  requests += 1;
  return bed.client.changePolicy({ policy: next.bytes, approvals, requestId: `keys-${requests}` });
};

/** The next step, as paul asks for it and anna and axel agree with these keys. */
async function step(anna: StatementSigner, axel: StatementSigner, edit?: (policy: Policy) => void) {
  const current = await inForce();
  const next = successor(current, edit ?? raise(1));
  const pair = [current, next] as const;
  const now = bed.clock.now();
  const statements = [
    await parties.statement('propose', 'paul', pair, now),
    await parties.statement('approve', 'anna', pair, now, {}, anna),
    await parties.statement('approve', 'axel', pair, now, {}, axel),
  ];
  return { next, statements };
}

test('TEST-KEY-23 keyd takes the approvals of a security key and a passkey, and takes them again when it starts', async () => {
  const { next, statements } = await step(annas.signer(UP), byPasskey());
  const { version } = (await inForce()).policy;
  await apply(next, formatStatements(statements));
  assert.equal((await bed.client.status()).policyVersion, version + 1);
  await bed.restart();
  assert.equal((await bed.client.status()).policyVersion, version + 1);
});

test('TEST-KEY-23 a front end that lies about who signed, with what, or for what, changes nothing', async () => {
  const { next, statements } = await step(annas.signer(UP), byPasskey());
  const old = await step(annas.signer(UP), byPasskey(), raise(100));
  const [proposal, anna, axel] = statements;
  assert.ok(proposal !== undefined && anna !== undefined && axel !== undefined);
  const published = readFileSync(bed.rehearsal.layout.policy, 'utf8');
  const { policyVersion } = await bed.client.status();
  const lies: Readonly<Record<string, readonly (SignedStatement | undefined)[]>> = {
    'another statement’s assertion': [anna, { ...axel, signature: old.statements[2]?.signature ?? new Uint8Array() }],
    'another statement’s SSH signature': [
      { ...anna, signature: old.statements[1]?.signature ?? new Uint8Array() },
      axel,
    ],
    'each as the other kind': [
      { ...anna, by: 'webauthn' as const },
      { ...axel, by: 'ssh' as const },
    ],
    'no kind at all': [{ ...anna, by: undefined }, axel],
    'one person with the other’s signature': [anna, { ...axel, by: anna.by, signature: anna.signature }],
    'one person twice': [anna, anna],
    'nobody at the key': [(await step(annas.signer(0), byPasskey())).statements[1], axel],
    'a page of somebody else': [
      anna,
      (await step(annas.signer(UP), byPasskey({ client: { origin: 'https://evil.example' } }))).statements[2],
    ],
    'a passkey that may be copied': [anna, (await step(annas.signer(UP), byPasskey({ flags: 0x0d }))).statements[2]],
    'the key of a certificate': [(await step(parties.signer('anna'), byPasskey())).statements[1], axel],
  };
  for (const [what, approvals] of Object.entries(lies)) {
    const text = formatStatements([proposal, ...approvals.filter((one) => one !== undefined)]);
    await assert.rejects(
      apply(next, text),
      { code: /^approval\.(signature-invalid|duplicate|hardware-required)$/ },
      what,
    );
    assert.equal((await bed.client.status()).policyVersion, policyVersion, what);
  }
  assert.equal(readFileSync(bed.rehearsal.layout.policy, 'utf8'), published);
  // The truth, after all of it.
  await apply(next, formatStatements(statements));
  assert.equal((await bed.client.status()).policyVersion, policyVersion + 1);
});

test('an approval by a key that was taken from its owner after they signed is worth nothing', async () => {
  const kept = await step(annas.signer(UP), byPasskey());
  const without = await step(annas.signer(UP), byPasskey(), (policy) => {
    signs(policy, 'anna', undefined);
    delete policy.quorums['policy-change'].hardware;
  });
  await apply(without.next, formatStatements(without.statements));
  const current = await inForce();
  const next = successor(current, raise(1));
  const now = bed.clock.now();
  const again = await parties.statement('approve', 'anna', [current, next], now, {}, annas.signer(UP));
  const rest = [
    await parties.statement('propose', 'paul', [current, next], now),
    await parties.statement('approve', 'axel', [current, next], now, {}, byPasskey()),
  ];
  await assert.rejects(apply(next, formatStatements([...rest, again])), { code: 'approval.signature-invalid' });
  await assert.rejects(apply(kept.next, formatStatements(kept.statements)), { code: 'policy.version-used' });
});
