export {
  ANCHOR_ROLES,
  type AnchorRole,
  type BundleContent,
  type BundleJson,
  contentOfJson,
  jsonOfContent,
  PIN_USES,
  type PinUse,
} from './bundle/content.ts';
export { parseBundle, type SignedBundle, signBundle } from './bundle/cose.ts';
export { signBundleJws, verifyBundleJws } from './bundle/jws.ts';
export { checkContent, isIn, isPinned } from './bundle/rules.ts';
export {
  CLOCK_SKEW_SECONDS,
  requireCurrent,
  type TakenBundle,
  type TrustState,
  takeBundle,
  takeBundles,
} from './bundle/take.ts';
export { buildDelta, buildFilter, type FilterSource } from './filter/build.ts';
export type { IssuedSerials } from './filter/build-block.ts';
export { decodeFilter, encodeFilter, type FilterFile, filterSha256, MOST_FILTER_BYTES } from './filter/file.ts';
export { CarriedFilter } from './filter/revocation-filter.ts';
