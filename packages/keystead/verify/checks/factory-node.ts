import { readFileSync } from 'node:fs';
import { certSha256 } from '@keystead/core/crypto';
import { checkFactoryCa, FACTORY_CAS, parsePolicy } from '@keystead/core/lifecycle';
import { checkPath, readCertificate } from '@keystead/core/x509';
import { requireNotRevoked } from '../../keyd/factory/commission-check.ts';
import { nodeOf } from '../../keyd/factory/hierarchy.ts';
import { readNodePins } from '../../keyd/factory/pins.ts';
import { type Check, failed, passed, weak } from '../check.ts';

/** REQ-KEY-PROV-01, REQ-KEY-SOD-01: a factory node makes what headquarters lets it make, and nothing else. */
const commission: Check = {
  id: 'factory.commission',
  requirements: ['REQ-KEY-PROV-01', 'REQ-KEY-SOD-01'],
  text: "the node's sub-CAs lead to the pinned root, are constrained to this factory, in force, and on no list that was heard of",
  async run({ layout, clock }) {
    const pins = readNodePins(layout);
    if (pins === undefined) return failed('no commission was imported');
    const node = nodeOf(layout, pins);
    const { issued, above } = node.certificates;
    if (certSha256(above.root) !== pins.rootSha256) return failed('another root than the one that was vouched for');
    const policy = parsePolicy(readFileSync(layout.policy));
    const now = clock.now();
    for (const ca of FACTORY_CAS) {
      const { name: factory, serverNames } = node;
      checkFactoryCa(issued[ca], { policy, ca, factory, serverNames, issuer: above[ca] });
      const path = checkPath(issued[ca], [above[ca]], [above.root], { now });
      if (!path.ok) return failed(`${ca}: ${path.rule}: ${path.detail}`);
    }
    requireNotRevoked(node.certificates, node.crls);
    const ends = readCertificate(issued.manufacturing).notAfter.toISOString().slice(0, 10);
    const told = `commission ${node.number} of ${node.name}, for ${node.deviceIdPrefixes.join(', ')}, until ${ends}`;
    return node.closed ? weak(`${told}; CLOSED`) : passed(told);
  },
};

/** REQ-KEY-REV-03: a node knows who was revoked, or provisions nothing. */
const heard: Check = {
  id: 'factory.heard',
  requirements: ['REQ-KEY-REV-03'],
  text: 'the node has heard from headquarters within the time that the policy gives it',
  async run({ layout, clock }) {
    const pins = readNodePins(layout);
    if (pins === undefined) return failed('no commission was imported');
    const { crls } = nodeOf(layout, pins);
    const policy = parsePolicy(readFileSync(layout.policy));
    const now = clock.now();
    const until = crls.goodUntil(policy.factory?.offlineSeconds ?? 0);
    if (until < now) return failed(`not since ${until.toISOString()}: it provisions nothing`);
    const ended = crls.list().filter(({ nextUpdate }) => nextUpdate < now);
    if (ended.length === 0) return passed('every list of headquarters is current');
    return weak(
      `the link is down: it goes on until ${until.toISOString()}; ended: ${ended.map(({ ca }) => ca).join(', ')}`,
    );
  },
};

export const NODE_CHECKS: readonly Check[] = [commission, heard];
