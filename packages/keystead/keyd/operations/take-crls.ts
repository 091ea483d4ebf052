import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import type { FactoryNode } from '../factory/node.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Takes newer CRLs of headquarters at a factory node. Each is signed by a CA that the commission names, is a full one,
 * and only goes forward, so it makes no difference who brings it. REQ-KEY-PROV-01, REQ-KEY-REV-03
 * @throws KeysteadError `factory.not-a-node` at headquarters; `factory.crl-unfit` for the first that is none of use: those
 *   before it are taken.
 */
export async function takeCrls(keyd: KeydContext, { crls }: Params<'takeCrls'>): Promise<Result<'takeCrls'>> {
  const { node } = keyd.hierarchy;
  if (node === undefined) throw new KeysteadError('factory.not-a-node', { field: 'crls' });
  const now = keyd.now();
  const fresh = new Set<Result<'takeCrls'>['fresh'][number]>();
  for (const der of crls) {
    const taken = node.crls.take(der, now);
    if (taken.fresh) fresh.add(taken.ca);
  }
  return { lists: listsOf(node), fresh: [...fresh], goodUntil: goodUntil(keyd, node) };
}

const goodUntil = (keyd: KeydContext, { crls }: FactoryNode): Date =>
  crls.goodUntil(keyd.policy.factory?.offlineSeconds ?? 0);

const listsOf = ({ crls }: FactoryNode) => crls.list().map(({ der: _, ...list }) => list);

/** As `status` tells of a node; undefined at headquarters. */
export function factoryStatusOf(keyd: KeydContext): Result<'status'>['factory'] {
  const { node } = keyd.hierarchy;
  if (node === undefined) return undefined;
  const { name, number, closed, deviceIdPrefixes, certificates } = node;
  const ends = (ca: 'manufacturing' | 'server') => readCertificate(certificates.issued[ca]).notAfter;
  return {
    name,
    commission: number,
    closed,
    deviceIdPrefixes: [...deviceIdPrefixes],
    ends: { manufacturing: ends('manufacturing'), server: ends('server') },
    crls: listsOf(node),
    goodUntil: goodUntil(keyd, node),
  };
}

/** As `trust` tells of a node; undefined at headquarters. */
export function factoryTrustOf({ hierarchy: { node } }: KeydContext): Result<'trust'>['factory'] {
  if (node === undefined) return undefined;
  const { name, serverNames, above, headquartersEvidence, crls } = node;
  const lists = crls.list().map(({ der, ...list }) => ({ ...list, crl: der }));
  return { name, serverNames: [...serverNames], above: { ...above }, headquartersEvidence, crls: lists };
}
