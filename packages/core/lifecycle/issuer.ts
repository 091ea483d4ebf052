import type { CaRole } from '../x509/index.ts';
import { type FactoryIssuerId, factoryOfIssuer } from './factory/name.ts';

/** The CAs that keyd holds online, in the order of the ceremony. */
export const ONLINE_CAS = ['manufacturing', 'operational', 'server', 'operator'] as const satisfies readonly CaRole[];
export type OnlineCa = (typeof ONLINE_CAS)[number];

/** The roots, which stay offline: each the anchor of its own tree. */
export const OFFLINE_CAS = ['root', 'signing-root'] as const satisfies readonly CaRole[];

/**
 * One key of an online CA, by the name under which records, journal and addresses know it: `operational` is the first
 * key of that CA for ever, `operational.2` the next. The name stands in certificates (CRL, OCSP and caIssuers
 * addresses), so it never passes to another key. docs/decisions/0019
 */
export type IssuerId = OnlineCa | `${OnlineCa}.${number}`;

type OfflineCa = (typeof OFFLINE_CAS)[number];
/** One key of a root, named in the same way: `root`, then `root.2`. */
export type RootId = OfflineCa | `${OfflineCa}.${number}`;

/**
 * Who issued what keyd lists as revoked: a key of a CA of its own, or the manufacturing sub-CA of a factory node, for
 * which headquarters keeps the list. docs/decisions/0034
 */
export type ListedIssuer = IssuerId | FactoryIssuerId;

/** Who issued a certificate, as the records name it: a key of a CA of keyd, a factory's sub-CA, or a root. */
export type IssuerName = CaRole | ListedIssuer | RootId;

/** More keys than a CA has in any life. */
export const MOST_GENERATIONS = 99;

/** What an issuer id looks like; its first group is the CA, its second the generation where it is not the first. */
export const ISSUER_ID = new RegExp(`^(${ONLINE_CAS.join('|')})(?:\\.([2-9]|[1-9][0-9]))?$`);

/** The name of the `generation`th key of a CA, counted from 1. */
export const issuerId = (ca: OnlineCa, generation: number): IssuerId => (generation === 1 ? ca : `${ca}.${generation}`);

/** The name of the `generation`th key of a root, counted from 1. */
export const rootId = (role: OfflineCa, generation: number): RootId =>
  generation === 1 ? role : `${role}.${generation}`;

export const isIssuerId = (text: string): text is IssuerId => ISSUER_ID.test(text);

export const isListedIssuer = (text: string): text is ListedIssuer =>
  isIssuerId(text) || factoryOfIssuer(text) !== undefined;

/** The CA of an issuer. */
export function caOf(issuer: IssuerId): OnlineCa {
  const [name] = issuer.split('.', 1);
  const ca = ONLINE_CAS.find((role) => role === name);
  if (ca === undefined) throw new TypeError(`${issuer} is no issuer`);
  return ca;
}

/** Which of its CA's keys an issuer is, counted from 1. */
export const generationOfIssuer = (issuer: IssuerId): number => Number(ISSUER_ID.exec(issuer)?.[2] ?? 1);

/** The id of the key of a CA in keyd's keystore by its generation: the first has no number. */
export const caKeyId = (ca: OnlineCa, generation: number): string =>
  generation === 1 ? `ca-${ca}` : `ca-${ca}-${generation}`;

/** The id of an issuer's key in keyd's keystore. */
export const issuerKeyId = (issuer: IssuerId): string => caKeyId(caOf(issuer), generationOfIssuer(issuer));

/** The issuer whose key has this id in keyd's keystore; undefined for a key of something else. */
export function issuerOfKey(id: string): IssuerId | undefined {
  const [, name, generation] = /^ca-([a-z]+)(?:-([2-9]|[1-9][0-9]))?$/.exec(id) ?? [];
  const ca = ONLINE_CAS.find((role) => role === name);
  return ca === undefined ? undefined : issuerId(ca, Number(generation ?? 1));
}
