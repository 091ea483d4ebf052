export type { CmpAuthority, CmpDomain, CmpOrder, CmpOutcome, CmpReference, CmpRequester } from './domain.ts';
export { CMP_OPERATIONS, type CmpOperation } from './operations.ts';
export { type CmpAnswer, type CmpAsked, CmpResponder } from './responder.ts';
export { registerCmp } from './routes.ts';
