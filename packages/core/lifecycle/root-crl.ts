import type { DerCertificate } from '../bytes/index.ts';
import { type DistinguishedName, type Profile, readCertificate, type StatusUrls } from '../x509/index.ts';
import type { Policy } from './policy.ts';

/** The profile of who signs the indirect CRL of the root. A policy without it has no such list. */
export const ROOT_CRL_PROFILE = 'root-crl-signer';

/** The id of its key in keyd's keystore, and its place in keyd's request to the founding. */
export const ROOT_CRL_KEY = 'root-crl';

/**
 * The name of the indirect CRL of the root, in addresses and file names. It is one for all keys of the root: they have
 * one name, and that and the serial number are what an entry tells. docs/decisions/0028
 */
export const ROOT_CRL_LIST = 'root-indirect';

/** The profile of the signer, where the policy has one. */
export const rootCrlProfile = (policy: Policy): Profile | undefined =>
  policy.profiles.find(({ id }) => id === ROOT_CRL_PROFILE);

/** The address of the list; undefined where certificates carry no addresses. */
export const rootCrlUrl = (policy: Pick<Policy, 'urls'>): string | undefined =>
  policy.urls?.crl?.replace('{ca}', ROOT_CRL_LIST);

/** Where the certificate of the signer stands: in the list itself, for who has the list and not the signer. */
export const rootCrlSignerUrl = (policy: Pick<Policy, 'urls'>): string | undefined =>
  policy.urls?.caIssuers?.replace('{ca}', ROOT_CRL_PROFILE);

/**
 * The addresses of a CA that the root certifies: its status stands on the indirect list of `signer` alone, which is
 * never older than the root's own (RFC 5280 section 4.2.1.13). `urls` are those that it would have without one.
 */
export function indirectUrls(policy: Policy, urls: StatusUrls, signer: DerCertificate | undefined): StatusUrls {
  if (signer === undefined) return urls;
  return { ...urls, crl: rootCrlUrl(policy), crlIssuer: crlIssuerOf(signer) };
}

/** The name by which certificates and the list itself know the signer. */
export const crlIssuerOf = (signer: DerCertificate): DistinguishedName => readCertificate(signer).subject;
