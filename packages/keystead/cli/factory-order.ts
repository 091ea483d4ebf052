import { readFileSync } from 'node:fs';
import { toBase64, toHex } from '@keystead/core/bytes';
import { randomBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CommissionOrder,
  type CommissionStatement,
  commissionQuorum,
  operatorOf,
  parseCommissionStatement,
  parseFactoryRequest,
  parsePolicy,
  permits,
  type Role,
  signCommissionStatement,
} from '@keystead/core/lifecycle';
import type { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { Layout } from '../files/layout.ts';
import { readPassphrase } from '../keystore/index.ts';
import type { FactoryView } from '../protocols/rest/factories.ts';
import { personSigner } from '../start/operators.ts';
import { duration } from './duration.ts';
import { asOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { elsewhereOptions, type SignWithOptions, statementSigner } from './statement-signer.ts';

const DAY = 86_400;

interface SigningOptions extends SignWithOptions {
  data: string;
  as: string;
  passphraseFd?: string;
  for: number;
}

interface OrderOptions extends SigningOptions {
  request: string;
  deviceIds?: string[];
  serverName?: string[];
  life?: number;
  out: string;
  revoke?: boolean;
}

/** `keystead factory order|approve|commission|list|show`: headquarters' side of a factory node. REQ-KEY-PROV-01 */
export function addHeadquartersCommands(factory: Command): void {
  ordering(factory.command('order <name>'), 'commission')
    .description('sign that you ask for the commission of a node; begins the file of the order')
    .action((name: string, options: OrderOptions) => order(name, 'commission', options));
  ordering(factory.command('renew <name>'), 'renew')
    .description('sign that you ask for certificates that end later, for the same keys')
    .action((name: string, options: OrderOptions) => order(name, 'renew', options));
  ordering(factory.command('close <name>'), 'close')
    .description('sign that you ask for the end of a node')
    .option('--revoke', 'revoke the certificates of its CAs: no IDevID that it made is good any more')
    .action((name: string, options: OrderOptions) => order(name, 'close', options));
  signing(factory.command('approve <file>'), 'pol')
    .description('sign that you approve an order; adds to its file')
    .action((file: string, options: SigningOptions) => approve(file, options));
  operatorOptions(factory.command('commission <file>'), 'pki')
    .description('have headquarters carry an approved order out; writes the file for the node')
    .requiredOption('--request <file>', "the node's request")
    .requiredOption('--out <file>', 'where the commission goes')
    .action((file: string, options: OperatorOptions & { request: string; out: string }) => commission(file, options));
  operatorOptions(factory.command('list'), 'pki').description('the factory nodes of this headquarters').action(list);
  operatorOptions(factory.command('show <name>'), 'pki')
    .description('one factory node, with every order about it')
    .option('--commission <file>', 'write its last commission again')
    .action(show);
}

function signing(command: Command, as: string): Command {
  return elsewhereOptions(command)
    .option('--data <dir>', 'data directory with the policy and your key', './keystead-data')
    .option('--as <operator>', 'whose key signs', as)
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor instead of the unlock file")
    .option('--for <time>', 'how long the signature is good, for example 12h, 7d', duration, DAY);
}

function ordering(command: Command, act: CommissionOrder['act']): Command {
  const signed = signing(command, 'pki')
    .requiredOption('--request <file>', "the node's request, as keystead factory init wrote it")
    .requiredOption('--device-ids <prefix...>', 'what every device id of the factory begins with')
    .requiredOption('--server-name <host...>', 'DNS names and addresses of its servers, and no others')
    .requiredOption('--out <file>', 'where the order goes');
  return act === 'close' ? signed : signed.option('--life <time>', 'how long its CAs issue', duration, 90 * DAY);
}

async function order(name: string, act: CommissionOrder['act'], options: OrderOptions): Promise<void> {
  const bytes = readFileSync(options.request);
  const request = parseFactoryRequest(bytes);
  if (request.factory !== name) {
    throw new KeysteadError('commission.request-differs', { field: 'request.factory', seen: request.factory });
  }
  const content: CommissionOrder = {
    id: toHex(randomBytes(8)),
    act,
    factory: name,
    requestSha256: toHex(sha256(bytes)),
    deviceIdPrefixes: options.deviceIds ?? [],
    serverNames: options.serverName ?? [],
    seconds: options.life ?? DAY,
    ...(options.revoke === true ? { revoke: true as const } : {}),
  };
  const statement = await sign(content, 'propose', options.as, options);
  durableWrite(options.out, `${statement}\n`, 0o644);
  process.stdout.write(
    `${orderText(parseCommissionStatement(statement).content.order)}\nSigned by ${options.as}. Have it approved: keystead factory approve ${options.out}\n`,
  );
}

async function approve(file: string, options: SigningOptions): Promise<void> {
  const statements = statementsIn(file);
  const { order: content, proposer } = parseCommissionStatement(statements[0] ?? '').content;
  process.stdout.write(`${orderText(content)}\nAsked for by ${proposer}.\n`);
  const statement = await sign(content, 'approve', proposer, options);
  durableWrite(file, `${[...statements, statement].join('\n')}\n`, 0o644);
  process.stdout.write(`Approved by ${options.as}: ${file} has ${statements.length} approvals.\n`);
}

async function commission(file: string, options: OperatorOptions & { request: string; out: string }): Promise<void> {
  const body = { request: toBase64(readFileSync(options.request)), statements: statementsIn(file) };
  const done = await asOperator(options, (client) =>
    client.post<FactoryView & { number: number; commission: string }>('/api/v1/factories', body),
  );
  durableWrite(options.out, done.commission, 0o644);
  const text = `${done.factory} ${done.state}, commission ${done.number}, until ${done.notAfter}: ${options.out}\n`;
  process.stdout.write(options.json === true ? `${JSON.stringify(done, null, 2)}\n` : text);
}

async function list(options: OperatorOptions): Promise<void> {
  const answer = await asOperator(options, (client) => client.get<{ factories: FactoryView[] }>('/api/v1/factories'));
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
    return;
  }
  const rows = answer.factories.map((one) => [
    one.factory,
    one.state,
    one.notAfter,
    one.deviceIdPrefixes.join(' '),
    String(one.units),
    one.custody,
    one.counter,
  ]);
  const head = ['factory', 'state', 'until', 'device ids', 'units', 'keys in', 'counter in'];
  process.stdout.write(`${table([head, ...rows])}\n`);
}

async function show(name: string, options: OperatorOptions & { commission?: string }): Promise<void> {
  const path = `/api/v1/factories/${encodeURIComponent(name)}`;
  const { view, file } = await asOperator(options, async (client) => ({
    view: await client.get<FactoryView>(path),
    file: options.commission && (await client.get<{ commission: string }>(`${path}/commission`)),
  }));
  if (options.commission !== undefined && file) durableWrite(options.commission, file.commission, 0o644);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(view, null, 2)}\n`);
    return;
  }
  const acts = view.acts.map((one) => [
    String(one.number),
    one.act,
    one.at,
    `${one.by}; ${one.approvers.join(', ')}`,
    one.commissionSha256,
  ]);
  process.stdout.write(
    `${view.factory}: ${view.state}, until ${view.notAfter}\ndevice ids: ${view.deviceIdPrefixes.join(' ')}\nkeys in ${view.custody}, units counted by ${view.counter}, ${view.units} units\n\n${table([['number', 'order', 'carried out', 'by', 'sha256 of the commission'], ...acts])}\n`,
  );
}

/** Signs with the key of an operator, by the role of theirs that may. Nothing but files: it works without a server. */
async function sign(
  content: CommissionOrder,
  act: CommissionStatement['act'],
  proposer: string,
  options: SigningOptions,
): Promise<string> {
  const layout = new Layout(options.data);
  const policy = parsePolicy(readFileSync(layout.policy));
  const quorum = commissionQuorum(policy);
  const may = (role: Role) => (act === 'propose' ? permits([role], 'factory.propose') : quorum.roles.includes(role));
  const roles = operatorOf(policy, options.as)?.roles ?? [];
  const role = roles.find(may);
  if (role === undefined) {
    const seen = `${options.as}, who is ${roles.join(', ') || 'nobody in the policy'}`;
    throw new KeysteadError('commission.signer-forbidden', { field: 'role', seen });
  }
  const signer = statementSigner(options, async () => {
    using passphrase = await readPassphrase(
      options.passphraseFd === undefined
        ? { file: layout.passphrase('operators') }
        : { fd: Number(options.passphraseFd) },
    );
    return personSigner(layout, options.as, passphrase);
  });
  const now = systemClock.now().getTime();
  const times = { signedAt: wholeSecond(now), expiresAt: wholeSecond(now + options.for * 1000) };
  return signCommissionStatement({ act, order: content, proposer, role, ...times }, options.as, signer);
}

const statementsIn = (file: string): string[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');

/** What people look at before they sign: the hash is the one that the node's operator tells them. */
function orderText(content: CommissionOrder): string {
  return [
    `${content.act} ${content.factory}, order ${content.id}`,
    `  request    sha256 ${content.requestSha256}`,
    `  device ids ${content.deviceIdPrefixes.map((prefix) => `${prefix}...`).join(' ')}`,
    `  servers    ${content.serverNames.join(' ')}`,
    content.act === 'close'
      ? `  ${content.revoke === true ? 'its CAs are REVOKED: none of its IDevIDs is good any more' : 'what it made goes on being good'}`
      : `  its CAs issue for ${Math.floor(content.seconds / 3600)} h`,
  ].join('\n');
}

const wholeSecond = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
