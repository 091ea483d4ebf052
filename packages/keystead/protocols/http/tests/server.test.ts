import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { createHttpsServer, replaceIdentity, type TlsIdentity } from '../server.ts';

const dir = mkdtempSync(join(tmpdir(), 'keystead-https-'));
execFileSync(
  'openssl',
  ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'].concat([
    '-subj',
    '/CN=localhost',
    '-keyout',
    'key.pem',
    '-out',
    'cert.pem',
  ]),
  { cwd: dir, stdio: 'pipe' },
);
const [key, cert] = ['key.pem', 'cert.pem'].map((name) => readFileSync(join(dir, name), 'utf8')) as [string, string];
const identity: TlsIdentity = { key, cert, clientCas: [cert] };
const { app, server } = createHttpsServer(identity, pino({ enabled: false }));
app.get('/', () => ({ ok: true }));
let port: number;
before(async () => {
  await app.listen({ port: 0, host: '127.0.0.1' });
  port = (server.address() as AddressInfo).port;
});
after(async () => {
  server.closeAllConnections();
  await app.close();
  rmSync(dir, { recursive: true });
});

/** One request on a connection of its own: the sessions that came with it, and whether it resumed `session`. */
async function ask(
  maxVersion: 'TLSv1.2' | 'TLSv1.3',
  session?: Buffer,
): Promise<{ sessions: Buffer[]; reused: boolean }> {
  const sessions: Buffer[] = [];
  let reused = false;
  const socket: TLSSocket = connect({
    port,
    host: '127.0.0.1',
    ca: cert,
    servername: 'localhost',
    maxVersion,
    session,
  });
  socket.on('session', (one: Buffer) => sessions.push(one));
  await new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', resolve);
    socket.once('secureConnect', () => {
      reused = socket.isSessionReused();
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    });
    socket.resume();
  });
  return { sessions, reused };
}

test('each connection proves its key anew: no session is resumed, also after the certificate of the server was renewed', async () => {
  for (const renew of [false, true]) {
    if (renew) replaceIdentity(server, identity);
    for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
      const { sessions } = await ask(version);
      for (const session of sessions) assert.equal((await ask(version, session)).reused, false, version);
    }
  }
});

test('who opens a connection and never begins its handshake is hung up on', async () => {
  const socket = connectTcp(port, '127.0.0.1').resume();
  socket.on('error', () => {});
  const began = performance.now();
  await new Promise((resolve) => socket.once('close', resolve));
  assert.ok(performance.now() - began < 14_000);
});

test('connections and standstill are bounded', () => {
  assert.ok(server.maxConnections > 0 && server.maxConnections <= 10_000);
  assert.ok(server.timeout > 0 && server.timeout <= 120_000);
});
