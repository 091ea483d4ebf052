import { KeysteadError } from '@keystead/core/errors';
import type { FirmwareOrder, Role } from '@keystead/core/lifecycle';
import { durableWrite } from '../files/durable.ts';
import type { RequestView } from '../signing/index.ts';
import { offlineSigner } from './offline-signer.ts';
import { asOperator, type OperatorOptions } from './operator.ts';
import { namedFile } from './sign-files.ts';
import { requireOwnCopy, statementOf } from './sign-statement.ts';
import { printView } from './sign-text.ts';
import { lookUp, REQUESTS } from './sign-wait.ts';
import { type SignWithOptions, statementSigner } from './statement-signer.ts';

/** What a person who signs of a request says: as whom, by which key, for how long, and where it goes. */
export interface StatementOptions extends OperatorOptions, SignWithOptions {
  image?: string;
  request?: string;
  statement?: string;
  statementOut?: string;
  key?: string;
  role: Role;
  /** Seconds. */
  for: number;
}

/** How long a statement is good unless told. */
export const HOLDS_SECONDS = 86_400;

/** What is signed: from the service, or from a file where nothing can be asked. */
export async function shown(id: string, options: OperatorOptions & { request?: string }): Promise<RequestView> {
  if (options.request === undefined) return asOperator(options, (client) => lookUp(client, id));
  try {
    return JSON.parse(namedFile(options.request).toString('utf8')) as RequestView;
  } catch (cause) {
    if (cause instanceof KeysteadError) throw cause;
    throw new KeysteadError('request.malformed', { field: options.request, seen: 'not JSON', cause });
  }
}

/**
 * Signs one statement of an order, against the person's own copy of the image where they have one, and sends it, or leaves
 * it in a file for a machine that is offline.
 * @param said what the person has done, for people.
 */
export async function signAndSend(
  what: { readonly act: 'propose' | 'approve'; readonly order: FirmwareOrder; readonly proposer: string },
  options: StatementOptions,
  said: (signer: string) => string,
): Promise<void> {
  const { as: signer, role, for: seconds, image, statementOut } = options;
  if (image !== undefined) await requireOwnCopy(what.order, image, options.json === true);
  else process.stderr.write('without --image the digest is the one that the service told\n');
  const statement = await statementOf(
    { ...what, signer, role, seconds },
    statementSigner(options, () => offlineSigner(options)),
  );
  if (statementOut === undefined) return printSent(options, await send(what.order.id, statement, options));
  durableWrite(statementOut, `${statement}\n`, 0o644);
  printView(options.json, { statement: statementOut }, `${said(signer)}; it is in ${statementOut}`);
}

/** Sends what was signed elsewhere. */
export async function sendFile(id: string, path: string, options: OperatorOptions): Promise<void> {
  printSent(options, await send(id, namedFile(path).toString('utf8').trim(), options));
}

const send = (id: string, statement: string, options: OperatorOptions): Promise<RequestView> =>
  asOperator(options, (client) =>
    client.post<RequestView>(`${REQUESTS}/${encodeURIComponent(id)}/statements`, { statement }),
  );

export function printSent(options: OperatorOptions, view: RequestView): void {
  const text = `${view.id}: ${view.state}, ${view.approvers.length} of ${view.needed ?? '?'} approvals`;
  printView(options.json, view, text);
}
