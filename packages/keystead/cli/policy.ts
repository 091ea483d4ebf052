import { readFileSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import {
  durationText,
  type PolicyDifference,
  type PolicyFile,
  policyDifferences,
  policyDocument,
  renderHtml,
  renderMarkdown,
} from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { Layout } from '../files/layout.ts';
import {
  approvalsPathOf,
  approve,
  liveInventory,
  type PolicyInPlace,
  policyInPlace,
  propose,
  readOrRefuse,
  readPolicyFile,
} from '../policy/index.ts';
import { EXIT } from './exit.ts';
import { offlineSigner } from './offline-signer.ts';
import { asOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { elsewhereOptions, type SignWithOptions, statementSigner } from './statement-signer.ts';

const DATA = ['--data <dir>', 'data directory', './keystead-data'] as const;
const JSON_OPTION = ['--json', 'machine-readable output'] as const;

/** `keystead policy`: read, compare, approve and print the policy that keyd enforces. REQ-KEY-POL-01 */
export function policyCommand(): Command {
  const policy = new Command('policy').description('the policy in force: show, check a change, approve it, print it');
  policy.addCommand(show());
  policy.addCommand(check());
  policy.addCommand(signing('propose', 'sign that you ask for a policy; begins NEW.approvals.json', propose));
  policy.addCommand(signing('approve', 'sign that you approve a proposed policy; adds to NEW.approvals.json', approve));
  policy.addCommand(apply());
  policy.addCommand(print());
  return policy;
}

function show(): Command {
  return new Command('show')
    .description('which policy is in force, since when, and who approved it')
    .option(...DATA)
    .option('--file', "print the policy's file itself, byte for byte")
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead policy show\n  $ keystead policy show --file > next.json\n  $ keystead policy show --json | jq .history',
    )
    .action((options: { data: string; file?: boolean; json?: boolean }) => {
      const { file, history } = policyInPlace(new Layout(options.data));
      if (options.file === true) {
        process.stdout.write(file.bytes);
        return;
      }
      const { version, name, demonstration } = file.policy;
      if (options.json === true) {
        process.stdout.write(
          `${JSON.stringify({ version, sha256: file.sha256, name, demonstration, history }, null, 2)}\n`,
        );
        return;
      }
      const rows = history.map(({ version: each, since, by, sha256 }) => [
        String(each),
        since,
        by.kind === 'ceremony'
          ? `ceremony: ${by.witnesses.join(', ')}`
          : `${by.proposer}; ${by.approvers.map((one) => one.name).join(', ')}`,
        sha256,
      ]);
      const loud = demonstration ? 'DEMONSTRATION: not to be relied on\n' : '';
      process.stdout.write(
        `${name}, version ${version}\n${loud}\n${table([['version', 'in force since', 'by', 'sha256'], ...rows])}\n`,
      );
    });
}

function check(): Command {
  return new Command('check')
    .description('what a new policy changes, and what it would break; exit code 1 when something breaks')
    .argument('<new>', 'the file of the new policy')
    .option(...DATA)
    .option('--against <old>', 'compare with this policy alone, instead of the data directory')
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead policy check next.json\n  $ keystead policy check next.json --against policy.json --json',
    )
    .action((path: string, options: { data: string; against?: string; json?: boolean }) => {
      const next = readPolicyFile(path);
      const layout = new Layout(options.data);
      const before = options.against === undefined ? policyInPlace(layout).file : readPolicyFile(options.against);
      const live = options.against === undefined ? liveInventory(layout, systemClock.now()) : undefined;
      const differences = policyDifferences(before.policy, next.policy, live);
      const breaks = differences.some(({ severity }) => severity === 'breaks');
      const from = { version: before.policy.version, sha256: before.sha256 };
      const to = { version: next.policy.version, sha256: next.sha256 };
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify({ from, to, breaks, live: live !== undefined, differences }, null, 2)}\n`
          : differencesText(differences),
      );
      process.exitCode = breaks ? EXIT.notProven : EXIT.done;
    });
}

function differencesText(differences: readonly PolicyDifference[]): string {
  if (differences.length === 0) return 'no difference\n';
  const lines = differences.map(({ severity, field, text }) => `${severity.padEnd(6)}  ${field}: ${text}`);
  return `${lines.join('\n')}\n`;
}

interface SigningOptions extends SignWithOptions {
  data: string;
  as: string;
  current?: string;
  key?: string;
  passphraseFd?: string;
  approvals?: string;
  days: number;
  json?: boolean;
}

function days(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('it must be a number of days above 0');
  return value;
}

/** `propose` and `approve` differ in what they sign, not in how they are asked for. */
function signing(name: 'propose' | 'approve', what: string, act: typeof propose): Command {
  return elsewhereOptions(new Command(name))
    .description(what)
    .argument('<new>', 'the file of the new policy')
    .requiredOption('--as <operator>', 'who signs: a name of the policy in force')
    .option(...DATA)
    .option('--current <file>', 'the policy in force, where there is no data directory')
    .option('--key <file>', 'encrypted PKCS#8 PEM; the key in the data directory unless told')
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor")
    .option('--approvals <file>', 'the approvals file; NEW.approvals.json unless told')
    .addOption(new Option('--days <n>', 'how long the signature holds').default(7).argParser(days))
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      `
Without --passphrase-fd the passphrase is asked for on the terminal when --key is given, and is that of the data
directory otherwise.

Examples:
  $ keystead policy ${name} next.json --as ${name === 'propose' ? 'architect' : 'approver'}
  $ keystead policy ${name} next.json --as ${name === 'propose' ? 'architect' : 'approver'} --current policy.json --key ./my.key.pem`,
    )
    .action(async (path: string, options: SigningOptions) => {
      const layout = new Layout(options.data);
      const current: PolicyFile =
        options.current === undefined ? policyInPlace(layout).file : readPolicyFile(options.current);
      const next = readPolicyFile(path);
      const approvals = options.approvals ?? approvalsPathOf(path);
      const signer = statementSigner(options, () => offlineSigner(options));
      const seconds = Math.round(options.days * 86_400);
      const statement = await act({
        current,
        next,
        path: approvals,
        name: options.as,
        signer,
        now: systemClock.now(),
        seconds,
      });
      if (options.json === true) {
        process.stdout.write(`${JSON.stringify({ approvals, statement }, null, 2)}\n`);
        return;
      }
      process.stdout.write(differencesText(policyDifferences(current.policy, next.policy)));
      process.stdout.write(
        `\n${options.as} signed, as ${statement.role}: ${name} version ${statement.version}, sha256 ${statement.policySha256}\n` +
          `the signature ends ${statement.expiresAt} (${durationText(seconds)}); it is in ${approvals}\n`,
      );
    });
}

function apply(): Command {
  return operatorOptions(
    new Command('apply')
      .description('put an approved policy in force: keyd verifies it, and goes by it at once')
      .argument('<new>', 'the file of the new policy')
      .option('--approvals <file>', 'its approvals file; NEW.approvals.json unless told')
      .addHelpText('after', '\nExample:\n  $ keystead policy apply next.json --as architect'),
    'architect',
  ).action(async (path: string, options: OperatorOptions & { approvals?: string }) => {
    const policy = Buffer.from(readOrRefuse(path)).toString('utf8');
    const approvals = readApprovals(options.approvals ?? approvalsPathOf(path));
    const done = await asOperator(options, (client) =>
      client.post<{
        version: number;
        sha256: string;
        appliedAt: string;
        proposer: string;
        approvers: { name: string }[];
      }>('/api/v1/policy', { policy, approvals }),
    );
    process.stdout.write(
      options.json === true
        ? `${JSON.stringify(done, null, 2)}\n`
        : `version ${done.version} is in force since ${done.appliedAt}, sha256 ${done.sha256}\nproposed by ${done.proposer}, approved by ${done.approvers.map((one) => one.name).join(', ')}\n`,
    );
  });
}

function readApprovals(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysteadError('approval.proposal-missing', { field: path, seen: 'no readable file', cause });
  }
}

function print(): Command {
  return new Command('document')
    .description('print the key management policy as a document to file, every table filled from the policy')
    .option(...DATA)
    .option('--draft <file>', 'print this policy, as a draft, instead of the one in force')
    .addOption(
      new Option('--format <format>', 'Markdown, or HTML that prints on A4').choices(['md', 'html']).default('md'),
    )
    .option('--out <file>', 'write it into this file')
    .addHelpText(
      'after',
      `
The same policy is always the same document, byte for byte. For PDF, print the HTML.

Examples:
  $ keystead policy document > key-management-policy.md
  $ keystead policy document --format html --out key-management-policy.html
  $ keystead policy document --draft next.json --format html --out draft.html`,
    )
    .action((options: { data: string; draft?: string; format: 'md' | 'html'; out?: string }) => {
      const { file, history }: PolicyInPlace =
        options.draft === undefined
          ? policyInPlace(new Layout(options.data))
          : { file: readPolicyFile(options.draft), history: [] };
      const content = policyDocument(file, history);
      const text = options.format === 'html' ? renderHtml(content) : renderMarkdown(content);
      if (options.out === undefined) process.stdout.write(text);
      else durableWrite(options.out, text, 0o644);
    });
}
