import { Command } from 'commander';
import type { RestClient } from '../client/rest.ts';
import type { AcmeAccountView, AcmeOrderView } from '../protocols/rest/acme.ts';
import { asOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';

/** `keystead acme`: who has an account, what was ordered, and the end of an account. */
export function acmeCommand(): Command {
  const command = new Command('acme').description('accounts and orders of ACME clients: list them, end an account');
  command.addCommand(accountsCommand());
  command.addCommand(ordersCommand());
  command.addCommand(deactivateCommand());
  return command;
}

const print = (options: OperatorOptions, value: unknown, text: string): void => {
  process.stdout.write(options.json === true ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
};

/** Every page of a list. */
async function every<T>(
  client: RestClient,
  path: string,
  of: (page: Record<string, unknown>) => readonly T[],
): Promise<T[]> {
  const found: T[] = [];
  for (let after: unknown = ''; typeof after === 'string'; ) {
    const page: Record<string, unknown> = await client.get(`${path}?after=${encodeURIComponent(after)}`);
    found.push(...of(page));
    after = page.next;
  }
  return found;
}

function accountsCommand(): Command {
  return operatorOptions(new Command('accounts'), 'auditor')
    .description('every account, and the authorisation that let it in')
    .action(async (options: OperatorOptions) => {
      const accounts = await asOperator(options, (client) =>
        every(client, '/api/v1/acme/accounts', (page) => page.accounts as AcmeAccountView[]),
      );
      const rows = accounts.map((one) => [
        one.id,
        one.state,
        one.authorisationId,
        one.createdAt,
        one.contact.join(' '),
      ]);
      print(options, accounts, table([['account', 'state', 'authorisation', 'made at', 'contact'], ...rows]));
    });
}

function ordersCommand(): Command {
  return operatorOptions(new Command('orders'), 'auditor')
    .description('every order that is kept, and the certificate that it got')
    .option('--account <id>', 'only those of this account')
    .action(async (options: OperatorOptions & { account?: string }) => {
      const all = await asOperator(options, (client) =>
        every(client, '/api/v1/acme/orders', (page) => page.orders as AcmeOrderView[]),
      );
      const orders = all.filter(({ accountId }) => options.account === undefined || accountId === options.account);
      const rows = orders.map((one) => [one.id, one.state, one.accountId, one.names.join(' '), one.serial ?? '-']);
      print(options, orders, table([['order', 'state', 'account', 'names', 'serial'], ...rows]));
    });
}

function deactivateCommand(): Command {
  return operatorOptions(new Command('deactivate').argument('<account>'), 'pki')
    .description('end an account for good; its certificates stay as they are')
    .addHelpText('after', '\nExample:\n  $ keystead acme deactivate 5f0c9a1b2d3e4f505f0c9a1b2d3e4f50')
    .action(async (id: string, options: OperatorOptions) => {
      const path = `/api/v1/acme/accounts/${encodeURIComponent(id)}/revocation`;
      const answer = await asOperator(options, (client) => client.post<{ state: string }>(path, {}));
      print(options, answer, `${id}: ${answer.state}`);
    });
}
