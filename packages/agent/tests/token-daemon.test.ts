import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { canonicalJson, type DerCsr, fromPem, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { verifyWipeEvidence } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { SOFTHSM, SoftHsmTokens } from '@keystead/pkcs11/tests/softhsm-tokens.ts';
import { readConfig } from '../daemon/config.ts';
import { readPin } from '../daemon/credential-file.ts';
import { wipeDevice } from '../daemon/wipe.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { TrustHouse } from './trust-house.ts';

/** The section of docs/agent.md, typed as it stands, and the daemon with a key on a SoftHSM of its own. */
const MAIN = fileURLToPath(new URL('../daemon/main.ts', import.meta.url));
const page = readFileSync(new URL('../../../docs/agent.md', import.meta.url), 'utf8');
const [, section = ''] = page.split('## A key on a PKCS#11 token\n');
const [own = ''] = section.split('\n## ');
const blocks = [...own.matchAll(/```(sh|json)\n([\s\S]*?)```/g)].map(([, , text = '']) => text);
const PIN = '4711-0815';

/** The daemon lives by the machine's clock. */
const fleet = new Fleet(new Date());
let hsm: SoftHsmTokens;
let house: TrustHouse;
const at = (name: string): string => join(hsm.dir, name);

before(async () => {
  hsm = new SoftHsmTokens();
  house = await TrustHouse.start(fleet);
  await house.publish();
  mkdirSync(at('tools'));
  writeFileSync(at('tools/keystead-agent'), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`);
  chmodSync(at('tools/keystead-agent'), 0o755);
});
after(async () => {
  await house?.stop();
  hsm?.remove();
});

function configure(key: unknown, file = 'agent.json', state = 'state'): string {
  const signer = { key: 'signer.pem', from: '2020-01-01T00:00:00Z', until: '2049-12-31T00:00:00Z' };
  writeFileSync(at('anchors.pem'), toPem('CERTIFICATE', fleet.root.certificate));
  writeFileSync(at('signer.pem'), toPem('PUBLIC KEY', house.signer.spki));
  const settings = {
    deviceId: 'pump-1',
    state,
    run: 'run',
    anchors: 'anchors.pem',
    key,
    server: { est: 'https://localhost:1', trust: house.url },
    fleet: { name: 'pumps', signers: [signer] },
    ocsp: false,
  };
  writeFileSync(at(file), JSON.stringify(settings));
  return at(file);
}

function shell(block = ''): string {
  const PATH = `${at('tools')}:${process.env.PATH ?? ''}`;
  const options = { cwd: hsm.dir, encoding: 'utf8', env: { ...process.env, PATH } } as const;
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-euo', 'pipefail', '-c', block], options);
  assert.equal(status, 0, `${block}\n${stdout}\n${stderr}`);
  return `${stdout}${stderr}`;
}

const agent = (config: string, ...args: string[]) =>
  spawnSync(process.execPath, [MAIN, ...args, '--config', config], { cwd: hsm.dir, encoding: 'utf8' });

test('TEST-KEY-03 TEST-KEY-24: docs/agent.md: a device on a token from its request to its wipe, whose evidence names or counts everything [openssl: PKCS10 proof of possession] [pkcs11-tool: PKCS11 list-objects]', async () => {
  const [token, key = '', request, end = ''] = blocks;
  const [install = '', wipe = ''] = end.trim().split('\n');
  assert.equal(blocks.length, 4);
  shell(token);
  const config = configure(JSON.parse(key));
  const made = shell(request);
  assert.match(made, /verify OK/);
  assert.match(made, /Private Key Object; EC/);
  assert.match(made, /agent\.[0-9a-f]{16}\.idevid/);
  const csr = readFileSync(at('idevid.csr'), 'utf8');
  shell(request);
  assert.equal(readFileSync(at('idevid.csr'), 'utf8'), csr, 'asked again, it is the same request');
  const [der] = fromPem('CERTIFICATE REQUEST', csr);
  const idevid = deviceCertificate(fleet, 'idevid', der as DerCsr);
  writeFileSync(at('idevid.pem'), idevid.map((one) => toPem('CERTIFICATE', one)).join(''));
  shell(install);

  // The token is pulled out: the daemon says so, and what to do.
  hsm.unplug();
  mkdirSync(at('tokens'));
  const away = agent(config, 'run');
  rmdirSync(at('tokens'));
  hsm.plug();
  const { error } = JSON.parse(away.stderr) as { error: { code: string; remedy: string } };
  assert.deepEqual([away.status, error.code], [1, 'keystore.token-absent'], away.stderr);
  assert.match(error.remedy, /put the token back/);

  await hangupWhileOpening();

  for (let index = 0; index < 70; index += 1) writeFileSync(join(at('state'), `note.${index}`), 'x');
  shell(wipe);
  const evidence = readFileSync(at('pump-1.wipe.json'), 'utf8');
  const [leaf] = idevid;
  const claims = verifyWipeEvidence(evidence, readCertificate(leaf ?? assert.fail('no IDevID')).spki);
  const objects = claims.wiped.filter((name) => name.startsWith('PKCS#11 token pump-1 ('));
  assert.deepEqual(
    objects.map((name) => /: (?:counter )?agent\.[0-9a-f]{16}(\.\w+)?/.exec(name)?.[1] ?? '.counter').sort(),
    ['.counter', '.idevid', '.seal'],
  );
  const report = JSON.parse(readFileSync(join(at('state'), 'wiped.json'), 'utf8')) as {
    files: { name: string; part: string }[];
  };
  const names = report.files.map(({ name, part }) => `${part}: file ${name}`);
  const rest = [...objects, ...names].slice(60);
  const sha256 = createHash('sha256').update(canonicalJson(rest)).digest('hex');
  assert.deepEqual(claims.more, { count: rest.length, sha256 });
  assert.equal(objects.length + names.length, 60 + rest.length);
  const left = spawnSync(
    'pkcs11-tool',
    [
      '--module',
      '/usr/lib/softhsm/libsofthsm2.so',
      '--token-label',
      'pump-1',
      '--login',
      '--pin',
      PIN,
      '--list-objects',
    ],
    { encoding: 'utf8' },
  );
  assert.doesNotMatch(left.stdout, /agent\./);
  assert.deepEqual(readdirSync(at('token')), []);
  // Again, as after a power cut: there is nothing left, and the evidence is still there.
  const again = await wipeDevice(readConfig(config), fleet.clock);
  assert.deepEqual([again.report.evidence, again.objects], [evidence, []]);
});

/** A PIN that does not come keeps the daemon in its opening: SIGHUP comes then, and is a look at bundles later. */
async function hangupWhileOpening(): Promise<void> {
  const { key } = JSON.parse(readFileSync(at('agent.json'), 'utf8')) as { key: object };
  const config = configure({ ...key, pin: { fd: 3 } }, 'by-fd.json');
  const child = spawn(process.execPath, [MAIN, 'run', '--config', config], {
    cwd: hsm.dir,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const exit = once(child, 'exit');
  const seen: string[] = [];
  const all: string[] = [];
  child.stderr?.on('data', (text: Buffer) => all.push(text.toString()));
  createInterface({ input: child.stdout ?? assert.fail('no output') }).on('line', (line) => {
    all.push(line);
    seen.push((JSON.parse(line) as { type: string }).type);
  });
  const until = async (what: string, isSo: () => boolean): Promise<void> => {
    for (let left = 600; !isSo(); left -= 1) {
      assert.ok(left > 0 && child.exitCode === null && child.signalCode === null, `${what}\n${all.join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  try {
    const status = (): string => readFileSync(`/proc/${child.pid}/status`, 'utf8');
    await until(
      'SIGHUP is listened for',
      () => Number.parseInt(/SigCgt:\s*([0-9a-f]+)/.exec(status())?.[1]?.slice(-1) ?? '0', 16) % 2 === 1,
    );
    child.kill('SIGHUP');
    const pipe = child.stdio[3] as Writable;
    pipe.end(`${PIN}\n`);
    await until(
      'two looks',
      () =>
        seen.includes('ready') &&
        seen.filter((type) => type === 'taken' || type === 'unchanged' || type === 'current').length >= 2,
    );
    for (const place of ['cmdline', 'environ'])
      assert.ok(!readFileSync(`/proc/${child.pid}/${place}`, 'latin1').includes(PIN), place);
    child.kill('SIGTERM');
    assert.deepEqual(await exit, [0, null], all.join('\n'));
    assert.ok(!all.join('').includes(PIN));
  } finally {
    child.kill('SIGKILL');
  }
}

test('a daemon whose PIN the token refuses ends with the status on which its unit is not started again', () => {
  hsm.addToken('refusing', PIN);
  writeFileSync(at('wrong-pin'), '0815-4711\n', { mode: 0o600 });
  const token = { store: 'pkcs11', directory: 'refusing', module: SOFTHSM, token: { label: 'refusing' } };
  const { status, stderr } = agent(
    configure({ ...token, pin: { file: 'wrong-pin' } }, 'refusing.json', 'refused'),
    'run',
  );
  const { error } = JSON.parse(stderr) as { error: { code: string } };
  assert.deepEqual([status, error.code], [3, 'keystore.pin-incorrect'], stderr);
  const unit = fileURLToPath(new URL('../../../packaging/systemd/keystead-agent.service', import.meta.url));
  assert.match(readFileSync(unit, 'utf8'), new RegExp(`^RestartPreventExitStatus=${status}$`, 'm'));
});

test('a PIN is taken from a file that its owner alone can read, or from a descriptor, whole and without its line end', () => {
  const file = at('pin');
  const read = (text: string, mode = 0o600): string => {
    writeFileSync(file, text);
    chmodSync(file, mode);
    try {
      using pin = readPin({ file });
      return pin.use((bytes) => Buffer.from(bytes).toString('utf8'));
    } catch (error) {
      assert.ok(error instanceof KeysteadError && error.code === 'agent.pin', String(error));
      return error.seen ?? '';
    }
  };
  assert.equal(read('4711\n'), '4711');
  assert.equal(read('4711'), '4711');
  assert.equal(read('4711\r\nmore'), '4711');
  assert.equal(read('4711', 0o640), 'mode 640');
  assert.equal(read(''), 'nothing');
  assert.equal(read('\n4711'), 'nothing');
  assert.equal(read('1'.repeat(64)), '1'.repeat(64));
  assert.equal(read('1'.repeat(65)), 'more than 64 bytes');
  assert.throws(() => readPin({ file: at('none') }), { code: 'agent.pin' });
  assert.throws(() => readPin({ fd: 999 }), { code: 'agent.pin', field: 'file descriptor 999' });
});

test('a descriptor that Node.js itself uses is not taken for that of the PIN, and stays open', () => {
  const own = readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`);
      return Number(name) > 2 && /^(?:anon_inode|pipe):/.test(target) ? [{ fd: Number(name), target }] : [];
    } catch {
      return [];
    }
  });
  const pipes = own.filter(({ target }) => own.filter((other) => other.target === target).length > 1);
  const shared = own.filter((one) => !one.target.startsWith('pipe') || pipes.includes(one));
  assert.ok(shared.some(({ target }) => target.startsWith('anon_inode')) && pipes.length > 1, JSON.stringify(own));
  for (const { fd, target } of shared) {
    assert.throws(() => readPin({ fd }), { code: 'agent.pin', field: `file descriptor ${fd}`, seen: /given/ });
    assert.equal(readlinkSync(`/proc/self/fd/${fd}`), target);
  }
});

test('a file that is no configuration is not quoted in the error: it may be that of the PIN', () => {
  for (const text of [
    'secret-4711\n',
    '{"deviceId": secret-4711}',
    '{"a": 1, "secret-4711"}',
    '{\n"a":\n secret-4711',
  ]) {
    writeFileSync(at('mistaken'), text);
    assert.throws(
      () => readConfig(at('mistaken')),
      (error: unknown) => {
        assert.ok(error instanceof KeysteadError && error.code === 'agent.config-invalid');
        assert.match(error.seen ?? '', /^no JSON/);
        assert.doesNotMatch(inspect(error, { depth: 9 }), /4711|secret/);
        return true;
      },
    );
  }
});

test('each error of a token in the configuration names its field, and a PIN has no place in it', () => {
  const key = { store: 'pkcs11', directory: 'token', module: '/x.so', token: { label: 'a' }, pin: { file: 'pin' } };
  const refusal = (change: object): string => {
    try {
      readConfig(configure({ ...key, ...change }, 'other.json'));
      return 'taken';
    } catch (error) {
      assert.ok(error instanceof KeysteadError && error.code === 'agent.config-invalid', String(error));
      return error.field ?? '';
    }
  };
  assert.equal(refusal({}), 'taken');
  assert.equal(refusal({ pin: PIN }), 'key.pin');
  assert.equal(refusal({ pin: { fd: 0 } }), 'key.pin.fd');
  assert.equal(refusal({ module: 'x.so' }), 'key.module');
  assert.equal(refusal({ token: { serial: '1' } }), 'key.token.label');
  assert.equal(refusal({ token: { slot: 1, label: 'a' } }), 'key.token');
  assert.ok(existsSync(at('other.json')));
});
