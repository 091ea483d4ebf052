import { existsSync } from 'node:fs';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { Layout } from '../files/layout.ts';
import {
  type CounterConfig,
  counterConfigPath,
  makeTokenCounter,
  makeTpm2Counter,
  openCounter,
  openKeystore,
  readCounterConfig,
  readKeystoreConfig,
  writeCounterConfig,
} from '../keystore/index.ts';

interface Flags {
  data: string;
  tpm2?: string;
  index: string;
  token?: string;
  replace?: boolean;
  json?: boolean;
}

/**
 * `keystead keystore counter`: the monotonic counter that keyd's journal is tied to. REQ-KEY-PROV-01
 * @param common adds the options that say where keyd and its passphrase are.
 * @param secretOf reads that passphrase.
 */
export function counterCommand<F>(
  common: (command: Command) => Command,
  secretOf: (flags: F) => Promise<SecretBytes>,
): Command {
  const counter = new Command('counter').description('the monotonic counter by which quotas survive an older disk');
  counter.addCommand(
    common(new Command('init'))
      .description(
        'make a counter in a TPM or on the token of the keys, and write keyd/counter.json; keyd must be stopped',
      )
      .option('--tpm2 <address>', 'in this TPM: device:/dev/tpmrm0, unix:/path or tcp:host:port')
      .option('--index <hex>', 'NV index; it and the next one must be free', '0x01800200')
      .option('--token <name>', 'on the token of keystore.json, under this name')
      .option('--replace', 'although there is one: keyd then gives out no unit until operators order a recount')
      .addHelpText('after', '\nExample:\n  $ keystead keystore counter init --data DIR --tpm2 device:/dev/tpmrm0')
      .action(async (flags: Flags & F) => {
        const { keyd } = new Layout(flags.data);
        const path = counterConfigPath(keyd);
        if (existsSync(path) && flags.replace !== true) {
          throw new KeysteadError('counter.exists', { field: 'counter.json', seen: path });
        }
        using secret = await secretOf(flags);
        const config = await makeCounter(keyd, flags, secret);
        writeCounterConfig(keyd, config);
        process.stdout.write(
          flags.json === true
            ? `${JSON.stringify({ path, config })}\n`
            : `a ${config.make} counter was made (${path})\n`,
        );
      }),
  );
  counter.addCommand(
    common(new Command('show'))
      .description('which counter it is, and its value; changes nothing')
      .action(async (flags: Flags & F) => {
        const { keyd } = new Layout(flags.data);
        const config = readCounterConfig(keyd);
        if (config === undefined) {
          const none = 'no counter: quotas rest on the disk alone\n';
          process.stdout.write(flags.json === true ? `${JSON.stringify({ make: 'none' })}\n` : none);
          return;
        }
        using secret = await secretOf(flags);
        const keystore = await openKeystore(readKeystoreConfig(keyd), secret, systemClock);
        try {
          const opened = await openCounter(config, keystore, secret);
          const { value } = await opened.read();
          const { make, name } = opened;
          await opened.close();
          process.stdout.write(
            flags.json === true ? `${JSON.stringify({ make, name, value })}\n` : `${name}: ${value}\n`,
          );
        } finally {
          keystore.close();
        }
      }),
  );
  return counter;
}

async function makeCounter(keyd: string, { tpm2, index, token }: Flags, secret: SecretBytes): Promise<CounterConfig> {
  if ((tpm2 === undefined) === (token === undefined)) {
    const seen = tpm2 === undefined ? 'neither --tpm2 nor --token' : 'both --tpm2 and --token';
    throw new KeysteadError('config.malformed', { field: 'make', seen });
  }
  if (tpm2 !== undefined) return makeTpm2Counter({ tpm: tpm2, index: Number(index) }, secret);
  const keystore = await openKeystore(readKeystoreConfig(keyd), secret, systemClock);
  try {
    return await makeTokenCounter(keystore, token ?? '');
  } finally {
    keystore.close();
  }
}
