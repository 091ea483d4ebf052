export { type ErrorCode, ERRORS, type ErrorKind } from './codes.ts';
export { KeysteadError, type ErrorFacts } from './error.ts';
