export { BundleFiles } from './files.ts';
export { type BundleIndex, BundlePublisher } from './publisher.ts';
export { Uptake, type UptakeReport } from './uptake.ts';
