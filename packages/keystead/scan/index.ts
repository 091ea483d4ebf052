export { type Find, FORMS } from './find.ts';
export { type Scanned, type ScanProgress, scanBytes, scanPath } from './scan.ts';
