import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromPem, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type CeremonyRequest, type RequestSlot, readChain } from '@keystead/core/lifecycle';
import { founding } from '../founding.ts';
import { scriptOf } from '../hold.ts';
import { readInputs } from '../inputs.ts';
import { runCeremony } from '../run.ts';
import type { Answer } from '../session.ts';
import { NO_NETWORK, passphrase, Rehearsal } from './rehearsal.ts';

let rehearsal: Rehearsal;
before(async () => {
  rehearsal = await Rehearsal.make();
});
after(() => rehearsal.remove());

type Json = Record<string, unknown>;
const edited = (path: string, change: (value: Json) => void): Uint8Array => {
  const value = JSON.parse(readFileSync(path, 'utf8')) as Json;
  change(value);
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
};
const request = (change: (request: CeremonyRequest) => void): Uint8Array =>
  edited(rehearsal.requestPath, (value) => change(value as CeremonyRequest));

/** Puts `pem` in the place of the request of one CA. */
const withCsr = (slot: RequestSlot, pem: string): Uint8Array =>
  request((value) => Object.assign(value.certificateRequests, { [slot]: pem }));

/** A request that openssl makes for a fresh key of its own. */
function opensslCsr(subject: string, key: string[], ...more: string[]): string {
  const dir = mkdtempSync(join(rehearsal.dir, 'openssl-'));
  const args = ['req', '-new', ...key, '-nodes', '-keyout', join(dir, 'key.pem'), '-subj', subject, ...more];
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
}
const P256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/** Expects a refusal with this code and field, and that nothing at all was made. */
async function refused(
  facts: { code: string; field: string | RegExp },
  more: Parameters<Rehearsal['run']>[0],
): Promise<KeysteadError> {
  const offline = join(rehearsal.dir, 'refused-safe');
  const out = join(rehearsal.dir, 'refused-out');
  let seen: unknown;
  await assert.rejects(rehearsal.run({ offline, out, ...more }), (error) => {
    seen = error;
    return true;
  });
  assert.ok(seen instanceof KeysteadError, String(seen));
  assert.equal(seen.code, facts.code, seen.message);
  if (typeof facts.field === 'string') assert.equal(seen.field, facts.field);
  else assert.match(seen.field ?? '', facts.field);
  assert.equal(existsSync(out), false);
  assert.deepEqual(existsSync(offline) ? readdirSync(offline) : [], []);
  return seen;
}

test('a request whose signature is not by its own key is refused, and named', async () => {
  const { certificateRequests } = JSON.parse(readFileSync(rehearsal.requestPath, 'utf8')) as CeremonyRequest;
  const [der] = fromPem('CERTIFICATE REQUEST', certificateRequests.operational);
  assert.ok(der);
  der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1;
  const broken = withCsr('operational', toPem('CERTIFICATE REQUEST', der));
  await refused({ code: 'csr.signature-invalid', field: /^certificateRequests\.operational/ }, { request: broken });
});

test('two requests that were swapped are refused: each is tied to its place by its name', async () => {
  const swapped = request(({ certificateRequests }) => {
    const { server, operator } = certificateRequests;
    Object.assign(certificateRequests, { server: operator, operator: server });
  });
  const error = await refused(
    { code: 'csr.subject-mismatch', field: 'certificateRequests.server' },
    { request: swapped },
  );
  assert.equal(error.seen, 'CN=ca-operator');
});

test('a request for a key that the profile does not allow is refused', async () => {
  const rsa = opensslCsr('/CN=ca-server', ['-newkey', 'rsa:2048']);
  await refused(
    { code: 'key.algorithm-forbidden', field: /^certificateRequests\.server/ },
    { request: withCsr('server', rsa) },
  );
});

test('a request that asks for extensions is refused: a CA gets what the policy gives', async () => {
  const csr = opensslCsr('/CN=ca-server', P256, '-addext', 'basicConstraints=critical,CA:TRUE,pathlen:3');
  const error = await refused(
    { code: 'csr.extension-forbidden', field: 'certificateRequests.server' },
    { request: withCsr('server', csr) },
  );
  assert.equal(error.seen, 'basicConstraints');
});

test('one key for two CAs is refused', async () => {
  const dir = mkdtempSync(join(rehearsal.dir, 'twice-'));
  const key = join(dir, 'key.pem');
  execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key], { stdio: 'pipe' });
  const csr = (name: string) =>
    execFileSync('openssl', ['req', '-new', '-key', key, '-subj', `/CN=${name}`], { encoding: 'utf8', stdio: 'pipe' });
  const twice = request((value) =>
    Object.assign(value.certificateRequests, { server: csr('ca-server'), operator: csr('ca-operator') }),
  );
  await refused({ code: 'key.already-used', field: 'certificateRequests.operator' }, { request: twice });
});

test('a request file that is torn, empty or of another form is refused with the field', async () => {
  const whole = readFileSync(rehearsal.requestPath);
  await refused({ code: 'ceremony.request-malformed', field: 'request' }, { request: whole.subarray(0, 100) });
  await refused({ code: 'ceremony.request-malformed', field: 'request' }, { request: new Uint8Array() });
  await refused(
    { code: 'ceremony.request-malformed', field: 'certificateRequests.server' },
    { request: withCsr('server', 'none') },
  );
  await refused(
    { code: 'csr.not-der', field: /^certificateRequests\.server/ },
    { request: withCsr('server', toPem('CERTIFICATE REQUEST', Buffer.from('none'))) },
  );
});

test('a policy with a broken rule is refused with the field and the rule', async () => {
  const late = edited(rehearsal.policyPath, (policy) =>
    Object.assign(policy.revocation ?? {}, { crlRefreshSeconds: 7200 }),
  );
  const error = await refused(
    { code: 'policy.crl-refresh-late', field: 'revocation.crlRefreshSeconds' },
    { policy: late },
  );
  assert.match(error.message, /a CRL must be made again before the last one ends \(saw 7200/);
  const unknown = edited(rehearsal.policyPath, (policy) => Object.assign(policy, { backdoor: true }));
  await refused({ code: 'policy.malformed', field: 'backdoor' }, { policy: unknown });
});

test('a network that appears during the ceremony ends it, and the new root is gone', async () => {
  let looks = 0;
  const network = () => {
    looks += 1;
    return looks === 1 ? NO_NETWORK : { interfaces: ['wlan0'], routes: [] };
  };
  await refused({ code: 'ceremony.network-present', field: 'network' }, { network });
  assert.equal(looks, 2);
});

test('a passphrase of fewer than 12 characters does not seal a root', async () => {
  await refused({ code: 'ceremony.passphrase-short', field: 'passphrase' }, { passphrase: passphrase('short') });
});

test('an attended ceremony without a witness is refused', async () => {
  await refused({ code: 'ceremony.no-witness', field: 'witness' }, { unattended: false, witnesses: [] });
});

test('the ceremony runs by the reviewed script, and by no other', async () => {
  const inputs = readInputs(readFileSync(rehearsal.policyPath), readFileSync(rehearsal.requestPath));
  const script = scriptOf(rehearsal.options(), founding(inputs));
  assert.match(script, /## 3\. Key of the root CA/);
  const other = script.replace('P-384', 'P-521');
  await refused({ code: 'ceremony.script-differs', field: /^script line \d+$/ }, { script: Buffer.from(other) });
});

test('witnesses who say no stop the ceremony at that step, and the root made so far is gone', async () => {
  const offline = join(rehearsal.dir, 'stopped');
  const asked: string[] = [];
  const io = {
    print: (text: string) => void asked.push(text),
    confirm: async () => (asked.join('\n').includes('Step 4 of 11') ? 'no' : 'yes') as Answer,
  };
  await assert.rejects(runCeremony(rehearsal.options({ unattended: false, offline }), io), {
    code: 'ceremony.stopped',
    field: 'Step 4 of 11. Key of the signing root',
  });
  assert.deepEqual(readdirSync(offline), []);
  assert.equal(existsSync(join(rehearsal.layout.ceremony, 'transcript.jsonl')), false);
});

test('the transcript says when nobody will ever open the roots again, and when nobody was asked', async () => {
  const out = join(rehearsal.dir, 'discarded-out');
  const offline = join(rehearsal.dir, 'discarded');
  await rehearsal.run({ out, offline, passphrase: 'discard' });
  const [begin] = readChain(readFileSync(join(out, 'transcript.jsonl')));
  assert.equal(begin?.detail.rootPassphrase, 'discarded: this hierarchy can never be extended');
  assert.equal(begin?.detail.attended, false);
});

test('what a ceremony that was killed left behind does not hinder the next one', async () => {
  const offline = join(rehearsal.dir, 'killed');
  const out = join(rehearsal.dir, 'killed-out');
  await rehearsal.run({ out, offline });
  rmSync(join(out, 'transcript.sig'));
  for (const name of readdirSync(offline)) rmSync(join(offline, name));
  execFileSync('mkdir', [join(offline, 'in-progress')]);
  writeFileSync(join(offline, 'in-progress', 'root.sealed'), 'torn');
  await rehearsal.run({ out, offline });
  assert.deepEqual(readdirSync(offline).sort(), ['root.sealed', 'signing-root.sealed']);
});

test('the passphrase that was handed over is wiped, also when the ceremony is refused', async () => {
  const handed = passphrase();
  await assert.rejects(
    rehearsal.run({ request: new Uint8Array(), offline: join(rehearsal.dir, 'x'), passphrase: handed }),
  );
  assert.equal(handed.wiped, true);
});
