import { Command, InvalidArgumentError } from 'commander';
import { ceremonyCommand } from '../ceremony/index.ts';
import { systemClock } from '../clock/system.ts';
import { addCeremonyCommands } from './keyd.ts';

interface ServiceFlags {
  data: string;
  secretsFd?: number;
  withParent?: boolean;
}

/** The commands that run as services or on the offline machine: `ceremony`, `keyd`, `serve`. */
export function serviceCommands(): Command[] {
  return [ceremonyCommand(systemClock), addCeremonyCommands(keydCommand()), serveCommand()];
}

function keydCommand(): Command {
  return serviceOptions(new Command('keyd'))
    .description('run the key service: alone with the online keys, on a Unix socket')
    .addHelpText(
      'after',
      `
The file descriptor carries one JSON document: {"passphrase": "...", "channelKey": "<base64, 32 bytes>"}.

Example (a supervisor that holds both):
  $ keystead keyd --data /srv/keystead --secrets-fd 3 3<&"$pipe"`,
    )
    .action(async (flags: ServiceFlags) => {
      const { runKeyd } = await import('../keyd/main.ts');
      await runKeyd({ data: flags.data, secretsFd: flags.secretsFd ?? 3, withParent: flags.withParent === true });
    });
}

function serveCommand(): Command {
  return serviceOptions(new Command('serve'))
    .description('run the front end: EST and REST over mutual TLS; OCSP, CRL and log over HTTP')
    .addHelpText(
      'after',
      `
The file descriptor carries one JSON document: {"channelKey": "<base64, 32 bytes>"}, the same key that keyd got.

Example:
  $ keystead serve --data /srv/keystead --secrets-fd 3 3<&"$pipe"`,
    )
    .action(async (flags: ServiceFlags) => {
      const { runServe } = await import('../serve/main.ts');
      await runServe({ data: flags.data, secretsFd: flags.secretsFd ?? 3, withParent: flags.withParent === true });
    });
}

function serviceOptions(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory', './keystead-data')
    .option('--secrets-fd <n>', 'file descriptor that carries the secrets (default 3)', descriptor)
    .option('--with-parent', 'end when standard input closes');
}

function descriptor(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('A file descriptor is a number.');
  return Number(text);
}
