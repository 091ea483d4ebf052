export * from './format.ts';
export * from './format-names.ts';
export { firmwareFormat } from './formats.ts';
export * from './image.ts';
