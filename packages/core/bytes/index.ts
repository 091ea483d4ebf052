export type * from './brands.ts';
export { canonicalJson, type JsonValue } from './canonical-json.ts';
export * from './encoding.ts';
export { fromWords, toWords } from './words.ts';
