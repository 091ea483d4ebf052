import { existsSync, readFileSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import {
  devicesSha256Of,
  operatorOf,
  type Policy,
  parsePolicy,
  parseRotationOrder,
  permits,
  type Role,
  type RotationStatement,
  signRotationOrder,
} from '@keystead/core/lifecycle';
import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import type { CampaignView, DryRunView } from '../rotation/index.ts';
import { asOperator, asSigningOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { campaignText, dryRunText } from './rotate-text.ts';
import { elsewhereOptions, type SignWithOptions } from './statement-signer.ts';

/** How long a statement holds. */
const HOLDS_SECONDS = 86_400;
const MOST_STATEMENTS = 17;

type ProposeOptions = OperatorOptions & SignWithOptions & { reason: string; out: string; only?: string };
type FileOptions = OperatorOptions & SignWithOptions & { in: string };

/** `keystead rotate insist`: several people say that a rotation goes on although it cuts devices off. REQ-KEY-ROT-03 */
export function insistCommand(): Command {
  return new Command('insist')
    .description('go on although devices are cut off: one asks, others approve, and the server counts')
    .addCommand(proposeCommand())
    .addCommand(approveCommand())
    .addCommand(sendCommand());
}

function proposeCommand(): Command {
  return elsewhereOptions(operatorOptions(new Command('propose').argument('<campaign>'), 'pki'))
    .description('ask for it, for the very devices that the dry run names now')
    .requiredOption('--reason <text>', 'why these devices may be cut off')
    .requiredOption('--out <file>', 'where the statements go, one a line')
    .option('--only <devices>', 'only these of them, with commas between: the campaign waits for the others')
    .action(async (campaign: string, options: ProposeOptions) => {
      if (existsSync(options.out)) throw new KeysteadError('approval.proposal-exists', { field: options.out });
      const text = await asSigningOperator(options, async (client, signer) => {
        const run = await client.get<DryRunView>(`/api/v1/campaigns/${encodeURIComponent(campaign)}/dry-run`);
        process.stdout.write(dryRunText(run));
        const { file } = await client.get<{ file: string }>('/api/v1/policy');
        const order = { campaign, planSha256: run.planSha256, ...devicesOf(run, options.only), reason: options.reason };
        const role = roleOf(parsePolicy(Buffer.from(file)), options.as, (held) => permits([held], 'rotation.manage'));
        const draft = { act: 'propose' as const, order, proposer: options.as, role, ...timesNow() };
        return signRotationOrder(draft, options.as, signer());
      });
      durableWrite(options.out, `${text}\n`, 0o644);
      process.stdout.write(`${options.out}: approved by others with keystead rotate insist approve\n`);
    });
}

/** The devices that are given up: all that the dry run names, or those that are named here. */
function devicesOf(run: DryRunView, only: string | undefined) {
  if (only === undefined) return { devices: run.counts['cut-off'], devicesSha256: run.devicesSha256 };
  const ids = [...new Set(only.split(',').filter((id) => id !== ''))].sort();
  return { devices: ids.length, devicesSha256: devicesSha256Of(ids), only: ids };
}

function approveCommand(): Command {
  return elsewhereOptions(operatorOptions(new Command('approve'), 'architect'))
    .description("add this operator's approval to the file; it shows what is approved")
    .requiredOption('--in <file>', 'the statements')
    .action(async (options: FileOptions) => {
      const statements = readStatements(options.in);
      const { order, proposer } = parseRotationOrder(statements[0] ?? '').content;
      process.stdout.write(
        `campaign ${order.campaign}, plan ${order.planSha256}: CUT OFF ${order.devices} devices, list ${order.devicesSha256}${order.only === undefined ? '' : `, only: ${order.only.join(', ')}`}\n${proposer} asks for it: ${order.reason}\n`,
      );
      const text = await asSigningOperator(options, async (client, signer) => {
        const { file } = await client.get<{ file: string }>('/api/v1/policy');
        const policy = parsePolicy(Buffer.from(file));
        const role = roleOf(policy, options.as, (held) => policy.quorums['ca-rotation'].roles.includes(held));
        return signRotationOrder({ act: 'approve', order, proposer, role, ...timesNow() }, options.as, signer());
      });
      durableWrite(options.in, `${[...statements, text].join('\n')}\n`, 0o644);
      process.stdout.write(`${options.in}: ${statements.length + 1} statements\n`);
    });
}

function sendCommand(): Command {
  return operatorOptions(new Command('send'), 'pki')
    .description('bring the statements: the campaign may then go on for these devices, and for no other')
    .requiredOption('--in <file>', 'the statements')
    .action(async (options: OperatorOptions & { in: string }) => {
      const statements = readStatements(options.in);
      const { campaign } = parseRotationOrder(statements[0] ?? '').content.order;
      const path = `/api/v1/campaigns/${encodeURIComponent(campaign)}/insistence`;
      const view = await asOperator(options, (client) => client.post<CampaignView>(path, { statements }));
      process.stdout.write(options.json === true ? `${JSON.stringify(view)}\n` : campaignText(view));
    });
}

function readStatements(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines.filter((line) => line !== '').slice(0, MOST_STATEMENTS);
  } catch (cause) {
    throw new KeysteadError('approval.proposal-missing', { field: path, cause });
  }
}

/** The role by which an operator of the policy may sign. The server says so if there is none. */
function roleOf(policy: Policy, name: string, may: (role: Role) => boolean): Role {
  const held = operatorOf(policy, name)?.roles ?? [];
  const role = held.find(may) ?? held[0];
  if (role === undefined) throw new KeysteadError('operator.unknown', { field: '--as', seen: name });
  return role;
}

function timesNow(): Pick<RotationStatement, 'signedAt' | 'expiresAt'> {
  const now = systemClock.now();
  const whole = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`;
  return { signedAt: whole(now), expiresAt: whole(new Date(now.getTime() + HOLDS_SECONDS * 1000)) };
}
