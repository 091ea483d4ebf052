import { setTimeout as pause } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../clock/system.ts';
import { type CrlSyncOutcome, syncCrls } from '../relying/index.ts';
import { EXIT, fail } from './exit.ts';

interface SyncFlags {
  ca: string[];
  url: string[];
  out: string;
  reload?: string;
  every?: number;
  json?: boolean;
}

const collect = (value: string, all: string[]): string[] => [...all, value];

function httpUrl(value: string, all: string[]): string[] {
  if (!URL.canParse(value) || new URL(value).protocol !== 'http:')
    throw new InvalidArgumentError('CRLs are fetched over http: they are signed');
  return [...all, value];
}

function seconds(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1 || number > 86_400)
    throw new InvalidArgumentError('a number of seconds from 1 to 86400');
  return number;
}

/** `keystead crl`: CRLs for the side that verifies. REQ-KEY-REV-03 */
export function crlCommand(): Command {
  const crl = new Command('crl').description('CRLs for a verifying side that reads them from a file: nginx, mosquitto');
  crl
    .command('sync')
    .description('fetch the CRLs, verify them, write them as one PEM file and have the verifier read it')
    .requiredOption(
      '--ca <file>',
      'certificates of the CAs, PEM: all of the path, the root included; may be repeated',
      collect,
      [],
    )
    .option('--url <url>', "where a CA's CRL is, besides what the CA certificates name; may be repeated", httpUrl, [])
    .requiredOption('--out <file>', 'the bundle; beside it goes <file>.state.json')
    .option('--reload <command>', 'run by the shell whenever the bundle has changed')
    .option('--every <seconds>', 'go on, and look again after so many seconds', seconds)
    .option('--json', 'one JSON document for each run')
    .addHelpText(
      'after',
      `
A CRL is taken only when one of the CAs signed it, it is in its time, and its number goes not back. What cannot be
fetched or is refused leaves the one before it in place, and the exit code is 4 or 3; when that one ends, the verifier
refuses by itself.

Example:
  $ keystead crl sync --ca trust.pem --url http://keys.example:8080/crl/operational.crl \\
      --out /etc/nginx/crls.pem --reload 'nginx -s reload' --every 10`,
    )
    .action(async (flags: SyncFlags) => {
      const stop = new AbortController();
      const stopped = (): void => stop.abort();
      if (flags.every !== undefined) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stopped);
      for (;;) {
        process.exitCode = EXIT.done;
        const { ca: caFiles, url: urls, out, reload } = flags;
        const outcome = await syncCrls({
          clock: systemClock,
          caFiles,
          urls,
          out,
          ...(reload === undefined ? {} : { reload }),
        });
        print(outcome, flags);
        if (flags.every === undefined) return;
        await pause(flags.every * 1000, undefined, { signal: stop.signal }).catch(() => undefined);
        if (stop.signal.aborted) {
          process.exitCode = EXIT.done;
          return;
        }
      }
    });
  return crl;
}

function print(outcome: CrlSyncOutcome, { json, out, every }: SyncFlags): void {
  const { crls, changed, reloaded, failures } = outcome;
  if (json === true)
    process.stdout.write(
      `${JSON.stringify({ out, changed, reloaded, crls, failures: failures.map((one) => one.toJSON()) })}\n`,
    );
  // Whoever looks every ten seconds wants to hear of what happened alone.
  else if (changed || reloaded || every === undefined) {
    const done = [changed ? 'changed' : 'unchanged', ...(reloaded ? ['reloaded'] : [])].join(', ');
    process.stdout.write(`${out}: ${crls.length} CRLs, ${done}\n`);
    for (const { issuer, number, nextUpdate } of crls)
      process.stdout.write(`  ${issuer}  number ${number}, until ${nextUpdate}\n`);
  }
  if (json !== true) for (const failure of failures) fail(failure);
  // Refused weighs more than unavailable, which mends itself.
  if (failures.length > 0)
    process.exitCode = failures.every(({ kind }) => kind === 'unavailable') ? EXIT.unavailable : EXIT.refused;
}
