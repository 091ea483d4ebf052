import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseBundle, readChain } from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { pin, SoftHsm } from '../../keystore/pkcs11/tests/softhsm.ts';
import type { FoundingOptions, LaterOptions } from '../options.ts';
import { holdCrl } from '../revocation-lists.ts';
import { holdRollover } from '../rollover.ts';
import { runCeremony } from '../run.ts';
import type { CeremonyIo } from '../session.ts';
import { passphrase, Rehearsal } from './rehearsal.ts';

const printed: string[] = [];
const io: CeremonyIo = { print: (text) => void printed.push(text), confirm: async () => 'yes' };
let hsm: SoftHsm;
let rehearsal: Rehearsal;
before(async () => {
  hsm = new SoftHsm('one');
  rehearsal = await Rehearsal.make();
});
after(() => {
  rehearsal.remove();
  hsm.remove();
});

const options = (more: Partial<FoundingOptions> = {}): FoundingOptions =>
  rehearsal.options({ rootKeystore: hsm.config(), passphrase: pin(), ...more });
const later = (previous: string, out: string): LaterOptions => {
  const { request: _request, policy: _policy, ...common } = options({ out: join(rehearsal.dir, out) });
  return { ...common, previous };
};
async function ids(): Promise<string[]> {
  const keystore = await hsm.open();
  const found = keystore.list().map(({ id }) => id);
  keystore.close();
  return found.sort();
}

test('a ceremony that is stopped destroys the key that it has made on the token', async () => {
  const text: string[] = [];
  const stopping: CeremonyIo = {
    print: (line) => void text.push(line),
    confirm: async () => (text.join('\n').includes('Step 4 of') ? 'no' : 'yes'),
  };
  await assert.rejects(runCeremony(options({ unattended: false, out: join(rehearsal.dir, 'no') }), stopping), {
    code: 'ceremony.stopped',
  });
  assert.deepEqual(await ids(), []);
  assert.deepEqual(existsSync(rehearsal.layout.offline) ? readdirSync(rehearsal.layout.offline) : [], []);
});

test('a rehearsal destroys its keys on the token', async () => {
  await runCeremony(options({ rehearsal: true, out: join(rehearsal.dir, 'rehearsed') }), io);
  assert.deepEqual(await ids(), []);
});

test('what a ceremony that was killed left on the token is destroyed by the next', async () => {
  const keystore = await hsm.open();
  await keystore.generate('root', 'P-384', 'certificate authority: root');
  keystore.close();
  await assert.rejects(runCeremony(options(), io), { code: 'ceremony.already-held', field: 'root-keystore' });
  // The note that a ceremony writes before it makes a key.
  const work = join(rehearsal.layout.offline, 'in-progress');
  mkdirSync(work, { recursive: true });
  writeFileSync(join(work, 'token-keys.json'), '["root"]\n');
  await runCeremony(options(), io);
  assert.deepEqual(await ids(), ['root', 'signing-root']);
  assert.equal(existsSync(work), false);
});

test('TEST-KEY-02 TEST-KEY-22 the roots are made on a PKCS#11 token that never gives them away, and the transcript says what it says of them', () => {
  const lines = readChain(readFileSync(join(rehearsal.layout.ceremony, 'transcript.jsonl')));
  assert.equal(lines[0]?.detail.rootCustody, 'pkcs11');
  const roots = lines.filter(({ step }) => step === 'root-key');
  assert.equal(roots.length, 2);
  for (const { detail } of roots) {
    const evidence = detail.evidence as Record<string, string>;
    assert.equal(detail.custody, 'pkcs11');
    for (const [name, value] of Object.entries({
      CKA_EXTRACTABLE: 'false',
      CKA_NEVER_EXTRACTABLE: 'true',
      CKA_SENSITIVE: 'true',
      CKA_ALWAYS_SENSITIVE: 'true',
      CKA_LOCAL: 'true',
    })) {
      assert.equal(evidence[name], value, name);
    }
  }
  assert.match(printed.join('\n'), /The token says of this key:\n.*CKA_/);
  // No sealed file is made beside it.
  assert.deepEqual(readdirSync(rehearsal.layout.offline), []);
});

test('later ceremonies sign with the key on the token, and a rollover makes the next one beside it', async () => {
  const { ceremony } = rehearsal.layout;
  await holdCrl(later(ceremony, 'crl'), io);
  const { crls, certificates } = parseBundle(readFileSync(join(rehearsal.dir, 'crl', 'bundle.json')));
  assert.ok(readCrl(crls.root).verify(certificates.root));
  await holdRollover({ ...later(join(rehearsal.dir, 'crl'), 'rollover'), root: 'signing-root' }, io);
  const after = parseBundle(readFileSync(join(rehearsal.dir, 'rollover', 'bundle.json')));
  assert.deepEqual(after.certificates.root, certificates.root);
  assert.notEqual(
    readCertificate(after.certificates['signing-root']).spkiSha256,
    readCertificate(certificates['signing-root']).spkiSha256,
  );
  assert.deepEqual(await ids(), ['root', 'signing-root', 'signing-root-2']);
});

test('a wrong PIN, and roots that the policy wants elsewhere, are refused before anything is made', async () => {
  const out = join(rehearsal.dir, 'refused');
  await assert.rejects(runCeremony(options({ out, passphrase: passphrase('000000') }), io), { code: /^keystore\./ });
  await assert.rejects(runCeremony(options({ out, passphrase: 'discard' }), io), {
    code: 'ceremony.passphrase-source',
  });
  const policy = JSON.parse(readFileSync(rehearsal.policyPath, 'utf8')) as {
    custody: { purpose: string; allowed: string[] }[];
  };
  for (const rule of policy.custody) if (rule.purpose === 'root-ca') rule.allowed = ['pkcs11'];
  const sealed = { out, rootKeystore: undefined, passphrase: passphrase() };
  await assert.rejects(
    runCeremony(options({ ...sealed, policy: Buffer.from(`${JSON.stringify(policy, null, 2)}\n`) }), io),
    {
      code: 'ceremony.custody-forbidden',
      field: 'custody of root-ca',
    },
  );
  assert.equal(existsSync(out), false);
});
