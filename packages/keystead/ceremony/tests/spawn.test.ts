import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromPem } from '@keystead/core/bytes';
import { certSha256, spkiSha256 } from '@keystead/core/crypto';
import { certificateOf, verifyTranscript } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { isOffline, readNetwork } from '../../host/network.ts';
import { openSealedKeystore } from '../../keystore/index.ts';
import { type SpawnCeremonyOptions, spawnCeremony } from '../spawn.ts';
import { PASSPHRASE, passphrase, Rehearsal } from './rehearsal.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
let rehearsal: Rehearsal;
before(async () => {
  rehearsal = await Rehearsal.make();
});
after(() => rehearsal.remove());

function optionsFor(
  name: string,
  more: Partial<SpawnCeremonyOptions> = {},
): SpawnCeremonyOptions & { lines: string[] } {
  const lines: string[] = [];
  return {
    request: rehearsal.requestPath,
    policy: rehearsal.policyPath,
    out: join(rehearsal.dir, name, 'out'),
    offline: join(rehearsal.dir, name, 'safe'),
    witnesses: ['a test'],
    passphrase: passphrase(),
    acceptNetwork: false,
    onLine: (line) => void lines.push(line),
    lines,
    ...more,
  };
}

/** What the signed transcript in `out` says. */
function transcriptIn(out: string) {
  const read = (name: string) => readFileSync(join(out, name));
  const certificate = (name: string) => certificateOf(read(name).toString('latin1'), name);
  return verifyTranscript(
    read('transcript.jsonl'),
    read('transcript.sig'),
    certificate('transcript-signer.pem'),
    certificate('root.pem'),
  );
}

test('TEST-KEY-02 a spawned ceremony has an empty network namespace of its own', async () => {
  const options = optionsFor('spawned');
  const result = await spawnCeremony(options);
  assert.ok(result.isolation === 'network-namespace' || result.isolation === 'user-namespace', result.isolation);
  assert.equal(result.offline, true);
  assert.equal(transcriptIn(options.out).offline, true);
  assert.ok(options.lines.some((line) => line.startsWith('Step 1 of 11. Network')));
  const [root] = fromPem('CERTIFICATE', readFileSync(join(options.out, 'root.pem'), 'latin1'));
  assert.ok(root);
  assert.equal(result.rootSha256, certSha256(root));
});

test('an ordinary user gets the same by a user namespace', async () => {
  const result = await spawnCeremony(
    optionsFor('user', { unshare: [['unshare', '--net', '--map-root-user', '--']], passphrase: 'discard' }),
  );
  assert.deepEqual([result.isolation, result.offline], ['user-namespace', true]);
});

test('the passphrase that was handed over, and no other, opens the sealed root', async () => {
  const { out, offline } = optionsFor('spawned');
  const sealed = join(offline, 'root.sealed');
  const keystore = await openSealedKeystore(sealed, passphrase(), rehearsal.clock);
  const { spki } = readCertificate(certificateOf(readFileSync(join(out, 'root.pem'), 'latin1'), 'root.pem'));
  assert.deepEqual(
    keystore.list().map((key) => [key.id, key.algorithm, spkiSha256(key.spki)]),
    [['root', 'P-384', spkiSha256(spki)]],
  );
  keystore.close();
  await assert.rejects(openSealedKeystore(sealed, passphrase('another passphrase'), rehearsal.clock), {
    code: 'keystore.wrong-passphrase',
  });
});

test('where no namespace can be made and a network is there, the ceremony is refused unless that was allowed', async () => {
  const connected = () => ({ interfaces: ['eth0'], routes: ['default via eth0'] });
  const options = optionsFor('refused', { unshare: [['false'], ['/no/such/program']], network: connected });
  await assert.rejects(spawnCeremony(options), { code: 'ceremony.no-isolation', field: 'unshare' });
  assert.equal(existsSync(options.out) || existsSync(options.offline), false);

  const allowed = { ...options, acceptNetwork: true };
  const result = await spawnCeremony(allowed);
  assert.equal(result.isolation, 'none');
  const offline = isOffline(readNetwork());
  assert.equal(result.offline, offline);
  const transcript = transcriptIn(allowed.out);
  assert.equal(transcript.offline, offline);
  assert.equal(/NOT OFFLINE/.test(JSON.stringify(transcript.lines)), !offline);
});

test('a machine that has no network needs no namespace', async () => {
  const inside = `import { spawnCeremony } from ${JSON.stringify(new URL('../spawn.ts', import.meta.url).href)};
    const options = JSON.parse(process.argv[1]);
    const result = await spawnCeremony({ ...options, passphrase: 'discard', unshare: [], onLine() {} });
    process.stdout.write(JSON.stringify(result));`;
  const options = optionsFor('machine');
  const args = ['--net', '--map-root-user', '--', process.execPath, '--input-type=module', '-e', inside];
  const run = spawnSync('unshare', [...args, JSON.stringify(options)], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  const result = JSON.parse(run.stdout) as { isolation: string; offline: boolean };
  assert.deepEqual([result.isolation, result.offline], ['offline-machine', true]);
});

test('the error of the ceremony comes back with its code and field', async () => {
  const policy = join(rehearsal.dir, 'broken-policy.json');
  writeFileSync(
    policy,
    readFileSync(rehearsal.policyPath, 'utf8').replace('"crlRefreshSeconds": 1200', '"crlRefreshSeconds": 7200'),
  );
  await assert.rejects(spawnCeremony(optionsFor('broken', { policy })), {
    code: 'policy.crl-refresh-late',
    field: 'revocation.crlRefreshSeconds',
  });
  await assert.rejects(spawnCeremony(optionsFor('missing', { request: join(rehearsal.dir, 'none.json') })), {
    code: 'ceremony.file-unreadable',
    field: '--request',
  });
});

test('the passphrase stands neither in an argument nor in the environment of the process, nor in what it prints', async () => {
  const seen = join(rehearsal.dir, 'seen');
  const wrapper = `{ printf '%s\\n' "$@"; env; } >> ${seen}; exec "$@"`;
  const options = optionsFor('watched', {
    unshare: [['unshare', '--net', '--map-root-user', '--', 'sh', '-c', wrapper, 'sh']],
  });
  await spawnCeremony(options);
  const text = readFileSync(seen, 'utf8');
  assert.ok(text.includes('--passphrase-fd'));
  assert.equal(text.includes(PASSPHRASE), false);
  assert.equal(options.lines.join('\n').includes(PASSPHRASE), false);
});

test('a ceremony whose parent is gone ends before it has made anything', () => {
  const { out, offline, request, policy } = optionsFor('orphan');
  const flags = ['--request', request, '--policy', policy, '--out', out, '--offline', offline, '--unattended'];
  const run = spawnSync(
    'unshare',
    ['--net', '--map-root-user', '--', process.execPath, MAIN, ...flags, '--discard-passphrase', '--with-parent'],
    { input: '', encoding: 'utf8' },
  );
  assert.equal(run.status, 1, run.stderr);
  assert.equal(existsSync(join(out, 'transcript.sig')) || existsSync(join(offline, 'root.sealed')), false);
});

test('a command line that is wrong says what is wrong, and there is no way to give a passphrase in it', () => {
  const run = (...flags: string[]) => spawnSync(process.execPath, [MAIN, ...flags], { encoding: 'utf8', input: '' });
  const needed = ['--request', rehearsal.requestPath, '--policy', rehearsal.policyPath];
  assert.deepEqual([run().status, run(...needed, '--passphrase', 'secret').status], [2, 2]);
  assert.match(run().stderr, /--request/);
  assert.match(run(...needed, '--passphrase-fd', 'three').stderr, /file descriptor is a number/);
  const none = run(...needed, '--unattended');
  assert.equal(none.status, 3);
  assert.match(none.stderr, /--passphrase-fd: the passphrase of the roots comes from a terminal or a file descriptor/);
  assert.equal(run('--help').status, 0);
});

test('the script is printed for review before anything is done', () => {
  const args = [MAIN, '--request', rehearsal.requestPath, '--policy', rehearsal.policyPath, '--print-script'];
  const run = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stdout, /^# Script of a key ceremony: Founding of the hierarchy \(ceremony 1\)\n/);
  assert.equal(existsSync('ceremony-out') || existsSync('ceremony-offline'), false);
});
