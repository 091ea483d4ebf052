export type * from './brands.ts';
export { canonicalJson, type JsonValue } from './canonical-json.ts';
export * from './encoding.ts';
export { STRICT_CBOR } from './strict-cbor.ts';
export { fromWords, toWords } from './words.ts';
