export * from './anchors/index.ts';
export * from './fit/index.ts';
export * from './format.ts';
export * from './format-names.ts';
export * from './image.ts';
export * from './mcuboot/index.ts';
