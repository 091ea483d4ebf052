export { type CoseOptions, cose, coseFormat } from './format.ts';
export { type CoseSign1, readSign1, readSign1Sequence, verifySign1 } from './sign1.ts';
