import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { SecretBytes } from '@keystead/core/crypto';
import { readPassphrase } from '../index.ts';
import { ended, inTemporaryDirectory, source, startScript } from './support.ts';

const text = (passphrase: SecretBytes): string => passphrase.use((bytes) => Buffer.from(bytes).toString());

/** Writes a file of the test's own user. */
function file(dir: string, content: string | Uint8Array, mode = 0o600): string {
  const path = join(dir, 'passphrase');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

test('from a file: one line ending is cut, everything else belongs to the passphrase', async () => {
  await inTemporaryDirectory(async (dir) => {
    for (const [content, expected] of [
      ['correct horse', 'correct horse'],
      ['correct horse\n', 'correct horse'],
      ['correct horse\r\n', 'correct horse'],
      [' correct horse \n\n', ' correct horse \n'],
      ['zwölf\n', 'zwölf'],
    ] as const) {
      assert.equal(text(await readPassphrase({ file: file(dir, content) })), expected);
    }
    assert.equal(text(await readPassphrase({ file: file(dir, 'owner may only read', 0o400) })), 'owner may only read');
  });
});

test('a file that others may read or write, or that is no file, is refused', async () => {
  await inTemporaryDirectory(async (dir) => {
    for (const mode of [0o640, 0o604, 0o644, 0o620, 0o602, 0o660]) {
      await assert.rejects(readPassphrase({ file: file(dir, 'x', mode) }), { code: 'passphrase.file-exposed' });
    }
    mkdirSync(join(dir, 'directory'), { mode: 0o700 });
    await assert.rejects(readPassphrase({ file: join(dir, 'directory') }), { code: 'passphrase.file-exposed' });
    await assert.rejects(readPassphrase({ file: join(dir, 'none') }), { code: 'passphrase.unavailable' });
  });
});

test('a file of another user is refused', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = file(dir, 'x');
    if (process.getuid?.() === 0) {
      chownSync(path, 12345, 12345);
      await assert.rejects(readPassphrase({ file: path }), { code: 'passphrase.file-exposed', seen: 'owner 12345' });
    } else {
      // Somebody else's file that this user can read has bits for others, or is not readable at all.
      const other = { file: '/etc/passwd' };
      await assert.rejects(readPassphrase(other), { code: 'passphrase.file-exposed' });
    }
  });
});

test('an empty passphrase and one that is too long are refused', async () => {
  await inTemporaryDirectory(async (dir) => {
    for (const empty of ['', '\n', '\r\n']) {
      await assert.rejects(readPassphrase({ file: file(dir, empty) }), { code: 'kdf.passphrase-empty' });
    }
    await assert.rejects(readPassphrase({ file: file(dir, 'x'.repeat(4097)) }), { code: 'passphrase.unavailable' });
    assert.equal((await readPassphrase({ file: file(dir, 'x'.repeat(4096)) })).length, 4096);
  });
});

test('from a systemd credential: by name, from the directory that systemd names', async () => {
  await inTemporaryDirectory(async (dir) => {
    const before = process.env.CREDENTIALS_DIRECTORY;
    try {
      delete process.env.CREDENTIALS_DIRECTORY;
      await assert.rejects(readPassphrase({ credential: 'keyd' }), { code: 'passphrase.unavailable' });
      process.env.CREDENTIALS_DIRECTORY = dir;
      writeFileSync(join(dir, 'keyd'), 'correct horse\n', { mode: 0o440 });
      assert.equal(text(await readPassphrase({ credential: 'keyd' })), 'correct horse');
      chmodSync(join(dir, 'keyd'), 0o444);
      await assert.rejects(readPassphrase({ credential: 'keyd' }), { code: 'passphrase.file-exposed' });
      for (const credential of ['none', '../keyd', '/etc/hostname', '', '.']) {
        await assert.rejects(readPassphrase({ credential }), { code: 'passphrase.unavailable' });
      }
    } finally {
      if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
      else process.env.CREDENTIALS_DIRECTORY = before;
    }
  });
});

/** Prints the passphrase that it reads from its file descriptor 3, or the code of the error. */
const FD_SCRIPT = `
  import { readPassphrase } from ${source('keystore/index.ts')};
  import { writeSync } from 'node:fs';
  await readPassphrase({ fd: 3 }).then(
    (passphrase) => passphrase.use((bytes) => writeSync(1, bytes)),
    (error) => writeSync(1, error.code),
  );`;

async function output(child: ChildProcess): Promise<string> {
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await ended(child);
  return said;
}

test('from a file descriptor: a pipe that is filled in pieces, and a file', async () => {
  await inTemporaryDirectory(async (dir) => {
    const child = startScript(dir, FD_SCRIPT, [], ['ignore', 'pipe', 'inherit', 'pipe']);
    const pipe = child.stdio[3];
    assert.ok(pipe && 'write' in pipe);
    pipe.write('correct ');
    setTimeout(() => pipe.end('horse\n'), 50);
    assert.equal(await output(child), 'correct horse');

    const path = file(dir, 'from a file');
    const fromFile = startScript(dir, FD_SCRIPT, [], ['ignore', 'pipe', 'inherit', openSync(path, 'r')]);
    assert.equal(await output(fromFile), 'from a file');
  });
});

test('a file descriptor that is not open is an error with its number', async () => {
  await assert.rejects(readPassphrase({ fd: 9999 }), { code: 'passphrase.unavailable', field: 'file descriptor 9999' });
});

/** Runs the prompt on a terminal of its own (script of util-linux) and types `keys`; gives all that the terminal showed. */
async function onTerminal(
  dir: string,
  keys: string,
  prompt: true | 'PIN' = true,
): Promise<{ screen: string; result: string }> {
  const question = prompt === true ? 'Passphrase: ' : `${prompt}: `;
  const [program, result] = [join(dir, 'prompt.ts'), join(dir, 'result')];
  writeFileSync(
    program,
    `import { readPassphrase } from ${source('keystore/index.ts')};
     import { writeFileSync } from 'node:fs';
     const answer = await readPassphrase({ prompt: ${JSON.stringify(prompt)} }).then((p) => p.use((b) => Buffer.from(b).toString()), (e) => e.code);
     writeFileSync(${JSON.stringify(result)}, answer);`,
  );
  const child = spawn('script', ['-qec', `${process.execPath} ${program}`, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let screen = '';
  child.stdout.on('data', (chunk: Buffer) => {
    // Typed only once the question is asked: before, the terminal itself would echo.
    if (!screen.includes(question) && (screen + chunk.toString()).includes(question)) {
      child.stdin.write(keys);
    }
    screen += chunk.toString();
  });
  await ended(child);
  return { screen, result: existsSync(result) ? readFileSync(result, 'utf8') : 'nothing' };
}

test('from the terminal: without echo, with backspace and Ctrl-U', async () => {
  await inTemporaryDirectory(async (dir) => {
    const { screen, result } = await onTerminal(dir, 'wrong\x15correct hö\x7forse!\x7f\r');
    assert.equal(result, 'correct horse');
    assert.match(screen, /Passphrase: /);
    assert.doesNotMatch(screen, /horse|correct|wrong/);
  });
});

test('from the terminal: a PIN is asked for as one, and does not show', async () => {
  await inTemporaryDirectory(async (dir) => {
    const { screen, result } = await onTerminal(dir, '12345\x7f6\r', 'PIN');
    assert.equal(result, '12346');
    assert.match(screen, /PIN: /);
    assert.doesNotMatch(screen, /Passphrase|1234/);
  });
});

test('from the terminal: Ctrl-C gives up, Enter alone is an empty passphrase', async () => {
  await inTemporaryDirectory(async (dir) => {
    assert.equal((await onTerminal(dir, 'half\x03')).result, 'passphrase.unavailable');
    assert.equal((await onTerminal(dir, '\r')).result, 'kdf.passphrase-empty');
  });
});

test('without a terminal the prompt is an error and not a hang', async () => {
  await inTemporaryDirectory(async (dir) => {
    writeFileSync(
      join(dir, 'prompt.ts'),
      `import { readPassphrase } from ${source('keystore/index.ts')};
       await readPassphrase({ prompt: true }).catch((error) => console.log(error.code));`,
    );
    // A session of its own has no controlling terminal.
    const child = spawn(process.execPath, [join(dir, 'prompt.ts')], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    assert.equal((await output(child)).trim(), 'passphrase.unavailable');
  });
});
