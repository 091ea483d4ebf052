import { KeysteadError } from '@keystead/core/errors';
import type { StandingJson } from '@keystead/core/trust';
import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { type CampaignView, nextBundle } from '../rotation/index.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';

/**
 * `keystead rotate bundle`: what a quorum signs next for a campaign of server keys or firmware keys. It decides nothing:
 * people look at it, and `trust propose` shows what it changes. REQ-KEY-ROT-02, REQ-KEY-ROT-03
 */
export function bundleCommand(): Command {
  return operatorOptions(new Command('bundle').argument('<campaign>'), 'pki')
    .description('write what is to stand in the trust bundle of the next step, for keystead trust propose')
    .requiredOption('--out <file>', 'where it goes, as keystead trust show prints it')
    .addHelpText('after', '\nExample:\n  $ keystead rotate bundle gateway-2031 --out content.json')
    .action(async (id: string, options: OperatorOptions & { out: string }) => {
      const { view, content } = await asOperator(options, async (client) => ({
        view: await client.get<CampaignView>(`/api/v1/campaigns/${encodeURIComponent(id)}`),
        content: (await client.get<{ content: StandingJson | null }>('/api/v1/trust')).content,
      }));
      if (content === null) throw new KeysteadError('trust-bundle.none', { field: 'content' });
      const at = Math.floor(systemClock.now().getTime() / 1000);
      const state = view.was ?? view.state;
      const next = nextBundle(view.plan, state, content, at);
      if (next === undefined) {
        process.stdout.write(`the newest trust bundle is as ${id} needs it where it is ${state}\n`);
        return;
      }
      durableWrite(options.out, `${JSON.stringify(next, null, 2)}\n`, 0o644);
      process.stdout.write(
        `${options.out}: look at it, then keystead trust propose ${options.out} --reason ... --out ...\n`,
      );
    });
}
