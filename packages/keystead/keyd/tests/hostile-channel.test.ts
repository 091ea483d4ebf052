import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { randomBytes, SecretBytes } from '@keystead/core/crypto';
import fc from 'fast-check';
import { KeydClient } from '../../keyd-client/index.ts';
import { greetPeer } from '../handshake.ts';
import { KeydBed } from './bed.ts';

let bed: KeydBed;
before(async () => {
  bed = await KeydBed.make();
  await bed.stop();
  // The tests of slow peers wait for this, and not for the seconds of production.
  await bed.start(150);
});
after(() => bed.remove());

const closeOf = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once('close', () => resolve());
    socket.resume();
  });

/** Everything that keyd sends on a socket until it closes it. */
async function allOf(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  await closeOf(socket);
  return Buffer.concat(parts);
}

const stillServes = async (): Promise<void> => {
  assert.equal((await bed.client.status()).log.size, 0);
};

test('TEST-KEY-13 a peer with another channel key gets not one answer', async () => {
  await assert.rejects(KeydClient.connect(bed.socketPath, SecretBytes.random(32)), { code: 'keyd.unauthenticated' });
  await stillServes();
});

test('TEST-KEY-13 a peer that proves nothing in time is cut off, whether it is silent or slow', async () => {
  const silent = await bed.socket();
  const slow = await bed.socket();
  const drip = setInterval(() => slow.write('K'), 20);
  await Promise.all([closeOf(silent), closeOf(slow)]);
  clearInterval(drip);
  await stillServes();
});

test('a process that was busy for longer than a peer has time reads what the peer sent meanwhile, and serves it', async () => {
  const client = await KeydClient.connect(bed.socketPath, bed.channelKey());
  // The proof has left, and is not read yet.
  for (const end = performance.now() + 400; performance.now() < end; );
  assert.equal((await client.status()).log.size, 0);
  client.close();
});

test('TEST-KEY-13 whatever a stranger sends instead of a proof, keyd tells it nothing but its own nonce', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.boolean(), async (bytes, greet) => {
      const socket = await bed.socket();
      const received = allOf(socket);
      socket.end(greet ? Buffer.concat([Buffer.from('KSKEYD/1'), randomBytes(32), bytes]) : bytes);
      assert.ok((await received).length <= 64);
    }),
    { numRuns: 60 },
  );
  await stillServes();
});

test('TEST-KEY-13 a recorded conversation that is played again is refused: its proof was for another nonce', async () => {
  const socket = await bed.socket();
  const recorded: Buffer[] = [];
  const write = socket.write.bind(socket);
  socket.write = (chunk: Uint8Array | string, ...rest: unknown[]): boolean => {
    recorded.push(Buffer.from(chunk as Uint8Array));
    assert.equal(rest.length, 0);
    return write(chunk);
  };
  const channel = await greetPeer(socket, bed.channelKey());
  const answered = new Promise<void>((resolve) => channel.open({ message: () => resolve(), closed: () => {} }));
  channel.send(JSON.stringify({ id: 1, op: 'status', params: {} }));
  await answered;
  channel.destroy();
  const thief = await bed.socket();
  const received = allOf(thief);
  for (const bytes of recorded) thief.write(bytes);
  assert.equal((await received).length, 64);
  await stillServes();
});

test('TEST-KEY-13 a relay between the two ends can neither put a message in nor repeat one', async () => {
  for (const attack of ['repeat', 'forge'] as const) {
    const socket = await bed.socket();
    const channel = await greetPeer(socket, bed.channelKey());
    let frame = Buffer.alloc(0);
    const write = socket.write.bind(socket);
    socket.write = (chunk: Uint8Array | string): boolean => {
      frame = Buffer.from(chunk as Uint8Array);
      return write(chunk);
    };
    let answers = 0;
    const ended = new Promise<void>((resolve) => {
      channel.open({
        message: () => {
          answers += 1;
          const forged = Buffer.from(frame);
          forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 1, forged.length - 1);
          write(attack === 'repeat' ? frame : forged);
        },
        closed: () => resolve(),
      });
    });
    channel.send(JSON.stringify({ id: 1, op: 'status', params: {} }));
    await ended;
    assert.equal(answers, 1);
  }
  await stillServes();
});

test('TEST-KEY-13 a frame that announces more than 8 MiB ends the connection at once', async () => {
  const socket = await bed.socket();
  const channel = await greetPeer(socket, bed.channelKey());
  const ended = new Promise<void>((resolve) => channel.open({ message: () => {}, closed: () => resolve() }));
  socket.write(Buffer.from([0x00, 0x80, 0x00, 0x01]));
  await ended;
  await stillServes();
});

test('TEST-KEY-13 messages that are not requests are answered with the rule, or end the connection when nobody could be told', async () => {
  const hostile = await bed.hostile();
  const wrong: [unknown, RegExp][] = [
    [await hostile.ask('sign', { bytes: 'AAAA' }), /op/],
    [await hostile.ask('exportKey', {}), /op/],
    [await hostile.ask('__proto__', {}), /op/],
    [await hostile.ask('constructor', {}), /op/],
    [await hostile.ask('status', { more: 1 }), /more/],
    [await hostile.ask('status', null), /params/],
    [await hostile.ask('issue', { profile: 'ldevid' }), /csr/],
  ];
  for (const [answer, field] of wrong) {
    const { error } = answer as { error?: { code: string; field?: string } };
    assert.equal(error?.code, 'request.malformed');
    assert.match(error?.field ?? '', field);
  }
  hostile.end();
  for (const text of ['', 'x', '[]', 'null', '{"op":"status"}', '{"id":-1}', '{"id":"1"}', '['.repeat(100_000)]) {
    const one = await bed.hostile();
    one.text(text);
    assert.equal(await one.closed, 'closed');
  }
  await stillServes();
});

test('TEST-KEY-13 no parameters whatever make an operation do anything but refuse', async () => {
  const hostile = await bed.hostile();
  const op = fc.constantFrom('issue', 'provision', 'signOcsp', 'signCrl', 'signCheckpoint', 'signEvidence', 'journal');
  const key = fc.constantFrom(
    'profile',
    'csr',
    'requester',
    'ticket',
    'issuer',
    'number',
    'entries',
    'size',
    'leaves',
    'kind',
    'from',
  );
  const params = fc.oneof(fc.jsonValue(), fc.dictionary(key, fc.jsonValue(), { maxKeys: 6 }));
  await fc.assert(
    fc.asyncProperty(op, params, async (name, value) => {
      const { ok, error } = await hostile.ask(name, value);
      assert.equal(ok, undefined);
      assert.equal(error?.code, 'request.malformed');
    }),
    { numRuns: 400 },
  );
  hostile.end();
  await stillServes();
});

test('a front end that sends a thousand requests and reads no answer is not read from either, and others are served', async () => {
  const socket = await bed.socket();
  const channel = await greetPeer(socket, bed.channelKey());
  channel.open({ message: () => {}, closed: () => {} });
  channel.pause();
  for (let id = 0; id < 20_000; id += 1) channel.send(JSON.stringify({ id, op: 'trust', params: {} }));
  for (let i = 0; i < 5; i += 1) await stillServes();
  channel.destroy();
  await stillServes();
});
