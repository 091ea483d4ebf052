import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createServer } from 'node:tls';
import { KeysteadError } from '@keystead/core/errors';
import { type TunnelEvent, Tunnels } from '../daemon/tunnels.ts';

const work = mkdtempSync(join(tmpdir(), 'keystead-tunnels-'));
after(() => rmSync(work, { recursive: true }));

/** Nobody here gets as far as a handshake. */
const tls = {
  connect: () => new Promise<never>(() => undefined),
  createServer: () => createServer(),
};

async function opened(where: NetConnectOpts): Promise<{ socket: Socket; ended: Promise<unknown> }> {
  const socket = connect(where);
  socket.on('error', () => undefined);
  const ended = once(socket, 'close');
  socket.resume();
  await Promise.race([once(socket, 'connect'), ended]);
  return { socket, ended };
}

test('a tunnel has as many connections as it may, those in their handshake too; one beyond is refused by name and told of once, and there is room again when one has gone', async () => {
  const events: TunnelEvent[] = [];
  const tunnels = new Tunnels(tls, work, (event) => events.push(event));
  const from = { kind: 'from-devices', host: '127.0.0.1', port: 0, to: join(work, 'none.sock'), most: 2 } as const;
  const to = { kind: 'to-server', socket: 'out', host: 'localhost', port: 1, most: 2 } as const;
  for (const config of [from, to]) {
    events.splice(0);
    const at = await tunnels.open(config);
    const where: NetConnectOpts = typeof at === 'number' ? { host: '127.0.0.1', port: at } : { path: at };
    const one = await opened(where);
    await opened(where);
    for (let more = 0; more < 5; more += 1) await (await opened(where)).ended;
    assert.equal(events.length, 1, 'whoever knocks at a full door does not fill the log');
    const [event] = events;
    assert.ok(event?.error instanceof KeysteadError && event.error.code === 'agent.tunnel-full');
    assert.match(event.error.message, /saw 2 connections/);
    assert.match(event.error.remedy ?? '', /raise `most`/);

    if (config.kind === 'to-server') continue;
    one.socket.destroy();
    // The server learns of it a moment later; until then the door is full, and says so again at most once.
    for (let left = 200; left > 0; left -= 1) {
      const next = await opened(where);
      const first = await Promise.race([next.ended.then(() => 'refused'), silence()]);
      if (first === 'taken') break;
      assert.ok(left > 1, 'never taken');
    }
  }
  await tunnels.close();
});

/** A connection that is refused ends at once; one that is taken says nothing. */
const silence = (): Promise<string> => new Promise((resolve) => setTimeout(() => resolve('taken'), 100));
