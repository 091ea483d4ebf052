export { requireFirmwareForward, type Stranded, strandedBy } from './bundle/change.ts';
export {
  ANCHOR_ROLES,
  type AnchorRole,
  type BundleContent,
  type BundleJson,
  bundleName,
  contentOfJson,
  jsonOfContent,
  PIN_USES,
  type PinUse,
  type Standing,
  type StandingJson,
  StandingJsonSchema,
  standingOfJson,
} from './bundle/content.ts';
export { parseBundle, type SignedBundle, signBundle } from './bundle/cose.ts';
export { type EndingPin, endingPins } from './bundle/ending-pins.ts';
export { signBundleJws, verifyBundleJws } from './bundle/jws.ts';
export { checkContent, isIn, isPinned, SIGNER_ALGORITHMS } from './bundle/rules.ts';
export {
  CLOCK_SKEW_SECONDS,
  passBundle,
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
