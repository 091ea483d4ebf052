import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { RestClient } from '../rest.ts';

/** A service that ends at the worst moment: what was under way is told as a failure, in time and by its code. */

const PIECE = 64 * 1024;
const dir = mkdtempSync(join(tmpdir(), 'keystead-rest-'));
let server: Server;
let client: RestClient;
let answer: (request: IncomingMessage, response: ServerResponse) => void;

before(async () => {
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...made, ...names], { stdio: 'ignore' });
  const anchor = readFileSync(cert, 'utf8');
  server = createServer({ key: readFileSync(key), cert: anchor }, (request, response) => answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  client = new RestClient({ baseUrl: `https://localhost:${port}`, anchor });
});
afterEach(() => server.closeAllConnections());
after(() => {
  client.close();
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

const upload = (count: number): Promise<unknown> =>
  client.upload('/file', new Array<Uint8Array>(count).fill(new Uint8Array(PIECE)), count * PIECE);

test('a connection that lay idle and was hung up on meanwhile costs no request: it goes out on another, once', async () => {
  let asked = 0;
  answer = (request, response) => {
    asked += 1;
    request.resume().on('end', () => response.end(JSON.stringify({ asked })));
  };
  assert.deepEqual(await client.post('/one', {}), { asked: 1 });
  // As after work that let nothing be heard: the connection is gone, and the client does not know.
  server.closeIdleConnections();
  assert.deepEqual(await client.post('/two', {}), { asked: 2 });
  // One that ends under way is told, and not asked for again.
  answer = (request) => {
    asked += 1;
    request.socket.destroy();
  };
  server.closeAllConnections();
  await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(client.post('/three', {}), { code: 'service.unreachable' });
  assert.equal(asked, 3);
});

test('an upload whose connection ends on the way, or before the answer, is told as a service that cannot be reached', async () => {
  answer = (request) => request.once('data', () => request.socket.destroy());
  await assert.rejects(upload(200), { code: 'service.unreachable' });
  answer = (request) => request.resume().on('end', () => request.socket.destroy());
  await assert.rejects(upload(2), { code: 'service.unreachable' });
});

test('an upload that is refused before all of it is sent is told by the refusal', async () => {
  answer = (request, response) =>
    request.once('data', () => {
      response.writeHead(413, { Connection: 'close' });
      response.end(JSON.stringify({ error: { code: 'signing.no-file' } }));
    });
  await assert.rejects(upload(200), { code: 'signing.no-file' });
});

test('a download that ends before its length is told as a service that cannot be reached', async () => {
  answer = (request, response) => {
    response.writeHead(200, { 'Content-Length': 2 * PIECE });
    response.write(new Uint8Array(PIECE));
    setImmediate(() => request.socket.end());
  };
  const take = async (): Promise<void> => {
    for await (const piece of await client.download('/file')) assert.ok(piece.length <= PIECE);
  };
  await assert.rejects(take, { code: 'service.unreachable' });
});
