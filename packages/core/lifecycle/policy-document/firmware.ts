import { FIRMWARE_ENVIRONMENTS, firmwareQuorum, firmwareScheme } from '../firmware/policy.ts';
import type { Policy } from '../policy.ts';
import { type Block, list, paragraph, section, table } from './content.ts';

/** What firmware is signed, by which keys and by whose agreement. */
export function firmwareSections(policy: Policy): Block[] {
  const { firmware } = policy;
  if (firmware === undefined) return [];
  return [
    section('Firmware signing'),
    paragraph(
      'A release engineer asks for a signature, and others approve: each signs the order, which binds the image by its SHA-256. keyd verifies every statement itself by the policy in force at that moment, and signs.',
    ),
    table(
      ['Product', 'Environment', 'Keys', 'Formats', 'Approvals', 'By', 'Going back'],
      firmware.products.flatMap(({ product, environments }) =>
        FIRMWARE_ENVIRONMENTS.flatMap((environment) => {
          const line = environments[environment];
          if (line === undefined) return [];
          const { keys, formats, approvals, rollback } = line;
          const by = (back: boolean): string => {
            const { roles, hardware } = firmwareQuorum(policy, { product, environment, rollback: back });
            return `${roles.join(', ')}${hardware === true ? ', with keys held in hardware' : ''}`;
          };
          const back = rollback === undefined ? 'refused' : `${rollback.approvals} of ${by(true)}`;
          return [[product, environment, keys.join(', '), formats.join(', '), `${approvals}`, by(false), back]];
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
      'Version and security counter of what is signed for a target never go below what was signed for it before, but by an order with the larger quorum.',
    ),
  ];
}
