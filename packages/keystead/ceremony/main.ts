import { stderr } from 'node:process';
import { KeysteadError } from '@keystead/core/errors';
import { CommanderError } from 'commander';
import { systemClock } from '../clock/system.ts';
import { ceremonyCommand } from './command.ts';

/** The process of a ceremony: it loads nothing of keyd, serve or the database. */
const command = ceremonyCommand(systemClock);
for (const one of [command, ...command.commands]) one.exitOverride();
try {
  await command.parseAsync(process.argv);
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    process.exitCode = thrown.exitCode === 0 ? 0 : 2;
  } else if (thrown instanceof KeysteadError) {
    process.exitCode = 3;
    stderr.write(`keystead ceremony: ${thrown.message} [${thrown.code}]\n`);
    if (thrown.remedy !== undefined) stderr.write(`  what to do: ${thrown.remedy}\n`);
  } else {
    process.exitCode = 70;
    stderr.write(`keystead ceremony: ${thrown instanceof Error ? thrown.stack : String(thrown)}\n`);
  }
}
