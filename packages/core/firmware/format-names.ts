/** What Keystead signs firmware as, each as its own verifier wants it: docs/signing-boot.md, signing-cms.md, signing-formats.md, tuf.md. */
export const FIRMWARE_FORMATS = [
  'mcuboot',
  'fit',
  'cms',
  'rauc',
  'rauc-verity',
  'authenticode',
  'tuf',
  'cose',
  'suit',
  'dsse',
  'sshsig',
] as const;
export type FirmwareFormatName = (typeof FIRMWARE_FORMATS)[number];
