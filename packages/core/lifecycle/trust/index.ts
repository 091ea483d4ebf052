export {
  type AgreedTrust,
  checkTrustOrder,
  parseTrustStatement,
  requireTrustQuorum,
  signTrustStatement,
  type TrustOrder,
  type TrustStatement,
  trustOrderSha256,
  verifyTrustStatements,
} from './order.ts';
export {
  filterBackdateSeconds,
  requireSameFleet,
  type TrustKey,
  type TrustPolicy,
  trustIdOf,
  trustKeystoreId,
  trustPolicy,
  trustQuorum,
} from './policy.ts';
