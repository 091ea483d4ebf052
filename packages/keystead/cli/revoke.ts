import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { type SpkiSha256, toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  GIVEN_REASONS,
  isIssuerId,
  issuerKeyId,
  ONLINE_CAS,
  operatorOf,
  parsePolicy,
  parseRevocationStatement,
  permits,
  type RevocationStatement,
  type Role,
  type StatementSigner,
  signKeyOrder,
  signRevocationStatement,
} from '@keystead/core/lifecycle';
import { Command, Option } from 'commander';
import type { ActView, Census } from '../authority/index.ts';
import type { RestClient } from '../client/rest.ts';
import { systemClock } from '../clock/system.ts';
import { Layout } from '../files/layout.ts';
import type { KeyEventView, KeyView } from '../inventory/index.ts';
import { duration } from './duration.ts';
import { crlText, type RevokedAnswer, withheldTexts } from './on-crl.ts';
import { asSigningOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { requireTrue, type ShownCertificate } from './revocation-check.ts';
import { elsewhereOptions, type SignWithOptions, signWithOptions } from './statement-signer.ts';

interface RevokeOptions extends OperatorOptions, SignWithOptions {
  serial?: string;
  issuer?: string;
  certificate?: string;
  device?: string;
  batch?: string;
  key?: string;
  ca?: string;
  reason?: string;
  invalidityDate?: string;
  hold?: boolean;
  release?: boolean;
  dryRun?: boolean;
  propose?: boolean;
  for: number;
  yes?: boolean;
}

type Shown = Omit<Census, 'listed'> & {
  readonly listed: readonly ShownCertificate[];
  readonly next: readonly string[];
};
type ActAnswer = ActView & { readonly next?: readonly string[] };

/** More than these are no slip of the hand: they are confirmed, and so is every batch and every CA. */
const LARGE = 10;
const LOOK_EVERY_MS = 500;
const REQUESTS = '/api/v1/revocation-requests';

/** `keystead revoke`: takes certificates out of service, puts them on hold, and brings those back. REQ-KEY-REV-01 */
export function revokeCommand(): Command {
  const revoke = new Command('revoke').description(
    'revoke, hold or release certificates, keys, devices, batches and CAs; ask others to agree, and approve',
  );
  revoke.addCommand(orderCommand(), { isDefault: true });
  revoke.addCommand(requestsCommand());
  revoke.addCommand(showCommand());
  revoke.addCommand(approveCommand());
  revoke.addCommand(withdrawCommand());
  return revoke.addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Examples:
  $ keystead revoke --device KS-0003 --reason keyCompromise --dry-run   what it would take; changes nothing
  $ keystead revoke --device KS-0003 --reason keyCompromise
  $ keystead revoke --certificate lost.pem --reason superseded
  $ keystead revoke --serial 4F:0A:11 --issuer server --hold            for an inquiry; not for good
  $ keystead revoke --serial 4F:0A:11 --issuer server --release         signed with your key; keyd verifies it
  $ keystead revoke --batch batch-2026-11 --reason privilegeWithdrawn --propose
  $ keystead revoke approve ID --as approver
  $ keystead revoke --ca operational --reason cACompromise              its key is stopped first

keystead revoke order --help lists every option of the first ones.
Reasons: ${GIVEN_REASONS.join(', ')}; cACompromise is for a CA alone.
Exit codes: 0 done, or asked for with --propose; 2 wrong command line; 3 refused; 4 try again.`;

function orderCommand(): Command {
  return signWithOptions(operatorOptions(new Command('order'), 'pki'))
    .description('revoke what one of these names; this is what keystead revoke does')
    .option('--serial <hex>', 'a certificate by its serial number, in the form of any tool')
    .option('--issuer <ca>', `which CA issued that: ${ONLINE_CAS.join(', ')}; operational.2 is its second key`)
    .option('--certificate <file>', 'a certificate by itself, PEM or DER')
    .option('--device <id>', 'a device with all it has; revoked, it gets no certificate any more')
    .option('--batch <ticket>', 'every unit of a batch ticket')
    .option('--key <sha256>', 'a key by the SHA-256 of its SubjectPublicKeyInfo, with every certificate on it')
    .option('--ca <ca>', 'all that a CA has issued')
    .addOption(new Option('--reason <reason>', 'why it is revoked').choices(GIVEN_REASONS))
    .option('--invalidity-date <time>', 'since when it is known or suspected to be invalid, ISO 8601 (RFC 5280 5.3.2)')
    .addOption(new Option('--hold', 'put it on hold: it can be released').conflicts(['release', 'reason']))
    .addOption(new Option('--release', 'take it off its hold, signed with your own key').conflicts(['reason']))
    .option('--dry-run', 'tell what it would take, and change nothing')
    .option('--propose', 'sign that you ask for it; others approve, as the policy says')
    .option('--for <time>', 'how long the request or the release is good, for example 12h, 7d', duration, 24 * 3600)
    .option('--yes', `do not ask, also when it is a batch, a CA or more than ${LARGE} certificates`)
    .addHelpText('after', EXAMPLES)
    .action(async (options: RevokeOptions) => {
      const body = bodyOf(options);
      await asSigningOperator(options, async (client, signer) => {
        const census = await client.post<Shown>('/api/v1/revocations', { ...body, dryRun: true });
        if (options.dryRun === true) return print(options, census, censusText(census));
        await confirm(census, options);
        if (census.selector.kind === 'ca' && census.reason === 'cACompromise')
          await stopCa(client, census, options, signer);
        if (options.release !== true && options.propose !== true) return revokeNow(client, body, census, options);
        const statement = await ask(census, options, signer);
        const view = await finished(client, await client.post<ActAnswer>(REQUESTS, { statement }), options);
        print(options, view, actText(view));
      });
    });
}

async function revokeNow(client: RestClient, body: object, census: Shown, options: RevokeOptions): Promise<void> {
  const answer = await client.post<ActAnswer | RevokedAnswer>('/api/v1/revocations', body);
  if ('revoked' in answer) {
    const what = census.act === 'hold' ? 'on hold' : `revoked (${census.reason})`;
    print(
      options,
      answer,
      `${nameOf(census)}: ${answer.revoked.length} ${certificates(answer.revoked.length)} ${what}; ${crlText(answer)}`,
    );
    return;
  }
  const view = await finished(client, answer, options);
  print(options, view, actText(view));
}

function requestsCommand(): Command {
  return operatorOptions(new Command('requests'), 'auditor')
    .description('the requests that wait for others, and the acts that are being carried out')
    .action(async (options: OperatorOptions) => {
      const { requests, withheld } = await asSigningOperator(options, (client) =>
        client.get<{ requests: ActView[]; withheld: Record<string, number> }>(REQUESTS),
      );
      const rows = requests.map((one) => [
        one.id,
        one.state,
        one.act,
        nameOf(one),
        one.reason ?? '',
        `${one.approvers.length} of ${one.needed}`,
        one.expiresAt ?? '',
      ]);
      const head = ['request', 'state', 'act', 'of', 'reason', 'approvals', 'until'];
      const text = rows.length === 0 ? 'no request waits' : table([head, ...rows]);
      print(options, requests, [text, ...withheldTexts(withheld)].join('\n'));
    });
}

function showCommand(): Command {
  return operatorOptions(new Command('show').argument('<request>'), 'auditor')
    .description('one request: what it is for, who agreed, how far it has come')
    .action(async (id: string, options: OperatorOptions) => {
      const view = await asSigningOperator(options, (client) => client.get<ActAnswer>(`${REQUESTS}/${id}`));
      print(options, view, actText(view));
    });
}

function approveCommand(): Command {
  return elsewhereOptions(operatorOptions(new Command('approve').argument('<request>'), 'approver'))
    .description("sign that you agree to another person's request; with the last approval it is carried out")
    .option('--for <time>', 'how long the approval is good', duration, 24 * 3600)
    .option('--yes', `do not ask, also when it is a batch, a CA or more than ${LARGE} certificates`)
    .addHelpText('after', '\nExample:\n  $ keystead revoke approve 5b1f0c9a2e7d4411 --as approver')
    .action(async (id: string, options: OperatorOptions & SignWithOptions & { for: number; yes?: boolean }) => {
      const done = await asSigningOperator(options, async (client, signer) => {
        const view = await client.get<ActAnswer>(`${REQUESTS}/${encodeURIComponent(id)}`);
        const proposal = parseRevocationStatement(view.statements[0] ?? '').content;
        const census = await client.post<Shown>('/api/v1/revocations', {
          ...bodyOfOrder(proposal.order),
          dryRun: true,
        });
        const same = census.count === proposal.order.count && census.listSha256 === proposal.order.listSha256;
        if (proposal.order.act === 'release' && same) requireTrue(census, new Layout(options.data));
        await confirm(census, options);
        const { order, proposer } = proposal;
        const statement = await sign({ act: 'approve', order, proposer }, options, signer, (role) =>
          view.roles.includes(role),
        );
        return finished(client, await client.post<ActAnswer>(`${REQUESTS}/${id}/approvals`, { statement }), options);
      });
      print(options, done, actText(done));
    });
}

function withdrawCommand(): Command {
  return operatorOptions(new Command('withdraw').argument('<request>'), 'pki')
    .description('end a request that waits')
    .action(async (id: string, options: OperatorOptions) => {
      const path = `${REQUESTS}/${encodeURIComponent(id)}/withdrawal`;
      const view = await asSigningOperator(options, (client) => client.post<ActAnswer>(path, {}));
      print(options, view, actText(view));
    });
}

/** Signs a request for what the service showed; of a release, only after looking at the certificates themselves. */
function ask(census: Shown, options: RevokeOptions, signer: () => StatementSigner): Promise<string> {
  const { selector, act, reason, count, listSha256 } = census;
  if (act === 'release') requireTrue(census, new Layout(options.data));
  const order: RevocationStatement['order'] = {
    ...{ id: toHex(randomBytes(8)), act, selector, count, listSha256 },
    ...(reason === null ? {} : { reason }),
    ...(options.invalidityDate === undefined
      ? {}
      : { invalidityDate: wholeSecond(Date.parse(options.invalidityDate)) }),
  };
  const may = (role: Role): boolean => permits([role], 'revocation.propose');
  return sign({ act: 'propose', order, proposer: options.as }, options, signer, may);
}

function sign(
  draft: Pick<RevocationStatement, 'act' | 'order' | 'proposer'>,
  options: OperatorOptions & { for: number },
  signer: () => StatementSigner,
  may: (role: Role) => boolean,
): Promise<string> {
  const policy = parsePolicy(readFileSync(new Layout(options.data).policy));
  const roles = operatorOf(policy, options.as)?.roles ?? [];
  const role = roles.find(may);
  if (role === undefined) {
    const seen = `${options.as}, who is ${roles.join(', ') || 'nobody in the policy'}`;
    throw new KeysteadError('revocation-request.signer-forbidden', { field: 'role', seen });
  }
  const now = systemClock.now().getTime();
  const times = { signedAt: wholeSecond(now), expiresAt: wholeSecond(now + options.for * 1000) };
  return signRevocationStatement({ ...draft, role, ...times }, options.as, signer());
}

/** The key of a CA that is compromised is stopped before anything else: it would go on to issue. */
async function stopCa(
  client: RestClient,
  { selector }: Shown,
  options: RevokeOptions,
  signer: () => StatementSigner,
): Promise<void> {
  // The key of a factory's CA is not keyd's: the factory is closed instead.
  if (selector.kind !== 'ca' || !isIssuerId(selector.ca)) return;
  const key = await client.get<KeyView & { history: KeyEventView[] }>(`/api/v1/keys/${issuerKeyId(selector.ca)}`);
  if (key.state === 'compromised' || key.spkiSha256 === null) return;
  const order = await signKeyOrder(
    {
      spkiSha256: key.spkiSha256 as SpkiSha256,
      change: 'compromise',
      after: key.history.filter(({ by }) => by.startsWith('operator:')).length,
      reason: `revocation of the ${selector.ca} CA`,
      at: systemClock.now(),
    },
    options.as,
    signer(),
  );
  await client.post('/api/v1/key-orders', { order });
}

/** Looks a large act up until it is done, and tells how far it is. */
async function finished(client: RestClient, first: ActAnswer, options: OperatorOptions): Promise<ActAnswer> {
  let view = first;
  while (view.state === 'running') {
    if (options.json !== true && process.stderr.isTTY) {
      process.stderr.write(`\r${view.certificates} certificates, ${view.devices} devices so far`);
    }
    await pause(LOOK_EVERY_MS);
    view = await client.get<ActAnswer>(`${REQUESTS}/${view.id}`);
  }
  return view;
}

/** @throws KeysteadError `revocation.unconfirmed`. */
async function confirm(census: Shown, { yes }: { yes?: boolean }): Promise<void> {
  const { certificates: many, selector } = census;
  const large = many > LARGE || selector.kind === 'batch' || selector.kind === 'ca';
  if (!large || yes === true) return;
  process.stderr.write(`${censusText(census)}\n`);
  if (!process.stdin.isTTY) throw new KeysteadError('revocation.unconfirmed', { field: '--yes', seen: `${many}` });
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const typed = await asking.question(`Type the number of certificates to go on: `);
    if (typed.trim() === String(many)) return;
    throw new KeysteadError('revocation.unconfirmed', { field: 'number', seen: typed.slice(0, 20) });
  } finally {
    asking.close();
  }
}

/** The request as the service takes it. */
function bodyOf(options: RevokeOptions): Record<string, unknown> {
  const act = (options.hold === true && 'hold') || (options.release === true && 'release') || 'revoke';
  return {
    act,
    ...named('serial', options.serial),
    ...named('issuer', options.issuer),
    ...named('certificate', options.certificate === undefined ? undefined : certificateText(options.certificate)),
    ...named('deviceId', options.device),
    ...named('ticketId', options.batch),
    ...named('spkiSha256', options.key),
    ...named('ca', options.ca),
    ...named('reason', options.reason),
    ...named('invalidityDate', options.invalidityDate),
  };
}

const named = (name: string, value: string | undefined): Record<string, string> =>
  value === undefined ? {} : { [name]: value };

function bodyOfOrder({ act, selector, reason, invalidityDate }: RevocationStatement['order']): Record<string, unknown> {
  const { kind, ...rest } = selector;
  return { act, ...rest, ...named('reason', reason), ...named('invalidityDate', invalidityDate) };
}

function certificateText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('cert.not-der', { field: path, seen: 'no readable file', cause });
  }
  const text = bytes.toString('latin1');
  const begin = text.indexOf('-----BEGIN CERTIFICATE-----');
  return begin < 0 ? bytes.toString('base64') : text.slice(begin);
}

function nameOf({ selector }: Pick<ActView, 'selector'>): string {
  const { kind, ...rest } = selector;
  return `${kind} ${Object.values(rest).join(' ')}`;
}

const certificates = (count: number): string => (count === 1 ? 'certificate' : 'certificates');

function censusText(census: Shown): string {
  const { act, reason, quorum, listed, next } = census;
  const lines = [
    `${act} ${nameOf(census)}${reason === null ? '' : ` for ${reason}`}`,
    `  certificates  ${census.certificates}`,
    `  devices       ${census.devices} would lose one; ${census.cutOff} would have none left`,
    `  keys          ${census.keys} would be blocked for ever`,
    `  takes         ${quorum.approvals === 0 ? 'one CA operator' : `one CA operator, and ${quorum.approvals} of ${quorum.roles.join(', ')}: --propose`}`,
    `  list          ${census.count}, SHA-256 ${census.listSha256}`,
    ...listed.slice(0, 20).map(({ issuer, serial, subject }) => `  ${issuer} ${serial}  ${subject}`),
    ...(listed.length > 20 ? [`  and ${listed.length - 20} more`] : []),
    ...next.map((step) => `  next: ${step}`),
  ];
  return lines.join('\n');
}

function actText(view: ActAnswer): string {
  const approvals = `${view.approvers.length} of ${view.needed}`;
  const who = view.approvers.length === 0 ? view.proposer : `${view.proposer}, ${view.approvers.join(', ')}`;
  const lines =
    view.state === 'proposed'
      ? [
          `${view.id}: ${view.act} ${nameOf(view)} is asked for by ${view.proposer}; ${approvals} approvals`,
          `  until ${view.expiresAt}; of ${view.roles.join(', ')}: keystead revoke approve ${view.id} --as NAME`,
        ]
      : [
          `${view.id}: ${view.act} ${nameOf(view)} is ${view.state}; ${view.certificates} ${certificates(view.certificates)}, ${view.devices} devices; by ${who}`,
        ];
  return [...lines, ...(view.next ?? []).map((step) => `  next: ${step}`)].join('\n');
}

const print = (options: OperatorOptions, value: unknown, text: string): void => {
  process.stdout.write(options.json === true ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
};

const wholeSecond = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
