import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { DeviceState } from '../index.ts';
import { Fleet } from './fleet.ts';
import { drink, enrolledDevice, TunnelBed } from './tunnel-bed.ts';

const fleet = new Fleet(new Date());
/** More than sockets and streams hold between the two ends. */
const MUCH = 3_000_000;
const HALF_OPEN_MS = 1500;
let bed: TunnelBed;
let other: DeviceState;
before(async () => {
  bed = new TunnelBed(fleet, (await enrolledDevice(fleet, 'pump-1')).tls);
  other = (await enrolledDevice(fleet, 'pump-2')).state;
});
after(() => bed.close());

/** An application at a tunnel's socket. */
function application(path: string | number): Socket {
  return bed.keep(connect({ path: String(path), allowHalfOpen: true }));
}

const toServer = async (socket: string, onPeer: Parameters<TunnelBed['server']>[0]): Promise<string | number> =>
  bed.tunnels.open({ kind: 'to-server', socket, host: 'localhost', port: await bed.server(onPeer), most: 10 });

const fromDevices = async (name: string, onPeer: (socket: Socket) => void): Promise<number> => {
  const to = await bed.application(name, onPeer);
  const config = { kind: 'from-devices', host: '127.0.0.1', port: 0, to, most: 10 } as const;
  return Number(await bed.tunnels.open(config));
};

test('a slow application gets the whole answer of a server that has closed its connection already, whoever ended first', {
  timeout: 60_000,
}, async () => {
  const answer = Buffer.alloc(MUCH, 1);
  const afterAsked = (socket: Socket) => socket.once('data', () => socket.end(answer));
  const afterEnd = (socket: Socket) => socket.resume().once('end', () => socket.end(answer));
  for (const [name, onPeer] of [
    ['asked', afterAsked],
    ['ended', afterEnd],
  ] as const) {
    const app = application(await toServer(name, onPeer));
    if (name === 'asked') app.write('all of it');
    else app.end('all of it');
    await wait(300);
    assert.equal(await drink(app, () => wait(2)), MUCH, name);
  }
});

test('a slow server gets all that an application has sent that did not wait for an answer', {
  timeout: 60_000,
}, async () => {
  let got: Promise<number> | undefined;
  const path = await toServer('upload', (socket) => {
    got = wait(300).then(() => drink(socket, () => wait(2)));
    got.then(() => socket.end());
  });
  const app = application(path);
  app.end(Buffer.alloc(MUCH, 1));
  assert.equal(await drink(app), 0);
  assert.equal(await got, MUCH);
});

test('a device that has ended its side still gets the answer, and one that the application has ended can still send', {
  timeout: 60_000,
}, async () => {
  const asked = await fromDevices('question.sock', (socket) => {
    let text = '';
    socket.on('data', (part: Buffer) => {
      text += part;
    });
    socket.once('end', () => socket.end(`${text}: 5 ml`));
  });
  const device = await bed.peer(other, asked);
  let answer = '';
  device.on('data', (part: Buffer) => {
    answer += part;
  });
  device.end('dose?');
  await once(device, 'end');
  assert.equal(answer, 'dose?: 5 ml');

  let sent: Promise<number> | undefined;
  const ended = await fromDevices('late.sock', (socket) => {
    socket.end();
    sent = drink(socket);
  });
  const late = await bed.peer(other, ended);
  await once(late.resume(), 'end');
  late.end(Buffer.alloc(MUCH, 1));
  await once(late, 'finish');
  assert.equal(await sent, MUCH);
});

test('a connection that is reset ends on the other side, after whichever byte it is, and the next one is good', {
  timeout: 60_000,
}, async () => {
  const port = await bed.server((socket) => socket.pipe(socket));
  let left = Number.POSITIVE_INFINITY;
  const relay = await bed.relay(port, (bytes) => {
    left -= bytes;
    return left < 0;
  });
  const path = await bed.tunnels.open({ kind: 'to-server', socket: 'reset', host: 'localhost', port: relay, most: 3 });
  const say = async (): Promise<string> => {
    const app = bed.keep(connect(String(path)));
    let text = '';
    app.on('data', (part: Buffer) => {
      text += part;
      app.end();
    });
    app.write('hello');
    await new Promise((resolve) => app.once('close', resolve));
    return text;
  };
  const said = new Set<string>();
  for (let after = 0; after < 7000; after += 211) {
    left = after;
    said.add(await say());
  }
  assert.deepEqual([...said].sort(), ['', 'hello'], 'before the answer, and behind it');
  left = Number.POSITIVE_INFINITY;
  assert.equal(await say(), 'hello');
});

test('an application that breaks off takes the connection of its tunnel along', { timeout: 60_000 }, async () => {
  let server: Socket | undefined;
  const path = await toServer('gone', (socket) => {
    server = socket.resume();
    socket.write('x');
  });
  const gone = application(path);
  await once(gone, 'data');
  const ended = once(server ?? assert.fail('no server'), 'end');
  gone.destroy();
  await ended;
});

test('an application that is gone holds its place for no longer than the silence that is allowed, and one that still listens hears all', {
  timeout: 60_000,
}, async () => {
  const own = new TunnelBed(fleet, (await enrolledDevice(fleet, 'pump-3')).tls, { halfOpenMs: HALF_OPEN_MS });
  try {
    const port = await own.server((socket) => socket.resume().write('x'));
    const path = await own.tunnels.open({ kind: 'to-server', socket: 'silent', host: 'localhost', port, most: 1 });
    const isTaken = (app: Socket): Promise<boolean> =>
      new Promise((resolve) => {
        own.keep(app).once('data', () => resolve(true));
        app.once('close', () => resolve(false));
      });
    const gone = connect(String(path));
    assert.ok(await isTaken(gone));
    gone.destroy();
    assert.equal(await isTaken(connect(String(path))), false, 'the server has not ended its side');
    while (!(await isTaken(connect(String(path))))) await wait(20);

    const to = await own.application('slow.sock', async (socket) => {
      socket.resume();
      for (let more = 0; more < 6; more += 1) {
        await wait(400);
        socket.write('.');
      }
    });
    const slow = { kind: 'from-devices', host: '127.0.0.1', port: 0, to, most: 10 } as const;
    const device = await own.peer(other, Number(await own.tunnels.open(slow)));
    let dots = 0;
    device.on('data', (part: Buffer) => {
      dots += part.length;
    });
    device.end();
    await once(device, 'close');
    assert.equal(dots, 6, 'as long as something comes the other way goes on');
  } finally {
    await own.close();
  }
});

test('a peer whose machine is gone without a word is noticed by the kernel, both ways round', {
  timeout: 60_000,
}, async () => {
  const timers = (port: number): string[] =>
    readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = '', remote = '', state]) => {
        const hex = port.toString(16).toUpperCase().padStart(4, '0');
        return state === '01' && (local.endsWith(`:${hex}`) || remote.endsWith(`:${hex}`));
      })
      .map(([, , , , , timer = '']) => timer.slice(0, 2));
  const taken: Socket[] = [];
  const port = await bed.server((socket) => socket.once('data', () => taken.push(socket)));
  const path = await bed.tunnels.open({ kind: 'to-server', socket: 'alive', host: 'localhost', port, most: 10 });
  application(path).write('x');
  while (taken.length === 0) await wait(5);
  const listening = await fromDevices('there.sock', (socket) => taken.push(socket.resume()));
  await bed.peer(other, listening);
  while (taken.length === 1) await wait(5);
  // 02 in /proc/net/tcp: a keepalive timer is set (of each pair one end is the tunnel's).
  for (const one of [port, listening]) {
    let seen: string[] = [];
    for (let left = 200; left > 0 && !seen.includes('02'); left -= 1) {
      seen = timers(one);
      await wait(5);
    }
    assert.ok(seen.includes('02'), `${seen}`);
  }
});
