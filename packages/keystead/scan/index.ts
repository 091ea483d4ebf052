export { type Find, FORMS } from './find.ts';
export { MOST_FINDS, type Scanned } from './finds.ts';
export { type ScanProgress, scanBytes, scanPath } from './scan.ts';
