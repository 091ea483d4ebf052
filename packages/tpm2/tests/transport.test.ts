import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createConnection, createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join as inDirectory } from 'node:path';
import { after, before, test } from 'node:test';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { Channel } from '../channel.ts';
import { createPrimary } from '../objects/object.ts';
import { readPcrs } from '../objects/pcrs.ts';
import { SRK_TEMPLATE } from '../objects/templates.ts';
import { TpmRandom } from '../random.ts';
import { Tpm } from '../tpm.ts';
import { openTransport } from '../transport/open.ts';
import type { Transport } from '../transport/transport.ts';
import { HANDLE } from '../wire/constants.ts';
import { join, sized, u8, u16, u32 } from '../wire/writer.ts';
import { Swtpm } from './swtpm.ts';

let swtpm: Swtpm;
before(async () => {
  swtpm = await Swtpm.start();
});
after(() => swtpm.stop());

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };

/** A response without sessions. */
const response = (code: number, parameters: Uint8Array = new Uint8Array(0)): Uint8Array =>
  join(u16(0x8001), u32(10 + parameters.length), u32(code), parameters);

/** Something at the other end of a socket that is no TPM. */
async function withImpostor<T>(behave: (socket: Socket) => void, work: (address: string) => Promise<T>): Promise<T> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    behave(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await work(`tcp:127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

const answering =
  (bytes: Uint8Array) =>
  (socket: Socket): void => {
    socket.once('data', () => socket.end(bytes));
  };

/** A transport that answers what it is told to, command by command. */
function scripted(answer: (command: Uint8Array, n: number) => Uint8Array): Transport & { sent: Uint8Array[] } {
  const sent: Uint8Array[] = [];
  return {
    address: 'scripted',
    sent,
    async exchange(command) {
      sent.push(command.slice());
      return answer(command, sent.length);
    },
    async close() {},
  };
}

test('a TPM that is not there: no socket, no device, nobody listening', async () => {
  await assert.rejects(Tpm.open('unix:/nonexistent/tpm'), fails('tpm2.unavailable', /ENOENT/));
  await assert.rejects(Tpm.open('device:/nonexistent/tpm'), fails('tpm2.unavailable', /ENOENT/));
  await assert.rejects(Tpm.open('tcp:127.0.0.1:1'), fails('tpm2.unavailable', /ECONNREFUSED/));
});

test('an address of another form is refused by name', async () => {
  for (const address of ['', '/dev/tpm0', 'device:tpm0', 'tcp:localhost', 'tcp:localhost:99999', 'swtpm:path=x']) {
    await assert.rejects(Tpm.open(address), fails('tpm2.address'));
  }
});

for (const [what, bytes, code] of [
  ['garbage', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'tpm2.malformed'],
  ['a response that is cut off', response(0, new Uint8Array(20)).subarray(0, 15), 'tpm2.unavailable'],
  ['a header that is cut off', response(0).subarray(0, 7), 'tpm2.unavailable'],
  ['a response with bytes after its end', join(response(0), u8(0)), 'tpm2.malformed'],
  ['a response larger than any buffer', join(u16(0x8001), u32(0x7fffffff), u32(0)), 'tpm2.malformed'],
  ['a response smaller than its header', join(u16(0x8001), u32(3), u32(0)), 'tpm2.malformed'],
  ['a response of another kind', join(u16(0x8002), u32(10), u32(0)), 'tpm2.malformed'],
  ['a response without its values', response(0), 'tpm2.malformed'],
  ['nothing', Buffer.alloc(0), 'tpm2.unavailable'],
] as const) {
  test(`a peer that answers ${what} is ${code}`, async () => {
    await withImpostor(answering(bytes), (address) => assert.rejects(Tpm.open(address), fails(code)));
  });
}

test('a TPM that never answers is given up after the time that was set', async () => {
  const silent = (socket: Socket): void => void socket.resume();
  await withImpostor(silent, (address) =>
    assert.rejects(Tpm.open(address, { timeoutMs: 50 }), fails('tpm2.unavailable', /no answer within 50 ms/)),
  );
});

test('a response that comes octet by octet is one response', async () => {
  const chopped = (socket: Socket): void => {
    socket.once('data', (command) => {
      const upstream = createConnection(swtpm.socket, () => upstream.write(command));
      upstream.on('error', () => undefined);
      upstream.on('data', (bytes) => {
        for (const octet of bytes) socket.write(Buffer.of(octet));
        upstream.destroy();
        socket.end();
      });
    });
  };
  await withImpostor(chopped, async (address) => {
    await using tpm = await Tpm.open(address);
    assert.equal((await tpm.info()).manufacturer, 'IBM');
  });
});

test('a TPM in failure mode says so, though it still tells its properties', async () => {
  const properties = join(u8(0), u32(6), u32(1), u32(0x100), u32(0x322e3000));
  const failing = (command: Uint8Array): Uint8Array =>
    (command[9] ?? 0) === 0x7a ? response(0, properties) : response(0x101);
  await assert.rejects(Tpm.over(scripted(failing)), fails('tpm2.failure-mode', /TPM_RC_FAILURE 0x101/));
  await assert.rejects(Tpm.over(scripted(() => response(0x101))), fails('tpm2.failure-mode'));
});

test('a TPM that asks for the same command again gets the same bytes, and not for ever', async () => {
  const random = response(0, sized(Uint8Array.of(1)));
  const patient = scripted((_command, n) => (n < 4 ? response(0x922) : random));
  await new Channel(patient).run('GetRandom', { parameters: u16(1) });
  assert.equal(patient.sent.length, 4);
  for (const command of patient.sent) assert.deepEqual(command, patient.sent[0]);
  const never = scripted(() => response(0x908));
  await assert.rejects(
    new Channel(never).run('GetRandom', { parameters: u16(1) }),
    fails('tpm2.unavailable', /YIELDED/),
  );
});

test('whatever a TPM answers to any command, the outcome is a value or a KeysteadError', async () => {
  const commands: readonly ((channel: Channel) => Promise<unknown>)[] = [
    (channel) => createPrimary(channel, HANDLE.OWNER, SRK_TEMPLATE),
    (channel) => readPcrs(channel, { bank: 'sha256', pcrs: [7] }),
    (channel) => channel.run('GetRandom', { parameters: u16(1) }),
  ];
  const answers = fc.tuple(fc.constantFrom(0x8001, 0x8002), fc.uint8Array({ maxLength: 200 }), fc.nat(0x100));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...commands), answers, async (command, [tag, bytes, code]) => {
      const answer = join(u16(tag), u32(10 + bytes.length), u32(code > 0x80 ? 0 : code), bytes);
      try {
        await command(new Channel(scripted(() => answer)));
      } catch (error) {
        assert.ok(error instanceof KeysteadError, String(error));
      }
    }),
    { numRuns: 400 },
  );
});

test('TEST-KEY-01: a stuck or biased generator of a TPM gives nothing, now or later', async () => {
  const opening = (fill: (n: number) => Uint8Array): Transport => {
    let n = 0;
    return scripted((command) => {
      const cc = (command[8] ?? 0) * 256 + (command[9] ?? 0);
      if (cc === 0x17a) return response(0, join(u8(0), u32(6), u32(0)));
      n += 1;
      return response(0, sized(fill(n)));
    });
  };
  // One value in ten far too often: no run is long enough for the repetition count.
  const biased = (n: number): Uint8Array =>
    Uint8Array.from({ length: 32 }, (_, i) => (i % 10 === 0 ? 0x55 : (n * 37 + i * 11) & 0xff));
  for (const [fill, why] of [
    [() => new Uint8Array(32), /repetition count/],
    [biased, /adaptive proportion/],
    [() => Uint8Array.from({ length: 32 }, (_, i) => i * 7), /repeated block|adaptive proportion/],
  ] as const) {
    const random = new TpmRandom(await Tpm.over(opening(fill)));
    await assert.rejects(random.bytes(16), fails('rng.unhealthy', why));
    await assert.rejects(random.bytes(16), fails('rng.unhealthy', why));
  }
  const empty = new TpmRandom(await Tpm.over(opening(() => new Uint8Array(0))));
  await assert.rejects(empty.bytes(16), fails('tpm2.malformed', /nothing, again and again/));
});

test('TEST-KEY-01: a healthy TPM passes, and each byte that it gives is a new one', async () => {
  await using tpm = await Tpm.open(swtpm.address);
  const random = new TpmRandom(tpm);
  const [one, two] = [await random.bytes(48), await random.bytes(48)];
  assert.equal(one.length, 48);
  assert.notDeepEqual(one, two);
  const asked = await Promise.all(Array.from({ length: 8 }, () => random.bytes(40)));
  assert.equal(new Set(asked.map((bytes) => Buffer.from(bytes).toString('hex'))).size, 8);
});

test('a machine whose TPM nobody has started up yet starts it', async () => {
  const cold = await Swtpm.start({ startedUp: false });
  try {
    // swtpm without not-need-init waits for the control channel; with it, for TPM2_Startup.
    await using tpm = await Tpm.open(cold.address);
    assert.equal((await tpm.info()).manufacturer, 'IBM');
  } finally {
    await cold.stop();
  }
});

test('a TPM that goes away between two commands is unavailable, and comes back with its state', async () => {
  const own = await Swtpm.start();
  try {
    await using tpm = await Tpm.open(own.address);
    const before = await tpm.use((channel) => createAndFlush(channel));
    await own.end();
    await assert.rejects(tpm.info(), fails('tpm2.unavailable', /ENOENT|ECONNREFUSED/));
    await own.boot();
    assert.deepEqual(await tpm.use((channel) => createAndFlush(channel)), before);
  } finally {
    await own.stop();
  }
});

async function createAndFlush(channel: Channel): Promise<Uint8Array> {
  const { handle, name } = await createPrimary(channel, HANDLE.OWNER, SRK_TEMPLATE);
  await channel.run('FlushContext', { parameters: u32(handle) });
  return name;
}

test('commands that are asked for at the same time are run one after the other', async () => {
  await using tpm = await Tpm.open(swtpm.address);
  const names = await Promise.all(Array.from({ length: 8 }, () => tpm.use(createAndFlush)));
  for (const name of names) assert.deepEqual(name, names[0]);
});

/** The transport of devices, in a process of its own whose descriptor 3 is a socket to swtpm. */
const DEVICE = `
const { DeviceTransport, Tpm } = await import(process.argv[2]);
const tpm = await Tpm.over(new DeviceTransport('descriptor 3', 3), { timeoutMs: Number(process.argv[3]) });
process.stdout.write(JSON.stringify(await tpm.info()));
await tpm.close();
process.exit(0);
`;

function device(
  timeoutMs: number,
  connect: (end: Socket) => void,
): Promise<{ status: number | null; out: string; err: string }> {
  const directory = mkdtempSync(inDirectory(tmpdir(), 'keystead-device-'));
  const script = inDirectory(directory, 'device.ts');
  writeFileSync(script, DEVICE);
  const module = new URL('../index.ts', import.meta.url).href;
  const child: ChildProcess = spawn(process.execPath, [script, module, String(timeoutMs)], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const end = child.stdio[3];
  if (end instanceof Socket) connect(end);
  const text = { out: '', err: '' };
  child.stdout?.on('data', (chunk) => (text.out += String(chunk)));
  child.stderr?.on('data', (chunk) => (text.err += String(chunk)));
  return new Promise((resolve) => {
    child.once('close', (status) => {
      rmSync(directory, { recursive: true });
      resolve({ status, ...text });
    });
  });
}

test('the transport of devices writes a command and reads its response on one descriptor', async () => {
  const upstream = createConnection(swtpm.socket);
  const { status, out, err } = await device(20_000, (end) => {
    end.pipe(upstream).pipe(end);
    end.on('error', () => undefined);
    upstream.on('error', () => undefined);
  });
  upstream.destroy();
  assert.equal(status, 0, err);
  assert.equal(JSON.parse(out).manufacturer, 'IBM');
});

test('a device that gives an end instead of a response is no TPM', async () => {
  const { status, err } = await device(20_000, (end) => {
    end.on('error', () => undefined);
    end.once('data', () => end.end());
  });
  assert.equal(status, 1);
  assert.match(err, /tpm2\.malformed|tpm2\.unavailable/);
});

test('a password in a command is wiped from the bytes that were sent', async () => {
  const sent: Uint8Array[] = [];
  const keeping: Transport = {
    address: 'keeping',
    async exchange(command) {
      sent.push(command);
      return response(0x9a2);
    },
    async close() {},
  };
  const password = SecretBytes.copy(Buffer.from('the owner'));
  await assert.rejects(
    createPrimary(new Channel(keeping), HANDLE.OWNER, SRK_TEMPLATE, password),
    fails('tpm2.auth-failed'),
  );
  assert.ok(sent.every((command) => command.every((octet) => octet === 0)));
});

test('a closed connection is used by nobody', async () => {
  const transport = await openTransport(swtpm.address);
  await transport.close();
  await assert.rejects(Tpm.over(transport), fails('tpm2.unavailable', /closed/));
});
