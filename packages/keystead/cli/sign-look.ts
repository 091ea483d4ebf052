import { Command } from 'commander';
import { durableWrite } from '../files/durable.ts';
import type { RequestView } from '../signing/index.ts';
import { duration } from './duration.ts';
import { EXIT } from './exit.ts';
import { asOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { fetchStamps, fetchTo } from './sign-files.ts';
import { printView, requestText } from './sign-text.ts';
import { lookUp, progressOf, REQUESTS, requireAlive, waitFor } from './sign-wait.ts';
import { asCaller, type WorkloadOptions, workloadOptions } from './sign-workload.ts';

export function showCommand(): Command {
  return operatorOptions(new Command('show').argument('<request>'), 'auditor')
    .description('one request: what would be signed, who agreed, how it stands')
    .option('--out <file>', 'also write it to a file, for an approver whose machine is offline')
    .addHelpText('after', '\nExample:\n  $ keystead sign show fw-3f0c1d2e4b5a6978 --out request.json')
    .action(async (id: string, options: OperatorOptions & { out?: string }) => {
      const view = await asOperator(options, (client) => lookUp(client, id));
      if (options.out !== undefined) durableWrite(options.out, `${JSON.stringify(view, null, 2)}\n`, 0o644);
      printView(options.json, view, requestText(view));
    });
}

export function statusCommand(): Command {
  const command = operatorOptions(new Command('status').argument('<request>'), 'release');
  return workloadOptions(command, 'look at what it submitted')
    .description('how far a request is; the exit code says it too')
    .option('--wait <time>', 'wait until it is signed, at most so long, for example 2h', duration)
    .addHelpText(
      'after',
      `
Exit codes: ${EXIT.done} signed, ${EXIT.refused} ended without a signature, ${EXIT.unavailable} waits

Example:
  $ keystead sign status fw-3f0c1d2e4b5a6978 --wait 30m`,
    )
    .action(async (id: string, options: OperatorOptions & WorkloadOptions & { wait?: number }) => {
      const view = await asCaller(options, (client) =>
        options.wait === undefined ? lookUp(client, id) : waitFor(client, id, options.wait, options.json === true),
      );
      printView(options.json, view, progressOf(view));
      if (options.json !== true) requireAlive(view);
      process.exitCode = exitOf(view);
    });
}

function exitOf({ state }: RequestView): number {
  if (state === 'signed') return EXIT.done;
  return state === 'refused' || state === 'expired' || state === 'withdrawn' ? EXIT.refused : EXIT.unavailable;
}

export function fetchCommand(): Command {
  const command = operatorOptions(new Command('fetch').argument('<request>'), 'release');
  return workloadOptions(command, 'fetch what it submitted')
    .description('fetch what was signed; it is hashed again on its way')
    .requiredOption('--out <file>', 'where it goes, whole or not at all')
    .option('--wait <time>', 'wait until it is signed, at most so long', duration)
    .addHelpText(
      'after',
      '\nWhere the format has no place for a time stamp, it goes beside: OUT.tsr, with the signature in OUT.sig.\n',
    )
    .addHelpText('after', '\nExample:\n  $ keystead sign fetch fw-3f0c1d2e4b5a6978 --out pump.signed.bin')
    .action(async (id: string, options: OperatorOptions & WorkloadOptions & { out: string; wait?: number }) => {
      const done = await asCaller(options, async (client) => {
        const view =
          options.wait === undefined
            ? await lookUp(client, id)
            : await waitFor(client, id, options.wait, options.json === true);
        const sha256 = view.result?.sha256 ?? '';
        // Without a result the service says so.
        const path = `${REQUESTS}/${encodeURIComponent(id)}`;
        const bytes = await fetchTo(client, `${path}/result`, options.out, sha256);
        const stamps = await fetchStamps(client, `${path}/timestamps`, options.out);
        return { id, out: options.out, sha256, bytes, timestamps: stamps };
      });
      const stamps = done.timestamps.map(
        ({ key, response, signature }) => `\n${response}: time stamp of ${signature}, by ${key}`,
      );
      printView(options.json, done, `${done.out}: ${done.bytes} bytes, SHA-256 ${done.sha256}${stamps.join('')}`);
    });
}

export function listCommand(): Command {
  return operatorOptions(new Command('list'), 'auditor')
    .description('requests, the newest first')
    .option('--after <id>', 'the page after the request that is named')
    .addHelpText('after', '\nExample:\n  $ keystead sign list --json')
    .action(async (options: OperatorOptions & { after?: string }) => {
      const query = options.after === undefined ? '' : `?after=${encodeURIComponent(options.after)}`;
      const page = await asOperator(options, (client) =>
        client.get<{ requests: RequestView[]; next: string | null }>(`${REQUESTS}${query}`),
      );
      const rows = page.requests.map(({ id, state, order, approvers, needed, createdAt }) => [
        id,
        state,
        `${order.product} ${order.environment}`,
        order.target,
        order.version,
        order.format,
        `${approvers.length} of ${needed ?? '?'}`,
        createdAt,
      ]);
      const head = ['request', 'state', 'product', 'target', 'version', 'format', 'approvals', 'since'];
      printView(options.json, page, rows.length === 0 ? 'there are no requests' : table([head, ...rows]));
      if (page.next !== null && options.json !== true) process.stderr.write(`there are more: --after ${page.next}\n`);
    });
}

export function withdrawCommand(): Command {
  return operatorOptions(new Command('withdraw').argument('<request>'), 'release')
    .description('end a request that you asked for, or a draft')
    .action(async (id: string, options: OperatorOptions) => {
      const path = `${REQUESTS}/${encodeURIComponent(id)}/withdrawal`;
      const view = await asOperator(options, (client) => client.post<RequestView>(path, {}));
      printView(options.json, view, progressOf(view));
    });
}
