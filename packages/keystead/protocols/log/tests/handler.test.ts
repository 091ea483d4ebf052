import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { createLogHandler } from '../index.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-log-http-'));
const dir = join(root, 'log');
const bundle = Buffer.from('entry '.repeat(500));
const tile = Buffer.alloc(8192, 7);
const failures: unknown[] = [];
let server: Server;
let base: string;

before(async () => {
  mkdirSync(join(dir, 'tile/0/000.p'), { recursive: true });
  mkdirSync(join(dir, 'tile/entries'), { recursive: true });
  writeFileSync(join(root, 'secret'), 'secret');
  writeFileSync(join(dir, 'checkpoint'), 'origin\n1\nroot\n');
  writeFileSync(join(dir, 'checkpoints'), 'archive');
  writeFileSync(join(dir, 'log.vkey'), 'not served');
  writeFileSync(join(dir, 'tile/0/000'), tile);
  writeFileSync(join(dir, 'tile/0/000.p/7'), tile.subarray(0, 7 * 32));
  writeFileSync(join(dir, 'tile/entries/000'), bundle);
  symlinkSync(join(root, 'secret'), join(dir, 'tile/0/001'));
  mkdirSync(join(dir, 'tile/0/002'));
  const handler = createLogHandler({ dir, onFailure: (error) => failures.push(error) });
  server = createServer((request, response) => {
    if (!handler.handle(request, response)) response.writeHead(418).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => {
  server.close();
  server.closeAllConnections();
  rmSync(root, { recursive: true });
});

/** Sends a request as it is written, and gives the whole answer: a client of its own would tidy the path. */
function raw(path: string, method = 'GET'): Promise<string> {
  return new Promise((resolve, reject) => {
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
    );
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
}

test('the checkpoint is text that no cache keeps, with a tag by which it is fetched once', async () => {
  const first = await fetch(`${base}/log/checkpoint`);
  assert.equal(first.status, 200);
  assert.equal(first.headers.get('content-type'), 'text/plain; charset=utf-8');
  assert.match(first.headers.get('cache-control') ?? '', /^no-cache/);
  assert.equal(await first.text(), 'origin\n1\nroot\n');
  const etag = first.headers.get('etag') ?? '';
  const again = await fetch(`${base}/log/checkpoint`, {
    headers: { 'If-None-Match': etag, 'Cache-Control': 'no-cache' },
  });
  assert.equal(again.status, 304);
  // As the publisher replaces it.
  writeFileSync(join(dir, 'new'), 'origin\n2\nroot\n');
  renameSync(join(dir, 'new'), join(dir, 'checkpoint'));
  const changed = await fetch(`${base}/log/checkpoint`, {
    headers: { 'If-None-Match': etag, 'Cache-Control': 'no-cache' },
  });
  assert.equal(changed.status, 200);
  assert.equal(await changed.text(), 'origin\n2\nroot\n');
});

test('tiles are bytes that caches keep for good', async () => {
  const full = await fetch(`${base}/log/tile/0/000`);
  assert.equal(full.headers.get('cache-control'), 'public, max-age=31536000, immutable');
  assert.equal(full.headers.get('content-type'), 'application/octet-stream');
  assert.deepEqual(Buffer.from(await full.arrayBuffer()), tile);
  const partial = await fetch(`${base}/log/tile/0/000.p/7`);
  assert.equal(partial.headers.get('cache-control'), 'public, max-age=86400, immutable');
  assert.equal((await partial.arrayBuffer()).byteLength, 224);
  const missing = await fetch(`${base}/log/tile/0/000.p/8`);
  assert.deepEqual([missing.status, missing.headers.get('cache-control')], [404, 'no-store']);
});

test('bundles are compressed for whoever takes it, and told apart for caches', async () => {
  const curl = async (...args: string[]): Promise<Buffer> => {
    const { stdout } = await promisify(execFile)('curl', ['-s', ...args, `${base}/log/tile/entries/000`], {
      encoding: 'buffer',
    });
    return stdout;
  };
  assert.deepEqual(await curl(), bundle);
  assert.deepEqual(await curl('--compressed'), bundle);
  const packed = await curl('-H', 'Accept-Encoding: gzip');
  assert.ok(packed.length < bundle.length / 5);
  assert.deepEqual(gunzipSync(packed), bundle);
  assert.deepEqual(await curl('-H', 'Accept-Encoding: gzip;q=0, identity'), bundle);
  const headers = (await curl('-I', '-H', 'Accept-Encoding: br, gzip;q=0.5')).toString();
  assert.match(headers, /content-encoding: gzip/i);
  assert.match(headers, /vary: accept-encoding/i);
});

test('HEAD has the headers and no body; other methods are refused', async () => {
  const head = await raw('/log/tile/0/000', 'HEAD');
  assert.match(head, /^HTTP\/1.1 200 /);
  assert.match(head, /content-length: 8192/i);
  assert.ok(head.endsWith('\r\n\r\n'));
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const answer = await raw('/log/checkpoint', method);
    assert.match(answer, /^HTTP\/1.1 405 [\s\S]*allow: GET, HEAD/i);
  }
});

test('no path leads out of the log, nor to a file in it that is not published', async () => {
  const paths = ['/log/../secret', '/log/tile/../../secret', '/log/tile/0/../../../secret', '/log/%2e%2e/secret'];
  paths.push('/log/..%2fsecret', '/log/tile/0/000/../../../../secret', '/log//etc/passwd', '/log/log.vkey', '/log/');
  paths.push('/log/tile', '/log/tile/0/000%00', '/log/tile/0/x000/000', '/log/checkpoint/', '/log/checkpoint?x=1');
  paths.push(
    '/log/tile/0/001',
    '/log/tile/0/002',
    '/log/tile/0/000.p/0',
    '/log/tile/64/000',
    '/log/.checkpoint.00.tmp',
  );
  for (const path of paths) {
    const answer = await raw(path);
    assert.match(answer, /^HTTP\/1.1 404 /, path);
    assert.ok(!answer.includes('secret'), path);
  }
  assert.deepEqual(failures, []);
});

test('whatever a path is made of, it is a published file or 404', async () => {
  const piece = fc.constantFrom(
    'tile',
    'entries',
    '0',
    '..',
    '.',
    '000',
    'x001',
    '000.p',
    '7',
    '%2e%2e',
    '',
    'checkpoint',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 6 }), async (pieces) => {
      const path = pieces.join('/');
      const answer = await raw(`/log/${path}`);
      const known = ['checkpoint', 'tile/0/000', 'tile/0/000.p/7', 'tile/entries/000'].includes(path);
      assert.equal(answer.startsWith(known ? 'HTTP/1.1 200 ' : 'HTTP/1.1 404 '), true, path);
    }),
    { numRuns: 200 },
  );
});

test('another path is not ours', async () => {
  for (const path of ['/', '/logs/checkpoint', '/crl/x']) assert.match(await raw(path), /^HTTP\/1.1 418 /);
});

test('the archive of checkpoints is served as it grows', async () => {
  const first = await fetch(`${base}/log/checkpoints`);
  assert.equal(await first.text(), 'archive');
  writeFileSync(join(dir, 'checkpoints'), 'archive more');
  const etag = first.headers.get('etag') ?? '';
  const second = await fetch(`${base}/log/checkpoints`, {
    headers: { 'If-None-Match': etag, 'Cache-Control': 'no-cache' },
  });
  assert.equal(await second.text(), 'archive more');
});

/** How often this process has the file open. */
function openTimes(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  }).length;
}

const settled = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('who asks for much at once and reads nothing holds one open file, and with a thousand requests no connection', async () => {
  const path = join(dir, 'tile/entries/002');
  writeFileSync(path, Buffer.alloc(8 * 1024 * 1024));
  const { port } = server.address() as AddressInfo;
  const ask = (times: number) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write('GET /log/tile/entries/002 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(times)),
    );
    socket.on('error', () => {});
    return socket.pause();
  };
  const patient = ask(50);
  for (let tries = 0; openTimes(path) === 0 && tries < 200; tries += 1) await settled(10);
  await settled(100);
  assert.equal(openTimes(path), 1);
  patient.destroy();
  const greedy = ask(1000).resume();
  await new Promise((resolve) => greedy.once('close', resolve));
  for (let tries = 0; openTimes(path) > 0 && tries < 200; tries += 1) await settled(10);
  assert.equal(openTimes(path), 0);
  assert.deepEqual(failures, []);
});

test('requests that were sent ahead are answered in order', async () => {
  const { port } = server.address() as AddressInfo;
  const paths = ['tile/0/000', 'checkpoints', 'nothing', 'tile/0/000.p/7'];
  const close = 'Connection: close\r\n';
  const text = await new Promise<string>((resolve) => {
    let seen = '';
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(
        paths.map((path, at) => `GET /log/${path} HTTP/1.1\r\nHost: x\r\n${at === 3 ? close : ''}\r\n`).join(''),
      ),
    );
    socket.on('data', (data) => {
      seen += data.toString('latin1');
    });
    socket.on('end', () => resolve(seen));
  });
  assert.deepEqual(
    [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
    ['200', '200', '404', '200'],
  );
});
