export type * from './brands.ts';
export * from './encoding.ts';
