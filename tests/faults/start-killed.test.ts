import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { randomBytes } from '@keystead/core/crypto';
import { verifyLogFiles } from 'keystead/audit/index.ts';
import { Layout } from 'keystead/files/layout.ts';
import { logKeys } from 'keystead/verify/log-keys.ts';

const PROGRAM = fileURLToPath(new URL('../../packages/keystead/cli/main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'keystead-start-'));
// Where root runs this, keyd and serve have users of their own, who must come through.
chmodSync(folder, 0o711);
const layout = new Layout(join(folder, 'data'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** `keystead start` as a process, with all that it has said. */
class Start {
  readonly child: ChildProcess;
  readonly ended: Promise<number | string>;
  said = '';
  #listeners = new Set<() => void>();

  constructor(...more: string[]) {
    const args = ['start', '--data', layout.data, '--ldevid-seconds', '40', ...more];
    this.child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (part: Buffer) => {
        this.said += part.toString('utf8');
        for (const listener of this.#listeners) listener();
      });
    }
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) => {
        resolve(signal ?? code ?? -1);
        for (const listener of this.#listeners) listener();
      });
    });
    after(() => this.kill());
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Resolves when the words have been said. */
  until(words: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (words.test(this.said)) resolve();
        else if (this.child.exitCode !== null) reject(new Error(`it ended before ${words}:\n${this.said}`));
        else return;
        this.#listeners.delete(look);
      };
      this.#listeners.add(look);
      look();
    });
  }

  /** kill -9 of the process group. */
  kill(): void {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

/** Process ids of whatever runs on this data directory. */
function running(): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(layout.data);
    } catch {
      return false;
    }
  });
}

/** Waits until nothing runs on the data any more; services see the end of their parent by themselves. */
async function untilQuiet(): Promise<void> {
  const by = performance.now() + 15_000;
  while (running().length > 0) {
    assert.ok(performance.now() < by, `still running: ${running()}`);
    await pause(50);
  }
}

async function listenOn(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

const POINTS = [
  /1\. Offline ceremony/,
  /Step 5 of 12/,
  /2\. Services/,
  /provisioning [3-6]\/10/,
  /4\. Field/,
  /5\. Stolen/,
];

test('kill -9 of the whole start at points of the story: each next start goes on, and the last one comes to the end', async (t) => {
  // Ports that are taken at the first start are not fought for: others are chosen.
  const taken = (await Promise.all([8443, 8080, 8444].map(listenOn))).filter((server) => server !== undefined);
  t.after(() => taken.map((server) => server.close()));
  for (const point of POINTS) {
    const start = new Start('--once');
    await start.until(point);
    await pause(Buffer.from(randomBytes(2)).readUInt16BE() % 300);
    start.kill();
    await start.ended;
    await untilQuiet();
  }
  const last = new Start('--once');
  const ended = await last.ended;
  assert.equal(ended, 0, last.said);
  assert.match(last.said, /keystead audit verify and keystead verify find nothing wrong/);
  const { ports } = JSON.parse(readFileSync(layout.config, 'utf8'));
  for (const port of Object.values(ports)) assert.ok(![8443, 8080, 8444].includes(Number(port)));
  await untilQuiet();
  const vkeys = logKeys(layout);
  const report = await verifyLogFiles({ dir: layout.log, vkeys, keydLeaves: join(layout.keyd, 'leaves') });
  assert.equal(report.verdict, 'proven', JSON.stringify(report.findings));
  // The quota held through all of it.
  const journal = readFileSync(join(layout.keyd, 'journal'), 'utf8').split('\n').filter(Boolean);
  const units = journal.map((line) => JSON.parse(line)).filter((entry) => entry.ticket?.id.startsWith('batch-'));
  assert.equal(new Set(units.map((entry) => entry.subject)).size, 10);
});

test('a second start on the same data is refused while the first runs; Ctrl-C stops the first cleanly', async () => {
  const first = new Start();
  await first.until(/Everything is up/);
  assert.ok(existsSync(layout.endpoints));
  const second = new Start();
  assert.equal(await second.ended, 3, second.said);
  assert.match(second.said, new RegExp(`one data directory has one Keystead at a time \\(saw process ${first.pid}\\)`));
  assert.match(second.said, /what to do: stop the other one/);

  process.kill(first.pid, 'SIGINT');
  assert.equal(await first.ended, 0, first.said);
  assert.match(first.said, /stopped; start again/);
  assert.deepEqual(running(), []);
  assert.ok(!existsSync(layout.endpoints) && !existsSync(layout.pidFile));
});

test('Ctrl-C twice, in the middle of the story, stops as cleanly', async () => {
  const start = new Start();
  await start.until(/keyd is up/);
  process.kill(start.pid, 'SIGINT');
  setTimeout(() => process.kill(start.pid, 'SIGINT'), 30);
  assert.equal(await start.ended, 0, start.said);
  assert.deepEqual(running(), []);
  assert.ok(!existsSync(layout.pidFile));
});
