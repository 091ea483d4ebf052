import type { CampaignState } from '../store/index.ts';

/** What can be rotated. */
export const CAMPAIGN_KINDS = [
  'device-credentials',
  'issuing-ca',
  'root',
  'server-keys',
  'firmware-keys',
  'algorithm',
] as const;
export type CampaignKind = (typeof CAMPAIGN_KINDS)[number];

interface KindRules {
  /** What the target of such a campaign is. */
  readonly target: string;
  /** By what a device shows that it has moved. */
  readonly uptake: 'certificate' | 'bundle';
  /** The step at which a device that has not moved is cut off. */
  readonly cutsOffAt: 'switch' | 'retire';
  /** The states from which it can be taken back; of a paused campaign where it was. */
  readonly reversible: readonly CampaignState[];
  /** What Keystead does by itself. */
  readonly keystead: string;
  /** What people do, each checked before the campaign goes on. */
  readonly people: string;
}

export const KINDS: Readonly<Record<CampaignKind, KindRules>> = {
  'device-credentials': {
    target: 'a profile of devices: `ldevid`',
    uptake: 'certificate',
    cutsOffAt: 'retire',
    reversible: ['distributing', 'switched'],
    keystead: 'asks the devices of each open ring to renew at once, spread over the window; counts their certificates',
    people: 'open the rings',
  },
  'issuing-ca': {
    target: 'a key of a CA: `operational`, then `operational.2`',
    uptake: 'certificate',
    cutsOffAt: 'retire',
    // keyd does not go back to a key of a CA that has a successor.
    reversible: ['distributing'],
    keystead:
      'issues by the new key from the import on, and gives out old and new chains; asks the devices of each open ring to renew; counts the certificates of the old key that can be used still',
    people: '`hierarchy request --new-key`, `ceremony intermediate`, `hierarchy import`, then the rings',
  },
  root: {
    target: '`root` or `signing-root`',
    uptake: 'bundle',
    cutsOffAt: 'switch',
    reversible: ['distributing'],
    keystead: 'checks that trust bundle and rollover are those of the plan; counts who has the bundle',
    people:
      '`ceremony rollover`, a trust bundle with both roots, `hierarchy import`, a trust bundle without the old root',
  },
  'server-keys': {
    target: 'a role of pins of the trust bundle',
    uptake: 'bundle',
    cutsOffAt: 'switch',
    reversible: ['distributing', 'switched'],
    keystead:
      'writes what the next bundle is to have; checks that it has the pins of the plan, with a backup; counts who has the bundle, and at the end who believes the old key',
    people: 'a trust bundle with both pins, the key of the server, a trust bundle without the old pin',
  },
  'firmware-keys': {
    target: 'a product of the trust bundle',
    uptake: 'bundle',
    cutsOffAt: 'switch',
    reversible: ['distributing', 'switched'],
    keystead:
      'writes what the next bundle is to have; checks that it believes both keys, and what the policy lets them do; counts who has the bundle, and at the end who believes the old key',
    people: 'the new key in policy and ceremony, a trust bundle with both keys, one without the old key',
  },
  algorithm: {
    target: 'a profile of devices: `ldevid`',
    uptake: 'certificate',
    cutsOffAt: 'retire',
    reversible: ['distributing', 'switched'],
    keystead:
      'checks what the policy takes; asks the devices of each open ring to renew; counts the certificates by algorithm',
    people: 'a policy that takes both algorithms, firmware that speaks the new one, a policy without the old one',
  },
};

export const rulesOf = (kind: CampaignKind): KindRules => KINDS[kind];

/** The kinds as Markdown, for docs/rotation.md. */
export function kindsMarkdown(): string {
  const rows = CAMPAIGN_KINDS.map((kind) => {
    const { target, cutsOffAt, reversible, keystead, people } = KINDS[kind];
    return `| \`${kind}\` | ${target} | ${keystead} | ${people} | ${cutsOffAt} | ${reversible.join(', ')} |`;
  });
  const head = '| kind | target | Keystead | people | cuts off at | can be taken back while |';
  return `${head}\n|---|---|---|---|---|---|\n${rows.join('\n')}\n`;
}
