import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type CrlAnswer, fetchCrl } from '@keystead/agent';
import { fromPem, toPem } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { readRevocationList } from '@keystead/core/x509';
import { Forger, forge, forgeCrl, NOW } from '../../../core/x509/tests/forge.ts';
import { type CrlSyncOptions, type CrlSyncOutcome, syncCrls } from '../crl-sync.ts';

const folder = mkdtempSync(join(tmpdir(), 'keystead-crl-sync-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const root = forge({ subject: ['CN=root'], ca: true });
const ca = forge({ subject: ['CN=ca'], ca: true, by: root });
const [ROOT_URL, CA_URL] = ['http://crl.example/root.crl', 'http://crl.example/ca.crl'];

/** A directory of its own, what the addresses serve, and the runs of the reload command. */
class Bed {
  readonly dir = mkdtempSync(join(folder, 'bed-'));
  readonly out = join(this.dir, 'crls.pem');
  readonly clock = new SimulatedClock(NOW);
  readonly served = new Map<string, Uint8Array | KeysteadError>();
  readonly asked: (string | undefined)[] = [];
  readonly #ca = join(this.dir, 'cas.pem');
  readonly #runs = join(this.dir, 'runs');

  constructor() {
    writeFileSync(this.#ca, [root, ca].map(({ der }) => toPem('CERTIFICATE', der)).join(''));
    this.publish(1);
  }

  publish(number: number, revoked: readonly number[] = [], v: Partial<Parameters<typeof forgeCrl>[0]> = {}): void {
    const now = this.clock.now();
    const times = { number, thisUpdate: now, nextUpdate: new Date(now.getTime() + 3_600_000), ...v };
    this.served.set(ROOT_URL, forgeCrl({ by: root, ...times }));
    this.served.set(CA_URL, forgeCrl({ by: ca, ...times, revoked: revoked.map((serial) => ({ serial, reason: 1 })) }));
  }

  sync(v: Partial<CrlSyncOptions> = {}): Promise<CrlSyncOutcome> {
    return syncCrls({
      clock: this.clock,
      caFiles: [this.#ca],
      urls: [ROOT_URL, CA_URL],
      out: this.out,
      reload: `echo run >> ${this.#runs}`,
      get: (url, etag) => this.#get(url, etag),
      ...v,
    });
  }

  get reloads(): number {
    return existsSync(this.#runs) ? readFileSync(this.#runs, 'utf8').trim().split('\n').length : 0;
  }

  /** The numbers in the bundle, by issuer. */
  get numbers(): string {
    const lists = fromPem('X509 CRL', readFileSync(this.out, 'utf8')).map(readRevocationList);
    return lists
      .map(({ issuer, number }) => `${issuer.rdns[0]?.value} ${number}`)
      .sort()
      .join(', ');
  }

  async #get(url: string, etag: string | undefined): Promise<CrlAnswer> {
    this.asked.push(etag);
    const body = this.served.get(url) ?? new KeysteadError('peer.unreachable', { field: url, seen: 'HTTP 503' });
    if (body instanceof KeysteadError) throw body;
    const own = Buffer.from(body.subarray(-8)).toString('hex');
    return etag === own ? { unchanged: true } : { der: body, etag: own };
  }
}

const codes = ({ failures }: CrlSyncOutcome): string[] => failures.map(({ code }) => code);

test('the CRLs of all CAs become one bundle, and the verifier is told only when it has changed', async () => {
  const bed = new Bed();
  const first = await bed.sync();
  assert.deepEqual([first.changed, first.reloaded, codes(first)], [true, true, []]);
  assert.equal(bed.numbers, 'ca 1, root 1');
  const second = await bed.sync();
  assert.deepEqual([second.changed, second.reloaded], [false, false]);
  assert.equal(bed.asked.filter((etag) => etag !== undefined).length, 2, 'asked by ETag');
  bed.publish(2, [77]);
  assert.equal((await bed.sync()).changed, true);
  assert.equal(bed.numbers, 'ca 2, root 2');
  assert.equal(bed.reloads, 2);
});

test('what cannot be had or is refused leaves the CRL before it in place, and what is good gets in beside it', async () => {
  const cases: readonly (readonly [body: Uint8Array | KeysteadError | undefined, code: string])[] = [
    [undefined, 'crl-sync.unreachable'],
    [Buffer.from('<html>404</html>'), 'crl.malformed'],
    [forgeCrl({ by: ca, number: 9, thisUpdate: NOW, key: new Forger() }), 'crl-sync.unsigned'],
    [forgeCrl({ by: forge({ subject: ['CN=stranger'], ca: true }), number: 9, thisUpdate: NOW }), 'crl-sync.unsigned'],
    [forgeCrl({ by: ca, number: 4, thisUpdate: NOW }), 'crl-sync.older'],
    [forgeCrl({ by: ca, number: 9, thisUpdate: new Date('2026-05-01'), nextUpdate: NOW }), 'crl-sync.ended'],
    [forgeCrl({ by: ca, number: 9, thisUpdate: new Date(NOW.getTime() + 120_000) }), 'crl-sync.ended'],
    [forgeCrl({ by: ca, number: 9, base: 5, thisUpdate: NOW }), 'crl-sync.delta'],
  ];
  for (const [body, code] of cases) {
    const bed = new Bed();
    bed.publish(5);
    await bed.sync();
    bed.publish(6);
    if (body === undefined) bed.served.delete(CA_URL);
    else bed.served.set(CA_URL, body);
    const outcome = await bed.sync();
    assert.deepEqual(codes(outcome), [code]);
    assert.equal(bed.numbers, 'ca 5, root 6', code);
  }
});

test('a bundle that lacks the CRL of a CA is told, for the verifier would refuse everybody below it', async () => {
  const bed = new Bed();
  bed.served.delete(ROOT_URL);
  const outcome = await bed.sync();
  assert.deepEqual(codes(outcome), ['crl-sync.unreachable', 'crl-sync.missing']);
  assert.match(outcome.failures[1]?.message ?? '', /CN=root/);
});

test('a CRL that ended stays until the next one comes, so that the verifier goes on refusing by it', async () => {
  const bed = new Bed();
  await bed.sync();
  bed.clock.advance(7200);
  bed.served.clear();
  const outcome = await bed.sync();
  assert.deepEqual(codes(outcome), [
    'crl-sync.unreachable',
    'crl-sync.unreachable',
    'crl-sync.ended',
    'crl-sync.ended',
  ]);
  assert.equal(bed.numbers, 'ca 1, root 1');
});

test('a distribution point that goes on serving the same CRL past its end is told of', async () => {
  const bed = new Bed();
  await bed.sync();
  bed.clock.advance(3600);
  assert.deepEqual(codes(await bed.sync()), ['crl-sync.ended', 'crl-sync.ended']);
});

test('a reload that failed, or that was cut off before, is run again until it ends with 0', async () => {
  const bed = new Bed();
  const failed = await bed.sync({ reload: 'exit 3' });
  assert.deepEqual([failed.changed, failed.reloaded, codes(failed)], [true, false, ['crl-sync.reload-failed']]);
  const again = await bed.sync();
  assert.deepEqual([again.changed, again.reloaded], [false, true]);
  rmSync(`${bed.out}.state.json`);
  assert.equal((await bed.sync()).reloaded, true, 'a state that is lost costs a reload');
  writeFileSync(`${bed.out}.state.json`, '{"version":1,"poin');
  assert.deepEqual(codes(await bed.sync()), [], 'as does one that is torn');
});

test('a bundle that somebody changed by hand is made whole again', async () => {
  const bed = new Bed();
  await bed.sync();
  const good = readFileSync(bed.out, 'utf8');
  const foreign = toPem('X509 CRL', forgeCrl({ by: ca, number: 99, key: new Forger() }));
  for (const bad of [good + foreign, good.slice(0, good.length / 2), '', 'not PEM at all']) {
    writeFileSync(bed.out, bad);
    const outcome = await bed.sync();
    assert.deepEqual(codes(outcome), []);
    assert.equal(readFileSync(bed.out, 'utf8'), good);
  }
});

test('files without CAs are refused before anything is asked or written', async () => {
  const bed = new Bed();
  const leaf = join(bed.dir, 'leaf.pem');
  writeFileSync(leaf, toPem('CERTIFICATE', forge({ by: ca }).der));
  const empty = join(bed.dir, 'empty.pem');
  writeFileSync(empty, 'nothing');
  for (const file of [leaf, empty, join(bed.dir, 'absent.pem')]) {
    await assert.rejects(
      bed.sync({ caFiles: [file] }),
      (error) => error instanceof KeysteadError && error.code === 'crl-sync.no-ca',
    );
  }
  assert.equal(bed.asked.length, 0);
  assert.equal(existsSync(bed.out), false);
});

test('a distribution point that breaks off, never ends, or sends without end is unreachable, and the CRLs of the others get in', async () => {
  const ways: Readonly<Record<string, (response: ServerResponse) => void>> = {
    '/reset': (response) =>
      response.writeHead(200, { 'content-length': 1000 }).write('begun', () => response.destroy()),
    '/hang': (response) => response.writeHead(200).write('begun'),
    '/endless': (response) => response.writeHead(200).end(Buffer.alloc(4096)),
  };
  const server = createServer((request, response) => ways[request.url ?? '']?.(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const get = (url: string, etag: string | undefined) => fetchCrl(url, etag, { timeoutMs: 300, largest: 1024 });
  try {
    for (const way of Object.keys(ways)) {
      const bed = new Bed();
      const broken = `http://127.0.0.1:${address.port}${way}`;
      const answer = async (url: string, etag: string | undefined): Promise<CrlAnswer> => {
        const body = bed.served.get(url);
        return body instanceof Uint8Array ? { der: body } : get(url, etag);
      };
      const outcome = await bed.sync({ urls: [broken, ROOT_URL, CA_URL], get: answer });
      assert.deepEqual(codes(outcome), ['crl-sync.unreachable'], way);
      assert.equal(bed.numbers, 'ca 1, root 1', way);
    }
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
