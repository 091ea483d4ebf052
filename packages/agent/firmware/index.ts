export {
  FIRMWARE_RULES,
  type FirmwareOffer,
  type FirmwareRule,
  type FirmwareVerdict,
  verifyFirmware,
} from './verify-firmware.ts';
