import { durationText } from '../duration.ts';
import { firmwareKeyQuorum } from '../firmware/key-order.ts';
import { lineKeys } from '../firmware/line-keys.ts';
import { FIRMWARE_ENVIRONMENTS, firmwareQuorum, firmwareScheme, firmwareTimestamp } from '../firmware/policy.ts';
import type { Policy } from '../policy.ts';
import { type Block, list, paragraph, section, table } from './content.ts';

/** What firmware is signed, by which keys and by whose agreement. */
export function firmwareSections(policy: Policy): Block[] {
  const { firmware } = policy;
  if (firmware === undefined) return [];
  const emergency = firmwareKeyQuorum(policy, { change: 'kill' });
  return [
    section('Firmware signing'),
    paragraph(
      'A release engineer asks for a signature, and others approve: each signs the order, which binds the image by its SHA-256. keyd verifies every statement itself by the policy in force at that moment, and signs.',
    ),
    table(
      [
        'Product',
        'Environment',
        'Keys',
        'Trusted, sign nothing',
        'Formats',
        'Approvals',
        'By',
        'Going back',
        'Time stamp',
      ],
      firmware.products.flatMap(({ product, environments }) =>
        FIRMWARE_ENVIRONMENTS.flatMap((environment) => {
          const line = environments[environment];
          if (line === undefined) return [];
          const { keys, formats, approvals, rollback } = line;
          const stamp = firmwareTimestamp(policy, { product, environment });
          const by = (back: boolean): string => {
            const { roles, hardware } = firmwareQuorum(policy, { product, environment, rollback: back });
            return `${roles.join(', ')}${hardware === true ? ', with keys held in hardware' : ''}`;
          };
          const back = rollback === undefined ? 'refused' : `${rollback.approvals} of ${by(true)}`;
          const { trusted } = lineKeys(policy, { product, environment });
          return [
            [
              product,
              environment,
              keys.join(', '),
              trusted.join(', ') || '-',
              formats.join(', '),
              `${approvals}`,
              by(false),
              back,
              stamp,
            ],
          ];
        }),
      ),
    ),
    table(
      ['Key', 'Algorithm', 'Signs by', 'Product', 'Environment', 'Formats', 'At the most'],
      firmware.keys.map((key) => [
        key.id,
        key.algorithm,
        firmwareScheme(key),
        key.product,
        key.environment,
        key.formats.join(', '),
        key.maxSignatures === undefined ? 'no limit' : `${key.maxSignatures} orders`,
      ]),
    ),
    list(
      'A production key is certified by the signing root in a ceremony. A development key is certified by itself alone: no path leads from it to an anchor of production.',
      `A key that is in other hands is killed for good by ${emergency.approvals} of ${emergency.roles.join(', ')}, besides the one who asks; keyd verifies every signature itself. One CA operator suspends a key, and it comes back by the quorum that changes the policy.`,
      'A key leaves the anchors of its devices only while another one that they trust signs on.',
      'Version and security counter of what is signed for a target never go below what was signed for it before, but by an order with the larger quorum.',
      ...firmware.products.flatMap(({ product, environments }) =>
        FIRMWARE_ENVIRONMENTS.flatMap((environment) => {
          const names = environments[environment]?.targets;
          return names === undefined
            ? []
            : [`${product} in ${environment} has these targets alone: ${names.join(', ')}.`];
        }),
      ),
    ),
  ];
}

/** Which update repositories keyd keeps fresh, and how long what it says is good for. */
export function tufSections({ tuf }: Policy): Block[] {
  if (tuf === undefined) return [];
  return [
    section('Update repositories'),
    paragraph(
      'Root and targets of each repository are signed by people. keyd signs snapshot and timestamp with keys of its own, over what the root that is named here, or one that follows from it, lets stand; versions never go back.',
    ),
    table(
      ['Repository', 'Keys', 'First root, SHA-256', 'Snapshot good for', 'Timestamp good for'],
      tuf.repositories.map(({ repository, keys, root, snapshotSeconds, timestampSeconds }) => [
        repository,
        keys.map(({ id, algorithm }) => `${id} (${algorithm})`).join(', '),
        root ?? 'none yet: nothing is signed',
        durationText(snapshotSeconds),
        durationText(timestampSeconds),
      ]),
    ),
  ];
}
