import type { RequestView } from '../signing/index.ts';

/** A request as people read it before they sign. */
export function requestText(view: RequestView): string {
  const { order, shown, documents, scan } = view;
  const counter = order.securityCounter === null ? '' : `, security counter ${order.securityCounter}`;
  const rows: (readonly [string, string])[] = [
    ['product', `${order.product} for ${order.environment}`],
    ['target', order.target],
    ['version', `${order.version}${counter}${order.rollback ? ' -- GOES BACK behind what was signed before' : ''}`],
    ['format', `${order.format}, by ${order.keys.join(', ')}`],
    ['image', `${order.image.bytes} bytes, SHA-256 ${order.image.sha256}`],
    ['subject', `SHA-256 ${order.subjectSha256}`],
    ...shown.map(({ name, value }) => [`  ${name}`, value] as const),
    ...order.documents.map(
      ({ name, sha256 }, index) => [name, `${documents[index]?.title ?? ''}, SHA-256 ${sha256}`] as const,
    ),
    [
      'scan',
      `no private key in the clear; ${scan.encrypted} under a passphrase, ${scan.unread} places not looked into`,
    ],
    ['reason', order.reason],
    ['submitted', `by ${view.submittedBy}, ${view.createdAt}`],
    ['asked for', view.proposer === null ? 'by nobody yet' : `by ${view.proposer}`],
    [
      'approved',
      `${view.approvers.join(', ') || 'by nobody yet'}; ${view.needed ?? '?'} of ${view.roles.join(', ') || 'nobody'} needed`,
    ],
    ...(view.expiresAt === null ? [] : [['until', view.expiresAt] as const]),
    ...(view.refusal === null ? [] : [['refused', view.refusal] as const]),
    ...(view.result === null ? [] : [['result', `${view.result.bytes} bytes, SHA-256 ${view.result.sha256}`] as const]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    `${view.id}: ${view.state}, order ${view.orderSha256}`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
  ].join('\n');
}

export function printView(json: boolean | undefined, view: unknown, text: string): void {
  process.stdout.write(json === true ? `${JSON.stringify(view, null, 2)}\n` : `${text}\n`);
}
