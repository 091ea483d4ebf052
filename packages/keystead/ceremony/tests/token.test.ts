import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readChain } from '@keystead/core/lifecycle';
import { PIN, pin, SoftHsm } from '../../keystore/pkcs11/tests/softhsm.ts';
import { holdCrl } from '../revocation-lists.ts';
import { holdRollover } from '../rollover.ts';
import { verifyCeremony } from '../verify.ts';
import { Rehearsal } from './rehearsal.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
let hsm: SoftHsm;
let ceremony: Rehearsal;
before(async () => {
  hsm = new SoftHsm('one', 'killed');
  ceremony = await Rehearsal.make();
});
after(() => {
  ceremony.remove();
  hsm.remove();
});

const onToken = () => ({ rootKeystore: hsm.config(), passphrase: pin() });
const labels = (token = 'one') =>
  [...hsm.tool(token, '--list-objects', '--type', 'privkey').text.matchAll(/label: +(\S+)/g)]
    .map(([, id]) => id)
    .sort();
const proven = (dir: string, previous?: string) =>
  verifyCeremony(dir, { previous }).filter(({ verdict }) => verdict === 'failed');

test('TEST-KEY-02 a person who says no leaves no key on the token', async () => {
  const out = join(ceremony.dir, 'stopped');
  const { runCeremony } = await import('../run.ts');
  const asked: string[] = [];
  const io = {
    print: (text: string) => void asked.push(text),
    confirm: async () => (asked.join('\n').includes('Step 5 of 10') ? ('no' as const) : ('yes' as const)),
  };
  const options = ceremony.options({ ...onToken(), unattended: false, out });
  await assert.rejects(runCeremony(options, io), { code: 'ceremony.stopped' });
  assert.deepEqual(labels(), []);
});

test('TEST-KEY-02 both roots are made on the token, which shows that they never leave it; openssl verifies what they sign', async () => {
  await ceremony.run(onToken());
  assert.deepEqual(labels(), ['root', 'signing-root']);
  assert.equal(existsSync(join(ceremony.layout.offline, 'root.sealed')), false);
  const lines = readChain(ceremony.output('transcript.jsonl'));
  for (const { detail } of lines.filter(({ step }) => step === 'root-key')) {
    assert.equal(detail.custody, 'pkcs11');
    const evidence = detail.evidence as Record<string, string>;
    assert.equal(evidence.CKA_EXTRACTABLE, 'false');
    assert.equal(evidence.CKA_SENSITIVE, 'true');
  }
  assert.match(hsm.tool('one', '--list-objects', '--type', 'privkey').text, /never extractable/);
  const root = join(ceremony.layout.ceremony, 'root.pem');
  const verified = spawnSync('openssl', [
    'verify',
    '-x509_strict',
    '-CAfile',
    root,
    join(ceremony.layout.ceremony, 'server.pem'),
  ]);
  assert.equal(verified.status, 0, String(verified.stderr));
  assert.deepEqual(proven(ceremony.layout.ceremony), []);
  assert.equal(JSON.stringify(lines).includes(PIN), false);
});

test('a second founding does not take keys that are there, and later ceremonies open them', async () => {
  const again = ceremony.run({ ...onToken(), out: join(ceremony.dir, 'again') });
  await assert.rejects(again, { code: 'ceremony.already-held', field: 'root-keystore' });
  const lists = join(ceremony.dir, 'lists');
  await holdCrl(ceremony.later(ceremony.layout.ceremony, 'lists', onToken()), ceremony.io);
  await holdRollover({ ...ceremony.later(lists, 'rolled', onToken()), root: 'root' }, ceremony.io);
  assert.deepEqual(proven(join(ceremony.dir, 'rolled'), lists), []);
  assert.deepEqual(labels(), ['root', 'root-2', 'signing-root']);
  await holdCrl(
    { ...ceremony.later(join(ceremony.dir, 'rolled'), 'rehearsed', onToken()), rehearsal: true },
    ceremony.io,
  );
  assert.deepEqual(labels(), ['root', 'root-2', 'signing-root']);
});

test('roots where the policy does not let them be are refused, and a token has no passphrase to discard', async () => {
  const policy = Buffer.from(
    readFileSync(ceremony.policyPath, 'utf8').replace(
      /("purpose": "root-ca",\s+"owner": "[^"]+",\s+"allowed": \[\s+)"pkcs11",\s+/,
      '$1',
    ),
  );
  const elsewhere = { out: join(ceremony.dir, 'x'), offline: join(ceremony.dir, 'y') };
  await assert.rejects(ceremony.run({ ...onToken(), ...elsewhere, policy }), {
    code: 'ceremony.custody-forbidden',
    field: 'custody of root-ca',
  });
  await assert.rejects(ceremony.run({ ...onToken(), ...elsewhere, passphrase: 'discard' }), {
    code: 'ceremony.passphrase-source',
  });
  await assert.rejects(ceremony.run({ ...onToken(), ...elsewhere, passphrase: pin('00000') }), {
    code: 'keystore.pin-incorrect',
  });
});

test('kill -9 after the first key: the next ceremony destroys it and makes its own', () => {
  const at = (name: string) => join(ceremony.dir, name);
  mkdirSync(at('killed'));
  const config = at('killed/token.json');
  writeFileSync(config, JSON.stringify(hsm.config({ token: { label: 'killed' } })));
  const flags = ['--request', ceremony.requestPath, '--policy', ceremony.policyPath, '--root-keystore', config];
  const dirs = ['--out', at('killed/out'), '--offline', at('killed/safe'), '--witness', 'Ada Lovelace'];
  const run = (more: string[], script: string) =>
    spawnSync(
      'unshare',
      [
        '--net',
        '--map-root-user',
        '--',
        'bash',
        '-c',
        script,
        'bash',
        process.execPath,
        MAIN,
        ...flags,
        ...dirs,
        ...more,
      ],
      { encoding: 'utf8', env: { ...process.env, PIN_OF_TEST: PIN } },
    );
  // The witness says yes to three steps; then the process is killed while it waits for the fourth.
  const killed = run(
    ['--passphrase-fd', '3'],
    `coproc C { exec "$@" 3< <(printf %s "$PIN_OF_TEST"); }
     printf 'yes\\nyes\\nyes\\n' >&"\${C[1]}"
     while IFS= read -r line <&"\${C[0]}"; do case $line in *'Step 4 of 10'*) kill -9 $C_PID; exit 0;; esac; done; exit 9`,
  );
  assert.equal(killed.status, 0, killed.stderr);
  assert.deepEqual(labels('killed'), ['root']);
  assert.deepEqual(readdirSync(at('killed/safe')), ['in-progress']);
  assert.equal(existsSync(at('killed/out')), false);
  const next = run(['--passphrase-fd', '3', '--unattended'], 'exec "$@" 3< <(printf %s "$PIN_OF_TEST")');
  assert.equal(next.status, 0, next.stderr);
  assert.deepEqual(labels('killed'), ['root', 'signing-root']);
  assert.deepEqual(readdirSync(at('killed/safe')), []);
  assert.deepEqual(proven(at('killed/out')), []);
});
