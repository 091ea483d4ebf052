import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SecretBytes } from '@keystead/core/crypto';
import {
  DEMO_FIRMWARE,
  DEMO_TRUST,
  firmwareKeystoreId,
  type RestoreOrder,
  trustKeystoreId,
} from '@keystead/core/lifecycle';
import { pino } from 'pino';
import { passphrase } from '../../ceremony/tests/rehearsal.ts';
import { Layout } from '../../files/layout.ts';
import { wasDevelopment } from '../../keyd/firmware-keys.ts';
import { greetPeer } from '../../keyd/handshake.ts';
import { type OpenKeyd, openKeyd } from '../../keyd/main.ts';
import { OPERATION_NAMES } from '../../keyd/protocol.ts';
import { readJournal } from '../../keyd/read-journal.ts';
import { broughtStatements } from '../../keyd/restore-agreement.ts';
import { HostileFrontEnd, KEYD_PASSPHRASE, makeKey } from '../../keyd/tests/bed.ts';
import { KeydClient } from '../../keyd-client/index.ts';
import { openKeystore, readKeystoreConfig } from '../../keystore/index.ts';
import { bringStatements, type SignedBackup } from '../index.ts';
import { BackupBed } from './bed.ts';

/** Two custodians agree besides ada, who restores. */
let bed: BackupBed;
let backup: SignedBackup;
let made = 0;
/** Signatures that are being made while the shares are collected. */
let pending: Promise<void> = Promise.resolve();
before(async () => {
  bed = await BackupBed.make({
    quorums: { restore: { approvals: 2, roles: ['custodian'] } },
    firmware: DEMO_FIRMWARE,
    trust: DEMO_TRUST,
  });
  await bed.provision('KS-0001');
  await bed.published();
  backup = await bed.create('quorum.ksb');
});
after(() => bed.remove());

/** A directory that was restored, and the keyd that runs on it. */
class Restored {
  readonly layout: Layout;
  readonly order: RestoreOrder;
  readonly #channelKey = SecretBytes.random(32);
  #keyd: OpenKeyd | undefined;

  constructor(layout: Layout, order: RestoreOrder) {
    this.layout = layout;
    this.order = order;
  }

  static async make(statements?: (order: RestoreOrder) => Promise<string[]>): Promise<Restored> {
    made += 1;
    const to = bed.path(`quorum-${made}`);
    let signed: string[] = [];
    const { quorum } = await bed.restore(backup, to, {
      collect: async (session) => {
        await pending;
        await bed.answerBy(backup, 'alice', 'bob')(session);
      },
      onOrder: (order) => {
        if (statements === undefined) return;
        pending = statements(order).then((texts) => {
          signed = texts;
        });
      },
      statements: () => signed,
    });
    const layout = new Layout(to);
    copyFileSync(join(bed.layout.keyd, 'keystore.sealed'), join(layout.keyd, 'keystore.sealed'));
    return new Restored(layout, quorum.order);
  }

  #key(): SecretBytes {
    return this.#channelKey.use((bytes) => SecretBytes.copy(bytes));
  }

  async start(): Promise<void> {
    this.#keyd = await openKeyd({
      layout: this.layout,
      secrets: { passphrase: passphrase(KEYD_PASSPHRASE), channelKey: this.#key() },
      clock: bed.keyd.clock,
      log: pino({ level: 'silent' }),
    });
  }

  async stop(): Promise<void> {
    await this.#keyd?.close();
    this.#keyd = undefined;
  }

  get #socket(): string {
    assert.ok(this.#keyd);
    return this.#keyd.socketPath;
  }

  client(): Promise<KeydClient> {
    return KeydClient.connect(this.#socket, this.#key());
  }

  async hostile(): Promise<HostileFrontEnd> {
    const socket = createConnection(this.#socket);
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    return new HostileFrontEnd(await greetPeer(socket, this.#key()));
  }

  get entries(): ReturnType<typeof readJournal>['entries'] {
    return readJournal(join(this.layout.keyd, 'journal')).entries;
  }
}

const signedBy = async (order: RestoreOrder, ...who: ('ada' | 'alice' | 'bob' | 'carol')[]): Promise<string[]> => {
  const texts: string[] = [];
  for (const name of who) texts.push(await bed.statement(order, name));
  return texts;
};

/** A statement with one octet of its signature changed. */
function forged(text: string): string {
  const document = JSON.parse(text) as { signature: string };
  const bytes = Buffer.from(document.signature, 'base64url');
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return JSON.stringify({ ...document, signature: bytes.toString('base64url') });
}

test('TEST-KEY-23 a restored keyd is closed to a front end that lies: forged, replayed, expired, self and duplicate approvals of a restore all fail, and each refusal stands in its journal', async () => {
  const restored = await Restored.make();
  const other = await Restored.make();
  const { order } = restored;
  await restored.start();
  try {
    const front = await restored.hostile();
    for (const op of OPERATION_NAMES) {
      if (op === 'status' || op === 'agreeRestore') continue;
      assert.equal((await front.ask(op, {})).error?.code, 'restore.pending', op);
    }
    const journal = readFileSync(join(restored.layout.keyd, 'journal'));
    const client = await restored.client();
    const { restorePending } = await client.status();
    assert.deepEqual([restorePending?.needed, restorePending?.roles], [2, ['custodian']]);
    assert.deepEqual(readFileSync(join(restored.layout.keyd, 'journal')), journal);

    const [ask = '', alice = '', bob = ''] = await signedBy(order, 'ada', 'alice', 'bob');
    const say = (more: Parameters<BackupBed['statement']>[2], who: 'alice' | 'bob' = 'bob') =>
      bed.statement(order, who, more);
    const past = { signedAt: bed.seconds(-7200), expiresAt: bed.seconds(-3600) };
    const removed = bob.replace('"signer":"bob"', '"signer":"dave"');
    const refusals: [string, string[], string][] = [
      ['none', [], 'request.malformed'],
      ['no proposal', [alice, bob], 'restore-order.malformed'],
      ['the proposal alone', [ask], 'restore-order.too-few'],
      ['below the quorum', [ask, alice], 'restore-order.too-few'],
      ['forged', [ask, alice, forged(bob)], 'restore-order.signature-invalid'],
      ['by a key of nobody', [ask, alice, await say({ key: makeKey() })], 'restore-order.signature-invalid'],
      ['by a person whom the policy does not have any more', [ask, alice, removed], 'restore-order.signer-unknown'],
      [
        'in a role that the quorum does not have',
        [ask, alice, await say({ role: 'approver' })],
        'restore-order.signer-forbidden',
      ],
      [
        'by an operator who is no custodian',
        [await bed.statement(order, 'alice', { act: 'propose', proposer: 'alice' }), bob].concat(
          await bed.statement(order, 'ada', { act: 'approve', proposer: 'alice' }),
        ),
        'restore-order.other-order',
      ],
      ['expired', [ask, alice, await say(past)], 'restore-order.expired'],
      ['of a time to come', [ask, alice, await say({ signedAt: bed.seconds(600) })], 'restore-order.not-yet-valid'],
      ['without an end', [ask, alice, await say({ expiresAt: bed.seconds(366 * 86_400) })], 'restore-order.too-long'],
      [
        'of oneself',
        [
          await bed.statement(order, 'alice', { act: 'propose', proposer: 'alice' }),
          await say({ proposer: 'alice' }, 'alice'),
        ],
        'restore-order.self',
      ],
      ['twice by one person', [ask, alice, alice], 'restore-order.duplicate'],
      [
        'of another restore of the same backup',
        await signedBy(other.order, 'ada', 'alice', 'bob'),
        'restore-order.other-restore',
      ],
      [
        'of a drill',
        await signedBy({ ...order, purpose: 'drill' }, 'ada', 'alice', 'bob'),
        'restore-order.other-restore',
      ],
      [
        'of another backup',
        await signedBy({ ...order, manifestSha256: '00'.repeat(32) }, 'ada', 'alice', 'bob'),
        'restore-order.other-restore',
      ],
      [
        'of another log',
        await signedBy({ ...order, log: 'another' }, 'ada', 'alice', 'bob'),
        'restore-order.other-restore',
      ],
      ['about two orders', [ask, alice, ...(await signedBy(other.order, 'bob'))], 'restore-order.other-order'],
    ];
    for (const [what, statements, code] of refusals) {
      const answer = await front.ask('agreeRestore', { statements, requestId: 'lie' });
      assert.equal(answer.error?.code, code, what);
      assert.equal((await front.ask('issue', {})).error?.code, 'restore.pending', what);
    }
    const told = restored.entries.flatMap((entry) => (entry.kind === 'restore-refused' ? [entry.code] : []));
    assert.deepEqual(
      told,
      refusals.map(([, , code]) => code).filter((code) => code !== 'request.malformed'),
    );
    // A restart opens nothing, and the refusals are told with the restore.
    client.close();
    await restored.stop();
    await restored.start();
    const again = await restored.client();
    const refused = (await again.status()).restores.at(-1)?.refused ?? [];
    assert.equal(refused.length, told.length);

    const agreed = await again.agreeRestore({ statements: [ask, alice, bob], requestId: 'agree' });
    assert.deepEqual([agreed.by, agreed.approvers], ['ada', ['alice', 'bob']]);
    assert.equal((await again.status()).restorePending, undefined);
    await again.trust();
    // The same again has the answer of the first time; others have come too late.
    assert.deepEqual(await again.agreeRestore({ statements: [ask, alice, bob], requestId: 'again' }), agreed);
    await assert.rejects(again.agreeRestore({ statements: await signedBy(other.order, 'ada'), requestId: 'late' }), {
      code: 'restore.not-pending',
    });
    again.close();
    await restored.stop();
    await restored.start();
    const open = await restored.client();
    assert.deepEqual((await open.status()).restores.at(-1)?.agreed?.approvers, ['alice', 'bob']);
    await open.trust();
    open.close();
  } finally {
    await restored.stop();
  }
});

test('TEST-KEY-23 statements are brought to a keyd that does not run: it verifies them itself, and takes what is refused away', async () => {
  const restored = await Restored.make();
  const { layout, order } = restored;
  const path = broughtStatements(layout.keyd);
  const good = await signedBy(order, 'bob', 'alice', 'ada');
  // Whoever brings them hears at once what is wrong, and nothing is written.
  const bring = (texts: readonly string[]) => () => bringStatements(layout, texts, bed.keyd.clock);
  assert.throws(bring([]), { code: 'restore-order.too-few' });
  assert.throws(bring(good.slice(1)), {
    code: 'restore-order.too-few',
    seen: '1 of 2 approvals, besides ada who asks',
  });
  assert.throws(bring(['{}']), { code: 'restore-order.malformed' });
  const elsewhere = await signedBy({ ...order, restore: '00'.repeat(16) }, 'ada', 'alice', 'bob');
  assert.throws(bring(elsewhere), { code: 'restore-order.other-restore' });
  assert.throws(() => readFileSync(path), { code: 'ENOENT' });
  // Somebody who puts them there without looking is refused by keyd.
  for (const text of [`${elsewhere.join('\n')}\n`, 'no statement\n', '']) {
    writeFileSync(path, text);
    await restored.start();
    const client = await restored.client();
    assert.ok((await client.status()).restorePending);
    await assert.rejects(client.trust(), { code: 'restore.pending' });
    client.close();
    await restored.stop();
    assert.throws(() => readFileSync(path), { code: 'ENOENT' });
  }
  // Of another restore too: those are passed over.
  bringStatements(layout, [...elsewhere, ...good, ...good], bed.keyd.clock);
  await restored.start();
  const client = await restored.client();
  assert.equal((await client.status()).restorePending, undefined);
  await client.trust();
  client.close();
  await restored.stop();
  assert.throws(() => readFileSync(path), { code: 'ENOENT' });
  assert.throws(bring(good), { code: 'restore.not-pending' });
});

test('TEST-KEY-23 statements that are there when the restore ends are taken along, and keyd opens at its first start', async () => {
  const restored = await Restored.make((order) => signedBy(order, 'ada', 'carol', 'bob'));
  await restored.start();
  const client = await restored.client();
  const [last] = (await client.status()).restores.slice(-1);
  assert.deepEqual(
    [last?.custodians, last?.agreed?.approvers],
    [
      ['alice', 'bob'],
      ['carol', 'bob'],
    ],
  );
  client.close();
  await restored.stop();
});

test('TEST-KEY-23 a restored keyd that nobody has agreed to makes and certifies no key; it does at the first start after', async () => {
  const restored = await Restored.make();
  const { layout, order } = restored;
  const open = () => openKeystore(readKeystoreConfig(layout.keyd), passphrase(KEYD_PASSPHRASE), bed.keyd.clock);
  const lost = [trustKeystoreId('first'), firmwareKeystoreId('pump-1-dev')];
  rmSync(join(layout.keyd, 'firmware', 'pump-1-dev.pem'));
  const before = await open();
  for (const id of lost) await before.destroy(id);
  await before.close();
  const sealed = () => readFileSync(join(layout.keyd, 'keystore.sealed'));
  const [keys, entries] = [sealed(), restored.entries];
  await restored.start();
  const client = await restored.client();
  assert.ok((await client.status()).restorePending);
  assert.deepEqual(sealed(), keys);
  assert.deepEqual(restored.entries, entries);
  assert.ok(!wasDevelopment(layout.keyd, 'pump-1-dev'));
  await client.agreeRestore({ statements: await signedBy(order, 'ada', 'alice', 'bob'), requestId: 'agree' });
  client.close();
  await restored.stop();
  await restored.start();
  await restored.stop();
  const after = await open();
  const made = after.list().map(({ id }) => id);
  await after.close();
  for (const id of lost) assert.ok(made.includes(id), id);
});

test('a backup has the certificates of development keys: what signed for development is never certified for production', async () => {
  const { layout } = await Restored.make();
  assert.ok(wasDevelopment(bed.layout.keyd, 'pump-1-dev'));
  assert.ok(wasDevelopment(layout.keyd, 'pump-1-dev'));
});
