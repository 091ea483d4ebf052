export * from './format.ts';
export * from './format-names.ts';
export * from './image.ts';
export * from './tuf/index.ts';
