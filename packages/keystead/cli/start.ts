import { Command, InvalidArgumentError } from 'commander';
import { start } from '../start/main.ts';

/** `keystead start`: the whole story on embedded defaults; what `npm start` runs. */
export function startCommand(): Command {
  return new Command('start')
    .description('run the whole life of a device on embedded defaults, then stay up')
    .option('--data <dir>', 'directory for all state', './keystead-data')
    .option('--ldevid-seconds <n>', 'how long an LDevID lives (first start only)', seconds, 60)
    .option('--once', 'end after the story instead of staying up')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead start\n  $ keystead start --data /tmp/try --ldevid-seconds 30\n  $ npm start -- --data /tmp/try',
    )
    .action(async (options: { data: string; ldevidSeconds: number; once?: boolean }) => {
      await start({ data: options.data, ldevidSeconds: options.ldevidSeconds, once: options.once === true });
      // At once: while Node.js takes itself apart, a second Ctrl-C would find no handler and look like a crash.
      process.exit();
    });
}

function seconds(text: string): number {
  if (!/^\d{2,6}$/.test(text) || Number(text) < 20)
    throw new InvalidArgumentError('At least 20 seconds, as a whole number.');
  return Number(text);
}
