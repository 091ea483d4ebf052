import { Command, InvalidArgumentError } from 'commander';

interface ServiceFlags {
  data: string;
  secretsFd?: number;
  withParent?: boolean;
}

interface KeydFlags extends ServiceFlags {
  tpmSealed?: string;
  tpm?: string;
}

/** `keystead keyd`: the key service. */
export function keydCommand(): Command {
  return serviceOptions(new Command('keyd'))
    .description('run the key service: alone with the online keys, on a Unix socket')
    .option('--tpm-sealed <file>', "the passphrase is what this machine's TPM sealed in the file (keystead tpm seal)")
    .option('--tpm <address>', 'where the TPM is: device:/dev/tpmrm0 (default), unix:/path, tcp:host:port')
    .addHelpText(
      'after',
      `
The file descriptor carries one JSON document: {"passphrase": "...", "channelKey": "<base64, 32 bytes>"};
with --tpm-sealed without the passphrase. Under systemd the same are the credentials keyd-passphrase and
keyd-channel-key.

Example (a supervisor that holds both):
  $ keystead keyd --data /srv/keystead --secrets-fd 3 3<&"$pipe"`,
    )
    .action(async (flags: KeydFlags) => {
      const { runKeyd } = await import('../keyd/main.ts');
      const sealed = flags.tpmSealed === undefined ? undefined : { path: flags.tpmSealed, tpm: flags.tpm };
      await runKeyd({ data: flags.data, secretsFd: secretsOf(flags), sealed, withParent: flags.withParent === true });
    });
}

/** `keystead serve`: the front end. */
export function serveCommand(): Command {
  return serviceOptions(new Command('serve'))
    .description('run the front end: EST and REST over mutual TLS; OCSP, CRL and log over HTTP')
    .addHelpText(
      'after',
      `
The file descriptor carries one JSON document: {"channelKey": "<base64, 32 bytes>"}, the same key that keyd got.
Under systemd it is the credential keyd-channel-key.

Example:
  $ keystead serve --data /srv/keystead --secrets-fd 3 3<&"$pipe"`,
    )
    .action(async (flags: ServiceFlags) => {
      const { runServe } = await import('../serve/main.ts');
      await runServe({ data: flags.data, secretsFd: secretsOf(flags), withParent: flags.withParent === true });
    });
}

/** A service of systemd has its secrets as credentials, unless its command line says otherwise (systemd.exec(5)). */
function secretsOf({ secretsFd }: ServiceFlags): number | undefined {
  if (secretsFd !== undefined) return secretsFd;
  return (process.env.CREDENTIALS_DIRECTORY ?? '') === '' ? 3 : undefined;
}

function serviceOptions(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory', './keystead-data')
    .option(
      '--secrets-fd <n>',
      'file descriptor that carries the secrets (default 3; systemd credentials when there are some)',
      descriptor,
    )
    .option('--with-parent', 'end when standard input closes');
}

function descriptor(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('A file descriptor is a number.');
  return Number(text);
}
