import { readFileSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import { type Command, InvalidArgumentError } from 'commander';
import { RestClient } from '../client/rest.ts';
import { asOperator, type OperatorOptions } from './operator.ts';
import { namedFile } from './sign-files.ts';

/** How a job of a CI system shows who it is, where it has no certificate. */
export interface WorkloadOptions {
  tokenFd?: string;
  url?: string;
  anchor?: string;
}

/** Adds the options of a workload. @param what it does then, in a few words. */
export function workloadOptions(command: Command, what: string): Command {
  return command
    .option('--token-fd <n>', `${what} as a workload, with the OIDC token from this file descriptor`)
    .option('--url <url>', 'with --token-fd: where the service is')
    .option('--anchor <file>', "with --token-fd: PEM of the root of the service's certificate");
}

/** Calls the REST interface as a workload where a token is given, and as an operator else. */
export const asCaller = <T>(
  options: OperatorOptions & WorkloadOptions,
  act: (client: RestClient) => Promise<T>,
): Promise<T> => (options.tokenFd === undefined ? asOperator(options, act) : asWorkload(options, options.tokenFd, act));

/** @throws InvalidArgumentError without an address. @throws KeysteadError `signing.no-file`. */
export async function asWorkload<T>(
  { url, anchor }: WorkloadOptions,
  tokenFd: string,
  act: (client: RestClient) => Promise<T>,
): Promise<T> {
  if (url === undefined || anchor === undefined) {
    throw new InvalidArgumentError('--token-fd takes --url and --anchor: a workload knows no data directory.');
  }
  const client = new RestClient({
    baseUrl: url,
    anchor: namedFile(anchor).toString('utf8'),
    token: tokenFrom(tokenFd),
  });
  try {
    return await act(client);
  } finally {
    client.close();
  }
}

function tokenFrom(fd: string): string {
  if (!/^\d{1,9}$/.test(fd)) throw new InvalidArgumentError('--token-fd takes the number of an open descriptor.');
  try {
    return readFileSync(Number(fd), 'utf8').trim();
  } catch (cause) {
    throw new KeysteadError('signing.no-file', { field: `file descriptor ${fd}`, seen: 'no token', cause });
  }
}
