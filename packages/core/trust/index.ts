export { buildDelta, buildFilter, type FilterSource } from './filter/build.ts';
export type { IssuedSerials } from './filter/build-block.ts';
export { decodeFilter, encodeFilter, type FilterFile, filterSha256, MOST_FILTER_BYTES } from './filter/file.ts';
export { CarriedFilter } from './filter/revocation-filter.ts';
