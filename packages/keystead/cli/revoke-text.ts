import type { ActView, Census } from '../authority/index.ts';
import type { ShownCertificate } from './revocation-check.ts';

/** What an act would take, as the service tells it. */
export type Shown = Omit<Census, 'listed'> & {
  readonly listed: readonly ShownCertificate[];
  readonly next: readonly string[];
};
/** How an act stands, as the service tells it. */
export type ActAnswer = ActView & { readonly next?: readonly string[] };

export function nameOf({ selector }: Pick<ActView, 'selector'>): string {
  const { kind, ...rest } = selector;
  return `${kind} ${Object.values(rest).join(' ')}`;
}

export const certificates = (count: number): string => (count === 1 ? 'certificate' : 'certificates');

export function censusText(census: Shown): string {
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

export function actText(view: ActAnswer): string {
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
