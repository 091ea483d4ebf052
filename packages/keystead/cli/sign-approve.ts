import { KeysteadError } from '@keystead/core/errors';
import { firmwareOrderSha256, parseFirmwareStatement, type Role } from '@keystead/core/lifecycle';
import { Command } from 'commander';
import { durableWrite } from '../files/durable.ts';
import type { RequestView } from '../signing/index.ts';
import { duration } from './duration.ts';
import { offlineSigner } from './offline-signer.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { namedFile } from './sign-files.ts';
import { requireOwnCopy, statementOf } from './sign-statement.ts';
import { printView, requestText } from './sign-text.ts';
import { lookUp, REQUESTS } from './sign-wait.ts';
import { elsewhereOptions, type SignWithOptions, statementSigner } from './statement-signer.ts';

interface ApproveOptions extends OperatorOptions, SignWithOptions {
  image?: string;
  request?: string;
  statement?: string;
  statementOut?: string;
  key?: string;
  role: Role;
  for: number;
}

const HOLDS_SECONDS = 86_400;

export function approveCommand(): Command {
  const command = new Command('approve').argument('<request>', 'its id');
  return elsewhereOptions(operatorOptions(command, 'approver'))
    .description("sign that you agree to another person's request; with the last approval keyd signs")
    .option('--image <file>', 'your own copy of the image: it is hashed and read, and must be what the order says')
    .option('--request <file>', 'what keystead sign show --out wrote: nothing is asked of the service')
    .option('--statement-out <file>', 'write the approval here instead of sending it: for a machine that is offline')
    .option('--statement <file>', 'send an approval that was written elsewhere, by whoever signed it')
    .option('--key <file>', 'encrypted PKCS#8 PEM; the key in the data directory unless told')
    .option('--role <role>', 'the role by which you sign', 'approver')
    .option('--for <time>', 'how long the approval is good, for example 12h', duration, HOLDS_SECONDS)
    .addHelpText(
      'after',
      `
Examples:
  $ keystead sign approve fw-3f0c1d2e4b5a6978 --image pump.bin --as approver
  $ keystead sign approve fw-3f0c1d2e4b5a6978 --request request.json --image pump.bin --as approver \\
      --key approver.key.pem --statement-out approval.statement
  $ keystead sign approve fw-3f0c1d2e4b5a6978 --statement approval.statement --as release`,
    )
    .action(async (id: string, options: ApproveOptions) => {
      if (options.statement !== undefined)
        return printSent(options, await send(id, namedFile(options.statement).toString('utf8').trim(), options));
      const view = await shown(id, options);
      if (options.json !== true) process.stdout.write(`${requestText(view)}\n`);
      const { order, proposer } = requireTrue(view, id);
      if (options.image !== undefined) await requireOwnCopy(order, options.image, options.json === true);
      else process.stderr.write('without --image the digest is the one that the service told\n');
      const { as: signer, role, for: seconds } = options;
      const statement = await statementOf(
        { act: 'approve', order, proposer, signer, role, seconds },
        statementSigner(options, () => offlineSigner(options)),
      );
      if (options.statementOut === undefined) return printSent(options, await send(id, statement, options));
      durableWrite(options.statementOut, `${statement}\n`, 0o644);
      printView(
        options.json,
        { statement: options.statementOut },
        `${signer} approves; it is in ${options.statementOut}`,
      );
    });
}

/** What is signed: from the service, or from a file where nothing can be asked. */
export async function shown(id: string, options: OperatorOptions & { request?: string }): Promise<RequestView> {
  if (options.request === undefined) return asOperator(options, (client) => lookUp(client, id));
  try {
    return JSON.parse(namedFile(options.request).toString('utf8')) as RequestView;
  } catch (cause) {
    if (cause instanceof KeysteadError) throw cause;
    throw new KeysteadError('request.malformed', { field: options.request, seen: 'not JSON', cause });
  }
}

/**
 * The order is taken from the proposal, which its proposer signed, and not from what stands beside it.
 * @throws KeysteadError `signing.request-differs`.
 */
function requireTrue(view: RequestView, id: string) {
  const [first] = view.statements;
  if (first === undefined)
    throw new KeysteadError('signing.request-differs', { field: id, seen: 'nobody asks for it yet' });
  const { content } = parseFirmwareStatement(first);
  const { order, proposer } = content;
  if (order.id !== id || firmwareOrderSha256(order) !== firmwareOrderSha256(view.order)) {
    throw new KeysteadError('signing.request-differs', { field: id, seen: 'what is shown is not what was asked for' });
  }
  return { order, proposer };
}

/** Brings what a person signed of a request. */
export const send = (id: string, statement: string, options: OperatorOptions): Promise<RequestView> =>
  asOperator(options, (client) =>
    client.post<RequestView>(`${REQUESTS}/${encodeURIComponent(id)}/statements`, { statement }),
  );

export function printSent(options: OperatorOptions, view: RequestView): void {
  const text = `${view.id}: ${view.state}, ${view.approvers.length} of ${view.needed ?? '?'} approvals`;
  printView(options.json, view, text);
}
