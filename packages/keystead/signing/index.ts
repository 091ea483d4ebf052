export type { OpenBlob } from './blob-store.ts';
export type { AskedBy, FirmwareSigner, SigningDeps } from './deps.ts';
export { DOCUMENT_KINDS, type DocumentKind } from './documents.ts';
export { Signing } from './signing.ts';
export { SIGNING_STEPS, stateAfter, statesMarkdown } from './states.ts';
export type { Submission } from './submission.ts';
export type { RequestView } from './view.ts';
export { type FirmwareKeyView, Worklist, type WorklistEntry, type WorklistPage } from './worklist.ts';
