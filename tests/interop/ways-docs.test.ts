import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toPem } from '@keystead/core/bytes';
import { ChipMaker } from 'keystead/keyd/tests/chip-maker.ts';
import { Deployment } from '../system/deployment.ts';

/** docs/ways-to-a-key.md, typed as it stands against a deployment of real processes; openssl plays the chips and the units. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(PROJECT, 'docs/ways-to-a-key.md'), 'utf8');
const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');

let maker: ChipMaker;
let deployment: Deployment;
let tools: string;
before(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keystead-ways-'));
  maker = new ChipMaker('Chips AG');
  deployment = await Deployment.at(folder, { dataName: 'keystead-data' });
  tools = join(folder, 'tools');
  mkdirSync(tools);
  const npx = join(tools, 'npx');
  const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
  writeFileSync(npx, `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`);
  chmodSync(npx, 0o755);
  cpSync(join(maker.dir, 'root.pem'), join(folder, 'chip-root.pem'));
  for (const name of ['chip', 'chip-2']) {
    const chip = maker.chip(`01-${name}`);
    writeFileSync(join(folder, `${name}.pem`), chip.chain.map((der) => toPem('CERTIFICATE', der)).join(''));
    cpSync(chip.keyFile, join(folder, `${name}.key`));
  }
  await shell(`
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ephemeral-2.key
    openssl pkey -in ephemeral-2.key -pubout -out ephemeral-2.pub
  `);
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
  maker.remove();
});

function shell(block: string): Promise<string> {
  const here = block.replaceAll('localhost:8443', `localhost:${deployment.world.config.ports.https}`);
  const env = { ...process.env, PATH: `${tools}:${process.env.PATH ?? ''}` };
  return new Promise((resolve, reject) => {
    const options = { cwd: deployment.folder, env, timeout: 120_000 };
    execFile('bash', ['--norc', '-euo', 'pipefail', '-c', here], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${here}\n${error.message}\n${stdout}\n${stderr}`));
    });
  });
}

/** What each block of the page must print to have done what the page says. */
const PRINTS: readonly RegExp[] = [
  /warns +attestation\.secureElements\.anchors: new: CN=Root,O=Chips AG[\s\S]*warns +unitKeys\.injected[\s\S]*version 2 is in force/,
  /"ticketId":"batch-ways-1"/,
  /origin: "secure-element"\n {2}form: "certified"\n {2}chip_serial: "01-chip"/,
  /key\.already-used/,
  /origin: "secure-element"\n {2}form: "attested"\n {2}chip_serial: "01-chip-2"/,
  /WPUMP-0004\.key\.cms\nkey:\n {2}origin: "injected"\n {2}generated_by: "keyd, in memory"/,
  /the key is the certificate's/,
  /telemetry\.1 kcv ([0-9A-F]{6})\n[\s\S]*symmetric: "telemetry\.1 kcv \1"/,
];

for (const [index, block] of blocks.entries()) {
  test(`TEST-KEY-03 TEST-KEY-17: docs/ways-to-a-key.md: block ${index + 1} runs as it stands and does what the page says of it`, async () => {
    const said = PRINTS[index];
    assert.ok(said !== undefined, 'a block that nobody looks at');
    assert.match(await shell(block), said);
  });
}

test('TEST-KEY-17: asked again with the same ephemeral key, as after a power cut, the unit gets the same package and certificate', async () => {
  const again = '--ticket-id batch-ways-1 --line line-1 --inject ephemeral.pub --out ./again';
  await shell(`npx keystead provisioning unit WPUMP-0004 ${again}`);
  for (const name of ['WPUMP-0004.key.cms', 'WPUMP-0004.pem', 'WPUMP-0004.yaml']) {
    const [first, second] = ['WPUMP-0004', 'again'].map((dir) => readFileSync(join(deployment.folder, dir, name)));
    assert.deepEqual(second, first, name);
  }
});
