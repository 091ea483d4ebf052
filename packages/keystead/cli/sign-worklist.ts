import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parsePolicy } from '@keystead/core/lifecycle';
import { Command } from 'commander';
import type { RestClient } from '../client/rest.ts';
import type { FirmwareKeyView, RequestView, WorklistEntry, WorklistPage } from '../signing/index.ts';
import { duration } from './duration.ts';
import { asOperator, asSigningOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { askingRole, requireOwnCopy, statementOf } from './sign-statement.ts';
import { printView, requestText } from './sign-text.ts';
import { lookUp, REQUESTS } from './sign-wait.ts';
import { elsewhereOptions, type SignWithOptions } from './statement-signer.ts';

const HOLDS_SECONDS = 86_400;

/** `keystead sign worklist`: what a key has signed, and what of it is not signed again. REQ-KEY-ROT-02 */
export function worklistCommand(): Command {
  return operatorOptions(new Command('worklist'), 'auditor')
    .description('the images that a key has signed, by the journal of keyd: what to sign again by another key')
    .requiredOption('--key <id>', 'the key, by its id in the policy')
    .option('--open', 'only what no other key has signed since')
    .addHelpText('after', '\nExample:\n  $ keystead sign worklist --key pump-1 --open --json')
    .action(async (options: OperatorOptions & { key: string; open?: true }) => {
      const all = await asOperator(options, (client) => everyPage(client, options.key));
      const entries = options.open === true ? all.filter(({ signedAgain }) => signedAgain === null) : all;
      const left = all.filter(({ signedAgain }) => signedAgain === null).length;
      const rows = entries.map((one) => [
        one.order,
        `${one.product} ${one.environment}`,
        one.target,
        `${one.version}${one.goesBack ? ' (goes back)' : ''}`,
        one.format,
        one.image.sha256.slice(0, 16),
        one.kept ? 'yes' : 'no',
        one.signedAgain ?? (one.waiting === null ? 'no' : `waits: ${one.waiting}`),
      ]);
      const head = ['order', 'product', 'target', 'version', 'format', 'image', 'kept', 'signed again'];
      const told = `${left} of ${all.length} are not signed again without ${options.key}`;
      const text = rows.length === 0 ? told : `${table([head, ...rows])}\n${told}`;
      printView(options.json, { key: options.key, entries }, text);
    });
}

async function everyPage(client: RestClient, key: string): Promise<WorklistEntry[]> {
  const entries: WorklistEntry[] = [];
  for (let from: number | null = 0; from !== null; ) {
    const query = new URLSearchParams({ key, from: String(from) });
    const page: WorklistPage = await client.get<WorklistPage>(`/api/v1/signing/worklist?${query}`);
    entries.push(...page.entries);
    from = page.next;
  }
  return entries;
}

/** `keystead sign keys`: the keys that sign firmware, what the policy lets each do, and why one does not. */
export function firmwareKeysCommand(): Command {
  return operatorOptions(new Command('keys'), 'auditor')
    .description('the keys that sign firmware: what the policy lets each do, its state, and why it signs nothing')
    .action(async (options: OperatorOptions) => {
      const view = await asOperator(options, (client) =>
        client.get<{ keys: FirmwareKeyView[] }>('/api/v1/signing/keys'),
      );
      const rows = view.keys.map((key) => [
        key.id,
        `${key.product} ${key.environment}`,
        key.algorithm,
        key.use,
        key.state,
        key.certifiedUntil?.slice(0, 10) ?? '-',
        `${key.orders}${key.maxSignatures === null ? '' : ` of ${key.maxSignatures}`}`,
        key.refused ?? '',
      ]);
      const head = ['key', 'product', 'algorithm', 'use', 'state', 'certified until', 'orders', 'why not'];
      printView(options.json, view, rows.length === 0 ? 'there are no keys' : table([head, ...rows]));
    });
}

interface ResignOptions extends OperatorOptions, SignWithOptions {
  signingKey: string[];
  reason: string;
  image?: string;
  rollback?: boolean;
  for: number;
}

/** `keystead sign resign`: asks for the signature of a kept image by other keys than before. */
export function resignCommand(): Command {
  const command = new Command('resign').argument('<request>', 'one whose image was signed before');
  return elsewhereOptions(operatorOptions(command, 'release'))
    .description('sign that you ask for another signature of an image that is kept: by other keys, all else as before')
    .requiredOption('--signing-key <id...>', 'keys of the policy')
    .requiredOption('--reason <text>', 'why, for those who approve and for the log')
    .option('--image <file>', 'your own copy of the image: it is hashed and read, and must be what the order says')
    .option('--rollback', 'it goes back behind what was signed since: takes the larger quorum of the policy')
    .option('--for <time>', 'how long the request is good, for example 12h', duration, HOLDS_SECONDS)
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead sign resign fw-3f0c1d2e4b5a6978 --signing-key pump-2 --reason "pump-1 was killed"',
    )
    .action(async (id: string, options: ResignOptions) => {
      const view = await asSigningOperator(options, async (client, key) => {
        const draft = await submitAgain(client, await lookUp(client, id), options);
        if (draft.state !== 'draft') return draft;
        if (options.image !== undefined) await requireOwnCopy(draft.order, options.image, options.json === true);
        else process.stderr.write('without --image the digest is the one that the service told\n');
        const { file } = await client.get<{ file: string }>('/api/v1/policy');
        const signer = options.as;
        const role = askingRole(parsePolicy(Buffer.from(file)), signer);
        const { order } = draft;
        const asked = { act: 'propose', order, proposer: signer, signer, role, seconds: options.for } as const;
        const statement = await statementOf(asked, key());
        return client.post<RequestView>(`${REQUESTS}/${draft.id}/statements`, { statement });
      });
      printView(options.json, view, requestText(view));
    });
}

/** @throws KeysteadError `signing.request-differs` where the draft is about another image than the request of before. */
async function submitAgain(client: RestClient, before: RequestView, options: ResignOptions): Promise<RequestView> {
  const { product, environment, target, version, securityCounter, format, image, documents } = before.order;
  const facts = {
    ...{ product, environment, target, version, format },
    ...(securityCounter === null ? {} : { securityCounter }),
    keys: options.signingKey,
    image: { sha256: image.sha256 },
    documents: Object.fromEntries(documents.map((one) => [one.name, one.sha256])),
    reason: options.reason,
    rollback: options.rollback === true,
  };
  // The same again is the same request.
  const id = `fw-${toHex(sha256(Buffer.from(JSON.stringify(facts), 'utf8'))).slice(0, 32)}`;
  const draft = await client.post<RequestView>(REQUESTS, { id, ...facts });
  const same = draft.order.image.sha256 === image.sha256 && draft.order.subjectSha256 === before.order.subjectSha256;
  if (!same || draft.order.version !== version || draft.order.target !== target)
    throw new KeysteadError('signing.request-differs', { field: draft.id, seen: `another image than ${before.id}` });
  return draft;
}
