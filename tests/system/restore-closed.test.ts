import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { tufKeystoreId } from '@keystead/core/lifecycle';
import { systemClock } from 'keystead/clock/system.ts';
import { openKeystore, readKeystoreConfig } from 'keystead/keystore/index.ts';
import type { TlsKeyView } from 'keystead/protocols/rest/tls-key.ts';
import { unlock } from 'keystead/start/unlock.ts';
import type { Identity } from '../faults/https.ts';
import { newKey, Rig } from '../faults/rig.ts';
import { keystead } from '../interop/foreign.ts';
import { Custodians } from './custodians.ts';

/** A key that the policy asks keyd to have. The copy of the keystore that is put back has it not. */
const LOST = tufKeystoreId('ks-pump-1-online');

let rig: Rig;
let people: Custodians;
let device: Identity;
let tls: TlsKeyView;
/** A second place, as if on another machine. */
let elsewhere: string | undefined;
const at = (...parts: string[]): string => join(elsewhere ?? assert.fail('no place yet'), ...parts);
before(async () => {
  rig = await Rig.make();
  people = new Custodians(rig, join(rig.layout.trust, 'root.pem'));
  device = await rig.device('DEV-0001');
  tls = await tlsKeyOf(rig);
  elsewhere = mkdtempSync(join(tmpdir(), 'keystead-closed-'));
});
after(async () => {
  await rig?.remove();
  if (elsewhere !== undefined) rmSync(elsewhere, { recursive: true, force: true });
});

async function tlsKeyOf(of: Rig): Promise<TlsKeyView> {
  const answer = await of.rest('GET', '/tls-key', of.person('pki'));
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text) as TlsKeyView;
}

/** Restores into `elsewhere` with two who give shares, and signatures of nobody. @returns the order to sign. */
async function restore(): Promise<string> {
  const file = at('b.ksb');
  const made = await keystead(['backup', 'create', '--data', rig.layout.data, '--out', file]);
  assert.equal(made.status, 0, made.stderr);
  await rig.stop('serve');
  await rig.stop('keyd');
  const session = people.session(['restore', file, '--to', at('data'), '--log', rig.layout.log], at('responses'), 90);
  await session.answer(file, 'custodian', 'custodian-2');
  assert.equal(await session.ended, 0, JSON.stringify(session.lines));
  assert.deepEqual(
    session.lines.filter((line) => 'refused' in line),
    [],
  );
  // What is not in a backup comes from where it is kept: the keys, and in this demonstration the people's.
  copyFileSync(join(rig.layout.keyd, 'keystore.sealed'), at('data', 'keyd', 'keystore.sealed'));
  cpSync(rig.layout.operators, at('data', 'operators'), { recursive: true });
  mkdirSync(at('data.unlock'), { mode: 0o700 });
  for (const who of ['keyd', 'operators', 'devices'] as const)
    copyFileSync(rig.layout.passphrase(who), at('data.unlock', who));
  return `${at('responses')}.order.json`;
}

/** The keystore that was put back, by itself. */
async function withKeystore<T>(act: (keystore: Awaited<ReturnType<typeof openKeystore>>) => T): Promise<Awaited<T>> {
  const keystore = await openKeystore(
    readKeystoreConfig(at('data', 'keyd')),
    await unlock(rig.layout, 'keyd'),
    systemClock,
  );
  try {
    return await act(keystore);
  } finally {
    keystore.close();
  }
}

/** What a keyd, or a serve, that does anything would have changed. */
const state = (): Buffer[] =>
  [
    ['keyd', 'journal'],
    ['keyd', 'keystore.sealed'],
    ['store', 'keystead.db'],
  ].map((parts) => readFileSync(at('data', ...parts)));

/** serve ends by itself, as one whose request was refused; the reason is in its last words. */
async function serveRefuses(closed: Rig): Promise<string> {
  const path = join(closed.layout.logs, 'serve.log');
  const from = readOrNothing(path).length;
  await assert.rejects(closed.start('serve'), { code: 'service.did-not-start', seen: /\[restore\.pending\]$/ });
  assert.equal(await closed.ended('serve'), 'exit code 3');
  return readOrNothing(path).slice(from);
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/**
 * What an operator does before anybody has agreed, and how it goes on from there.
 * @param untouched the state before keyd was started.
 */
async function untilOpen(closed: Rig, order: string, untouched: Buffer[]): Promise<void> {
  assert.deepEqual(state(), untouched);
  const log = readFileSync(join(closed.layout.logs, 'keyd.log'), 'utf8');
  assert.match(
    log,
    /"approvals":1.*RESTORE PENDING.*backup sign-restore, keystead backup admit; then start keyd again/,
  );
  const words = await serveRefuses(closed);
  assert.match(words, /backup [0-9a-f]{32}, restored at \d{4}-/);
  assert.match(words, /what to do: .*sign-restore.*admit, and start keyd again, then serve \(docs\/backup\.md\)/);
  // Whoever would enrol meets nobody, and asks again later.
  const { csr } = await newKey('DEV-0001');
  await assert.rejects(closed.est('simpleenroll', device, csr), { code: 'ECONNREFUSED' });
  assert.deepEqual(state(), untouched);

  const statements: string[] = [];
  for (const who of ['pki', 'custodian-2']) {
    statements.push(at('responses', `${who}.statement`));
    assert.equal((await people.signRestore(order, who, statements.at(-1) ?? '')).status, 0);
  }
  const admit = ['backup', 'admit', ...statements, '--data', closed.layout.data];
  const early = await keystead(admit);
  assert.equal(early.status, 0, early.stderr);
  assert.match(early.stdout, /pki asked and custodian-2 agreed.*KEYD RUNS.*stop it, start it, then start serve/s);
  // Brought is not agreed yet: keyd looks at them when it starts.
  await serveRefuses(closed);
  assert.deepEqual(state(), untouched);
  await closed.stop('keyd');
  assert.match((await keystead(admit)).stdout, /next: {2}start keyd and serve$/m);
  await closed.start('keyd');
}

test('TEST-KEY-23 serve says why it does not start on a restored keyd that nobody agreed to, and what to do; nothing is made or lost, and after the agreement devices enrol under the same TLS key', async (t) => {
  const order = await restore();
  await withKeystore((keystore) => keystore.destroy(LOST));
  const untouched = state();
  const open = await Rig.make({
    folder: at(),
    beforeServe: (closed) => {
      t.after(() => closed.remove());
      return untilOpen(closed, order, untouched);
    },
  });
  await open.ldevid('DEV-0001', device);
  assert.equal('tlsKey' in JSON.parse((await open.https('GET', '/healthz')).text), false);
  const { shown, problem } = await tlsKeyOf(open);
  assert.deepEqual([shown?.spkiSha256, shown?.kept, problem], [tls.shown?.spkiSha256, true, null]);
  const told = open.records().entries.filter(({ type }) => type.startsWith('backup.restore'));
  assert.deepEqual(
    told.map(({ type, detail }) => [type, detail?.askedBy, detail?.agreedBy]),
    [['backup.restored', 'pki', 'custodian-2']],
  );
  await open.stop('serve');
  await open.stop('keyd');
  assert.ok(await withKeystore((keystore) => keystore.list().some(({ id }) => id === LOST)));
  const audit = await keystead(['audit', 'verify', '--data', open.layout.data]);
  assert.equal(audit.status, 0, audit.stdout);
});
