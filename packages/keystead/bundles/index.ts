export { type EndingPinView, endingPinsOf, endingPinView } from './ending-pins.ts';
export { BundleFiles } from './files.ts';
export { type BundleIndex, BundlePublisher } from './publisher.ts';
export { Uptake, type UptakeReport } from './uptake.ts';
