import { durationText } from '../duration.ts';
import type { Policy } from '../policy.ts';
import { trustQuorum } from '../trust/policy.ts';
import { type Block, list, paragraph, section, table } from './content.ts';

/** What devices go by, who decides it, and how fresh it is. */
export function trustSections(policy: Policy): Block[] {
  const { trust } = policy;
  if (trust === undefined) return [];
  const { fleet, keys, bundle, filter, approvals, strand } = trust;
  const by = (stranding: boolean): string => {
    const { roles, hardware } = trustQuorum(policy, { strand: stranding });
    return `${roles.join(', ')}${hardware === true ? ', with keys held in hardware' : ''}`;
  };
  return [
    section('Trust bundles'),
    paragraph(
      `Devices of the fleet '${fleet}' go by one signed document: anchors, pins, who may sign the next one, the least firmware, and the revocation filter that belongs to it. A CA operator asks for a change of its content, and others approve; keyd verifies every statement itself and signs. Nothing but such an order changes the content.`,
    ),
    table(
      ['What', 'How'],
      [
        ['A change takes', `${approvals} of ${by(false)}`],
        [
          'One that takes something from devices at once',
          strand === undefined ? 'refused' : `${strand.approvals} of ${by(true)}`,
        ],
        ['A bundle holds', durationText(bundle.seconds)],
        ['It is signed anew, with the same content', `after ${bundle.refreshPercent}% of that`],
        ['Devices may be away for', durationText(bundle.awaySeconds)],
        ['The longest bundle', `${bundle.maxBytes} bytes`],
        ...(filter === undefined
          ? [['Revocation filter', 'none']]
          : [
              ['Revocation filter of', filter.issuers.join(', ')],
              ['It is built every', durationText(filter.everySeconds)],
              ['It holds', durationText(filter.seconds)],
              ['Deltas before one stands alone', `${filter.mostDeltas}`],
            ]),
      ],
    ),
    table(
      ['Key', 'Algorithm'],
      keys.map(({ id, algorithm }) => [id, algorithm]),
    ),
    list(
      'Each pinned name has a backup key, always. A signer that is changed is believed for as long as devices may be away.',
      'keyd compares each filter with its own list of revocations before a bundle names it.',
    ),
  ];
}
