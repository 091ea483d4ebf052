import { KeysteadError } from '@keystead/core/errors';
import { Command } from 'commander';
import { duration } from './duration.ts';
import { operatorOptions } from './operator.ts';
import { HOLDS_SECONDS, printSent, type StatementOptions, sendFile, shown, signAndSend } from './sign-send.ts';
import { requestText } from './sign-text.ts';
import { elsewhereOptions } from './statement-signer.ts';

/** `keystead sign propose`: what a CI system handed in is asked for by a person, who answers for it. REQ-KEY-SOD-02 */
export function proposeCommand(): Command {
  const command = new Command('propose').argument('<request>', 'the id of a draft');
  return elsewhereOptions(operatorOptions(command, 'release'))
    .description('sign that you ask for a draft that a CI system, or another person, has handed in')
    .option('--image <file>', 'your own copy of the image: it is hashed and read, and must be what the draft says')
    .option('--request <file>', 'what keystead sign show --out wrote: nothing is asked of the service')
    .option('--statement-out <file>', 'write what you sign here instead of sending it: for a machine that is offline')
    .option('--statement <file>', 'send what was signed elsewhere, by whoever signed it')
    .option('--key <file>', 'encrypted PKCS#8 PEM; the key in the data directory unless told')
    .option('--role <role>', 'the role by which you sign', 'release-engineer')
    .option('--for <time>', 'how long the request is good, for example 12h', duration, HOLDS_SECONDS)
    .addHelpText('after', '\nExample:\n  $ keystead sign propose fw-3f0c1d2e4b5a6978 --image pump.bin --as release')
    .action(async (id: string, options: StatementOptions) => {
      if (options.statement !== undefined) return sendFile(id, options.statement, options);
      const view = await shown(id, options);
      const { order, state, proposer } = view;
      if (options.json !== true) process.stdout.write(`${requestText(view)}\n`);
      if (order.id !== id)
        throw new KeysteadError('signing.request-differs', { field: id, seen: 'what is shown is another request' });
      if (state !== 'draft') {
        // The same again is no fault, as it is none of `sign request`.
        if (proposer === options.as) return printSent(options, view);
        throw new KeysteadError('signing.request-closed', {
          field: id,
          seen: `${state}, ${proposer === null ? 'and nobody asks for it' : `which ${proposer} asks for`}`,
        });
      }
      const what = { act: 'propose', order, proposer: options.as } as const;
      await signAndSend(what, options, (signer) => `${signer} asks for it`);
    });
}
