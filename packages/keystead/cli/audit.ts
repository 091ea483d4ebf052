import { readFileSync } from 'node:fs';
import { parseVerifierKey } from '@keystead/core/log';
import { Command } from 'commander';
import { formatLogReport, logReportJson, proofFor, verifyLogFiles, verifyProof } from '../audit/index.ts';
import { durableWrite } from '../files/durable.ts';
import { Layout } from '../files/layout.ts';
import { verifyHistory } from '../verify/history.ts';
import { logKeys } from '../verify/log-keys.ts';
import { EXIT } from './exit.ts';

interface VerifyFlags {
  data: string;
  log?: string;
  vkey?: string;
  leaves?: string;
  seen: string[];
  database: boolean;
  forkProof: string;
  json?: boolean;
}

const collect = (value: string, all: string[]): string[] => [...all, value];

/** `keystead audit`: the history, proven from files. Nothing of it asks a server or a database. REQ-KEY-AUD-01 */
export function auditCommand(): Command {
  const audit = new Command('audit').description('verify the audit log from its files, and prove single entries');

  audit
    .command('verify')
    .description('prove the whole history from files alone; exit code 1 when it is not proven')
    .option('--data <dir>', 'data directory', './keystead-data')
    .option('--log <dir>', "the log's files, when they are not in the data directory")
    .option('--vkey <file>', 'the public keys to trust, when they are not those of the data directory')
    .option('--leaves <file>', "keyd's file of leaf hashes: names the very first bad entry, not only a range")
    .option('--seen <file>', 'a checkpoint seen earlier or elsewhere: uncovers a cut log or a fork', collect, [])
    .option('--no-database', 'do not compare the entries with the rows of the database')
    .option(
      '--fork-proof <file>',
      'where to write the proof when the log has signed two histories',
      './fork-proof.json',
    )
    .option('--json', 'the report as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead audit verify\n  $ keystead audit verify --log ./copy/log --vkey ./trusted/log.vkey --seen ./checkpoint-of-march\n  $ keystead audit verify --json',
    )
    .action(async (flags: VerifyFlags) => {
      const layout = new Layout(flags.data);
      const seen = flags.seen.map((path) => readFileSync(path, 'utf8'));
      // Copies of the log's files are judged by themselves; in a data directory there is more to hold against them.
      const whole = flags.log === undefined && flags.vkey === undefined && flags.leaves === undefined;
      const report = whole
        ? await verifyHistory(layout, { database: flags.database, seen })
        : await verifyLogFiles({
            dir: flags.log ?? layout.log,
            vkeys: flags.vkey === undefined ? logKeys(layout) : keysIn(flags.vkey),
            keydLeaves: flags.leaves,
            otherCheckpoint: seen,
          });
      if (report.fork !== undefined) {
        durableWrite(flags.forkProof, `${JSON.stringify(report.fork, null, 2)}\n`, 0o644);
      }
      process.stdout.write(flags.json === true ? logReportJson(report) : formatLogReport(report));
      process.exitCode = report.verdict === 'proven' ? EXIT.done : EXIT.notProven;
    });

  audit
    .command('prove <entry>')
    .description('print a proof, JSON, that one entry is in the log; it verifies offline')
    .option('--data <dir>', 'data directory', './keystead-data')
    .addHelpText('after', '\nExample:\n  $ keystead audit prove 17 > entry-17.proof.json')
    .action(async (entry: string, flags: { data: string }) => {
      const layout = new Layout(flags.data);
      process.stdout.write(
        `${JSON.stringify(await proofFor(layout.log, Number(entry), trusted(logKeys(layout))), null, 2)}\n`,
      );
    });

  audit
    .command('check-proof <file>')
    .description('verify a proof offline and print its entry; exit code 3 when it does not hold')
    .option('--data <dir>', 'data directory, for the public keys', './keystead-data')
    .option('--vkey <file>', 'the public keys to trust, when they are not those of the data directory')
    .action((file: string, flags: { data: string; vkey?: string }) => {
      const keys = flags.vkey === undefined ? logKeys(new Layout(flags.data)) : keysIn(flags.vkey);
      const { entry, checkpoint } = verifyProof(JSON.parse(readFileSync(file, 'utf8')), trusted(keys));
      process.stdout.write(
        `${JSON.stringify({ entry, checkpoint: { origin: checkpoint.origin, size: checkpoint.size } }, null, 2)}\n`,
      );
    });
  return audit;
}

const keysIn = (path: string): string[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '');

function trusted(lines: readonly string[]): Parameters<typeof verifyProof>[1] {
  const keys = lines.map(parseVerifierKey);
  const log = keys.find((key) => key.type === 'ed25519');
  if (log === undefined) throw new TypeError('no key of type ed25519 among the public keys');
  return { log, cosigner: keys.find((key) => key.type === 'cosignature-v1') };
}
