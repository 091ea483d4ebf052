import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import type { StatementSigner } from '@keystead/core/lifecycle';
import type { Command } from 'commander';
import { RestClient } from '../client/rest.ts';
import { readConfig } from '../files/config.ts';
import { Layout } from '../files/layout.ts';
import { readPassphrase } from '../keystore/index.ts';
import { personSigner } from '../start/operators.ts';
import { type SignWithOptions, statementSigner } from './statement-signer.ts';

/** The options that say where the server is and as whom to act. */
export interface OperatorOptions {
  data: string;
  as: string;
  passphraseFd?: string;
  json?: boolean;
}

/** Adds the options that every command of an operator takes. */
export function operatorOptions(command: Command, as: string): Command {
  return command
    .option('--data <dir>', 'data directory of the server', './keystead-data')
    .option('--as <operator>', 'the operator to act as', as)
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor instead of the unlock file")
    .option('--json', 'machine-readable output');
}

/** Calls the REST interface as an operator, and always hangs up after. */
export async function asOperator<T>(options: OperatorOptions, act: (client: RestClient) => Promise<T>): Promise<T> {
  return asSigningOperator(options, act);
}

/**
 * The same for an operator who also signs something with a key of theirs: that of their certificate, or the one that
 * `--sign-with` names. A descriptor can be read once, so the two uses of the first share the passphrase.
 */
export async function asSigningOperator<T>(
  options: OperatorOptions & SignWithOptions,
  act: (client: RestClient, sign: () => StatementSigner) => Promise<T>,
): Promise<T> {
  const layout = new Layout(options.data);
  const { host, ports } = readConfig(layout);
  for (const file of [`${options.as}.pem`, `${options.as}.key.pem`]) {
    if (existsSync(join(layout.operators, file))) continue;
    throw new KeysteadError('operator.no-key-here', { field: '--as', seen: join(layout.operators, file) });
  }
  using passphrase = await readPassphrase(
    options.passphraseFd === undefined
      ? { file: layout.passphrase('operators') }
      : { fd: Number(options.passphraseFd) },
  );
  const client = new RestClient({
    baseUrl: `https://${host}:${ports.https}`,
    anchor: readFileSync(join(layout.trust, 'root.pem'), 'utf8'),
    identity: {
      cert: readFileSync(join(layout.operators, `${options.as}.pem`), 'utf8'),
      key: readFileSync(join(layout.operators, `${options.as}.key.pem`), 'utf8'),
      passphrase: passphrase.use((bytes) => Buffer.from(bytes).toString('utf8')),
    },
  });
  try {
    return await act(client, () => statementSigner(options, () => personSigner(layout, options.as, passphrase)));
  } finally {
    client.close();
  }
}

/**
 * Rows as an aligned table, the first one as its head.
 * @param paint colours a cell, which is padded already; colours have no width.
 */
export function table(
  rows: readonly (readonly string[])[],
  paint: (cell: string, column: number) => string = (cell) => cell,
): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => paint(cell.padEnd(column + 1 === row.length ? 0 : (widths[column] ?? 0)), column))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
