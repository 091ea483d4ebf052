import { existsSync } from 'node:fs';
import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  FIRMWARE_SIGNATURES,
  type FirmwareKeyChange,
  type FirmwareKeyOrder,
  type FirmwareKeyStatement,
  firmwareKeyQuorum,
  operatorOf,
  type Policy,
  parseFirmwareKeyStatement,
  parsePolicy,
  permits,
  type Role,
  signFirmwareKeyStatement,
} from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { RestClient } from '../client/rest.ts';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import type { FirmwareKeyView } from '../signing/index.ts';
import { asOperator, asSigningOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { namedFile } from './sign-files.ts';
import { printView } from './sign-text.ts';
import { elsewhereOptions, type SignWithOptions } from './statement-signer.ts';

/** How long a statement holds. */
const HOLDS_SECONDS = 86_400;
const MOST_STATEMENTS = 17;

type Options = OperatorOptions & SignWithOptions;
type ProposeOptions = Options & {
  reason: string;
  out: string;
  used?: number;
  signature?: (typeof FIRMWARE_SIGNATURES)[number] | null;
};

/** `keystead sign key`: what several people order of a firmware key. REQ-KEY-ROT-02, REQ-KEY-SOD-02 */
export function signKeyCommand(): Command {
  return new Command('key')
    .description('kill a firmware key for good, or bring back a suspended one: one asks, others approve, keyd counts')
    .addCommand(proposeCommand('kill', 'ask that a key never signs again: it is in other hands'))
    .addCommand(proposeCommand('resume', 'ask that a suspended key signs on'))
    .addCommand(approveCommand())
    .addCommand(sendCommand());
}

function proposeCommand(change: FirmwareKeyChange, does: string): Command {
  const command = elsewhereOptions(
    operatorOptions(new Command(change).argument('<key>', 'its id in the policy'), 'pki'),
  );
  if (change === 'resume') {
    command
      .option('--used <orders>', 'after a restore: for how many orders it was used, by the audit log', orders)
      .addOption(
        new Option('--signature <scheme>', 'with --used: what it signed by, where not the one of its kind').choices(
          FIRMWARE_SIGNATURES,
        ),
      );
  }
  return command
    .description(`${does}; begins the file that others add their approvals to`)
    .requiredOption('--reason <text>', 'why: it stands in the journal of keyd and in the audit log')
    .requiredOption('--out <file>', 'where the statements go, one a line')
    .addHelpText(
      'after',
      `\nExample:\n  $ keystead sign key ${change} pump-1 --reason 'found on a laptop' --out key.statements`,
    )
    .action(async (key: string, options: ProposeOptions, own: Command) => {
      if (options.signature !== undefined && options.used === undefined)
        own.error('error: --signature goes with --used');
      if (existsSync(options.out)) throw new KeysteadError('approval.proposal-exists', { field: options.out });
      const text = await asSigningOperator(options, async (client, signer) => {
        const order = await orderOf(client, key, change, options);
        const role = roleOf(await policyOf(client), options.as, (held) => permits([held], 'firmware-key.propose'));
        const draft = { act: 'propose', order, proposer: options.as, role, ...timesNow() } as const;
        return signFirmwareKeyStatement(draft, options.as, signer());
      });
      durableWrite(options.out, `${text}\n`, 0o644);
      const told = `${describe(text)}\n${options.out}: approved by others with keystead sign key approve`;
      printView(options.json, { statements: options.out }, told);
    });
}

async function orderOf(
  client: RestClient,
  id: string,
  change: FirmwareKeyChange,
  { reason, used, signature = null }: ProposeOptions,
): Promise<FirmwareKeyOrder> {
  const { keys } = await client.get<{ keys: FirmwareKeyView[] }>('/api/v1/signing/keys');
  const key = keys.find((one) => one.id === id);
  if (key === undefined) throw new KeysteadError('firmware-key-order.key-unknown', { field: 'key', seen: id });
  const facts = { id: `key-${toHex(randomBytes(8))}`, key: id, spkiSha256: key.spkiSha256, reason };
  if (change === 'kill') return { ...facts, change };
  return { ...facts, change, after: key.ordered, ...(used === undefined ? {} : { used: { orders: used, signature } }) };
}

function approveCommand(): Command {
  return elsewhereOptions(operatorOptions(new Command('approve'), 'approver'))
    .description("add this operator's approval to the file; look at what it says first")
    .requiredOption('--in <file>', 'the statements')
    .action(async (options: Options & { in: string }) => {
      const statements = readStatements(options.in);
      const { order, proposer } = parseFirmwareKeyStatement(statements[0] ?? '').content;
      if (options.json !== true) process.stdout.write(`${describe(statements[0] ?? '')}\n`);
      const text = await asSigningOperator(options, async (client, signer) => {
        const policy = await policyOf(client);
        const { roles } = firmwareKeyQuorum(policy, order);
        const role = roleOf(policy, options.as, (held) => roles.includes(held));
        const draft = { act: 'approve', order, proposer, role, ...timesNow() } as const;
        return signFirmwareKeyStatement(draft, options.as, signer());
      });
      durableWrite(options.in, `${[...statements, text].join('\n')}\n`, 0o644);
      const count = statements.length + 1;
      printView(options.json, { statements: options.in, count }, `${options.in}: ${count} statements`);
    });
}

function sendCommand(): Command {
  return operatorOptions(new Command('send'), 'pki')
    .description('have keyd carry it out: it holds from then on, and what was killed never signs again')
    .requiredOption('--in <file>', 'the statements')
    .action(async (options: OperatorOptions & { in: string }) => {
      const statements = readStatements(options.in);
      const done = await asOperator(options, (client) =>
        client.post<{ key: string; keystoreId: string; change: FirmwareKeyChange; at: string; next: string[] }>(
          '/api/v1/signing/key-orders',
          { statements },
        ),
      );
      const what = done.change === 'kill' ? 'signs nothing any more' : 'signs again';
      const next = done.next.map((command) => `  $ ${command}`);
      const lines = [`${done.key} ${what}, since ${done.at}`, ...(next.length === 0 ? [] : ['What is next:', ...next])];
      printView(options.json, done, lines.join('\n'));
    });
}

function orders(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('it is a whole number');
}

function describe(text: string): string {
  const { order, proposer } = parseFirmwareKeyStatement(text).content;
  const used = order.change === 'resume' ? order.used : undefined;
  const found =
    used === undefined
      ? ''
      : `, used for ${used.orders} orders by ${used.signature ?? 'the one signature of its kind'},`;
  const what = order.change === 'kill' ? 'KILL' : `bring back${found}`;
  return `order ${order.id}: ${what} the firmware key ${order.key}, ${order.spkiSha256}: ${order.reason}; asked for by ${proposer}`;
}

const readStatements = (path: string): string[] =>
  namedFile(path)
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .slice(0, MOST_STATEMENTS);

async function policyOf(client: RestClient): Promise<Policy> {
  const { file } = await client.get<{ file: string }>('/api/v1/policy');
  return parsePolicy(Buffer.from(file));
}

/** The role by which an operator of the policy may sign. keyd says so if there is none. */
function roleOf(policy: Policy, name: string, may: (role: Role) => boolean): Role {
  const held = operatorOf(policy, name)?.roles ?? [];
  const role = held.find(may) ?? held[0];
  if (role === undefined) throw new KeysteadError('operator.unknown', { field: '--as', seen: name });
  return role;
}

function timesNow(): Pick<FirmwareKeyStatement, 'signedAt' | 'expiresAt'> {
  const now = systemClock.now().getTime();
  const at = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  return { signedAt: at(now), expiresAt: at(now + HOLDS_SECONDS * 1000) };
}
