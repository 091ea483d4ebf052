import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { writeEndpoints } from 'keystead/start/endpoints.ts';
import { factory } from 'keystead/start/steps/3-factory.ts';
import { Deployment } from '../system/deployment.ts';
import { keystead, run } from './foreign.ts';

/** What the pages tell a newcomer to type is typed here, in a directory where the story has been told. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const page = (path: string): string => readFileSync(join(PROJECT, path), 'utf8');

interface Endpoints {
  readonly urls: Record<string, string | Record<string, string>>;
  readonly trust: Record<string, string>;
  readonly files: Record<string, string>;
  readonly credentials: {
    readonly operators: readonly { certificate: string; key: string; passphrase_file: string }[];
    readonly device: { certificate: string; key: string; passphrase_file: string };
  };
}

let deployment: Deployment;
let endpoints: Endpoints;
let tools: string;

before(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keystead-docs-'));
  deployment = await Deployment.at(folder, { ldevidSeconds: 3600, dataName: 'keystead-data' });
  await factory(deployment.world);
  writeEndpoints(deployment.world);
  endpoints = JSON.parse(readFileSync(deployment.layout.endpoints, 'utf8')) as Endpoints;
  // The operator of a node has brought what `keystead factory init` made there.
  const pass = join(folder, 'berlin.pass');
  writeFileSync(pass, 'the passphrase of the node', { mode: 0o600 });
  const node = ['--name', 'berlin-1', '--data', join(folder, 'berlin'), '--passphrase-file', pass];
  const { status, stderr } = await keystead(['factory', 'init', ...node]);
  assert.equal(status, 0, stderr);
  copyFileSync(join(folder, 'berlin/factory/factory-request.json'), join(folder, 'request.json'));
  // The pages are read in the project's directory, where npx finds keystead; here it is put in its way.
  tools = join(folder, 'tools');
  mkdirSync(tools);
  const npx = join(tools, 'npx');
  const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
  writeFileSync(npx, `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`);
  chmodSync(npx, 0o755);
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

/** Runs a block of shell in the directory of the deployment; every command in it must succeed. */
function shell(block: string): Promise<string> {
  const { ports } = deployment.world.config;
  const here = block.replaceAll('localhost:8443', `localhost:${ports.https}`);
  const script = here.replaceAll('localhost:8080', `localhost:${ports.http}`);
  const env = { ...process.env, PATH: `${tools}:${process.env.PATH ?? ''}` };
  return new Promise((resolve, reject) => {
    execFile(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', script],
      { cwd: deployment.folder, env, timeout: 60_000 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout + stderr);
        else reject(new Error(`${script}\n${error.message}\n${stdout}\n${stderr}`));
      },
    );
  });
}

/** What a block must print to have done what its page says. */
const PRINTS: readonly (readonly [in_: string, said: RegExp])[] = [
  ['openssl ocsp', /: good/],
  ['factory approve order', /Approved by architect[\s\S]*berlin-1 commissioned, commission 1/],
  ['factory list', /berlin-1 +commissioned[\s\S]*1 +commission/],
  ['factory renew', /commission 2, until/],
  ['factory close', /berlin-1 closed, commission 3/],
  ['factory conflicts', /no unit is in quarantine/],
  ['station enrol', /st-3\.line-1\.plant\.example: certificate [0-9a-f]+ until/],
  ['--rig ./rig.sh', /TRY-0092\n {2}The unit has its certificate\./],
  ['/api/v1/station/sign-on', /"operator":"line-1"[\s\S]*done-before[\s\S]*"signedOn":null/],
  ['openssl verify', /: OK/],
  ['openssl cmp', /CMP info: received (IP|KUP|GENP|RP|PKICONF)/],
  ['openssl dgst -sha256 -verify', /Verified OK/],
  ['pki --verify', /certificate trusted/],
  ['pki --estca', /Root CA equals trusted TLS Root CA/],
  ['pki --est ', /Issued certificate is trusted/],
  ['device list', /KS-0001 +provisioned/],
  ['device revoke KS-0002', /KS-0002: 1 certificates? revoked/],
  ['openssl crl', /verify OK/],
  ['crl sync', /relying\/crls\.pem: 3 CRLs, changed/],
  ['root-indirect.crl', /operational\.pem: OK[\s\S]*verify OK/],
  ['revoke-ca propose', /REVOKE the CA server, key [0-9a-f]{64}, reason cACompromise[\s\S]*2 statements/],
  ['audit verify', /PROVEN/],
  ['npx keystead verify', /passed, 0 failed, 0 unknown/],
  ['backup verify', /whole, and signed by keyd/],
  ['share.key.pem --check', /the share of backup [0-9a-f]{32} opens/],
  ['backup drill', /"drilled"/],
  ['keys show ca-operational', /may protect +yes/],
  ['keys show evidence --offline', /purpose +evidence-signer/],
  ['keys explain', /Every way from one to another/],
  ['keys warn', /no key is due/],
  ['authorisation create --id gw-1', /secret +[A-Za-z0-9_-]{43}\n/],
  ['lego renew', /localhost\.crt: OK[\s\S]*Trying renewal[\s\S]*Server responded with a certificate/],
  ['certbot revoke', /Successfully received certificate[\s\S]*Congratulations! You have successfully revoked/],
  ['acme orders', /valid +[0-9a-f]{32} +localhost +[0-9a-f]+/],
  ['authorisation withdraw gw-1', /gw-1: withdrawn/],
  ['keys suspend', /ca-server: resume at .*, ordered by architect/],
  ['check-proof', /"outcome": "done"/],
  ['PUMP-000001.yaml', /device_id: "PUMP-000001"/],
  ['/api/v1/revocations', /"certificates":1,"devices":1,"cutOff":1/],
  ['revoke --device KS-0005', /certificates +1\n +devices +1 would lose one; 1 would have none left/],
  ['--issuer manufacturing --reason superseded', /1 certificate revoked \(superseded\); its CRL is out/],
  ['--hold', /: revoked\n[\s\S]*certificateHold[\s\S]*is done; 1 certificate[\s\S]*: good/],
  ['ticket join', /signed +architect, pki[\s\S]*the policy takes it[\s\S]*batch batch-8 is open: 100 units/],
  ['recount show', /there is no monotonic counter: quotas rest on the disk alone/],
  ['policy show --json', /DEMONSTRATION: not to be relied on/],
  ['policy check next.json', /notes +grace\.renewalSeconds: .* down from 30 days to 14 days/],
  ['provisioning verify lot-7', /10 of 10 units made[\s\S]*\nPROVEN: 10 of 10 records/],
  ['provisioning verify KS-0001.birth.pem', /KS-0001: provisioned/],
  ['recordSha256', /([0-9a-f]{64}) {2}KS-0001\.yaml\n.*\1/],
  ['openssl cms -verify', /CMS Verification successful/],
  ['check-fleet', /RSA keys: none shares a factor/],
  ['policy check signers.json', /warns +operators\.approver\.signers: also signs by SSH key [0-9a-f]{16}/],
  [
    '--sign-with ssh:./approver-key',
    /approver signed, as approver[\s\S]*version \d+ is in force since .*\n[^\n]*approved by approver/,
  ],
  [
    '--signature-in statement.sig',
    /keystead policy statement v1\n\{[\s\S]*version \d+ is in force since .*\n[^\n]*approved by approver/,
  ],
  ['ssh-keygen -Y verify', /Good "keystead-approval" signature for approver/],
  ['policy apply next.json', /version 2 is in force since .*\n[^\n]*approved by approver/],
];

for (const path of [
  'docs/enrol.md',
  'docs/operate.md',
  'docs/crl.md',
  'docs/policy.md',
  'docs/keys.md',
  'docs/backup.md',
  'docs/keyd.md',
  'docs/authorise.md',
  'docs/tickets.md',
  'docs/acme.md',
  'docs/cmp.md',
  'docs/verifying.md',
  'docs/station.md',
  'docs/records.md',
  'docs/signing.md',
  'docs/factory-headquarters.md',
  'docs/factory-reconciliation.md',
  'docs/approver-keys.md',
]) {
  const blocks = [...page(path).matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  for (const [index, block] of blocks.entries()) {
    test(`${path}: block ${index + 1} of ${blocks.length} runs as it stands`, async () => {
      const printed = await shell(block);
      for (const [command, said] of PRINTS) if (block.includes(command)) assert.match(printed, said, command);
    });
  }
}

test('operate.md: what it says happened did happen', async () => {
  const devices = await deployment.world
    .as('auditor')
    .get<{ devices: { deviceId: string; state: string }[] }>('/api/v1/devices');
  const states = new Map(devices.devices.map(({ deviceId, state }) => [deviceId, state]));
  assert.equal(states.get('KS-0002'), 'stolen');
  assert.equal(states.get('KS-0003'), 'decommissioned');
  assert.equal(states.get('TRY-0001'), 'enrolled');
  assert.equal(states.get('PUMP-000001'), 'provisioned');
});

test('operate.md: every path of its table is there', () => {
  const table = page('docs/operate.md').split('## What lies where')[1]?.split('## What the services log')[0] ?? '';
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  assert.ok(rows.length > 10);
  for (const row of rows) {
    const first = (row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g);
    for (const [, name = ''] of first) {
      // `devices/` in the row of `keystead-data/try/` means the one beside it.
      const path = name.startsWith('keystead-data') ? name : `keystead-data/${name}`;
      assert.ok(existsSync(join(deployment.folder, path)), path);
    }
  }
  for (const name of ['serve.log', 'keyd.log', 'backend.log'])
    assert.ok(existsSync(join(deployment.layout.logs, name)));
});

test('every path that endpoints.json names is there, and keys and passphrases are for their owner alone', () => {
  const { trust, files, credentials } = endpoints;
  for (const path of [...Object.values(trust), ...Object.values(files)]) assert.ok(existsSync(path), path);
  for (const { certificate, key, passphrase_file } of [...credentials.operators, credentials.device]) {
    assert.ok(existsSync(certificate), certificate);
    for (const secret of [key, passphrase_file]) assert.equal(statSync(secret).mode & 0o077, 0, secret);
  }
});

test('every address that endpoints.json names answers', async () => {
  const { urls } = endpoints;
  const status = async (url: string, ...args: string[]): Promise<string> => {
    const quiet = ['--silent', '--output', '/dev/null', '--write-out', '%{http_code}'];
    const { stdout } = await run('curl', [...quiet, '--cacert', endpoints.trust.anchor ?? '', ...args, url]);
    return stdout;
  };
  const named = (name: string): string => String(urls[name]);
  for (const name of ['api', 'health', 'est_cacerts', 'est_csrattrs', 'log_checkpoint']) {
    assert.equal(await status(named(name)), '200', name);
  }
  for (const url of [...Object.values(urls.crl ?? {}), ...Object.values(urls.ca_certificates ?? {})]) {
    assert.equal(await status(url), '200', url);
  }
  for (const name of ['est_simpleenroll', 'est_simplereenroll']) {
    const csr = ['--header', 'Content-Type: application/pkcs10', '--data', 'AAAA'];
    assert.equal(await status(named(name), ...csr), '401', name);
  }
  // An empty request is malformed: an OCSP answer that says so.
  const ocsp = ['--request', 'POST', '--header', 'Content-Type: application/ocsp-request', '--data', ''];
  for (const url of Object.values(urls.ocsp ?? {})) assert.match(await status(url, ...ocsp), /^(200|400)$/, url);
  // So it is for the TSA: a rejection.
  const tsp = ['--request', 'POST', '--header', 'Content-Type: application/timestamp-query', '--data', 'AAAA'];
  assert.equal(await status(named('tsa'), ...tsp), '200');
  assert.notEqual(await status(named('backend')), '404');
});

test('every link between the pages leads to a file', () => {
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'docs/architecture.md',
    'docs/enrol.md',
    'docs/operate.md',
    'docs/crl.md',
    'docs/backup.md',
    'docs/keys.md',
    'docs/verifying.md',
    'docs/scep.md',
    'docs/pkits.md',
    'docs/records.md',
    'docs/signing-cms.md',
  ];
  const linked = [...page('README.md').matchAll(/\((docs\/[a-z-]+\.md)\)/g)].map((match) => match[1] ?? '');
  for (const path of new Set([...pages, ...linked])) {
    assert.ok(existsSync(join(PROJECT, path)), path);
    for (const [, target = ''] of page(path).matchAll(/\]\(([^)#]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      assert.ok(existsSync(join(PROJECT, dirname(path), target)), `${path} links to ${target}`);
    }
  }
});

test('every command that README names exists', async () => {
  const { scripts } = JSON.parse(page('package.json')) as { scripts: Record<string, string> };
  for (const [, name = ''] of page('README.md').matchAll(/npm (?:run )?([a-z]+)/g)) {
    assert.ok(name in scripts, `npm ${name}`);
  }
  for (const [, words = ''] of page('README.md').matchAll(/npx keystead ([a-z]+(?: [a-z]+)?)/g)) {
    const { status, stdout } = await keystead([...words.split(' '), '--help']);
    assert.equal(status, 0, words);
    assert.match(stdout, /Usage: keystead/, words);
  }
});
