import assert from 'node:assert/strict';
import type { Command } from 'commander';
import { hierarchyCommand } from 'keystead/cli/hierarchy.ts';
import { policyCommand } from 'keystead/cli/policy.ts';
import { rotateCommand } from 'keystead/cli/rotate.ts';
import { signCommand } from 'keystead/cli/sign.ts';
import { tlsKeyCommand } from 'keystead/cli/tls-key.ts';
import { trustCommand } from 'keystead/cli/trust.ts';

/** The command line in this process: its own commands as they are, without a start of Node.js for each. */
const COMMANDS: Readonly<Record<string, () => Command>> = {
  hierarchy: hierarchyCommand,
  policy: policyCommand,
  rotate: rotateCommand,
  sign: signCommand,
  'tls-key': tlsKeyCommand,
  trust: trustCommand,
};

/** Runs a command; gives what it printed. @throws what the command throws. */
export async function typed(...[name = '', ...args]: string[]): Promise<string> {
  const said: string[] = [];
  const writes = [process.stdout, process.stderr].map((stream) => ({ stream, write: stream.write.bind(stream) }));
  for (const { stream, write } of writes) {
    // What the test runner reports goes out in bytes on the same stream.
    stream.write = ((part: string | Uint8Array) =>
      typeof part === 'string' ? said.push(part) > 0 : write(part)) as typeof stream.write;
  }
  try {
    await throwing((COMMANDS[name] ?? assert.fail(`no command ${name}`))()).parseAsync(args, { from: 'user' });
  } finally {
    for (const { stream, write } of writes) stream.write = write;
  }
  return said.join('');
}

/** A wrong command line ends no process here. */
function throwing(command: Command): Command {
  for (const one of command.commands) throwing(one);
  return command.exitOverride();
}

/** Runs a block of a page line by line, as it stands; the names that the page leaves open are given. */
export async function typedBlock(block: string, names: Readonly<Record<string, string>> = {}): Promise<string> {
  const said: string[] = [];
  for (const line of block.replaceAll('\\\n', ' ').split('\n')) {
    const filled = line.replace(/\$([A-Z]+)/g, (_, name: string) => names[name] ?? assert.fail(`no ${name}: ${line}`));
    const words = [...filled.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
    if (words.length === 0) continue;
    assert.deepEqual(words.slice(0, 2), ['npx', 'keystead'], line);
    said.push(await typed(...words.slice(2)));
  }
  return said.join('');
}
