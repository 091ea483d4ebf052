export { ERRORS, type ErrorCode, type ErrorKind } from './codes.ts';
export { type ErrorFacts, KeysteadError } from './error.ts';
