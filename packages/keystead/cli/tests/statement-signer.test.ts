import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toBase64, toBase64url } from '@keystead/core/bytes';
import { verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  formatStatements,
  type OperatorSigner,
  type PolicyFile,
  parseStatements,
  verifyUpdate,
  webauthnChallenge,
} from '@keystead/core/lifecycle';
import { Authenticator } from '../../../core/crypto/tests/authenticator.ts';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { systemClock } from '../../clock/system.ts';
import { withPersonKey } from '../../keystore/index.ts';
import { PIN, pin, SOFTHSM, SoftHsm } from '../../keystore/pkcs11/tests/softhsm.ts';
import { approvalsPathOf, approve } from '../../policy/index.ts';
import { BytesWritten } from '../bytes-written.ts';
import { type SignWithOptions, statementSigner } from '../statement-signer.ts';
import { readTokenUri } from '../token-signer.ts';

/** People sign with what they hold, each by another way, on machines that know no server. */

const BIN = fileURLToPath(new URL('../../bin/keystead.mjs', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'keystead-sign-with-'));
const at = (name: string): string => join(dir, name);
const pia = new Authenticator();
let hsm: SoftHsm;
let current: PolicyFile;
let next: PolicyFile;

const uri = (more = 'token=one;object=approval', query = `&pin-source=file:${at('pin')}`): string =>
  `pkcs11:${more}?module-path=${SOFTHSM}${query}`;

before(() => {
  hsm = new SoftHsm('one');
  writeFileSync(at('pin'), `${PIN}\n`, { mode: 0o600 });
  for (const name of ['paul', 'anna']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', at(name)]);
  }
  makeKey('approval', '01', 'EC:prime256v1');
  const ssh = (name: string): OperatorSigner => ({ kind: 'ssh', key: readFileSync(at(`${name}.pub`), 'utf8').trim() });
  const own: Readonly<Record<string, OperatorSigner>> = {
    paul: ssh('paul'),
    anna: ssh('anna'),
    axel: { kind: 'pkcs11', spki: toBase64(publicKeyOf('approval')) },
    pia: {
      kind: 'webauthn',
      credentialId: toBase64url(pia.credentialId),
      publicKey: toBase64url(pia.publicKey),
      rpId: 'keystead.example',
      origins: ['https://keystead.example'],
    },
  };
  current = successor(new PolicyParties().policy(), (policy) => {
    for (const operator of policy.operators) {
      const signer = own[operator.name];
      if (signer !== undefined) operator.signers = [signer];
    }
  });
  next = successor(current, (policy) => {
    policy.tickets.maxQuota = 7;
  });
  writeFileSync(at('current.json'), current.bytes);
  writeFileSync(at('next.json'), next.bytes);
});
after(() => {
  hsm.remove();
  rmSync(dir, { recursive: true, force: true });
});

/** A key that another program makes on the token. */
function makeKey(label: string, id: string, kind: string): void {
  const { status, text } = hsm.tool('one', '--keypairgen', '--key-type', kind, '--label', label, '--id', id);
  assert.equal(status, 0, text);
}

function publicKeyOf(label: string): Uint8Array {
  const out = at(`${label}.spki`);
  const { status, text } = hsm.tool('one', '--read-object', '--type', 'pubkey', '--label', label, '--output-file', out);
  assert.equal(status, 0, text);
  return new Uint8Array(readFileSync(out));
}

/** `keystead policy propose|approve`, which must end with this code. */
function policy(act: 'propose' | 'approve', as: string, more: readonly string[], code = 0): string {
  const args = ['policy', act, at('next.json'), '--as', as, '--current', at('current.json'), ...more];
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8' });
  assert.equal(status, code, `${args.join(' ')}\n${stdout}\n${stderr}`);
  return `${stdout}${stderr}`;
}

/** The same without a program around it. */
const approveWith = (name: string, options: SignWithOptions) =>
  approve({
    current,
    next,
    path: approvalsPathOf(at('next.json')),
    name,
    signer: statementSigner(options, own),
    now: systemClock.now(),
    seconds: 3600,
  });
const own = () => Promise.reject(new Error('the key of the data directory is not asked for'));

/** Who approved, and by which kind of key, as keyd will count them. */
function counted(): [string[], unknown[]] {
  const text = readFileSync(at('next.json.approvals.json'), 'utf8');
  const { approvers } = verifyUpdate(current, next, text, systemClock.now());
  return [approvers.map(({ name }) => name), parseStatements(text).map(({ by }) => by)];
}

test('TEST-KEY-23 a policy is proposed and approved from the command line by SSH keys and a token, also on a machine without Keystead [ssh-keygen: APPROVAL sign, APPROVAL sign offline]', () => {
  policy('propose', 'paul', ['--sign-with', `ssh:${at('paul')}`]);
  const told = policy('approve', 'anna', ['--bytes-out', at('anna.bytes')]);
  assert.match(told, /nobody has signed yet[\s\S]*ssh-keygen -Y sign -n keystead-approval/);
  execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'keystead-approval', '-f', at('anna'), at('anna.bytes')]);
  policy('approve', 'anna', ['--signature-in', at('anna.bytes.sig')]);
  policy('approve', 'axel', ['--sign-with', uri()]);
  assert.deepEqual(counted(), [
    ['anna', 'axel'],
    ['ssh', 'ssh', 'pkcs11'],
  ]);
});

test('a statement is signed elsewhere by a token that another program has, and by a passkey [pkcs11-tool: APPROVAL sign offline]', async () => {
  const file = at('next.json.approvals.json');
  const [proposal] = parseStatements(readFileSync(file, 'utf8'));
  assert.ok(proposal !== undefined);
  writeFileSync(file, formatStatements([proposal]));
  const written = (name: string) => assert.rejects(approveWith(name, { bytesOut: at(`${name}.out`) }), BytesWritten);
  await written('axel');
  await assert.rejects(approveWith('axel', { bytesOut: at('axel.out') }), { code: 'ticket.file-exists' });
  execFileSync('openssl', ['dgst', '-sha256', '-binary', '-out', at('axel.hash'), at('axel.out')]);
  const how = ['--sign', '--mechanism', 'ECDSA', '--label', 'approval', '--signature-format', 'openssl'];
  const { status, text } = hsm.tool(
    'one',
    ...how,
    '--input-file',
    at('axel.hash'),
    '--output-file',
    at('axel.out.sig'),
  );
  assert.equal(status, 0, text);
  // The bytes are axel's and nobody else's.
  await assert.rejects(approveWith('pia', { signatureIn: at('axel.out.sig') }), { code: 'approval.bytes-differ' });
  await approveWith('axel', { signatureIn: at('axel.out.sig') });
  await written('pia');
  const assertion = await pia.assert(webauthnChallenge(readFileSync(at('pia.out'))));
  writeFileSync(at('pia.out.sig'), jsonOf(assertion));
  await approveWith('pia', { signatureIn: at('pia.out.sig') });
  assert.deepEqual(counted(), [
    ['axel', 'pia'],
    ['ssh', 'pkcs11', 'webauthn'],
  ]);
});

/** As browsers write it. */
function jsonOf(assertion: Awaited<ReturnType<Authenticator['assert']>>): string {
  const id = toBase64url(assertion.credentialId);
  return JSON.stringify({
    id,
    rawId: id,
    type: 'public-key',
    response: {
      clientDataJSON: toBase64url(assertion.clientDataJson),
      authenticatorData: toBase64url(assertion.authenticatorData),
      signature: toBase64url(assertion.signature),
      userHandle: null,
    },
    clientExtensionResults: {},
  });
}

for (const [kind, id] of [
  ['EC:secp384r1', '02'],
  ['EC:edwards25519', '03'],
  ['rsa:3072', '04'],
] as const) {
  test(`a key of ${kind} that another program made on the token signs`, async () => {
    const label = `a ${kind}`;
    makeKey(label, id, kind);
    const data = Buffer.from('a statement');
    for (const name of [{ label }, { objectId: Buffer.from(id, 'hex') }]) {
      await withPersonKey(hsm.config({ sessions: 1 }), pin(), name, async (signer) => {
        const signature = await signer.sign(data);
        assert.equal(verifySignature(signer.signatureAlgorithm, signer.spki, data, signature), true);
        assert.equal(verifySignature(signer.signatureAlgorithm, signer.spki, Buffer.from('another'), signature), false);
      });
    }
  });
}

const codeOf = async (options: SignWithOptions, data = Buffer.from('a statement')): Promise<string> => {
  try {
    await statementSigner(options, own).sign(data);
  } catch (error) {
    if (error instanceof KeysteadError) return error.code;
    throw error;
  }
  return 'none';
};

test('a token, a key or a PIN that is not what the URI says is refused, each in its own words', async () => {
  makeKey('twice', '0a', 'EC:prime256v1');
  makeKey('twice', '0b', 'EC:prime256v1');
  makeKey('alone', '0c', 'EC:prime256v1');
  hsm.tool('one', '--delete-object', '--type', 'pubkey', '--label', 'alone');
  makeKey('small', '0d', 'rsa:2048');
  writeFileSync(at('wrong-pin'), '00000\n', { mode: 0o600 });
  writeFileSync(at('open-pin'), `${PIN}\n`, { mode: 0o644 });
  for (const [code, signWith] of [
    ['none', uri()],
    ['none', uri('token=one;id=%01')],
    ['none', uri('token=one;object=approval;type=private')],
    ['keystore.key-missing', uri('token=one;object=nobody')],
    ['keystore.key-missing', uri('token=one;object=alone')],
    ['keystore.token-ambiguous', uri('token=one;object=twice')],
    ['keystore.mechanism-unsupported', uri('token=one;object=small')],
    ['keystore.token-absent', uri('token=none;object=approval')],
    ['passphrase.file-exposed', uri(undefined, `&pin-source=file:${at('open-pin')}`)],
    ['passphrase.unavailable', uri(undefined, `&pin-source=file:${at('no-pin')}`)],
    ['approval.signer-failed', uri(undefined, `&pin-value=${PIN}`)],
    ['approval.signer-failed', uri('token=one')],
    ['approval.signer-failed', uri('object=approval')],
    ['approval.signer-failed', uri('token=one;object=approval;slot-id=0')],
    ['approval.signer-failed', uri('token=one;token=two;object=approval')],
    ['approval.signer-failed', uri('token=one;object=%4')],
    ['approval.signer-failed', 'pkcs11:token=one;object=approval?module-path=libsofthsm2.so'],
    ['approval.signer-failed', 'pkcs11:token=one;object=approval'],
    ['approval.signer-failed', 'gpg:me'],
    ['approval.signer-failed', 'ssh:'],
    ['approval.signer-failed', `ssh:${at('nobody')}`],
    // Last: the token counts wrong PINs.
    ['keystore.pin-incorrect', uri(undefined, `&pin-source=file:${at('wrong-pin')}`)],
  ] as const) {
    assert.equal(await codeOf({ signWith }), code, signWith);
  }
  // Of the second, the PIN has an ampersand in it and comes apart there.
  for (const query of [`&pin-value=${PIN}`, `&pin-value=1&${PIN}`, `&pin-value=1&${PIN}x`, `?pin-value=${PIN}`]) {
    assert.throws(
      () => readTokenUri(uri(undefined, query)),
      (error: unknown) => {
        assert.ok(error instanceof KeysteadError);
        return !JSON.stringify(error.toJSON()).includes(PIN);
      },
    );
  }
});

test('a signature from elsewhere that cannot be read, or is of other bytes, is refused before anything is written', async () => {
  writeFileSync(at('x'), 'a statement');
  writeFileSync(at('x.sig'), '-----BEGIN SSH SIGNATURE-----\nAAAA\n');
  writeFileSync(at('y.sig'), 'a signature whose bytes are not there');
  writeFileSync(at('z'), 'another statement');
  writeFileSync(at('z.sig'), 'raw');
  writeFileSync(at('big'), 'a statement');
  writeFileSync(at('big.sig'), Buffer.alloc(40_000));
  writeFileSync(at('json'), 'a statement');
  writeFileSync(at('json.sig'), '{"id": "AA", "response": {}}');
  const read = (name: string) => async () => statementSigner({ signatureIn: at(name) }, own);
  const unreadable = { code: 'approval.signature-unreadable' };
  for (const name of ['x.sig', 'y.sig', 'z', 'absent.sig', 'big.sig'])
    await assert.rejects(read(name), unreadable, name);
  await assert.rejects(read('json.sig'), { code: 'webauthn.malformed' });
  writeFileSync(at('s'), 'a statement');
  execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'keystead-approval', '-f', at('anna'), at('s')]);
  assert.equal(await codeOf({ signatureIn: at('s.sig') }), 'none');
  writeFileSync(at('s'), 'a statement of something else');
  await assert.rejects(read('s.sig'), { code: 'approval.ssh-refused' });
  assert.equal(await codeOf({ signatureIn: at('z.sig') }), 'approval.bytes-differ');
  assert.equal(existsSync(at('y')), false);
});
