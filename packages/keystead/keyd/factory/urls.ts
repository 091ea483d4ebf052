import { factoryIssuerId, type IssuerId, type Policy, type Shard, statusUrls } from '@keystead/core/lifecycle';
import { readCertificate, type StatusUrls } from '@keystead/core/x509';
import type { FactoryNode } from './node.ts';

/**
 * The addresses in a certificate that a node issues. What becomes of an IDevID is decided at headquarters, whose
 * manufacturing CA signs the list for the factory: an indirect CRL at headquarters' address (RFC 5280 section 5.2.5).
 * There is no OCSP for it, for nobody at the factory could know the answer, and no partition. What the server sub-CA
 * issues lives for days inside the factory: its list is at the node, whose address is no part of the policy.
 */
export function nodeUrls(node: FactoryNode, policy: Policy, issuer: IssuerId): StatusUrls {
  if (issuer !== 'manufacturing') return {};
  const at = factoryIssuerId(node.name);
  const fill = (template: string | undefined) => template?.replace('{ca}', at);
  const crl = fill(policy.urls?.crl);
  const { subject } = readCertificate(node.above.manufacturing);
  return { ...(crl === undefined ? {} : { crl, crlIssuer: subject }), caIssuers: fill(policy.urls?.caIssuers) };
}

/** The addresses in a certificate of this keyd: at headquarters those of its own key. */
export const urlsIn = (
  { node }: { readonly node?: FactoryNode },
  policy: Policy,
  issuer: IssuerId,
  shard: Shard | undefined,
): StatusUrls => (node === undefined ? statusUrls(policy, issuer, shard) : nodeUrls(node, policy, issuer));
