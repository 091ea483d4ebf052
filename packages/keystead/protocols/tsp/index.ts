export { type TspAnswer, type TspDomain, TspResponder } from './responder.ts';
export { registerTsp } from './routes.ts';
