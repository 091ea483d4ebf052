import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { toBase64, toPem } from '@keystead/core/bytes';
import { DeviceLink } from '../device-link.ts';
import { Rig } from './rig.ts';

const work = mkdtempSync(join(tmpdir(), 'keystead-backend-'));
const main = join(import.meta.dirname, '..', 'main.ts');
let rig: Rig;
before(async () => {
  rig = await Rig.start();
  const { config, fleet } = rig;
  const pem = (certificates: readonly Uint8Array[]): string =>
    certificates.map((der) => toPem('CERTIFICATE', der)).join('');
  writeFileSync(join(work, 'server.pem'), pem(config.certificates));
  writeFileSync(join(work, 'root.pem'), pem(config.anchors));
  writeFileSync(join(work, 'operational.pem'), pem([fleet.operational.certificate]));
});
after(async () => {
  await rig.stop();
  rmSync(work, { recursive: true, force: true });
});

const keyJson = (): string => rig.key().use((pkcs8) => JSON.stringify({ pkcs8: toBase64(pkcs8) }));

function writeConfig(more: Record<string, unknown> = {}): string {
  const path = join(work, 'backend.json');
  const config = {
    listen: { host: '127.0.0.1', port: 0 },
    statusPort: 0,
    certificate: 'server.pem',
    anchors: 'root.pem',
    deviceIssuer: 'operational.pem',
    ...more,
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** Starts the backend as a process and waits until it listens. */
async function start(
  config: string,
  keyOn: 'fd3' | 'stdin',
): Promise<{ child: ChildProcess; port: number; statusPort: number }> {
  const child = spawn(process.execPath, [main, config], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
  const into = child.stdio[keyOn === 'fd3' ? 3 : 0] as Writable;
  into.end(keyJson());
  assert.ok(child.stdout !== null);
  const [line] = await once(createInterface(child.stdout), 'line');
  const { event, port, statusPort } = JSON.parse(String(line));
  assert.equal(event, 'ready');
  return { child, port, statusPort };
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
}

test('the backend runs as a process that gets its key over a file descriptor, and ends cleanly', async () => {
  for (const keyOn of ['fd3', 'stdin'] as const) {
    const { child, port, statusPort } = await start(writeConfig({ keyFrom: keyOn }), keyOn);
    const key = JSON.parse(keyJson()).pkcs8;
    for (const place of ['cmdline', 'environ'])
      assert.ok(!readFileSync(`/proc/${child.pid}/${place}`, 'latin1').includes(key));
    const link = await DeviceLink.connect({ host: 'localhost', port }, rig.device('pump-1'), rig.rules);
    assert.equal(Buffer.from(await link.echo(Buffer.from('hello'))).toString(), 'hello');
    const status = JSON.parse(await (await fetch(`http://127.0.0.1:${statusPort}/status`)).text());
    assert.equal(status.echoes, 1);
    assert.equal(status.connections, 1);
    link.close();
    await end(child);
  }
});

test('a configuration or key that is wrong ends the process with 1 and names the field, never the key', async () => {
  const run = async (config: string, input: string): Promise<string> => {
    const child = spawn(process.execPath, [main, config], { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
    (child.stdio[3] as Writable).on('error', () => undefined).end(input);
    let said = '';
    child.stderr?.on('data', (text: Buffer) => {
      said += text.toString();
    });
    const [code] = await once(child, 'close');
    assert.equal(code, 1);
    return said;
  };
  assert.match(await run(join(work, 'none.json'), ''), /backend\.config-invalid.*none\.json/);
  assert.match(await run(writeConfig({ ocspCacheMs: 5000 }), ''), /ocspCacheMs/);
  assert.match(await run(writeConfig({ anchors: 'backend.json' }), ''), /"field":"anchors"/);
  const said = await run(writeConfig(), '{"pkcs8": "SECRETSECRET" oops');
  assert.match(said, /"field":"key"/);
  assert.ok(!said.includes('SECRET'));
});

test('openssl verifies the backend by the root alone and is admitted with a device certificate', async () => {
  const { child, port } = await start(writeConfig(), 'fd3');
  const device = rig.device('pump-7');
  writeFileSync(
    join(work, 'device.pem'),
    [device.certificate, ...device.chain].map((der) => toPem('CERTIFICATE', der)).join(''),
  );
  device.withKey((pkcs8) => writeFileSync(join(work, 'device.key'), toPem('PRIVATE KEY', pkcs8), { mode: 0o600 }));
  const shown = [
    '-cert',
    join(work, 'device.pem'),
    '-cert_chain',
    join(work, 'device.pem'),
    '-key',
    join(work, 'device.key'),
  ];
  const talk = (extra: readonly string[]): Promise<{ stdout: string }> => {
    const command = [
      's_client',
      '-connect',
      `127.0.0.1:${port}`,
      '-servername',
      'localhost',
      '-CAfile',
      join(work, 'root.pem'),
    ];
    const asked = promisify(execFile)(
      'openssl',
      [
        ...command,
        '-verify_return_error',
        '-verify_hostname',
        'localhost',
        '-purpose',
        'sslserver',
        '-x509_strict',
        '-quiet',
        '-ign_eof',
        ...extra,
      ],
      { timeout: 10_000 },
    );
    asked.child.stdin?.end('GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    return asked;
  };
  try {
    assert.match((await talk(['-tls1_3', ...shown])).stdout, /200 OK[\s\S]*\{"deviceId":"pump-7"\}/);
    rig.revoke(device);
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.match((await talk(['-tls1_3', ...shown])).stdout, /403 Forbidden[\s\S]*"field":"revoked"/);
    await assert.rejects(talk(['-tls1_2', ...shown]), 'only TLS 1.3');
  } finally {
    await end(child);
  }
});
