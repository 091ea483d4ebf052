import { existsSync, readFileSync } from 'node:fs';
import type { SpkiSha256 } from '@keystead/core/bytes';
import {
  KEY_CHANGES,
  KEY_PURPOSE_IDS,
  KEY_STATES,
  type KeyChange,
  parsePolicy,
  signKeyOrder,
} from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../clock/system.ts';
import { Layout } from '../files/layout.ts';
import type { KeyEventView, KeyView, WarningView } from '../inventory/index.ts';
import { duration } from './duration.ts';
import { EXIT } from './exit.ts';
import { checkFleetCommand } from './fleet-keys.ts';
import { type KeySource, recordsOf, serviceOf } from './key-source.ts';
import { keyPage, keyTable, lifecyclePage, nameOf } from './key-tables.ts';
import { asSigningOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { elsewhereOptions, type SignWithOptions } from './statement-signer.ts';

interface ReadOptions extends OperatorOptions {
  offline?: boolean;
}

interface ListOptions extends ReadOptions {
  purpose?: string;
  state?: string;
  owner?: string;
  custody?: string;
  endingWithin?: number;
  limit: number;
}

/** `keystead keys`: every key there is, what it may do, and when its time is over. REQ-KEY-POL-01 */
export function keysCommand(): Command {
  const keys = new Command('keys').description('the inventory of keys: list, show, explain, warn, stop');
  keys.addCommand(listCommand(), { isDefault: true });
  keys.addCommand(showCommand());
  keys.addCommand(warnCommand());
  keys.addCommand(explainCommand());
  keys.addCommand(checkFleetCommand());
  for (const change of KEY_CHANGES) keys.addCommand(changeCommand(change));
  return keys;
}

/** The options of a command that looks things up, which works without a running service too. */
function lookUp(command: Command): Command {
  return operatorOptions(command, 'auditor').option(
    '--offline',
    'read the data directory itself, without a running service; nothing in it is changed',
  );
}

const sourceOf = (options: ReadOptions): KeySource =>
  options.offline === true ? recordsOf(options) : serviceOf(options);

const print = (options: OperatorOptions, value: unknown, text: string): void => {
  process.stdout.write(options.json === true ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
};

function listCommand(): Command {
  return lookUp(new Command('list'))
    .description('the keys that match, with their state now')
    .option('--purpose <purpose>', `one of: ${KEY_PURPOSE_IDS.join(', ')}`, oneOf(KEY_PURPOSE_IDS))
    .option('--state <state>', `one of: ${Object.keys(KEY_STATES).join(', ')}`, oneOf(Object.keys(KEY_STATES)))
    .option('--owner <owner>', 'for example device:KS-0001, operator:pki, system:keyd')
    .option('--custody <place>', 'for example sealed-file, pkcs11, tpm2, memory, device')
    .option('--ending-within <time>', 'only keys in use whose time to protect ends within, for example, 90d', duration)
    .option('--limit <n>', 'the most keys to print', count, 1000)
    .addHelpText(
      'after',
      "\nExamples:\n  $ keystead keys --purpose operational-ca\n  $ keystead keys list --owner device:KS-0001\n  $ keystead keys --ending-within 90d --json | jq -r '.[].id'",
    )
    .action(async (options: ListOptions) => {
      const { found, more } = await sourceOf(options).list(options, options.limit);
      print(options, found, keyTable(found));
      if (more)
        process.stderr.write(`keystead: there are more than these ${found.length}; see --limit and the filters\n`);
    });
}

function showCommand(): Command {
  return lookUp(new Command('show').argument('<key>'))
    .description('one key: its record, its history, what it may do now and why')
    .addHelpText('after', '\n<key> is an id, or at least 8 hex digits that its SPKI SHA-256 begins with.')
    .action(async (name: string, options: ReadOptions) => {
      const key = await sourceOf(options).show(name);
      print(options, key, keyPage(key));
    });
}

function warnCommand(): Command {
  return lookUp(new Command('warn'))
    .description('the keys that somebody must do something about; exit code 1 when there is one')
    .action(async (options: ReadOptions) => {
      const due = await sourceOf(options).due();
      print(options, due, due.length === 0 ? 'no key is due' : warningTable(due));
      process.exitCode = due.length === 0 ? EXIT.done : EXIT.notProven;
    });
}

function warningTable(due: readonly WarningView[]): string {
  const rows = due.map((one) => [one.level, nameOf(one), one.purpose, one.owner, one.why]);
  return table([['', 'key', 'purpose', 'owner', 'why'], ...rows]);
}

function explainCommand(): Command {
  return new Command('explain')
    .description('the states of a key, the ways between them, and the cryptoperiods of the policy in force')
    .option('--data <dir>', 'data directory, for its policy', './keystead-data')
    .action((options: { data: string }) => {
      const path = new Layout(options.data).policy;
      const policy = existsSync(path) ? parsePolicy(readFileSync(path)) : undefined;
      process.stdout.write(`${lifecyclePage(policy)}\n`);
    });
}

const CHANGES: Readonly<Record<KeyChange, { readonly does: string; readonly as: string }>> = {
  suspend: { does: 'stop the use of a key of keyd for a time: it protects nothing from this moment on', as: 'pki' },
  resume: { does: 'bring back a key that another person suspended', as: 'architect' },
  deactivate: { does: 'end the use of a key of keyd for good; what it protected can still be verified', as: 'pki' },
  compromise: {
    does: 'report a key of keyd in foreign hands: for good, and OCSP vouches for nothing of that CA',
    as: 'pki',
  },
};

function changeCommand(change: KeyChange): Command {
  const { does, as } = CHANGES[change];
  return elsewhereOptions(operatorOptions(new Command(change).argument('<key>'), as))
    .description(does)
    .requiredOption('--reason <text>', 'why: it stands in the journal of keyd and in the audit log')
    .addHelpText('after', `\nExample:\n  $ keystead keys ${change} ca-operational --reason 'inquiry 17'`)
    .action(async (name: string, options: OperatorOptions & SignWithOptions & { reason: string }) => {
      const answer = await asSigningOperator(options, async (client, signer) => {
        const key = await client.get<KeyView & { history: KeyEventView[] }>(`/api/v1/keys/${encodeURIComponent(name)}`);
        const order = await signKeyOrder(
          {
            spkiSha256: (key.spkiSha256 ?? '') as SpkiSha256,
            change,
            after: key.history.filter(({ by }) => by.startsWith('operator:')).length,
            reason: options.reason,
            at: systemClock.now(),
          },
          options.as,
          signer(),
        );
        return client.post<{ key: string; at: string }>('/api/v1/key-orders', { order });
      });
      print(options, answer, `${answer.key}: ${change} at ${answer.at}, ordered by ${options.as}`);
    });
}

const oneOf =
  (allowed: readonly string[]) =>
  (text: string): string => {
    if (allowed.includes(text)) return text;
    throw new InvalidArgumentError(`One of: ${allowed.join(', ')}.`);
  };

function count(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('A whole number from 1.');
  return Number(text);
}
