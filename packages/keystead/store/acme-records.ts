import type { Serial } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import type { AcmeAccountRow, AcmeAuthorizationRow, AcmeChallengeRow, AcmeOrderRow } from './acme-rows.ts';
import type { AcmeIdentifierType } from './acme-schema.ts';
import type { Queries } from './queries.ts';
import type { Prepared } from './statement.ts';

/** After every order that there is: where a list of the newest begins. */
const END_OF_TIME = Number.MAX_SAFE_INTEGER;

/** What can be asked of ACME's records. */
export class AcmeReader {
  protected readonly statements: Prepared<Queries>;

  constructor(statements: Prepared<Queries>) {
    this.statements = statements;
  }

  account(id: string): AcmeAccountRow | undefined {
    return this.statements.acmeAccount.first({ id });
  }

  accountOfKey(thumbprint: string): AcmeAccountRow | undefined {
    return this.statements.acmeAccountOfKey.first({ thumbprint });
  }

  /** Up to `count` accounts whose id follows `after` in binary order; `''` begins. */
  accounts(after: string, count: number): AcmeAccountRow[] {
    return this.statements.acmeAccounts.all({ after, count });
  }

  order(id: string): AcmeOrderRow | undefined {
    return this.statements.acmeOrder.first({ id });
  }

  /** Up to `count` orders of an account, the newest first, after the one named. */
  ordersOf(
    accountId: string,
    before: Pick<AcmeOrderRow, 'createdAt' | 'id'> | undefined,
    count: number,
  ): AcmeOrderRow[] {
    const { createdAt: beforeTime, id: beforeId } = before ?? { createdAt: END_OF_TIME, id: '' };
    return this.statements.acmeOrdersOf.all({ accountId, beforeTime, beforeId, count });
  }

  orders(after: string, count: number): AcmeOrderRow[] {
    return this.statements.acmeOrders.all({ after, count });
  }

  orderOfCertificate(issuer: IssuerName, serial: Serial): AcmeOrderRow | undefined {
    return this.statements.acmeOrderOfCertificate.first({ issuer, serial });
  }

  /** The orders that said that they replace this certificate. */
  ordersReplacing(issuer: IssuerName, serial: Serial): AcmeOrderRow[] {
    return this.statements.acmeOrdersReplacing.all({ issuer, serial });
  }

  ordersInProcess(count: number): AcmeOrderRow[] {
    return this.statements.acmeOrdersInProcess.all({ count });
  }

  countOpenOrders(accountId: string, now: number): number {
    return this.statements.countAcmeOpenOrders.first({ accountId, now })?.count ?? 0;
  }

  /** Ids of up to `count` orders that were over before `before`. */
  ordersOver(before: number, count: number): string[] {
    return this.statements.acmeOrdersOver.all({ before, count }).map(({ id }) => id);
  }

  authorization(id: string): AcmeAuthorizationRow | undefined {
    return this.statements.acmeAuthorization.first({ id });
  }

  authorizationsOf(orderId: string): AcmeAuthorizationRow[] {
    return this.statements.acmeAuthorizationsOf.all({ orderId });
  }

  /** Whether the account has shown that it controls this name, and that still holds. */
  controls(
    accountId: string,
    name: { type: AcmeIdentifierType; value: string; wildcard: boolean },
    now: number,
  ): boolean {
    const { type, value, wildcard } = name;
    const found = this.statements.acmeAuthorizationValid.first({
      accountId,
      type,
      value,
      wildcard: wildcard ? 1 : 0,
      now,
    });
    return found !== undefined;
  }

  challenge(id: string): AcmeChallengeRow | undefined {
    return this.statements.acmeChallenge.first({ id });
  }

  challengesOf(authorizationId: string): AcmeChallengeRow[] {
    return this.statements.acmeChallengesOf.all({ authorizationId });
  }

  /** Up to `count` challenges that are to be tried by `now`, the longest due first. */
  challengesDue(now: number, count: number): AcmeChallengeRow[] {
    return this.statements.acmeChallengesDue.all({ now, count });
  }
}

/** What a transaction may change in ACME's records. The tables of states are the caller's to keep. */
export class AcmeWriter extends AcmeReader {
  insertAccount(row: AcmeAccountRow): void {
    this.statements.insertAcmeAccount.run(row);
  }

  setAccount(row: Pick<AcmeAccountRow, 'id' | 'thumbprint' | 'jwk' | 'state' | 'contact' | 'changedAt'>): void {
    this.statements.setAcmeAccount.run(row);
  }

  insertOrder(row: AcmeOrderRow): void {
    this.statements.insertAcmeOrder.run(row);
  }

  setOrder(row: Pick<AcmeOrderRow, 'id' | 'state' | 'csr' | 'error' | 'issuer' | 'serial'>): void {
    this.statements.setAcmeOrder.run(row);
  }

  setOrderExpiry(id: string, expiresAt: number): void {
    this.statements.setAcmeOrderExpiry.run({ id, expiresAt });
  }

  /** Removes an order with its authorizations and challenges. */
  deleteOrder(orderId: string): void {
    this.statements.deleteAcmeChallengesOf.run({ orderId });
    this.statements.deleteAcmeAuthorizationsOf.run({ orderId });
    this.statements.deleteAcmeOrder.run({ orderId });
  }

  insertAuthorization(row: AcmeAuthorizationRow): void {
    this.statements.insertAcmeAuthorization.run(row);
  }

  setAuthorization(row: Pick<AcmeAuthorizationRow, 'id' | 'state' | 'expiresAt' | 'attestedSpki'>): void {
    this.statements.setAcmeAuthorization.run(row);
  }

  insertChallenge(row: AcmeChallengeRow): void {
    this.statements.insertAcmeChallenge.run(row);
  }

  setChallenge(row: Omit<AcmeChallengeRow, 'authorizationId' | 'type' | 'token'>): void {
    this.statements.setAcmeChallenge.run(row);
  }
}
