import { ROLES, type Role, signRestoreStatement } from '@keystead/core/lifecycle';
import { Command, Option } from 'commander';
import { bringStatements, type RestoreRequest, readRequest } from '../backup/index.ts';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { Layout } from '../files/layout.ts';
import { readPresence } from '../keyd/presence.ts';
import { duration } from './duration.ts';
import { type OfflineSignerOptions, offlineSigner } from './offline-signer.ts';
import { statementLines } from './responses.ts';
import { elsewhereOptions, type SignWithOptions, statementSigner } from './statement-signer.ts';

const HOLDS_SECONDS = 86_400;

interface SignOptions extends OfflineSignerOptions, SignWithOptions {
  role?: Role;
  for: number;
  out?: string;
}

/** What several people do so that a keyd that was restored opens. REQ-KEY-SOD-02, REQ-KEY-BAK-02 */
export const admitCommands = (): Command[] => [signRestore(), admit()];

function signRestore(): Command {
  return elsewhereOptions(new Command('sign-restore'))
    .description('sign, offline, that a restore (or a drill) is what it says: whoever restores asks, the others agree')
    .argument('<order>', 'the file that keystead backup restore, or drill, wrote')
    .requiredOption('--as <operator>', 'who signs: a name of the policy in the backup')
    .addOption(new Option('--role <role>', 'the role by which you sign; custodian, unless you ask').choices(ROLES))
    .option('--for <time>', 'how long it is good, for example 12h', duration, HOLDS_SECONDS)
    .option('--data <dir>', 'data directory, where the key is unless --key names it', './keystead-data')
    .option('--key <file>', 'encrypted PKCS#8 PEM; the key in the data directory unless told')
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor")
    .option('--out <file>', 'where the statement goes; NAME.statement unless told')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead backup sign-restore responses.order.json --as custodian --out responses/custodian.statement',
    )
    .action(async (path: string, options: SignOptions) => {
      const request = readRequest(path);
      process.stdout.write(orderText(request));
      const { order, proposer } = request;
      const asks = options.as === proposer;
      const now = systemClock.now().getTime();
      const signed = await signRestoreStatement(
        {
          act: asks ? 'propose' : 'approve',
          order,
          proposer,
          role: options.role ?? (asks ? request.role : 'custodian'),
          signedAt: wholeSecond(now),
          expiresAt: wholeSecond(now + options.for * 1000),
        },
        options.as,
        statementSigner(options, () => offlineSigner(options)),
      );
      const out = options.out ?? `${options.as}.statement`;
      durableWrite(out, `${signed}\n`, 0o644);
      process.stdout.write(`${options.as} ${asks ? 'asks for it' : 'agrees'}; the statement is in ${out}\n`);
    });
}

function admit(): Command {
  return new Command('admit')
    .description('bring the statements to a restored keyd: it verifies them when it starts')
    .argument('<statement...>', 'the files that keystead backup sign-restore wrote')
    .requiredOption('--data <dir>', 'the data directory that was restored')
    .option('--json', 'machine-readable output')
    .addHelpText('after', '\nExample:\n  $ keystead backup admit responses/*.statement --data ./restored')
    .action((paths: string[], { data, json }: { data: string; json?: boolean }) => {
      const layout = new Layout(data);
      const { order, proposer, approvers } = bringStatements(layout, paths.flatMap(statementLines), systemClock);
      const { restore, backupId } = order;
      // One that was started to see what it waits for looks at no statements until it starts again.
      const keydRuns = readPresence(layout) !== undefined;
      process.stdout.write(
        json === true
          ? `${JSON.stringify({ restore, backupId, proposer, approvers, keydRuns })}\n`
          : `${proposer} asked and ${approvers.join(', ')} agreed to the restore of backup ${backupId}; keyd verifies it when it starts\n  next:  ${keydRuns ? 'KEYD RUNS, and is closed until it starts again: stop it, start it, then start serve' : 'start keyd and serve'}\n`,
      );
    });
}

function orderText({ order, proposer }: RestoreRequest): string {
  const { restore, purpose, backupId, manifestSha256, log, acceptLoss } = order;
  return [
    purpose === 'drill' ? 'A DRILL: it opens no keyd' : 'A RESTORE: keyd of this deployment begins again from a backup',
    `  backup    ${backupId}, manifest SHA-256 ${manifestSha256}`,
    `  log       ${log}`,
    `  restore   ${restore}`,
    `  asked by  ${proposer}`,
    ...(acceptLoss && purpose === 'restore' ? ['  LOSS      entries of the log after the backup may be lost'] : []),
    '',
  ].join('\n');
}

const wholeSecond = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
