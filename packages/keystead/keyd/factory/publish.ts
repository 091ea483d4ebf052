import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toPem } from '@keystead/core/bytes';
import { OFFLINE_CAS, ONLINE_CAS } from '@keystead/core/lifecycle';
import { durableWrite, removeUnfinished } from '../../files/durable.ts';
import type { Layout } from '../../files/layout.ts';
import { trustFile } from '../hierarchy.ts';
import { foundingPolicyPath } from '../policy-chain.ts';
import { certificatesOf } from './commission-check.ts';
import { type NodePins, nodePinsPath, readCommissionCopy } from './pins.ts';

/** Those of headquarters that certified this node's sub-CAs, in `trust/`. */
export const aboveFile = (layout: Layout, ca: 'manufacturing' | 'server'): string =>
  join(layout.trust, `headquarters-${ca}.pem`);

const put = (path: string, content: string | Uint8Array): void => {
  removeUnfinished(path);
  durableWrite(path, content, 0o644);
};
const pem = (der: DerCertificate): string => toPem('CERTIFICATE', der);

/**
 * Ends an import that was cut short after its pins were written: `trust/` is made to say what the commission says, from
 * keyd's own copy. What others read there is theirs to read; keyd goes by its copy. @returns the pins, of which nothing
 * is under way any more.
 * @throws KeysteadError `bundle.altered`; Error of node:fs.
 */
export function finishNodePublishing(layout: Layout, pins: NodePins): NodePins {
  if (!pins.publishing) return pins;
  const content = readCommissionCopy(layout, pins);
  const { issued, above } = certificatesOf(content);
  mkdirSync(layout.trust, { recursive: true, mode: 0o700 });
  const inUse = { ...above, manufacturing: issued.manufacturing, server: issued.server };
  for (const role of [...OFFLINE_CAS, ...ONLINE_CAS]) put(trustFile(layout, role), pem(inUse[role]));
  put(trustFile(layout, 'evidence-signer'), pem(issued.evidence));
  for (const ca of ['manufacturing', 'server'] as const) put(aboveFile(layout, ca), pem(above[ca]));
  put(join(layout.trust, 'headquarters-evidence-signer.pem'), pem(above['evidence-signer']));
  const chain = [...ONLINE_CAS.map((ca) => inUse[ca]), above.manufacturing, above.server, above.root];
  put(join(layout.trust, 'ca-chain.pem'), chain.map(pem).join(''));
  put(join(layout.trust, 'log.vkey'), `${pins.vkey}\n`);
  put(join(layout.trust, 'log-cosign.vkey'), `${pins.cosignVkey}\n`);
  // A later policy may be in force: the chain of policies puts that one there.
  if (!existsSync(layout.policy)) put(layout.policy, readFileSync(foundingPolicyPath(layout.keyd)));
  const done: NodePins = { ...pins, publishing: false };
  removeUnfinished(nodePinsPath(layout));
  durableWrite(nodePinsPath(layout), `${JSON.stringify(done, null, 2)}\n`, 0o600);
  return done;
}
