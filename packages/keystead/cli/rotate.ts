import { readFileSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  CAMPAIGN_KINDS,
  type CampaignKind,
  type CampaignView,
  type DryRunView,
  type PlanDraft,
  statesMarkdown,
  stepsMarkdown,
} from '../rotation/index.ts';
import { duration } from './duration.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { emergencyCommand } from './rotate-emergency.ts';
import { insistCommand } from './rotate-insist.ts';
import { nextCommand, rolloverIn } from './rotate-next.ts';
import { campaignsText, campaignText, dryRunText } from './rotate-text.ts';

const CAMPAIGNS = '/api/v1/campaigns';
const pathOf = (id: string, step = ''): string => `${CAMPAIGNS}/${encodeURIComponent(id)}${step}`;

type PlanRing = NonNullable<PlanDraft['rings']>[number];

interface PlanOptions extends OperatorOptions {
  plan?: string;
  kind?: CampaignKind;
  target?: string;
  old?: string;
  next?: string;
  backup?: string;
  rollover?: string;
  algorithm?: string;
  firmware?: Record<string, number>;
  reason?: string;
  ring?: PlanRing[];
  spread?: number;
  patience?: number;
  uptake?: number;
  failures?: number;
  transition?: number;
  unseen?: number;
}

/** `keystead rotate`: rotation campaigns. REQ-KEY-ROT-02, REQ-KEY-ROT-03 */
export function rotateCommand(): Command {
  const command = new Command('rotate').description(
    'rotation campaigns: plan, dry run against the inventory, rings, uptake by device, retirement',
  );
  command.addCommand(planCommand());
  command.addCommand(dryRunCommand());
  command.addCommand(listCommand());
  command.addCommand(statusCommand());
  command.addCommand(statesCommand());
  command.addCommand(stepCommand('start', 'begin it: refused where it would cut a device off'));
  command.addCommand(advanceCommand());
  command.addCommand(stepCommand('retire', 'end the old one, when plan, policy and fleet let it'));
  command.addCommand(reasonedCommand('pause', 'stop it where it is'));
  command.addCommand(reasonedCommand('resume', 'let it go on'));
  command.addCommand(reasonedCommand('roll-back', 'take it back, while that is possible').alias('rollback'));
  command.addCommand(reasonedCommand('abort', 'give up a plan that was not started'));
  command.addCommand(failedCommand());
  command.addCommand(insistCommand());
  command.addCommand(nextCommand());
  command.addCommand(emergencyCommand());
  return command;
}

function planCommand(): Command {
  return operatorOptions(new Command('plan').argument('<campaign>', 'a name for it'), 'pki')
    .description('make a plan and ask of every device whether it would be cut off; nothing changes')
    .option('--plan <file>', 'the whole plan as JSON, in place of the options below')
    .addOption(new Option('--kind <kind>', 'what is rotated').choices(CAMPAIGN_KINDS))
    .option('--target <name>', 'which one: ldevid, operational, root, a role of pins, a product')
    .option('--old <sha256>', 'SHA-256 of the old public key (root, server-keys, firmware-keys)')
    .option('--next <sha256>', 'of the key that comes')
    .option('--backup <sha256>', 'of the key in the safe (server-keys)')
    .option('--rollover <dir>', 'old and next by the outputs of ceremony rollover (root)')
    .option('--algorithm <name>', 'of the new keys (algorithm)')
    .option('--firmware <product=counter>', 'the first firmware that can do it; repeat', firmwareOf)
    .option('--reason <text>', 'why')
    .option('--ring <name=which>', 'share:0.01, products:A,B, batches:1,2 or devices:X,Y; repeat, in order', ringOf)
    .option('--spread <time>', 'over how long the devices of a ring are spread', duration)
    .option('--patience <time>', 'after which a device is late', duration)
    .option('--uptake <share>', 'the part of a ring that moves before the next opens', Number)
    .option('--failures <n>', 'so many devices of a ring may fail', Number)
    .option('--transition <time>', 'from the start to the first moment of retirement', duration)
    .option('--unseen <time>', 'a device not heard of for so long is away', duration)
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead rotate plan spring --kind issuing-ca --target operational --reason "end of its period" --ring canary=share:0.01',
    )
    .action(async (id: string, options: PlanOptions) => {
      const plan = options.plan === undefined ? draftOf(id, options) : { ...readPlan(options.plan), id };
      const { view, run } = await asOperator(options, async (client) => ({
        view: await client.post<CampaignView>(CAMPAIGNS, { plan }),
        run: await client.get<DryRunView>(pathOf(id, '/dry-run')),
      }));
      print(options, { campaign: view, dryRun: run }, () => `${campaignText(view)}\n${dryRunText(run)}`);
    });
}

function draftOf(id: string, options: PlanOptions): Record<string, unknown> {
  const { kind, target, reason } = options;
  for (const [name, value] of Object.entries({ kind, target, reason })) {
    if (value === undefined) throw new InvalidArgumentError(`--${name} is needed, or --plan`);
  }
  const { backup, algorithm, firmware, ring, spread, patience, uptake, failures, transition, unseen, rollover } =
    options;
  const rolled = rollover === undefined ? undefined : rolloverIn(rollover, target ?? '');
  const { old = rolled?.old, next = rolled?.nextKey } = options;
  const given = {
    ...{ v: 1, id, kind, target, old, next, backup, algorithm, firmware, reason, rings: ring },
    ...{ spreadSeconds: spread, patienceSeconds: patience, uptakeShare: uptake, mostFailures: failures },
    ...{ transitionSeconds: transition, unseenSeconds: unseen },
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function readPlan(path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new KeysteadError('config.missing', { field: path, seen: 'no JSON file', cause });
  }
  throw new KeysteadError('config.missing', { field: path, seen: 'no JSON object' });
}

function ringOf(text: string, before: PlanRing[] | undefined): PlanRing[] {
  const [, name = '', by = '', which = ''] = /^([^=]+)=(share|products|batches|devices):(.+)$/.exec(text) ?? [];
  if (name === '') throw new InvalidArgumentError('for example canary=share:0.01');
  const ring = by === 'share' ? { name, share: Number(which) } : ({ name, [by]: which.split(',') } as PlanRing);
  return [...(before ?? []), ring];
}

function firmwareOf(text: string, before: Record<string, number> | undefined): Record<string, number> {
  const [, product = '', counter] = /^([^=]+)=(\d+)$/.exec(text) ?? [];
  if (product === '') throw new InvalidArgumentError('for example KS-PUMP-1=7');
  return { ...before, [product]: Number(counter) };
}

function dryRunCommand(): Command {
  return operatorOptions(new Command('dry-run').argument('<campaign>'), 'pki')
    .description('which devices would be cut off by the next step, and why')
    .action(async (id: string, options: OperatorOptions) => {
      const run = await asOperator(options, (client) => client.get<DryRunView>(pathOf(id, '/dry-run')));
      print(options, run, () => dryRunText(run));
    });
}

function listCommand(): Command {
  return operatorOptions(new Command('list'), 'pki')
    .description('every campaign, the newest first')
    .action(async (options: OperatorOptions) => {
      const { campaigns } = await asOperator(options, (client) => client.get<{ campaigns: CampaignView[] }>(CAMPAIGNS));
      print(options, campaigns, () => campaignsText(campaigns));
    });
}

function statusCommand(): Command {
  return operatorOptions(new Command('status').alias('show').argument('<campaign>'), 'pki')
    .description('where a campaign is, and how far each ring')
    .action(async (id: string, options: OperatorOptions) => {
      const view = await asOperator(options, (client) => client.get<CampaignView>(pathOf(id)));
      print(options, view, () => campaignText(view));
    });
}

function statesCommand(): Command {
  return new Command('states').description('the states of a campaign and every way from one to another').action(() => {
    process.stdout.write(`${statesMarkdown()}\n${stepsMarkdown()}`);
  });
}

function stepCommand(step: string, description: string): Command {
  return operatorOptions(new Command(step).argument('<campaign>'), 'pki')
    .description(description)
    .action(async (id: string, options: OperatorOptions) => {
      const view = await asOperator(options, (client) => client.post<CampaignView>(pathOf(id, `/${step}`), {}));
      print(options, view, () => campaignText(view));
    });
}

function advanceCommand(): Command {
  return operatorOptions(new Command('advance').argument('<campaign>'), 'pki')
    .description('to the new one, then ring by ring; refused with what is missing')
    .option('--unproven <reason>', 'go on although no device of the newest ring is left that could move; it is logged')
    .action(async (id: string, options: OperatorOptions & { unproven?: string }) => {
      const { unproven } = options;
      const view = await asOperator(options, (client) =>
        client.post<CampaignView>(pathOf(id, '/advance'), unproven === undefined ? {} : { unproven }),
      );
      print(options, view, () => campaignText(view));
    });
}

function reasonedCommand(step: string, description: string): Command {
  return operatorOptions(new Command(step).argument('<campaign>'), 'pki')
    .description(description)
    .requiredOption('--reason <text>', 'why; it stands in the log')
    .action(async (id: string, options: OperatorOptions & { reason: string }) => {
      const { reason } = options;
      const view = await asOperator(options, (client) => client.post<CampaignView>(pathOf(id, `/${step}`), { reason }));
      print(options, view, () => campaignText(view));
    });
}

function failedCommand(): Command {
  return operatorOptions(new Command('failed').argument('<campaign>').argument('<device>'), 'pki')
    .description('a device failed in this rotation, as somebody at the device has seen; too many pause the campaign')
    .requiredOption('--reason <text>', 'what was seen')
    .action(async (id: string, device: string, options: OperatorOptions & { reason: string }) => {
      const { reason } = options;
      const view = await asOperator(options, (client) =>
        client.post<CampaignView>(pathOf(id, '/failures'), { device, reason }),
      );
      print(options, view, () => campaignText(view));
    });
}

function print({ json }: OperatorOptions, value: unknown, text: () => string): void {
  process.stdout.write(json === true ? `${JSON.stringify(value)}\n` : text());
}
