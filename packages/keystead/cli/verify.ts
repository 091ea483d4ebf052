import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { Layout } from '../files/layout.ts';
import { formatChecklist, runChecklist } from '../verify/index.ts';
import { EXIT } from './exit.ts';

/** `keystead verify`: the checklist on the live system. */
export function verifyCommand(): Command {
  return new Command('verify')
    .description('run the verification checklist on the live system; exit code 1 when anything is not proven')
    .option('--data <dir>', 'data directory', './keystead-data')
    .option('--json', 'an array of {id, requirements, text, verdict, evidence}')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead verify\n  $ keystead verify --json --data /srv/keystead | jq \'.[] | select(.verdict!="passed")\'',
    )
    .action(async (options: { data: string; json?: boolean }) => {
      const results = await runChecklist(new Layout(options.data), systemClock);
      process.stdout.write(
        options.json === true ? `${JSON.stringify(results, null, 2)}\n` : `${formatChecklist(results)}\n`,
      );
      process.exitCode = results.every(({ verdict }) => verdict === 'passed' || verdict === 'weak')
        ? EXIT.done
        : EXIT.notProven;
    });
}
