import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, type DerCertificate, fromPem, type JsonValue, toHex } from '@keystead/core/bytes';
import { randomBytes, sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  checkTrustOrder,
  operatorOf,
  type Policy,
  parsePolicy,
  parseTrustStatement,
  permits,
  type Role,
  signTrustStatement,
  type TrustOrder,
  type TrustStatement,
  trustPolicy,
  trustQuorum,
} from '@keystead/core/lifecycle';
import { type Standing, type StandingJson, standingOfJson, strandedBy } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { Layout } from '../files/layout.ts';
import { asOperator, asSigningOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { readText } from './quorum-files.ts';
import { elsewhereOptions, type SignWithOptions } from './statement-signer.ts';
import { type BundleView, statusTable, type TrustView } from './trust-status.ts';

/** How long a statement holds. */
const HOLDS_SECONDS = 86_400;
const MOST_STATEMENTS = 17;

/** `keystead trust`: what devices go by. REQ-KEY-REV-04 */
export function trustCommand(): Command {
  const command = new Command('trust').description(
    'trust bundles: anchors, pins, signers, the least firmware and the revocation filter that devices go by',
  );
  for (const one of [
    showCommand(),
    statusCommand(),
    proposeCommand(),
    approveCommand(),
    publishCommand(),
    filterCommand(),
  ])
    command.addCommand(one);
  return command;
}

const look = (options: OperatorOptions): Promise<TrustView> =>
  asOperator(options, (client) => client.get<TrustView>('/api/v1/trust'));

function showCommand(): Command {
  return operatorOptions(new Command('show'), 'pki')
    .description('what stands in the newest bundle, as JSON: edit it, and propose it as the next')
    .option('--draft', 'a first content, with the root as the anchor and every key of the policy as a signer')
    .option('--factory', 'what a device is made with: fleet, version, hash, signers and least firmware')
    .option('--out <file>', 'write it to a file')
    .addHelpText('after', '\nExample:\n  $ keystead trust show --out content.json')
    .action(async (options: OperatorOptions & { draft?: boolean; factory?: boolean; out?: string }) => {
      const view = await look(options);
      const content = view.content ?? (options.draft === true ? undefined : none());
      const shown = options.factory === true ? factoryState(view) : (content ?? draftOf(view, rootIn(options.data)));
      const text = `${JSON.stringify(shown, null, 2)}\n`;
      if (options.out === undefined) process.stdout.write(text);
      else durableWrite(options.out, text, 0o644);
    });
}

function rootIn(data: string): DerCertificate {
  const [root] = fromPem('CERTIFICATE', readText(join(new Layout(data).trust, 'root.pem')));
  if (root === undefined) throw new KeysteadError('config.missing', { field: 'root.pem', seen: 'no certificate' });
  return root as DerCertificate;
}

function none(): never {
  throw new KeysteadError('trust-bundle.none', { field: 'content' });
}

/** What takes the place of the state before the first bundle: a device that has it goes by the newest one. */
function factoryState({ fleet, latest, content }: TrustView): object {
  if (latest === null || content === null) return none();
  const { signers, firmware } = content;
  return {
    ...{ fleet, version: latest.version, sha256: latest.sha256, signers },
    firmware: firmware.map(({ product, minimumSecurityCounter }) => ({ product, minimumSecurityCounter })),
    bundle: latest.bundle,
  };
}

/** A first content to edit: it has no pins yet, for these are of servers that only people know. */
function draftOf({ keys }: TrustView, anchor: DerCertificate): StandingJson {
  const { notAfter } = readCertificate(anchor);
  const from = Math.floor(systemClock.now().getTime() / 1000);
  const until = Math.floor(notAfter.getTime() / 1000);
  const certificate = Buffer.from(anchor).toString('base64');
  return {
    anchors: (['server', 'device'] as const).map((role) => ({ role, certificate, from, until })),
    pins: [],
    signers: keys.flatMap(({ spki }) => (spki === null ? [] : [{ spki, from, until }])),
    firmware: [],
  };
}

function statusCommand(): Command {
  return operatorOptions(new Command('status'), 'pki')
    .description('which bundle is out, until when it holds, what is due, which pins end, and which devices go by it')
    .addHelpText('after', '\nExample:\n  $ keystead trust status --json')
    .action(async (options: OperatorOptions) => {
      const view = await look(options);
      if (options.json === true) {
        const { content: _content, ...rest } = view;
        process.stdout.write(`${JSON.stringify(rest)}\n`);
        return;
      }
      process.stdout.write(`${statusTable(view)}\n`);
    });
}

function proposeCommand(): Command {
  const command = new Command('propose').argument('<content>', 'JSON, as keystead trust show prints it');
  return elsewhereOptions(operatorOptions(command, 'pki'))
    .description('ask for a change of what stands in the bundles: begins the file that others add their approvals to')
    .requiredOption('--reason <text>', 'why')
    .requiredOption('--out <file>', 'where the statements go, one a line')
    .option('--strand', 'something may be taken from devices before its time is over: this takes the larger quorum')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead trust propose content.json --reason "a new update server" --out bundle.statements',
    )
    .action(
      async (
        path: string,
        options: OperatorOptions & SignWithOptions & { reason: string; out: string; strand?: boolean },
      ) => {
        if (existsSync(options.out)) throw new KeysteadError('approval.proposal-exists', { field: options.out });
        const content = jsonOf(path);
        const text = await asSigningOperator(options, async (client, signer) => {
          const { changes, content: before } = await client.get<TrustView>('/api/v1/trust');
          const policy = await policyOf(client);
          const order = checkTrustOrder({
            id: `trust-${toHex(randomBytes(8))}`,
            fleet: trustPolicy(policy).fleet,
            change: changes + 1,
            content,
            strand: options.strand === true,
            reason: options.reason,
          });
          process.stdout.write(`${describe(order, before)}\n`);
          const role = roleOf(policy, options.as, (held) => permits([held], 'trust.propose'));
          const draft = { act: 'propose' as const, order, proposer: options.as, role, ...timesNow() };
          return signTrustStatement(draft, options.as, signer());
        });
        durableWrite(options.out, `${text}\n`, 0o644);
        process.stdout.write(`${options.out}: approved by others with keystead trust approve\n`);
      },
    );
}

interface InOptions extends OperatorOptions {
  in: string;
}

function approveCommand(): Command {
  return elsewhereOptions(operatorOptions(new Command('approve'), 'architect'))
    .description("add this operator's approval to the file; look at what it says first")
    .requiredOption('--in <file>', 'the statements')
    .addHelpText('after', '\nExample:\n  $ keystead trust approve --in bundle.statements --as architect')
    .action(async (options: InOptions & SignWithOptions) => {
      const statements = readStatements(options.in);
      const { order, proposer } = parseTrustStatement(statements[0] ?? '').content;
      const text = await asSigningOperator(options, async (client, signer) => {
        const policy = await policyOf(client);
        const before = permitsLook(policy, options.as) ? (await client.get<TrustView>('/api/v1/trust')).content : null;
        process.stdout.write(`${describe(order, before)}\n`);
        const { roles } = trustQuorum(policy, order);
        const role = roleOf(policy, options.as, (held) => roles.includes(held));
        const draft = { act: 'approve' as const, order, proposer, role, ...timesNow() };
        return signTrustStatement(draft, options.as, signer());
      });
      durableWrite(options.in, `${[...statements, text].join('\n')}\n`, 0o644);
      process.stdout.write(`${options.in}: ${statements.length + 1} statements\n`);
    });
}

function publishCommand(): Command {
  return operatorOptions(new Command('publish'), 'pki')
    .description('have keyd sign the bundle that the quorum ordered, and publish it')
    .requiredOption('--in <file>', 'the statements')
    .addHelpText('after', '\nExample:\n  $ keystead trust publish --in bundle.statements')
    .action(async (options: InOptions) => tell(options, await post(options, readStatements(options.in))));
}

function filterCommand(): Command {
  return operatorOptions(new Command('filter'), 'pki')
    .description('build the revocation filter now, and publish it in a bundle with the same content')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead trust filter\n\nkeyd signs it when something was revoked since, or one is due.',
    )
    .action(async (options: OperatorOptions) => tell(options, await post(options, [])));
}

const post = (options: OperatorOptions, statements: string[]): Promise<BundleView> =>
  asOperator(options, (client) => client.post<BundleView>('/api/v1/trust/bundles', { statements }));

function tell(options: OperatorOptions, bundle: BundleView): void {
  if (options.json === true) process.stdout.write(`${JSON.stringify(bundle)}\n`);
  else {
    const filter = bundle.filterSha256 === null ? 'no filter' : `filter ${bundle.filterSha256}`;
    process.stdout.write(`bundle ${bundle.version} is published, until ${bundle.expires}; ${filter}\n`);
  }
}

/** What people agree to, as they can compare it, and what it takes from devices. */
function describe({ id, fleet, change, content, strand, reason }: TrustOrder, before: StandingJson | null): string {
  const hash = toHex(sha256(Buffer.from(canonicalJson(content as JsonValue), 'utf8')));
  const standing = standingOfJson(content);
  const rows = [
    ['order', `${id}: change ${change} of the bundles of ${fleet}${strand ? ', which MAY STRAND DEVICES' : ''}`],
    ['reason', reason],
    ['content', `SHA-256 ${hash}`],
    ...describeStanding(standing),
  ];
  const now = Math.floor(systemClock.now().getTime() / 1000);
  const lost = before === null ? [] : strandedBy(standingOfJson(before), standing, now);
  return table([...rows, ...lost.map(({ field, seen }) => ['TAKES', `${field}: ${seen}`])]);
}

const describeStanding = ({ anchors, pins, signers, firmware }: Standing): string[][] => [
  ...anchors.map(({ role, certificate, from, until }) => [
    'anchor',
    `${role}, key ${spkiSha256(readCertificate(certificate).spki)}, ${windowOf(from, until)}`,
  ]),
  ...pins.flatMap(({ role, keys }) =>
    keys.map(({ use, spkiSha256: key, from, until }) => ['pin', `${role} ${use}, ${key}, ${windowOf(from, until)}`]),
  ),
  ...signers.map(({ spki, from, until }) => ['signer', `${spkiSha256(spki)}, ${windowOf(from, until)}`]),
  ...firmware.map(({ product, signers: keys, minimumSecurityCounter }) => [
    'firmware',
    `${product} from security counter ${minimumSecurityCounter}, by ${keys.join(', ')}`,
  ]),
];

const windowOf = (from: number, until: number): string =>
  `${new Date(from * 1000).toISOString()} to ${new Date(until * 1000).toISOString()}`;

/** @throws KeysteadError `trust-order.malformed`. */
function jsonOf(path: string): unknown {
  try {
    return JSON.parse(readText(path));
  } catch (cause) {
    if (cause instanceof KeysteadError) throw cause;
    throw new KeysteadError('trust-order.malformed', { field: path, seen: 'something that is not JSON', cause });
  }
}

const readStatements = (path: string): string[] =>
  readText(path)
    .split('\n')
    .filter((line) => line !== '')
    .slice(0, MOST_STATEMENTS);

async function policyOf(client: { get<T>(path: string): Promise<T> }): Promise<Policy> {
  const { file } = await client.get<{ file: string }>('/api/v1/policy');
  return parsePolicy(Buffer.from(file));
}

const permitsLook = (policy: Policy, name: string): boolean =>
  permits(operatorOf(policy, name)?.roles ?? [], 'trust.read');

/** The role by which an operator of the policy may sign. keyd says so if there is none. */
function roleOf(policy: Policy, name: string, may: (role: Role) => boolean): Role {
  const held = operatorOf(policy, name)?.roles ?? [];
  const role = held.find(may) ?? held[0];
  if (role === undefined) throw new KeysteadError('operator.unknown', { field: '--as', seen: name });
  return role;
}

function timesNow(): Pick<TrustStatement, 'signedAt' | 'expiresAt'> {
  const now = systemClock.now().getTime();
  const second = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  return { signedAt: second(now), expiresAt: second(now + HOLDS_SECONDS * 1000) };
}
