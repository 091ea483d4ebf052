export * from './anchors/index.ts';
export * from './fit/index.ts';
export * from './format.ts';
export * from './format-names.ts';
export { firmwareFormat } from './formats.ts';
export * from './image.ts';
export * from './mcuboot/index.ts';
