import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { greatestStack } from './c/firmware-size.ts';
import { makeVectors } from './c/make-vectors.ts';
import { CORTEX_M, librarySource, librarySources, STRICT, testSource, Workshop } from './c/toolchain.ts';
import { vectorHeader } from './c/vector-header.ts';
import {
  judgeBundle,
  judgeFilter,
  judgePin,
  judgeSession,
  readVectors,
  VECTORS,
  type VectorSet,
  vectorText,
} from './c/vector-set.ts';

const PAGE = readFileSync(fileURLToPath(new URL('../../../docs/device-c.md', import.meta.url)), 'utf8');
const committed = readVectors();
const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());
before(() => writeFileSync(workshop.at('vectors.h'), vectorHeader(committed)));

/** What a set says, by the names of its vectors: two sets have other keys, and must say the same. */
const said = (set: VectorSet) =>
  [...set.bundles, ...set.pins, ...set.filters, ...set.peers, ...set.sessions].map((vector) => [
    vector.name,
    vector.expected,
    'depth' in vector ? vector.depth : 0,
  ]);

test('TEST-KEY-10 TypeScript says of each committed vector what stands there, and what new ones with new keys say', async () => {
  for (const vector of committed.bundles) {
    const { expected, taken } = vector;
    assert.deepEqual(judgeBundle(vector), taken === undefined ? { expected } : { expected, taken }, vector.name);
  }
  for (const vector of committed.pins) assert.equal(judgePin(vector), vector.expected, vector.name);
  for (const vector of committed.filters) {
    const { expected, answers } = vector;
    assert.deepEqual(judgeFilter(vector), { expected, answers }, vector.name);
  }
  for (const vector of committed.sessions) {
    const { expected, clientWrite, serverWrite } = vector;
    assert.deepEqual(judgeSession(vector), { expected, clientWrite, serverWrite }, vector.name);
  }
  assert.deepEqual(said(await makeVectors()), said(committed));
  assert.equal(vectorText(committed), readFileSync(VECTORS, 'utf8'));
});

test('TEST-KEY-10 the vectors have each refusal of a trust bundle that its page lists, and each form of a filter', () => {
  const page = readFileSync(fileURLToPath(new URL('../../../docs/trust-bundle.md', import.meta.url)), 'utf8');
  const listed = [...page.matchAll(/^\| `(trust-bundle\.[a-z-]+)` \|/gm)].map((match) => match[1] ?? '');
  assert.ok(listed.length > 10);
  const refused = new Set(committed.bundles.map(({ expected }) => expected));
  for (const code of listed) assert.ok(refused.has(code), code);
  const [file = ''] = committed.filters[0]?.files ?? [];
  // Of five issuers: inverted or not, and the form.
  for (const facts of ['0000', '0001', '0002', '0101']) assert.ok(file.includes(facts), facts);
});

test('TEST-KEY-10 TEST-KEY-16 TEST-KEY-04 the C library says what the vectors say, on the host under the sanitizers, with mbedTLS for its cryptography [mbedTLS: COSE trust bundle]', () => {
  const sources = [librarySource('vectors/run.c'), testSource('run-host.c')];
  const program = workshop.hostProgram('vectors', [...sources, testSource('sha256.c')]);
  assert.match(workshop.run(program, []), /^\d+ vectors, 0 failed\n$/);
  // Where the device's cryptography fails now and then, nothing is let through that should not be.
  assert.match(workshop.run(program, ['faults']), /^9 runs with faults, nothing let through\n$/);
});

test('a vector that is changed fails: the runner can fail', () => {
  const [first, ...rest] = committed.bundles;
  assert.ok(first?.taken);
  const changed = { ...committed, bundles: [{ ...first, expected: 'trust-bundle.forked' }, ...rest] };
  mkdirSync(workshop.at('changed'));
  writeFileSync(workshop.at('changed/vectors.h'), vectorHeader(changed));
  const sources = ['run-host.c', 'sha256.c'].map(testSource).concat(librarySource('vectors/run.c'));
  const program = workshop.hostProgram('changed/vectors', sources, workshop.at('changed'));
  assert.throws(() => workshop.run(program, []), /Command failed/);
});

/** Sizes that the page promises. */
const promised = (pattern: RegExp): number => Number(pattern.exec(PAGE)?.[1]?.replace(',', ''));

for (const [core, machine] of [
  ['cortex-m3', 'mps2-an385'],
  ['cortex-m4', 'mps2-an386'],
] as const) {
  test(`TEST-KEY-10 TEST-KEY-16 TEST-KEY-04 the C library says what the vectors say on a ${core} in QEMU, and is as small as its page says`, (t) => {
    const flags = [`-mcpu=${core}`, ...CORTEX_M];
    const objects = librarySources().map((source) => {
      const object = workshop.at(`${core}-${basename(source, '.c')}.o`);
      workshop.run('arm-none-eabi-gcc', [...STRICT, ...flags, '-fcallgraph-info=su', '-c', source, '-o', object]);
      return object;
    });
    const text = workshop
      .run('arm-none-eabi-size', objects)
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
    const code = text.reduce((sum, [size = '0']) => sum + Number(size), 0);
    for (const [, data = '0', bss = '0'] of text) assert.equal(Number(data) + Number(bss), 0, 'no memory of its own');
    const stacks = greatestStack(workshop.directory);
    const stack = Math.max(...stacks.values());
    const program = workshop.at(`${core}.elf`);
    const rest = [librarySource('vectors/run.c'), testSource('sha256.c'), testSource('cortex-m/start.c')];
    const linked = ['-nostartfiles', '-specs=nano.specs', '-T', testSource('cortex-m/link.ld'), '-o', program];
    const plain = ['-std=c99', '-Wall', '-Wextra', '-Werror', `-I${workshop.directory}`];
    workshop.run('arm-none-eabi-gcc', [...plain, ...flags, ...rest, ...objects, ...linked]);
    const semihosting = ['-chardev', 'stdio,id=out', '-semihosting-config', 'enable=on,target=native,chardev=out'];
    const quiet = ['-nographic', '-monitor', 'none', '-serial', 'none'];
    const out = workshop.run('qemu-system-arm', ['-machine', machine, ...quiet, ...semihosting, '-kernel', program]);
    assert.match(out, /^\d+ vectors, 0 failed, \d+ bytes of stack\n$/);
    t.diagnostic(`${core}: ${code} bytes of code and constants, at most ${stack} bytes of stack; ${out.trim()}`);
    for (const name of ['ks_trust_take', 'ks_pin_check', 'ks_filter_open', 'ks_peer_check', 'ks_session_keys'])
      t.diagnostic(`  ${name}: ${stacks.get(name)} bytes of stack`);
    assert.ok(code <= promised(/at most ([\d,]+) bytes of flash/), `${code}`);
    assert.ok(stack <= promised(/at most ([\d,]+) bytes of stack/), `${stack}`);
  });
}

test('no function of the C library calls the heap, prints, or calls itself', () => {
  const objects = librarySources().map((source) => {
    const object = workshop.at(`plain-${basename(source, '.c')}.o`);
    workshop.run('gcc', [...STRICT, '-O2', '-fno-builtin', '-fno-stack-protector', '-c', source, '-o', object]);
    return object;
  });
  const wanted = workshop
    .run('nm', ['--undefined-only', '--format=just-symbols', ...objects])
    .split('\n')
    .filter((name) => name !== '' && !name.endsWith(':') && !name.startsWith('ks_'));
  assert.deepEqual([...new Set(wanted)].sort(), ['memcmp', 'memcpy', 'memset']);
});

test('docs/device-c.md: the example compiles as it stands, for the host and for a Cortex-M', () => {
  const [, block = ''] = /```c\n([\s\S]*?)```/.exec(PAGE) ?? [];
  assert.match(block, /ks_trust_take/);
  const source = workshop.at('example.c');
  writeFileSync(source, block);
  const include = `-I${librarySource('')}`;
  workshop.run('gcc', [...STRICT, '-O1', include, '-c', source, '-o', workshop.at('example.o')]);
  workshop.run('arm-none-eabi-gcc', [...STRICT, '-mcpu=cortex-m3', ...CORTEX_M, include, '-c', source]);
});

test('docs/device-c.md names every function of keystead.h, and no other', () => {
  const header = readFileSync(librarySource('keystead.h'), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const declared = [...header.matchAll(/^[a-z].*?\b(ks_\w+)\(/gm)].map(([, name = '']) => name);
  const [, table = ''] = /## Its functions\n([\s\S]*?)\n## /.exec(PAGE) ?? [];
  const rows = table.split('\n').map((row) => row.split('|')[1] ?? '');
  const told = rows.flatMap((cell) => [...cell.matchAll(/`(ks_\w+)`/g)].map(([, name = '']) => name));
  assert.ok(declared.includes('ks_filter_through'));
  assert.deepEqual(told, declared);
});
