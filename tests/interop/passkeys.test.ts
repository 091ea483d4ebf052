import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import { after, before, test } from 'node:test';
import {
  decodeAssertion,
  encodeAssertion,
  type RegisteredCredential,
  randomBytes,
  readAssertionJson,
  readWebauthnRegistration,
  verifyWebauthnAssertion,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  formatStatements,
  type OperatorSigner,
  type Policy,
  type StatementSigner,
  verifyUpdate,
  webauthnChallenge,
} from '@keystead/core/lifecycle';
import { PolicyParties, successor } from '../../packages/core/lifecycle/tests/policy-parties.ts';
import { Chromium, emptyPage, type Page } from './chromium.ts';

/** A passkey of a real browser, whose authenticator is virtual and does as it is told. */

const AT = new Date('2026-03-02T10:00:00Z');
const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

let browser: Chromium;
let page: Page;
let elsewhere: Page;
let authenticatorId: string;
let origin: string;
const servers: Server[] = [];

before(async () => {
  browser = new Chromium();
  const [house, other] = await Promise.all([emptyPage(), emptyPage()]);
  servers.push(house.server, other.server);
  origin = house.origin;
  page = await browser.open(origin);
  elsewhere = await browser.open(other.origin);
  authenticatorId = await authenticator(page);
});
after(async () => {
  await browser.close();
  for (const server of servers) server.close();
});

async function authenticator(on: Page, more: object = {}): Promise<string> {
  await on.send('WebAuthn.enable');
  const options = {
    protocol: 'ctap2',
    transport: 'usb',
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: true,
    ...more,
  };
  const made = await on.send<{ authenticatorId: string }>('WebAuthn.addVirtualAuthenticator', { options });
  return made.authenticatorId;
}

/** Registers a passkey at the page, as a console will, and reads it as keyd's policy will have it. */
async function register(on: Page, alg: number, attestation = 'none'): Promise<RegisteredCredential> {
  const challenge = randomBytes(32);
  const answer = await on.run<{ client: string; object: string }>(`(async () => {
    const bytes = (text) => Uint8Array.fromBase64(text, { alphabet: 'base64url' });
    const text = (buffer) => new Uint8Array(buffer).toBase64({ alphabet: 'base64url', omitPadding: true });
    const { response } = await navigator.credentials.create({ publicKey: {
      challenge: bytes('${base64url(challenge)}'),
      rp: { id: 'localhost', name: 'Keystead' },
      user: { id: bytes('${base64url(randomBytes(16))}'), name: 'anna', displayName: 'Anna' },
      pubKeyCredParams: [{ type: 'public-key', alg: ${alg} }],
      authenticatorSelection: { userVerification: 'required' },
      attestation: '${attestation}',
    } });
    return { client: text(response.clientDataJSON), object: text(response.attestationObject) };
  })()`);
  return readWebauthnRegistration(
    {
      clientDataJson: Buffer.from(answer.client, 'base64url'),
      attestationObject: Buffer.from(answer.object, 'base64url'),
    },
    { rpId: 'localhost', origins: [origin], userVerification: true, challenge },
  );
}

/** What the policy has of it. */
const signerOf = ({ credentialId, publicKey, rpId, origins }: RegisteredCredential): OperatorSigner => ({
  kind: 'webauthn',
  credentialId: base64url(credentialId),
  publicKey: base64url(publicKey),
  rpId,
  origins: [...origins],
  verify: true,
});

/** Has the browser ask its authenticator for an assertion of these bytes. */
const asker = (on: Page, { credentialId }: RegisteredCredential): StatementSigner => ({
  by: 'webauthn',
  sign: async (data) => {
    const text = await on.run<string>(`(async () => {
      const bytes = (text) => Uint8Array.fromBase64(text, { alphabet: 'base64url' });
      const credential = await navigator.credentials.get({ publicKey: {
        challenge: bytes('${base64url(webauthnChallenge(data))}'),
        rpId: 'localhost',
        allowCredentials: [{ type: 'public-key', id: bytes('${base64url(credentialId)}') }],
        userVerification: 'required',
      } });
      return JSON.stringify(credential);
    })()`);
    return encodeAssertion(readAssertionJson(text));
  },
});

/** A change of a policy in which anna may sign with her passkey, and the quorum wants keys that are held in hardware. */
function stepWith(signer: OperatorSigner, hardware = true) {
  const parties = new PolicyParties();
  const change = (policy: Policy) => {
    for (const operator of policy.operators) if (operator.name === 'anna') operator.signers = [signer];
    for (const name of ['axel', 'pia']) {
      const operator = policy.operators.find((one) => one.name === name);
      if (operator !== undefined) operator.signers = [{ kind: 'pkcs11', spki: operator.spki }];
    }
    if (hardware) policy.quorums['policy-change'].hardware = true;
  };
  const current = successor(parties.policy(), change);
  const next = successor(current, (policy) => {
    policy.tickets.maxQuota = 7;
  });
  return { parties, step: [current, next] as const };
}

/** The approvals file, with anna's approval by `anna`. @returns the code of the refusal, or who approved. */
async function outcome(
  { parties, step }: ReturnType<typeof stepWith>,
  anna: StatementSigner | Uint8Array,
): Promise<string> {
  const [current, next] = step;
  const signer: StatementSigner =
    anna instanceof Uint8Array ? { by: 'webauthn', sign: () => Promise.resolve(anna) } : anna;
  const token: StatementSigner = { by: 'pkcs11', sign: (data) => parties.signer('axel').sign(data) };
  const statements = [
    await parties.statement('propose', 'paul', step, AT),
    await parties.statement('approve', 'anna', step, AT, {}, signer),
    await parties.statement('approve', 'axel', step, AT, {}, token),
  ];
  try {
    const { approvers } = verifyUpdate(current, next, formatStatements(statements), AT);
    return approvers.map(({ name }) => name).join(' ');
  } catch (error) {
    assert.ok(error instanceof KeysteadError, String(error));
    return `${error.code} ${error.seen?.split(':')[0]}`;
  }
}

for (const [name, alg] of [
  ['ES256', -7],
  ['EdDSA', -8],
] as const) {
  test(`TEST-KEY-23 a passkey of ${name} that a browser made approves a policy, and its approval is good for nothing else [Chromium: WEBAUTHN register, WEBAUTHN approve]`, async () => {
    const credential = await register(page, alg);
    assert.equal(credential.backupEligible, false);
    const change = stepWith(signerOf(credential));
    let kept = new Uint8Array();
    const signer: StatementSigner = {
      by: 'webauthn',
      sign: async (data) => {
        kept = Uint8Array.from(await asker(page, credential).sign(data));
        return kept;
      },
    };
    assert.equal(await outcome(change, signer), 'anna axel');
    // The very assertion again, of the statement about another policy.
    const { parties, step } = change;
    const other = successor(step[0], (policy) => {
      policy.tickets.maxQuota = 8;
    });
    assert.equal(
      await outcome({ parties, step: [step[0], other] }, kept),
      'approval.signature-invalid webauthn.challenge-differs',
    );
  });
}

test('a passkey of RS256 is read and what it signs verifies, and no policy takes its 2048 bits [Chromium: WEBAUTHN register]', async () => {
  const credential = await register(page, -257);
  assert.equal(credential.key.keyAlgorithm, 'RSA-2048');
  const challenge = randomBytes(32);
  const assertion = await asker(page, credential).sign(challenge);
  const { userVerified } = verifyWebauthnAssertion(
    credential,
    webauthnChallenge(challenge),
    decodeAssertion(assertion),
  );
  assert.equal(userVerified, true);
  assert.throws(() => stepWith(signerOf(credential)), { code: 'policy.signer-unfit' });
});

test('an assertion that a browser made at another origin is refused, though the authenticator signed it', async () => {
  const credential = await register(page, -7);
  const id = await authenticator(elsewhere);
  const { credentials } = await page.send<{ credentials: object[] }>('WebAuthn.getCredentials', { authenticatorId });
  for (const one of credentials) {
    await elsewhere.send('WebAuthn.addCredential', { authenticatorId: id, credential: one });
  }
  assert.equal(
    await outcome(stepWith(signerOf(credential)), asker(elsewhere, credential)),
    'approval.signature-invalid webauthn.origin-foreign',
  );
});

test('an assertion without a touch, without the person, or with a signature of nothing is refused', async () => {
  const credential = await register(page, -7);
  for (const [bits, code] of [
    [{ isBadUP: true }, 'webauthn.user-absent'],
    [{ isBadUV: true }, 'webauthn.user-unverified'],
    [{ isBogusSignature: true }, 'webauthn.signature-invalid'],
  ] as const) {
    const none = { isBadUP: false, isBadUV: false, isBogusSignature: false };
    await page.send('WebAuthn.setResponseOverrideBits', { authenticatorId, ...none, ...bits });
    try {
      assert.equal(
        await outcome(stepWith(signerOf(credential)), asker(page, credential)),
        `approval.signature-invalid ${code}`,
      );
    } finally {
      await page.send('WebAuthn.setResponseOverrideBits', { authenticatorId, ...none });
    }
  }
});

test('a passkey that may be copied approves where any key does, and not where hardware is asked for', async () => {
  await page.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
  authenticatorId = await authenticator(page, { defaultBackupEligibility: true, defaultBackupState: true });
  const credential = await register(page, -7);
  assert.equal(credential.backupEligible, true);
  assert.equal(await outcome(stepWith(signerOf(credential), false), asker(page, credential)), 'anna axel');
  assert.equal(
    await outcome(stepWith(signerOf(credential)), asker(page, credential)),
    'approval.hardware-required a key of anna that may be copied',
  );
});

test('an attestation by a certificate is refused: nobody has named its maker', async () => {
  await assert.rejects(register(page, -7, 'direct'), (error: unknown) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, 'webauthn.attestation-refused');
    return true;
  });
});
