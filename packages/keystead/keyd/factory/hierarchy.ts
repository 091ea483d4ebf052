import type { DerCertificate } from '@keystead/core/bytes';
import { certSha256 } from '@keystead/core/crypto';
import type { Layout } from '../../files/layout.ts';
import { type CeremonyPins, foundingPolicy, type Hierarchy, loadHierarchy, readPins } from '../hierarchy.ts';
import { finishPublishing } from '../publish-trust.ts';
import { certificatesOf, crlsOf } from './commission-check.ts';
import type { FactoryNode } from './node.ts';
import { currentCommission, type NodePins, readCommissionCopy, readNodePins } from './pins.ts';
import { finishNodePublishing } from './publish.ts';

/**
 * What keyd works with, at headquarters or at a factory node, once an import that was cut short is ended.
 * @throws KeysteadError `keyd.not-ready`, `bundle.*`, `factory.crl-unfit`.
 */
export function openHierarchy(layout: Layout): Hierarchy {
  const pins = readPins(layout);
  if (pins !== undefined) {
    finishPublishing(layout, pins);
    return loadHierarchy(layout);
  }
  const node = readNodePins(layout);
  return node === undefined ? loadHierarchy(layout) : nodeHierarchy(layout, finishNodePublishing(layout, node));
}

/** Whether keyd has what it needs to start. @throws KeysteadError `keyd.not-ready` for damaged pins. */
export const isFounded = (layout: Layout): boolean =>
  readPins(layout) !== undefined || readNodePins(layout) !== undefined;

/** The commission by which a node works, from keyd's own copy. @throws KeysteadError `bundle.altered`, `factory.crl-unfit`. */
export function nodeOf(layout: Layout, pins: NodePins): FactoryNode {
  const content = readCommissionCopy(layout, pins);
  const certificates = certificatesOf(content);
  const { above } = certificates;
  return {
    name: content.factory,
    number: content.number,
    closed: content.act === 'close',
    deviceIdPrefixes: content.deviceIdPrefixes,
    serverNames: content.serverNames,
    above: { manufacturing: above.manufacturing, server: above.server },
    headquartersEvidence: above['evidence-signer'],
    headquartersLog: content.log,
    certificates,
    crls: crlsOf(layout.keyd, content, certificates),
  };
}

/**
 * The hierarchy of a node: its own two CAs issue; the others are those of headquarters, which are trusted and have no key
 * here. All of it comes from keyd's copy of the commission: what stands in `trust/` is for others.
 */
function nodeHierarchy(layout: Layout, pins: NodePins): Hierarchy {
  const node = nodeOf(layout, pins);
  const { issued, above } = node.certificates;
  const inUse = {
    root: above.root,
    'signing-root': above['signing-root'],
    manufacturing: issued.manufacturing,
    operational: above.operational,
    server: issued.server,
    operator: above.operator,
  };
  const asPins = ceremonyPins(pins, inUse, issued.evidence);
  return {
    policy: foundingPolicy(layout, asPins).policy,
    certificates: inUse,
    evidenceSigner: issued.evidence,
    formerEvidence: [],
    issuers: (['manufacturing', 'server'] as const).map((ca) => ({
      id: ca,
      ca,
      certificate: issued[ca],
      current: true,
      succeededAt: undefined,
    })),
    // A node signs no list of the root.
    crlSigner: undefined,
    // Nor firmware.
    firmware: new Map(),
    rollovers: [],
    pins: asPins,
    node,
  };
}

/** What founded a node, as {@link readPins} tells it of headquarters; undefined where there is no node. */
export function nodeAsFounded(layout: Layout): CeremonyPins | undefined {
  const pins = readNodePins(layout);
  return pins === undefined ? undefined : nodeHierarchy(layout, pins).pins;
}

/** In the form in which the rest of keyd knows what was pinned: the first commission is what founded this keyd. */
function ceremonyPins(
  pins: NodePins,
  certificates: Hierarchy['certificates'],
  evidenceSigner: DerCertificate,
): CeremonyPins {
  const [first] = pins.commissions;
  return {
    version: 1,
    importedAt: first?.importedAt ?? currentCommission(pins).importedAt,
    policySha256: pins.policySha256,
    transcriptSha256: first?.sha256 ?? '',
    offline: true,
    witnesses: [],
    certificates: {
      root: certSha256(certificates.root),
      'signing-root': certSha256(certificates['signing-root']),
      manufacturing: certSha256(certificates.manufacturing),
      operational: certSha256(certificates.operational),
      server: certSha256(certificates.server),
      operator: certSha256(certificates.operator),
      'evidence-signer': certSha256(evidenceSigner),
    },
    vkey: pins.vkey,
    cosignVkey: pins.cosignVkey,
    later: [],
    generations: {},
    former: [],
    formerEvidence: [],
    rollovers: [],
    revoked: [],
    firmware: {},
    publishing: false,
  };
}
