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
  firmwareKeyOf,
  firmwareLine,
  firmwareQuorum,
  firmwareScheme,
} from './policy.ts';
export {
  FIRMWARE_PROFILE,
  firmwareIdOf,
  firmwareKeystoreId,
  firmwareProfile,
  firmwareProfileOf,
} from './profile.ts';
export { canonicalVersion, compareVersions } from './version.ts';
