import type { AccountView, AuthorizationView, CertificateName, ChallengeView, OrderView } from '../../acme/index.ts';

/** The addresses of everything, from the one that they begin with. */
export class Urls {
  readonly #base: () => string;

  /** @param base `https://host:port/acme`, asked each time: a port may be known only when it is listened on. */
  constructor(base: () => string) {
    this.#base = base;
  }

  get base(): string {
    return this.#base();
  }

  directory = (): string => `${this.base}/directory`;
  newNonce = (): string => `${this.base}/new-nonce`;
  newAccount = (): string => `${this.base}/new-account`;
  newOrder = (): string => `${this.base}/new-order`;
  revokeCert = (): string => `${this.base}/revoke-cert`;
  keyChange = (): string => `${this.base}/key-change`;
  renewalInfo = (): string => `${this.base}/renewal-info`;
  account = (id: string): string => `${this.base}/account/${id}`;
  orders = (accountId: string): string => `${this.account(accountId)}/orders`;
  order = (id: string): string => `${this.base}/order/${id}`;
  finalize = (id: string): string => `${this.order(id)}/finalize`;
  authorization = (id: string): string => `${this.base}/authorization/${id}`;
  challenge = (id: string): string => `${this.base}/challenge/${id}`;
  certificate = (orderId: string, chain = 0): string =>
    `${this.base}/certificate/${orderId}${chain === 0 ? '' : `/${chain}`}`;

  /** The account of a kid, or undefined for what is no URL of one. */
  accountOf(kid: string): string | undefined {
    const prefix = `${this.base}/account/`;
    const id = kid.startsWith(prefix) ? kid.slice(prefix.length) : '';
    return /^[A-Za-z0-9_-]{1,64}$/.test(id) ? id : undefined;
  }
}

/* Resources as RFC 8555 section 7.1 writes them. */

export const directoryObject = (urls: Urls): Record<string, unknown> => ({
  newNonce: urls.newNonce(),
  newAccount: urls.newAccount(),
  newOrder: urls.newOrder(),
  revokeCert: urls.revokeCert(),
  keyChange: urls.keyChange(),
  renewalInfo: urls.renewalInfo(),
  meta: { externalAccountRequired: true },
});

export const accountObject = (account: AccountView, urls: Urls): Record<string, unknown> => ({
  status: account.state,
  contact: account.contact,
  externalAccountBinding: JSON.parse(account.binding),
  orders: urls.orders(account.id),
  key: JSON.parse(account.jwk),
});

export function orderObject(
  order: OrderView,
  urls: Urls,
  nameOf: (certificate: CertificateName) => string,
): Record<string, unknown> {
  const { id, state, expires, identifiers, authorizations, error, replaces } = order;
  return {
    status: state,
    expires,
    identifiers,
    authorizations: authorizations.map(urls.authorization),
    finalize: urls.finalize(id),
    ...(error === undefined ? {} : { error }),
    ...(replaces === undefined ? {} : { replaces: nameOf(replaces) }),
    ...(state === 'valid' ? { certificate: urls.certificate(id) } : {}),
  };
}

export const authorizationObject = (authorization: AuthorizationView, urls: Urls): Record<string, unknown> => ({
  identifier: authorization.identifier,
  status: authorization.state,
  expires: authorization.expires,
  challenges: authorization.challenges.map((one) => challengeObject(one, urls)),
  ...(authorization.wildcard ? { wildcard: true } : {}),
});

export const challengeObject = (challenge: ChallengeView, urls: Urls): Record<string, unknown> => ({
  type: challenge.type,
  url: urls.challenge(challenge.id),
  status: challenge.state,
  token: challenge.token,
  ...(challenge.validated === undefined ? {} : { validated: challenge.validated }),
  ...(challenge.error === undefined ? {} : { error: challenge.error }),
});
