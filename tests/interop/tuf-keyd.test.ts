import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import type { TufRoot } from '@keystead/core/firmware';
import { signedMetadata, TufBed } from 'keystead/keyd/tests/tuf-bed.ts';
import {
  beginRepository,
  checkRepository,
  keepFresh,
  type OnlineRoles,
  publish,
  Renewal,
  type RenewalState,
  TufRepository,
  type Versions,
} from 'keystead/signing/tuf/index.ts';
import { Updater } from 'tuf-js';

/** tuf-js updates through a repository whose snapshot and timestamp keyd signs; its clock is the machine's, so keyd's is too. */
const DAY = 86_400;
const folder = mkdtempSync(join(tmpdir(), 'keystead-tuf-keyd-'));
const files = join(folder, 'files');
const repository = new TufRepository(join(folder, 'repository'));
let bed: TufBed;
let server: Server;
/** What a mirror that was taken over gives out instead. */
let instead: Readonly<Record<string, Uint8Array>> = {};

before(async () => {
  bed = await TufBed.make(new Date());
  mkdirSync(files);
  server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    try {
      response.end(instead[path] ?? readFileSync(join(folder, 'repository', path)));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await bed.rooted();
  beginRepository(repository, bed.first, bed.keyd.clock.now());
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await bed.remove();
  rmSync(folder, { recursive: true });
});

/** As the command has it signed, without serve between. */
const keyd: OnlineRoles = {
  async status({ roots, targets }) {
    const [known] = (await bed.keyd.client.tufRepositories()).repositories;
    const { snapshot, timestamp } = await bed.sign(roots.slice(known?.root ?? 0), targets);
    return { snapshot: snapshot.bytes, timestamp: timestamp.bytes };
  },
};

async function release(version: number, content: string, root?: Uint8Array): Promise<Versions> {
  writeFileSync(join(files, 'pump.bin'), content);
  const targets = await bed.targets(version, content);
  const more = root === undefined ? {} : { root };
  return publish(repository, { targets, files, online: keyd, now: bed.keyd.clock.now(), ...more });
}
const renew = (): Promise<Versions> => publish(repository, { online: keyd, now: bed.keyd.clock.now() });

let clients = 0;
/** A device that was given the first root in the factory. */
function device(): { refresh: () => Promise<void>; fetch: () => Promise<string> } {
  clients += 1;
  const metadataDir = join(folder, `client-${clients}`);
  mkdirSync(metadataDir);
  writeFileSync(join(metadataDir, 'root.json'), bed.first);
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const updater = (): Updater =>
    new Updater({
      metadataDir,
      metadataBaseUrl: `${base}/metadata`,
      targetDir: metadataDir,
      targetBaseUrl: `${base}/targets`,
      config: { fetchRetries: 0 },
    });
  return {
    refresh: () => updater().refresh(),
    async fetch() {
      const client = updater();
      const info = await client.getTargetInfo('pump.bin');
      assert.ok(info !== undefined);
      return readFileSync(await client.downloadTarget(info), 'utf8');
    },
  };
}

let early: ReturnType<typeof device>;

test('a client takes what keyd put in force, and what is renewed without people [tuf-js: TUF refresh, TUF download]', async () => {
  early = device();
  const first = await release(1, 'the first');
  assert.deepEqual([first.root, first.targets, first.snapshot, first.timestamp], [1, 1, 1, 1]);
  assert.equal(await early.fetch(), 'the first');
  // Fresh for half of its time: the same again.
  assert.deepEqual(await renew(), first);
  const second = await release(2, 'the second');
  assert.deepEqual([second.targets, second.snapshot, second.timestamp], [2, 2, 2]);
  assert.equal(await early.fetch(), 'the second');
  assert.ok((await checkRepository(repository, bed.keyd.clock.now())).every(({ fault }) => fault === null));
});

test('a client goes through a root that replaces the online key in keyd, and an old status is nothing to it then [tuf-js: TUF refresh, TUF download, TUF root-rotation]', async () => {
  const old = {
    '/metadata/timestamp.json': new Uint8Array(readFileSync(join(folder, 'repository/metadata/timestamp.json'))),
  };
  // The policy names the next key beside the one in use; keyd makes it when it starts again.
  await bed.policy(({ tuf }) => {
    tuf?.repositories[0]?.keys.push({ id: 'pump-online-2', algorithm: 'Ed25519' });
  });
  await bed.keyd.restart();
  const root2 = await bed.rootOf([await bed.onlineSpki('pump-online-2')], { previous: bed.firstRoot as TufRoot });
  const second = await signedMetadata(root2, ...bed.root.slice(1));
  // Without the root it is the key that clients know which signs.
  assert.equal((await release(3, 'the third')).root, 1);
  const after = await publish(repository, { root: second, online: keyd, now: bed.keyd.clock.now() });
  assert.deepEqual([after.root, after.targets, after.snapshot, after.timestamp], [2, 3, 4, 4]);
  for (const client of [early, device()]) assert.equal(await client.fetch(), 'the third');
  assert.equal((await release(4, 'the fourth')).timestamp, 5);
  assert.equal(await early.fetch(), 'the fourth');
  instead = old;
  await assert.rejects(early.refresh());
  await assert.rejects(device().refresh());
  instead = {};
  assert.equal(await early.fetch(), 'the fourth');
});

test('a watch renews what is half over, goes on when keyd was away, and ends when it is told', async () => {
  const { clock } = bed.keyd;
  const told: string[] = [];
  const start = await renew();
  let rounds = 0;
  let away = 1;
  const once = async (): Promise<Versions> => {
    if (away-- > 0) throw new KeysteadError('keyd.unreachable', { field: 'keyd' });
    return renew();
  };
  await keepFresh(once, {
    clock,
    pause: async (ms) => {
      rounds += 1;
      clock.advance(ms / 1000);
    },
    ended: () => rounds > 60,
    told: (what) => void told.push(what instanceof KeysteadError ? what.code : `timestamp ${what.timestamp}`),
  });
  const { timestamp } = start;
  const versions = [...new Set(told)];
  assert.deepEqual(versions.slice(0, 4), [
    'keyd.unreachable',
    `timestamp ${timestamp}`,
    `timestamp ${timestamp + 1}`,
    `timestamp ${timestamp + 2}`,
  ]);
  // An hour at the most between two looks, and so at no time more than a client believes.
  const status = await checkRepository(repository, clock.now());
  assert.ok(status.every(({ fault }) => fault === null));
  assert.ok(clock.now().getTime() - Date.now() > 2 * DAY * 1000);
});

test('a watch whose clock is ahead of the one that signs asks ever more rarely, and soon again when that has caught up', async () => {
  const { timestamp, ...rest } = await renew();
  const start = Date.parse(rest.timestampUntil) + DAY * 1000;
  let at = start;
  let version = timestamp;
  const asked: number[] = [];
  await keepFresh(
    async () => {
      asked.push(at - start);
      if (asked.length === 9) version += 1;
      return { ...rest, timestamp: version };
    },
    {
      clock: { now: () => new Date(at) },
      pause: async (ms) => {
        at += ms;
      },
      ended: () => asked.length > 10,
      told: () => {},
    },
  );
  const waits = asked.slice(1).map((ms, index) => (ms - (asked[index] ?? 0)) / 1000);
  assert.deepEqual(waits, [10, 20, 40, 80, 160, 300, 300, 300, 10, 20]);
});

test('a watch whose clock was set back by days does not wait for the days', async () => {
  const { timestampUntil, ...rest } = await renew();
  const until = Date.parse(timestampUntil);
  let at = until - DAY * 1000;
  let asked = 0;
  let waited = 0;
  await keepFresh(async () => ({ ...rest, timestampUntil: new Date(until).toISOString(), timestamp: ++asked }), {
    clock: { now: () => new Date(at) },
    pause: async (ms) => {
      waited += ms;
      at += waited === ms ? -5 * DAY * 1000 : ms;
    },
    ended: () => asked === 2,
    told: () => {},
  });
  assert.ok(waited <= DAY * 1000, `${waited} ms`);
});

/** What serve does at each of its ticks. */
function renewal(online: OnlineRoles, told: string[], late: RenewalState[]): Renewal {
  const log = (text: string) => (_what: unknown) => void told.push(text);
  return new Renewal({
    ...{ repository: 'pump', directory: join(folder, 'repository'), clock: bed.keyd.clock, online },
    rule: () => ({ timestampSeconds: DAY }),
    log: { error: log('error'), warn: log('warn'), info: log('info') },
    late: async (state) => void late.push(state),
  });
}

test('TEST-KEY-13 a client updates through a repository that serve renews by itself: nothing is signed before half is over, a kill in between changes nothing, and what is late is told once and mended [tuf-js: TUF refresh, TUF download]', async () => {
  const { clock } = bed.keyd;
  await renew();
  const [told, late]: [string[], RenewalState[]] = [[], []];
  let away = false;
  const asked: number[] = [];
  const online: OnlineRoles = {
    async status(ask) {
      asked.push(clock.now().getTime());
      if (away) throw new KeysteadError('keyd.unreachable', { field: 'keyd' });
      return keyd.status(ask);
    },
  };
  const first = renewal(online, told, late);
  const inForce = () => repository.inForce()?.timestamp.signed.version ?? assert.fail();
  const before = inForce();
  await first.tick();
  assert.deepEqual([asked.length, inForce()], [0, before]);
  clock.advance(DAY / 2 + 1);
  // Two looks at once are one.
  await Promise.all([first.tick(), first.tick()]);
  assert.deepEqual([asked.length, inForce(), told], [1, before + 1, ['info']]);
  assert.equal(await device().fetch(), 'the fourth');

  // keyd is away for longer than the timestamp is good: a look each ten seconds, but not a question.
  away = true;
  clock.advance(DAY / 2 + 1);
  for (let look = 0; look < 60; look += 1) {
    await first.tick();
    clock.advance(10);
  }
  assert.equal(asked.length, 1 + 6, 'after 0, 10, 30, 70, 150 and 310 seconds');
  assert.deepEqual([late.length, first.state().late], [0, false]);
  clock.advance(DAY / 4);
  await first.tick();
  assert.equal(first.state().late, true);
  assert.match(first.state().fault ?? '', /keyd/);
  clock.advance(DAY / 4);
  await first.tick();
  assert.deepEqual(
    late.map(({ repository: name, late: is }) => [name, is]),
    [['pump', true]],
  );
  // serve is killed; the next one knows nothing and needs nothing.
  away = false;
  const next = renewal(online, told, late);
  await next.tick();
  assert.deepEqual([inForce(), next.state().fault, next.state().late], [before + 2, null, false]);
  for (let days = 0; days < 16; days += 1) {
    clock.advance(DAY / 2 + 1);
    await next.tick();
  }
  assert.equal(inForce(), before + 18);
  assert.equal(await device().fetch(), 'the fourth');
  assert.ok((await checkRepository(repository, clock.now())).every(({ fault }) => fault === null));
});

test('a renewal whose clock is ahead of keyd, and a directory that is no repository, are told and asked ever more rarely; nothing is written', async () => {
  const told: string[] = [];
  const stuck: OnlineRoles = {
    async status({ last, lastSnapshot }) {
      return {
        snapshot: lastSnapshot ?? assert.fail(),
        timestamp: repository.timestamp()?.bytes ?? assert.fail(String(last)),
      };
    },
  };
  const ahead = renewal(stuck, told, []);
  bed.keyd.clock.advance(DAY / 2 + 1);
  await ahead.tick();
  assert.match(ahead.state().fault ?? '', /clocks|half of the time/);
  const empty = join(folder, 'empty');
  mkdirSync(empty);
  const nothing = new Renewal({
    ...{ repository: 'pump', directory: empty, clock: bed.keyd.clock, online: keyd },
    rule: () => ({ timestampSeconds: DAY }),
    log: { error: () => {}, warn: () => {}, info: () => {} },
    late: async () => assert.fail('nothing was ever good there'),
  });
  await nothing.tick();
  assert.match(nothing.state().fault ?? '', /1\.root\.json/);
  assert.deepEqual(readdirSync(empty), []);
  // As soon as there is one it is found, however long that took.
  for (let look = 0; look < 20; look += 1) await nothing.tick();
  beginRepository(new TufRepository(empty), bed.first, new Date());
  await nothing.tick();
  assert.deepEqual([nothing.state().fault, nothing.state().until], [null, null]);
  await renew();
});

test('where a timestamp is good for nearly as long as a snapshot, no client finds a good timestamp of a snapshot that has ended; and of what is good for minutes no wait takes five', async () => {
  const { clock } = bed.keyd;
  const minutes = { snapshotSeconds: 620, timestampSeconds: 600 };
  await bed.policy(({ tuf }) => void Object.assign(tuf?.repositories[0] ?? {}, minutes));
  let away = false;
  const online: OnlineRoles = {
    async status(asked) {
      if (away) throw new KeysteadError('keyd.unreachable', { field: 'keyd' });
      return keyd.status(asked);
    },
  };
  const renewal = new Renewal({
    ...{ repository: 'pump', directory: join(folder, 'repository'), clock, online },
    rule: () => minutes,
    log: { error: () => {}, warn: () => {}, info: () => {} },
    late: async () => {},
  });
  // keyd is away for two minutes of each renewal: a tenth of the time less than there is.
  let [since, refused] = [0, 0];
  let before = repository.inForce()?.timestamp.signed.version;
  for (let at = 0; at < 1500; at += 10) {
    const { timestamp, snapshot } = repository.inForce() ?? assert.fail();
    if (timestamp.signed.version !== before) since = at;
    before = timestamp.signed.version;
    away = at - since >= 300 && at - since < 420;
    await renewal.tick();
    const now = clock.now().getTime();
    const ended = [timestamp, snapshot].filter(({ signed }) => Date.parse(signed.expires) <= now);
    if (since > 0 && ended.length > 0) refused += 1;
    clock.advance(10);
  }
  assert.equal(refused, 0);
  // Longer than the waits have grown, and back with a minute to spare.
  await renewal.tick();
  const last = repository.inForce() ?? assert.fail();
  const left = (Date.parse(last.timestamp.signed.expires) - clock.now().getTime()) / 1000;
  away = true;
  for (let at = 0; at < left + 100; at += 10) {
    if (at > left - 100) away = false;
    await renewal.tick();
    clock.advance(10);
    const { timestamp, snapshot } = repository.inForce() ?? assert.fail();
    for (const { signed } of [timestamp, snapshot]) assert.ok(Date.parse(signed.expires) > clock.now().getTime());
  }
  await bed.policy(
    ({ tuf }) => void Object.assign(tuf?.repositories[0] ?? {}, { snapshotSeconds: 7 * DAY, timestampSeconds: DAY }),
  );
  await renew();
});

test("two publishers at once: one is refused and nothing of it is written; one that was killed is in nobody's way", async () => {
  let entered = (): void => {};
  let leave = (): void => {};
  const inside = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const held = repository.alone(async () => {
    entered();
    await new Promise<void>((resolve) => {
      leave = resolve;
    });
  });
  await inside;
  await assert.rejects(renew(), { code: 'tuf.publisher-busy' });
  leave();
  await held;
  const { timestamp } = await renew();
  const module = new URL('../../packages/keystead/signing/tuf/sole-publisher.ts', import.meta.url);
  const dir = join(folder, 'repository');
  const script = `const { asSolePublisher } = await import(${JSON.stringify(module.href)});
    await asSolePublisher(${JSON.stringify(dir)}, async () => { process.stdout.write('in'); await new Promise((r) => setTimeout(r, 60000)); });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await assert.rejects(renew(), { code: 'tuf.publisher-busy' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal((await renew()).timestamp, timestamp);
});

test('a service that gives the status of other targets, or an older one, puts nothing in force', async () => {
  const lying = (what: Partial<Awaited<ReturnType<OnlineRoles['status']>>>): OnlineRoles => ({
    status: async (asked) => ({ ...(await keyd.status(asked)), ...what }),
  });
  const { timestamp, snapshot } = repository.inForce() ?? assert.fail();
  bed.keyd.clock.advance(DAY / 2 + 1);
  await renew();
  const now = bed.keyd.clock.now();
  const inForce = readFileSync(join(folder, 'repository/metadata/timestamp.json'), 'utf8');
  const before = repository.inForce()?.timestamp.signed.version;
  for (const what of [{ timestamp: timestamp.bytes }, { snapshot: timestamp.bytes }, { timestamp: snapshot.bytes }])
    await assert.rejects(publish(repository, { online: lying(what), now }), KeysteadError);
  assert.equal(readFileSync(join(folder, 'repository/metadata/timestamp.json'), 'utf8'), inForce);
  assert.equal(repository.inForce()?.timestamp.signed.version, before);
});

test('after a restore, also one that has forgotten no release, the versions go on far above those that clients have seen [tuf-js: TUF refresh, TUF download]', async () => {
  const client = device();
  assert.equal(await client.fetch(), 'the fourth');
  const { snapshot, timestamp, targets } = await renew();
  // The same targets, soon after: nothing else would have keyd sign again.
  const path = join(bed.keyd.dir, 'journal');
  const backup = readFileSync(path, 'utf8');
  const restore = async (): Promise<number> => {
    const at = bed.keyd.clock.now();
    await bed.keyd.stop();
    const restored = {
      n: backup.trimEnd().split('\n').length + 1,
      ...{ time: at.toISOString(), kind: 'restored', backupId: '00', manifestSha256: '00' },
      ...{ custodians: ['cus'], log: { backup: 0, restored: 0, newestSeen: 0 } },
      ...{ acceptedLoss: false, crlNumbers: {}, refused: [] },
    };
    writeFileSync(path, `${backup}${JSON.stringify(restored)}\n`);
    await bed.keyd.start();
    return Math.floor(at.getTime() / 1000);
  };
  const first = await restore();
  assert.ok(first > Math.max(snapshot, timestamp) + 1_000_000);
  const after = await renew();
  assert.deepEqual([after.targets, after.snapshot, after.timestamp], [targets, first, first]);
  assert.equal(await client.fetch(), 'the fourth');
  assert.deepEqual(await renew(), after, 'and once for each restore');
  await bed.keyd.restart();
  assert.deepEqual(await renew(), after);
  // The same backup once more, after others were signed: no version is given twice.
  bed.keyd.clock.advance(DAY / 2 + 1);
  const later = await renew();
  assert.ok(later.timestamp > after.timestamp);
  assert.equal(await client.fetch(), 'the fourth');
  const second = await restore();
  const again = await renew();
  assert.deepEqual([again.snapshot, again.timestamp], [second, second]);
  assert.ok(again.timestamp > later.timestamp && again.snapshot > later.snapshot);
  assert.equal(await client.fetch(), 'the fourth');
});

test('a policy that shortens how long a status is good for holds at once', async () => {
  await renew();
  await bed.policy(({ tuf }) => void Object.assign(tuf?.repositories[0] ?? {}, { timestampSeconds: 3600 }));
  const { timestamp, timestampUntil, snapshot } = await renew();
  const left = Date.parse(timestampUntil) - bed.keyd.clock.now().getTime();
  assert.ok(left > 3_598_000 && left <= 3_600_000, `${left} ms`);
  await bed.policy(({ tuf }) => void Object.assign(tuf?.repositories[0] ?? {}, { snapshotSeconds: DAY }));
  const shorter = await renew();
  assert.deepEqual([shorter.snapshot, shorter.timestamp], [snapshot + 1, timestamp + 1]);
});

test('keyd takes a repository with more roots than a client goes through at once [tuf-js: TUF root-rotation, TUF download]', async () => {
  let root = repository.root();
  const online = await bed.onlineSpki('pump-online-2');
  for (let more = 0; more < 40; more += 1) {
    const next = await bed.rootOf([online], { previous: root });
    repository.write('root', next.version, await signedMetadata(next, ...bed.root.slice(1)));
    root = next;
  }
  const client = device();
  assert.equal((await renew()).root, root.version);
  // tuf-js goes through 32 of them at a time.
  await client.refresh().catch(() => undefined);
  assert.equal(await client.fetch(), 'the fourth');
});
