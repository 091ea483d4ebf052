// CMS, RAUC, Authenticode, and what firmware believes by UEFI
export { uefiCertificateLists, uefiDigestList } from './anchors/uefi-esl.ts';
export { authenticode } from './authenticode/index.ts';
export { cms } from './cms/index.ts';
export * from './format.ts';
export * from './format-names.ts';
export * from './image.ts';
export { rauc } from './rauc/index.ts';
