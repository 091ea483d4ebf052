import { parseRevocationStatement } from '@keystead/core/lifecycle';
import { Command } from 'commander';
import type { ActView } from '../authority/index.ts';
import { Layout } from '../files/layout.ts';
import { duration } from './duration.ts';
import { withheldTexts } from './on-crl.ts';
import { asSigningOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { requireTrue } from './revocation-check.ts';
import { bodyOfOrder } from './revoke-body.ts';
import { confirm, finished, LARGE, print, REQUESTS } from './revoke-dialogue.ts';
import { sign } from './revoke-statement.ts';
import type { ActAnswer, Shown } from './revoke-text.ts';
import { actText, nameOf } from './revoke-text.ts';
import { elsewhereOptions, type SignWithOptions } from './statement-signer.ts';

export function requestsCommand(): Command {
  return operatorOptions(new Command('requests'), 'auditor')
    .description('the requests that wait for others, and the acts that are being carried out')
    .action(async (options: OperatorOptions) => {
      const { requests, withheld } = await asSigningOperator(options, (client) =>
        client.get<{ requests: ActView[]; withheld: Record<string, number> }>(REQUESTS),
      );
      const rows = requests.map((one) => [
        one.id,
        one.state,
        one.act,
        nameOf(one),
        one.reason ?? '',
        `${one.approvers.length} of ${one.needed}`,
        one.expiresAt ?? '',
      ]);
      const head = ['request', 'state', 'act', 'of', 'reason', 'approvals', 'until'];
      const text = rows.length === 0 ? 'no request waits' : table([head, ...rows]);
      print(options, requests, [text, ...withheldTexts(withheld)].join('\n'));
    });
}

export function showCommand(): Command {
  return operatorOptions(new Command('show').argument('<request>'), 'auditor')
    .description('one request: what it is for, who agreed, how far it has come')
    .action(async (id: string, options: OperatorOptions) => {
      const view = await asSigningOperator(options, (client) => client.get<ActAnswer>(`${REQUESTS}/${id}`));
      print(options, view, actText(view));
    });
}

export function approveCommand(): Command {
  return elsewhereOptions(operatorOptions(new Command('approve').argument('<request>'), 'approver'))
    .description("sign that you agree to another person's request; with the last approval it is carried out")
    .option('--for <time>', 'how long the approval is good', duration, 24 * 3600)
    .option('--yes', `do not ask, also when it is a batch, a CA or more than ${LARGE} certificates`)
    .addHelpText('after', '\nExample:\n  $ keystead revoke approve 5b1f0c9a2e7d4411 --as approver')
    .action(async (id: string, options: OperatorOptions & SignWithOptions & { for: number; yes?: boolean }) => {
      const done = await asSigningOperator(options, async (client, signer) => {
        const view = await client.get<ActAnswer>(`${REQUESTS}/${encodeURIComponent(id)}`);
        const proposal = parseRevocationStatement(view.statements[0] ?? '').content;
        const census = await client.post<Shown>('/api/v1/revocations', {
          ...bodyOfOrder(proposal.order),
          dryRun: true,
        });
        const same = census.count === proposal.order.count && census.listSha256 === proposal.order.listSha256;
        if (proposal.order.act === 'release' && same) requireTrue(census, new Layout(options.data));
        await confirm(census, options);
        const { order, proposer } = proposal;
        const statement = await sign({ act: 'approve', order, proposer }, options, signer, (role) =>
          view.roles.includes(role),
        );
        return finished(client, await client.post<ActAnswer>(`${REQUESTS}/${id}/approvals`, { statement }), options);
      });
      print(options, done, actText(done));
    });
}

export function withdrawCommand(): Command {
  return operatorOptions(new Command('withdraw').argument('<request>'), 'pki')
    .description('end a request that waits')
    .action(async (id: string, options: OperatorOptions) => {
      const path = `${REQUESTS}/${encodeURIComponent(id)}/withdrawal`;
      const view = await asSigningOperator(options, (client) => client.post<ActAnswer>(path, {}));
      print(options, view, actText(view));
    });
}
