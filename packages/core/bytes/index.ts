export type * from './brands.ts';
export { canonicalJson, type JsonValue } from './canonical-json.ts';
export * from './encoding.ts';
