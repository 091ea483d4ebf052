import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { MOST_SUBJECT_BYTES } from '@keystead/core/firmware';
import { pino } from 'pino';
import { KeydClient } from '../../keyd-client/index.ts';
import { KeydContext } from '../context.ts';
import { LatestTime } from '../latest-time.ts';
import { KeydServer } from '../server.ts';
import { Turnstile } from '../turnstile.ts';
import { UnderWay } from '../under-way.ts';

test('keyd reads no more than so many bytes of requests ahead, of all connections together, and goes on when half of them are answered', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'keystead-server-bytes-'));
  const socketPath = join(dir, 'keyd.sock');
  const key = SecretBytes.random(32);
  let begun = 0;
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  // All that the one operation that is asked for needs of keyd: it waits until the gate is open.
  const through = async (): Promise<never> => {
    begun += 1;
    await gate;
    throw new KeysteadError('tuf.not-in-policy', { field: 'repository' });
  };
  const context: KeydContext = Object.assign(Object.create(KeydContext.prototype), {
    ...{ state: { tuf: { queue: { through } }, restored: {}, time: new LatestTime() } },
    ...{ turnstile: new Turnstile(), underWay: new UnderWay() },
  });
  const log = pino({ level: 'silent' });
  const server = new KeydServer(context, {
    socketPath,
    socketMode: 0o600,
    channelKey: key,
    log,
  });
  await server.listen();
  const clients = [await KeydClient.connect(socketPath, key), await KeydClient.connect(socketPath, key)];
  try {
    const targets = new Uint8Array(MOST_SUBJECT_BYTES);
    const asked = Array.from({ length: 16 }, (_, at) =>
      (clients[at % 2] as KeydClient)
        .signTufStatus({ repository: 'pump', roots: [], targets, requestId: `r${at}` })
        .then(
          () => 'done',
          (error: KeysteadError) => error.code,
        ),
    );
    // Each is 5.6 MB: six are 32 MiB, and each connection may have one more in hand.
    let before = -1;
    let answered = false;
    void Promise.race(asked).then(() => {
      answered = true;
    });
    while (begun < 6 || begun !== before) {
      assert.ok(!answered, 'an answer before the gate is open');
      before = begun;
      await pause(200);
    }
    assert.ok(begun <= 8, `${begun} of 16 at once`);
    open();
    assert.deepEqual(new Set(await Promise.all(asked)), new Set(['tuf.not-in-policy']));
    assert.equal(begun, 16);
  } finally {
    for (const client of clients) client.close();
    await server.drain();
    rmSync(dir, { recursive: true });
  }
});
