import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs, {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomBytes, sha256 } from '@keystead/core/crypto';
import { ended, inTemporaryDirectory, run, source, startScript } from '../../keystore/tests/support.ts';
import { durableDirectory, durableWrite, durableWriteAll, removeUnfinished } from '../durable.ts';

test('a file is replaced and has exactly the mode that was asked for, whatever the umask', async () => {
  await inTemporaryDirectory((dir) => {
    const path = join(dir, 'file');
    const before = process.umask(0o077);
    durableWrite(path, 'one', 0o644);
    process.umask(before);
    assert.equal(statSync(path).mode & 0o777, 0o644);
    const wide = process.umask(0);
    durableWrite(path, Uint8Array.of(0, 255), 0o600);
    process.umask(wide);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(new Uint8Array(readFileSync(path)), Uint8Array.of(0, 255));
    assert.deepEqual(readdirSync(dir), ['file']);
  });
});

test('a write that fails leaves the old file and nothing else', async () => {
  await inTemporaryDirectory((dir) => {
    const path = join(dir, 'file');
    mkdirSync(path);
    assert.throws(() => durableWrite(path, 'new', 0o600));
    assert.deepEqual(readdirSync(dir), ['file']);
    assert.throws(() => durableWrite(join(dir, 'missing', 'file'), 'new', 0o600), { code: 'ENOENT' });
  });
});

test('many files are written at once, each whole and with its mode, and one that fails leaves nothing unfinished', async () => {
  await inTemporaryDirectory(async (dir) => {
    const files = new Map(Array.from({ length: 40 }, (_, at) => [`unit-${at}.yaml`, `unit: ${at}\n`]));
    await durableWriteAll(dir, files, 0o644);
    for (const [name, text] of files) {
      assert.equal(readFileSync(join(dir, name), 'utf8'), text);
      assert.equal(statSync(join(dir, name)).mode & 0o777, 0o644);
    }
    mkdirSync(join(dir, 'taken'));
    await assert.rejects(
      durableWriteAll(
        dir,
        new Map([
          ['taken', 'new'],
          ['other', 'whole'],
        ]),
        0o644,
      ),
    );
    assert.deepEqual(
      readdirSync(dir).filter((name) => name.startsWith('.')),
      [],
    );
    assert.equal(readFileSync(join(dir, 'other'), 'utf8'), 'whole');
    await durableWriteAll(dir, new Map(), 0o644);
  });
});

test('a write that the system cuts short is an error, and the old file stays whole', async () => {
  await inTemporaryDirectory((dir) => {
    const path = join(dir, 'file');
    durableWrite(path, 'old', 0o600);
    const code = `
      const { durableWrite } = await import(${source('files/durable.ts')});
      try { durableWrite(${JSON.stringify(path)}, 'x'.repeat(1e6), 0o600); } catch (error) { console.log(error.code); }`;
    // A file may have one block of 1024 bytes; the rest of the write fails like one on a full disk.
    const limited = `ulimit -f 1; trap '' XFSZ; exec "$0" --input-type=module -e "$1"`;
    assert.equal(run('bash', ['--norc', '-c', limited, process.execPath, code]).trim(), 'EFBIG');
    assert.equal(readFileSync(path, 'utf8'), 'old');
    assert.deepEqual(readdirSync(dir), ['file']);
  });
});

test('kill -9 at any moment leaves the old content or the new, whole, and never loses what was acknowledged', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'file');
    // Content: its number, then filler, then the SHA-256 of both, so that a part is recognised.
    const script = `
      import { durableWrite } from ${source('files/durable.ts')};
      import { createHash } from 'node:crypto';
      import { writeSync } from 'node:fs';
      for (let n = Number(process.argv[3]); ; n += 1) {
        const body = Buffer.concat([Buffer.from(String(n).padStart(10)), Buffer.alloc(300_000, n & 0xff)]);
        durableWrite(process.argv[2] ?? '', Buffer.concat([body, createHash('sha256').update(body).digest()]), 0o600);
        writeSync(1, n + '\\n');
      }`;
    let last = -1;
    for (let round = 0; round < 15; round += 1) {
      const child = startScript(dir, script, [path, String(last + 1)], ['ignore', 'pipe', 'inherit']);
      let said = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      await once(child.stdout ?? child, 'data');
      const wait = (randomBytes(1)[0] ?? 0) / 8;
      setTimeout(() => child.kill('SIGKILL'), wait);
      assert.equal((await ended(child)).signal, 'SIGKILL');
      const acknowledged = Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1));
      const content = readFileSync(path);
      const body = content.subarray(0, -32);
      assert.deepEqual(new Uint8Array(content.subarray(-32)), sha256(body));
      last = Number(body.subarray(0, 10).toString());
      assert.ok(last === acknowledged || last === acknowledged + 1, `file ${last}, acknowledged ${acknowledged}`);
    }
    removeUnfinished(path);
    assert.deepEqual(readdirSync(dir).sort(), ['file', 'script.ts']);
  });
});

test('directories that are made are durable in those above them, and one that is there is left as it is', async (t) => {
  await inTemporaryDirectory((dir) => {
    const open = t.mock.method(fs, 'openSync');
    syncBuiltinESMExports();
    try {
      durableDirectory(join(dir, 'a', 'b', 'c'), 0o700);
      const synced = open.mock.calls.map(({ arguments: [path] }) => path);
      assert.deepEqual(synced, [join(dir, 'a', 'b'), join(dir, 'a'), dir]);
      assert.equal(statSync(join(dir, 'a', 'b', 'c')).mode & 0o777, 0o700);
      chmodSync(join(dir, 'a'), 0o500);
      durableDirectory(join(dir, 'a'), 0o755);
      assert.equal(statSync(join(dir, 'a')).mode & 0o777, 0o500);
      assert.equal(open.mock.callCount(), 3);
    } finally {
      open.mock.restore();
      syncBuiltinESMExports();
    }
  });
});

test('only what a killed write of this very file left is removed', async () => {
  await inTemporaryDirectory((dir) => {
    const keep = ['file', '.file.tmp', '.file.0123.tmp', '.other.0123456789abcdef.tmp', '.file.0123456789abcdef.tmp2'];
    for (const name of [...keep, '.file.0123456789abcdef.tmp']) writeFileSync(join(dir, name), '');
    removeUnfinished(join(dir, 'file'));
    assert.deepEqual(readdirSync(dir).sort(), keep.sort());
  });
});

test('a symbolic link is replaced, not followed', async () => {
  await inTemporaryDirectory((dir) => {
    writeFileSync(join(dir, 'target'), 'target');
    chmodSync(join(dir, 'target'), 0o644);
    symlinkSync('target', join(dir, 'link'));
    durableWrite(join(dir, 'link'), 'new', 0o600);
    assert.equal(readFileSync(join(dir, 'target'), 'utf8'), 'target');
    assert.equal(readFileSync(join(dir, 'link'), 'utf8'), 'new');
    assert.ok(existsSync(join(dir, 'link')));
  });
});
