export { registerAcme } from './routes.ts';
