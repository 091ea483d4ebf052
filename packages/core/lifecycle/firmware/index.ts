export {
  type AgreedFirmwareKey,
  FIRMWARE_KEY_CHANGES,
  type FirmwareKeyChange,
  type FirmwareKeyOrder,
  type FirmwareKeyStatement,
  firmwareKeyOrderSha256,
  firmwareKeyQuorum,
  parseFirmwareKeyStatement,
  signFirmwareKeyStatement,
  verifyFirmwareKeyOrder,
} from './key-order.ts';
export { type LineKeys, lineKeys } from './line-keys.ts';
export {
  type AgreedFirmware,
  checkFirmwareOrder,
  type FirmwareOrder,
  type FirmwareStatement,
  firmwareOrderSha256,
  MOST_FIRMWARE_KEYS,
  parseFirmwareStatement,
  requireFirmwareQuorum,
  signFirmwareStatement,
  verifyFirmwareStatements,
} from './order.ts';
export {
  FIRMWARE_ENVIRONMENTS,
  FIRMWARE_KEY_ALGORITHMS,
  FIRMWARE_SIGNATURES,
  type FirmwareEnvironment,
  type FirmwareKey,
  type FirmwareLine,
  type FirmwarePolicy,
  type FirmwareScope,
  type FirmwareTimestamp,
  firmwareKeyId,
  firmwareKeyOf,
  firmwareLine,
  firmwareQuorum,
  firmwareScheme,
  firmwareTimestamp,
} from './policy.ts';
export {
  FIRMWARE_PROFILE,
  firmwareIdOf,
  firmwareKeystoreId,
  firmwareProfile,
  firmwareProfileOf,
} from './profile.ts';
export { formatKeyOf, requireSuitableKeys } from './suitable.ts';
export { requireTransition } from './transition.ts';
export {
  checkTufRules,
  isTufKeystoreId,
  type TufPolicy,
  TufPolicySchema,
  type TufRepositoryRule,
  tufKeystoreId,
  tufRepositoryName,
  tufRepositoryRule,
} from './tuf.ts';
export { canonicalVersion, compareVersions } from './version.ts';
