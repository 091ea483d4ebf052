import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { formatTrace, readResults, trace, traceMarkdown } from '../trace/index.ts';
import { EXIT } from './exit.ts';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

/** `keystead trace`: the matrix of requirements, code, tests and the last run's evidence. REQ-KEY-TRC-01 */
export function traceCommand(): Command {
  return new Command('trace')
    .description('print the matrix of requirements, code, tests and the evidence of the last test run')
    .option('--json', 'an array of {id, status: proven|planned|missing, code, tests, evidence, lacks}')
    .option('--markdown', 'the matrix as Markdown')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead trace\n  $ keystead trace --json | jq \'.[] | select(.status=="missing")\'',
    )
    .action((options: { json?: boolean; markdown?: boolean }) => {
      const matrix = trace(PROJECT, readResults(PROJECT));
      if (options.json === true) process.stdout.write(`${JSON.stringify(matrix.rows, null, 2)}\n`);
      else if (options.markdown === true) process.stdout.write(traceMarkdown(matrix));
      else process.stdout.write(`${formatTrace(matrix)}\n`);
      const sound = matrix.strangers.length === 0 && matrix.rows.every((row) => row.status !== 'missing');
      process.exitCode = sound ? EXIT.done : EXIT.notProven;
    });
}
