import { addRecountSignature, draftRecount, joinRecounts, parseRecount } from '@keystead/core/lifecycle';
import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import type { CountReport } from '../keyd/unit-count.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { joinCommand, type QuorumFile, readText, signCommand, writeDraft } from './quorum-files.ts';

const FILE: QuorumFile = {
  what: 'an order to recount',
  example: 'recount.json',
  sign: addRecountSignature,
  join: joinRecounts,
  show: orderText,
};

type Count = CountReport & { readonly log: string };

/** `keystead recount`: the way back where keyd's journal does not agree with its counter. REQ-KEY-PROV-01 */
export function recountCommand(): Command {
  const recount = new Command('recount').description(
    'where a disk was put back, or the counter was changed: see what keyd sees, and order it to go on',
  );
  recount.addCommand(
    operatorOptions(
      new Command('show').description("how keyd's journal stands to its monotonic counter"),
      'pki',
    ).action(async (options: OperatorOptions) => {
      const count = await countOf(options);
      process.stdout.write(options.json === true ? `${JSON.stringify(count, null, 2)}\n` : countText(count));
    }),
  );
  recount.addCommand(draftCommand());
  recount.addCommand(signCommand(FILE, 'recount'));
  recount.addCommand(joinCommand(FILE, 'recount'));
  recount.addCommand(
    operatorOptions(
      new Command('apply')
        .description('bring a signed order to keyd: it goes on, and every ticket of before is closed')
        .argument('<file>', 'the order'),
      'pki',
    ).action(async (path: string, options: OperatorOptions) => {
      const order = readText(path);
      const done = await asOperator(options, (client) =>
        client.post<{ at: string; signers: string[]; counter: { value: number } }>('/api/v1/recounts', { order }),
      );
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(done, null, 2)}\n`
          : `keyd goes on from ${done.counter.value} since ${done.at}, ordered by ${done.signers.join(', ')}; tickets of before are closed\n`,
      );
    }),
  );
  return recount;
}

function draftCommand(): Command {
  return operatorOptions(new Command('draft'), 'pki')
    .description('write an order that names what keyd sees now; nobody has signed it yet')
    .requiredOption('--reason <text>', 'what happened: it stands in the journal of keyd')
    .option('--hours <n>', 'how long it can be carried out', '24')
    .requiredOption('--out <file>', 'write it here')
    .action(async (options: OperatorOptions & { reason: string; hours: string; out: string }) => {
      const { counter, journal, log } = await countOf(options);
      const { make, name = '', value = 0, mark = '' } = counter;
      const at = systemClock.now();
      const text = draftRecount({
        log,
        // The form refuses a keyd without a counter.
        counter: { make: make as 'tpm2' | 'pkcs11', name, value, mark },
        journal,
        reason: options.reason,
        at,
        expiresAt: new Date(at.getTime() + Number(options.hours) * 3_600_000),
      });
      writeDraft(options.out, text);
      process.stdout.write(`${orderText(text)}nobody has signed it yet; it is in ${options.out}\n`);
    });
}

const countOf = (options: OperatorOptions): Promise<Count> =>
  asOperator(options, (client) => client.get<Count>('/api/v1/count'));

const SAYS: Readonly<Record<CountReport['state'], string>> = {
  disk: 'there is no monotonic counter: quotas rest on the disk alone',
  level: 'the counter covers the journal',
  unreachable: 'the counter cannot be asked now; no unit is given out until it can',
  'rolled-back': 'AN OLDER DISK WAS PUT BACK: no unit is given out until operators order a recount',
  replaced: 'THE COUNTER IS ANOTHER ONE: no unit is given out until operators order a recount',
  missing: 'THE JOURNAL WAS TIED TO A COUNTER, AND NONE IS CONFIGURED: no unit is given out',
};

const countText = ({ state, counter, journal }: Count): string =>
  `${SAYS[state]}\n${counter.name ?? counter.make}: ${counter.value ?? '-'}, journal: ${journal ?? '-'}\n`;

function orderText(text: string): string {
  const { content, signatures, sha256 } = parseRecount(text);
  const { counter, journal, reason, at, expiresAt } = content;
  return [
    `order   recount (sha256 ${sha256})`,
    `seen    ${counter.name}: ${counter.value}, where the journal says ${journal ?? 'none'}`,
    `why     ${reason}`,
    `from    ${at} to ${expiresAt}`,
    `effect  the journal goes on from the counter; every ticket and authorisation of before is closed`,
    `signed  ${signatures.map(({ signer }) => signer).join(', ') || 'by nobody'}`,
    '',
  ].join('\n');
}
