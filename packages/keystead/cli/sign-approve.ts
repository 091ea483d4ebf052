import { KeysteadError } from '@keystead/core/errors';
import { firmwareOrderSha256, parseFirmwareStatement } from '@keystead/core/lifecycle';
import { Command } from 'commander';
import type { RequestView } from '../signing/index.ts';
import { duration } from './duration.ts';
import { operatorOptions } from './operator.ts';
import { HOLDS_SECONDS, type StatementOptions, sendFile, shown, signAndSend } from './sign-send.ts';
import { requestText } from './sign-text.ts';
import { elsewhereOptions } from './statement-signer.ts';

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
    .action(async (id: string, options: StatementOptions) => {
      if (options.statement !== undefined) return sendFile(id, options.statement, options);
      const view = await shown(id, options);
      if (options.json !== true) process.stdout.write(`${requestText(view)}\n`);
      const { order, proposer } = requireTrue(view, id);
      await signAndSend({ act: 'approve', order, proposer }, options, (signer) => `${signer} approves`);
    });
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
