import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { deviceCsr } from '@keystead/agent';
import { type DerSpki, toPem } from '@keystead/core/bytes';
import { ERRORS } from '@keystead/core/errors';
import { parseEntry } from 'keystead/audit/index.ts';
import { readOnly } from 'keystead/store/index.ts';
import { parse } from 'yaml';
import { run as runTool, Swtpm } from '../../packages/tpm2/tests/swtpm.ts';
import { Deployment } from '../system/deployment.ts';
import { keystead, openssl } from './foreign.ts';

/**
 * docs/attestation.md, typed as it stands against a deployment of real processes, with a TPM by swtpm whose maker is
 * swtpm_setup's CA; then a device that has nothing but tpm2-tools.
 */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(PROJECT, 'docs/attestation.md'), 'utf8');
const blocksOf = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map((match) => match[1] ?? '');

let swtpm: Swtpm;
let deployment: Deployment;
let tools: string;
before(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keystead-attestation-'));
  [swtpm, deployment] = await Promise.all([
    Swtpm.start({ certificates: true }),
    Deployment.at(folder, { dataName: 'keystead-data' }),
  ]);
  tools = join(folder, 'tools');
  mkdirSync(tools);
  const npx = join(tools, 'npx');
  const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
  writeFileSync(npx, `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`);
  chmodSync(npx, 0o755);
  // Where the program of a device finds the agent.
  symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
  const { root, issuer } = swtpm.authorities();
  writeFileSync(join(folder, 'maker-root.pem'), toPem('CERTIFICATE', root));
  writeFileSync(join(folder, 'maker-ca.pem'), toPem('CERTIFICATE', issuer));
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
  await swtpm.stop();
});

/** Runs a program in the directory of the deployment; it must succeed. */
function program(command: string, args: readonly string[]): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${tools}:${process.env.PATH ?? ''}`,
    TPM: swtpm.address,
    TPM2TOOLS_TCTI: `swtpm:path=${swtpm.socket}`,
  };
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd: deployment.folder, env, timeout: 120_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${args.at(-1)}\n${error.message}\n${stdout}\n${stderr}`));
    });
  });
}

const here = (block: string): string =>
  block.replaceAll('localhost:8443', `localhost:${deployment.world.config.ports.https}`);
const shell = (block: string): Promise<string> => program('bash', ['--norc', '-euo', 'pipefail', '-c', here(block)]);

/** What each block of the page must print to have done what the page says. */
const PRINTS: readonly RegExp[] = [
  /warns +attestation\.anchors: new: CN=swtpm-localca-rootca: every TPM under them is[\s\S]*version 2 is in force/,
  /"ticketId":"batch-tpm-1"/,
  /attestation\.required/,
  /pump: key sha256 [0-9a-f]{64}/,
  /^$/,
  /^$/,
  /TPUMP-0001\.yaml\nkey:\n {2}origin: "tpm2-attested"\n {2}endorsed_by: "certificate"\n {2}ek_certificate_sha256:/,
  /ek_certificate_sha256/,
  /^$/,
];

for (const [index, block] of blocksOf('sh').entries()) {
  test(`TEST-KEY-03: docs/attestation.md: block ${index + 1} runs as it stands and does what the page says of it`, async () => {
    const said = PRINTS[index];
    assert.ok(said !== undefined, 'a block that nobody looks at');
    assert.match(await shell(block), said);
  });
}

test("TEST-KEY-03: docs/attestation.md: the device's own program provisions itself, its key in the TPM the whole time", async () => {
  const [script = ''] = blocksOf('ts');
  writeFileSync(join(deployment.folder, 'device.ts'), here(script));
  assert.match(
    await program(process.execPath, ['--no-warnings', 'device.ts']),
    /TPUMP-0002 has its IDevID; its key is in the TPM: true/,
  );
  const { record } = await deployment.world.as('auditor').get<{ record: string }>('/api/v1/records/TPUMP-0002');
  assert.match(record, /origin: "tpm2-attested"/);
});

const operatorArgs = (): string[] => [
  '--data',
  deployment.layout.data,
  '--ticket-id',
  'batch-tpm-1',
  '--line',
  'line-1',
];

/** Makes endorsement, attesting and identity key with tpm2-tools alone, in a directory that `--tpm2-tools` takes. */
function shownByTools(attributes: string): { directory: string; at: (name: string) => string } {
  const directory = mkdtempSync(join(deployment.folder, 'tools-'));
  const at = (name: string): string => join(directory, name);
  const [ek, ak, parent, key] = [at('ek.ctx'), at('ak.ctx'), at('parent.ctx'), at('key.ctx')];
  swtpm.tool('tpm2_createek', '-c', ek, '-G', 'rsa', '-u', at('ek.pub'), '-f', 'tss');
  swtpm.tool('tpm2_createak', '-C', ek, '-c', ak, '-G', 'rsa', '-g', 'sha256', '-s', 'rsassa');
  swtpm.tool('tpm2_createprimary', '-C', 'o', '-G', 'ecc', '-c', parent);
  const files = ['-u', at('key.in'), '-r', at('key.priv')];
  swtpm.tool('tpm2_create', '-C', parent, '-G', 'ecc:ecdsa-sha256', '-a', attributes, ...files, '-c', key);
  for (const name of ['ak', 'key']) {
    swtpm.tool('tpm2_readpublic', '-c', at(`${name}.ctx`), '-o', at(`${name}.pub`), '-f', 'tss');
  }
  swtpm.tool('tpm2_certify', '-C', ak, '-c', key, '-g', 'sha256', '-o', at('certify.attest'), '-s', at('certify.sig'));
  swtpm.tool('tpm2_nvread', '0x01c00002', '-o', at('ek.raw'));
  runTool('openssl', ['x509', '-inform', 'DER', '-in', at('ek.raw'), '-outform', 'DER', '-out', at('ek.crt')]);
  return { directory, at };
}

/** `tpm2_activatecredential` by the policy of the endorsement key. */
function openByTools(at: (name: string) => string): void {
  swtpm.tool('tpm2_startauthsession', '--policy-session', '-S', at('session'));
  swtpm.tool('tpm2_policysecret', '-S', at('session'), '-c', 'e');
  const keys = ['-c', at('ak.ctx'), '-C', at('ek.ctx'), '-P', `session:${at('session')}`];
  swtpm.tool('tpm2_activatecredential', ...keys, '-i', at('credential.blob'), '-o', at('secret'));
  swtpm.tool('tpm2_flushcontext', at('session'));
}

test('TEST-KEY-03: a device with tpm2-tools alone is challenged, opens the challenge, and gets an attested IDevID; the same answer again gets what it has [tpm2-tools: TPM2 attestation, TPM2 credential activation]', async () => {
  const bound = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign';
  const { directory, at } = shownByTools(bound);
  const tooled = ['--tpm2-tools', directory];
  const challenged = await keystead(['provisioning', 'challenge', 'TPUMP-0003', ...operatorArgs(), ...tooled]);
  assert.equal(challenged.status, 0, challenged.stderr);
  openByTools(at);
  swtpm.tool('tpm2_readpublic', '-c', at('key.ctx'), '-o', at('key.pem'), '-f', 'pem');
  await openssl('pkey', '-pubin', '-in', at('key.pem'), '-outform', 'DER', '-out', at('key.spki'));
  const sign = async (data: Uint8Array): Promise<Uint8Array> => {
    writeFileSync(at('tbs'), data);
    swtpm.tool('tpm2_sign', '-c', at('key.ctx'), '-g', 'sha256', '-f', 'plain', '-o', at('tbs.sig'), at('tbs'));
    return new Uint8Array(readFileSync(at('tbs.sig')));
  };
  const spki = new Uint8Array(readFileSync(at('key.spki'))) as DerSpki;
  const signer = { keyAlgorithm: 'P-256', signatureAlgorithm: 'ecdsa-with-SHA256', spki, sign } as const;
  writeFileSync(at('csr.der'), await deviceCsr('TPUMP-0003', signer));
  const order = ['provisioning', 'unit', 'TPUMP-0003', ...operatorArgs(), ...tooled, '--out', at('out')];
  const first = await keystead(order);
  assert.equal(first.status, 0, first.stderr);
  const record = parse(readFileSync(at('out/TPUMP-0003.yaml'), 'utf8')) as { key: Record<string, string> };
  assert.equal(record.key.origin, 'tpm2-attested');
  const printed = await openssl('x509', '-inform', 'DER', '-in', at('ek.crt'), '-noout', '-fingerprint', '-sha256');
  assert.equal(printed.split('=')[1]?.trim().replaceAll(':', '').toLowerCase(), record.key.ek_certificate_sha256);
  const certificate = readFileSync(at('out/TPUMP-0003.pem'));
  assert.match(
    runTool('openssl', [
      'verify',
      '-CAfile',
      join(deployment.layout.trust, 'root.pem'),
      '-untrusted',
      at('out/chain.pem'),
      at('out/TPUMP-0003.pem'),
    ]),
    /OK/,
  );
  // What was answered and lost is asked for again.
  const second = await keystead(order);
  assert.equal(second.status, 0, second.stderr);
  assert.deepEqual(readFileSync(at('out/TPUMP-0003.pem')), certificate);
});

test('TEST-KEY-03: a key that tpm2_create made so that it may be duplicated is refused, whatever the TPM certifies of it', async () => {
  const { directory } = shownByTools('sensitivedataorigin|userwithauth|sign');
  const asked = await keystead([
    ...['provisioning', 'challenge', 'TPUMP-0004', ...operatorArgs(), '--tpm2-tools', directory],
  ]);
  assert.equal(asked.status, 3);
  assert.match(asked.stderr, /attestation\.key-refused/);
});

test('the audit log tells of each challenge, each attested unit and each refusal, and a device says how its key is known', async () => {
  const auditor = deployment.world.as('auditor');
  const { devices } = await auditor.get<{ devices: { deviceId: string; keyOrigin: string }[] }>('/api/v1/devices');
  assert.equal(devices.find(({ deviceId }) => deviceId === 'TPUMP-0003')?.keyOrigin, 'tpm2-attested');
  const entries = readOnly(deployment.layout.database, (records) =>
    records.auditEntries(0, 100_000).map(({ bytes }) => parseEntry(bytes)),
  );
  const of = (type: string, device: string) =>
    entries.filter((entry) => entry.type === type && entry.subject.device === device);
  for (const device of ['TPUMP-0001', 'TPUMP-0002', 'TPUMP-0003']) {
    const [challenged] = of('attestation.challenged', device);
    const [done] = of('device.provisioned', device);
    assert.equal(done?.detail?.keyOrigin, 'tpm2-attested');
    assert.match(String(done?.detail?.ekCertificateSha256), /^[0-9a-f]{64}$/);
    assert.equal(challenged?.detail?.ekSpkiSha256, done?.detail?.ekSpkiSha256);
    assert.deepEqual(challenged?.actor, { kind: 'operator', id: 'line-1' });
  }
  const [required] = of('request.refused', 'TPUMP-0001');
  assert.deepEqual([required?.subject.what, required?.detail?.code], ['provision unit', 'attestation.required']);
  const [refused] = of('request.refused', 'TPUMP-0004');
  assert.deepEqual([refused?.subject.what, refused?.detail?.code], ['challenge unit', 'attestation.key-refused']);
});

test('docs/attestation.md: each code that it names is an error of Keystead', () => {
  const codes = [...page.matchAll(/`((?:attestation|device|key|ticket)\.[a-z]+-[a-z-]+)`/g)].map(
    ([, code]) => code ?? '',
  );
  assert.ok(codes.length > 8);
  for (const code of codes) assert.ok(code in ERRORS, code);
});
