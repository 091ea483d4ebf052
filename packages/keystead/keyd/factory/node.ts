import type { DerCertificate } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type Policy, requireFactoryDevice } from '@keystead/core/lifecycle';
import { isHostWithin } from '@keystead/core/x509';
import type { CommissionCertificates } from './commission-check.ts';
import { requireNotRevoked } from './commission-check.ts';
import type { HeadquartersCrls } from './headquarters-crls.ts';

/** The commission by which the keyd of a factory node works. */
export interface FactoryNode {
  readonly name: string;
  /** Of the commission. */
  readonly number: number;
  readonly closed: boolean;
  readonly deviceIdPrefixes: readonly string[];
  /** What its servers are called. */
  readonly serverNames: readonly string[];
  /** What certified this node's sub-CAs. */
  readonly above: Readonly<Record<'manufacturing' | 'server', DerCertificate>>;
  /** Signs commissions and receipts at headquarters. */
  readonly headquartersEvidence: DerCertificate;
  /** The verifier keys of headquarters' log. */
  readonly headquartersLog: { readonly vkey: string; readonly cosignVkey: string };
  readonly certificates: CommissionCertificates;
  readonly crls: HeadquartersCrls;
}

/**
 * Whether this node may provision anything now: it is not closed, it has heard from headquarters within the time that
 * the policy gives, and headquarters has not revoked what it works by. REQ-KEY-PROV-01
 * @throws KeysteadError `factory.closed`, `factory.offline-too-long`, `factory.commission-untrusted`.
 */
export function requireOpen(node: FactoryNode, policy: Policy, now: Date): void {
  if (node.closed) throw new KeysteadError('factory.closed', { field: 'factory', seen: node.name });
  node.crls.requireFresh(policy.factory?.offlineSeconds ?? 0, now);
  requireNotRevoked(node.certificates, node.crls);
}

/**
 * Whether this node may make a device with this id now; at headquarters everything may.
 * @throws KeysteadError as {@link requireOpen} does, and `factory.device-outside`.
 */
export function requireOurDevice(node: FactoryNode | undefined, policy: Policy, deviceId: string, now: Date): void {
  if (node === undefined) return;
  requireOpen(node, policy, now);
  requireFactoryDevice(node.deviceIdPrefixes, node.name, deviceId);
}

/**
 * Whether the servers of this node may be called so; at headquarters they may be called anything. The constraint in the
 * certificate of the server sub-CA makes every other name worthless, and so nobody is given one.
 * @throws KeysteadError `factory.host-outside`, `name.malformed`.
 */
export function requireOurHosts(node: FactoryNode | undefined, hosts: readonly string[]): void {
  if (node === undefined) return;
  const outside = hosts.find((host) => !isHostWithin(host, node.serverNames));
  if (outside === undefined) return;
  const seen = `${outside}, where the servers of ${node.name} are ${node.serverNames.join(', ')}`;
  throw new KeysteadError('factory.host-outside', { field: 'hosts', seen });
}

/** For what a node does not do. @throws KeysteadError `factory.not-here` with what was asked. */
export function requireHeadquarters(node: FactoryNode | undefined, field: string, seen: string): void {
  if (node === undefined) return;
  throw new KeysteadError('factory.not-here', { field, seen: `${seen}, asked of the factory node ${node.name}` });
}
