import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { EstClient } from '@keystead/agent';
import type { DerCertificate } from '@keystead/core/bytes';
import { fromPem, toPem } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { demoPolicy, formatPolicy } from '@keystead/core/lifecycle';
import { parseEntry } from 'keystead/audit/index.ts';
import { runCeremony } from 'keystead/ceremony/index.ts';
import { systemClock } from 'keystead/clock/system.ts';
import { openConfig } from 'keystead/files/config.ts';
import { Layout } from 'keystead/files/layout.ts';
import type { KeyView } from 'keystead/inventory/index.ts';
import { importBundle } from 'keystead/keyd/import.ts';
import { initKeyd } from 'keystead/keyd/init.ts';
import { makeCustodianKeys, makePeopleKeys } from 'keystead/start/operators.ts';
import { unlock } from 'keystead/start/unlock.ts';
import { readOnly } from 'keystead/store/index.ts';
import { Deployment } from '../system/deployment.ts';
import { Bench, type ForeignDevice, keystead, ok, openssl, run } from './foreign.ts';
import { freePort, RelyingSide, until } from './verifying.ts';

/**
 * What docs/ceremony.md tells the architect to type for a new key of a CA and of a root is typed here, in its order, on a
 * deployment of real processes whose roots are kept.
 */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = readFileSync(join(PROJECT, 'docs/ceremony.md'), 'utf8');
const [, documented = ''] = /<!-- later: begin -->([\s\S]*)<!-- later: end -->/.exec(PAGE) ?? [];
const BLOCKS = [...documented.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
const ROOTS = 'correct horse battery staple';
const OPTIONS = { ldevidSeconds: 3600, dataName: 'keystead-data' };
/** As Deployment takes them: no other test file has them. */
const first = 12_000 + (process.pid % 5_000) * 4;

let folder: string;
let deployment: Deployment;
let bench: Bench;
/** The root of the founding, which some devices never hear of another than. */
let oldRoot: string;
let device: ForeignDevice;
let earlier: ForeignDevice;
/** What the old key of the CA issued and took back. */
let revoked: ForeignDevice;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keystead-later-'));
  chmodSync(folder, 0o711);
  await found(new Layout(join(folder, 'keystead-data')));
  const tools = join(folder, 'tools');
  mkdirSync(tools);
  const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
  writeFileSync(
    join(tools, 'npx'),
    `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`,
  );
  chmodSync(join(tools, 'npx'), 0o755);
  writeFileSync(join(folder, 'roots.passphrase'), `${ROOTS}\n`, { mode: 0o600 });
  deployment = await Deployment.at(folder, OPTIONS);
  bench = new Bench(deployment);
  oldRoot = bench.path('old-root.pem');
  copyFileSync(bench.root, oldRoot);
  device = await bench.provision('TRY-0020');
  earlier = await bench.enrol(device, 'simpleenroll', 'earlier');
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

/** A founding as `npm start` holds one, but for the roots: their passphrase is known, and their medium is kept. */
async function found(layout: Layout): Promise<void> {
  mkdirSync(layout.data, { recursive: true, mode: 0o700 });
  const config = await openConfig(layout, systemClock, 3600, { https: first, http: first + 1, backend: first + 2 });
  const passphrases = { keyd: await unlock(layout, 'keyd'), operators: await unlock(layout, 'operators') };
  const base = `http://localhost:${config.ports.http}`;
  const { path } = await initKeyd(layout, passphrases.keyd, systemClock, { origin: 'later.example/log' });
  const policy = demoPolicy({
    operators: await makePeopleKeys(layout, passphrases.operators),
    issued: systemClock.now(),
    backup: await makeCustodianKeys(layout, passphrases.operators),
    lifetimes: { ldevid: { seconds: 3600, backdateSeconds: 10 }, 'tls-server': { seconds: 86_400 } },
    urls: { crl: `${base}/crl/{ca}.crl`, ocsp: `${base}/ocsp/{ca}`, caIssuers: `${base}/ca/{ca}.cer` },
    roots: { transitionSeconds: 2 * 365 * 86_400 },
  });
  await runCeremony(
    {
      request: readFileSync(path),
      policy: Buffer.from(formatPolicy(policy)),
      out: layout.ceremony,
      offline: join(folder, 'safe'),
      passphrase: SecretBytes.take(new TextEncoder().encode(ROOTS)),
      witnesses: ['Ada Lovelace', 'Grace Hopper'],
      acceptNetwork: false,
      unattended: true,
      clock: systemClock,
      software: 'keystead test',
      network: () => ({ interfaces: [], routes: [] }),
    },
    { print() {}, confirm: async () => 'yes' },
  );
  await importBundle(layout, passphrases.keyd, systemClock);
  cpSync(layout.ceremony, join(folder, 'usb', '1-founding'), { recursive: true });
}

/** Runs a block of the page in the folder; `typed` stays open at its other end, as a terminal does. */
function shell(command: string, args: readonly string[], typed = ''): Promise<string> {
  const env = { ...process.env, PATH: `${join(folder, 'tools')}:${process.env.PATH ?? ''}` };
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { cwd: folder, env, timeout: 60_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
    });
    child.stdin?.on('error', () => {});
    child.stdin?.write(typed);
  });
}

/** On a machine without network, with people who say yes. */
async function offline(block: string): Promise<void> {
  // Root needs no namespace of users, in which the user of keyd would have no number.
  const spaces = process.getuid?.() === 0 ? ['--net'] : ['--net', '--map-root-user'];
  const args = [...spaces, '--', 'bash', '--norc', '-euo', 'pipefail', '-c', block];
  const printed = await shell('unshare', args, 'yes\n'.repeat(60));
  if (block.includes('ceremony verify')) assert.match(printed, /\nPROVEN\n/);
  if (block.includes('hierarchy import')) assert.match(printed, /^ceremony \d is taken over/m);
}

async function again(): Promise<void> {
  deployment = await Deployment.at(folder, OPTIONS);
  bench = new Bench(deployment);
}

const certificates = (path: string): DerCertificate[] =>
  fromPem('CERTIFICATE', readFileSync(path, 'utf8')) as DerCertificate[];
const newRoot = (): string => join(deployment.layout.trust, 'root.pem');
const url = (path: string): string => bench.url(path);
async function fetched(name: string, from: string): Promise<string> {
  const path = bench.path(name);
  await ok('curl', ['--silent', '--show-error', '--fail', '--output', path, from]);
  return path;
}

test('the page has the blocks that are typed here', () => {
  assert.deepEqual(
    BLOCKS.map((block) => /keystead (\w+(?: \w+)?)/.exec(block)?.[1]),
    ['hierarchy request', 'ceremony intermediate', 'hierarchy import', 'ceremony rollover', 'verify'],
  );
});

test('docs/ceremony.md: a new key for a CA, and the front end serves both keys [openssl: X.509 verify, OCSP status] [curl: EST simpleenroll, EST simplereenroll, CRL fetch]', async () => {
  await deployment.stop(true);
  for (const block of BLOCKS.slice(0, 3)) await offline(block);
  await again();
  // Renewed by what the old key issued, at the new one.
  const fresh = await bench.enrol(earlier, 'simplereenroll', 'fresh');
  const text = await openssl('x509', '-in', fresh.certificate, '-noout', '-text');
  assert.match(text, new RegExp(`URI:${url('/ocsp/operational.2')}`));
  assert.match(text, new RegExp(`URI:${url('/crl/operational.2.crl')}`));
  const { trust } = deployment.layout;
  const chain = join(trust, 'ca-chain.pem');
  for (const [one, issuer, id] of [
    [earlier, 'operational-1.pem', 'operational'],
    [fresh, 'operational.pem', 'operational.2'],
  ] as const) {
    const crl = await fetched(`${id}.crl`, url(`/crl/${id}.crl`));
    const pem = bench.path(`${id}.crl.pem`);
    await openssl('crl', '-inform', 'DER', '-in', crl, '-out', pem);
    const args = ['verify', '-x509_strict', '-crl_check', '-CRLfile', pem, '-CAfile', bench.root, '-untrusted', chain];
    assert.match(await openssl(...args, one.certificate), /: OK/, id);
    const status = await openssl(
      'ocsp',
      '-issuer',
      join(trust, issuer),
      '-cert',
      one.certificate,
      '-CAfile',
      bench.root,
      '-url',
      url(`/ocsp/${id}`),
    );
    assert.match(status, /: good/, id);
    const cer = await fetched(`${id}.cer`, url(`/ca/${id}.cer`));
    assert.deepEqual(readFileSync(cer), Buffer.from(certificates(join(trust, issuer))[0] ?? []));
  }
  // The old key still takes back what it issued.
  const serial = (await openssl('x509', '-in', earlier.certificate, '-noout', '-serial')).trim().replace('serial=', '');
  const body = bench.write('revoke.json', JSON.stringify({ serial: serial.toLowerCase(), reason: 'superseded' }));
  const json = ['--header', 'Content-Type: application/json', '--data-binary', `@${body}`];
  const answer = await bench.curlAs('pki', `${bench.api}/revocations`, json);
  assert.equal(answer.status, 200, answer.body);
  const list = await fetched('after.crl', url('/crl/operational.crl'));
  assert.match(await openssl('crl', '-inform', 'DER', '-in', list, '-noout', '-text'), new RegExp(serial, 'i'));
  const asked = ['-issuer', join(trust, 'operational-1.pem'), '-cert', earlier.certificate, '-CAfile', bench.root];
  assert.match(await openssl('ocsp', ...asked, '-url', url('/ocsp/operational')), /: revoked/);
  revoked = earlier;
  earlier = fresh;
});

test('docs/ceremony.md: a new key for a root, and a device that has either root only goes on [openssl: TLS 1.3 mutual, X.509 verify across a rollover] [curl: EST cacerts, EST simplereenroll]', async () => {
  await deployment.stop(true);
  await offline(BLOCKS[3] ?? '');
  await again();
  assert.notDeepEqual(certificates(newRoot()), certificates(oldRoot));
  const { host, ports } = deployment.world.config;
  for (const anchor of [oldRoot, newRoot()]) {
    const args = [
      's_client',
      '-connect',
      `${host}:${ports.https}`,
      '-CAfile',
      anchor,
      '-verify_return_error',
      '-tls1_3',
    ];
    const { stdout, stderr } = await run('openssl', args);
    assert.match(stdout, /Verify return code: 0 \(ok\)/, `${anchor}\n${stderr}`);
    // Our own device judges by its pinned anchor alone.
    const client = new EstClient({
      url: deployment.world.httpsUrl,
      clock: systemClock,
      anchors: () => certificates(anchor),
    });
    const given = await client.caCertificates();
    const across = ['old-with-new', 'new-with-old'].flatMap((name) =>
      certificates(join(deployment.layout.trust, `root-1-${name}.pem`)),
    );
    const wanted = [...certificates(newRoot()), ...certificates(oldRoot), ...across];
    for (const der of wanted)
      assert.ok(
        given.some((one) => Buffer.compare(one, der) === 0),
        'cacerts lacks one of the rollover',
      );
    assert.deepEqual(given[0], certificates(newRoot())[0]);
    assert.equal(
      given.filter((der) => toPem('CERTIFICATE', der)).length,
      new Set(given.map((der) => toPem('CERTIFICATE', der))).size,
    );
  }
  // A foreign client with the old root renews, and what it gets leads to both.
  const key = await bench.key('after-rollover');
  const csr = await bench.csr('after-rollover', device.id, key);
  const { status, body } = await bench.curl(`${bench.est}/simplereenroll`, [
    ...['--cacert', oldRoot, '--cert', earlier.certificate, '--key', earlier.key],
    ...['--header', 'Content-Type: application/pkcs10', '--data-binary', `@${csr}`],
  ]);
  assert.equal(status, 200, body);
  const fresh = await bench.certificateIn('after-rollover', body);
  const chain = join(deployment.layout.trust, 'ca-chain.pem');
  const lists = ['operational.2', 'root', 'root.2'];
  let pem = '';
  for (const id of lists)
    pem += await openssl('crl', '-inform', 'DER', '-in', await fetched(`${id}.now.crl`, url(`/crl/${id}.crl`)));
  const crls = bench.write('lists.pem', pem);
  for (const anchor of [oldRoot, newRoot()]) {
    for (const leaf of [fresh, earlier.certificate, device.certificate]) {
      const args = ['verify', '-x509_strict', '-CAfile', anchor, '-untrusted', chain];
      assert.match(await openssl(...args, leaf), /: OK/, `${leaf} under ${anchor}`);
    }
    const checked = [
      'verify',
      '-x509_strict',
      '-crl_check_all',
      '-CRLfile',
      crls,
      '-CAfile',
      anchor,
      '-untrusted',
      chain,
    ];
    assert.match(await openssl(...checked, fresh), /: OK/, anchor);
    const status_ = await openssl(
      'ocsp',
      '-issuer',
      bench.ca('operational'),
      '-cert',
      fresh,
      '-CAfile',
      anchor,
      '-verify_other',
      chain,
      '-url',
      url('/ocsp/operational.2'),
    );
    assert.match(status_, /: good/, anchor);
  }
  for (const [id, root] of [
    ['root', oldRoot],
    ['root.2', newRoot()],
  ] as const) {
    const cer = await fetched(`${id}.cer`, url(`/ca/${id}.cer`));
    assert.deepEqual(readFileSync(cer), Buffer.from(certificates(root)[0] ?? []));
  }
});

test('TEST-KEY-07 docs/verifying.md: a verifying side with two keys of a CA and of the root has the CRL of each, and the old key takes back what it issued [openssl: CRL of each key across a rollover] [nginx: TLS device certificate accepted across a rollover, TLS revoked device refused]', async () => {
  const side = new RelyingSide(join(folder, 'relying'));
  const { trust } = deployment.layout;
  const files = ['root', 'root-1', 'operational', 'operational-1', 'root-crl-signer'];
  const cas = side.write(
    'device-cas.pem',
    files.map((name) => readFileSync(join(trust, `${name}.pem`), 'utf8')).join(''),
  );
  const ids = ['root', 'root.2', 'operational', 'operational.2'];
  const sync = async () => {
    const flags = [
      '--ca',
      cas,
      '--out',
      side.path('crls.pem'),
      '--json',
      ...ids.flatMap((id) => ['--url', url(`/crl/${id}.crl`)]),
    ];
    const { status, stdout, stderr } = await keystead(['crl', 'sync', ...flags]);
    return {
      status,
      outcome: JSON.parse(stdout) as { changed: boolean; crls: unknown[]; failures: unknown[] },
      stderr,
    };
  };
  const first = await sync();
  assert.deepEqual([first.status, first.outcome.failures, first.outcome.crls.length], [0, [], 5], first.stderr);
  const second = await sync();
  assert.deepEqual([second.status, second.outcome.changed, second.outcome.crls.length], [0, false, 5]);
  for (const anchor of [oldRoot, newRoot()]) {
    const args = [
      'verify',
      '-crl_check_all',
      '-CAfile',
      anchor,
      '-untrusted',
      join(trust, 'ca-chain.pem'),
      '-CRLfile',
      side.path('crls.pem'),
    ];
    assert.match(await openssl(...args, earlier.certificate), /: OK/, anchor);
    const refused = await run('openssl', [...args, revoked.certificate]);
    assert.match(refused.stdout + refused.stderr, /certificate revoked/, anchor);
  }
  const key = readFileSync(await bench.key('relying-server'), 'utf8');
  side.write('server.key', key);
  side.write(
    'server.pem',
    await openssl('req', '-x509', '-new', '-key', side.path('server.key'), '-subj', '/CN=localhost', '-days', '2'),
  );
  const subject = await openssl('x509', '-in', bench.ca('operational'), '-noout', '-subject', '-nameopt', 'RFC2253');
  const vouching = ['CN=Operational CA,O=Keystead', subject.trim().replace('subject=', '')] as const;
  const port = await freePort();
  const oneResponder = await freePort();
  const status = async ({ certificate, key: own }: ForeignDevice, at = port): Promise<number> => {
    const curl = ['--silent', '--insecure', '--max-time', '10', '--output', '/dev/null', '--write-out', '%{http_code}'];
    const { stdout } = await run('curl', [...curl, '--cert', certificate, '--key', own, `https://localhost:${at}/`]);
    return Number(stdout);
  };
  try {
    side.nginx(port, [
      vouching,
      ['ssl_ocsp leaf;', ''],
      ['ssl_ocsp_responder http://127.0.0.1:8080/ocsp/operational;', ''],
    ]);
    await until('nginx', async () => (await status(earlier)) !== 0);
    assert.equal(await status(earlier), 200);
    assert.equal(await status(revoked), 400);
    // What the page says of ssl_ocsp_responder: that of the first key does not know what the second issued.
    side.nginx(oneResponder, [vouching, ['http://127.0.0.1:8080', url('').replace('localhost', '127.0.0.1')]], 'one');
    await until('nginx with one responder', async () => (await status(earlier, oneResponder)) !== 0);
    assert.equal(await status(earlier, oneResponder), 400);
  } finally {
    await side.stop();
  }
});

test('TEST-KEY-22 log, inventory and checklist tell of each later ceremony, and keyd has its files', async () => {
  const { layout } = deployment;
  const entries = readOnly(layout.database, (records) =>
    records.auditEntries(0, 100_000).map(({ bytes }) => parseEntry(bytes)),
  );
  const of = (type: string) => entries.filter((entry) => entry.type === type);
  assert.deepEqual(
    of('ceremony.imported').map(({ subject }) => [subject.ceremony ?? 'founding', subject.number ?? 1]),
    [
      ['founding', 1],
      ['intermediate', 2],
      ['rollover', 3],
    ],
  );
  assert.equal(of('ceremony.imported')[2]?.detail?.witnesses, 'Ada Lovelace, Grace Hopper');
  assert.deepEqual(
    of('root.rolled-over').map(({ subject }) => [subject.old, subject.next]),
    [['root', 'root.2']],
  );
  const { stdout } = await keystead(['keys', 'list', '--json', '--data', layout.data]);
  const keys = JSON.parse(stdout) as KeyView[];
  const stateOf = (id: string) => keys.find((key) => key.id === id);
  assert.deepEqual(
    ['root', 'root-2', 'ca-operational', 'ca-operational-2'].map((id) => [
      id,
      stateOf(id)?.state,
      stateOf(id)?.successor,
    ]),
    [
      ['root', 'deactivated', 'root-2'],
      ['root-2', 'active', null],
      ['ca-operational', 'deactivated', 'ca-operational-2'],
      ['ca-operational-2', 'active', null],
    ],
  );
  assert.deepEqual(readdirSync(join(layout.keyd, 'ceremonies')).sort(), ['2', '3']);
  const printed = await shell('bash', ['--norc', '-euo', 'pipefail', '-c', BLOCKS[4] ?? '']);
  assert.match(printed, /0 failed, 0 unknown/);
  assert.match(printed, /2 intermediate, imported .*; 3 rollover, imported/);
  assert.match(printed, /root counts as an anchor until/);
});

test('a record of before the rollover is exported with what was in force then, and verifies', async () => {
  const out = bench.path('auditor');
  const { layout } = deployment;
  const exported = await keystead([
    'provisioning',
    'export',
    device.id,
    '--out',
    out,
    '--data',
    layout.data,
    '--as',
    'auditor',
  ]);
  assert.equal(exported.status, 0, exported.stderr);
  assert.deepEqual(certificates(join(out, 'root.pem')), certificates(oldRoot));
  const verified = await keystead(['provisioning', 'verify', join(out, `${device.id}.yaml`)]);
  assert.equal(verified.status, 0, verified.stderr);
});
