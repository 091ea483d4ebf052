export { type Find, FORMS } from './find.ts';
export { MOST_FINDS } from './finds.ts';
export { type Scanned, type ScanProgress, scanBytes, scanPath } from './scan.ts';
